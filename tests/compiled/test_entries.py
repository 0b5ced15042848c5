"""Kernels of the library, called with Python's objects."""

from __future__ import annotations

import numpy as np
import pytest

from poolwise.compiled import kernel, library
from poolwise.compiled.library import Library, symbol_of
from poolwise.compiled.probe import GIVEN, READ, probe
from poolwise.compiled.types import Vector, signature_of
from poolwise.density.theta import log_scale_prior, usable
from poolwise.families.scalars import rising
from poolwise.samplers.mixture import StudentMixture

pytestmark = pytest.mark.skipif(library.library() is None, reason=f"no library here: {library.reason_without()}")


@pytest.fixture
def loaded() -> Library:
    found = library.library()
    assert found is not None
    return found


def refused(*_):
    raise TypeError("otherwise")


def test_all_kinds_of_arguments_are_read(loaded):
    read = np.zeros(len(READ))
    assert loaded.entry(probe, refused)(*GIVEN, read) == len(GIVEN[0].numbers)
    assert read.tolist() == READ


@pytest.mark.parametrize("number", [-(2**40), -1, 0, 1, 2**31, 2**52])
def test_whole_numbers_of_any_size(loaded, number):
    read = np.zeros(len(READ))
    given = GIVEN[0]._replace(whole=np.int64(number), flag=False)
    loaded.entry(probe, refused)(given, number, 0.0, read)
    assert (read[2], read[3], read[4]) == (number, 0.0, number)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(6, dtype=np.float32),
        np.zeros(6, dtype=np.int64),
        np.zeros(6, dtype=">f8"),
        np.zeros((6, 1)),
        np.zeros(12)[::2],
        np.zeros(6).astype(object),
        np.frombuffer(bytes(49), dtype=np.uint8)[1:].view(float),  # not aligned
        [0.0] * 6,
        "text",
        None,
        3,
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_other_objects_are_handed_on_instead_of_being_read(loaded, wrong):
    with pytest.raises(TypeError, match="otherwise"):
        loaded.entry(probe, refused)(*GIVEN, wrong)
    with pytest.raises(TypeError, match="otherwise"):
        loaded.entry(probe, refused)(GIVEN[0]._replace(numbers=wrong), 7, 8.5, np.zeros(6))


@pytest.mark.parametrize("field", ["number", "whole", "flag"])
@pytest.mark.parametrize("wrong", ["text", None, np.zeros(1), 1j])
def test_fields_of_other_types_are_handed_on(loaded, field, wrong):
    with pytest.raises(TypeError, match="otherwise"):
        loaded.entry(probe, refused)(GIVEN[0]._replace(**{field: wrong}), 7, 8.5, np.zeros(6))


def test_arrays_of_other_makers_are_read(loaded, tmp_path):
    read = np.memmap(tmp_path / "numbers", dtype=float, mode="w+", shape=(6,))
    if loaded.entry(probe, lambda *_: None)(*GIVEN, read) is not None:  # a subclass may be handed on, never misread
        assert read.tolist() == READ
    swapped = np.zeros(6, dtype=np.dtype("<f8"))
    assert loaded.entry(probe, refused)(*GIVEN, swapped) == 2


def test_answers_have_the_types_that_are_stated():
    assert usable(np.zeros(2)) is True
    assert usable(np.array([0.0, 400.0])) is False
    value, slope = rising(2.0, 3.0)
    assert (value, slope) == pytest.approx((np.log(2 * 3 * 4), 1 / 2 + 1 / 3 + 1 / 4))


def test_kernels_without_a_statement_are_compiled_where_that_is_allowed(monkeypatch):
    monkeypatch.delenv(library.SWITCH, raising=False)
    row = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    value, slope = log_scale_prior(0.3, row)
    assert (value, slope) == pytest.approx((1 + 0.3 - 0.5 * np.exp(0.6), 1 - np.exp(0.6)))


def test_a_kernel_of_ones_own_calls_those_of_the_package():
    @kernel
    def doubled(x: Vector) -> float:
        return 2.0 * rising(x[0], x[1])[0]

    assert doubled(np.array([2.0, 3.0])) == pytest.approx(2 * np.log(24))
    assert symbol_of(doubled.function) is None


def test_what_the_library_has_is_what_kernels_state(loaded):
    from tools.kernels.lower import stated

    symbols = set(stated())
    assert len(symbols) > 60
    assert all(hasattr(loaded.handle, symbol) for symbol in symbols)


def test_both_ways_of_compiling_agree(loaded, monkeypatch):
    rng = np.random.default_rng(0)
    mixture = StudentMixture(np.array([0.3, 0.7]), rng.normal(size=(2, 3)), np.stack([np.eye(3)] * 2), np.full(2, 6.0))
    points = rng.normal(size=(50, 3))
    from poolwise.samplers import mixture as of_mixture

    here = mixture.log_density(points)
    monkeypatch.setattr(of_mixture, "_log_mixture", of_mixture._log_mixture.dispatcher)
    np.testing.assert_allclose(mixture.log_density(points), here, rtol=1e-13)


def test_types_that_no_kernel_can_take_are_refused():
    def odd(x: list) -> None: ...

    with pytest.raises(TypeError, match="No argument of a kernel can be of type <class 'list'>: 'x' of"):
        signature_of(odd)

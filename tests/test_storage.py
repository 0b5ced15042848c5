"""Saving and loading: the same fit, a small file, nothing half-written."""

import os
import zipfile

import numpy as np
import pytest

import poolwise as pw
from poolwise import archive


@pytest.mark.parametrize("kind", ["complete", "separate", "partial"])
def test_a_loaded_fit_has_the_same_draws(kind, pooling, tmp_path):
    fit = getattr(pooling, kind)
    path = tmp_path / "radon.poolwise"
    fit.save(path)
    again = pw.load(path)
    for name, variable in fit.result.variables().items():
        np.testing.assert_array_equal(again.result.variables()[name].values, variable.values)
    assert again.priors == fit.priors
    assert again.outcome == fit.outcome
    assert repr(again) == repr(fit)
    assert again.rmsd() == fit.rmsd()
    assert os.listdir(tmp_path) == ["radon.poolwise"]


def test_every_prior_and_transform_survives(small, tmp_path):
    priors = {
        "Intercept": pw.StudentT(4, 0, 2),
        "x": pw.Normal(0, 1),
        "sd": pw.HalfStudentT(3),
        "cor": pw.LKJ(3),
        "sigma": pw.Exponential(1),
    }
    fit = pw.fit("y ~ x + C(z) + (1 + scale(w) | g)", small, priors=priors, seed=4, draws=100)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    assert again.describe() == fit.describe()
    np.testing.assert_array_equal(again.result.u[0].draws(), fit.result.u[0].draws())


def test_the_file_is_small(radon_fit, tmp_path):
    radon_fit.save(tmp_path / "fit")
    assert (tmp_path / "fit").stat().st_size < 150_000


def test_a_loaded_fit_says_that_it_has_no_rows(radon_fit, tmp_path):
    radon_fit.save(tmp_path / "fit")
    with pytest.raises(pw.DataError, match="holds no rows"):
        pw.load(tmp_path / "fit").plot.groups(["CASS"])


def test_files_that_are_not_fits(radon_fit, tmp_path):
    with pytest.raises(pw.FileError, match="There is no file"):
        pw.load(tmp_path / "gone")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(pw.FileError, match="not a poolwise fit"):
        pw.load(tmp_path / "text")
    radon_fit.save(tmp_path / "fit")
    whole = (tmp_path / "fit").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pw.FileError, match="not a poolwise fit, or it is damaged"):
        pw.load(tmp_path / "half")
    with zipfile.ZipFile(tmp_path / "fit") as archive:
        assert {"header.npy", "theta.npy", "scatter.npy"} <= set(archive.namelist())


def test_a_newer_format_is_refused(radon_fit, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "FORMAT", 99)
    radon_fit.save(tmp_path / "fit")
    monkeypatch.undo()
    with pytest.raises(pw.FileError, match="has format 99"):
        pw.load(tmp_path / "fit")


def test_a_failed_write_leaves_nothing(radon_fit, tmp_path, monkeypatch):
    with pytest.raises(pw.FileError, match="Cannot write"):
        radon_fit.save(tmp_path / "no" / "such" / "folder")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    (tmp_path / "fit").write_text("the old one")
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(pw.FileError, match="No space left"):
        radon_fit.save(tmp_path / "fit")
    assert os.listdir(tmp_path) == ["fit"]
    assert (tmp_path / "fit").read_text() == "the old one"

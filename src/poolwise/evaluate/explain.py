"""Where a group's coefficients come from: its own rows, or the pool; and how many more rows would make its own half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.blocks.density import BlockedDensity
from poolwise.density.gaussian import gaussian
from poolwise.design import Rows
from poolwise.design.encoding import with_cells
from poolwise.design.factors import Factor
from poolwise.evaluate.group_evidence import Evidence, Parts, evidence_of
from poolwise.evaluate.shrinkage import prior_only, shrinkage
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.statistics import CrossProducts
from poolwise.support.errors import DataError

_HALF = 0.5  # share from which a group's own rows outweigh the pool
_FAR = 10_000  # rows; of more nobody wants to know


@dataclass(frozen=True, slots=True)
class Share:
    """One effect of a group.

    Attributes
    ----------
    effect : its name.
    own : share of its variance between groups that the group's own rows explain, from 0 (all pool) to 1 (all own).
    told : whether the group's rows can tell it at all.
    tipping : how many more rows of the same make-up would bring `own` to a half; 0 where it is there, None where no
        number would.
    parts : in families that are sampled, what own rows and pool say of the coefficient, on the scale of the link.
    """

    effect: str
    own: float
    told: bool
    tipping: int | None
    parts: Parts | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Where a group's coefficients come from. Its text is the sentence.

    For families that are sampled it is an approximation: rows are taken to say as much of the group's effects as their
    expected information at the posterior mean, as if the likelihood of the group were normal there, and `parts` are
    what they say by one step of Fisher scoring from the posterior mean. Shares are those of `group_coefficients`.

    Attributes
    ----------
    group : label of the group.
    rows : how many it has.
    noun : what a row is, in the plural.
    absent : indicators that are zero in all its rows, in words.
    shares : of each effect.
    scale : name of the link on whose scale the coefficients are, of families that are sampled.
    outcome : in these, the mean outcome of the group's rows by own rows, pool and fit.
    averaged : what that is the mean of: outcomes, or positions of categories.
    """

    group: str
    rows: int
    noun: str
    absent: tuple[str, ...]
    shares: tuple[Share, ...]
    scale: str = ""
    outcome: Parts | None = None
    averaged: str = "outcome"

    @property
    def text(self) -> str:
        """The explanation in a sentence."""
        parts = [f"{self.rows:,} {self._unit(self.rows)}" + "".join(f", none {words}" for words in self.absent)]
        for share in self.shares:
            source = _source(share.own)
            said = "" if share.parts is None else f" ({self._scaled()}{share.parts})"
            parts.append(f"{_called(share.effect)} {source}{said}")
        if self.outcome is not None:
            parts.append(f"mean {self.averaged} of its {self.noun} {self.outcome}")
        return f"{self.group}: {'; '.join(parts)}; {self._tipping()}."

    def _scaled(self) -> str:
        return "" if self.scale in ("", "identity") else f"on the {self.scale} scale "

    def _unit(self, count: int) -> str:
        return _singular(self.noun) if count == 1 else self.noun

    def _tipping(self) -> str:
        first = self.shares[0]
        open_ = [share for share in self.shares if share.tipping != 0]
        if not open_:
            return "its own data outweigh the pool"
        said = []
        for share in open_:
            name = "" if share is first else f" for the {_called(share.effect)}"
            if not share.told:
                said.append(f"no number of such {self.noun} would tell its {_called(share.effect)}")
            elif share.tipping is None:
                said.append(f"more than {_FAR:,} more {self.noun} would be needed{name}")
            else:
                said.append(
                    f"{share.tipping:,} more {self._unit(share.tipping)} would bring its own share to 50%{name}"
                )
        return ", ".join(said)

    def __repr__(self) -> str:
        return self.text


def explain(
    posterior: Posterior,
    factor: Factor,
    group: int,
    noun: str,
    words: Mapping[str, str],
    rows: Rows | None = None,
) -> Explanation:
    """Explain the group at a position.

    Parameters
    ----------
    rows : of the fit, which families that are sampled need.
    noun : what a row is, in the plural: `houses`.
    words : for an indicator column, what it says of a row: `{"floor": "on the first floor"}`.

    Raises
    ------
    DataError : for a fit without pooling between groups.
    """
    if posterior.model.pooling is not Pooling.PARTIAL:
        raise DataError("Only a partially pooled fit has something to explain: here no group borrows from the others.")
    if factor.coupling is not None:
        raise DataError(
            f"Effects of {factor.name} borrow from neighbours and relatives, not from one pool: group_coefficients has "
            "how far each is from what its prior left open."
        )
    if factor.tied.all():
        term = f"({factor.structures[0].name} | {factor.name})"
        raise DataError(
            f"Effects of {term} borrow from their neighbours along the term as well as from the pool: "
            f"smooth_term('{term}') has what the term adds in each group."
        )
    own = 1.0 - shrinkage(posterior, factor)[group]
    told = ~prior_only(posterior.model, factor)[group]
    statistics = posterior.model.statistics
    cells = np.flatnonzero(factor.codes == group)
    count = int(statistics.counts[cells].sum())
    evidence = _evidence(posterior, factor, group, rows) if posterior.model.sampled else None
    curve = _own_shares(posterior, factor, group, cells) if evidence is None else evidence.own_shares
    shares = []
    for k, effect in enumerate(factor.effects):
        if factor.tied[k]:
            continue
        share = float(own[k]) if told[k] else 0.0
        tipping = _tipping_point(curve, k, count, share, bool(told[k]))
        shares.append(Share(effect, share, bool(told[k]), tipping, None if evidence is None else evidence.parts[k]))
    absent = tuple(words.get(name, f"with {name} = 1") for name in _absent_indicators(posterior, cells))
    label = str(factor.levels[group])
    if evidence is None:
        return Explanation(label, count, noun, absent, tuple(shares))
    averaged = "position (the first category is 0)" if posterior.model.family.labels else "outcome"
    return Explanation(label, count, noun, absent, tuple(shares), evidence.scale, evidence.outcome, averaged)


def _evidence(posterior: Posterior, factor: Factor, group: int, rows: Rows | None) -> Evidence:
    if rows is None:
        raise DataError("The rows of this fit are not in memory: only normal fits are explained without them.")
    return evidence_of(posterior, factor, group, rows)


def _own_shares(posterior: Posterior, factor: Factor, group: int, cells: np.ndarray) -> Callable[[float], np.ndarray]:
    """A function from a number of rows, relative to what the group has, to the own share of each effect (q,)."""
    model = posterior.model
    theta = np.asarray(posterior.theta).reshape(-1, model.priors.layout.dimension)
    alone = len(model.design.factors) == 1
    # With one factor the other groups say nothing about this one once theta and the common coefficients are given.
    kept = model.statistics.take(cells) if alone else model.statistics
    mine = np.arange(len(cells)) if alone else cells
    design, _ = with_cells(model.design, model.encoding, kept.cells)
    position = 0 if alone else group
    place = [one.name for one in design.factors].index(factor.name)

    def shares(times: float) -> np.ndarray:
        density = gaussian(_scaled(kept, mine, times), design, model.priors, threads=1)
        if isinstance(density, BlockedDensity):
            return 1.0 - density.unexplained_of(place, theta)[position]
        return 1.0 - density.unexplained(theta)[position]

    return shares


def _scaled(statistics: CrossProducts, cells: np.ndarray, times: float) -> CrossProducts:
    """Statistics in which some cells have so many times as many rows, of the same make-up."""
    factor = np.ones(len(statistics.counts))
    factor[cells] = times
    counts = np.ceil(statistics.counts * factor).astype(statistics.counts.dtype)
    scatter = statistics.scatter * factor[:, None, None]
    return replace(statistics, counts=counts, weights=statistics.weights * factor, scatter=scatter)


def _tipping_point(curve: Callable[[float], np.ndarray], effect: int, rows: int, own: float, told: bool) -> int | None:
    """The least number of further rows with which the share reaches a half, by doubling and halving."""
    if own >= _HALF:
        return 0
    if not told or not rows:
        return None
    low, high = 0, 1
    while curve((rows + high) / rows)[effect] < _HALF:
        if high == _FAR:
            return None
        low, high = high, min(2 * high, _FAR)
    while high - low > 1:
        middle = (low + high) // 2
        if curve((rows + middle) / rows)[effect] < _HALF:
            low = middle
        else:
            high = middle
    return high


def is_indicator(statistics: CrossProducts, name: str) -> bool:
    """Whether a column of the design is zero or one in all rows."""
    return name in statistics.columns[:-1] and is_indicator_column(statistics, statistics.columns.index(name))


def is_indicator_column(statistics: CrossProducts, k: int) -> bool:
    """Whether the column at a position is zero or one in all rows."""
    mean, weight = statistics.means[:, k] + statistics.origin[k], statistics.weights
    total, squares = weight @ mean, weight @ mean**2 + statistics.scatter[:, k, k].sum()
    # Only for zeros and ones is the sum of squares the sum, and every mean a share.
    whole = abs(total - squares) <= 1e-9 * max(total, 1.0)
    return bool(whole and total > 0 and mean.min() > -1e-9 and mean.max() < 1 + 1e-9)


def _absent_indicators(posterior: Posterior, cells: np.ndarray) -> list[str]:
    """Predictors that are zero or one in all rows, and zero in all rows of some cells."""
    statistics, variables = posterior.model.statistics, posterior.model.encoding.variables
    weight = statistics.weights[cells]
    return [
        name
        for k, name in enumerate(statistics.columns[:-1])
        if name in variables
        and is_indicator(statistics, name)
        and weight @ np.abs(statistics.means[cells, k] + statistics.origin[k]) < 1e-9 * weight.sum()
    ]


def _called(effect: str) -> str:
    return "intercept" if effect == "Intercept" else f"slope of {effect}"


def _source(own: float) -> str:
    """Shares of own data and of the pool in percent, to a digit more where whole ones would say what is not so."""
    if own in (0.0, 1.0):
        return "100% own data" if own else "100% pool"
    if not 0.005 <= own < 0.995:
        return "over 99% own data, under 1% pool" if own > 0.5 else "under 1% own data, over 99% pool"
    rounds_up = own < 0.5 and round(100 * own) == 50
    mine = f"{100 * min(own, 0.4999 if rounds_up else 1.0):.{1 if rounds_up else 0}f}"
    return f"{mine}% own data, {100 - float(mine):.{1 if rounds_up else 0}f}% pool"


def _singular(noun: str) -> str:
    """One of some things whose name is a plural."""
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "shes", "ches", "xes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun

"""Columns that the data leave without content: empty ones are left out, collinear ones are named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.formula.scan import scan
from poolwise.support.errors import DataError

_SAME, _NEARLY = 1e-10, 1e-6  # variance left by other columns, as a share of what margins leave
_SHOWN = 6


def without_empty_columns(design: Design, variables: tuple[str, ...], mean: np.ndarray, spread: np.ndarray) -> Design:
    """The design without coefficients and effects of columns that are zero in every row, as of cells without rows.

    A number by itself that is zero everywhere, as `x` or `I(x > 100)` may be, is a mistake, which is refused elsewhere.

    Parameters
    ----------
    variables : raw columns.
    mean, spread : (K + 1,) of every column over all rows, outcome last.
    """
    zero = (mean[:-1] == 0) & (spread[:-1] == 0)
    empty = np.array(
        [bad and not _by_itself(name, variables) for bad, name in zip(zero, design.columns, strict=True)], dtype=bool
    )
    # Coefficients of structured terms stay: their priors say what no row does.
    empty &= ~np.any(design.common_map[1:][:, _of_structures(design)] != 0, axis=1)
    for factor in design.factors:
        empty &= ~np.any(factor.group_map[1:][:, factor.tied] != 0, axis=1)
    if not empty.any():
        return design
    kept = ~np.any(design.common_map[1:][empty] != 0, axis=0)
    return replace(design.with_coefficients(kept), factors=tuple(_without(factor, empty) for factor in design.factors))


def _by_itself(name: str, variables: tuple[str, ...]) -> bool:
    """Whether a column is a number, and no product, category or function of a basis."""
    composed = any((symbol == ":" and depth == 0) or symbol == "[" for _, symbol, depth in scan(name))
    return name in variables or not composed


def _of_structures(design: Design) -> np.ndarray:
    """(p,) which coefficients belong to a structured term."""
    found = design.penalised
    for structure in design.structures:
        found[list(structure.null)] = True
    return found


def _without(factor: Factor, empty: np.ndarray) -> Factor:
    kept = ~np.any(factor.group_map[1:][empty] != 0, axis=0)
    if kept.all():
        return factor
    new = np.cumsum(kept) - 1
    firsts = [next(k for k in range(start, len(kept)) if kept[k]) for start in factor.starts[kept]]
    return replace(
        factor,
        effects=tuple(np.array(factor.effects, dtype=object)[kept]),
        group_map=factor.group_map[:, kept],
        starts=new[np.array(firsts, dtype=np.int64)].astype(np.int64),
        margins=factor.margins[np.ix_(kept, kept)],
        predictors=tuple(np.array(factor.predictors, dtype=object)[kept]),
        structures=tuple(structure.moved(new) for structure in factor.structures),
    )


def empty_columns(design: Design) -> list[str]:
    """The columns that `without_empty_columns` has left without coefficient and effect."""
    used = np.any(design.common_map != 0, axis=1)
    for factor in design.factors:
        used |= np.any(factor.group_map != 0, axis=1)
    return [name for name, is_used in zip(design.columns, used[1:], strict=True) if not is_used]


def check_estimated(design: Design, values: np.ndarray, columns: Collection[str]) -> None:
    """Refuse new rows that need a coefficient whose column was zero in every row of the fit.

    Parameters
    ----------
    values : (n, K) or wider, the design's columns in the new rows.
    columns : those that what is predicted depends on.

    Raises
    ------
    DataError : for categories that no row of the fit has, or not together, as of a cell without rows.
    """
    empty = [name for name in empty_columns(design) if name in columns]
    asked = [name for name in empty if np.any(values[:, design.columns.index(name)] != 0)]
    if asked:
        named = ", ".join(f"'{name}'" for name in asked[:_SHOWN])
        more = f" and {len(asked) - _SHOWN} more" if len(asked) > _SHOWN else ""
        raise DataError(
            f"The fit has no coefficient for {named}{more}, which was zero in every row, and is not in new ones: none "
            "had these categories, or had them together. Leave these rows out; or fit a group term of the combination, "
            "as (1 | a:b), whose groups need no rows."
        )


def collinear(design: Design, mean: np.ndarray, scatter: np.ndarray, weight: float) -> list[str]:
    """One sentence for each coefficient of the mean whose column others fix, exactly or nearly.

    What lower terms fix of a product or a power does not count: `x` and `x**2` of a year are far from collinear once
    both are taken about a mean.

    Parameters
    ----------
    mean, scatter, weight : (K,), (K, K) and the sum of the weights of the design's columns, about their means.
    """
    mine = np.array([not of for of in design.predictors], dtype=bool) & ~design.penalised
    names = [name for name, is_mine in zip(design.coefficients, mine, strict=True) if is_mine]
    columns, margins = design.common_map[1:, mine], design.margins[np.ix_(mine, mine)]
    products = columns.T @ scatter @ columns
    if "Intercept" not in names:
        at = columns.T @ mean
        products = products + weight * np.outer(at, at)
    size = np.sqrt(np.diag(products))
    real = np.flatnonzero(size > 0)
    products = products / np.outer(np.where(size > 0, size, 1.0), np.where(size > 0, size, 1.0))
    said: list[str] = []
    free: list[int] = []
    for k in map(int, real):
        own = [j for j in free if margins[k, j]]
        left = _left(products, own, k)[0]
        rest, shares = _left(products, free, k)
        if left > 0 and rest < _NEARLY * left:
            others = [names[j] for j, share in zip(free, shares, strict=True) if abs(share) > 1e-6]
            said.append(_sentence(names[k], others, exact=rest < _SAME * left))
        if rest >= _SAME * max(left, _SAME):
            free.append(k)
    return said


def _left(products: np.ndarray, others: list[int], k: int) -> tuple[float, np.ndarray]:
    """What some columns leave of the unit variance of column k, and their shares in the rest."""
    if not others:
        return 1.0, np.zeros(0)
    shares = np.linalg.lstsq(products[np.ix_(others, others)], products[others, k], rcond=1e-14)[0]
    residual = products[k, k] - 2 * shares @ products[others, k] + shares @ products[np.ix_(others, others)] @ shares
    return max(float(residual), 0.0), shares


def _sentence(name: str, others: list[str], *, exact: bool) -> str:
    shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
    fixed = "is fixed by" if exact else "is nearly fixed by"
    by = f"{fixed} {shown or 'the intercept'}"
    return (
        f"'{name}' {by}: the data tell only what they do together, and how that is divided among their coefficients "
        "rests on the priors. Leave one of them out."
    )

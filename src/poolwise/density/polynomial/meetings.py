"""What the rows of each level of the leaf have of their own effects, and of all else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.polynomial.coordinates import roots_of
from poolwise.density.polynomial.level_kernels import others_at
from poolwise.density.working.remainders import RowRemainders

_SPREAD = 32  # draws that tell how far all else is spread


@dataclass(frozen=True, slots=True, eq=False)
class Meetings:
    """Levels of the leaf, and all else that their rows meet.

    Attributes
    ----------
    start : place of the leaf's first effect.
    levels : (n,) level of each row.
    columns : (n, q) of the rows' own effects.
    terms, codes : (T, n) what the rows have of all else, and which entry this is in.
    owner, places : (N,) the level of each entry, and the number of all else.
    others, apart : (O,) means of all else, coefficients of columns, then effects; and (O, d) draws less these.
    shifts : (N, q) what each adds to the level's effects.
    origin, shifted : (G, q) means of the levels' effects, and (G, q, d) draws of what all else adds to them.
    root, inverse : (G, q, q) of the covariance of both together.
    """

    start: int
    levels: np.ndarray
    columns: np.ndarray
    terms: np.ndarray
    codes: np.ndarray
    owner: np.ndarray
    places: np.ndarray
    others: np.ndarray
    apart: np.ndarray
    shifts: np.ndarray
    origin: np.ndarray
    shifted: np.ndarray
    root: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, rows: RowRemainders, beta: np.ndarray, effects: np.ndarray, start: int, q: int) -> Meetings:
        """Of some draws (m, p) and (U, m)."""
        from scipy.sparse import csr_array

        data, groups = rows.observations, rows.levels
        own = effects[start : start + groups * q].reshape(groups, q, -1)
        origin = own.mean(axis=2)
        coefficients = np.linalg.solve(data.to_written, beta[:, rows.plain].T)
        everything = np.concatenate([coefficients, effects])
        others = everything.mean(axis=1)
        apart = everything - others[:, None]
        p, levels = len(coefficients), np.repeat(np.arange(groups), np.diff(rows.bounds))
        mine = [bool(((place >= start) & (place < start + groups * q)).all()) for place in data.slot_places]
        of_slots = [x for x, own_slot in zip(data.slot_values, mine, strict=True) if not own_slot]
        places = [p + place for place, own_slot in zip(data.slot_places, mine, strict=True) if not own_slot]
        entries, codes = _entries(
            levels, np.array(places, dtype=np.int64).reshape(-1, len(levels)), groups, p, len(others)
        )
        columns, terms = np.ascontiguousarray(data.slot_values[np.array(mine)].T), np.array([*data.columns, *of_slots])
        owner, place = entries // len(others), entries % len(others)
        shifts = _alike(rows, levels, columns, terms, codes, owner)
        by_level = [csr_array((one, (owner, place)), (groups, len(others))) @ apart for one in shifts.T]
        shifted = np.stack(by_level, axis=1)
        together = own - origin[:, :, None] + shifted
        root, inverse = roots_of(together @ together.transpose(0, 2, 1) / together.shape[2])
        few = slice(_SPREAD)
        return cls(
            start, levels, columns, terms, codes, owner, place, others, np.ascontiguousarray(apart[:, few]), shifts,
            origin, np.ascontiguousarray(shifted[:, :, few]), root, inverse,
        )  # fmt: skip

    def moments(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of linear predictors of some rows, but for known parts; and variances (n,) of what the effects of their
        levels add to these, and of what all else does."""
        x, levels = self.columns[part], self.levels[part]
        mean, square = np.empty(len(part)), np.empty(len(part))
        others_at(
            part, self.columns, self.levels, self.shifted, self.terms, self.codes, self.places, self.others,
            self.apart, mean, square,
        )  # fmt: skip
        own = np.einsum("nq,nq->n", x, self.origin[levels])
        spread = np.square(np.einsum("nh,nhv->nv", x, self.root[levels])).sum(axis=1)
        return own + mean, spread, square


def _entries(
    levels: np.ndarray, places: np.ndarray, groups: int, columns: int, others: int
) -> tuple[np.ndarray, np.ndarray]:
    """Meetings of levels with numbers of all else, as level * others + number, in order; and which one (T, n) is that
    of each row, for the columns, which all levels meet, and for slots with some places (slots, n)."""
    met, mine = np.unique(levels * others + places, return_inverse=True)
    of_columns = (np.arange(groups)[:, None] * others + np.arange(columns)).ravel()
    every = np.concatenate([of_columns, met])
    order = np.argsort(every, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = [rank[levels * columns + k] for k in range(columns)]
    codes += list(rank[groups * columns + mine.reshape(places.shape)])
    return every[order], np.array(codes)


def _alike(
    rows: RowRemainders,
    levels: np.ndarray,
    columns: np.ndarray,
    terms: np.ndarray,
    codes: np.ndarray,
    owner: np.ndarray,
) -> np.ndarray:
    """(N, q) coefficients by which each number of all else is closest to the effects of a level, over its rows and with
    the precisions of their working outcomes."""
    precisions, (groups, q, entries) = rows.outcomes.precisions, (rows.levels, columns.shape[1], len(owner))
    squares, products = np.zeros((groups, q, q)), np.zeros((entries, q))
    for i, weighted in enumerate((columns * precisions[:, None]).T):
        for j, column in enumerate(columns.T):
            squares[:, i, j] = np.bincount(levels, weighted * column, groups)
        for term, code in zip(terms, codes, strict=True):
            products[:, i] += np.bincount(code, weighted * term, entries)
    inverse = np.linalg.pinv(squares, rcond=1e-10, hermitian=True)
    return np.einsum("nij,nj->ni", inverse[owner], products)

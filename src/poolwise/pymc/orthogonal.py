"""Columns that are nearly collinear, in terms of orthonormal ones.

Sums of products square the condition number of columns: of the powers of a calendar year they have no digits left. A
triangular factor of the rows themselves, by Householder's reflections, has half of them, and in terms of w with b = T w
columns are orthonormal where it was taken and well conditioned elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_COMMON, _OFTEN = 24, 4.0  # numbers of the block that are turned, at most; those of so many times more rows than most
# Condition numbers of scaled columns: from which products have lost half of their digits, and rows all of them.
_COLLINEAR, _HOPELESS = 1e4, 1e15


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Some numbers of a block in terms of others.

    Attributes
    ----------
    columns : (n, k) numbers that each row has, -1 where it has fewer.
    common : (c,) those that are turned.
    forward, back : (c, c) T, and its inverse.
    """

    columns: np.ndarray
    common: np.ndarray
    forward: np.ndarray
    back: np.ndarray

    def entries(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns (n, l) and entries (s, n, l) for w of those (s, n, k) for b."""
        n, k = self.columns.shape
        place = np.full(self.columns.max() + 2, -1)  # the last one is of -1
        place[self.common] = np.arange(len(self.common))
        own = place[self.columns]
        dense = np.zeros((len(entries), n, len(self.common)))
        row, at = np.nonzero(own >= 0)
        dense[:, row, own[row, at]] = entries[:, row, at]
        touched = (own >= 0).any(axis=1)
        turned = np.where(touched[:, None], self.common, -1)
        others = np.where(own >= 0, -1, self.columns)
        columns = np.concatenate([others, turned], axis=1)
        found = np.concatenate([np.where(own >= 0, 0.0, entries), dense @ self.forward], axis=2)
        kept = (columns >= 0).any(axis=0)
        return columns[:, kept], np.ascontiguousarray(found[:, :, kept])

    @property
    def log_volume(self) -> float:
        """Log of the volume of b that one of w is."""
        return float(np.log(np.abs(np.diag(self.forward))).sum())

    def written(self, block: np.ndarray) -> np.ndarray:
        """b (m, p) of w (m, p)."""
        found = block.copy()
        found[:, self.common] = block[:, self.common] @ self.forward.T
        return found

    def turned(self, block: np.ndarray) -> np.ndarray:
        """w (m, p) of b (m, p)."""
        found = block.copy()
        found[:, self.common] = block[:, self.common] @ self.back.T
        return found


def turn_of(columns: np.ndarray, entries: np.ndarray, p: int) -> Turn | None:
    """The turn that makes columns with such weighted entries (n, k) orthonormal; None where it is not needed, or of no
    use."""
    row, at = np.nonzero(columns >= 0)
    many = np.bincount(columns[row, at], minlength=p)
    common = np.arange(p) if p <= _COMMON else np.flatnonzero(many > _OFTEN * np.median(many))
    if not 1 < len(common) <= _COMMON:
        return None
    place = np.full(p, -1)
    place[common] = np.arange(len(common))
    mine = place[columns[row, at]]
    dense = np.zeros((len(columns), len(common)))
    np.add.at(dense, (row[mine >= 0], mine[mine >= 0]), entries[row, at][mine >= 0])
    scales = np.sqrt(np.square(dense).sum(axis=0))
    if len(dense) < len(common) or not (np.isfinite(scales).all() and (scales > 0).all()):
        return None
    root = np.linalg.qr(dense / scales, mode="r")
    if not _COLLINEAR < np.linalg.cond(root) < _HOPELESS:
        return None
    return Turn(columns, common, np.linalg.inv(root) / scales[:, None], root * scales)

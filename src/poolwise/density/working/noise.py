"""Random numbers of estimates: normals, some of them three times as wide, and what makes up for these.

They depend on theta alone, through a hash of the small cell that it lies in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.working.kernels import noise_at

WIDE = 3.0  # times as wide
_MOST_WIDE, _ADDED = 0.1, 0.1  # share of wide draws at the most, and what they may add to the variance of all ratios


@dataclass(frozen=True, slots=True)
class Defence:
    """Shares of draws that are wide, of a level's effects and of the common coefficients: a defensive mixture."""

    share: float = 0.0
    of_common: float = 0.0

    @classmethod
    def for_levels(cls, levels: int, pairs: int) -> Defence:
        """The share is what wide draws add to the variance of a level's ratio: the less, the more levels there are."""
        return cls(min(_MOST_WIDE, _ADDED * pairs / levels), _MOST_WIDE)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many numbers a theta has.

    Attributes
    ----------
    kept, common : of the kept coefficients, the last of which are the common ones.
    pairs, effects, padded : of mirrored draws of a level's effects, of these effects, and of levels with padding.
    levels : of the leaf.
    """

    kept: int
    common: int
    pairs: int
    effects: int
    padded: int
    levels: int


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Random numbers of m thetas.

    Attributes
    ----------
    cells : (m,) what they depend on.
    sizes, defence : how many there are, and which share is wide.
    normals, of_leaf : of the kept coefficients (m, n), and of the leaf's effects (m, pairs, q, J and more); none is
        wide yet.
    uniform : (m, G, 2 pairs).
    wide : (m, G, pairs) which pairs are of wide draws.
    wide_common : (m,) where common coefficients are.
    """

    cells: list[bytes]
    sizes: Sizes
    defence: Defence
    normals: np.ndarray
    of_leaf: np.ndarray
    uniform: np.ndarray
    wide: np.ndarray
    wide_common: np.ndarray

    @classmethod
    def at(cls, cells: np.ndarray, sizes: Sizes, defence: Defence) -> Noise:
        """Of thetas in some cells (m, d)."""
        m, leaf, last = len(cells), (sizes.pairs, sizes.effects, sizes.padded), (sizes.levels, 3 * sizes.pairs)
        normals = np.empty((m, sizes.kept + int(np.prod(leaf))))
        uniforms = np.empty((m, 1 + int(np.prod(last))))
        noise_at(cells, normals, uniforms)
        uniform, wide = np.split(uniforms[:, 1:].reshape(m, *last), [2 * sizes.pairs], axis=2)
        return cls(
            [cell.tobytes() for cell in cells],
            sizes,
            defence,
            normals[:, : sizes.kept],
            normals[:, sizes.kept :].reshape(m, *leaf),
            uniform,
            wide < defence.share,
            uniforms[:, 0] < defence.of_common,
        )

    @property
    def narrow(self) -> Noise:
        """The same numbers, none of which is wide."""
        return replace(self, wide=np.zeros_like(self.wide), wide_common=np.zeros_like(self.wide_common))

    @property
    def kept(self) -> np.ndarray:
        """(m, n) of the kept coefficients."""
        found = self.normals.copy()
        found[:, self.sizes.kept - self.sizes.common :] *= np.where(self.wide_common, WIDE, 1.0)[:, None]
        return found

    def leaf(self, pair: int) -> np.ndarray:
        """(m, q, J and more) of the leaf's effects, in the first draw of a pair."""
        found = self.of_leaf[:, pair]
        if not self.wide[:, :, pair].any():
            return found
        found = found.copy()
        found[:, :, : self.sizes.levels] *= np.where(self.wide[:, :, pair], WIDE, 1.0)[:, None]
        return found

    def log_mixture_of_common(self) -> np.ndarray:
        """(m,) log density of draws of the common coefficients under both kinds together, less that under narrow ones
        alone."""
        if self.defence.of_common == 0.0:
            return np.zeros(len(self.normals))
        own = self.normals[:, self.sizes.kept - self.sizes.common :]
        squares = np.square(own).sum(axis=1) * np.where(self.wide_common, WIDE, 1.0) ** 2
        wide = np.log(self.defence.of_common) - self.sizes.common * np.log(WIDE) + _likelier(squares)
        return np.asarray(np.logaddexp(np.log1p(-self.defence.of_common), wide))

    def mixture_of_leaf(self, pair: int) -> tuple[np.ndarray, float, float]:
        """Numbers x (m, G), a and b by which draws of a pair under both kinds together are a + b exp(x) times as likely
        as under narrow ones alone."""
        own = self.of_leaf[:, pair, :, : self.sizes.levels]
        squares = np.square(own).sum(axis=1) * np.where(self.wide[:, :, pair], WIDE, 1.0) ** 2
        return _likelier(squares), 1.0 - self.defence.share, self.defence.share * WIDE**-self.sizes.effects


def _likelier(squares: np.ndarray) -> np.ndarray:
    """Log of how much likelier numbers with such sums of squares, in narrow standard deviations, are by the wide
    density than by the narrow one, but for its constant."""
    return np.asarray(0.5 * squares * (1.0 - WIDE**-2))

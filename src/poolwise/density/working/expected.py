"""Expected log likelihoods of rows whose linear predictors are about normal, by quadrature: slopes and curvatures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.latent.observations import OutcomeRows
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.kernels import likelihood_slopes
from poolwise.families import Link
from poolwise.support.threads import map_slices

# Nodes of the quadrature, up to some sd of linear predictors in their units.
_NODES = (0.0, 1), (0.2, 3), (0.5, 5), (np.inf, 9)
_STEP = 1e-3  # of a difference of slopes, in the same
# Curvature, of the expected information, for outcomes far from what is expected of them; and while turns are far from
# their end: a group of outcomes that lie far below would else be thrown far beyond them.
_LEAST_CURVED, _SCORING = 1e-3, 0.5
# Units that a working outcome may lie away: one of a row whose curvature is next to nothing would lie where others lose
# their digits, and pull groups there.
_FURTHEST = 30.0
_ALL = slice(None)
_SLICE = 1 << 15  # rows


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedLikelihood:
    """Log likelihoods of rows.

    Attributes
    ----------
    rows, link : the rows, and the link of their mean.
    dispersions : of the family.
    threads : how many threads rows are spread over.
    """

    rows: OutcomeRows
    link: Link
    dispersions: Dispersions
    threads: int = 1

    def projected(
        self, mean: np.ndarray, variance: np.ndarray, rows: np.ndarray | slice = _ALL, *, careful: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean slopes and curvatures of some rows, for linear predictors of some means and variances (n,).

        If `careful`, working outcomes lie no further than the outcomes themselves, or one unit, where these are on one
        scale with linear predictors: a group whose rows are all seen from where their likelihood is not concave would
        else be thrown from one side of them to the other, turn after turn. For a Student-t likelihood these are the
        steps of the EM algorithm (Lange, Little and Taylor 1989).
        """
        slope, curvature = np.empty_like(mean), np.empty_like(mean)

        def some(_: int, part: slice) -> None:
            of = _within(rows, part)
            units = self.units(mean[part], of)
            own = slope[part], curvature[part]
            for few, nodes in _quadrature(variance[part], units):
                at = mean[part][few], np.sqrt(variance[part][few]), units[few]
                own[0][few], own[1][few] = self._projected(*at, _within(of, few), nodes, careful=careful)

        map_slices(some, len(mean), _SLICE, self.threads)
        return slope, curvature

    def _projected(
        self,
        mean: np.ndarray,
        sd: np.ndarray,
        units: np.ndarray,
        rows: np.ndarray | slice,
        nodes: list[tuple[float, float]],
        *,
        careful: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        predictors, step = self._predictors(self.dispersions.centre, rows), _STEP * units
        slope, curvature, least = np.zeros_like(mean), np.zeros_like(mean), np.zeros_like(mean)
        below, at, above = (np.empty_like(predictors) for _ in range(3))
        information = np.empty_like(predictors)
        share = _SCORING if careful and self.link.unit else _LEAST_CURVED
        with np.errstate(all="ignore"):
            for node, weight in nodes:
                eta = mean + node * sd
                for away, out in ((-step, below), (step, above), (0.0, at)):
                    predictors[0] = eta + away
                    self._slopes(predictors, rows, out, information)
                slope += weight * at[0]
                curvature += weight * (below[0] - above[0]) / (2 * step)
                least += weight * share * information[0]
            furthest = _FURTHEST * units
            if careful and not self.link.unit:
                furthest = np.minimum(furthest, np.maximum(np.abs(self.rows.y[rows] - mean), units))
            least = np.maximum(least, np.abs(slope) / furthest)
            return slope, np.maximum(curvature, least)

    def slopes(self, predictor: np.ndarray, logs: np.ndarray, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """Slopes (1 + k, n) of the log likelihoods of some rows in their linear predictors (n,), and in logs (k,) of
        dispersions."""
        predictors = self._predictors(logs, rows)
        predictors[0] = predictor
        found, information = np.empty_like(predictors), np.empty_like(predictors)
        with np.errstate(all="ignore"):
            self._slopes(predictors, rows, found, information)
        return found[[0, *self.dispersions.parameters]]

    def crossed(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(k, n) by how much the mean slope of each row in its linear predictor changes with the log of a dispersion,
        which is as much as the slope in this one changes with the linear predictor."""
        found = np.zeros((len(self.dispersions.centre), len(mean)))

        def some(_: int, part: slice) -> None:
            units = self.units(mean[part], part)
            for few, nodes in _quadrature(variance[part], units):
                step, of, total = _STEP * units[few], _within(part, few), 0.0
                for node, weight in nodes:
                    eta = mean[part][few] + node * np.sqrt(variance[part][few])
                    up, down = (self.slopes(eta + away, self.dispersions.centre, of)[1:] for away in (step, -step))
                    with np.errstate(all="ignore"):
                        total = total + weight * (up - down) / (2 * step)
                found[:, part][:, few] = total

        map_slices(some, len(mean), _SLICE, self.threads)
        return found

    def units(self, mean: np.ndarray, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """(n,) what a small step of linear predictors is small beside: one on a scale of logs; else, as these have the
        outcome's units, the standard deviation to which one outcome tells them."""
        if self.link.unit:
            return np.ones_like(mean)
        predictors = self._predictors(self.dispersions.centre, rows)
        predictors[0] = mean
        slopes, information = np.empty_like(predictors), np.empty_like(predictors)
        with np.errstate(all="ignore"):
            self._slopes(predictors, rows, slopes, information)
            return np.asarray(np.sqrt(self.rows.weights[rows] / information[0]))

    def scores(self, mean: np.ndarray, variance: np.ndarray, columns: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """Slopes (p + k,) of the expected log likelihood of all rows in the coefficients of columns (p, n), and in the
        logs (k,) of dispersions."""

        def some(_: int, part: slice) -> np.ndarray:
            of_columns, total = np.zeros(len(columns)), np.zeros(len(logs))
            for few, nodes in _quadrature(variance[part], self.units(mean[part], part)):
                of = _within(part, few)
                predictors = self._predictors(logs, of)
                slopes, information = np.empty_like(predictors), np.empty_like(predictors)
                for node, weight in nodes:
                    predictors[0] = mean[part][few] + node * np.sqrt(variance[part][few])
                    self._slopes(predictors, of, slopes, information)
                    with np.errstate(invalid="ignore"):  # of this thread: slopes may have no end
                        of_columns += weight * (columns[:, of] @ slopes[0])
                        total += weight * slopes[self.dispersions.parameters].sum(axis=1)
            return np.concatenate([of_columns, total])

        return np.asarray(sum(map_slices(some, len(mean), _SLICE, self.threads), np.zeros(len(columns) + len(logs))))

    def _predictors(self, logs: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        """(parameters, n) linear predictors of all parameters but the mean."""
        known = self.rows.known[:, rows]
        return np.ascontiguousarray(known + self.dispersions.of_parameters(logs[None], len(known)))

    def _slopes(
        self, predictors: np.ndarray, rows: np.ndarray | slice, slopes: np.ndarray, information: np.ndarray
    ) -> None:
        each = self.rows
        data = each.y[rows], each.trials[rows], each.weights[rows]
        likelihood_slopes(each.address, self.link.code, *data, predictors, slopes, information)


def _quadrature(variance: np.ndarray, units: np.ndarray) -> list[tuple[np.ndarray | slice, list[tuple[float, float]]]]:
    """Rows whose normals are about as wide, by positions, with nodes and weights that suit them: in units of their own,
    so that those of a row do not depend on which others there are."""
    with np.errstate(all="ignore"):
        kinds = np.searchsorted([sd for sd, _ in _NODES[:-1]], np.sqrt(variance) / units)
    found: list[tuple[np.ndarray | slice, list[tuple[float, float]]]] = []
    for kind in np.flatnonzero(present := np.bincount(kinds, minlength=len(_NODES))):
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES[kind][1])
        part = _ALL if present[kind] == len(kinds) else np.flatnonzero(kinds == kind)
        found.append((part, list(zip(nodes.tolist(), (weights / weights.sum()).tolist(), strict=True))))
    return found


def _within(rows: np.ndarray | slice, part: np.ndarray | slice) -> np.ndarray | slice:
    """Positions of a part of some rows, among all."""
    if not isinstance(rows, slice):
        return np.asarray(rows[part])
    begin = rows.start or 0
    if not isinstance(part, slice):
        return part + begin
    return rows if part == _ALL else slice(begin + part.start, begin + part.stop)

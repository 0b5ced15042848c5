"""`fit.explore()`: prior sliders and a group explorer in a notebook."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import numpy as np
import traitlets

from poolwise.design.encode import encode
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.problem import PlainPoolings, Problem, without_groups
from poolwise.output.live import numbers
from poolwise.output.live.answer import quick_answer
from poolwise.output.live.engine import chart_engine
from poolwise.output.live.lines import lines
from poolwise.samplers.settings import sampler_settings
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.progress import silent
from poolwise.support.threads import default_threads

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.design import Rows
    from poolwise.sources import Source

_LOG = logging.getLogger("poolwise.explorer")
_WIDEST = 64.0  # times a prior may be widened or narrowed


def _file(name: str) -> str:
    return (files("poolwise.output.live") / name).read_text(encoding="utf-8")


class Explored(Protocol):
    """What the explorer needs of a fit, which is a dataclass."""

    @property
    def result(self) -> Posterior:
        """The posterior."""

    @property
    def rows(self) -> Rows | None:
        """The encoded rows where they are in memory."""

    @property
    def source(self) -> Source | None:
        """Where the rows came from."""

    @property
    def formula(self) -> str:
        """As written."""

    def frame(self) -> pd.DataFrame:
        """The complete rows."""

    def explain(self, group: object, by: str | None = None) -> Any:
        """Where a group's coefficients come from; `text` is the sentence."""


class Explorer(anywidget.AnyWidget):
    """A fit in a notebook: each slider makes a prior narrower or wider, and everything is refitted.

    A slider that moves is answered by few draws; once it rests, by as many as the fit has. With all sliders in the
    middle, the draws are those of the fit itself.

    Attributes
    ----------
    asked : what the notebook asks: `number`, `widths` of priors by name, labels of `groups`, whether it is `settled`.
    answer : the numbers that follow.
    """

    _esm = _file("drawing.js") + _file("explorer.js")
    _css = _file("explorer.css")
    specifications = traitlets.Dict().tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)

    def __init__(self, fit: Explored) -> None:
        self._fit, self._beside = fit, PlainPoolings(_problem(fit))
        self._settled: tuple[Mapping[str, float], Posterior] = {}, fit.result
        super().__init__(specifications=_specifications(), answer=self._answered({"number": 0, "settled": True}))
        self.on_msg(self._message)

    @property
    def fit(self) -> Any:
        """The fit with the priors as the sliders stand, by as many draws as the fit that is explored."""
        return self._with(self._kept(_widths(self.asked)))

    def _with(self, posterior: Posterior) -> Any:
        """The fit with other draws."""
        fit: Any = self._fit
        return replace(fit, result=posterior)

    @traitlets.observe("asked")
    def _heard(self, change: Any) -> None:
        self.answer = self._answered(change.new)

    def _message(self, _: object, content: Any, __: object) -> None:
        if isinstance(content, Mapping) and content.get("kind") == "engine":
            self.send({"kind": "engine", "text": chart_engine().read_text(encoding="utf-8")})

    def _answered(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers that follow a question, or in a sentence why there are none."""
        number = asked.get("number", 0)
        try:
            return {"number": number, **self._found(asked)}
        except PoolwiseError as error:
            return {"number": number, "failed": str(error)}
        except (Exception, KeyboardInterrupt) as error:  # without an answer the notebook would wait for ever
            _LOG.exception("a question of the explorer failed")
            return {
                "number": number,
                "failed": f"Something failed that should not have: {type(error).__name__}. {error}",
            }

    def _found(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        problem, widths, threads = self._beside.problem, _widths(asked), default_threads()
        if not asked.get("settled"):
            return quick_answer(self._beside, widths, threads=threads)
        main = self._kept(widths)
        partial = problem.cheap and main.model.pooling is Pooling.PARTIAL
        posteriors = self._beside.of(widths, main.draws, threads=threads) if partial else {}
        posteriors[main.model.pooling] = main
        groups = [str(label) for label in asked.get("groups") or ()][:1]
        return {
            **numbers.live(problem, posteriors, widths),
            "formula": self._fit.formula,
            "lines": lines(problem, posteriors, groups) if groups else None,
            "explained": self._explained(main, groups[0]) if groups else None,
        }

    def _explained(self, posterior: Posterior, group: str) -> str | None:
        factor = self._beside.problem.factor
        try:
            return None if factor is None else self._with(posterior).explain(group, factor.name).text
        except DataError as error:
            return str(error)

    def _kept(self, widths: Mapping[str, float]) -> Posterior:
        """The posterior by as many draws as the fit has; the last one is kept."""
        if self._settled[0] != widths:
            own = self._fit.result
            settings = sampler_settings(own.draws, own.chains, own.seed, "auto", silent)
            drawn = infer(self._beside.problem.widened(widths), settings, threads=default_threads()) if widths else own
            self._settled = widths, drawn
        return self._settled[1]


def _problem(fit: Explored) -> Problem:
    """The problem that a fit is the answer to.

    Raises
    ------
    DataError : for separate regressions, whose priors move nothing that is shown.
    """
    model = fit.result.model
    if model.pooling is Pooling.SEPARATE:
        raise DataError(
            "A fit without pooling has no explorer: its groups share nothing. Explore the partially pooled one."
        )
    if model.sampled and model.observations is None:
        raise DataError(
            "This fit holds no rows to be sampled from once more, as fits that were loaded do: fit it again."
        )
    rows = fit.rows
    frame = fit.frame() if rows is not None and fit.source is not None else None
    if frame is not None and rows is not None and not _as_fitted(model, rows, frame):
        frame = None  # has been changed since: lines over other values would be wrong
    return Problem(model, rows, without_groups(model), frame, fit.source)


def _as_fitted(model: Model, rows: Rows, frame: pd.DataFrame) -> bool:
    """Whether a frame still has the values that were fitted."""
    try:
        again = encode(model.design, model.encoding, as_table(frame))[1]
    except DataError:
        return False
    mine, theirs = rows.values[:, :-1], again.values[:, :-1]
    return mine.shape == theirs.shape and bool(np.array_equal(mine, theirs))


def _widths(asked: Mapping[str, Any]) -> dict[str, float]:
    """How many times as wide each prior is to be, by its name; those that stay as they are left out.

    Raises
    ------
    DataError : for what is no width.
    """
    found = {}
    for name, times in dict(asked.get("widths") or {}).items():
        if isinstance(times, bool) or not isinstance(times, (int, float)):
            raise DataError(f"The width of the prior of {name} must be a number, not {times!r}.")
        found[str(name)] = float(times)
        if not 1 / _WIDEST <= times <= _WIDEST:
            raise DataError(f"The prior of {name} can be made from 1/{_WIDEST:g} to {_WIDEST:g} times as wide.")
    return {name: times for name, times in found.items() if times != 1.0}


def _specifications() -> dict[str, Any]:
    import json

    return dict(json.loads(_file("charts.json")))

"""`Fit`, which users hold. Methods only call the rooms below."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import design as designs
from poolwise.design.equal_rows import distinct
from poolwise.evaluate.sensitivity import SCALES
from poolwise.inference import storage
from poolwise.inference import update as updating
from poolwise.inference.fitted_rows import RowsBehind
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.rows_in_common import rows_beside
from poolwise.inference.tallies import counted_rows
from poolwise.output.tables import describe, text
from poolwise.output.tables import summary as tables
from poolwise.samplers import Certificate
from poolwise.samplers.settings import check_count, check_folds, check_interval, check_seed, sampler_settings
from poolwise.sources import Source, as_source
from poolwise.sources.frames import Table, as_table
from poolwise.sources.source import table_of
from poolwise.statistics import SufficientStatistics
from poolwise.statistics.routes import with_counted
from poolwise.support.arguments import check_label, check_text, check_text_map, check_texts
from poolwise.support.atomic_write import check_writable
from poolwise.support.errors import DataError, SamplingError
from poolwise.support.naming import by_quantity, with_columns
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import default_threads

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from poolwise.evaluate.estimates import Estimates
    from poolwise.evaluate.explain import Explanation
    from poolwise.evaluate.loo.elpd import LeaveOut
    from poolwise.evaluate.loo.sampled_families import Groups
    from poolwise.evaluate.parameter_hypotheses import Hypotheses
    from poolwise.evaluate.posterior_checks import Checks, Replications
    from poolwise.evaluate.sensitivity import Sensitivity
    from poolwise.evaluate.smooth_terms import SmoothTerm
    from poolwise.output.live.explorer import Explorer
    from poolwise.output.plots.accessor import FitPlots
    from poolwise.output.tables.model_table import ModelTable


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fit:
    """A fitted regression.

    Attributes
    ----------
    result : the posterior as a plain record, for code that works on arrays.
    rows : the encoded rows where they are in memory, else None.
    source : where the rows came from; None for a fit of statistics, or one that was loaded from a file.
    """

    result: Posterior
    rows: designs.Rows | None
    source: Source | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with rows that are in memory; those in files and engines stay where they are."""
        return Fit, (self.result, self.rows, self.source if isinstance(self.source, Table) else None)

    def __repr__(self) -> str:
        return text.as_text(self.result, self.notes)

    def _repr_html_(self) -> str:
        return text.as_html(self.result, self.notes)

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.result.model.design.formula.text

    @property
    def outcome(self) -> Certificate:
        """Whether the draws can be trusted, what was measured, and advice."""
        return self.result.certificate

    @property
    def notes(self) -> list[str]:
        """What the data leave open and what may not have been meant, in sentences: columns without content, outcomes
        of another kind, spreads that might be zero, correlations that might be anything, factors nested by accident.
        """
        from poolwise.evaluate.notes import notes

        return notes(self.result, self.rows, default_threads())

    @property
    def priors(self) -> text.PriorWords:
        """Every prior in words, by the name under which it can be set."""
        return text.PriorWords(self.result.model.priors.words())

    @property
    def posterior(self) -> xr.Dataset:
        """All draws as an xarray Dataset: `beta[coefficient]`, `sd_county[effect]`, `coef_county[county, effect]`."""
        return self.result.dataset()

    @property
    def plot(self) -> FitPlots:
        """Charts: `fit.plot.trace()`, `fit.plot.forest()`, `fit.plot.groups([...])`."""
        from poolwise.output.plots.accessor import FitPlots

        rows = self.behind.of_groups
        return FitPlots(self.result, rows, self._replications, self._rows_by, self.smooth_term, self.area_effects)

    def area_effects(self, by: str) -> pd.DataFrame:
        """What all terms over a column of areas, such as `bym2(county, neighbours)`, add to the linear predictor.

        Returns
        -------
        A line for each area: rows `n`, posterior `mean` and `sd`, and `raw`, what its own rows say alone.

        Raises
        ------
        DataError : where no term is over that column, or the fit has no rows.
        """
        from poolwise.evaluate.area_effects import area_effects

        return area_effects(self.result, self.behind.encoded(), self.frame(), by)

    def smooth_term(
        self, term: str | None = None, interval: float = 0.9, groups: Iterable[object] | None = None
    ) -> SmoothTerm:
        """What a smooth term such as `s(x)` adds to the linear predictor, over the range of its variables.

        Parameters
        ----------
        term : as the formula has it, `"s(x)"` or `"(s(x) | g)"`; it may be left out where there is only one.
        groups : labels, of a term that varies by group; by default nine with most rows.

        Returns
        -------
        A record whose `table` has the variables, `mean`, `sd`, and the ends of the interval as `low` and `high`.

        Raises
        ------
        DataError : where the fit has no such term, or no rows.
        """
        from poolwise.evaluate.smooth_terms import smooth_term, structure_named

        structure, factor = structure_named(self.result.model.design, term)
        tail = (1 - check_interval(interval)) / 2
        behind = self.result, self.behind.encoded(), self.frame(), structure
        if factor is None:
            return smooth_term(*behind, (tail, 1 - tail))
        from poolwise.evaluate.smooth_terms_by_group import smooth_term_by_group

        return smooth_term_by_group(*behind, factor, groups, (tail, 1 - tail))

    def _rows_in_groups(self, by: str, progress: Progress, *, apart: bool) -> tuple[designs.Rows, Groups]:
        """Rows and their groups by a factor or another column; `apart` each by itself where they were counted."""
        from poolwise.evaluate.loo import sampled_families as sampled
        from poolwise.evaluate.loo.integrated_effects import is_of

        if self.behind.counted and not any(is_of(each, by) for each in self.result.model.design.factors):
            counted, labels = rows_beside(self.behind, by, progress)
            return counted, sampled.Groups(by, *np.unique(labels, return_inverse=True))
        rows = self.behind.encoded() if apart else self.behind.distinct()
        return rows, sampled.groups_of(self.result, rows, by, lambda: self.frame_with(by))

    def _rows_by(self, column: str | None) -> tuple[designs.Rows, Any]:
        """The encoded rows, and the value (n,) of a column in each; one for all without a column."""
        if column is not None and self.behind.counted:
            counted, labels = rows_beside(self.behind, column, silent)
            self.behind.encoded()  # says where they are too many
            return counted.each(), np.repeat(labels, counted.multiplicities.astype(np.int64))
        rows = self.behind.encoded()
        if column is None:
            return rows, np.zeros(len(rows.codes))
        values = self.frame_with(column)[column]
        if len(values) != len(rows.codes):
            raise DataError(f"'{column}' is missing in some rows of the fit, or the data have changed since.")
        return rows, values

    def _replications(self) -> Replications:
        from poolwise.evaluate.posterior_checks import replications

        return replications(self.result, self.behind.batches(silent), draws=200, seed=self.result.seed)

    def summary(self, *, groups: bool = False, interval: float = 0.9) -> pd.DataFrame:
        """Mean, sd, central interval, effective sample sizes, R-hat; `groups=True` adds each group's coefficients."""
        return tables.summary(self.result, groups=groups, interval=check_interval(interval))

    def table(self, *, interval: float = 0.9, digits: int = 2) -> ModelTable:
        """The population's parameters as a table for papers: Markdown, LaTeX, HTML, Great Tables, Word.

        `pw.model_table(a, b)` has several fits side by side.
        """
        from poolwise.evaluate.variance_components import explained
        from poolwise.output.tables.model_table import model_table

        shares = {"estimate": explained(self.result, self.rows_or_counts)}
        check_count("digits", digits, 0)
        return model_table({"estimate": self.result}, shares, check_interval(interval), digits)

    def group_coefficients(
        self,
        by: str | None = None,
        *,
        groups: Iterable[object] | None = None,
        interval: float = 0.9,
        progress: Progress = silent,
    ) -> pd.DataFrame:
        """Coefficients of groups with interval, rows, shrinkage factor and `prior_only` mark.

        Parameters
        ----------
        by : the grouping factor, `county` or `school:class`; it may be left out where there is only one.
        groups : labels of the groups to show, all by default; their draws are summarised and not kept.

        Raises
        ------
        DataError : when `by` is not a grouping factor of this fit, or there is no such group.
        """
        factor = self.result.model.design.factor(by)
        chosen = None if groups is None else self.result.positions(factor, groups)
        return tables.group_coefficients(
            self.result, factor, chosen, interval=check_interval(interval), progress=progress
        )

    def group_draws(self, groups: Iterable[object], by: str | None = None) -> xr.DataArray:
        """Draws of the coefficients of chosen groups, (chain, draw, group, effect): what they are among all draws.

        Raises
        ------
        DataError : when there is no such group, or several grouping factors and no `by`.
        """
        import xarray as xr

        factor = self.result.model.design.factor(by)
        positions = self.result.positions(factor, groups)
        names, draws = self.result.coefficients(factor, positions)
        labels = {factor.name: factor.levels[positions], "effect": list(names)}
        return xr.DataArray(draws, labels, ("chain", "draw", *labels), name=f"coef_{factor.name}")

    def describe(self) -> describe.Text:
        """Blocks and sizes, cost of an evaluation, priors, and the sampler with the reason for it."""
        return describe.describe(self.result)

    def check(self, *, draws: int = 200, seed: int | None = None, progress: Progress = silent) -> Checks:
        """Posterior predictive checks: the data beside `draws` replications, with tail probabilities; and RMSD.

        Of more than 10,000 rows a random part is replicated.

        Raises
        ------
        DataError : when the fit has no rows.
        """
        from poolwise.evaluate.posterior_checks import check

        chosen = self.result.seed if seed is None else check_seed(seed)
        count = check_count("draws", draws, 1)
        return check(self.result, self.behind.batches(progress), draws=count, seed=chosen, threads=default_threads())

    def explain(
        self, group: object, by: str | None = None, *, noun: str = "rows", words: Mapping[str, str] | None = None
    ) -> Explanation:
        """Where a group's coefficients come from, in a sentence: its own rows or the pool.

        For families that are sampled it is an approximation, by the expected information of the group's rows at the
        posterior mean; what own rows and pool say is added, on the scale of the link and on that of the outcome.

        Parameters
        ----------
        group, by : label of a group, and its grouping factor where there are several.
        noun : what a row is, in the plural: "houses".
        words : what an indicator says of a row: `{"floor": "on the first floor"}`.

        Raises
        ------
        DataError : when there is no such group, or the fit does not pool partially.
        """
        from poolwise.evaluate.explain import explain

        check_label("group", group)
        check_text("noun", noun, optional=False)
        check_text_map("words", words)
        factor = self.result.model.design.factor(by)
        rows = self.behind.encoded() if self.result.model.sampled else None
        position = int(self.result.positions(factor, [group])[0])
        return explain(self.result, factor, position, noun, words or {}, rows)

    def sensitivity(
        self,
        term: str = "sd",
        scales: Sequence[float] = SCALES,
        *,
        by: str | None = None,
        groups: Iterable[object] | None = None,
        interval: float = 0.9,
        draws: int = 1000,
        progress: Progress = silent,
    ) -> Sensitivity:
        """The fit again with one prior narrower and wider: which signs and ranks depend on it, and from where on.

        Parameters
        ----------
        term : as in `priors=`: a coefficient, `slopes`, `sd`, `sd_county`, `sd_county[floor]`, `sigma`.
        scales : factors of the prior's width.
        by, groups : whose ranks are followed; all groups of the first factor by default.

        Raises
        ------
        PriorError, DataError : for a term or group that is not in the model, or a scale that is not positive.
        """
        from poolwise.evaluate.sensitivity import sensitivity

        check_text("term", term, optional=False)
        factor, positions = None, np.zeros(0, dtype=int)
        if self.result.u:
            design = self.result.model.design
            factor = design.factor(by or design.factors[0].name)
            positions = self.result.positions(factor, factor.levels if groups is None else groups)
        settings = sampler_settings(draws, 4, self.result.seed, "auto", progress)
        return sensitivity(
            self.result,
            term,
            scales,
            factor,
            positions,
            settings,
            interval=check_interval(interval),
            threads=default_threads(),
        )

    def explore(self) -> Explorer:
        """Prior sliders and a group explorer for a notebook (Jupyter, VS Code, marimo): a slider refits everything.

        `fit.explore().fit` is the fit as the sliders stand.

        Raises
        ------
        DataError : without anywidget (`pip install 'poolwise[notebook]'`), and for a fit without pooling.
        """
        if find_spec("anywidget") is None:
            raise DataError("The explorer needs anywidget, which is not installed: pip install 'poolwise[notebook]'.")
        from poolwise.output.live.explorer import Explorer

        return Explorer(self)

    def prior_predictive(self, draws: int = 500, *, seed: int | None = None) -> xr.Dataset:
        """Parameters drawn from the priors, and outcomes at the rows of the data."""
        from poolwise.evaluate.prior_predictive import prior_predictive

        check_count("draws", draws, 1)
        if seed is not None:
            check_seed(seed)
        return prior_predictive(self.result.model, self.behind.encoded(), draws, seed)

    def r2(self, *, interval: float = 0.9) -> pd.DataFrame:
        """How much of the variance of outcomes is explained, with its uncertainty: three R-squared.

        "fitted values" is the variance of the fitted means, offsets included, over that and the expected residual
        variance (Gelman, Goodrich, Gabry and Vehtari 2019), of rows in memory, and of a random 5,000 of more.
        "marginal" is the share of common terms, offsets not among them, "conditional" that of these and all groups, by
        variance components on the scale of the linear predictor (Nakagawa and Schielzeth 2013; Johnson 2014; Nakagawa,
        Johnson and Schielzeth 2017), where it has a residual variance.

        Raises
        ------
        DataError : without pooling, and for families and links without a residual variance.
        """
        from poolwise.evaluate.variance_components import r2

        return r2(self.result, self.rows_or_counts, check_interval(interval))

    def icc(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Intraclass correlations: shares of the variance beyond common terms that lie between the groups of each
        factor, and of all, on average over the rows where slopes vary; as `r2` has components.

        Raises
        ------
        DataError : as `r2` does, and for complete pooling.
        """
        from poolwise.evaluate.variance_components import icc

        return icc(self.result, self.rows_or_counts, check_interval(interval))

    @property
    def rows_or_counts(self) -> designs.Rows | None:
        """The encoded rows, or those that differ with their numbers; None where neither is in memory."""
        return self.result.model.data.counted if self.rows is None else self.rows

    def hypothesis(self, asked: str | Sequence[str], *, interval: float = 0.9) -> Hypotheses:
        """How probable statements about parameters are, as in brms: `"floor < 0"`, `"sd_county[floor] > 0.1"`.

        Names are those of the summary, coefficients also without `beta[...]`. An inequality has its posterior
        probability. An equation of sums of common coefficients, `"floor = 0"`, has a Bayes factor in its favour, the
        posterior over the prior density at the value (Savage and Dickey): set the priors that it depends on.

        Parameters
        ----------
        asked : one, or a list.
        interval : probability of the interval of left less right.

        Raises
        ------
        DataError : for what cannot be read or names no parameter, and for an equation of anything else.
        """
        from poolwise.evaluate.parameter_hypotheses import judge

        texts = [asked] if isinstance(asked, str) else asked
        if not isinstance(texts, Sequence) or not texts:
            raise DataError(f"A hypothesis is a text such as 'x < 0', or a list of these, not {asked!r}.")

        def scalars(groups: bool) -> dict[str, np.ndarray]:
            return dict(tables.flatten(self.result, groups=groups))

        return judge(self.result, texts, scalars, check_interval(interval))

    def rmsd(self) -> float:
        """Root mean squared deviation of the outcomes from the posterior mean predictions, in sample."""
        from poolwise.evaluate.rmsd import in_sample
        from poolwise.evaluate.scores import sampled_in_sample

        if self.result.model.sampled:
            return sampled_in_sample(self.result, self.behind.encoded())
        return in_sample(self.result)

    def predict(
        self,
        new_data: Any = None,
        *,
        kind: str = "mean",
        new_groups: str = "error",
        missing: str = "error",
        draws: bool = False,
        interval: float = 0.9,
        seed: int | None = None,
    ) -> Any:
        """Predictions for rows: a table with mean, sd and interval, or all draws.

        Parameters
        ----------
        new_data : a frame, a dict of columns or a file; the rows of the fit by default. No outcome is needed.
        kind : "mean" is the expected outcome (of successes among trials, the probability; of categories that of each,
            in lines of their own), "response" a new outcome with its noise (successes need their trials; a row without
            a weight weighs one), "linear" the linear predictor.
        new_groups : what a label that the fit has not seen stands for. "error" refuses it; "sample" is a new group,
            drawn from the distribution of the groups, one draw shared by all its rows; "one_of_these" is one of the
            known groups, but unknown which; "average" is the average group. Known labels keep their own effects.
            "population" is the average group for every row, known or not, and needs no grouping columns; "marginal" the
            mean over all groups that there could be, which differs where the link is not the identity.
        missing : "error" refuses rows with missing values; "keep" gives them a line of NaN.
        draws : give an xarray DataArray (chain, draw, observation) instead of the table.
        interval : probability of the table's central interval.
        seed : of noise and new groups; by default that of the fit. Same seed, same draws; a new group's depend on its
            label, and are the same in any table.

        Raises
        ------
        DataError : for missing columns or values, categories or groups that the fit has not seen.
        """
        from poolwise.evaluate import predict
        from poolwise.evaluate.prediction_request import Question

        question = Question.asked(kind, new_groups, self.result.seed if seed is None else check_seed(seed))
        if not isinstance(draws, bool):
            raise DataError(f"draws must be True or False, not {draws!r}.")
        table = as_table(self.behind.units()) if new_data is None else table_of(new_data)
        encoding = self.result.model.encoding
        labels = table.frame.to_pandas().filter(list(dict.fromkeys([*encoding.keys, *encoding.variables])))
        table, complete = predict.complete_rows(self.result, table, question, missing)
        asked = predict.quantities(self.result, question)
        predictors = [predict.predictor_of(self.result, table, one) for one in asked]
        if draws:
            return predict.all_draws(predictors, labels.index.to_numpy(), complete)
        predict.check_tabled(self.result, question)
        found = [predict.predictions(each, interval, complete) for each in predictors]
        if len(asked) == 1:
            return with_columns(labels, found[0])
        by_name = {one.quantity.name: each for one, each in zip(asked, found, strict=True) if one.quantity}
        return by_quantity(labels, by_name, predict.quantity_column(self.result.model.family))

    def poststratify(
        self,
        population: Any,
        *,
        counts: str = "n",
        by: str | list[str] | None = None,
        new_groups: str = "sample",
        interval: float = 0.9,
        seed: int | None = None,
    ) -> Estimates:
        """Estimates for a population, from predictions of its cells: multilevel regression and poststratification.

        Parameters
        ----------
        population : a line for each cell, in a frame, a file or an engine, which adds equal cells up.
        counts : column of how many people, or rows, each cell has.
        by : column or columns by whose values the population is told apart; all of it together by default.
        new_groups : as in `predict`: groups that the fit has not seen are drawn from the distribution of the groups.
        interval, seed : as in `predict`.

        Returns
        -------
        A record with `table` and `draws`, whose `hypothesis` compares its lines.

        Raises
        ------
        DataError : for missing columns, and counts that are not numbers from 0.
        """
        from poolwise.evaluate.poststratification import poststratify
        from poolwise.evaluate.prediction_request import Question

        check_text("counts", counts, optional=False)
        columns = [by] if isinstance(by, str) else by
        check_texts("by", columns)
        columns = list(columns or [])
        question = Question.asked("mean", new_groups, self.result.seed if seed is None else check_seed(seed))
        return poststratify(self.result, as_source(population), counts, columns, question, check_interval(interval))

    def survival(
        self,
        new_data: Any = None,
        *,
        times: Iterable[float] | None = None,
        new_groups: str = "error",
        interval: float = 0.9,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Probability that the outcome of each row is above some values: survival beyond some times.

        Parameters
        ----------
        new_data, new_groups, interval, seed : as in `predict`.
        times : the values; by default the deciles of the outcomes that were fitted.

        Returns
        -------
        A line for each row and time, with mean, sd and interval.

        Raises
        ------
        DataError : as `predict` does, and for a family without a distribution function.
        """
        from poolwise.evaluate import predict, survival
        from poolwise.evaluate.prediction_request import Question

        question = Question.asked("mean", new_groups, self.result.seed if seed is None else check_seed(seed))
        table = as_table(self.frame()) if new_data is None else table_of(new_data)
        encoding = self.result.model.encoding
        labels = table.frame.to_pandas().filter(list(dict.fromkeys([*encoding.keys, *encoding.variables])))
        at = np.quantile(self.behind.encoded().response, np.arange(1, 10) / 10) if times is None else times
        asked = survival.questions(self.result, question, at)
        found = {
            name: predict.predictions(predict.predictor_of(self.result, table, one), interval)
            for name, one in asked.items()
        }
        return by_quantity(labels, found, "time")

    def frame(self) -> pd.DataFrame:
        """The complete rows that were fitted, with the columns that the formula uses.

        Raises
        ------
        DataError : when they are neither in memory nor few enough to be read.
        """
        return self.behind.frame()

    def frame_with(self, column: str) -> pd.DataFrame:
        """The same with one more column of the data."""
        check_text("column", column, optional=False)
        return self.behind.frame([column])

    @property
    def log_evidence(self) -> float:
        """Log marginal likelihood of the data, priors and all; differences are logs of Bayes factors.

        From the importance weights of the sampler, or from a grid where nothing was sampled. It depends on the
        widths of the priors; defaults are scaled to the data.

        Raises
        ------
        SamplingError : where NUTS sampled, which does not estimate it.
        """
        found = self.outcome.log_evidence
        if found is None:
            advice = "" if self.result.by_turns else ": sampler='independence' does, where it is certified"
            raise SamplingError(f"The sampler of this fit does not estimate the evidence{advice}.")
        return found

    def loo(self, *, by: str | None = None, progress: Progress = silent) -> LeaveOut:
        """How well each row, or with `by` each group as a whole, is predicted by all others; without refits.

        Given the variances the densities are closed; over these they are averaged by importance weights (PSIS).
        Rows whose weights cannot be trusted (Pareto k-hat above 0.7), and groups whose weights have no variance (above
        0.5), are left out by refitting. Of more than 4,000
        rows a random part is done, and an approximation for all makes up for it.

        Parameters
        ----------
        by : a grouping factor, or any other column of the data: log p(rows of the group | all other rows).

        Raises
        ------
        DataError : when there is no such column, or the fit has no rows.
        """
        from poolwise.evaluate.loo.groups import leave_groups_out, parting
        from poolwise.evaluate.loo.rows import leave_rows_out

        threads = default_threads()
        counted = counted_rows(self.result.model.design.formula, self.source)
        if by is None and counted is not None:
            return replace(self.loo(by=counted, progress=progress), unit="row")
        if self.result.model.sampled:
            from poolwise.evaluate.loo import sampled_families as sampled

            apart = self.result.model.pooling is Pooling.SEPARATE
            if by is None:
                rows = self.behind.encoded() if apart else self.behind.distinct()
                return sampled.leave_rows_out(self.result, rows, threads=threads, progress=progress)
            rows, groups = self._rows_in_groups(by, progress, apart=apart)
            return sampled.leave_groups_out(self.result, rows, groups, threads=threads, progress=progress)
        if by is None:
            return leave_rows_out(self.result, self.behind.batches(progress), threads=threads, progress=progress)
        parted = parting(self.result.model, by, self.source, threads)
        return leave_groups_out(self.result, parted, threads=threads, progress=progress)

    def kfold(
        self,
        folds: int = 10,
        *,
        by: str | None = None,
        draws: int = 500,
        seed: int | None = None,
        progress: Progress = silent,
    ) -> LeaveOut:
        """The same by refitting: random folds of rows, or with `by` each group in turn (then `folds` plays no part).

        Parameters
        ----------
        draws : of each of four chains of every refit.
        seed : of folds and refits; by default the seed of the fit.

        Raises
        ------
        DataError : as `loo` does, and for more folds than rows.
        """
        from poolwise.evaluate.loo.groups import parting
        from poolwise.evaluate.loo.kfold import Folds, leave_folds_out, leave_groups_out_by_refitting

        threads = default_threads()
        settings = sampler_settings(draws, 4, self.result.seed if seed is None else seed, "auto", progress)
        if self.result.model.sampled:
            from poolwise.evaluate.loo import sampled_families as sampled

            counted = counted_rows(self.result.model.design.formula, self.source)
            if of := by or counted:
                rows, groups = self._rows_in_groups(of, progress, apart=True)
            else:
                rows, groups = self.behind.encoded(), None
            if by is None or groups is None:
                check_folds(folds, len(rows.codes) if groups is None else len(groups.levels))
                parts = Folds(int(folds), settings.entropy)
                return sampled.leave_folds_out(self.result, rows, parts, settings, units=groups, threads=threads)
            return sampled.leave_groups_out_by_refitting(self.result, rows, groups, settings, threads=threads)
        if by is not None:
            parted = parting(self.result.model, by, self.source, threads)
            return leave_groups_out_by_refitting(self.result, parted, settings, threads=threads)
        check_folds(folds, self.result.model.statistics.rows)
        parts = Folds(int(folds), settings.entropy)
        return leave_folds_out(self.result, self.behind.batches(progress), parts, settings, threads=threads)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        question: str | None = None,
        title: str | None = None,
        progress: Progress = silent,
    ) -> Path:
        """Write one self-contained HTML page that opens offline: answers, model, priors, charts, checks, limits, code.

        Parameters
        ----------
        question, title : in your own words; by default made from the formula.

        Raises
        ------
        FileError : when the path cannot be written; nothing half-written remains.
        """
        from poolwise.output.report.page import write_report

        check_text("question", question)
        check_text("title", title)
        target = check_writable(path)
        checks, left_out = self.judged(progress)
        shown = self.behind.of_all_groups()
        return write_report(target, self.result, shown, self.notes, checks, left_out, None, question, title)

    def as_code(self, system: str) -> str:
        """The same model and priors as a script for "pymc", "bambi", "brms" or "lme4" (which has no priors).

        Raises
        ------
        DataError : for something that the other system cannot express.
        """
        from poolwise.output.translate import as_code

        check_text("system", system, optional=False)
        return as_code(self.result, system)

    def judged(self, progress: Progress = silent) -> tuple[Checks | None, list[LeaveOut]]:
        """Posterior predictive checks and leave-one-out by rows and by every factor, as far as the rows are at hand."""
        if self.result.model.sampled and not self.behind.at_hand:  # whose groups are left out by their rows
            return None, []
        several = [one for one in self.result.model.design.factors if len(one.levels) > 1]
        # Leaving out the groups of two factors of the same columns is the same: areas, and areas on a map.
        factors = {factor.keys: factor.name for factor in reversed(several) if factor.part_of("").any()}
        by_group = [self.loo(by=name, progress=progress) for name in reversed(factors.values())]
        if not self.behind.at_hand:
            return None, by_group
        return self.check(progress=progress), [self.loo(progress=progress), *by_group]

    def to_datatree(
        self, groups: Iterable[str] | None = None, *, draws: int = 500, seed: int | None = None
    ) -> xr.DataTree:
        """The fit as a DataTree by the names of ArviZ's schema.

        Parameters
        ----------
        groups : of `posterior`, `sample_stats`, `log_likelihood`, `posterior_predictive`, `prior`, `prior_predictive`,
            `observed_data` and `constant_data`; by default those that cost nothing: the posterior and the data, where
            they are in memory.
        draws : from the priors.
        seed : of these and of new outcomes; by default that of the fit.

        Raises
        ------
        DataError : for another name, for rows that are not at hand, and for arrays of more than 2 GB.
        """
        from poolwise.output.datatree import Behind, datatree

        chosen = self.result.seed if seed is None else check_seed(seed)
        behind = self.behind
        count = check_count("draws", draws, 1)
        made_of = Behind(self.result, behind.encoded, self.frame, self.rows is not None, count, chosen)
        return datatree(made_of, groups)

    @property
    def statistics(self) -> SufficientStatistics:
        """All that a fit knows of its rows; statistics add, subtract, and can be saved and fitted.

        Of a family that is sampled they are the rows that differ, with how many there are of each.

        Raises
        ------
        DataError : for such a family where the rows are not in memory.
        """
        data = self.result.model.data
        if self.result.model.sampled and data.counted is None:
            rows = distinct(self.behind.encoded())
            data = with_counted(data.design, data.encoding, rows, default_threads(), data.reading)
        return SufficientStatistics.of(data)

    def update(
        self,
        rows: Any,
        *,
        groups: Mapping[str, Any] | None = None,
        missing: str = "drop",
        progress: Progress = silent,
    ) -> Fit:
        """The fit of the rows so far and of these: the same posterior, draw for draw, as a refit of all of them.

        Only the new rows are read. Transforms with a state, such as `scale(x)`, keep the one of the first rows.

        Raises
        ------
        DataError : as `pw.fit` does, and for a category that the first rows did not have.
        """
        more = updating.like(self.result, rows, groups, missing, progress)
        return Fit(updating.refit(self.result, self.statistics + more, progress), None)

    def forget(
        self,
        rows: Any,
        *,
        groups: Mapping[str, Any] | None = None,
        missing: str = "drop",
        progress: Progress = silent,
    ) -> Fit:
        """The fit without these rows, which must have been part of it: as if they had never been there.

        Transforms with a state keep the one of the first rows: `scale(x)` its scale, `s(x)` its knots, `mo(x)` and
        `rw1(x)` levels that no row has any more.

        Raises
        ------
        DataError : where it shows that they were not part of it.
        """
        fewer = updating.like(self.result, rows, groups, missing, progress)
        return Fit(updating.refit(self.result, self.statistics - fewer, progress), None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to one small file: statistics, encoding, priors and the draws of the variances, no rows."""
        storage.save(self.result, check_writable(path))

    @property
    def behind(self) -> RowsBehind:
        """The rows behind the fit, wherever they are."""
        return RowsBehind(self.result.model.data, self.rows, self.source)

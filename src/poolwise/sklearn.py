"""Hierarchical regression as scikit-learn estimators: `pip install 'poolwise[sklearn]'`.

from poolwise.sklearn import HierarchicalRegressor

model = HierarchicalRegressor("log_radon ~ floor + (floor | county)", random_state=1)
model.fit(houses[["floor", "county"]], houses["log_radon"]).predict(new_houses)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import fit as fit_model
from poolwise.evaluate.predict import predictor_of, quantities
from poolwise.evaluate.prediction_request import Question
from poolwise.sources.source import table_of
from poolwise.support.errors import FormulaError

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.priors import Prior

_LEFT = re.compile(r"^\s*(`[^`]+`|[^\W\d]\w*)\s*$")
_MOST_SEED = 2**31 - 1
_LABEL = "class %05d"  # of the classes within the fit: in their order, whatever they are


class _Hierarchical(BaseEstimator):
    """What both estimators share."""

    fit_: Fit

    def __init__(
        self,
        formula: str | None = None,
        *,
        family: str | None = None,
        priors: Mapping[str, Prior] | None = None,
        tables: Mapping[str, Any] | None = None,
        draws: int = 1000,
        chains: int = 4,
        sampler: str = "auto",
        new_groups: str = "sample",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.formula = formula
        self.family = family
        self.priors = priors
        self.tables = tables
        self.draws = draws
        self.chains = chains
        self.sampler = sampler
        self.new_groups = new_groups
        self.random_state = random_state

    def _fitted(self, frame: pd.DataFrame, y: Any, family: str) -> Self:
        """Fit `y`, numbers or labels, by the columns of a frame."""
        check_consistent_length(frame, y)
        if len(frame) < 2:
            raise ValueError("A regression needs two rows at least; n_samples = 1.")
        outcome, formula = _completed(self.formula, frame)
        seed = int(check_random_state(self.random_state).randint(_MOST_SEED))
        self.fit_ = fit_model(
            formula,
            frame.assign(**{outcome: y}),
            family=family,
            priors=self.priors,
            tables=self.tables,
            draws=self.draws,
            chains=self.chains,
            sampler=self.sampler,
            missing="error",
            seed=seed,
        )
        return self

    def _means(self, X: Any) -> np.ndarray:
        """(n,) or (n, K) posterior means of the expected outcome."""
        check_is_fitted(self)
        frame, posterior = _frame(self, X, reset=False), self.fit_.result
        table = table_of(frame)
        asked = quantities(posterior, Question.asked("mean", self.new_groups, posterior.seed))
        found = [predictor_of(posterior, table, one).means() for one in asked]
        return found[0] if len(found) == 1 else np.column_stack(found)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Any:
        """New outcomes from the posterior predictive distribution.

        Parameters
        ----------
        n_samples : of each row; at most as many as there are draws.

        Returns
        -------
        Outcomes, (n, n_samples).
        """
        check_is_fitted(self)
        generator = check_random_state(random_state)
        seed = int(generator.randint(_MOST_SEED))
        drawn = self.fit_.predict(
            _frame(self, X, reset=False), kind="response", new_groups=self.new_groups, draws=True, seed=seed
        ).values
        drawn = drawn.reshape(-1, drawn.shape[-1])
        chosen = generator.choice(len(drawn), n_samples, replace=n_samples > len(drawn))
        return drawn[chosen].T


class HierarchicalRegressor(RegressorMixin, _Hierarchical):
    """Hierarchical regression of numbers: the posterior of `pw.fit` behind `fit` and `predict`.

    Parameters
    ----------
    formula : such as `"y ~ x + (x | g)"` in the columns of `X`. The name on the left is that of `y`; a right side alone
        will do, `"x + (x | g)"`. Without a formula every column of numbers is a predictor, and there are no groups.
    family : of outcomes, "gaussian" by default.
    priors, tables, draws, chains, sampler : as in `pw.fit`. A grid search over `priors` tries dicts of them.
    new_groups : what a label that `fit` has not seen stands for: "sample" (a new group), "average", "one_of_these",
        "population", or "error".
    random_state : seed of the draws.

    Attributes
    ----------
    fit_ : the `pw.Fit`, with all that it can do.
    n_features_in_, feature_names_in_ : as in scikit-learn.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : (n, p) a frame whose columns the formula names, or an array, whose columns are x0, x1, ...
        y : (n,) outcomes.

        Raises
        ------
        FormulaError, DataError, PriorError : as `pw.fit` does.
        """
        if y is None:
            raise ValueError("This HierarchicalRegressor estimator requires y to be passed, but the target y is None.")
        frame = _frame(self, X, reset=True)
        y = column_or_1d(check_array(y, ensure_2d=False, dtype="numeric", input_name="y"), warn=True)
        return self._fitted(frame, y.astype(float), self.family or "gaussian")

    def predict(self, X: Any) -> np.ndarray:
        """(n,) posterior mean of the expected outcome of each row."""
        return self._means(X)

    def predict_interval(self, X: Any, coverage: float = 0.9, *, kind: str = "response") -> np.ndarray:
        """(n, 2) ends of the central interval of a new outcome, or with `kind="mean"` of the expected one."""
        check_is_fitted(self)
        found = self.fit_.predict(
            _frame(self, X, reset=False), kind=kind, new_groups=self.new_groups, interval=coverage
        )
        return found.iloc[:, -2:].to_numpy()


class HierarchicalClassifier(ClassifierMixin, _Hierarchical):
    """Hierarchical regression of classes: Bernoulli for two, categorical for more.

    Parameters
    ----------
    family : by default "bernoulli" or "categorical" as there are classes; "cumulative" for classes in the order of
        `classes_`.
    formula, priors, tables, draws, chains, sampler, new_groups, random_state : as in `HierarchicalRegressor`.

    Attributes
    ----------
    classes_ : (K,) sorted labels.
    fit_, n_features_in_, feature_names_in_ : as in `HierarchicalRegressor`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model; `y` are (n,) labels of classes.

        Raises
        ------
        ValueError : for fewer than two classes.
        FormulaError, DataError, PriorError : as `pw.fit` does.
        """
        if y is None:
            raise ValueError("This HierarchicalClassifier estimator requires y to be passed, but the target y is None.")
        frame = _frame(self, X, reset=True)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"A classifier needs two classes at least; y has only one class: {self.classes_[0]!r}.")
        if len(self.classes_) == 2 and self.family in (None, "bernoulli"):
            return self._fitted(frame, codes.astype(float), "bernoulli")
        import pandas as pd

        labels = pd.Series([_LABEL % code for code in codes], dtype="category").cat.as_ordered()
        return self._fitted(frame, labels, self.family or "categorical")

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, K) posterior mean of the probability of each class."""
        found = self._means(X)
        return found if found.ndim == 2 else np.column_stack([1.0 - found, found])

    def predict(self, X: Any) -> np.ndarray:
        """(n,) the likeliest class of each row."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def sample_y(self, X: Any, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Any:
        """New classes from the posterior predictive distribution, (n, n_samples)."""
        drawn = super().sample_y(X, n_samples, random_state)
        if drawn.dtype.kind == "O":  # labels of ours
            places = {_LABEL % k: k for k in range(len(self.classes_))}
            drawn = np.vectorize(places.__getitem__, otypes=[int])(drawn)
        return self.classes_[drawn.astype(int)]


def _frame(estimator: _Hierarchical, X: Any, *, reset: bool) -> pd.DataFrame:
    """`X` as a frame, checked as scikit-learn checks: as many columns as there were, of the same names.

    Raises
    ------
    ValueError : otherwise, and for values that are missing or not finite.
    """
    import pandas as pd

    named = hasattr(X, "columns") and all(isinstance(name, str) for name in X.columns)
    if not named:
        array = validate_data(estimator, X, reset=reset, dtype="numeric")
        return pd.DataFrame(array, columns=[f"x{k}" for k in range(array.shape[1])])
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    frame = table_of(X).frame.to_pandas().reset_index(drop=True)
    if not len(frame):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    for name, values in frame.items():
        if values.isna().any():
            raise ValueError(f"Input X contains NaN: '{name}' is missing in {int(values.isna().sum())} rows.")
    return frame


def _completed(formula: str | None, frame: pd.DataFrame) -> tuple[str, str]:
    """The outcome's name, and the formula with it on the left.

    Raises
    ------
    FormulaError : where more than a name stands on the left, or the name is that of a column of X.
    """
    names = [str(name) for name in frame.columns]
    if formula is None:
        right = " + ".join(name if name.isidentifier() else f"`{name}`" for name in names) or "1"
        return _free(names), f"{_free(names)} ~ {right}"
    left, mark, right = formula.partition("~")
    if not mark or not left.strip():
        return _free(names), f"{_free(names)} ~ {right if mark else left}"
    named = _LEFT.match(left)
    if named is None:
        raise FormulaError(
            f"'{left.strip()}' stands on the left of the formula, where an estimator has the name of y alone. "
            "Transform y before, for instance by sklearn.compose.TransformedTargetRegressor."
        )
    outcome = named[1].strip("`")
    if outcome in names:
        raise FormulaError(f"'{outcome}' is the outcome of the formula, and a column of X too: take it out of X.")
    return outcome, formula


def _free(names: list[str]) -> str:
    return next(
        name for name in ("y", "outcome", "_y", *(f"y_{k}" for k in range(len(names) + 1))) if name not in names
    )

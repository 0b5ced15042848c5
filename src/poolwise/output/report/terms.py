"""Which coefficients belong to which term of a formula: what one of them compares depends on that."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poolwise.design.expression_names import required_columns
from poolwise.design.model_matrices import column_of_category
from poolwise.design.required_columns import common_part, needed_columns
from poolwise.design.structures import Structure
from poolwise.evaluate.marginal_effects import categories
from poolwise.inference.posterior import Posterior

_TREATMENT = "T."  # before the label of a category that is compared with the one left out


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the formula of a linear predictor.

    Attributes
    ----------
    text : as the formula has it.
    factors : texts of what it is the product of.
    variables : raw columns that it is made of.
    places : positions of its coefficients among the design's.
    columns : names of their columns.
    labels : of its categories in their order; empty where it is none, or a product.
    structure : where it is a structured term.
    """

    text: str
    factors: tuple[str, ...]
    variables: frozenset[str]
    places: tuple[int, ...]
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    structure: Structure | None

    @property
    def levels(self) -> tuple[str, ...]:
        """The category that each column is one in; empty where columns are no such indicators."""
        found = tuple(name[len(self.text) + 1 : -1].removeprefix(_TREATMENT) for name in self.columns)
        return found if self.labels and set(found) <= set(self.labels) else ()

    @property
    def whole(self) -> bool:
        """Whether every category has a column, so that coefficients are levels and no differences."""
        return len(self.levels) == len(self.labels) > 0

    @property
    def reference(self) -> str | None:
        """The category that the others are compared with, None where columns are no such comparisons."""
        if not all(name.startswith(f"{self.text}[{_TREATMENT}") for name in self.columns):
            return None
        left = [label for label in self.labels if label not in self.levels]
        return left[0] if self.levels and len(left) == 1 else None

    @property
    def is_number(self) -> bool:
        """Whether it is one column of numbers by itself."""
        return self.columns == (self.text,) and len(self.factors) == 1


def terms_of(posterior: Posterior, predictor: str = "") -> tuple[Term, ...]:
    """The terms of the formula of a linear predictor that have coefficients, without the constant."""
    design = posterior.model.design
    mine = [k for k, of in enumerate(design.predictors) if of == predictor]
    prefix = f"{predictor}_" if predictor else ""
    left = {k: design.coefficients[k].removeprefix(prefix) for k in mine}
    structures = {place: one for one in design.structures for place in (*one.null, *one.places)}
    found = []
    parts = getattr(needed_columns(design.formula).parts, common_part(predictor), ())
    for term in sorted(parts, key=lambda term: -len(term.factors)):  # the column of `c` may begin that of `c:d`
        factors = tuple(str(factor.expr) for factor in term.factors)
        column = re.compile(":".join(re.escape(text) + r"(\[.*\])?" for text in factors), re.DOTALL)
        places = tuple(k for k, name in left.items() if column.fullmatch(name))
        columns = tuple(left.pop(k) for k in places)
        if not places:
            continue
        variable = column_of_category(factors[0]) if len(factors) == 1 else None
        labels = () if variable is None else tuple(map(str, categories(posterior, variable) or ()))
        variables = frozenset(map(str, required_columns([term])))
        found.append(Term(":".join(factors), factors, variables, places, columns, labels, structures.get(places[0])))
    return tuple(sorted(found, key=lambda term: term.places))

"""Codings of categories: formulaic's, whose reference may be the text of a label."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any

from formulaic.transforms import TRANSFORMS
from formulaic.transforms.contrasts import UNSET, Contrasts, SASContrasts, TreatmentContrasts
from interface_meta import override

from poolwise.design.levels import label_text
from poolwise.support.errors import FormulaError, suggest


class Treatment(TreatmentContrasts):  # type: ignore[misc]
    """Differences from a reference category: the first one where it is not stated."""

    @override
    def _find_base_index(self, levels: Sequence[Hashable]) -> int:
        return 0 if self.base is UNSET else _place(self.base, list(levels))

    @override
    def get_drop_field(self, levels: Sequence[Hashable], reduced_rank: bool = True) -> Hashable:
        """The category without a column of its own beside a constant."""
        return None if reduced_rank else levels[self._find_base_index(levels)]


class SAS(SASContrasts):  # type: ignore[misc]
    """Differences from a reference category: the last one where it is not stated."""

    @override
    def _find_base_index(self, levels: Sequence[Hashable]) -> int:
        return len(levels) - 1 if self.base is UNSET else _place(self.base, list(levels))

    @override
    def get_drop_field(self, levels: Sequence[Hashable], reduced_rank: bool = True) -> Hashable:
        """The category without a column of its own beside a constant."""
        return None if reduced_rank else levels[self._find_base_index(levels)]


def patsy_treatment(reference: Any = UNSET) -> Treatment:
    """patsy's `Treatment('b')`."""
    return Treatment(base=reference)


def category(x: Any, contrasts: Any = None, **options: Any) -> Any:
    """`C(x)`, `C(x, contr.sum)`: a column of categories and their coding.

    Raises
    ------
    FormulaError : for a second argument that is no coding.
    """
    rows = contrasts if isinstance(contrasts, list) else []
    own = (
        isinstance(contrasts, dict) or getattr(contrasts, "ndim", 0) == 2 or any(isinstance(row, list) for row in rows)
    )
    known = isinstance(contrasts, Contrasts) or (inspect.isclass(contrasts) and issubclass(contrasts, Contrasts))
    if contrasts is not None and not own and not known:
        said = (
            repr(contrasts) if isinstance(contrasts, (str, int, float)) else "a list of numbers" if rows else "a column"
        )
        raise FormulaError(
            f"The second argument of C() is the coding of the categories, not {said}: write "
            "C(x, contr.treatment(base='b')) for differences from 'b', or contr.sum, contr.helmert, contr.diff, "
            "contr.poly."
        )
    return TRANSFORMS["C"](x, contrasts, **options)


def _place(base: Any, levels: list[Any]) -> int:
    """The place of a reference among the categories, by its value or by the text of its label."""
    texts = [{str(level), label_text(level)} for level in levels]
    found = [k for k, level in enumerate(levels) if level == base and isinstance(level, bool) == isinstance(base, bool)]
    found = found or [k for k, text in enumerate(texts) if text & {str(base), label_text(base)}]
    if not found:
        raise FormulaError(f"The reference {base!r} is none of the categories. {suggest(str(base), map(str, levels))}")
    return found[0]

"""formulaic's model matrices, with its evaluation of Python replaced by the grammar of `evaluate.py`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from formulaic.materializers import PandasMaterializer
from formulaic.model_spec import ModelSpec
from interface_meta import override

from poolwise.design.expression_evaluation import evaluate
from poolwise.formula import Functions


class Materializer(PandasMaterializer):  # type: ignore[misc]
    """Evaluates expressions by a grammar; `context` holds the caller's functions, `tables` what else terms refer to."""

    REGISTER_NAME = "poolwise"
    REGISTER_INPUTS = ()
    tables: Mapping[str, Any] = MappingProxyType({})

    @override
    def _evaluate(self, expr: str, metadata: Any, spec: ModelSpec) -> tuple[Any, set[Any]]:
        own: Functions = self.context
        column = self.data.__getitem__
        context = {"_spec": spec, "_metadata": metadata, "_context": self.tables}
        return evaluate(expr, column, own, spec.transform_state, **context), set()

    @override
    def _lookup(self, name: str) -> tuple[Any, set[Any]]:
        return self.data[name], set()

"""Engines that hold rows and answer queries; one file each. What narwhals says alike for all of them is not here."""

from __future__ import annotations

from typing import Any

from poolwise.sources.engines.engine import Engine, Generic


def engine_of(frame: Any) -> tuple[Engine, Any]:
    """The engine behind a lazy narwhals frame, and the frame as that engine wants it."""
    implementation = frame.implementation
    if implementation.is_duckdb():
        from poolwise.sources.engines.duckdb import DuckDB

        return DuckDB(), frame
    if implementation.is_polars():
        from poolwise.sources.engines.polars import Polars

        engine = Polars()
        return engine, engine.through_gate(frame)
    if implementation.is_spark_like():
        from poolwise.sources.engines.spark import Spark, live_context

        live_context(frame.to_native())
        return Spark(), frame
    return Generic(str(implementation)), frame


__all__ = ["Engine", "engine_of"]

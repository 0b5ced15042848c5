"""formulaic's state as plain data and back, so that an encoding outlives its process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np


def specs_state(specs: Any, names: Iterable[str]) -> dict[str, Any]:
    """State of the transforms and categories of the factors of some parts, fit for JSON."""
    return {
        name: {
            "transforms": _encode(spec.transform_state),
            "categories": {
                factor: _encode(list(state["categories"]))
                for factor, (_, state) in spec.encoder_state.items()
                if "categories" in state
            },
        }
        for name, spec in _parts(specs)
        if name in names
    }


def first_difference(one: Any, other: Any) -> str | None:
    """The first factor whose transform state or categories differ between two encodings, or None."""
    for (_, mine), (_, theirs) in zip(_parts(one), _parts(other), strict=False):
        for state in ("transform_state", "encoder_state"):
            a, b = getattr(mine, state), getattr(theirs, state)
            for factor in a.keys() & b.keys():
                if state == "transform_state":
                    same = _encode(a[factor]) == _encode(b[factor])
                else:
                    same = _encode(list(a[factor][1].get("categories", ()))) == _encode(
                        list(b[factor][1].get("categories", ()))
                    )
                if not same:
                    return str(factor)
    return None


def restore_specs(texts: Mapping[str, str], state: Mapping[str, Any]) -> Any:
    """Specifications that encode new rows as the originals did; `texts` are the parts of the formula."""
    from formulaic import ModelSpec, ModelSpecs
    from formulaic.parser.types import Factor

    from poolwise.design.part_parser import parsed_part

    return ModelSpecs(
        **{
            name: ModelSpec(
                formula=parsed_part(texts[name]),
                transform_state=_decode(part["transforms"]),
                encoder_state={
                    factor: (Factor.Kind.CATEGORICAL, {"categories": _decode(categories)})
                    for factor, categories in part["categories"].items()
                },
                output="numpy",
                na_action="ignore",
            )
            for name, part in state.items()
        }
    )


def own_states(parts: Any) -> Any:
    """Specifications with states of their own: formulaic writes into those that it is given, even where it fails."""
    from formulaic import ModelSpecs

    if not isinstance(parts, ModelSpecs):
        return parts
    return parts._map(
        lambda spec: spec.update(
            transform_state=deepcopy(spec.transform_state),
            encoder_state={factor: (kind, dict(state)) for factor, (kind, state) in spec.encoder_state.items()},
        )
    )


def encoded_state(states: Mapping[str, Any], categories: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The state of one part in the form of `specs_state`, from transform states and categories known otherwise."""
    return {
        "transforms": _encode(dict(states)),
        "categories": {factor: _encode(levels) for factor, levels in categories.items()},
    }


def coding_specs(spec: Any, factor: str, reduced: bool) -> Any:
    """A specification of one categorical factor alone, beside an intercept where it is reduced."""
    from formulaic import ModelSpec

    from poolwise.design.part_parser import parsed_part

    kind, state = spec.encoder_state[factor]
    quoted = factor if factor.startswith("C(") or factor.isidentifier() else f"`{factor}`"
    return ModelSpec(
        formula=parsed_part(f"{int(reduced)} + {quoted}"),
        encoder_state={factor: (kind, {"categories": state["categories"]})},
        output="numpy",
        na_action="ignore",
    )


def _parts(specs: Any) -> list[tuple[str, Any]]:
    return list(specs._to_dict(recurse=False).items())


def _encode(value: Any) -> Any:
    """JSON knows neither arrays nor keys that are numbers: both are written as tagged lists."""
    if isinstance(value, dict):
        return {"dict": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": [_encode(item) for item in value.tolist()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_encode(item) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, items), *_ = value.items()
    if kind == "dict":
        return {_decode(key): _decode(item) for key, item in items}
    decoded = [_decode(item) for item in items]
    return np.array(decoded) if kind == "array" else decoded

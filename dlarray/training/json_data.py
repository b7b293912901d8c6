"""JSON data: only values that JSON represents exactly are written, and all data are checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["entries", "items", "string", "to_json", "unique_names"]


def to_json(what: str, value: Any) -> Any:
    """The value, if JSON represents it exactly (a tuple as a list). Raises TypeError with the path to the entry."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_json(f"{what}[{i}]", item) for i, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{what} must be numbers, strings, None, or lists and dicts of them, got {type(value).__name__}"
        )
    found = cast("Mapping[Any, Any]", value)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{what} must have strings as names, as a JSON object has, got {name!r}")
    return {name: to_json(f"{what}[{name!r}]", item) for name, item in found.items()}


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for ``json.loads``. Raises ValueError if a name occurs twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has the same name twice")
    return found


def entries(what: str, value: Any, *names: str) -> dict[str, Any]:
    """``value``, if it is a JSON object with at least these names. Raises TypeError or ValueError."""
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be an object, got {_shown(value)}")
    found = cast("dict[str, Any]", value)
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{what} must have {', '.join(missing)}")
    return found


def items(what: str, value: Any) -> list[Any]:
    """``value``, if it is a list. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"{what} must be a list, got {_shown(value)}")
    return cast("list[Any]", value)


def string(what: str, value: Any) -> str:
    """``value``, if it is a string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return str(value)[:80]

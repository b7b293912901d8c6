"""Data of JSON: written only where it comes back as it went, and looked at before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["entries", "items", "string", "to_json", "unique_names"]


def to_json(what: str, value: Any) -> Any:
    """The value, where it comes back from JSON as it went (a tuple as a list). Raises TypeError with the place."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_json(f"{what}[{i}]", item) for i, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{what} must be numbers, words, None, or lists and objects of them, got {type(value).__name__}"
        )
    found = cast("Mapping[Any, Any]", value)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{what} must have words for names, as an object of JSON has, got {name!r}")
    return {name: to_json(f"{what}[{name!r}]", item) for name, item in found.items()}


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for ``json.loads``. Raises ValueError where it has a name twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it names something twice")
    return found


def entries(what: str, value: Any, *names: str) -> dict[str, Any]:
    """``value``, where it is an object of JSON that has these names at least. Raises TypeError or ValueError."""
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be an object, got {_shown(value)}")
    found = cast("dict[str, Any]", value)
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{what} must have {', '.join(missing)}")
    return found


def items(what: str, value: Any) -> list[Any]:
    """``value``, where it is a list. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"{what} must be a list, got {_shown(value)}")
    return cast("list[Any]", value)


def string(what: str, value: Any) -> str:
    """``value``, where it is a string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be words, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return str(value)[:80]

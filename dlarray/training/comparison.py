"""Configurations as data that can be compared, and messages about their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from dlarray.core.registry import LIBRARY, full_name

__all__ = ["comparable", "difference", "public_name"]

LENGTH = 200
MISSING = "nothing"


def comparable(value: Any) -> Any:
    """A configuration as data that can be compared: class and fields, a function by its name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [comparable(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {str(key): comparable(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return comparable(value.tolist())
    if is_dataclass(value):
        return {public_name(type(value)): {f.name: comparable(getattr(value, f.name)) for f in fields(value)}}
    return public_name(value if hasattr(value, "__qualname__") else type(value))


def public_name(thing: Any) -> str:
    """The name of a class or function of dlarray; module and name of a third-party one."""
    return thing.__qualname__ if thing.__module__.partition(".")[0] == LIBRARY else full_name(thing)


def difference(then: Any, now: Any) -> str:
    """Only the differences, as "was …, is …"."""
    was, is_ = (str(part) for part in _differing(then, now))
    if was[:LENGTH] != is_[:LENGTH]:
        was, is_ = was[:LENGTH], is_[:LENGTH]
    return f"was {was}, is {is_}"


def _differing(then: Any, now: Any) -> tuple[Any, Any]:
    """Both without their equal entries; indices of lists become keys."""
    old, new = _entries(then), _entries(now)
    if old is None or new is None:
        return then, now
    was: dict[Any, Any] = {}
    is_: dict[Any, Any] = {key: value for key, value in new.items() if key not in old}
    for key, value in old.items():
        if key not in new:
            was[key] = value
        elif value != new[key]:
            was[key], is_[key] = _differing(value, new[key])
    return was or MISSING, is_ or MISSING


def _entries(data: Any) -> Mapping[Any, Any] | None:
    if isinstance(data, list):
        return dict(enumerate(cast("list[Any]", data)))
    return cast("Mapping[Any, Any]", data) if isinstance(data, Mapping) else None

"""File names with fields for numbers: "run-{epoch:02d}-{validation_loss:.3f}.safetensors"."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from string import Formatter

from dlarray.core.check import did_you_mean, real, whole

__all__ = ["COUNTERS", "Pattern"]

COUNTERS = ("epoch", "step")


class Pattern:
    """A path whose last part can have fields: a name and a format as in ``str.format``; "{{" is a literal brace.

    The folder has no fields. Raises ValueError for a field that is not a name with an optional format, TypeError for an
    object that is not a path.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = os.fspath(path)
        folder, self._name = os.path.split(self._path)
        self.folder = Path(folder)
        try:
            parts = [part for part in Formatter().parse(self._name) if part[1] is not None]
        except ValueError as error:
            raise ValueError(
                f"the name {self._name!r} cannot be formatted: {error}; a brace is written {{{{"
            ) from error
        self.fields = tuple(str(field) for _, field, _, _ in parts)
        """The names of the fields, in order."""
        for field, (_, _, form, conversion) in zip(self.fields, parts, strict=True):
            if not field or conversion or any(c in field for c in ".[") or "{" in str(form):
                raise ValueError(
                    f"the name {self._name!r} has the field {{{field}}}: a field is a name with an optional format, "
                    f"such as {{epoch}} or {{loss:.3f}}; a brace is written {{{{"
                )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The fields that are neither the epoch nor the step."""
        return tuple(field for field in self.fields if field not in COUNTERS)

    @property
    def digest(self) -> str:
        """Identifies this pattern, including its folder, in a checkpoint, which must not contain a path."""
        return hashlib.sha256(os.fsencode(os.path.abspath(self._path))).hexdigest()[:32]

    def check(self, names: Iterable[str]) -> None:
        """Raise ValueError if a field is none of these metrics, or if its format does not suit its number."""
        known = [*COUNTERS, *names]
        for field in self.fields:
            if field not in known:
                hint = f"{did_you_mean(field, known)}; known are {', '.join(known)}"
                raise ValueError(f"the name {self._name!r} has the field {{{field}}}{hint}")
        self.at(1, 1, dict.fromkeys(self.metrics, 0.5))

    def numbers(self, epoch: int, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """The number of each field."""
        known = {**metrics, "epoch": epoch, "step": step}
        return {field: known.get(field, math.nan) for field in self.fields}

    def check_numbers(self, numbers: Mapping[str, object]) -> None:
        """Raise ValueError or TypeError unless these are a number for each field, as ``numbers`` returns them."""
        if set(numbers) != set(self.fields):
            raise ValueError(f"files must have {', '.join(self.fields)}, got {', '.join(numbers)[:80]}")
        for field, number in numbers.items():
            whole(field, number) if field in COUNTERS else real(field, number)

    def at(self, epoch: int, step: int, metrics: Mapping[str, float]) -> Path:
        """The path with these numbers. Raises ValueError if a format does not suit its number."""
        return self.path(self.numbers(epoch, step, metrics))

    def path(self, numbers: Mapping[str, float]) -> Path:
        """The path with a number for each field; always a file in the pattern's folder."""
        try:
            name = self._name.format(**numbers)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"the name {self._name!r} cannot be formatted: {error}") from error
        if os.path.basename(name) != name:
            raise ValueError(f"the name {self._name!r} would leave its folder: {name!r}")
        return self.folder / name

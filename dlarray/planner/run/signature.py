"""The key of a plan: the structure of a tree, and the type, shape and dtype of each of its arrays.

Python numbers belong to the structure, with their types and signs. The memory layout of an array does not: what a plan
cannot read in place is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.core.trees import Static

__all__ = ["Key", "only_tuples", "signature"]

_CONSTANT = (type(None), bool, int, float, complex, str, bytes, np.dtype)


class Key:
    """A dictionary key whose hash is computed once. Hashing raises TypeError if ``of`` cannot be hashed."""

    __slots__ = ("_hash", "of")

    def __init__(self, of: Any) -> None:
        self.of = of
        self._hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.of)
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self.of == other.of)


def signature(leaves: Sequence[Any]) -> tuple[Any, ...]:
    """The type, shape and dtype of each array."""
    return tuple([(type(a), a.shape, a.dtype) for a in leaves])


def only_tuples(structure: Any) -> bool:
    """Whether a tree of these kinds can change only in its arrays' values."""
    if structure is None:
        return True
    kind, _, items = structure
    if kind == "static":
        found: Static = items
        return isinstance(found.value, _CONSTANT)
    return kind is tuple and all(map(only_tuples, items))

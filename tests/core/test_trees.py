"""Trees: every container is taken apart and put together again, with its type, its order and what is not an array."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from dlarray.core.trees import copy_tree, flatten, leaves, map_arrays, map_leaves, unflatten


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass(frozen=True)
class Fields:
    x: Any
    name: str = "x"


class Attributed(Fields):
    """A subclass that is not a dataclass itself, and so a leaf."""


A, B = np.arange(3.0), np.ones((2, 2))
TREES: dict[str, tuple[Any, list[Any]]] = {
    "array": (A, [A]),
    "dict": ({"b": A, "a": B}, [A, B]),
    "ordered dict": (OrderedDict(b=A, a=B), [A, B]),
    "tuple": ((A, (), B), [A, B]),
    "list": ([A, [B], []], [A, B]),
    "named tuple": (Pair(A, Pair(1, B)), [A, 1, B]),
    "dataclass": (Fields({"x": A}), [A, "x"]),
    "other leaves": ((None, 0.0, "word", Attributed(A)), [None, 0.0, "word", Attributed(A)]),
}
trees = pytest.mark.parametrize("name", TREES)


@trees
def test_leaves_come_in_order(name: str) -> None:
    tree, expected = TREES[name]
    found = list(leaves(tree))
    assert len(found) == len(expected)
    assert all(x is y or x == y for x, y in zip(found, expected, strict=True))


@trees
def test_a_tree_comes_back(name: str) -> None:
    tree, _ = TREES[name]
    arrays: list[Any] = []
    structure = flatten(tree, arrays)
    for again in (unflatten(structure, iter(arrays)), map_leaves(tree, lambda leaf: leaf)):
        assert type(again) is type(tree)
        assert repr(again) == repr(tree)
        assert flatten(again, []) == structure


@trees
def test_arrays_are_copied_and_other_leaves_stay(name: str) -> None:
    tree, expected = TREES[name]
    for old, new in zip(expected, leaves(copy_tree(tree)), strict=True):
        if isinstance(old, np.ndarray):
            np.testing.assert_array_equal(new, old)
            assert not np.shares_memory(new, old)
        else:
            assert new == old


def test_arrays_are_changed() -> None:
    changed = map_arrays({"a": (A, None, 2)}, lambda x: x.size)
    assert changed == {"a": (3, None, 2)}


def test_numbers_are_compared_by_type_and_sign() -> None:
    structures = [flatten({"x": value}, []) for value in (0.0, -0.0, 0, False)]
    assert all((a == b) == (a is b) for a in structures for b in structures)
    assert len(set(structures)) == 4

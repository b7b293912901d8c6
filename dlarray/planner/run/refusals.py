"""Why a step is not planned because of its arguments: their types, and too many kinds of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np

from dlarray.planner.run.signature import Key
from dlarray.planner.trace.captured import is_ndarray

__all__ = ["MAX_PROGRAMS", "PlannerWarning", "is_contiguous", "is_unhashable", "why_no_more", "why_unplannable"]

MAX_PROGRAMS = 64
"""The most programs of a step."""


class PlannerWarning(UserWarning):
    """A step runs eagerly, slower than it could."""


def why_unplannable(leaves: Sequence[Any]) -> str:
    """Why a step on these arrays is not planned, whatever it computes; "" if it can be."""
    if other := [a for a in leaves if not isinstance(a, np.generic) and not is_ndarray(type(a))]:
        return f"an array is a {type(other[0]).__name__}, whose operations can differ from NumPy's"
    if not all(a.dtype.isnative for a in leaves):
        return "an array of the batch has a foreign byte order"
    return ""


def why_no_more(programs: Collection[Any], key: Key) -> str:
    """Why a step with these programs gets no other one; "" if it does."""
    if len(programs) < MAX_PROGRAMS:
        return ""
    if any(known.of[1:] == key.of[1:] for known in programs):
        return f"it has {MAX_PROGRAMS} programs: a Python number in the state or the batch changes from step to step"
    return (
        f"it has {MAX_PROGRAMS} programs: state and batch have come in more combinations of shapes and types; "
        "batches of a few lengths, padded, run planned"
    )


def is_contiguous(a: Any) -> bool:
    """Whether an array is C-contiguous, aligned and of native byte order, so that it can be written in place."""
    return isinstance(a, np.ndarray) and a.flags.c_contiguous and a.flags.aligned and cast("Any", a).dtype.isnative


def is_unhashable(structure: Any) -> bool:
    """Whether something in a tree's structure cannot be hashed."""
    try:
        hash(structure)
    except TypeError:
        return True
    return False

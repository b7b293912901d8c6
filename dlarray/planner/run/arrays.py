"""Arrays that a plan is bound to: their memory, and the views that its calls take of them."""

from __future__ import annotations

import numpy as np

from dlarray.planner.trace.node import VIEWS, Form, Node, view_of

__all__ = ["contiguous", "over_domain", "view_of_leaf"]


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array, or a copy if it is not contiguous and aligned."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.array(array, order="C")


def view_of_leaf(array: np.ndarray, node: Node) -> np.ndarray:
    """The view of a leaf that a node is."""
    return view_of(view_of_leaf(array, node.args[0]), node) if node.op in VIEWS else array


def over_domain(array: np.ndarray, kind: str, domain: Form) -> np.ndarray:
    """The array of two axes that a kernel reads or writes as a value of this kind."""
    rows, cols = domain
    shape = (rows if kind in "EC" else 1, cols if kind in "ER" else 1)
    return np.reshape(array, shape, copy=False)

# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of elements, in which the emulator lets one thread do the work of all where that gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

ORDERS = ["now", "late", "main", 1]


@pytest.mark.parametrize("when", ORDERS)
def test_a_return_ends_the_work_of_its_element_only(cupy: Any, when: str | int):
    kernel = cupy.ElementwiseKernel("int64 x", "int64 y", "y = 1; if (x == 3) { y = 5; return; } y = 2;", "returns")
    with emulator.order(when):
        found = kernel(cupy.arange(9)).get()
    np.testing.assert_array_equal(found, [2, 2, 2, 5, 2, 2, 2, 2, 2])


@pytest.mark.parametrize("when", ORDERS)
def test_nothing_is_kept_from_one_element_to_the_next(cupy: Any, when: str | int):
    kernel = cupy.ElementwiseKernel("int64 x", "int64 y", "y = x + c; c += 1;", "keeps", loop_prep="int c = 0;")
    with emulator.order(when):
        found = kernel(cupy.arange(300)).get()
    np.testing.assert_array_equal(found, np.arange(300))


def test_searches(cupy: Any):
    """CuPy's kernels of searches return early."""
    edges, x = np.array([-1.0, 0.0, 1.0]), np.array([0.5, 3.0, np.nan, 0.5, -2.0])
    for name in ("searchsorted", "digitize"):
        arguments = (edges, x) if name == "searchsorted" else (x, edges)
        found = getattr(cupy, name)(*map(cupy.asarray, arguments)).get()
        np.testing.assert_array_equal(found, getattr(np, name)(*arguments))
    np.testing.assert_array_equal(cupy.isin(cupy.asarray([1, 9, 2]), cupy.arange(5)).get(), [True, False, True])
    found = cupy.interp(cupy.asarray([0.5, 3.0, 0.5]), cupy.asarray(edges), cupy.asarray([1.0, 2.0, 4.0])).get()
    np.testing.assert_array_equal(found, [3.0, 4.0, 3.0])

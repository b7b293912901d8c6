"""What CuPy's namespace keeps between calls, and what it leaves to array_api_compat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dlarray_cupy import backend

from tests.support.gpu import missing


@pytest.fixture
def xp() -> Any:
    if why := missing():
        pytest.skip(why)
    return backend.namespace()


def test_asarray_of_what_is_not_a_list_is_the_librarys(xp: Any) -> None:
    x = xp.asarray(np.arange(3), dtype=xp.float32)
    assert x.dtype == np.float32
    assert xp.asarray(x, copy=False) is x


def test_the_same_numbers_in_two_types_are_two_constants(xp: Any) -> None:
    bits = 4614253070214989087  # of the float64 3.14
    assert float(xp.asarray([3.14], dtype=xp.float64)[0]) == 3.14
    assert int(xp.asarray([bits], dtype=xp.int64)[0]) == bits


def test_each_gpu_has_its_own_constants(xp: Any) -> None:
    if len(backend.devices()) < 2:
        pytest.skip("there is one GPU")
    for name in ("cuda:0", "cuda:1"):
        with backend.handle(name):
            x = xp.asarray([1.25, 2.5, 5.0])
            assert backend.device_of(x) == name
            np.testing.assert_array_equal(backend.to_numpy(x), [1.25, 2.5, 5.0])


def test_clip_without_limits_is_a_copy(xp: Any) -> None:
    x = xp.asarray([1.0, 2.0])
    xp.clip(x)[...] = 7
    np.testing.assert_array_equal(backend.to_numpy(x), [1.0, 2.0])

"""CuPy's backend on two GPUs: each array is made on its device, and copies between devices wait for each other."""

from __future__ import annotations

import numpy as np
import pytest
from dlarray_cupy import backend

from tests.support.gpu import missing, order


@pytest.fixture(autouse=True)
def _two_gpus() -> None:
    if why := missing():
        pytest.skip(why)
    if len(backend.devices()) < 2:
        pytest.skip("there is one GPU")


def test_arrays_are_made_on_their_device():
    from cupy.cuda import runtime

    second = backend.handle("cuda:1")
    assert backend.device_of(backend.asarray(np.zeros(3), second)) == "cuda:1"
    with backend.entered(second):
        assert runtime.getDevice() == 1
    assert runtime.getDevice() == 0


@pytest.mark.parametrize("when", ["now", "late", "main", *map(str, range(10))])
def test_copies_between_devices_wait_for_each_other(when: str):
    first, second = backend.handle("cuda:0"), backend.handle("cuda:1")
    with order(when):
        x = backend.asarray(np.arange(8.0).reshape(2, 4), first)
        with first:
            x = (x * 2).T
        y = backend.to_device(x, second)
        with first:
            x *= 0
            x += 7
        np.testing.assert_array_equal(backend.to_numpy(y), 2 * np.arange(8.0).reshape(2, 4).T)

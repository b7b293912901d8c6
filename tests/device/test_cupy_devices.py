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
@pytest.mark.parametrize("host_waits_for_source", [False, True])
def test_copies_between_devices_wait_for_each_other(when: str, host_waits_for_source: bool):
    """On streams that wait for nothing by themselves: default streams of two devices wait for each other's copies."""
    from cupy.cuda import Stream

    first, second = backend.handle("cuda:0"), backend.handle("cuda:1")
    with first:
        source = Stream(non_blocking=True)
    with second:
        target = Stream(non_blocking=True)
    with order(when), first, source:
        x = backend.asarray(np.arange(8.0).reshape(2, 4), first)
        x = (x * 2).T
        with second, target:
            y = backend.to_device(x, second)
        later = x * 0 + 7  # takes the memory in which the rows of x were
        if host_waits_for_source:
            source.synchronize()
        with second, target:
            found = backend.to_numpy(y)
        np.testing.assert_array_equal(found, 2 * np.arange(8.0).reshape(2, 4).T)
        np.testing.assert_array_equal(backend.to_numpy(later), np.full((4, 2), 7.0))

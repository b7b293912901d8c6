"""On a GPU: no step, eager or compiled, and no prediction copies from or to the host, or waits.

The emulated GPU counts what CuPy asks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.core.array import device as place_of
from dlarray.device import Device
from tests import cuda_on_cpu as emulator
from tests.support.families import batches, halves, start, steps

TRAFFIC = ("copies_from_host", "copies_to_host", "waits")
STEPS = steps()


@pytest.fixture(scope="module")
def cuda() -> Device:
    """A GPU, if it is emulated: a real one counts nothing."""
    if not emulator.installed():
        pytest.skip("copies are counted on the emulated GPU")
    return dl.device.resolve("cuda")


@contextmanager
def traffic() -> Iterator[dict[str, int]]:
    """How often the work within copies from or to the host, or waits; filled in at the end."""
    found: dict[str, int] = {}
    before = emulator.counts()
    yield found
    found.update({name: emulator.counts()[name] - before[name] for name in TRAFFIC})


NONE = dict.fromkeys(TRAFFIC, 0)


def traffic_of_third_step(step: Any, run: Callable[..., Any], device: Device) -> dict[str, int]:
    """The first step of a compiled one is checked, and constants are sent; from then on nothing is."""
    state, given = start(step, device, "float32"), batches(step, device, "float32", 3)
    for batch in given[:2]:
        state, _ = run(state, batch)
    with traffic() as found:
        run(state, given[2])
    return found


@pytest.mark.parametrize("name", STEPS, ids=str)
def test_an_eager_step_and_a_prediction(cuda: Device, name: str) -> None:
    step = STEPS[name]
    assert traffic_of_third_step(step, step, cuda) == NONE
    state, ((x, _, _),) = start(step, cuda, "float32"), batches(step, cuda, "float32")
    with traffic() as found:
        step.model.predict(state["theta"], x, state["buffers"] or None)
    assert found == NONE


def test_a_step_in_16_bits(cuda: Device) -> None:
    assert halves(cuda)
    for step in halves(cuda).values():
        assert traffic_of_third_step(step, step, cuda) == NONE


@pytest.mark.parametrize("name", STEPS, ids=str)
def test_a_compiled_step(cuda: Device, name: str) -> None:
    step = STEPS[name]
    assert traffic_of_third_step(step, cuda.backend.compile(step), cuda) == NONE


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x * float(x[0, 0]),
        lambda x: x[x > 0],
        lambda x: x + dl.to_device(np.ones((4, 4), np.float32), "cuda"),
    ],
)
def test_reading_and_sending_are_counted(cuda: Device, read: Callable[[Any], Any]) -> None:
    x = cuda.asarray(np.ones((4, 4), np.float32))
    with traffic() as found:
        read(x)
    assert found != NONE


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sign": lambda xp, x: xp.sign(x),
    "clip": lambda xp, x: xp.clip(x, -0.5, 1.0),
    "clip below": lambda xp, x: xp.clip(x, min=0.25),
    "clip above, integers": lambda xp, x: xp.clip(xp.arange(5, device=place_of(x)), max=2),
    "concat": lambda xp, x: xp.concat([x, x + 1] * 6),
    "concat, last axis": lambda xp, x: xp.concat([x, x[:, :1]] * 6, axis=-1),
    "concat, flat": lambda xp, x: xp.concat([x, x[0, :]] * 6, axis=None),
    "concat, of two types": lambda xp, x: xp.concat([x, x > 0] * 6),
    "stack": lambda xp, x: xp.stack([x] * 12, axis=1),
    "asarray": lambda xp, x: xp.asarray(((1.0, -0.0), (0.0, 2.0)), dtype=x.dtype, device=place_of(x)),
    "asarray, of integers": lambda xp, x: xp.asarray([1, 2], device=place_of(x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_namespace(cuda: Device, name: str) -> None:
    """They give what NumPy's give, in new arrays."""
    host = np.array([[np.nan, 0.0, -0.0], [3.0, -np.inf, 0.5]], np.float32)
    x, function = cuda.asarray(host), FUNCTIONS[name]
    function(array_namespace(x), x)[...] = 7  # what is kept must not change
    with traffic() as found:
        y = function(array_namespace(x), x)
    assert found == NONE
    expected = function(array_namespace(host), host)
    np.testing.assert_array_equal(dl.to_numpy(y), expected)
    np.testing.assert_array_equal(np.signbit(dl.to_numpy(y)), np.signbit(expected))
    assert dl.to_numpy(y).dtype == expected.dtype


def test_arrays_that_cannot_be_joined(cuda: Device) -> None:
    x = cuda.asarray(np.ones((2, 3), np.float32))
    xp = array_namespace(x)
    with pytest.raises(ValueError, match="(?i)match|same"):
        xp.concat([x] * 8 + [x[:, :1]])
    with pytest.raises(Exception, match="(?i)axis|dim|range"):
        xp.concat([x] * 9, axis=2)

"""What it costs that the examples stay on the host: a step with them on the device, one with them there, the way alone.

    python benchmarks/streaming.py --device cuda --widths 1024,4096,4096,10 --batch 512 --json streaming.json

``hidden`` is the part of the shorter of the two, step and way, that is done while the other is under way. It is 1 where
a step with the examples on the host takes as long as the longer of them, and 0 where it takes as long as both. It is
above 1 where gathering on the device, a part of the step there, costs more than on the host. The way is gathering
a batch on the host and copying it to the device. The losses of both are compared first: they are equal, bit for bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import environment

if __name__ == "__main__":
    environment.prepare(1)

import numpy as np

import dlarray
from dlarray.bench import interleave, low, machine, write
from dlarray.device import Device, resolve
from dlarray.training import Examples, Step
from dlarray.training.batch_source import ArraySource, BatchSource, UploadSource


class Stream:
    """Steps on the batches of a source, epoch after epoch; without a step the batches are only waited for."""

    def __init__(self, source: BatchSource, device: Device, step: Callable[..., Any] | None, state: Any) -> None:
        self._batches = _forever(source)
        self._device, self._step, self._state = device, step, state
        self.losses: list[Any] = []

    def run(self, steps: int) -> float:
        """The seconds that so many steps take, until the device has done them."""
        began = time.perf_counter()
        self.losses = []
        for _ in range(steps):
            batch = next(self._batches)
            if self._step is not None:
                self._state, loss = self._step(self._state, batch)
                self.losses.append(loss)
        if self.losses:
            dlarray.to_numpy(self.losses[-1])
        self._device.backend.synchronize(self._device.handle)
        return time.perf_counter() - began


def _forever(source: BatchSource) -> Iterator[Any]:
    for epoch in count():
        yield from source.batches(epoch)


def measure(
    device: Device, widths: list[int], batch: int, examples: int, bursts: int, seconds: float
) -> dict[str, Any]:
    """Milliseconds a step, by where the examples lie, and how much of the way is hidden."""
    r = np.random.default_rng(0)
    x = r.normal(size=(examples, widths[0])).astype(np.float32)
    y = r.integers(0, widths[-1], examples).astype(np.int32)
    model, loss = dlarray.mlp(*widths), dlarray.SparseCategoricalCrossEntropy()
    step, host = Step(model, loss, dlarray.Adam()), resolve("cpu")

    def stream(where: Device, steps: bool = True) -> Stream:
        drawn = ArraySource(Examples.on(where, model, loss, x, y), batch, 0, True, where)
        source = drawn if where == device else UploadSource(drawn, device)
        state = step.init(model.init(0, device), (), 0, device) if steps else None
        return Stream(source, device, device.backend.compile(step) if steps else None, state)

    streams = {"device": stream(device), "host": stream(host), "way": stream(host, steps=False)}
    for name in ("device", "host"):
        streams[name].run(min(20, examples // batch))
    first, second = (dlarray.device.to_numbers(streams[name].losses) for name in ("device", "host"))
    assert first == second, "the losses differ"
    times = {name: 1e3 * low(means) for name, means in interleave(streams, bursts, seconds).items()}
    shorter = min(times["device"], times["way"])
    hidden = (times["device"] + times["way"] - times["host"]) / shorter
    return {"milliseconds": times, "hidden": hidden, "megabytes": 1e-6 * batch * (x.itemsize * widths[0] + y.itemsize)}


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="torch")
    parser.add_argument("--widths", default="784,1024,1024,10", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--batch", default=512, type=int)
    parser.add_argument("--examples", default=20_480, type=int)
    parser.add_argument("--bursts", default=10, type=int)
    parser.add_argument("--seconds", default=0.3, type=float)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    device = resolve(given.device)
    found = measure(device, given.widths, given.batch, given.examples, given.bursts, given.seconds)
    report = {"machine": machine(), "device": device.name, "widths": given.widths, "batch": given.batch, **found}
    for name, milliseconds in found["milliseconds"].items():
        print(f"{name:<7} {milliseconds:9.4g} ms")
    print(f"a batch of {found['megabytes']:.3g} MB; hidden: {found['hidden']:.2f}")
    if given.json:
        write(report, given.json)


if __name__ == "__main__":
    main()

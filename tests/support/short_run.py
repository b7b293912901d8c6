"""A short training run of every family on one device, as a program for compute-sanitizer and other memory checkers.

    python -m tests.support.short_run --device cuda
    compute-sanitizer python -m tests.support.short_run --device cuda --only optimizer
    compute-sanitizer --tool racecheck python -m tests.support.short_run --device torch:cuda:0 --dtype float32

Each step of ``families`` runs a few times, compiled if ``fit`` compiles it, and is compared with NumPy's eager step in
float64. The exit code is 0 if all losses agree and the state is finite, 1 if not, and 2 if the device cannot be used or
no step has such a name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.core.trees import leaves
from dlarray.device import Device, DeviceError, resolve, to_numpy
from dlarray.training import Step
from tests.support.families import WHOLE, batches, halves, start, steps

__all__ = ["main"]

ROUNDING = {"float64": 1e-12, "float32": 2e-6, "bfloat16": 2e-2, "float16": 2e-3}
"""The allowed error of a loss relative to the larger of itself and 1; for 16 bits the error of one product."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps and print a line for each; returns the exit code."""
    options = _options(arguments)
    try:
        device, host = resolve(options.device), resolve("cpu")
    except DeviceError as error:
        print(error, file=sys.stderr)
        return 2
    tried = {name: (step, step, ROUNDING[options.dtype]) for name, step in steps().items()}
    if options.dtype == "float32":
        tried |= {name: (step, WHOLE, ROUNDING[name.split()[1]]) for name, step in halves(device).items()}
    chosen = {name: found for name, found in tried.items() if options.only in name}
    if not chosen:
        print(f"no step is named {options.only!r}", file=sys.stderr)
        return 2
    bad = 0
    for name, (step, whole, allowed) in chosen.items():
        expected, _ = _run_steps(whole, host, "float64", options.steps, plain=True)
        plain = options.plain or (step is not whole and not device.backend.compiles_half)
        losses, left = _run_steps(step, device, options.dtype, options.steps, plain)
        off = float(np.max(np.abs(losses - expected) / np.maximum(np.abs(expected), 1.0)))
        good = off <= allowed and all(np.all(np.isfinite(x)) for x in left)
        bad += not good
        print(f"{'ok ' if good else 'BAD'} {name}: loss {losses[-1]:.7g}, off by {off:.2g}, allowed {allowed:.2g}")
    print(f"{len(chosen)} steps on {device} in {options.dtype}, {bad} bad")
    return min(bad, 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.short_run", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", default="", help="steps with this in their names")
    parser.add_argument("--plain", action="store_true", help="uncompiled, where fit would compile")
    return parser.parse_args(arguments)


def _run_steps(step: Step, device: Device, dtype: str, count: int, plain: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    """The losses of ``count`` steps, and the floating-point arrays of the last state."""
    compiled = device.backend.compiles_on(device.handle) and not plain
    run: Any = device.backend.compile(step) if compiled else step
    state = start(step, device, dtype)
    losses: list[float] = []
    for batch in batches(step, device, dtype, count):
        state, loss = run(state, batch)
        losses.append(float(to_numpy(loss)))
    left = [to_numpy(x) for x in leaves(state)]
    return np.array(losses), [x for x in left if x.dtype.kind == "f"]


if __name__ == "__main__":
    sys.exit(main())

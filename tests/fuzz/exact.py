"""Programs of instructions, compared to the last bit: ``python -m tests.fuzz.exact --programs 20000 --seed 0``.

A program is a list of instructions that the planner can plan, in names of the array API alone. Every kernel is run by
the executor and by the reference interpreter. With one block a kernel both must equal the eager step to the last bit.
Failures are shrunk.
"""

from __future__ import annotations

import argparse
import random
import sys
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.interpreter import run, run_by_rows, validate
from dlarray.planner.kernel.loops import BoundKernel, Call, Executor
from dlarray.planner.native.executor import native
from dlarray.planner.numpy.ufuncs import SMALL, ufuncs
from tests.fuzz.instructions import INSTRUCTIONS, Choices, Values, is_float, pick


@dataclass(frozen=True)
class Program:
    """A step, written as instructions over a batch of ``rows`` examples with ``cols`` features."""

    seed: int
    rows: int
    cols: int
    dtype: str
    instructions: tuple[tuple[str, Choices], ...]
    ending: Choices

    def __call__(self, state: Any, batch: Any) -> Any:
        x, labels, mask = batch
        xp = array_namespace(x)
        n = self.cols
        theta, (velocity, t), spare = state["theta"], state["pair"], state["spare"]
        table = state["table"]
        square = xp.reshape(theta[: n * n], (n, n))
        values: Values = [x, mask, labels, square, theta[n * n :], velocity, t, spare, table, x * 0.5 - theta[n * n :]]
        for name, choices in self.instructions:
            made = INSTRUCTIONS[name](xp, values, choices, self)
            if made is not None:
                values.append(made)
        return self._end(xp, state, values)

    def _end(self, xp: Any, state: Any, values: Values) -> Any:
        """New values for the state, in place or not, and the last few values as further results."""
        how = iter(self.ending)
        theta, (velocity, t), spare = state["theta"], state["pair"], state["spare"]
        table = state["table"]
        fresh = [self._like(xp, leaf, values, next(how)) for leaf in (theta, velocity, spare, table)]
        kind = next(how) % 4
        if kind == 0:
            theta -= 0.1 * fresh[0]
            velocity *= 0.9
            velocity += fresh[1]
            t += 1
        elif kind == 1:
            theta, velocity, t = fresh[0], velocity * 0.5 + fresh[1], t + 1
        elif kind == 2:
            theta, velocity, spare = theta + 0.01 * velocity, theta * 0.5, fresh[2]
        else:
            velocity = velocity + 0.0
            velocity -= 0.1 * theta
            theta = xp.concat([xp.reshape(v, (-1,)) for v in (fresh[1], fresh[1])])[: theta.shape[0]]
            t += 1
        loss = sum((xp.sum(xp.tanh(v)) for v in values[-3:] if is_float(v)), start=0.0 * xp.sum(values[0]))
        table = self._new_table(xp, table, fresh[3], next(how))
        return {"theta": theta, "pair": (velocity, t), "spare": spare, "table": table}, (loss, *values[-2:])

    @staticmethod
    def _new_table(xp: Any, table: Any, fresh: Any, choice: int) -> Any:
        """A matrix that is written while it is read in several ways: reversed, after a reduction, unchanged."""
        kind = choice % 5
        if kind == 0:
            return xp.tanh(table[::-1, ...] - 0.5 * table)
        if kind == 1:
            half = table * 0.5
            return half - xp.max(xp.tanh(half) * table, axis=-1, keepdims=True)
        if kind == 2:
            table -= xp.sum(table, axis=-1, keepdims=True) / 7
            return table
        if kind == 3:
            return fresh + table[:1, ...] * 0.1
        return table if choice % 2 else fresh

    @property
    def tolerance(self) -> float:
        """0, equal to the last bit, except where the eager step adds up arrays in another order of memory than the
        planner's.

        NumPy's results keep the order of transposed and reversed operands; buffers of the planner are in rows.
        """
        turned = any(
            (name, c[1] % 12) in {("view", 3), ("view", 4)} or name == "unknown" for name, c in self.instructions
        )
        return self.rounding if turned else 0.0

    @property
    def rounding(self) -> float:
        """The tolerance, relative to 1 and to the number, if sums are added in another order."""
        return 1e-11 if self.dtype == "float64" else 2e-4

    @staticmethod
    def _like(xp: Any, leaf: Any, values: Values, choice: int) -> Any:
        """A value of this leaf's shape and type; made if there is none."""
        fitting = [v for v in values if is_float(v) and v.shape == leaf.shape and v.dtype == leaf.dtype]
        if fitting:
            return xp.tanh(fitting[choice % len(fitting)])
        total = xp.sum(xp.tanh(pick(values, choice, is_float)))
        return xp.astype(xp.tanh(total) * leaf, leaf.dtype)

    def start(self) -> tuple[Any, list[Any]]:
        """The first state, and the batches of three steps."""
        r = np.random.default_rng(self.seed)
        n, size = self.cols, self.cols * self.cols + self.cols

        def draw(*shape: int) -> np.ndarray:
            return (0.5 * r.standard_normal(shape)).astype(self.dtype)

        state = {
            "theta": draw(size),
            "pair": (draw(size), np.zeros((), np.int32)),
            "spare": draw(1),
            "table": draw(3, 2),
        }
        batches = [
            (draw(self.rows, n), r.integers(0, max(n, 1), self.rows).astype(np.int32), r.random((self.rows, n)) < 0.5)
            for _ in range(3)
        ]
        return state, batches


def generate(seed: int) -> Program:
    """The program of this seed."""
    r = random.Random(seed)
    rows, cols = r.choice([0, 1, 1, 2, 3, 5, 7]), r.choice([1, 1, 2, 3, 4, 6])
    large = random.Random(f"large {seed}")
    if large.random() < 0.2:  # whole vectors, and their last few numbers
        rows, cols = large.choice([3, 15, 16, 17, 33, 40]), large.choice([2, 7, 15, 16, 17, 31, 32, 33, 40])
    names = r.choices(
        list(INSTRUCTIONS),
        k=r.randrange(3, 22),
        weights=[5 if n in ("unary", "binary", "reduce", "view") else 2 for n in INSTRUCTIONS],
    )

    def draw() -> Choices:
        return tuple(r.randrange(10**6) for _ in range(6))

    return Program(seed, rows, cols, r.choice(["float32", "float64"]), tuple((name, draw()) for name in names), draw())


def reference(call: Call) -> BoundKernel:
    """The interpreter as an executor."""
    validate(call.kernel)
    return BoundKernel([(run, (call,))])


def by_rows(call: Call) -> BoundKernel:
    """The interpreter that runs a kernel in the order of printed loops."""
    return BoundKernel([(run_by_rows, (call,))])


EXECUTORS: dict[str, Executor] = {
    "ufuncs": partial(ufuncs, small=0),
    "blocks": partial(ufuncs, block=4, small=SMALL),
    "reference": reference,
    "rows": by_rows,
}
COMPILED: dict[str, Executor] = {"native": native}
"""Executors that compile each new kernel, used with ``--executors native``."""

EXACT = {"ufuncs"}
"""Executors that add in NumPy's order."""


def failure(program: Program, name: str) -> str:
    """What is wrong with the plan of a program; "refused" if the planner runs it eagerly; else ""."""
    executor, tolerance = (EXECUTORS | COMPILED)[name], program.tolerance if name in EXACT else program.rounding
    state, batches = program.start()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = _three_steps(program, state, batches)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            return f"invalid: {error}"
        state, batches = program.start()
        warnings.simplefilter("error", PlannerWarning)
        fast = compile_step(program, executor, check=False)
        try:
            actual = _three_steps(fast, state, batches)
        except PlannerWarning as warning:
            return "refused" if "UntraceableError" in str(warning) else str(warning)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for i, (a, b) in enumerate(zip(expected, actual, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"value {i}: {a.dtype}{a.shape} eagerly, {b.dtype}{b.shape} planned"
        known = np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        if not known and not (
            a.dtype.kind == "f" and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        ):
            return f"value {i}: {a.ravel()[:4]} eagerly, {b.ravel()[:4]} planned"
    return ""


def _three_steps(step: Any, state: Any, batches: Any) -> list[np.ndarray]:
    seen: list[np.ndarray] = []
    for batch in batches:
        state, out = step(state, batch)
        seen += [np.array(leaf) for leaf in (state["theta"], *state["pair"], state["spare"], state["table"], *out)]
    return seen


def shrink(program: Program, name: str) -> Program:
    """The same failure with fewer instructions: each is dropped if the program still fails."""
    shorter = True
    while shorter:
        shorter = False
        for i in reversed(range(len(program.instructions))):
            less = replace(program, instructions=program.instructions[:i] + program.instructions[i + 1 :])
            found = failure(less, name)
            if found and found != "refused" and not found.startswith("invalid"):
                program, shorter = less, True
    return program


def fuzz(seeds: range, names: list[str]) -> tuple[list[str], dict[str, int]]:
    """Run the programs of these seeds. Returns reports of failures, and how many ran, were refused or invalid."""
    reports: list[str] = []
    counts = {"equal": 0, "refused": 0, "invalid": 0, "failed": 0}
    for seed in seeds:
        program = generate(seed)
        for name in names:
            found = failure(program, name)
            what = (
                "equal"
                if not found
                else found
                if found == "refused"
                else "invalid"
                if found.startswith("invalid")
                else "failed"
            )
            counts[what] += 1
            if what == "failed":
                small = shrink(program, name)
                reports.append(f"seed {seed}, {name}: {failure(small, name)}\n  {small}")
    return reports, counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executors", default=",".join(EXECUTORS))
    parser.add_argument("--stop", type=int, default=10, help="stop after so many failures")
    args = parser.parse_args()
    failed = 0
    total = {"equal": 0, "refused": 0, "invalid": 0, "failed": 0}
    for start in range(args.seed, args.seed + args.programs, 250):
        reports, counts = fuzz(range(start, min(start + 250, args.seed + args.programs)), args.executors.split(","))
        total = {name: n + counts[name] for name, n in total.items()}
        failed += len(reports)
        print(*reports, sep="\n", end="\n" if reports else "")
        print(f"seeds {args.seed} to {start + 249}: {total}", flush=True)
        if failed >= args.stop:
            break
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

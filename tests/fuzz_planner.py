"""Random programs, eager against planned: ``python -m tests.fuzz_planner --programs 20000 --seed 0``.

A program is a list of instructions; each takes its operands from the values made so far, by numbers that are reduced to
what fits, so a program stays valid when instructions are dropped. That is how failures are shrunk. Every kernel is run
by the executor and by the reference interpreter. With one block a kernel both must equal the eager step to the last
bit.
"""

from __future__ import annotations

import argparse
import random
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dlarray.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as compile_step
from dlarray.planner.interpreter import run, run_by_rows, validate
from dlarray.planner.loops import Bound, Call, Executor
from dlarray.planner.numba_executor import numba_loops
from dlarray.planner.ufuncs import SMALL, ufuncs

Values = list[Any]
Choices = tuple[int, ...]


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
        """New values for the state, in place or not, and the last few values as what is returned beside it."""
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
        loss = sum((xp.sum(xp.tanh(v)) for v in values[-3:] if _is_float(v)), start=0.0 * xp.sum(values[0]))
        table = self._new_table(xp, table, fresh[3], next(how))
        return {"theta": theta, "pair": (velocity, t), "spare": spare, "table": table}, (loss, *values[-2:])

    @staticmethod
    def _new_table(xp: Any, table: Any, fresh: Any, choice: int) -> Any:
        """A matrix that is written while it is read in several ways: turned round, after a reduction, as it is."""
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
        """0, equal to the last bit, save where the eager step adds up arrays in another order of memory than the
        planner's.

        NumPy's results keep the order of transposed and reversed operands; buffers of the planner are in rows.
        """
        turned = any(
            (name, c[1] % 12) in {("view", 3), ("view", 4)} or name == "unknown" for name, c in self.instructions
        )
        return self.rounding if turned else 0.0

    @property
    def rounding(self) -> float:
        """What may differ, relative to 1 and to the number, where sums are added up in another order."""
        return 1e-11 if self.dtype == "float64" else 2e-4

    @staticmethod
    def _like(xp: Any, leaf: Any, values: Values, choice: int) -> Any:
        """Some value of this leaf's shape and type; else one that is made for it."""
        fitting = [v for v in values if _is_float(v) and v.shape == leaf.shape and v.dtype == leaf.dtype]
        if fitting:
            return xp.tanh(fitting[choice % len(fitting)])
        total = xp.sum(xp.tanh(_pick(values, choice, _is_float)))
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


def _is_float(v: Any) -> bool:
    return v.dtype.kind == "f"


def _is_bool(v: Any) -> bool:
    return v.dtype.kind == "b"


def _is_integer(v: Any) -> bool:
    return v.dtype.kind == "i"


def _is_matrix(v: Any) -> bool:
    return _is_float(v) and v.ndim == 2


def _pick(values: Values, choice: int, fits: Callable[[Any], bool]) -> Any:
    fitting = [v for v in values if fits(v)]
    return fitting[choice % len(fitting)] if fitting else None


def _partner(values: Values, choice: int, a: Any, fits: Callable[[Any], bool]) -> Any:
    """A value that can be broadcast against a."""

    def meets(v: Any) -> bool:
        try:
            shape = np.broadcast_shapes(v.shape, a.shape)
        except ValueError:
            return False
        return fits(v) and v.dtype == a.dtype and np.prod(shape) <= 5000

    return _pick(values, choice, meets)


Instruction = Callable[[Any, Values, Choices, Program], Any]
INSTRUCTIONS: dict[str, Instruction] = {}


def _instruction(f: Instruction) -> Instruction:
    INSTRUCTIONS[f.__name__] = f
    return f


@_instruction
def unary(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_float)
    forms: list[Callable[[Any], Any]] = [
        xp.tanh,
        lambda a: xp.exp(-xp.abs(a)),
        lambda a: xp.sqrt(xp.abs(a)),
        lambda a: xp.log1p(xp.abs(a)),
        lambda a: xp.expm1(xp.minimum(a, 1.0)),
        lambda a: -a,
        xp.sign,
        xp.floor,
        lambda a: xp.square(xp.tanh(a)),
        lambda a: 1 / (1 + xp.abs(a)),
        lambda a: xp.clip(a, -0.5, 0.75),
        lambda a: xp.maximum(a, 0.0),
        lambda a: 2.5 - a * 0.5,
        lambda a: xp.tanh(a) ** 2,
        lambda a: xp.pow(xp.abs(a), 1.5) / 3,  # not the operator: for single numbers NumPy has another power
    ]
    return forms[c[1] % len(forms)](a)


@_instruction
def binary(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_float)
    b = _partner(values, c[1], a, _is_float)
    forms: list[Callable[[Any, Any], Any]] = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: xp.tanh(a) * b,
        lambda a, b: a / (1 + xp.abs(b)),
        xp.maximum,
        xp.minimum,
        lambda a, b: xp.where(a > b, a, 0.5 * b),
        lambda a, b: xp.where(a > b, a, 0.0),
        lambda a, b: xp.where(a <= b, 0.0, b),
        lambda a, b: xp.astype(a != b, a.dtype),
    ]
    return forms[c[2] % len(forms)](a, b)


@_instruction
def compare(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_float)
    return [lambda a: a > 0.1, lambda a: xp.isfinite(a), lambda a: a <= 0, lambda a: ~(a == 0)][c[1] % 4](a)


@_instruction
def logical(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_bool)
    b = _partner(values, c[1], a, _is_bool)
    return [lambda a, b: a & b, lambda a, b: a | ~b, xp.logical_xor, lambda a, b: xp.logical_and(a, xp.logical_not(b))][
        c[2] % 4
    ](a, b)


@_instruction
def masked(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_bool)
    forms = [lambda a: xp.astype(a, xp.float32), lambda a: xp.where(a, 1.0, 0.25), lambda a: xp.astype(a, xp.int32)]
    return xp.astype(forms[c[1] % 3](a), getattr(xp, program.dtype))


@_instruction
def count(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    labels, n = values[2], program.cols
    forms: list[Callable[[], Any]] = [
        lambda: xp.reshape(labels, (-1, 1)) == xp.arange(n, dtype=labels.dtype),
        lambda: (
            xp.reshape((xp.arange(program.rows * n, dtype=xp.int32) ^ (labels[:1] + 7)) * 40503 >> 3, (program.rows, n))
            & 255
        ),
        lambda: labels * 3 + 1,
        lambda: values[6] * 2 + 1,
        lambda: xp.reshape(values[6], (1,)) ^ 12345,
    ]
    if program.rows == 0 and c[0] % 5 == 1:
        return None
    return forms[c[0] % 5]()


@_instruction
def bits(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_integer)
    b = _partner(values, c[1], a, _is_integer)
    forms = [
        lambda a, b: a ^ b,
        lambda a, b: (a & 1023) + b,
        lambda a, b: (a >> 2) | 1,
        lambda a, b: a < b,
        lambda a, b: -a,
    ]
    return forms[c[2] % 5](a, b)


@_instruction
def to_float(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_integer)
    return xp.astype(a & 15, getattr(xp, program.dtype)) / 16


@_instruction
def reduce(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_float)
    name = ["sum", "mean", "sum", "max", "min"][c[1] % 5]
    axes = [None, *range(-a.ndim, a.ndim)]
    axis = axes[c[2] % len(axes)]
    if 0 in a.shape and name != "sum":
        return None
    return getattr(xp, name)(a, axis=axis, keepdims=bool(c[3] % 2)) / max(program.cols, 1)


@_instruction
def view(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], lambda v: v.ndim > 0)
    n = a.shape[-1]
    forms: list[Callable[[], Any]] = [
        lambda: a[0] if a.shape[0] else None,
        lambda: a[..., : max(n - 1, 0)],
        lambda: a[::2],
        lambda: a[..., ::-1],
        lambda: xp.permute_dims(a, tuple(reversed(range(a.ndim)))),
        lambda: xp.reshape(a, (-1,)),
        lambda: xp.reshape(a, (a.shape[-1], a.shape[0]) if a.ndim == 2 else (1, -1)),
        lambda: xp.expand_dims(a, axis=c[2] % (a.ndim + 1)),
        lambda: a[..., 0:1],
        lambda: a[(0,) * a.ndim] if 0 not in a.shape else None,
        lambda: xp.reshape(a, (*a.shape, 1)),
        lambda: a[1:, ...],
    ]
    return forms[c[1] % len(forms)]()


@_instruction
def product(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_matrix)
    b = _pick(values, c[1], lambda v: _is_matrix(v) and v.dtype == a.dtype and v.shape[0] in a.shape)
    if b is None:
        return None
    return 0.3 * ((a if b.shape[0] == a.shape[1] else a.T) @ b)


@_instruction
def in_place(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    a = _pick(values, c[0], _is_float)
    b = _partner(values, c[1], a, _is_float)
    y = a + 0.0
    if np.broadcast_shapes(a.shape, b.shape) != a.shape:
        return None
    y *= 0.7
    if c[2] % 3 == 0:
        old = y + 0
        y += b
        return y - 0.5 * old
    if c[2] % 3 == 1:
        y -= b
        y /= 1 + xp.abs(a)
    else:
        y += b
    return y


@_instruction
def alias(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    """Written through one name, read through another: the planner must refuse or do as NumPy does."""
    if c[2] % 12:
        return None
    a = _pick(values, c[0], lambda v: _is_float(v) and v.ndim > 0)
    y = a * 1.5
    part = y[:1]
    if c[1] % 2:
        part += 1.0
        return y + 0
    y += 1.0
    return part * 2


@_instruction
def rows_again(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    """The shape of softmax: a value that is reduced by rows and then read again, perhaps with what it was made of."""
    a = _pick(values, c[0], lambda v: _is_matrix(v) and 0 not in v.shape)
    if a is None:
        return None
    b = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
    b /= xp.sum(b, axis=-1, keepdims=True)
    return b * a if c[1] % 2 else b


@_instruction
def joined(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    parts = [xp.reshape(_pick(values, i, lambda v: v.dtype == program.dtype), (-1,)) for i in c[:3]]
    if c[3] % 2:
        parts.append(xp.zeros(5, dtype=getattr(xp, program.dtype)))
    whole = xp.concat(parts)
    return whole if whole.shape[0] <= 5000 else None


@_instruction
def unknown(xp: Any, values: Values, c: Choices, program: Program) -> Any:
    """What the planner leaves to NumPy."""
    a = _pick(values, c[0], lambda v: _is_float(v) and v.ndim > 0)
    if 0 in a.shape:
        return None
    forms: list[Callable[[], Any]] = [
        lambda: xp.cumulative_sum(a, axis=0),
        lambda: xp.sort(a, axis=-1),
        lambda: xp.var(a),
        lambda: xp.take(a, values[2] % a.shape[0], axis=0),
        lambda: xp.flip(a, axis=0),
        lambda: xp.stack([a, a * 2])[1],
        lambda: xp.astype(xp.argmax(a, axis=-1), xp.int32) & 3,
        lambda: xp.sum(xp.broadcast_to(a, (2, *a.shape)), axis=0),
    ]
    made = forms[c[1] % len(forms)]()
    return made if made.size <= 5000 else None


def generate(seed: int) -> Program:
    """The program of this seed."""
    r = random.Random(seed)
    rows, cols = r.choice([0, 1, 1, 2, 3, 5, 7]), r.choice([1, 1, 2, 3, 4, 6])
    names = r.choices(
        list(INSTRUCTIONS),
        k=r.randrange(3, 22),
        weights=[5 if n in ("unary", "binary", "reduce", "view") else 2 for n in INSTRUCTIONS],
    )

    def draw() -> Choices:
        return tuple(r.randrange(10**6) for _ in range(6))

    return Program(seed, rows, cols, r.choice(["float32", "float64"]), tuple((name, draw()) for name in names), draw())


def reference(call: Call) -> Bound:
    """The interpreter as an executor."""
    validate(call.kernel)
    return Bound([(run, (call,))])


def by_rows(call: Call) -> Bound:
    """The interpreter that goes through a kernel as printed loops do."""
    return Bound([(run_by_rows, (call,))])


EXECUTORS: dict[str, Executor] = {
    "ufuncs": partial(ufuncs, small=0),
    "blocks": partial(ufuncs, block=4, small=SMALL),
    "reference": reference,
    "rows": by_rows,
}
COMPILED: dict[str, Executor] = {"numba": numba_loops}
"""Executors that take a while for each new kernel: ``--executors numba`` asks for them."""

EXACT = {"ufuncs"}
"""Executors that add up in NumPy's own order."""


def failure(program: Program, name: str) -> str:
    """What is wrong with the plan of a program; "refused" where the planner chose to run it eagerly; else nothing."""
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
    """The same failure with as few instructions as dropping one after the other leaves."""
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
    """Run the programs of these seeds; the reports of those that fail, and how many ran, were refused or invalid."""
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

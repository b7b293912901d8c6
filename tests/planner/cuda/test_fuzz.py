"""Random programs on a GPU, and the memory of plans: more by ``python -m tests.planner.cuda.test_fuzz 0 300``."""

from __future__ import annotations

import copy
import sys
import warnings
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.planner import PlannerWarning, plan
from dlarray.planner.cuda.arena import Arena
from dlarray.planner.cuda.epilogues import Fused, options
from dlarray.planner.cuda.gpu import ALIGNMENT
from dlarray.planner.cuda.jobs import Jobs
from dlarray.planner.cuda.step import compile_on_gpu
from dlarray.planner.cuda.tuning import Tuning
from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.trace.node import root
from tests.fuzz.exact import generate
from tests.fuzz.programs import written
from tests.fuzz.sessions import failure as failed
from tests.fuzz.shrinking import is_failure
from tests.support import families
from tests.support.gpu import WatchedGpu, to_gpu
from tests.support.gpu_kernels import run_on_gpu
from tests.support.gpu_steps import leaves, run

PROGRAMS, SOURCES = 15, 12
REFUSED = "UntraceableError"


def failure(seed: int, gpu: WatchedGpu) -> str:
    """What is wrong with a program on the GPU; "refused" or "invalid" if there is no plan or no such program."""
    made = generate(seed)
    state, batches = made.start()
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            expected = run(made, copy.deepcopy(state), batches)
        except (ValueError, TypeError, IndexError, AttributeError):
            return "invalid"
        planned = compile_on_gpu(made, gpu)
        actual = run(planned, to_gpu(state), [to_gpu(batch) for batch in batches])
    said = [str(w.message) for w in caught if issubclass(w.category, PlannerWarning)]
    if any(REFUSED in text for text in said):
        return "refused"
    wrong = [text for text in said if "no graph can hold what the library allocates" not in text]
    if wrong:
        return wrong[0]
    for n, (xs, ys) in enumerate(zip(actual, expected, strict=True)):
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if x.shape != y.shape or x.dtype != y.dtype:
                return f"step {n}, array {i}: {x.dtype}{x.shape}, expected {y.dtype}{y.shape}"
            limit = made.rounding if x.dtype.kind == "f" else 0.0
            if not np.allclose(x, y, rtol=limit, atol=limit, equal_nan=x.dtype.kind == "f"):
                return f"step {n}, array {i}: {x.ravel()[:4]}, expected {y.ravel()[:4]}"
    return ""


def test_random_programs(gpu: WatchedGpu):
    found = {seed: failure(seed, gpu) for seed in range(PROGRAMS)}
    assert not {seed: why for seed, why in found.items() if why not in ("", "refused", "invalid")}
    assert list(found.values()).count("") >= PROGRAMS // 2, found


def test_random_source(gpu: WatchedGpu):
    """Kernels of programs as users write them, on NumPy's arrays: on a GPU numbers are arrays, unlike NumPy's."""

    def executor(call: Call) -> BoundKernel:
        return BoundKernel([(run_on_gpu, (call, gpu))])

    found = {seed: failed(written(seed), executor) for seed in range(SOURCES)}
    assert not {seed: why for seed, why in found.items() if is_failure(why)}
    assert list(found.values()).count("") >= SOURCES // 3, found


@cache
def plans() -> dict[str, tuple[Plan, int]]:
    """Plans of the library's steps and of random ones, with the number of the state's arrays."""
    device = dl.device.resolve("cpu")
    found: dict[str, Any] = {
        name: (step, families.start(step, device, "float32"), families.batches(step, device, "float32")[0])
        for name, step in families.steps().items()
    }
    for seed in range(150):
        made = generate(seed)
        state, batches = made.start()
        found[f"program {seed}"] = made, state, batches[0]
    made_of: dict[str, tuple[Plan, int]] = {}
    for name, given in found.items():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                made_of[name] = plan(*given).plan, len(leaves(given[1]))
            except ValueError:
                continue
    return made_of


class Recorder(Arena):
    """An arena that keeps its parts."""

    def part(self, nbytes: int) -> int:
        start = super().part(nbytes)
        self.__dict__.setdefault("parts", []).append((start, nbytes))
        return start


def test_values_never_overlap_while_both_live(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    """Everything starts on a multiple of 256 bytes, and while a value is still to be read nothing else is there."""
    monkeypatch.setattr("dlarray.planner.cuda.jobs.Arena", Recorder)
    many = plans()
    assert len(many) > 200
    for name, (made, moving) in many.items():
        jobs = Jobs(made, moving, gpu)
        Tuning(jobs).prepare()
        parts = sorted(jobs.arena.__dict__["parts"])
        assert all(start % ALIGNMENT == 0 for start, _ in parts), name
        assert all(start + nbytes <= after for (start, nbytes), (after, _) in pairwise(parts)), name
        assert parts[-1][0] + parts[-1][1] <= jobs.nbytes, name
        _check_lives(name, made, jobs)


def _check_lives(name: str, made: Plan, jobs: Jobs) -> None:
    end = len(made.units)
    born = {node: i for i, unit in enumerate(made.units) for node in unit.outputs}
    dies = dict(born)
    for i, unit in enumerate(made.units):
        for node in made.reads(unit):
            if node in born:
                dies[node] = max(dies[node], i)
    dies |= {root(node): end for node in made.outputs if root(node) in born}
    where = {node: jobs.arena.location(node) for node in born}
    nodes = list(born)
    for i, a in enumerate(nodes):
        for b in nodes[i + 1 :]:
            if where[a][0] != where[b][0] or a.nbytes == 0 or b.nbytes == 0 or "concat" in (a.op, b.op):
                continue
            (x, y) = where[a][1], where[b][1]
            apart = x + a.nbytes <= y or y + b.nbytes <= x
            # the last reader of one may write the other: a kernel reads each number before it writes there
            assert apart or dies[a] <= born[b] or dies[b] <= born[a], f"{name}: {a} and {b}"


def test_what_options_write_later_is_still_there(gpu: WatchedGpu):
    """With any option each value is written no earlier than without it, and each read finds its value."""
    for name, (made, _) in plans().items():
        place = {unit: i for i, unit in enumerate(made.units)}
        for option in options(made):
            for unit, choice in option.instead.items():
                if isinstance(choice, Fused):
                    assert place[choice.unit] <= place[unit], name


def test_a_wrong_plan_is_found(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    """The fuzzer finds strides that are left out."""
    monkeypatch.setattr("dlarray.planner.cuda.jobs.span", lambda node, shape=None: _wrong(node, shape))
    found = [failure(seed, gpu) for seed in range(6)]
    assert any(why not in ("", "refused", "invalid") for why in found)


def _wrong(node: Any, shape: Any) -> Any:
    from dlarray.planner.cuda.arena import Span, span

    right = span(node, shape)
    return Span(right.start, right.shape, tuple(0 for _ in right.strides))


if __name__ == "__main__":
    first, many = int(sys.argv[1]), int(sys.argv[2])
    counts: dict[str, int] = {}
    for seed in range(first, first + many):
        why = failure(seed, WatchedGpu())
        counts[why if why in ("", "refused", "invalid") else "failed"] = counts.get(why, 0) + 1
        if why not in ("", "refused", "invalid"):
            print(f"seed {seed}: {why}", flush=True)
    print(counts)

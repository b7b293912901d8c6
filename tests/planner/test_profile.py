"""The profile of a step: its arithmetic with a fake clock, the parts compared with the step. No real time is judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.bench import Limits, Profile, limits, low, profile, profiles
from dlarray.core.trees import flatten
from dlarray.device import resolve
from dlarray.device.description import Description, Kind, Names, Work
from dlarray.device.timing import Timings
from dlarray.planner import PlannerWarning, compile  # noqa: A004 - the field's word
from dlarray.planner import profile as planned_times
from dlarray.planner.run.profiling import measure_in_turns

TINY = "8-6-3x5"
QUICK: dict[str, Any] = {"bursts": 2, "seconds": 1e-4}
X = np.random.default_rng(0).standard_normal((700, 7)).astype(np.float32)  # 19,600 bytes: read in place
T = (np.arange(700) % 3).astype(np.int32)


class Clock:
    """A clock that advances with each part, not with time."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def first(batch_size: int = 700, **options: Any) -> Any:
    layers = [dlarray.Dense(6), dlarray.BatchNorm(), "tanh", dlarray.Dropout(0.2), dlarray.Dense(3)]
    return dlarray.first_step(dlarray.MLP(7, layers), X, T, batch_size=batch_size, **options)


def arrays(*trees: Any) -> list[np.ndarray]:
    found: list[Any] = []
    flatten(trees, found)
    return found


# Measuring


def test_each_part_is_given_the_time_that_it_took() -> None:
    clock, done = Clock(), list[str]()

    def part(name: str, seconds: float) -> Any:
        return lambda: (done.append(name), clock.work(seconds))

    parts = [part("a", 0.25), part("b", 0.5), part("c", 0.0)]
    found, whole = measure_in_turns(parts, part("whole", 1.0), part("restore", 100.0), 3, 2.0, clock)
    assert (found, whole) == ([0.25, 0.5, 0.0], 1.0)
    turn = ["restore", *"abc" * 3, "restore", "whole", "whole", "whole"]  # the first pass of each is not measured
    assert done == ["whole", "whole", *turn * 3]


def test_the_low_one_of_the_bursts_counts() -> None:
    clock = Clock()
    times = iter([9.0, 3.0, 9.0, 1.0, 9.0, 2.0])  # each burst warms up once and measures once
    found, _ = measure_in_turns([lambda: clock.work(next(times))], lambda: None, lambda: None, 3, 0.0, clock)
    assert found == [pytest.approx(low([3.0, 1.0, 2.0]))] == [pytest.approx(1.2)]


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
@pytest.mark.parametrize("batch_size", [5, 700])
def test_the_pieces_in_order_are_the_step(executor: str, batch_size: int) -> None:
    pytest.importorskip("llvmlite" if executor == "native" else "numpy")
    step, state, batch = first(batch_size)
    compiled = compile(step, executor)
    for _ in range(3):
        state, _ = compiled(state, batch)
    before = [a.copy() for a in arrays(state)]
    compiled(state, batch)
    expected = [a.copy() for a in arrays(state)]
    for a, old in zip(arrays(state), before, strict=True):
        a[...] = old
    pieces = compiled.pieces(batch)
    assert len(pieces) == len(compiled.latest().plan.units) + 2
    for piece in pieces:
        piece()
    assert all(np.array_equal(a, b) for a, b in zip(arrays(state), expected, strict=True))


def test_a_program_that_has_not_run_cannot_be_taken_apart() -> None:
    step, _, batch = first()
    with pytest.raises(ValueError, match="after it has run"):
        compile(step).pieces(batch)


# Backends


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
def test_the_works_are_those_that_explain_shows(executor: str) -> None:
    pytest.importorskip("llvmlite" if executor == "native" else "numpy")
    step, state, batch = first()
    kept = [a.copy() for a in arrays(state, batch)]
    found = planned_times(step, state, batch, step.names, executor, **QUICK)
    assert found.description == dlarray.explain(step, state, batch).description
    assert all(t == 0 for work, t in zip(found.description.works, found.works, strict=True) if not work.nbytes)
    assert sum(found.works) > 0
    assert found.step > 0
    assert found.between == found.step - sum(found.works)
    assert found.device == "cpu"
    assert all(np.array_equal(a, b) for a, b in zip(arrays(state, batch), kept, strict=True))


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_a_step_may_be_compiled_already_and_stays_as_it_was(device: str) -> None:
    pytest.importorskip("torch" if device == "torch" else "numpy")
    where = resolve(device)
    step, state, batch = first(device=device)
    kept = np.array(dlarray.to_numpy(state["theta"][0]))
    plain = where.backend.profile(step, state, batch, step.names, **QUICK)
    again = where.backend.profile(where.backend.compile(step), state, batch, step.names, **QUICK)
    assert plain.description == again.description == dlarray.explain(step, state, batch).description
    assert len(plain.works) == len(again.works) == len(plain.description.works)
    assert np.array_equal(dlarray.to_numpy(state["theta"][0]), kept)
    assert int(state["steps"]) == 0


@pytest.mark.parametrize("device", ["strict", "jax"])
def test_without_a_planner_there_is_nothing_to_measure(device: str) -> None:
    pytest.importorskip({"strict": "array_api_strict"}.get(device, device))
    with pytest.raises(ValueError, match=f"dlarray plans no steps of the backend {device}: "):
        profiles([TINY], device, **QUICK)


def test_a_step_that_runs_eagerly_has_no_works() -> None:
    def step(state: Any, batch: Any) -> Any:
        return state, batch if float(batch[0]) > 0 else -batch

    with (
        pytest.warns(PlannerWarning, match="cannot be traced"),
        pytest.raises(ValueError, match="runs eagerly"),
    ):
        planned_times(step, np.ones(3), np.ones(3), Names(), "ufuncs", **QUICK)
    with pytest.raises(TypeError, match="profile needs arrays"):
        profile(step, {}, ())
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="tensors on the CPU that NumPy can read"):
        profile(step, torch.ones(3, requires_grad=True), torch.ones(3))


# The limits


ROOF = Limits(100.0, ((10, 80.0), (20, 40.0), (40, 20.0)))


def work(kind: Kind, flops: int, nbytes: int) -> Work:
    return Work(kind, f"{kind} of {nbytes}", (f"y = {kind}",), 1, flops, nbytes)


def test_what_limits_a_work() -> None:
    assert (ROOF.memory, ROOF.cache) == (20.0, 20)
    assert [ROOF.bandwidth(n) for n in (0, 10, 11, 40, 1000)] == [80.0, 80.0, 40.0, 20.0, 20.0]
    cases = [
        (work("product", 500, 10), 5.0, "products"),
        (work("product", 10, 100), 5.0, "memory"),
        (work("product", 10, 16), 0.4, "cache"),
        (work("kernel", 10_000, 16), 0.4, "cache"),  # the least time of its arithmetic is unknown
        (work("kernel", 1, 100), 5.0, "memory"),
        (work("concatenation", 0, 0), 0.0, "cache"),
    ]
    for one, seconds, which in cases:
        assert (ROOF.seconds(one), ROOF.which(one)) == (seconds, which)
    flat = Limits(100.0, ((10, 24.0), (40, 20.0)))
    assert (flat.cache, flat.which(work("kernel", 1, 1))) == (0, "memory")  # no cache was measured


def test_limits_are_measured_by_the_clock() -> None:
    found = limits(resolve("cpu"), "float64", sizes=(80, 160), sides=(4, 8), clock=Clock(0.5))
    assert found == Limits(2 * 4**3 / 0.5, ((80, 160 / 0.5), (160, 320 / 0.5)))
    found = limits(resolve("cpu"), "float32", sizes=(80,), sides=(4, 8), clock=Clock(0.002))
    assert found.products == pytest.approx(
        2 * 8**3 / (0.002 / 10)
    )  # a second product, and ten of each in a turn of 20 ms


# Text and pictures


def shown() -> Profile:
    works = [work("product", 500, 10), work("kernel", 20, 100), work("concatenation", 0, 0)]
    plan = Description(works, [], [], 0, 0, 1, 1)
    return Profile(Timings(plan, (10.0, 5.0, 0.0), 20.0, "cpu"), ROOF)


def test_the_figures_are_what_the_times_say() -> None:
    found = shown().result()
    assert json.loads(json.dumps(found)) == found
    assert (found["step_seconds"], found["works_seconds"], found["between_seconds"]) == (20.0, 15.0, 5.0)
    assert found["limit_seconds"] == 5.0 + 5.0
    assert found["count"] == {"product": 1, "kernel": 1, "concatenation": 1, "call": 0}
    product, kernel, nothing = found["works"]
    assert (product["share"], product["flops_per_second"], product["bytes_per_second"]) == (0.5, 50.0, 1.0)
    assert (product["limit"], product["limit_share"]) == ("products", 0.5)
    assert (kernel["limit"], kernel["limit_share"]) == ("memory", 1.0)
    assert (nothing["flops_per_second"], nothing["bytes_per_second"], nothing["limit_share"]) == (None, None, None)


def test_the_table_says_the_same_in_words() -> None:
    head, titles, *rows, together, least, machine = str(shown()).splitlines()
    assert head == "a step takes 20 s: 1 product 50.0%, 1 kernel 25.0%, 1 concatenation 0.0%"
    assert repr(shown()) == f"Profile({head})"
    assert titles.split() == ["work", "time", "share", "flop/s", "B/s", "of", "its", "limit"]
    assert [" ".join(row.split()) for row in rows] == [
        "1. product of 10: y = product 10 s 50.0% 50 flop/s 1 B/s 50% of products",
        "2. kernel of 100 5 s 25.0% 4 flop/s 20 B/s 100% of memory",
        "3. concatenation of 0 nothing",
    ]
    assert together == "together 15 s, 75.0% of the step; between them 5 s"
    assert least == "at their limits they would take 10 s, 50.0% of the step"
    assert machine == (
        "limits of cpu: products 100 flop/s, memory 20 B/s; up to 20 B fit in a cache, with 40 B/s or more"
    )


def test_a_step_has_a_time_for_each_work() -> None:
    with pytest.raises(ValueError, match="expected the times of 3 works, got 1"):
        Timings(shown().timings.description, (1.0,), 1.0, "cpu")


@pytest.fixture
def no_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of small arrays depend on the form in the same way."""
    monkeypatch.setattr("dlarray.bench.profiling.limits", lambda device, dtype: ROOF)


@pytest.mark.usefixtures("no_large_arrays", "without_native")
def test_the_command_profiles(tmp_path: Path) -> None:
    testing = pytest.importorskip("typer.testing")
    from dlarray.cli import app

    command = ["bench", "--cases", f"{TINY},S", "--bursts", "1", "--seconds", "0.0001", "--profile"]
    runner = testing.CliRunner()
    done = runner.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert [line.partition(":")[0] for line in done.output.splitlines() if " a step takes " in line] == [TINY, "S"]
    assert "product 5 × 8 by 8 × 6: 0.xW = x @ 0.W" in done.output
    file = tmp_path / "profile.json"
    done = runner.invoke(app, [*command, "--json", "--output", str(file)])
    found = json.loads(done.stdout)
    assert found == json.loads(file.read_text()) | {"notes": []}
    works = dlarray.bench.plans([TINY])[TINY].description.works
    assert [w["title"] for w in found["profiles"][TINY]["works"]] == [w.title for w in works]
    assert "a step takes" in done.stderr
    assert runner.invoke(app, [*command, "--explain"]).exit_code == 2
    pytest.importorskip("array_api_strict")
    done = runner.invoke(app, [*command, "--device", "strict"])
    assert done.exit_code == 1
    assert "dlarray plans no steps of the backend strict" in done.stderr

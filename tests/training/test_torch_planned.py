"""torch's CPU through the planner: the numbers of torch's plain step, in the caller's tensors, or that step itself."""

from __future__ import annotations

import shutil
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.core.layer import Layer
from dlarray.core.trees import leaves
from dlarray.device import resolve
from dlarray.planner import PlannerWarning
from dlarray.training import Step

torch = pytest.importorskip("torch")

from dlarray_torch import compiled_by_torch  # noqa: E402 - torch may be missing
from dlarray_torch.planned import Planned  # noqa: E402

from tests.support.steps import descent  # noqa: E402
from tests.support.threads import at_once  # noqa: E402

STEPS = 20
NOISY: list[Any] = [dl.Dense(8), dl.LayerNorm(), "gelu", dl.Dropout(0.3), dl.RMSNorm(), "swish", dl.Dense(4)]
PROBLEMS = {
    "Adam, dropout, norms, clipping": (NOISY, dl.Clipped(dl.Adam(weight_decay=0.1), dl.clip_by_global_norm, 0.5)),
    "AdamW, batch norm, a schedule": (  # no bias before the norm: its gradient is 0, and Adam would magnify rounding
        [dl.BatchNorm(), dl.Dense(8), "tanh", dl.Dense(4)],
        dl.AdamW(dl.CosineDecay(1e-2, 15)),
    ),
    "momentum, residual": ([dl.Dense(8), dl.Residual([dl.Dense(8), "relu"]), dl.Dense(4)], dl.Momentum(1e-2)),
    "Adagrad, clipping by value": ([dl.Dense(4)], dl.Clipped(dl.Adagrad(), dl.clip_by_value, 0.1)),
    "NAdam": ([dl.Dense(8), "sigmoid", dl.Dense(4)], dl.NAdam(weight_decay=0.01)),
    "Lion": ([dl.Dense(8), "elu", dl.Dense(4)], dl.Lion()),
}


def start(step: Step, dtype: str = "float64") -> Any:
    device = resolve("torch:cpu")
    return step.init(step.model.init(0, device, dtype), step.model.init_buffers(device, dtype), 0, device)


def batches(dtype: str = "float64", inputs: int = 6) -> list[Any]:
    r = np.random.default_rng(7)
    sizes = [7 if i % 5 != 4 else 3 for i in range(STEPS)]  # a ragged batch at the end of each epoch
    pairs = [(r.standard_normal((n, inputs)).astype(dtype), r.integers(0, 4, n).astype("int32")) for n in sizes]
    return [(torch.tensor(x), torch.tensor(t), None) for x, t in pairs]


def planned(step: Any) -> Planned:
    """As the backend does it where there is no llvmlite, whose compiler would take most of the time here."""
    return Planned(step, "ufuncs", compiled_by_torch)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_twenty_steps_are_those_of_torch(name: str, dtype: str) -> None:
    layers, optimizer = PROBLEMS[name]
    step = Step(dl.MLP(6, layers), dl.SparseCategoricalCrossEntropy(), optimizer)
    fast, plain, state = planned(step), start(step, dtype), start(step, dtype)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in batches(dtype):
            plain, expected = step(plain, batch)
            state, loss = fast(state, batch)
            for a, b in zip(leaves((plain, expected)), leaves((state, loss)), strict=True):
                assert type(b) is torch.Tensor
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                torch.testing.assert_close(b, a, rtol=tolerance, atol=tolerance)
    assert len(fast.planned.programs) == 2
    assert all(fast.planned.programs.values()), "it fell back to the eager step"


def small() -> Any:
    return {"theta": torch.arange(5, dtype=torch.float64), "t": torch.zeros((), dtype=torch.int32)}


def test_the_state_is_written_where_it_lies_and_the_loss_is_the_callers() -> None:
    fast = planned(descent)
    state, _ = fast(small(), torch.ones(4, 5, dtype=torch.float64))
    theta, t, losses = state["theta"], state["t"], []
    for i in range(1, 5):
        state, loss = fast(state, torch.full((4, 5), float(i), dtype=torch.float64))
        assert state["theta"] is theta
        assert state["t"] is t
        losses.append(loss)
    assert int(t) == 5
    expected = torch.arange(5, dtype=torch.float64) - 0.1 * (1 + 1 + 2 + 3 + 4)
    torch.testing.assert_close(theta, expected)
    assert len(set(map(float, losses))) == 4  # no loss lies in memory that a later step has written
    theta *= 0  # and what the caller writes is what the next step reads
    assert float(fast(state, torch.ones(4, 5, dtype=torch.float64))[1]) == 0


def test_another_state_is_taken_where_it_lies() -> None:
    fast, one, two = planned(descent), small(), small()
    two["theta"] += 1
    for i in range(4):
        batch = torch.full((4, 5), float(i), dtype=torch.float64)
        one, _ = fast(one, batch)
        two, _ = fast(two, batch)
    torch.testing.assert_close(two["theta"], one["theta"] + 1)


def test_states_and_batches_in_columns_and_values_that_are_swapped() -> None:
    def step(state: Any, batch: Any) -> Any:
        a, b = state
        return (b + array_namespace(a).sum(batch), a * 2), array_namespace(a).sum(a)

    fast = planned(step)
    state = plain = (torch.arange(6.0).reshape(2, 3).T, torch.ones(3, 2))
    for i in range(4):
        batch = torch.arange(6.0 + 2 * i).reshape(2, -1).T
        plain, expected = step(plain, batch)
        state, loss = fast(tuple(x.clone() for x in state), batch)
        assert float(loss) == float(expected)
        for a, b in zip(plain, state, strict=True):
            torch.testing.assert_close(a, b)


# With a state that is bound


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_steps_of_a_bound_state_are_the_same(name: str) -> None:
    layers, optimizer = PROBLEMS[name]
    step = Step(dl.MLP(6, layers), dl.SparseCategoricalCrossEntropy(), optimizer)
    fast, expected, given = planned(step), start(step), start(step)
    bound = fast.bind(given)
    for batch in batches() * 2:
        expected, loss = fast(expected, batch)
        found = bound(batch)
        assert type(found) is torch.Tensor
        assert found.dtype == loss.dtype
        assert found.equal(loss)
    assert all(a.equal(b) for a, b in zip(leaves(expected), leaves(bound.state), strict=True))
    assert bound.state["theta"][0] is given["theta"][0]
    assert len(fast.planned.programs) == 2
    other = start(step)
    bound.state = other
    bound(batches()[0])
    assert other["steps"] == 1


def test_a_bound_state_whose_step_raises_is_whole() -> None:
    def step(state: Any, rows: Any) -> Any:
        found = array_namespace(state).take(state, rows, axis=0)
        return state * 0.5 + array_namespace(state).sum(found), array_namespace(state).sum(found)

    bound = planned(step).bind(torch.ones(4, dtype=torch.float64))
    for _ in range(3):
        bound(torch.tensor([0, 3]))
    before = bound.state.clone()
    for _ in range(2):
        with pytest.raises(IndexError):
            bound(torch.tensor([0, 4]))
        assert bound.state.equal(before)
    assert bound(torch.tensor([1, 2])).equal(step(before.clone(), torch.tensor([1, 2]))[1])


def test_a_bound_batch_that_numpy_cannot_read_is_computed_by_torch() -> None:
    bound, plain = planned(descent).bind(small()), small()
    for i in range(6):
        batch = torch.full((4, 5), float(i), dtype=torch.bfloat16 if i >= 3 else torch.float64)
        plain, expected = descent(plain, batch)
        with pytest.warns(PlannerWarning, match="BFloat16") if i == 3 else nullcontext():
            loss = bound(batch)
        assert float(loss) == float(expected)


# Where a step is not planned


@dataclass(frozen=True)
class OfTorch(Layer):
    """A user's layer that calls torch itself, and draws from torch's own generator."""

    noisy: bool = False

    def forward(self, x: Any) -> tuple[Any, Any]:
        return (x + torch.rand(()) if self.noisy else torch.nn.functional.silu(x)), x

    def backward(self, saved: Any, dy: Any) -> Any:
        s = saved.sigmoid()
        return dy * (s + saved * s * (1 - s))


@pytest.mark.parametrize(("noisy", "words"), [(False, "cannot be traced: .*Symbol"), (True, "cannot be traced")])
def test_a_layer_of_torch_runs_on_torch(noisy: bool, words: str) -> None:
    step = Step(dl.MLP(6, [dl.Dense(8), OfTorch(noisy), dl.Dense(4)]), dl.SparseCategoricalCrossEntropy(), dl.Adam())
    fast, plain, bound = planned(step), start(step), planned(step).bind(start(step))
    state = start(step)
    for i, batch in enumerate(batches()):
        torch.manual_seed(i)
        plain, expected = step(plain, batch)
        torch.manual_seed(i)
        with pytest.warns(PlannerWarning, match=words) if i in (0, 4) else nullcontext():
            state, loss = fast(state, batch)
        torch.manual_seed(i)
        with pytest.warns(PlannerWarning, match=words) if i in (0, 4) else nullcontext():
            assert bound(batch).equal(expected)
        assert loss.equal(expected)
        assert all(a.equal(b) for a, b in zip(leaves(plain), leaves(state), strict=True))
        assert all(a.equal(b) for a, b in zip(leaves(plain), leaves(bound.state), strict=True))
    assert list(fast.planned.programs.values()) == [None, None]


def test_a_step_that_knows_tensors_from_symbols_is_held_against_torch() -> None:
    def step(state: Any, batch: Any) -> Any:
        wrong = 0.0 if isinstance(batch, torch.Tensor) else 1.0
        return (state[0] + batch,), array_namespace(batch).sum(batch) + wrong

    with pytest.warns(PlannerWarning, match="differs from the plan's"):
        state, loss = planned(step)((torch.zeros(3),), torch.ones(3))
    assert float(loss) == 3
    assert state[0].equal(torch.ones(3))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_types_that_numpy_has_no_kernels_for_stay_on_torch(dtype: str) -> None:
    def step(state: Any, batch: Any) -> Any:
        return (state[0] * 2 + batch,), array_namespace(batch).sum(state[0])

    fast, state = planned(step), (torch.ones(3, dtype=getattr(torch, dtype)),)
    for i in range(3):
        with pytest.warns(PlannerWarning, match="NumPy cannot read") if i == 0 else nullcontext():
            state, loss = fast(state, torch.ones(3, dtype=getattr(torch, dtype)))
        assert loss.dtype == state[0].dtype == getattr(torch, dtype)
    assert state[0].tolist() == [15, 15, 15]


def test_a_tensor_with_a_gradient_is_torchs_to_refuse() -> None:
    state = small()
    state["theta"].requires_grad_()
    with pytest.warns(PlannerWarning), pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        planned(descent)(state, torch.ones(4, 5, dtype=torch.float64))


def test_a_tensor_that_a_step_closes_over_is_read_where_it_lies() -> None:
    scale, number = torch.ones(3, dtype=torch.float64), torch.ones((), dtype=torch.float64)

    def step(state: Any, batch: Any) -> Any:
        return (state[0] * scale + number,), array_namespace(batch).sum(batch)

    fast, state, plain = planned(step), (torch.ones(3, dtype=torch.float64),), (torch.ones(3, dtype=torch.float64),)
    for i in range(4):
        scale.fill_(i)
        number.fill_(-i)
        state, _ = fast(state, torch.zeros(1))
        plain, _ = step(plain, torch.zeros(1))
        assert state[0].equal(plain[0])


def test_other_devices_go_to_torchs_compiler() -> None:
    """The meta device has no numbers, but is no CPU."""
    asked: list[Any] = []

    def elsewhere(step: Any) -> Any:
        asked.append(step)
        return lambda state, batch: (state, batch)

    fast, x = Planned(descent, "ufuncs", elsewhere), torch.ones(3, device="meta")
    for _ in range(2):
        assert fast((x,), x)[1] is x
    assert asked == [descent]


# What fit chooses


def test_fit_plans_on_the_cpu_alone() -> None:
    torches = resolve("torch:cpu").backend
    assert isinstance(torches.compile(descent), Planned)
    assert torches.compiles_on(torch.device("cpu"))
    assert not torches.compiles_on(torch.device("cuda", 0))
    assert not resolve("strict").backend.compiles_on(resolve("strict").handle)


def test_fit_takes_any_compiler() -> None:
    seen: list[int] = []

    def counting(step: Any) -> Any:
        def counted(state: Any, batch: Any) -> Any:
            seen.append(len(batch[0]))
            return step(state, batch)

        return counted

    x = np.zeros((5, 2))
    dl.fit(dl.mlp(2, 1), x, x[:, :1], epochs=1, batch_size=3, compile=counting, device="torch:cpu", progress=False)
    assert seen == [3, 2]


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler warns of torch's own code
def test_torchs_compiler_where_it_is_asked_for() -> None:
    x = np.random.default_rng(0).normal(size=(64, 6))
    kw = {"epochs": 2, "batch_size": 32, "device": "torch:cpu", "metrics": [], "progress": False}
    model, y = dl.mlp(6, 8, 2, activation="tanh"), np.tanh(x[:, :2])
    plain = dl.fit(model, x, y, compile=False, **kw)
    compiled = dl.fit(model, x, y, compile=compiled_by_torch, **kw)
    np.testing.assert_allclose(compiled.history.steps, plain.history.steps, rtol=1e-5)
    assert dl.fit(model, x, y, **kw).history.steps == dl.fit(model, x, y, compile=True, **kw).history.steps


def test_training_within_autocast_is_what_it_is_without() -> None:
    r = np.random.default_rng(0)
    x, y = torch.tensor(r.standard_normal((60, 6)).astype("f")), torch.tensor(r.integers(0, 4, 60).astype("i4"))

    def run() -> Any:
        model, rate = dl.mlp(6, 8, 4), dl.Adam(1e-2)
        return dl.fit(model, x, y, optimizer=rate, epochs=3, batch_size=20, progress=False, device="torch:cpu")

    expected = run()
    with torch.autocast("cpu", dtype=torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run()
    assert found.history["loss"] == expected.history["loss"]
    assert all(torch.equal(a, b) for a, b in zip(found.theta, expected.theta, strict=True))


def test_threads_step_states_of_their_own() -> None:
    fast = planned(descent)
    fast(
        {"theta": torch.ones(5, dtype=torch.float64), "t": torch.zeros((), dtype=torch.int32)},
        torch.ones((4, 5)).double(),
    )
    found: dict[int, float] = {}

    def work(k: int) -> None:
        state = {"theta": torch.full((5,), k + 1.0, dtype=torch.float64), "t": torch.zeros((), dtype=torch.int32)}
        for _ in range(300):
            state, _ = fast(state, torch.zeros((4, 5), dtype=torch.float64))
        found[k] = int(state["t"])

    at_once(work)
    assert set(found.values()) == {300}

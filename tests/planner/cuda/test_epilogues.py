"""Which epilogues are found in a plan, which are taken, and which must not be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning, plan
from dlarray.planner.cuda.epilogues import Fused, options
from dlarray.planner.cuda.gpu import Product
from dlarray.training.first_step import first_step
from tests.support.gpu import WatchedGpu, to_gpu
from tests.support.gpu_steps import check, program, run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 7))
LABELS = RNG.integers(0, 4, 24)
BIAS, RELU = "bias in the product before it", "relu in the product before it"
BOTH, SUM = "relu and its gradient in the products", "bias gradient in the product of the weights' gradient"


def network(activation: str = "relu", **options: Any) -> tuple[Any, Any, Any]:
    model = options.pop("model", None) or dl.mlp(7, 16, 12, 4, activation=activation)
    return first_step(model, X, LABELS, **{"batch_size": 8, "dtype": "float64", **options})


def taken(planned: Any) -> list[str]:
    return [option.name for option in program(planned).tuning.taken]


def titles(planned: Any) -> list[str]:
    return [job.title.split(", ")[-1] for job in program(planned).job_list if job.title.startswith("product")]


def test_what_is_found():
    found = [option.name for option in options(plan(*network()).plan)]
    assert found == [RELU, RELU, BOTH, BOTH, SUM, SUM, SUM]  # the last bias is added in the kernel of the loss
    assert [option.name for option in options(plan(*network("tanh")).plan)] == [SUM] * 3


def test_three_layers_are_eight_products_and_two_kernels(gpu: WatchedGpu):
    step, state, batch = network(optimizer="adam")
    gpu.cost = quick
    planned = check(step, state, [batch, batch], gpu)
    assert taken(planned) == [BOTH, BOTH, SUM]
    done = program(planned).job_list
    assert sum(job.title.startswith("product") for job in done) == 8
    assert sum(job.title.startswith("kernel") for job in done) == 2
    assert sum(bool(job.steps) for job in done) == 10
    graph = gpu.queued.index("graph", len(gpu.queued) - 3)
    assert gpu.queued[graph - 2 : graph] == ["copy", "copy"]


def quick(queued: list[Any]) -> float:
    """Costs at which every epilogue pays: a product with one takes half of what anything else does."""
    return slow()(queued)


def slow(*epilogues: str) -> Callable[[list[Any]], float]:
    """Costs at which these epilogues do not pay."""

    def cost(what: Any) -> int:
        epilogue = what[1] if what[0] == "product" else ""
        return 20 if epilogue in epilogues else 1 if epilogue else 2

    return lambda queued: sum(map(cost, queued))


@pytest.mark.parametrize(("cost", "expected"), [
    (quick, [BOTH, BOTH, SUM]),
    (len, [BOTH, BOTH, SUM]),  # a kernel with the sum is two launches, and one without
    (lambda queued: 1.0, []),  # nothing is faster
    (slow("relu gradient"), [RELU, RELU, SUM, SUM, SUM]),
    (slow("relu with mask"), [RELU, RELU, SUM, SUM, SUM]),
    (slow("bias gradient"), [BOTH, BOTH]),
    (slow("relu", "bias gradient"), [BOTH, BOTH]),
    (slow("relu", "relu gradient", "bias gradient"), []),
])  # fmt: skip
def test_what_is_faster_is_taken(cost: Callable[[list[Any]], float], expected: list[str], gpu: WatchedGpu):
    step, state, batch = network()
    gpu.cost = cost
    assert sorted(taken(check(step, state, [batch] * 3, gpu))) == sorted(expected)


def test_in_one_layer_alone(gpu: WatchedGpu):
    """The second product with this epilogue is slow."""

    def cost(queued: list[Any]) -> float:
        return sum(9 if what[0] == "product" and what[1].startswith("relu") and what[3] == 12 else 1 for what in queued)

    step, state, batch = network()
    gpu.cost = cost
    planned = check(step, state, [batch] * 3, gpu)
    assert taken(planned).count(BOTH) == 1
    assert titles(planned).count("relu with mask") == 1


def test_the_fastest_algorithm_is_used(gpu: WatchedGpu):
    def cost(queued: list[Any]) -> float:
        return sum(1 if what[0] != "product" or what[2] == 1 else 3 for what in queued)

    gpu.cost = cost
    step, state, batch = network()
    planned = check(step, state, [batch] * 2, gpu)
    gpu.queued.clear()
    program(planned).launch()
    assert [what[2] for what in gpu.queued if what[0] == "product"] == [1] * 8


@pytest.mark.parametrize("refused", [("relu with mask",), ("relu gradient",), ("bias gradient", "relu"), ("",)])
def test_refused_epilogues(refused: tuple[str, ...], gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    find = gpu.algorithms
    monkeypatch.setattr(gpu, "algorithms", lambda p, most: [] if p.epilogue in refused else find(p, most))
    step, state, batch = network()
    if refused == ("",):
        with pytest.warns(PlannerWarning, match="no graph can hold what the library allocates: matmul"):
            planned = check(step, state, [batch] * 3, gpu)
    else:
        planned = check(step, state, [batch] * 3, gpu)
        assert program(planned).recorded
    assert not set(refused) & {what[1] for what in gpu.queued if what[0] == "product"}


def off_by_one(gpu: WatchedGpu, epilogue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first number of products with this epilogue wrong."""
    find = gpu.algorithms

    def wrong(product: Product, most: int) -> list[Any]:
        first = gpu.view(product.out, (1,), (8,), np.dtype(product.dtype))

        def then_add(run: Callable[[], None]) -> None:
            run()
            first.__iadd__(1)

        found = find(product, most)
        return [partial(then_add, run) for run in found] if product.epilogue == epilogue else found

    monkeypatch.setattr(gpu, "algorithms", wrong)


@pytest.mark.parametrize("epilogue", ["relu with mask", "relu gradient", "bias gradient"])
def test_a_wrong_epilogue_is_dropped_with_a_warning(epilogue: str, gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    step, state, batch = network()
    off_by_one(gpu, epilogue, monkeypatch)
    gpu.cost = quick
    with pytest.warns(PlannerWarning, match="the products run without epilogues"):
        planned = check(step, state, [batch] * 3, gpu)
    assert taken(planned) == []
    assert program(planned).recorded


def test_a_wrong_product_is_not_used(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    step, state, batch = network()
    off_by_one(gpu, "", monkeypatch)
    with pytest.warns(PlannerWarning, match="the step runs eagerly, uncompiled, because output"):
        planned = check(step, state, [batch] * 3, gpu)
    assert list(planned.programs.values()) == [None]


# A step of one layer, written in ways in which no epilogue may be used


def layer(how: str) -> Callable[[Any, Any], Any]:
    def step(state: Any, batch: Any) -> Any:
        W, b, (x, dy) = state["W"], state["b"], batch
        xp = array_namespace(W)
        z = x @ W
        y = xp.maximum(z + b, 0.0)
        more: Any = ()
        if how == "the product is read twice":
            more = xp.sum(xp.reshape(xp.tanh(xp.sum(z, axis=1)), (1, -1)) @ x)
        if how == "the product leaves":
            more = z
        if how == "more than bias and relu":
            y = xp.maximum(z * 2 + b, 0.0)
        if how == "another bound":
            y = xp.maximum(z + b, 0.5)
        if how == "a bias for each example":
            y = xp.maximum(z + xp.sum(dy, axis=1, keepdims=True), 0.0)
        if how == "a single bias":
            y = xp.maximum(z + b[0], 0.0)
        if how == "every second bias":
            y = xp.maximum(z + xp.concat([b, b])[::2], 0.0)
        loss = xp.sum(y @ xp.tanh(xp.reshape(y, (y.shape[1], -1))))
        return {"W": W - 0.01 * (x.T @ dy), "b": b * 0.9}, (loss, more)

    return step


HOWS = ["the product is read twice", "the product leaves", "more than bias and relu", "another bound"]
HOWS += ["a bias for each example", "a single bias", "every second bias"]


def given() -> tuple[Any, list[Any]]:
    state = {"W": RNG.normal(size=(6, 8)), "b": RNG.normal(size=8)}
    return state, [(RNG.normal(size=(5, 6)), RNG.normal(size=(5, 8))) for _ in range(3)]


@pytest.mark.parametrize("how", ["", *HOWS])
def test_what_no_epilogue_can_do(how: str, gpu: WatchedGpu):
    state, batches = given()
    step = layer(how)
    found = [option.name for option in options(plan(step, state, batches[0]).plan)]
    assert (RELU in found) == (how == "")
    assert BIAS not in found
    check(step, state, batches, gpu)


def test_a_gradient_of_another_shape(gpu: WatchedGpu):
    """The sum over the rows of dz is not that of what is multiplied, for that is dz in another shape."""

    def step(state: Any, batch: Any) -> Any:
        W, b = state["W"], state["b"]
        xp = array_namespace(W)
        x, dy = batch
        dz = xp.tanh(dy)
        db = xp.sum(dz, axis=0)
        dW = x.T @ xp.reshape(dz, (10, 4))
        return {"W": W - dW, "b": b - db}, xp.sum(dW)

    state = {"W": RNG.normal(size=(6, 4)), "b": RNG.normal(size=8)}
    batches = [(RNG.normal(size=(10, 6)), RNG.normal(size=(5, 8))) for _ in range(3)]
    check(step, state, batches, gpu)


def test_a_mask_of_one_and_a_product_of_another_layer(gpu: WatchedGpu):
    """y > 0 of one rectifier masks the way back of that one alone."""

    def step(state: Any, batch: Any) -> Any:
        W, b = state["W"], state["b"]
        xp = array_namespace(W)
        (x,) = batch
        y1 = xp.maximum(x @ W + b, 0.0)
        y2 = xp.maximum(y1 @ W + b, 0.0)
        dz2 = xp.astype(y1 > 0, y1.dtype) * (y2 @ W.T)
        dz1 = xp.astype(y2 > 0, y1.dtype) * (dz2 @ W.T)
        loss = xp.sum(y2 * y2)
        dW = y1.T @ dz2 + x.T @ dz1
        return {"W": W - 1e-3 * dW, "b": b - 1e-3 * (xp.sum(dz2, axis=0) + xp.sum(dz1, axis=0))}, loss

    state = {"W": RNG.normal(size=(8, 8)), "b": RNG.normal(size=8)}
    check(step, state, [(RNG.normal(size=(5, 8)),) for _ in range(3)], gpu)


def test_an_operand_that_is_written_over_in_between(gpu: WatchedGpu):
    """The product cannot be done as late as the kernel: the new value of the state has replaced x then."""

    def step(state: Any, batch: Any) -> Any:
        x, b = state["x"], state["b"]
        xp = array_namespace(x)
        z = x @ batch[0]
        x = xp.tanh(x)
        x /= xp.sum(x, axis=0)
        y = xp.maximum(z + xp.sum(x @ batch[0], axis=0), 0.0)
        return {"x": x, "b": b + xp.sum(y, axis=0)}, xp.sum(y)

    state = {"x": RNG.normal(size=(5, 6)), "b": RNG.normal(size=8)}
    check(step, state, [(RNG.normal(size=(6, 8)),) for _ in range(3)], gpu)


def test_bound_to_a_state_where_no_epilogue_is_possible(gpu: WatchedGpu):
    """The bias of another state is not aligned for cublasLt: its kernels are used again."""
    state, batches = given()
    step = layer("")
    planned = check(step, state, batches, gpu)
    assert RELU in taken(planned)
    expected = run(step, copy.deepcopy(state), batches)
    moved = to_gpu(copy.deepcopy(state))
    moved["b"] = to_gpu(np.append(0.0, state["b"]))[1:]
    assert gpu.address_of(moved["b"]) % 16
    actual = run(planned, moved, [to_gpu(batch) for batch in batches])
    for xs, ys in zip(actual, expected, strict=True):
        for x, y in zip(xs, ys, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10)


def test_masks_have_memory_of_their_own():
    for option in options(plan(*network()).plan):
        masks = [f.mask for f in option.instead.values() if isinstance(f, Fused) and f.mask is not None]
        assert len(masks) == (2 if option.name == BOTH else 0)

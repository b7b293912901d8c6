"""Training on 2, 3 and 4 ranks gives the numbers of one rank, to rounding, with every option of ``fit``."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.optimizers import Optimizer
from tests.support.thread_ranks import on_ranks

RNG = np.random.default_rng(0)
N = 53
X = RNG.normal(size=(N, 6))
Y = np.abs(X[:, :3]).argmax(axis=1).astype(np.int32)
NUMBERS = np.sin(X[:, :2])
WEIGHT = RNG.uniform(0.1, 3.0, N)
MODEL = dlarray.mlp(6, 12, 3)
REGRESSION = dlarray.mlp(6, 12, 2, activation="tanh")
NORMALIZED = dlarray.MLP(
    6,
    [
        dlarray.Dense(8, bias=False),
        dlarray.BatchNorm(),
        "relu",
        dlarray.Residual([dlarray.Dense(8, bias=False), dlarray.BatchNorm(shift=False), "tanh"]),
        dlarray.LayerNorm(),
        dlarray.Dense(3),
    ],
)
DROPPED = dlarray.MLP(
    6, ["prelu", dlarray.Dense(9), dlarray.Dropout(0.3), dlarray.Chain([dlarray.Dropout(0.2), dlarray.Dense(3)])]
)
EMBEDDED = dlarray.MLP(2, [dlarray.Embedding(5, 3), dlarray.Dense(3)])
CATEGORIES = RNG.integers(0, 5, (N, 2))


def batches() -> Any:
    for i in range(0, N, 11):
        yield X[i : i + 11], Y[i : i + 11], WEIGHT[i : i + 11]


OPTIONS: dict[str, dict[str, Any]] = {
    "whole batch": {"batch_size": None},
    "ragged batches": {"batch_size": 10},
    "last batch of one row": {"batch_size": 13},
    "every batch has fewer rows than some ranks": {"batch_size": 2},
    "no order": {"shuffle": False, "batch_size": 10},
    "weights": {"weight": WEIGHT},
    "weights of which most are zero": {"weight": np.where(np.arange(N) % 7, 0.0, WEIGHT), "batch_size": 9},
    "class weights": {"class_weight": "balanced"},
    "weights and class weights": {"weight": WEIGHT, "class_weight": [1.0, 5.0, 0.2], "shuffle": False},
    "class weights of the loss": {"loss": dlarray.SparseCategoricalCrossEntropy(class_weight=(1.0, 4.0, 0.5))},
    "a sum": {"loss": dlarray.SparseCategoricalCrossEntropy(reduction="sum"), "optimizer": dlarray.Adam(1e-3)},
    "label smoothing": {"loss": dlarray.SparseCategoricalCrossEntropy(label_smoothing=0.1)},
    "numbers": {"model": REGRESSION, "y": NUMBERS, "metrics": ["r2", "mse"]},
    "validation by a fraction": {"validation": 0.3},
    "validation examples": {"validation": (X[:21], Y[:21]), "metrics": ["accuracy", "roc_auc"][:1]},
    "fewer validation examples than ranks": {"validation": (X[:1], Y[:1])},
    "clipped by the norm": {"clip_norm": 0.1},
    "clipped by value": {"clip_value": 0.01},
    "parts": {"accumulate": 3, "weight": WEIGHT, "clip_norm": 0.3},
    "weight decay and a schedule": {"optimizer": dlarray.AdamW(dlarray.CosineDecay(0.01, 12), weight_decay=0.1)},
    "lamb": {"optimizer": "lamb"},
    "muon": {"optimizer": "muon"},
    "batch norm": {"model": NORMALIZED, "optimizer": "momentum"},
    "batch norm and weights": {"model": NORMALIZED, "optimizer": "momentum", "weight": WEIGHT, "validation": 0.3},
    "dropout": {"model": DROPPED},
    "categories": {"model": EMBEDDED, "x": CATEGORIES},
    "an iterable": {"x": batches, "y": None, "batch_size": 32},
    "an iterable, over epochs": {"x": batches, "y": None, "steps_per_epoch": 3, "validation": (X, Y), "batch_size": 32},
    "blocks": {"x": dlarray.open_blocks(X, Y, WEIGHT, rows_per_block=9), "y": None, "validation": 0.3},
    "data in blocks": {"x": dlarray.open_blocks(X, Y, WEIGHT, rows_per_block=5, blocks_per_group=3), "y": None},
    "validation and class weights of data in blocks": {
        "x": dlarray.open_blocks(X, Y, rows_per_block=5, blocks_per_group=3),
        "y": None,
        "batch_size": 10,
        "validation": 0.3,
        "class_weight": "balanced",
    },
    "averages of the weights": {"model": NORMALIZED, "optimizer": "momentum", "callbacks": ["ema"]},
    "steps": {"max_steps": 7},
    "shard": {"shard": True},
    "shard and the rest": {
        "shard": True,
        "clip_norm": 0.1,
        "accumulate": 2,
        "weight": WEIGHT,
        "validation": 0.3,
        "optimizer": dlarray.AdamW(weight_decay=0.1),
        "batch_size": 10,
    },
    "shard, clipped by value": {"shard": True, "clip_value": 0.01, "optimizer": "nesterov", "batch_size": 13},
}


def train(ranks: Any = None, **options: Any) -> dlarray.Trained:
    given = {"model": MODEL, "x": X, "y": Y, "batch_size": 16, "epochs": 3, "dtype": "float64"} | options
    model, x, y = given.pop("model"), given.pop("x"), given.pop("y")
    return dlarray.fit(model, x, y, parallel=ranks, **{"compile": False, "progress": False} | given)


@cache
def alone(name: str) -> dlarray.Trained:
    return train(**OPTIONS[name])


def check_equal(many: list[dlarray.Trained], one: dlarray.Trained, tolerance: float = 1e-12) -> None:
    for trained in many:
        np.testing.assert_allclose(trained.history.steps, one.history.steps, rtol=tolerance)
        assert [row.keys() for row in trained.history.epochs] == [row.keys() for row in one.history.epochs]
        for row, expected in zip(trained.history.epochs, one.history.epochs, strict=True):
            np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=tolerance, atol=tolerance)
        assert trained.history.stopped == one.history.stopped
        for vector, expected, first in zip(
            (*trained.theta, *trained.buffers),
            (*one.theta, *one.buffers),
            (*many[0].theta, *many[0].buffers),
            strict=True,
        ):
            np.testing.assert_allclose(vector, expected, rtol=1e-8, atol=1e-10)
            assert vector.tobytes() == first.tobytes()


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("name", OPTIONS)
def test_ranks_train_as_one(name, size):
    check_equal(on_ranks(size, lambda ranks: train(ranks, **OPTIONS[name])), alone(name))


@pytest.mark.parametrize("size", [2, 3])
def test_rounding_does_not_grow_over_thirty_steps(size):
    options: dict[str, Any] = {"max_steps": 30, "epochs": 30, "weight": WEIGHT}
    check_equal(on_ranks(size, lambda ranks: train(ranks, **options)), train(**options), 1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"model": NORMALIZED, "optimizer": "momentum"}, {"shard": True}], ids=["dense", "norm", "shard"]
)
def test_planned_steps_train_as_one(options):
    options = {"compile": True, "epochs": 2} | options
    check_equal(on_ranks(2, lambda ranks: train(ranks, **options)), train(**options))


def elementwise() -> list[str]:
    return [name for name, cls in dlarray.core.registry.classes(Optimizer).items() if cls.elementwise]


@pytest.mark.parametrize("optimizer", elementwise())
def test_a_sharded_optimizer_moves_every_number_as_one_rank_does(optimizer):
    options: dict[str, Any] = {"optimizer": optimizer, "epochs": 2}
    check_equal(on_ranks(3, lambda ranks: train(ranks, shard=True, **options)), train(**options))


def test_each_rank_keeps_its_share_of_the_state():
    states: list[Any] = []

    class Look(dlarray.Callback):
        def on_epoch(self, run: Any) -> None:
            states.append((run.ranks.rank, run.state["optimizer"][0]["m"].shape[0], run.optimizer_state[0]["m"].shape))

    n = MODEL.init(0)[0].shape[0]
    on_ranks(3, lambda ranks: train(ranks, shard=True, epochs=1, callbacks=[Look()]))
    bounds = [i * n // 3 for i in range(4)]
    assert sorted(states) == [(r, bounds[r + 1] - bounds[r], (n,)) for r in range(3)]


@pytest.mark.parametrize("device", ["torch", "strict"])
@pytest.mark.parametrize(
    "options", [{"weight": WEIGHT, "validation": 0.3}, {"model": DROPPED}], ids=["weights", "dropout"]
)
def test_other_libraries_train_as_one(device, options):
    options = options | {"device": device, "dtype": "float32", "epochs": 2}
    one = train(**options)
    for trained in on_ranks(2, lambda ranks: train(ranks, **options)):
        np.testing.assert_allclose(trained.history.steps, one.history.steps, rtol=2e-6)


def test_jax_whose_parameters_are_vectors_of_their_own_trains_as_one():
    options: dict[str, Any] = {"model": dlarray.mlp(6, 3), "device": "jax", "dtype": "float32", "batch_size": None}
    one = train(**options)
    for trained in on_ranks(2, lambda ranks: train(ranks, **options)):
        np.testing.assert_allclose(trained.history.steps, one.history.steps, rtol=2e-6)


def test_batches_from_the_host_are_cut_before_they_are_moved():
    options: dict[str, Any] = {"device": "torch", "data": "host", "weight": WEIGHT, "batch_size": 10}
    one = train(**options)
    for trained in on_ranks(3, lambda ranks: train(ranks, **options)):
        np.testing.assert_allclose(trained.history.steps, one.history.steps, rtol=1e-12)


@pytest.mark.parametrize("shard", [False, True])
def test_steps_in_float16_are_skipped_on_all_ranks_alike(shard):
    options: dict[str, Any] = {"device": "torch", "precision": "float16", "dtype": "float32", "epochs": 2}
    x = X.copy()
    x[5] *= 200  # its gradient is too large for float16 times the first scales
    one = train(x=x, **options)
    for trained in on_ranks(2, lambda ranks: train(ranks, x=x, shard=shard, **options)):
        np.testing.assert_allclose(trained.history.steps, one.history.steps, rtol=2e-2)


def test_batch_norm_over_ranks_is_that_of_torch_for_the_whole_batch():
    torch = pytest.importorskip("torch")
    x, dy = RNG.normal(size=(11, 4)), RNG.normal(size=(11, 4))
    gamma, beta = RNG.normal(size=4), RNG.normal(size=4)
    norm = torch.nn.BatchNorm1d(4).double()
    norm.weight.data, norm.bias.data = torch.asarray(gamma), torch.asarray(beta)
    tx = torch.asarray(x).requires_grad_()
    ty = norm(tx)
    ty.backward(torch.asarray(dy))

    def work(ranks: Any) -> tuple[Any, ...]:
        layer = dlarray.BatchNorm().over(ranks)
        y, saved = layer.forward(ranks.piece(x), gamma, beta)
        dx, dp = layer.pullback(saved, ranks.piece(dy), gamma=gamma, beta=beta)
        buffers = layer.update_buffers(saved, mean=np.zeros(4), variance=np.ones(4))
        return ranks.gather(y, 11), ranks.gather(dx, 11), ranks.sum(dp["gamma"]), ranks.sum(dp["beta"]), buffers

    for y, dx, dgamma, dbeta, buffers in on_ranks(4, work):
        for own, theirs in zip(
            (y, dx, dgamma, dbeta, buffers["mean"], buffers["variance"]),
            (ty, tx.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var),
            strict=True,
        ):
            np.testing.assert_allclose(own, theirs.detach().numpy(), rtol=1e-12, atol=1e-14)

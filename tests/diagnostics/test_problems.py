"""The problems that are found: a network for each, and healthy networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.diagnostics import problems
from tests.support.diagnoses import DENSE, LABELS, X


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    pytest.importorskip("sklearn")
    data = dl.datasets.digits()
    return data.x_train[:300], data.y_train[:300]


@dataclass(frozen=True)
class _FiveTimesHe(dl.Initializer):
    def __call__(self, bits: Any, shape: Any) -> np.ndarray:
        return 5 * dl.HeNormal()(bits, shape)


def deep(layers: int, activation: str, weight: Any = None, bias: float = 0.0, units: int = 48) -> dl.MLP:
    hidden = [f for _ in range(layers) for f in (DENSE(units, weight, dl.Constant(bias)), activation)]
    return dl.MLP(64, [*hidden, DENSE(10, weight)])


UNHEALTHY = {
    "deep sigmoid, small weights": (deep(8, "sigmoid", dl.Normal(0.05)), {}, ["vanishing"]),
    "deep sigmoid, Glorot's weights": (deep(8, "sigmoid"), {}, ["vanishing"]),
    "deep tanh, tiny weights": (deep(4, "tanh", dl.Normal(0.01)), {}, ["vanishing"]),
    "deep ReLU, tiny weights": (deep(5, "relu", dl.Normal(0.01)), {}, ["vanishing"]),
    "deep tanh, five times He": (deep(12, "tanh", _FiveTimesHe()), {}, ["exploding", "saturated"]),
    "deep ReLU, five times He": (deep(5, "relu", _FiveTimesHe()), {}, ["exploding"]),
    "ReLU, biases of -100": (deep(1, "relu", bias=-100.0), {}, ["dying"]),
    "deep ReLU, biases of -100": (deep(6, "relu", bias=-100.0), {}, ["dying"]),
    "tanh, biases of 20": (deep(3, "tanh", bias=20.0), {}, ["saturated"]),
    "sigmoid, large weights": (deep(1, "sigmoid", dl.Normal(2.0)), {}, ["saturated"]),
    "hard tanh, large weights": (deep(1, "hard_tanh", dl.Normal(2.0)), {}, ["saturated"]),
    "constant ReLU": (deep(3, "relu", dl.Constant(0.02)), {}, ["equal weights"]),
    "constant tanh": (deep(3, "tanh", dl.Constant(0.5)), {}, ["equal weights"]),
    "zeros": (deep(2, "relu", dl.Zeros()), {}, ["equal weights"]),
    "Adam at 1e-7": (dl.mlp(64, 64, 10), {"optimizer": dl.Adam(1e-7)}, ["steps too small"]),
    "descent at 1e-7": (dl.mlp(64, 64, 64, 10), {"optimizer": dl.GradientDescent(1e-7)}, ["steps too small"]),
    "Adam at 10": (dl.mlp(64, 64, 10), {"optimizer": dl.Adam(10.0)}, ["steps too large"]),
    "descent at 10": (dl.mlp(64, 64, 64, 10), {"optimizer": dl.GradientDescent(10.0)}, ["steps too large"]),
}


@pytest.mark.parametrize("name", UNHEALTHY)
@pytest.mark.parametrize("seed", [0, 1])
def test_each_problem_is_found_and_no_other(name: str, seed: int, digits: Any) -> None:
    model, options, expected = UNHEALTHY[name]
    found = dl.diagnose_at(model, model.init(seed), *digits, **options)
    assert [problem.kind for problem in found.problems] == expected
    assert found.verdict == expected[0]
    for problem in found.problems:
        assert problem.remedy
        assert problem.layers
        assert all(problem.kind in found[layer].problems for layer in problem.layers)
        assert "{" not in problem.reason
        assert str(problem) in " ".join(str(found).split())


HEALTHY = [
    *[dl.mlp(64, *[units] * layers, 10) for layers in (1, 2, 5, 10, 20) for units in (16, 64)],
    *[dl.mlp(64, *[48] * 4, 10, activation=f) for f in ("tanh", "gelu", "selu", "leaky_relu", "prelu", "elu", "swish")],
    dl.mlp(64, 48, 10, activation="sigmoid"),
    dl.mlp(64, 64, 64, 10, dropout=0.5),
    dl.MLP(64, [f for _ in range(8) for f in (DENSE(32), dl.BatchNorm(), "relu")] + [DENSE(10)]),
    dl.MLP(64, [DENSE(32), *[dl.Residual([dl.LayerNorm(), DENSE(32), "relu", DENSE(32)])] * 8, DENSE(10)]),
    dl.MLP(64, [DENSE(10)]),
]


@pytest.mark.parametrize("model", HEALTHY, ids=lambda model: f"{len(model.layers)} layers")
def test_a_healthy_network_has_no_problem(model: dl.MLP, digits: Any) -> None:
    for seed in range(3):
        found = dl.diagnose_at(model, model.init(seed), *digits)
        assert found.problems == ()
        assert found.verdict == "healthy"
        assert all(f.problems == () for f in found.layers)


@pytest.mark.parametrize("optimizer", ["adam", dl.Momentum(0.05)], ids=["adam", "momentum"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_network_that_has_learnt_is_healthy(optimizer: Any, activation: str, digits: Any) -> None:
    """Its gradient is small, and so are the steps of plain descent: not a fault of the learning rate."""
    model = dl.mlp(64, 48, 48, 10, activation=activation)
    trained = dl.fit(model, *digits, optimizer=optimizer, epochs=25, metrics=[], compile=False, progress=False)
    found = dl.diagnose(trained, *digits, optimizer=optimizer)
    assert found.loss < 0.1
    assert found.problems == ()


def test_a_sure_output_layer_is_not_called_saturated(digits: Any) -> None:
    model = dl.MLP(64, [DENSE(1, dl.Normal(5.0)), "sigmoid"])
    y = (digits[1] > 4).astype(int)
    found = dl.diagnose_at(model, model.init(), digits[0], y, loss=dl.BinaryCrossEntropy(from_logits=False))
    assert found["1"].saturated > 0.8
    assert "saturated" not in [t.kind for t in found.problems]


def test_too_few_examples_call_no_unit_dead() -> None:
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), "relu", DENSE(2)])
    theta = model.init()
    assert dl.diagnose_at(model, theta, X[:31], LABELS[:31])["1"].dead == 1
    assert "dying" not in [t.kind for t in dl.diagnose_at(model, theta, X[:31], LABELS[:31]).problems]
    assert dl.diagnose_at(model, theta, X[:32], LABELS[:32]).verdict == "dying"


def test_infinite_numbers_are_called_exploding_without_a_warning() -> None:
    model = dl.MLP(3, [f for _ in range(30) for f in (DENSE(8, dl.Normal(200.0)), "relu")] + [DENSE(2)])
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    assert [problem.kind for problem in found.problems] == ["exploding"]
    assert "infinite or NaN" in found.problems[0].reason
    json.dumps(found.to_dict(), allow_nan=False)
    assert "exploding" in str(found)


def test_the_thresholds_are_the_documented_ones(digits: Any) -> None:
    model = dl.mlp(64, 16, 16, 10)
    healthy = dl.diagnose_at(model, model.init(), *digits)

    def judged(layer: str, **changes: Any) -> list[str]:
        layers = [replace(f, **changes) if f.name == layer else f for f in healthy.layers]
        return [t.kind for t in problems.find_problems(layers, 300, healthy.loss, healthy.loss_after)]

    last = healthy["4"].gradient
    assert judged("0", gradient=last * 1.01e-3) == []
    assert judged("0", gradient=last * 0.99e-3) == ["vanishing"]
    assert judged("0", gradient=last * 99) == []
    assert judged("0", gradient=last * 101) == ["exploding"]
    assert judged("1", dead=0.9) == []
    assert judged("1", dead=0.91) == ["dying"]
    assert judged("1", saturated=0.5) == []
    assert judged("1", saturated=0.51) == ["saturated"]
    assert judged("3", saturated=0.51, gradient=0.0) == ["saturated"]  # a cause, not each of its effects

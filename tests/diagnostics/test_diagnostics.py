"""Diagnoses: statistics compared with torch's and NumPy's, and a network for each problem."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.layer import Activation
from dlarray.core.random import fold_in, key_words
from dlarray.core.registry import classes
from dlarray.diagnostics import LayerStatistics, landscape, loss_landscape, problems
from dlarray.diagnostics import diagnose as function
from dlarray.diagnostics.formulas import distribution, duplicates, norm, share
from dlarray.diagnostics.saturation import saturation
from tests.support.matrix import On

rng = np.random.default_rng(7)
X = rng.normal(size=(40, 3))
LABELS = rng.integers(0, 2, 40)
DENSE = dl.Dense


def theta_on(on: On, model: dl.MLP, seed: int = 0) -> Any:
    theta = model.init(seed, on.device, on.dtype)
    if on.read_only:
        for vector in theta:
            vector.flags.writeable = False
    return theta


def near(on: On, found: list[float], expected: list[float]) -> None:
    """Equal to the device's rounding, relative to the larger of the number and 1."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert abs(a - b) <= on.rtol * max(abs(b), 1), (a, b)


# Statistics


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    """A network of 3 inputs, 5 tanh units, 4 ReLUs and 2 outputs, forward and backward by torch."""
    torch = pytest.importorskip("torch")
    model = dl.MLP(3, [DENSE(5), "tanh", DENSE(4), "relu", DENSE(2)])
    p = {n: torch.tensor(a, requires_grad=True) for n, a in model.parameters(model.init(3, "cpu", "float64")).items()}
    x, ys = torch.tensor(X), []
    for i, f in enumerate(("dense", torch.tanh, "dense", torch.relu, "dense")):
        x = x @ p[f"{i}.W"] + p[f"{i}.b"] if f == "dense" else f(x)
        x.retain_grad()
        ys.append(x)
    value = torch.nn.functional.cross_entropy(x, torch.tensor(LABELS))
    value.backward()
    return {"model": model, "p": p, "ys": ys, "loss": value.item(), "torch": torch}


def test_statistics_are_torch_s(on: On, oracle: dict[str, Any]) -> None:
    model, p, ys = oracle["model"], oracle["p"], oracle["ys"]
    theta = theta_on_from(on, model, {n: a.detach().numpy() for n, a in p.items()})
    found = dl.diagnose_at(model, theta, on.array(X), on.array(LABELS), optimizer=dl.GradientDescent(0.5))
    near(on, [found.loss], [oracle["loss"]])
    assert [f.name for f in found.layers] == ["0", "1", "2", "3", "4"]
    assert [f.kind for f in found.layers] == ["Dense", "Tanh", "Dense", "ReLU", "Dense"]
    assert [f.outputs for f in found.layers] == [5, 5, 4, 4, 2]
    gradients = [float(y.grad.norm()) for y in ys]
    for i, (f, y) in enumerate(zip(found.layers, ys, strict=True)):
        host = y.detach().numpy()
        s = f.output
        quantiles = np.quantile(host, (0, 0.25, 0.5, 0.75, 1)).tolist()
        near(on, [s.mean, s.std], [host.mean(), host.std()])
        near(on, [s.minimum, s.lower, s.median, s.upper, s.maximum], quantiles)
        near(on, [f.zeros], [np.mean(host == 0)])
        near(on, [f.gradient], [gradients[i]])
        if i == 0:
            assert f.gain is None
        else:
            near(on, [f.gain or 0], [gradients[i - 1] / gradients[i]])
    dead = np.mean(np.all(ys[3].detach().numpy() == 0, axis=0))
    near(on, [found["3"].dead or 0], [dead])
    slope = 1 - ys[1].detach().numpy() ** 2
    near(on, [found["1"].saturated or 0], [np.mean(slope < 0.05)])
    assert found["1"].dead is None
    assert found["3"].saturated is None
    assert found["0"].dead is found["0"].saturated is None
    for i in (0, 2, 4):
        assert list(found[str(i)].parameters) == ["W", "b"]
        for name, statistics in found[str(i)].parameters.items():
            host, g = p[f"{i}.{name}"].detach().numpy(), p[f"{i}.{name}"].grad.numpy()
            near(on, [statistics.norm, statistics.gradient], [np.linalg.norm(host), np.linalg.norm(g)])
            near(on, [statistics.step], [0.5 * np.linalg.norm(g)])
            assert statistics.shape == host.shape
            assert statistics.zeros == (1 if name == "b" else 0)
            assert statistics.duplicates == (0 if name == "W" else None)
        W = found[str(i)].weights
        near(on, [W.update], [W.step / W.norm])
        assert found[str(i)].parameters["b"].update is None  # biases start at 0
    after = {n: a.detach() - 0.5 * a.grad for n, a in p.items()}
    torch = oracle["torch"]
    h = torch.relu(torch.tanh(torch.tensor(X) @ after["0.W"] + after["0.b"]) @ after["2.W"] + after["2.b"])
    z = h @ after["4.W"] + after["4.b"]
    near(on, [found.loss_after], [float(torch.nn.functional.cross_entropy(z, torch.tensor(LABELS)))])


def theta_on_from(on: On, model: dl.MLP, arrays: dict[str, np.ndarray]) -> Any:
    from dlarray.model import on_device

    return on_device(model.layout, {n: a.astype(on.dtype) for n, a in arrays.items()}, on.target)


NESTED = dl.MLP(
    6,
    [
        DENSE(8),
        dl.BatchNorm(),
        dl.Chain([dl.PReLU(), dl.Dropout(0.3)]),
        dl.Residual([dl.LayerNorm(), DENSE(8), dl.Residual([dl.RMSNorm(), "gelu"]), DENSE(8)]),
        dl.Swish(trainable=True),
        DENSE(2),
    ],
)
LEAVES = ["0", "1", "2.0", "2.1", "3.0", "3.1", "3.2.0", "3.2.1", "3.3", "4", "5"]


def test_layers_in_layers_compute_what_the_model_computes(on: On) -> None:
    x, y = on.array(rng.normal(size=(40, 6))), on.array(LABELS)
    theta = theta_on(on, NESTED)
    key = fold_in(on.target.asarray(key_words(0, "masks")), 0)
    cross_entropy = dl.SparseCategoricalCrossEntropy()

    def plain(theta: Any, x: Any, y: Any) -> Any:
        return NESTED.loss_and_gradient(theta, x, y, cross_entropy, key=key)

    loss, g = on.run(plain, theta, x, y) if on.jit else plain(theta, x, y)
    found = dl.diagnose_at(NESTED, theta, x, y)
    assert [f.name for f in found.layers] == LEAVES
    near(on, [found.loss], [float(on.numpy(loss))])
    own = {f"{f.name}.{name}": p for f in found.layers for name, p in f.parameters.items()}
    expected = {name: np.linalg.norm(on.numpy(p).astype(np.float64)) for name, p in NESTED.parameters(g).items()}
    assert own.keys() == expected.keys()
    near(on, [p.gradient for p in own.values()], [expected[name] for name in own])
    assert found.verdict == "healthy"


def test_an_embedding_and_a_residual_can_come_first(on: On) -> None:
    x = on.array(rng.integers(0, 7, (40, 3)))
    model = dl.MLP(3, [dl.Chain([dl.Embedding(7, 4), dl.Residual([DENSE(12), "tanh"])]), DENSE(2)])
    found = dl.diagnose_at(model, theta_on(on, model), x, on.array(LABELS))
    assert [(f.name, f.kind) for f in found.layers] == [
        ("0.0", "Embedding"),
        ("0.1.0", "Dense"),
        ("0.1.1", "Tanh"),
        ("1", "Dense"),
    ]
    assert found["0.0"].gain is None
    assert found["0.0"].weights.shape == (7, 4)
    assert found.verdict == "healthy"


def test_a_gradient_round_a_residual_is_added_to_what_comes_through_it() -> None:
    """dL/dx = dL/dy + Wᵀ dL/dy for y = x + x W: the inner layer sees dL/dy alone."""
    model = dl.MLP(3, [DENSE(3), dl.Residual([DENSE(3)]), DENSE(2)])
    theta = model.init(0, "cpu", "float64")
    p = model.parameters(theta)
    h = X @ p["0.W"] + p["0.b"]
    z = (h + h @ p["1.0.W"]) @ p["2.W"]
    e = np.exp(z)
    dz = (e / e.sum(axis=1, keepdims=True) - np.eye(2)[LABELS]) / len(X)
    dy = dz @ p["2.W"].T
    found = dl.diagnose_at(model, theta, X, LABELS)
    assert found["1.0"].gradient == pytest.approx(np.linalg.norm(dy), rel=1e-12)
    assert found["0"].gradient == pytest.approx(np.linalg.norm(dy + dy @ p["1.0.W"].T), rel=1e-12)
    assert found["1.0"].gain == pytest.approx(np.linalg.norm(dy @ p["1.0.W"].T) / np.linalg.norm(dy), rel=1e-12)


def test_statistics_are_read_in_one_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("array_api_strict")
    import sys

    module: Any = sys.modules[function.__module__]
    read: list[tuple[int, ...]] = []
    plain = module.to_numpy

    def spy(x: Any) -> np.ndarray:
        read.append(tuple(x.shape))
        return plain(x)

    monkeypatch.setattr(module, "to_numpy", spy)
    theta = NESTED.init(device="strict")
    found = dl.diagnose_at(NESTED, theta, rng.normal(size=(40, 6)), LABELS)
    numbers = 2 + sum(7 + 3 + (f.gain is not None) - (f.gain is None) for f in found.layers)
    assert len(read) == 2
    assert read[0] == (1,)  # what type θ has
    assert read[1][0] > numbers / 2


def test_theta_is_left_as_it_was(on: On) -> None:
    model = dl.mlp(3, 4, 2)
    theta = theta_on(on, model)
    before = [on.numpy(vector).copy() for vector in theta]
    for optimizer in ("adam", dl.GradientDescent(0.1, weight_decay=0.1)):
        dl.diagnose_at(model, theta, on.array(X), on.array(LABELS), optimizer=optimizer)
    for vector, old in zip(theta, before, strict=True):
        np.testing.assert_array_equal(on.numpy(vector), old)


@pytest.mark.parametrize("shape", [(7,), (1,), (3, 5), (64, 33)])
def test_distribution_and_norm_are_numpy_s(on: On, shape: tuple[int, ...]) -> None:
    x = on.host(rng.normal(size=shape))
    found = on.run(distribution, on.array(x))
    quantiles = zip(
        ("minimum", "lower", "median", "upper", "maximum"), np.quantile(x, (0, 0.25, 0.5, 0.75, 1)), strict=True
    )
    for name, value in {"mean": x.mean(), "std": x.std(), **dict(quantiles)}.items():
        on.close(found[name], value)
    on.close(on.run(norm, on.array(x)), np.linalg.norm(x.astype(np.float64)))
    on.close(on.run(share, on.array(x > 0), on.array(x)), np.mean(x > 0))


def test_a_norm_does_not_overflow(on: On) -> None:
    big = 1e30 if on.dtype == "float32" else 1e300
    on.close(on.run(norm, on.array([3 * big, 0.0, -4 * big])) / big, 5.0)
    on.close(on.run(norm, on.array([0.0, 0.0])), 0.0)


def brute_duplicates(W: np.ndarray, g: np.ndarray) -> float:
    def same(a: np.ndarray, i: int, j: int) -> bool:
        return bool(np.max(np.abs(a[:, i] - a[:, j])) <= 1e-4 * np.max(np.abs(a), initial=0))

    m = W.shape[1]
    return float(np.mean([any(same(W, i, j) and same(g, i, j) for j in range(m) if j != i) for i in range(m)]))


@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 1, 3], [0] * 6, [0, 1, 0, 1, 0, 1]], ids=str)
def test_duplicates_are_found_as_by_comparing_all_pairs(on: On, groups: list[int]) -> None:
    W, g = on.host(rng.normal(size=(5, 6))[:, groups]), on.host(rng.normal(size=(5, 6)))
    for gradient in (g, g[:, groups], np.zeros_like(g)):
        expected = brute_duplicates(W, gradient)
        assert float(on.numpy(on.run(duplicates, on.array(W), on.array(gradient)))) == pytest.approx(expected, abs=1e-6)
    assert brute_duplicates(W, g) == 0  # different gradients make the columns differ


def test_one_column_has_no_duplicate(on: On) -> None:
    assert float(on.numpy(duplicates(on.array([[1.0], [2.0]]), on.array([[0.0], [0.0]])))) == 0


FLAT = {
    **dict.fromkeys(["identity", "leaky_relu", "prelu"], 0),
    **dict.fromkeys(["relu", "elu", "selu", "celu", "softplus", "log_sigmoid", "gelu", "swish", "mish"], 1),
    **dict.fromkeys(["hard_swish"], 1),
    **dict.fromkeys(["sigmoid", "tanh", "softsign", "hard_sigmoid", "hard_tanh"], 2),
    **dict.fromkeys(["softmax", "log_softmax"], None),
}


def test_how_every_activation_saturates() -> None:
    ours = {n: c for n, c in classes(Activation).items() if c.__module__.startswith("dlarray.")}
    found = {name: saturation(kind()) for name, kind in ours.items()}
    assert {name: n and n.flat_sides for name, n in found.items()} == FLAT
    assert found["sigmoid"].steepest == 0.25
    assert found["tanh"].steepest == found["relu"].steepest == 1
    assert saturation(dl.Swish(trainable=True)) == found["swish"]


def test_a_custom_activation_is_judged_by_its_derivative() -> None:
    @dataclass(frozen=True)
    class _Squared(Activation):
        """y = max(z, 0)²: flat on one side."""

        def forward(self, z: Any) -> tuple[Any, Any]:
            return np.maximum(z, 0) ** 2, z

        def backward(self, z: Any, dy: Any) -> Any:
            return 2 * np.maximum(z, 0) * dy

    assert saturation(_Squared()).flat_sides == 1
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), _Squared(), DENSE(2)])
    assert dl.diagnose_at(model, model.init(), X, LABELS).verdict == "dying"


# Verdicts


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


# Its forms


def test_a_diagnosis_is_a_table_with_the_verdict_in_words() -> None:
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), "relu", DENSE(2)])
    text = str(dl.diagnose_at(model, model.init(), X, LABELS))
    lines = text.splitlines()
    assert (
        " ".join(lines[0].split())
        == "layer units mean std zeros dead saturated |dL/dy| gain |W| |dL/dW| |ΔW|/|W| verdict"
    )
    assert lines[2].split()[:3] == ["0", "Dense", "4"]
    assert lines[3].split()[-1] == "dying"
    assert lines[3].split()[:7] == ["1", "ReLU", "4", "0", "0", "100%", "100%"]
    assert "verdict: dying" in lines
    assert "leaky or parametrised ReLU" in text
    assert "40 examples" in text
    assert max(map(len, lines)) <= 120


def test_a_diagnosis_is_ready_for_json() -> None:
    model = dl.mlp(3, 4, 2)
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["verdict"] == "healthy"
    assert data["problems"] == []
    assert data["loss"] == found.loss
    assert [layer["kind"] for layer in data["layers"]] == ["Dense", "ReLU", "Dense"]
    W = data["layers"][0]["parameters"]["W"]
    assert W["shape"] == [3, 4]
    assert W["update"] == found["0"].weights.update
    assert data["layers"][0]["parameters"]["b"]["update"] is None
    assert data["layers"][1]["output"]["median"] == found["1"].output.median


def test_a_diagnosis_is_one_line_and_a_table_in_a_notebook() -> None:
    model = dl.MLP(3, [DENSE(4, bias=dl.Constant(-100.0)), "relu", DENSE(2)])
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    assert repr(found) == f"Diagnosis(verdict='dying', layers=3, loss={found.loss:.4g})"
    html = found._repr_html_()
    assert html.count("<tr>") == len(found.layers) + 1
    assert "verdict: dying<br>* dying (layer 1): 100% of the units of layer 1 (ReLU) have derivative 0" in html
    assert ">dying</td></tr>" in html
    assert "eps_mode=&#x27;outside&#x27;" in html  # text is escaped


def test_a_layer_is_found_by_its_name() -> None:
    model = dl.mlp(3, 4, 2)
    found = dl.diagnose_at(model, model.init(), X, LABELS)
    assert isinstance(found["1"], LayerStatistics)
    with pytest.raises(KeyError, match=r"no layer is named '7'; there are 0, 1, 2"):
        found["7"]


def test_a_trained_model_is_diagnosed_with_its_loss(on: On) -> None:
    trained = dl.fit(
        dl.mlp(3, 4, 2), on.array(X), on.array(LABELS), epochs=1, dtype=on.dtype, compile=False, progress=False
    )
    found = dl.diagnose(trained, X, LABELS, optimizer="momentum")
    assert found == dl.diagnose_at(trained.model, trained.theta, X, LABELS, loss=trained.loss, optimizer="momentum")
    assert found.optimizer.startswith("Momentum")


def test_weights_of_examples_count() -> None:
    model = dl.mlp(3, 4, 2)
    theta = model.init()
    chosen = (np.arange(40) < 10).astype(float)
    weighted = dl.diagnose_at(model, theta, X, LABELS, weight=chosen)
    assert weighted.loss == pytest.approx(dl.diagnose_at(model, theta, X[:10], LABELS[:10]).loss, rel=1e-6)


def test_bad_input_is_refused_with_the_remedy() -> None:
    pytest.importorskip("array_api_strict")
    model = dl.mlp(3, 4, 2)
    theta = model.init()
    with pytest.raises(TypeError, match="model must be an MLP"):
        dl.diagnose_at(model.chain, theta, X, LABELS)
    with pytest.raises(ValueError, match="takes 3 inputs, got x with 2 features"):
        dl.diagnose_at(model, theta, X[:, :2], LABELS)
    with pytest.raises(ValueError, match="theta must hold vectors of lengths"):
        dl.diagnose_at(dl.mlp(3, 80, 2), theta, X, LABELS)
    with pytest.raises(ValueError, match="unknown optimizer 'adm', did you mean 'adam'"):
        dl.diagnose_at(model, theta, X, LABELS, optimizer="adm")
    with pytest.raises(ValueError, match="unknown loss"):
        dl.diagnose_at(model, theta, X, LABELS, loss="nothing")
    with pytest.raises(TypeError, match="x must be an array"):
        dl.diagnose_at(model, theta, X.tolist(), LABELS)
    with pytest.raises(TypeError, match="the model is on cpu, got x on strict:cpu"):
        dl.diagnose_at(model, theta, dl.asarray(X, "strict"), dl.asarray(LABELS, "strict"))
    normed = dl.MLP(3, [DENSE(4), dl.BatchNorm(), DENSE(2)])
    with pytest.raises(ValueError, match="trains on 2 examples or more at once, got 1"):
        dl.diagnose_at(normed, normed.init(), X[:1], LABELS[:1])


def test_a_model_without_parameters_is_diagnosed_too() -> None:
    model = dl.MLP(3, ["tanh"])
    found = dl.diagnose_at(model, model.init(), X.astype(np.float32), X)
    assert [f.kind for f in found.layers] == ["Tanh"]
    assert found.verdict == "healthy"


# The landscape


def test_the_landscape_is_the_loss_on_a_plane(on: On) -> None:
    model = dl.mlp(3, 4, 2, activation="tanh")
    theta = theta_on(on, model)
    path = [theta_on(on, model, seed) for seed in range(4)]
    found = loss_landscape(model, theta, on.array(X), on.array(LABELS), path=path, points=3, reach=0.5)
    middle = np.concatenate([on.numpy(p).astype(np.float64).reshape(-1) for p in model.parameters(theta).values()])
    steps = np.stack(
        [
            np.concatenate([on.numpy(p).astype(np.float64).reshape(-1) for p in model.parameters(q).values()]) - middle
            for q in path
        ]
    )
    values, vectors = np.linalg.eigh(steps.T @ steps)
    d = vectors[:, [-1, -2]] * np.linalg.norm(middle)
    d *= np.where(d.sum(axis=0) < 0, -1, 1)
    np.testing.assert_allclose(found.path, steps @ d / np.linalg.norm(middle) ** 2, atol=1e-6)
    np.testing.assert_allclose(found.shares, values[[-1, -2]] / values.sum(), rtol=1e-5)
    assert found.a.tolist() == found.b.tolist() == [-0.5, 0, 0.5]
    loss = dl.SparseCategoricalCrossEntropy()
    for i, b in enumerate(found.b):
        for j, a in enumerate(found.a):
            point = middle + a * d[:, 0] + b * d[:, 1]
            arrays, start = {}, 0
            for name, shape in model.layout.shapes:
                arrays[name] = point[start : start + math.prod(shape)].reshape(shape)
                start += math.prod(shape)
            z = model.predict(theta_on_from(on, model, arrays), on.array(X))
            expected = float(on.numpy(loss.forward(z, on.array(LABELS))[0]))
            assert found.loss[i, j] == pytest.approx(expected, rel=1e-5 if on.dtype == "float32" else 1e-9)


def test_random_directions_are_as_long_as_each_unit_s_weights() -> None:
    theta = {"0.W": rng.normal(size=(5, 4)) * [1, 10, 100, 0], "0.b": np.ones(4)}
    d = landscape._filter_normalised(theta, 0, 0)
    np.testing.assert_allclose(np.linalg.norm(d["0.W"], axis=0), np.linalg.norm(theta["0.W"], axis=0))
    assert not d["0.b"].any()
    assert not np.allclose(d["0.W"], landscape._filter_normalised(theta, 0, 1)["0.W"])


def test_a_random_landscape_is_the_same_each_time_and_has_theta_in_the_middle() -> None:
    model = dl.MLP(3, [DENSE(4), dl.BatchNorm(), "relu", DENSE(2)])
    trained = dl.fit(model, X, LABELS, epochs=3, batch_size=40, compile=False, progress=False)
    given = (trained.model, trained.theta, X, LABELS)
    first, again = (loss_landscape(*given, buffers=trained.buffers, points=5) for _ in range(2))
    np.testing.assert_array_equal(first.loss, again.loss)
    assert first.path is first.shares is None
    assert first.loss[2, 2] == pytest.approx(trained.evaluate(X, LABELS)["loss"], rel=1e-6)
    assert first.a[[0, -1]].tolist() == [-1, 1]
    other = loss_landscape(*given, buffers=trained.buffers, points=5, seed=1)
    assert not np.array_equal(first.loss, other.loss)


def test_a_landscape_is_one_line_and_a_table_in_a_notebook() -> None:
    side = np.array([-0.5, 0.0, 0.5])
    loss = np.array([[1.0, 2.0, 3.0], [0.25, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert repr(dl.Landscape(side, side, loss)) == (
        "Landscape(points 3 × 3, reach 0.5 |θ|, lowest loss 0.25, highest loss 3)"
    )
    found = dl.Landscape(side, side, loss, path=np.zeros((4, 2)))
    assert repr(found).endswith("highest loss 3, points of the path 4)")
    assert found._repr_html_().count("<tr>") == 6


def test_a_landscape_refuses_what_spans_no_plane() -> None:
    model = dl.mlp(3, 2)
    theta = model.init()
    with pytest.raises(ValueError, match="at least 3 points to span a plane, got 2"):
        loss_landscape(model, theta, X, LABELS, path=[theta, theta])
    with pytest.raises(ValueError, match="all points of path equal theta"):
        loss_landscape(model, theta, X, LABELS, path=[theta] * 3)
    with pytest.raises(ValueError, match="reach must be above 0"):
        loss_landscape(model, theta, X, LABELS, reach=0.0)
    with pytest.raises(ValueError, match="a model without parameters has no landscape"):
        loss_landscape(dl.MLP(3, ["tanh"]), (), X, X)

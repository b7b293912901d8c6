"""The statistics of a diagnosis, compared with torch's and NumPy's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.layer import Activation
from dlarray.core.random import fold_in, key_words
from dlarray.core.registry import classes
from dlarray.diagnostics import diagnose as function
from dlarray.diagnostics.formulas import distribution, duplicates, norm, share
from dlarray.diagnostics.saturation import saturation
from tests.support.diagnoses import DENSE, LABELS, X, theta_of, theta_on
from tests.support.matrix import On

pytestmark = pytest.mark.filterwarnings("ignore:the step runs launch by launch.*sort:dlarray.planner.PlannerWarning")
"""A sort waits for a GPU, so no graph can hold it."""
rng = np.random.default_rng(7)


def near(on: On, found: list[float], expected: list[float]) -> None:
    """Equal to the device's rounding, relative to the larger of the number and 1."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert abs(a - b) <= on.rtol * max(abs(b), 1), (a, b)


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
    theta = theta_of(on, model, {n: a.detach().numpy() for n, a in p.items()})
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    **dict.fromkeys(["identity", "leaky_relu", "prelu", "hard_shrink", "soft_shrink"], 0),
    **dict.fromkeys(["relu", "elu", "selu", "celu", "softplus", "log_sigmoid", "gelu", "swish", "mish"], 1),
    **dict.fromkeys(["hard_swish", "threshold"], 1),
    **dict.fromkeys(["sigmoid", "tanh", "softsign", "hard_sigmoid", "hard_tanh", "relu6"], 2),
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

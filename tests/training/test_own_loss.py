"""A loss that a user writes is trained, measured, saved and refused like the library's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

import dlarray as dl
from dlarray.activations import Activation, Softmax
from dlarray.core.array import Array, array_namespace
from dlarray.layers import Layer
from dlarray.losses import Loss
from dlarray.losses.terms import SumOfTerms
from tests.support.matrix import On


@dataclass(frozen=True)
class BrierScore(SumOfTerms):
    """l = Σ (q - one-hot(t))²,  q = softmax z, for class labels t."""

    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "multiclass"
    targets_are_labels: ClassVar[bool] = True

    @property
    def output_activation(self) -> Softmax:
        return Softmax()

    def terms(self, z: Array, t: Array) -> tuple[Array, Any]:
        q = Softmax().predict(z)
        return array_namespace(z).sum((q - t) ** 2, axis=-1, keepdims=True), (q, q - t)

    def slopes(self, saved: Any) -> Array:
        q, d = saved
        return Softmax().backward(q, 2 * d)


@dataclass(frozen=True)
class MeanCubedError(Loss):
    """L = Σ w |z - one-hot(t)|³ / Σ w for class labels t, without ``SumOfTerms``."""

    task: ClassVar[Literal["regression", "binary", "multiclass"]] = "multiclass"
    targets_are_labels: ClassVar[bool] = True
    additive: ClassVar[bool] = True

    def forward(self, z: Array, t: Array, weight: Array | None = None) -> tuple[Array, Any]:
        xp, rows = array_namespace(z), self.prepare(z, t)
        w = xp.ones_like(z) if weight is None else self.weight_column(z, weight)
        w = w / xp.sum(w[:, 0])
        d = z - rows
        return xp.sum(w * xp.abs(d) ** 3), (w, d)

    def backward(self, saved: Any, /) -> Array:
        w, d = saved
        return 3 * w * d * array_namespace(d).abs(d)


@dataclass(frozen=True)
class Halved(Activation):
    """a = softmax(z / 2)."""

    gives_probabilities: ClassVar[bool] = True

    def forward(self, z: Array) -> tuple[Array, Array]:
        return Softmax().forward(z / 2)

    def backward(self, saved: Array, dy: Array) -> Array:
        return Softmax().backward(saved, dy / 2)


@dataclass(frozen=True)
class Centred(Layer):
    """y = x - mean x of each example,  dx = dy - mean dy."""

    def forward(self, x: Array) -> tuple[Array, None]:
        return x - array_namespace(x).mean(x, axis=-1, keepdims=True), None

    def backward(self, saved: None, dy: Array) -> Array:
        return self.predict(dy)


@dataclass(frozen=True)
class HalvedCubedError(MeanCubedError):
    """MeanCubedError whose outputs are read as logits of ``Halved``."""

    @property
    def output_activation(self) -> Activation:
        return Halved()


LABELS = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32) + 3 * np.eye(3, 2)[LABELS].astype(np.float32)
MODEL = dl.mlp(2, 8, 3, activation="tanh")
BOTH = pytest.mark.parametrize("loss", [BrierScore(), MeanCubedError()], ids=repr)


def fit(loss: Loss | str, **options: Any) -> dl.Trained:
    return dl.fit(MODEL, X, LABELS, **{"epochs": 20, "batch_size": 20, "progress": False, "loss": loss} | options)


@BOTH
def test_its_gradient_is_that_of_its_value(loss: Loss) -> None:
    z, h = np.random.default_rng(1).normal(size=(5, 3)), 1e-6
    _, saved = loss.forward(z, LABELS[:5])
    for index in np.ndindex(*z.shape):
        step = np.zeros_like(z)
        step[index] = h
        slope = (loss.forward(z + step, LABELS[:5])[0] - loss.forward(z - step, LABELS[:5])[0]) / (2 * h)
        assert abs(loss.backward(saved)[index] - slope) < 1e-8


@pytest.mark.slow
@BOTH
def test_it_trains_on_labels_and_is_measured(on: On, loss: Loss) -> None:
    trained = fit(loss, device=on.device, dtype=on.dtype, compile=False, validation=0.2)
    assert trained.history["loss"][-1] < trained.history["loss"][0]
    assert trained.history["validation_accuracy"][-1] > 0.6
    assert trained.evaluate(X, LABELS).keys() == {"loss", "accuracy"}


@BOTH
def test_its_examples_have_class_weights_and_may_come_in_parts(loss: Loss) -> None:
    options: dict[str, Any] = {"class_weight": {0: 3.0, 1: 0.5}, "dtype": "float64"}
    by_weight = fit(loss, weight=np.array([3.0, 0.5, 1.0])[LABELS], dtype="float64")
    assert fit(loss, **options).history["loss"] == by_weight.history["loss"]
    in_parts = fit(loss, accumulate=2, **options).history["loss"]
    np.testing.assert_allclose(in_parts, by_weight.history["loss"], rtol=1e-9)


@BOTH
def test_memory_is_estimated_with_it_and_a_file_keeps_it(loss: Loss, tmp_path) -> None:
    estimate, ours = (
        dl.memory_estimate(MODEL, "cpu", loss=one, batch_size=20) for one in (loss, dl.SparseCategoricalCrossEntropy())
    )
    assert (estimate.theta, estimate.batch) == (ours.theta, ours.batch)
    trained = fit(loss, epochs=1)
    trained.save(tmp_path / "model.safetensors")
    again = dl.load(tmp_path / "model.safetensors")
    assert again.loss == loss
    assert again.evaluate(X, LABELS) == trained.evaluate(X, LABELS)


@BOTH
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (LABELS + 1, r"labels must lie in \[0, 3\), got 3 in row 2"),
        (LABELS + 0.5, "class labels must be whole numbers"),
        (np.eye(3)[LABELS], "targets must be integer labels"),
        (LABELS[:, None], r"reshape the targets to \(60,\)"),
    ],
)
def test_labels_are_checked(loss: Loss, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dl.fit(MODEL, X, y, loss=loss, progress=False)


def test_its_activation_is_not_applied_twice() -> None:
    model = dl.MLP(2, [dl.Dense(3), Softmax()])
    with pytest.raises(ValueError, match="BrierScore applies Softmax itself, .*: drop the layer$"):
        dl.fit(model, X, LABELS, loss="brier_score", progress=False)


@pytest.mark.parametrize(
    ("loss", "normalization"), [(BrierScore(), None), (HalvedCubedError(), Centred())], ids=["its loss", "all its own"]
)
def test_a_classifier_of_scikit_learn_trains_with_it(loss: Loss, normalization: Layer | None) -> None:
    pytest.importorskip("sklearn")
    from dlarray.estimators import MLPClassifier

    names = np.array(["a", "b", "c"])[LABELS]
    classifier = MLPClassifier(
        (8,), loss=loss, normalization=normalization, random_state=0, learning_rate_init=0.05, tol=10.0
    )
    classifier.fit(X, names)
    assert classifier.score(X, names) > 0.6
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(probabilities), rtol=1e-4, atol=1e-5)

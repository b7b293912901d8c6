"""Examples that do not count: by ``ignore_index`` of the loss, or by a weight of 0. Training goes as without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.fits import FEW, LABELS, X, check_same, fit
from tests.support.matrix import On

IGNORED = np.arange(40) % 5 == 3
MARKED = np.where(IGNORED, -100, LABELS)
LOSS = dl.SparseCategoricalCrossEntropy(ignore_index=-100)


def close(a: dl.Trained, b: dl.Trained) -> None:
    for p, q in zip(a.theta, b.theta, strict=True):
        np.testing.assert_allclose(dl.to_numpy(p), dl.to_numpy(q), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"accumulate": 3}, {"class_weight": [1, 2, 3.0]}, {"class_weight": "balanced"}]
)
def test_a_batch_is_the_mean_of_those_that_count(options: dict[str, Any], on: On) -> None:
    if on.name not in FEW | {"jax-float32", "strict-2025.12", "numpy-native-float32"}:
        pytest.skip("a few devices are enough: the loss is tested on all")
    where = {"device": on.device, "dtype": on.dtype, "batch_size": None, "optimizer": dl.GradientDescent(0.1)} | options
    expected = fit(X[~IGNORED], LABELS[~IGNORED], **where)
    close(fit(y=MARKED, loss=LOSS, **where), expected)
    close(fit(weight=1.0 * ~IGNORED, **where), expected)
    close(fit(weight=~IGNORED, **where), expected)


def test_an_epoch_of_batches_weighs_each_by_those_that_count() -> None:
    where: dict[str, Any] = {"shuffle": False, "epochs": 1, "optimizer": dl.GradientDescent(1e-12)}
    found = fit(y=MARKED, loss=LOSS, **where).history["loss"][0]
    assert found == pytest.approx(fit(X[~IGNORED], LABELS[~IGNORED], **where).history["loss"][0], rel=1e-6)


def test_class_weights_of_the_loss_beside_ignored_examples() -> None:
    given = {"class_weight": (1.0, 2.0, 0.5), "label_smoothing": 0.1}
    where: dict[str, Any] = {"accumulate": 3, "optimizer": dl.GradientDescent(0.1), "batch_size": None}
    marked = dl.SparseCategoricalCrossEntropy(ignore_index=-100, **given)
    plain = dl.SparseCategoricalCrossEntropy(**given)
    close(fit(y=MARKED, loss=marked, **where), fit(X[~IGNORED], LABELS[~IGNORED], loss=plain, **where))


def test_a_class_may_be_the_ignored_one() -> None:
    loss = dl.SparseCategoricalCrossEntropy(ignore_index=0)
    value, saved = loss.forward(np.zeros((3, 2)), np.asarray([0, 1, 0]))
    assert value == pytest.approx(np.log(2))
    np.testing.assert_array_equal(loss.backward(saved), [[0, 0], [0.5, -0.5], [0, 0]])


def test_metrics_leave_ignored_examples_out(on: On, tmp_path: Path) -> None:
    if on.name not in FEW | {"jax-float32", "strict-2025.12"}:
        pytest.skip("a few devices are enough")
    where = {"device": on.device, "dtype": on.dtype, "metrics": ["accuracy"]}
    trained = fit(y=MARKED, loss=LOSS, validation=(X, MARKED), **where)
    expected = trained.evaluate(X[~IGNORED], LABELS[~IGNORED])
    found = trained.evaluate(X, MARKED)
    assert found == pytest.approx(expected, rel=1e-5)
    assert trained.history["validation_accuracy"][-1] == pytest.approx(expected["accuracy"], rel=1e-6)
    trained.save(tmp_path / "model")
    assert dl.load(tmp_path / "model").loss == LOSS


def test_all_ignored_is_a_loss_of_nothing() -> None:
    value, saved = LOSS.forward(np.ones((2, 3)), np.asarray([-100, -100]))
    assert value == 0
    np.testing.assert_array_equal(LOSS.backward(saved), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="no example counts: all 40 have the target that SparseCategorical"):
        fit(y=np.full(40, -100), loss=LOSS)


def test_other_labels_are_refused_as_ever() -> None:
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got -1 in row 4"):
        fit(y=np.where(np.arange(40) == 4, -1, MARKED), loss=LOSS)
    with pytest.raises(TypeError, match="ignore_index must be a whole number, got 'x'"):
        dl.SparseCategoricalCrossEntropy(ignore_index="x")  # type: ignore[arg-type]
    check_same(fit(loss=dl.SparseCategoricalCrossEntropy(ignore_index=-100), batch_size=None), fit(batch_size=None))


def test_evaluation_weighs_the_loss_and_the_metrics() -> None:
    trained, weight = fit(y=MARKED, loss=LOSS), np.linspace(0, 2, 40)
    names = ["accuracy", "log_loss", "roc_auc"]
    found = trained.evaluate(X, MARKED, names, weight=weight)
    rows = ~IGNORED
    p, labels, w = trained.predict(X[rows]), LABELS[rows], weight[rows]
    expected = {name: float(getattr(dl.metrics, name)(labels, p, weight=w)) for name in names}
    assert found == pytest.approx({"loss": expected["log_loss"], **expected}, rel=1e-5)
    assert found != pytest.approx(trained.evaluate(X, MARKED, names), rel=1e-3)
    with pytest.raises(ValueError, match="the metric 'own' takes no weight: give it a keyword argument weight=None"):
        trained.evaluate(X, LABELS, [own], weight=weight)


def own(y: Any, p: Any) -> Any:
    return dl.metrics.accuracy(y, p)

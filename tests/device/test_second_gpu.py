"""Everything that is asked of the second GPU is computed there.

CuPy allocates and launches on its current device. Where that is another one than the arrays', it warns, and a warning
is an error in these tests; without access from one GPU to the other it raises.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.trees import leaves
from dlarray.device import Device, DeviceError

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int32)
MODEL = dl.MLP(4, [dl.Dense(8), dl.BatchNorm(), "relu", dl.Dropout(0.2), dl.Dense(2)])
RULE = dl.Momentum(0.05)  # Adam would divide the rounding of the gradients of biases before BatchNorm by itself
OPTIONS: dict[str, dict[str, Any]] = {
    "eager": {},
    "compiled": {"compile": True},
    "several steps": {"steps_per_execution": 3},
    "data on the host": {"data": "host"},
    "weights": {"class_weight": "balanced", "weight": np.linspace(0.5, 1.5, 60, dtype=np.float32)},
    "validation and averages": {"validation": 0.2, "callbacks": [dl.EMA(), dl.EarlyStopping(patience=1)]},
    "parts, 16 bits": {"accumulate": 2, "precision": "float16"},
}


@pytest.fixture
def second() -> Iterator[Device]:
    """The second GPU. CuPy's current device is the first, before and afterwards."""
    try:
        device = dl.device.resolve("cuda:1")
    except (DeviceError, ImportError) as error:
        pytest.skip(str(error).partition("\n")[0])
    import cupy

    assert cupy.cuda.runtime.getDevice() == 0
    yield device
    assert cupy.cuda.runtime.getDevice() == 0


def fitted(device: str | None = "cuda:1", x: Any = X, y: Any = Y, **options: Any) -> dl.Trained:
    return dl.fit(MODEL, x, y, device=device, batch_size=16, epochs=2, optimizer=RULE, progress=False, **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_training(second: Device, name: str) -> None:
    options = OPTIONS[name]
    trained = fitted(**options)
    assert {x.device.id for x in (*trained.theta, *trained.buffers)} == {1}
    half = "precision" in options
    host = {key: value for key, value in options.items() if key not in ("data", "compile", "precision")}
    expected = fitted("cpu", **host).predict(X)
    np.testing.assert_allclose(trained.predict(X), expected, rtol=0, atol=1e-2 if half else 1e-5)


def test_arrays_choose_their_gpu(second: Device) -> None:
    x, y = second.asarray(X), second.asarray(Y)
    trained = fitted(None, x, y)
    assert trained.device is second
    predicted = trained.predict(x)
    assert predicted.device.id == 1
    assert trained.classify(x).device.id == 1
    np.testing.assert_array_equal(dl.to_numpy(predicted), trained.predict(X))
    assert trained.evaluate(x, y) == trained.evaluate(X, Y)
    with pytest.raises(ValueError, match=r"the model is on cuda:1, got x on cuda\b"):
        trained.predict(dl.asarray(X, "cuda"))


def test_batches_from_a_function(second: Device) -> None:
    for place in (np.asarray, second.asarray):

        def batches(place: Callable[[Any], Any] = place) -> Iterator[Any]:
            return ((place(X[i : i + 20]), place(Y[i : i + 20])) for i in (0, 20, 40))

        trained = dl.fit(MODEL, batches, device="cuda:1", epochs=2, progress=False)
        assert trained.theta[0].device.id == 1


def test_diagnosis(second: Device) -> None:
    trained = fitted()
    found = dl.diagnose_at(MODEL, trained.theta, second.asarray(X), second.asarray(Y))
    assert found.loss == pytest.approx(dl.diagnose_at(MODEL, fitted("cpu").theta, X, Y).loss, rel=1e-3)
    surface = dl.loss_landscape(MODEL, trained.theta, X, Y, buffers=trained.buffers, points=3)
    assert np.all(np.isfinite(surface.loss))


def test_search_for_a_rate(second: Device) -> None:
    found = dl.find_learning_rate(MODEL, X, Y, device="cuda:1", steps=8)
    assert len(found.losses) == 8
    step, state, batch = dl.first_step(MODEL, X, Y, device="cuda:1")
    assert {x.device.id for x in leaves((state, batch)) if x is not None} == {1}
    assert "product" in str(dl.explain(step, state, batch))


def test_files_and_copies(second: Device, tmp_path: Path) -> None:
    trained = fitted(callbacks=[dl.Checkpoint(tmp_path / "run")])
    trained.save(tmp_path / "model")
    expected = trained.predict(X)
    for copy in (dl.load(tmp_path / "model", "cuda:1"), pickle.loads(pickle.dumps(trained))):
        assert copy.theta[0].device.id == 1
        np.testing.assert_array_equal(copy.predict(X), expected)
    again = dl.fit(
        MODEL, X, Y, device="cuda:1", batch_size=16, epochs=3, optimizer=RULE, progress=False, resume=tmp_path / "run"
    )
    assert again.theta[0].device.id == 1


def test_moves(second: Device) -> None:
    x = second.asarray(X)
    on_first = dl.to_device(x[:, ::2], "cuda")
    assert on_first.device.id == 0
    np.testing.assert_array_equal(dl.to_numpy(on_first), X[:, ::2])
    back = dl.to_device(on_first, second)
    assert back.device.id == 1
    np.testing.assert_array_equal(dl.to_numpy(back.T), X[:, ::2].T)
    assert dl.device.to_numbers([x[0, 0], x[1, 1]]) == [X[0, 0], X[1, 1]]


def test_formulas_within_the_device(second: Device) -> None:
    theta = MODEL.init(0, second)
    with second.entered():
        z = MODEL.predict(theta, second.asarray(X), MODEL.init_buffers(second))
        assert z.device.id == 1
        assert (z + 1).device.id == 1


ESTIMATORS = {
    "adam": {},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2},
    "normalised": {"normalization": "batch_norm", "dropout": 0.1},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("place", ["arrays", "host", "sparse"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(second: Device, name: str, place: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    from dlarray.estimators import MLPClassifier, MLPRegressor

    x, y = {"arrays": (second.asarray(X), second.asarray(Y)), "host": (X, Y), "sparse": (sparse.csr_array(X), Y)}[place]
    device = None if place == "arrays" else "cuda:1"
    options = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0, "device": device, **ESTIMATORS[name]}
    classifier = MLPClassifier(**options).fit(x, y)
    regressor = MLPRegressor(**options).fit(x, y)
    assert classifier.coefs_[0].device.id == 1
    for predict in (classifier.predict, classifier.predict_proba, classifier.predict_log_proba, regressor.predict):
        found = predict(x)
        assert place != "arrays" or found.device.id == 1
    assert classifier.score(x, y) >= 0
    if name == "adam":
        classifier.partial_fit(x, y)

"""What a backend can say of its library: arrays below the standard, laziness, capabilities, and who owns an array."""

from __future__ import annotations

from importlib.metadata import version
from types import SimpleNamespace

import array_api_compat.numpy as compat
import numpy as np
import pytest

import dlarray
from dlarray.backend import Backend, OneDevice, Overlay
from dlarray.core.array import array_namespace, device, is_array, same_library
from dlarray.core.libraries import version_of
from tests.support import plain_library
from tests.support.plain_library import Array, unknown_length

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5))
LABELS = RNG.integers(0, 3, 64).astype(np.int32)
BATCH_NORM = dlarray.MLP(5, [dlarray.Dense(16), dlarray.BatchNorm(), "gelu", dlarray.Dropout(0.2), dlarray.Dense(3)])


def train(device, model=BATCH_NORM, **options):
    given = {"epochs": 3, "compile": False, "progress": False, "device": device, "dtype": "float64", **options}
    return dlarray.fit(model, X, LABELS, **given)


# Whose arrays


class Taker(OneDevice):
    """A backend that returns arrays of NumPy, and has a namespace with another exp."""

    name = "taker"
    array_modules = ("taker",)

    def namespace(self):
        return Overlay(compat, exp=lambda x: 0 * x + 42)

    def asarray(self, host, handle):
        return np.array(host)

    def to_numpy(self, x):
        return np.asarray(x)


@pytest.mark.parametrize("modules", [("taker",), ("numpy",), ("taker", "numpy")])
def test_a_backend_that_returns_arrays_of_another_one_is_refused_and_changes_nothing(modules):
    right = dlarray.Sigmoid().predict(np.asarray([0.5]))
    taker = type("Taker", (Taker,), {"array_modules": modules})()
    with plain_library.registered({"taker": taker}):
        with pytest.raises(dlarray.DeviceError, match=r"asarray returns arrays of the backend numpy.*numpy\.ndarray"):
            dlarray.asarray([1.0], "taker")
        assert dlarray.device_of(np.ones(1)).name == "cpu"
        assert dlarray.Sigmoid().predict(np.asarray([0.5])) == right == 1 / (1 + np.exp(-0.5))


def test_arrays_of_one_backend_belong_together():
    with plain_library.backend():
        x = dlarray.asarray([1.0], "plain")
        assert same_library(x, x + 1)
        assert not same_library(x, np.ones(1))
        with pytest.raises(TypeError, match="expected arrays of one library, got numpy and tests"):
            array_namespace(np.ones(1), x)
        model = dlarray.mlp(2, 1)
        with pytest.raises(TypeError, match="x and theta must be of one library, got tests and numpy"):
            model.forward(model.init(0, dtype="float64"), dlarray.asarray([[1.0, 2.0]], "plain"))


@pytest.mark.parametrize("given", [(), (1.0,), (None, 2)])
def test_no_array_has_no_namespace(given):
    with pytest.raises(TypeError, match="expected an array, got|missing"):
        array_namespace(*given)


# Arrays without namespace and device


def test_a_backend_answers_for_arrays_below_the_standard():
    x = Array(np.ones(2))
    assert not is_array(x)
    with plain_library.backend() as backend:
        assert is_array(x)
        assert array_namespace(x) is array_namespace(x, 2.0) is backend.namespace()
        assert device(x) == "cpu"
        assert dlarray.device_of(x).name == "plain:cpu"
        assert not is_array(backend)  # an object of the library that is no array
        with pytest.raises(TypeError, match="not a supported array type"):
            array_namespace(backend)
    with pytest.raises(TypeError, match="not a supported array type"):
        array_namespace(x)


def test_a_network_trains_on_arrays_below_the_standard():
    with plain_library.backend():
        found, expected = train("plain"), train("cpu")
        np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=1e-12)
        assert found.history.epochs[-1]["accuracy"] == expected.history.epochs[-1]["accuracy"]
        np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-10)


# Lazy libraries


@pytest.mark.parametrize(
    "options", [{}, {"callbacks": ["ema"]}, {"callbacks": ["swa"]}, {"batch_size": 5, "validation": 0.25}]
)
def test_the_graph_of_a_lazy_library_does_not_grow_from_step_to_step(options):
    def deepest(epochs):
        Array.deepest = 0
        train("plain", epochs=epochs, metrics=["accuracy", "roc_auc"], **options).predict(X)
        return Array.deepest

    with plain_library.backend():
        assert deepest(10) == deepest(2) < 100


def test_a_search_for_a_rate_settles_each_step():
    def deepest(steps):
        Array.deepest = 0
        dlarray.find_learning_rate(BATCH_NORM, X, LABELS, steps=steps, device="plain", dtype="float64")
        return Array.deepest

    with plain_library.backend():
        assert deepest(40) == deepest(4) < 100


def test_estimators_settle_each_step():
    estimators = pytest.importorskip("dlarray.estimators")

    def deepest(epochs):
        Array.deepest = 0
        with plain_library.backend():
            x = dlarray.asarray(X, "plain")
            model = estimators.MLPRegressor(
                hidden_layer_sizes=(8,), max_iter=epochs, random_state=0, n_iter_no_change=epochs, tol=0.0
            )
            with pytest.warns(UserWarning, match="Maximum iterations"):
                model.fit(x, x[:, 0]).predict(x)
        return Array.deepest

    assert deepest(8) == deepest(2) < 100


# Unknown batch sizes

LOSSES = [dlarray.SparseCategoricalCrossEntropy(), dlarray.MeanSquaredError(), dlarray.losses.RootMeanSquaredError()]
LAYERS = {
    "batch_norm": [dlarray.Dense(8), dlarray.BatchNorm(), "relu", dlarray.Dense(3)],
    "dropout": [dlarray.Dense(8), "prelu", dlarray.Dropout(0.3), dlarray.Dense(3)],
    "layer_norm": [dlarray.Dense(3), dlarray.LayerNorm(), dlarray.Residual([dlarray.Dense(3), "silu"])],
    "rms_norm": [dlarray.Dense(8), dlarray.RMSNorm(), "softmax", dlarray.Dense(3)],
    "embedding": [dlarray.Embedding(4, 3), dlarray.Dense(3)],
}
N = 29  # a length that no other axis has


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("layers", LAYERS)
def test_a_step_needs_no_batch_size(layers, loss, weighted):
    model = dlarray.MLP(5, LAYERS[layers])
    dtype = "int32" if layers == "embedding" else "float64"
    labels = loss.targets_are_labels
    batch = (
        RNG.integers(0, 4, (N, 5)).astype(dtype) if layers == "embedding" else RNG.normal(size=(N, 5)),
        RNG.integers(0, 3, N).astype(np.int32) if labels else RNG.normal(size=(N, 3)),
        RNG.uniform(0.5, 1.5, N) if weighted else None,
    )
    step = dlarray.Step(model, loss, dlarray.Adam(0.01))

    def losses(name):
        device = dlarray.resolve(name)
        state = step.init(model.init(0, name, "float64"), model.init_buffers(name, "float64"), 0, device)
        on = tuple(None if x is None else device.asarray(x) for x in batch)
        for _ in range(3):
            state, value = step(state, on)
            yield float(value)

    expected = list(losses("cpu"))
    with plain_library.backend(), unknown_length(N):
        np.testing.assert_allclose(list(losses("plain")), expected, rtol=1e-12)


def test_parts_of_a_batch_need_its_size():
    model = dlarray.mlp(5, 3)
    step = dlarray.Step(model, dlarray.SparseCategoricalCrossEntropy(), dlarray.Adam(), accumulate=2)
    with plain_library.backend(), unknown_length(N):
        device = dlarray.resolve("plain")
        state = step.init(model.init(0, device, "float64"), (), 0, device)
        batch = device.asarray(np.ones((N, 5))), device.asarray(np.zeros(N, np.int32)), None
        with pytest.raises(ValueError, match=r"accumulate=2 needs a known batch size, got x of shape \(None, 5\)"):
            step(state, batch)


# Capabilities


@pytest.mark.parametrize(
    ("lacking", "lack"),
    [
        ("int32_wraps", r"products of int32 that wrap modulo 2\*\*32"),
        ("bit_operations", "operations on the bits of int32"),
    ],
)
def test_dropout_is_refused_by_name_where_its_masks_cannot_be_computed(lacking, lack):
    said = rf"Dropout\(rate=0.2\) needs random numbers on the device.*the backend plain has no {lack}"
    with plain_library.backend(**{lacking: False}):
        with pytest.raises(ValueError, match=said):
            train("plain")
        with pytest.raises(ValueError, match=said):
            dlarray.find_learning_rate(BATCH_NORM, X, LABELS, steps=2, device="plain", dtype="float64")
        train("plain", dlarray.mlp(5, 3))  # without random numbers


def test_a_state_in_bfloat16_is_refused_too():
    with (
        plain_library.backend(int32_wraps=False),
        pytest.raises(ValueError, match="formula needs random numbers"),
    ):
        train("plain", dlarray.mlp(5, 3), optimizer=dlarray.BFloat16State(dlarray.Adam()))


def test_bits_that_cannot_be_read_are_refused_by_the_name_of_the_backend():
    with plain_library.backend(), pytest.raises(TypeError, match="arrays of plain have no method view"):
        train("plain", dlarray.mlp(5, 3), optimizer=dlarray.BFloat16State(dlarray.Adam()))


def test_what_a_backend_claims_by_default():
    claims = ("standard", "lazy", "int32_wraps", "bit_operations", "exact_float64", "writes_in_place")
    assert [getattr(Backend, name) for name in claims] == [True, False, True, True, True, True]
    tree = {"a": (np.ones(1), None)}
    assert Backend().settle(tree) is tree


# Parts of a backend


def test_one_device_is_the_cpu():
    device = plain_library.PlainBackend()
    assert device.devices() == ["cpu"]
    assert device.handle("cpu") == "cpu"
    with pytest.raises(ValueError, match="plain has the device cpu alone, got 'gpu'"):
        device.handle("gpu")
    x = Array(np.ones(1))
    assert device.device_of(x) == "cpu"
    assert device.to_device(x, "cpu") is x


def test_an_overlay_replaces_and_adds_names_and_leaves_the_library_alone():
    library = SimpleNamespace(exp=np.exp, pi=3)
    own = Overlay(library, exp=abs, more=4)
    assert (own.exp, own.pi, own.more) == (abs, 3, 4)
    assert vars(library) == {"exp": np.exp, "pi": 3}
    with pytest.raises(AttributeError, match="missing"):
        _ = own.missing


def test_a_version_is_that_of_the_installed_package():
    assert dlarray.resolve("cpu").backend.version() == version("numpy") == version_of("numpy")
    assert version_of("array_api_compat") == version("array-api-compat")
    assert version_of("yaml_of_nobody") is None
    assert version_of("sklearn") == version("scikit-learn")  # a package of another name
    assert plain_library.PlainBackend().version() == "unknown"

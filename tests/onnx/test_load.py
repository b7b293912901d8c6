"""``onnx.load``: files of ``export``, of torch, of skl2onnx, and graphs written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as d
from dlarray import onnx as do
from dlarray.core.layer import Layer
from dlarray.estimators import MLPClassifier
from tests.interop.torch_cases import random_trained

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
nn, helper = torch.nn, onnx.helper


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def same(trained: d.Trained, other: d.Trained) -> None:
    """Equal in every part that a file can hold."""
    assert other.model == trained.model
    assert (other.loss, other.dtype, other.features, other.classes) == (
        *(trained.loss, trained.dtype, trained.features, trained.classes),
    )
    for own, theirs in ((trained.theta, other.theta), (trained.buffers, other.buffers)):
        for a, b in zip(own, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


NETWORKS: list[list[Layer | str]] = [
    [d.Dense(5), "gelu", d.Dense(3)],
    [d.Dense(5, weight="uniform"), d.BatchNorm(momentum=0.2), "prelu", d.Dropout(0.3), d.Dense(3, bias=False)],
    [d.Residual([d.Dense(4), "silu", d.LayerNorm(scale=False)]), d.Chain([d.RMSNorm(), d.Dense(3)])],
    [d.Embedding(4, 2), d.Dense(3)],
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", NETWORKS, ids=lambda layers: " ".join(type(f).__name__ for f in layers))
def test_a_network_that_was_exported_is_read_again(layers: list[Layer | str], dtype: str, path: Path) -> None:
    trained = random_trained(4, *layers, loss=d.SparseCategoricalCrossEntropy(label_smoothing=0.1), dtype=dtype)
    do.export(trained, path)
    same(trained, do.load(path, device="cpu"))


@pytest.mark.parametrize("loss", [d.MeanSquaredError(), d.BinaryCrossEntropy(), d.Huber(2.0), d.Hinge(), d.Poisson()])
def test_the_loss_of_an_exported_network_is_read(loss: d.Loss, path: Path) -> None:
    trained = random_trained(3, d.Dense(1), loss=loss)
    do.export(trained, path)
    same(trained, do.load(path, device="cpu"))
    assert do.load(path, "mean_absolute_error", device="cpu").loss == d.MeanAbsoluteError()


@pytest.mark.parametrize("zipmap", [False, True])
def test_names_of_features_and_classes_are_read(zipmap: bool, path: Path) -> None:
    t = random_trained(2, d.Dense(3), loss=d.SparseCategoricalCrossEntropy())
    named = d.Trained(
        t.model, t.theta, t.buffers, t.loss, t.device, t.dtype, features=("a", "b"), classes=("x", "y", "z")
    )
    do.export(named, path, zipmap=zipmap)
    same(named, do.load(path, device="cpu"))


def test_an_exported_estimator_is_read_as_a_trained_model(path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.asarray(["no", "yes"] * 20)
    estimator = MLPClassifier((5,), max_iter=3, n_iter_no_change=9, random_state=0)
    with pytest.warns(UserWarning, match="iterations"):
        estimator.fit(x, y)
    do.export(estimator, path)
    trained = do.load(path, device="cpu")
    np.testing.assert_array_equal(trained.predict_labels(x), estimator.predict(x))


def changed(path: Path, change: Any) -> None:
    proto = onnx.load(path)
    change(proto)
    onnx.save(proto, path)


def test_a_graph_that_was_changed_after_the_export_is_refused(path: Path) -> None:
    do.export(random_trained(3, d.Dense(4), "tanh", d.Dense(1)), path)

    def other_function(proto: Any) -> None:
        next(node for node in proto.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"

    changed(path, other_function)
    with pytest.raises(do.LoadError, match="give other results than the graph, by up to"):
        do.load(path)


def test_metadata_of_an_unknown_layer_are_refused(path: Path) -> None:
    do.export(random_trained(3, d.Dense(1)), path)

    def unknown(proto: Any) -> None:
        entry = next(entry for entry in proto.metadata_props if entry.key == "network")
        entry.value = entry.value.replace('"dense"', '"sparse"')

    changed(path, unknown)
    with pytest.raises(do.LoadError, match=r"is not a network of dlarray, as it says: .*unknown layer 'sparse'"):
        do.load(path)


def test_an_exported_graph_whose_weights_were_renamed_is_read_node_by_node(path: Path) -> None:
    trained = random_trained(3, d.Dense(4), "relu", d.Dense(1))
    do.export(trained, path)

    def renamed(proto: Any) -> None:
        for tensor in proto.graph.initializer:
            tensor.name = f"w/{tensor.name}"
        for node in proto.graph.node:
            node.input[:] = [f"w/{name}" if name[0].isdigit() or "constant" in name else name for name in node.input]

    changed(path, renamed)
    again = do.load(path, "mse", device="cpu")
    assert again.model == trained.model
    for name, x in again.parameters.items():
        np.testing.assert_array_equal(x, trained.parameters[name])


TORCH = [
    *(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU(4), nn.PReLU(), nn.ELU(0.5), nn.SELU(), nn.CELU(0.7)),
    *(
        nn.Softplus(2),
        nn.LogSigmoid(),
        nn.GELU(),
        nn.SiLU(),
        nn.Mish(),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.Softsign(),
    ),
    *(nn.Hardtanh(-2, 1), nn.LogSoftmax(1), nn.Sigmoid(), nn.Softmax(1), nn.Tanh(), nn.BatchNorm1d(4), nn.Identity()),
]
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def exported_by_torch(net: Any, path: Path, opset: int, example: Any = None) -> Any:
    """The module in eval mode, written by torch's exporter that needs no other library."""
    net = net.eval()
    x = torch.zeros(2, 3) if example is None else example
    options = {"opset_version": opset, "dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(net, (x,), path, **options)
    return net


@quiet
@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("f", TORCH, ids=str)
def test_graphs_of_torch_are_read(f: Any, opset: int, path: Path) -> None:
    torch.manual_seed(0)
    net = exported_by_torch(nn.Sequential(nn.Linear(3, 4), f, nn.Linear(4, 2)), path, opset)
    trained, direct = do.load(path, "mse", device="cpu"), d.from_torch(net, "mse", device="cpu")
    assert [f for f in trained.model.layers if f != d.Identity()] == [
        f for f in direct.model.layers if f != d.Identity()
    ]
    own, expected = trained.parameters.values(), direct.parameters.values()
    for a, b in zip(own, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@quiet
def test_layers_of_torch_that_are_several_nodes_are_read(path: Path) -> None:
    inner = d.Residual([d.Dense(4), d.Swish(1.5), d.Residual([d.Dense(4), "tanh"]), d.Swish(trainable=True)])
    layers = [d.LayerNorm(), d.Dense(4), inner, "gelu", d.LayerNorm(), d.Dense(2)]
    trained = random_trained(3, *layers, dtype="float32")
    net = exported_by_torch(d.to_torch(trained), path, 20)
    again = do.load(path, "mse", device="cpu")
    assert again.model == trained.model
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(again.outputs(x), net(torch.from_numpy(x)).numpy(force=True), rtol=2e-6)


@quiet
def test_an_embedding_of_torch_is_read(path: Path) -> None:
    x = torch.zeros(2, 3, dtype=torch.int64)
    exported_by_torch(nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2)), path, 20, x)
    assert do.load(path, "mse").model.layers == (d.Embedding(5, 2), d.Dense(2))


@quiet
def test_a_last_softmax_of_a_graph_becomes_a_part_of_the_loss(path: Path) -> None:
    net = exported_by_torch(nn.Sequential(nn.Linear(3, 4), nn.Softmax(1)), path, 20)
    trained = do.load(path)
    assert trained.loss == d.SparseCategoricalCrossEntropy()
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(trained.predict(x), net(torch.from_numpy(x)).numpy(force=True), rtol=2e-6)
    more = d.fit(trained.model, x, np.asarray([1]), theta=trained.theta, epochs=1, batch_size=1, progress=False)
    assert more.history["loss"]
    exported_by_torch(nn.Sequential(nn.Linear(3, 4)), path, 20)
    with pytest.raises(ValueError, match="does not tell what it was trained for: give loss="):
        do.load(path)


def of_sklearn(model: Any, x: np.ndarray, path: Path, **options: Any) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    onnx.save(skl2onnx.to_onnx(model, x[:1], **options), path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [[0, 1, 2], [3, 5], ["a", "b", "c"], ["no", "yes"]], ids=str)
def test_classifiers_of_skl2onnx_are_read(labels: list[Any], zipmap: bool, path: Path) -> None:
    from sklearn.neural_network import MLPClassifier as Theirs
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal(3, 2, size=(60, 4)).astype(np.float32)
    y = np.asarray(labels)[np.arange(60) % len(labels)]
    model = make_pipeline(StandardScaler(), Theirs((5,), activation="tanh", max_iter=5, random_state=0)).fit(x, y)
    of_sklearn(model, x, path, options={"zipmap": zipmap})
    trained = do.load(path, device="cpu")
    p = trained.predict(x)
    expected = model.predict_proba(x)
    np.testing.assert_allclose(p, expected if len(labels) > 2 else expected[:, 1:], atol=1e-5)
    np.testing.assert_array_equal(trained.predict_labels(x), model.predict(x))
    assert trained.classes == (None if labels == [0, 1, 2] else tuple(labels))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("outputs", [1, 2])
def test_regressors_of_skl2onnx_are_read(outputs: int, path: Path) -> None:
    from sklearn.neural_network import MLPRegressor

    x = np.random.default_rng(0).normal(size=(60, 4))
    model = MLPRegressor(hidden_layer_sizes=(5, 4), max_iter=5, random_state=0).fit(x, x[:, :outputs].squeeze())
    of_sklearn(model, x, path)
    trained = do.load(path, "mse", device="cpu")
    assert trained.dtype == "float64"
    np.testing.assert_allclose(trained.predict(x), model.predict(x).reshape(60, outputs), rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_several_labels_of_skl2onnx_are_read(path: Path) -> None:
    from sklearn.neural_network import MLPClassifier as Theirs

    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    model = Theirs((5,), max_iter=5, random_state=0).fit(x, (x[:, :3] > 0).astype(int))
    of_sklearn(model, x, path)
    trained = do.load(path, device="cpu")
    assert trained.loss == d.BinaryCrossEntropy()
    np.testing.assert_allclose(trained.predict(x), model.predict_proba(x), atol=1e-5)

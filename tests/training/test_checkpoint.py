"""Models in files: whole and bit for bit the same, or an error that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import dlarray as dl
from dlarray.core.layer import Layer, Shape
from dlarray.core.registry import classes
from dlarray.losses import Loss
from tests.support.matrix import On
from tests.support.models import DEEP, assert_same, parts, trained_model

rng = np.random.default_rng(0)


# The round trip


OURS = {name: cls for name, cls in classes(Layer).items() if cls.__module__.startswith("dlarray.")}
GIVEN: dict[str, list[Layer]] = {  # layers that cannot be made without a word, or have more to tell than their defaults
    "dense": [dl.Dense(3), dl.Dense(3, weight=dl.TruncatedNormal(0.3), bias=dl.Constant(0.1))],
    "embedding": [dl.Embedding(7, 2, weight="uniform")],
    "chain": [dl.Chain([dl.Dense(3), "relu"])],
    "residual": [dl.Residual([dl.Dense(4), dl.BatchNorm(), "tanh", dl.Residual([dl.LayerNorm()])])],
    "swish": [dl.Swish(1.5), dl.Swish(0.5, trainable=True)],
    "batch_norm": [dl.BatchNorm(eps=0.1, momentum=0.3)],
    "dropout": [dl.Dropout(0.25)],
}
LAYERS = [layer for name, cls in OURS.items() for layer in (GIVEN[name] if name in GIVEN else [cls()])]
LOSSES = [cls() for cls in classes(Loss).values() if cls.__module__.startswith("dlarray.")]


def around(layer: Layer) -> dl.MLP:
    """A model with this layer in it."""
    first = [] if layer.integers else [dl.Dense(4)]
    return dl.MLP(4, [*first, layer, dl.Dense(2)])


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_every_layer_comes_back_bit_for_bit(layer: Layer, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    trained = trained_model(around(layer))
    trained.save(path)
    loaded = dl.load(path, "cpu")
    assert_same(trained, loaded)
    x = rng.integers(0, 7, size=(9, 4)) if layer.integers else rng.normal(size=(9, 4))
    np.testing.assert_array_equal(loaded.predict(x), trained.predict(x))


@pytest.mark.parametrize(
    "loss",
    [
        *LOSSES,
        dl.Huber(0.3),
        dl.Hinge(class_weight=(0.5, 2.0)),
        dl.BinaryCrossEntropy(pos_weight=(3.0, 0.5)),
    ],
    ids=repr,
)
def test_every_loss_comes_back(loss: Loss, tmp_path: Path) -> None:
    trained = trained_model(dl.mlp(4, 3), loss)
    trained.save(tmp_path / "model")
    loaded = dl.load(tmp_path / "model")
    assert loaded.loss == loss
    x = rng.normal(size=(5, 4))
    np.testing.assert_array_equal(loaded.predict(x), trained.predict(x))


def test_what_was_saved_on_a_device_is_the_same_on_it_and_on_any_other(on: On, tmp_path: Path) -> None:
    path, x = tmp_path / "model.safetensors", rng.normal(size=(8, 4))
    trained = trained_model(DEEP, dl.SparseCategoricalCrossEntropy(), on.device, on.dtype)
    before = parts(trained)
    trained.save(path)
    assert all(np.array_equal(before[name], x) for name, x in parts(trained).items())

    back, there = dl.load(path, on.device), dl.load(path, "cpu")
    assert_same(trained, back)
    assert_same(trained, there)
    assert back.device == on.target
    assert dl.device_of(back.theta[0]) == on.target
    np.testing.assert_array_equal(back.predict(x), trained.predict(x))  # the same library: to the last bit
    np.testing.assert_allclose(there.predict(x), trained.predict(x), rtol=1e-5 if on.dtype == "float32" else 1e-12)
    there.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_loaded_model_is_trained_on_as_the_one_that_was_saved(tmp_path: Path) -> None:
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    first = dl.fit(DEEP, x, y, epochs=2, batch_size=10, progress=False)
    first.save(tmp_path / "model")
    loaded = dl.load(tmp_path / "model")
    assert_same(first, loaded)
    assert loaded.history == first.history
    more = [
        dl.fit(DEEP, x, y, epochs=2, batch_size=10, theta=t.theta, progress=False).history.steps
        for t in (first, loaded)
    ]
    assert more[0] == more[1]


def test_where_the_model_goes_is_chosen_as_for_new_arrays(tmp_path: Path) -> None:
    trained_model(dl.mlp(4, 2)).save(tmp_path / "model")
    pytest.importorskip("array_api_strict")
    with dl.use_device("strict:device1"):
        assert dl.load(tmp_path / "model").device.name == "strict:device1"
    assert dl.load(str(tmp_path / "model"), "strict:device2").device.name == "strict:device2"


def test_a_device_that_lacks_the_numbers_says_so_itself(tmp_path: Path) -> None:
    """It is not the file that is at fault."""
    pytest.importorskip("array_api_strict")
    trained_model(dl.mlp(4, 2), dtype="float64").save(tmp_path / "model")
    with pytest.raises(ValueError, match="no_float64.*float64"):
        dl.load(tmp_path / "model", "strict:no_float64")
    with pytest.raises(dl.DeviceError, match="unknown device"):
        dl.load(tmp_path / "model", "nowhere")


def test_the_file_is_plain_safetensors_with_torch_s_names(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    trained = trained_model(DEEP)
    trained.save(path)
    arrays = safetensors.numpy.load_file(path)
    found = parts(trained)
    assert {name: x.shape for name, x in arrays.items()} == {
        "0.weight": (4, 6),
        "0.bias": (6,),
        "1.weight": (6,),
        "1.bias": (6,),
        "1.running_mean": (6,),
        "1.running_var": (6,),
        "2.slope": (6,),
        "3.0.weight": (6, 6),
        "3.0.bias": (6,),
        "3.1.weight": (6,),
        "4.weight": (6, 3),
        "4.bias": (3,),
    }
    for name, own in {"0.weight": "0.W", "1.bias": "1.beta", "1.running_var": "1.variance", "4.bias": "4.b"}.items():
        np.testing.assert_array_equal(arrays[name], found[own])
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata.keys() == {"format", "version", "config", "sha256"}
    assert (metadata["format"], metadata["version"]) == ("dlarray", "1")
    config = json.loads(metadata["config"])
    assert config["dtype"] == "float32"
    assert config["model"]["inputs"] == 4
    assert config["model"]["layers"][0]["name"] == "dense"


def test_arrays_in_any_order_are_written_in_c_order(tmp_path: Path) -> None:
    """safetensors itself would write the bytes of a transposed or strided view as they lie."""
    model = dl.mlp(4, 3)
    straight = trained_model(model)
    (vector,) = straight.theta
    for name, odd in {
        "strided": np.repeat(vector, 2)[::2],
        "backwards": vector[::-1].copy()[::-1],
        "column": np.asfortranarray(np.stack([vector, vector]).T)[:, 0],
        "read-only": vector.copy(),
    }.items():
        odd.flags.writeable = name != "read-only"
        dl.Trained(model, (odd,), (), straight.loss, straight.device).save(tmp_path / name)
        assert_same(dl.load(tmp_path / name), straight)


@dataclass(frozen=True)
class Unlucky(Layer):
    """Two parameters that torch would give one name, and a buffer that bears a name of torch's."""

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"W": (inputs,), "gamma": (inputs,), "b": (inputs,)}

    def buffers(self, inputs: int) -> dict[str, Shape]:
        return {"running_mean": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        return dict.fromkeys(("W", "gamma", "b", "running_mean"), dl.Zeros())


def test_names_that_would_fall_together_in_the_file_stay_apart(tmp_path: Path) -> None:
    trained = trained_model(dl.MLP(3, [Unlucky()]))
    trained.save(tmp_path / "model")
    assert safetensors.numpy.load_file(tmp_path / "model").keys() == {"0.W", "0.gamma", "0.bias", "0.running_mean"}
    assert_same(dl.load(tmp_path / "model"), trained)


def test_a_single_buffer_in_a_vector_of_its_own_is_written_too(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    trained = trained_model(dl.MLP(3, [Unlucky()]), device="jax")
    trained.save(tmp_path / "model")
    assert_same(dl.load(tmp_path / "model", "jax"), trained)


def test_a_model_without_parameters_can_be_saved(tmp_path: Path) -> None:
    trained = trained_model(dl.MLP(3, ["relu"]))
    trained.save(tmp_path / "model")
    np.testing.assert_array_equal(dl.load(tmp_path / "model").predict(np.array([[-1.0, 0.0, 2.0]])), [[0, 0, 2]])


def test_weights_that_are_not_finite_are_kept_as_they_are(tmp_path: Path) -> None:
    trained = trained_model(dl.mlp(4, 2))
    trained.theta[0][:3] = [np.nan, np.inf, -0.0]
    trained.save(tmp_path / "model")
    loaded = dl.load(tmp_path / "model").theta[0]
    np.testing.assert_array_equal(loaded.view(np.uint32), trained.theta[0].view(np.uint32))


def test_numpy_s_numbers_in_a_configuration_are_numbers(tmp_path: Path) -> None:
    model = dl.MLP(np.int64(4), [dl.Dense(np.int32(3)), dl.BatchNorm(np.float32(0.5)), dl.Dropout(np.float64(0.5))])
    trained = trained_model(model, dl.Huber(np.float64(0.5)))
    trained.save(tmp_path / "model")
    assert_same(dl.load(tmp_path / "model"), trained)


# What cannot be written


@dataclass(frozen=True)
class _Hidden(dl.Activation):
    def forward(self, z: Any) -> tuple[Any, None]:
        return z, None


@dataclass(frozen=True)
class WithFunction(dl.Activation):
    f: Callable[[Any], Any] = abs

    def forward(self, z: Any) -> tuple[Any, None]:
        return self.f(z), None


def test_what_a_file_could_not_bring_back_is_refused_when_it_is_written(tmp_path: Path) -> None:
    for layer in (_Hidden(), WithFunction()):
        with pytest.raises(TypeError, match=r"only data and names of public classes: .*cannot be written"):
            trained_model(dl.MLP(3, [layer])).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []

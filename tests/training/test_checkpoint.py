"""Models in files: whole and bit for bit the same, or an error that says why not; and never half a file on the disk."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
import random
import stat
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import dlarray as dl
from dlarray.core.layer import Layer, Shape
from dlarray.core.layout import Layout
from dlarray.core.registry import classes
from dlarray.losses import Loss
from dlarray.training import load_with_notes, safetensors_file
from tests.support.matrix import On

rng = np.random.default_rng(0)


def trained_model(
    model: dl.MLP, loss: Loss | None = None, device: str | dl.Device = "cpu", dtype: str = "float32", seed: int = 0
) -> dl.Trained:
    """A model as if it had been trained: θ away from the start, buffers too, without the time that training takes."""
    at = dl.device.resolve(device)
    draws = np.random.default_rng(seed)

    def moved(layout: Layout, arrays: dict[str, Any]) -> dl.Theta:
        shifted = {name: dl.to_numpy(x) + draws.uniform(0.1, 0.4, x.shape) for name, x in arrays.items()}
        own = layout if at.backend.writes_in_place else layout.split_up()
        return tuple(at.asarray(v, dtype) for v in own.join(shifted)) if arrays else ()

    theta = moved(model.layout, model.parameters(model.init(seed, at, dtype)))
    buffers = moved(model.buffer_layout, model.named_buffers(model.init_buffers(at, dtype)))
    return dl.Trained(model, theta, buffers, loss or dl.MeanSquaredError(), at, dtype)


def parts(trained: dl.Trained) -> dict[str, np.ndarray]:
    """All numbers of a model by name, whatever its layout."""
    named = trained.model.parameters(trained.theta) | trained.model.named_buffers(trained.buffers)
    return {name: np.array(dl.to_numpy(x)) for name, x in named.items()}


def assert_same(a: dl.Trained, b: dl.Trained) -> None:
    assert (a.model, a.loss, a.dtype) == (b.model, b.loss, b.dtype)
    left, right = parts(a), parts(b)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype == a.dtype
        np.testing.assert_array_equal(left[name], right[name])


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


@pytest.mark.parametrize("loss", [*LOSSES, dl.Huber(0.3), dl.Hinge(class_weight=(0.5, 2.0))], ids=repr)
def test_every_loss_comes_back(loss: Loss, tmp_path: Path) -> None:
    trained = trained_model(dl.mlp(4, 3), loss)
    trained.save(tmp_path / "model")
    loaded = dl.load(tmp_path / "model")
    assert loaded.loss == loss
    x = rng.normal(size=(5, 4))
    np.testing.assert_array_equal(loaded.predict(x), trained.predict(x))


DEEP = dl.MLP(
    4, [dl.Dense(6), dl.BatchNorm(), dl.PReLU(), dl.Residual([dl.Dense(6), dl.RMSNorm(), "gelu"]), dl.Dense(3)]
)


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


# Files that are no whole and true model


SMALL = trained_model(dl.MLP(2, [dl.Dense(2), "relu", dl.Dense(1)]))


def written(trained: dl.Trained, folder: Path) -> bytes:
    trained.save(folder / "written")
    return (folder / "written").read_bytes()


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    return written(SMALL, tmp_path)


def read(data: bytes, folder: Path) -> dl.Trained:
    path = folder / "changed.safetensors"
    path.write_bytes(data)
    return dl.load(path)


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the numbers."""
    n = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + n]), data[8 + n :]


def together(header: Any, numbers: bytes) -> bytes:
    """A file of this header, a dict or the text itself, and these numbers."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def signed(header: dict[str, Any], numbers: bytes, **config: Any) -> bytes:
    """A file with another configuration and the digest that belongs to it: what an attacker would make."""
    metadata = header["__metadata__"]
    text = json.dumps(json.loads(metadata["config"]) | config)
    arrays = safetensors.numpy.load(together({k: v for k, v in header.items() if k != "__metadata__"}, numbers))
    digest = safetensors_file._digest(text, arrays)
    return together(header | {"__metadata__": metadata | {"config": text, "sha256": digest}}, numbers)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, repeat or cut off a few bytes, in the header as often as in the numbers."""
    n = int.from_bytes(data[:8], "little")
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        if not changed:
            break
        i = draw.randrange(min(len(changed), draw.choice([8, 8 + n, len(data)])))
        j = min(len(changed), i + draw.choice([1, 1, 2, 8, 40]))
        match draw.randrange(7):
            case 0:
                changed[i] ^= 1 << draw.randrange(8)
            case 1:
                changed[i] = draw.randrange(256)
            case 2:
                changed[i:i] = draw.randbytes(j - i)
            case 3:
                changed[i:j] = b""
            case 4:
                changed[i:i] = changed[i:j]
            case 5:
                changed[i:j] = draw.choice(
                    [b" " * (j - i), b"0" * (j - i), b"1", b'"', b"}", b"[", b"-", b"9" * (j - i)]
                )
            case _:
                changed[i if draw.random() < 0.5 else len(changed) - (j - i) :] = b""
    return bytes(changed)


def test_a_changed_file_is_refused_or_gives_the_very_same_model(small: bytes, tmp_path: Path) -> None:
    reasons: list[str] = []
    for seed in range(2000):
        data = mutated(small, random.Random(seed))
        try:
            assert_same(read(data, tmp_path), SMALL)
        except dl.CheckpointError as error:
            reasons.append(str(error))
    assert all("changed.safetensors is not a dlarray model: " in reason for reason in reasons)
    assert len(reasons) > 1900, "the mutations hardly change anything"


def test_every_single_bit_of_the_numbers_and_of_the_digest_counts(small: bytes, tmp_path: Path) -> None:
    start = len(small) - len(split(small)[1])
    digest = small.index(b'"sha256"') + 10
    for i in [*range(start, len(small)), *range(digest, digest + 64)]:
        data = bytearray(small)
        data[i] ^= 1
        with pytest.raises(dl.CheckpointError):
            read(bytes(data), tmp_path)


def test_every_truncation_is_refused(small: bytes, tmp_path: Path) -> None:
    for n in range(len(small)):
        with pytest.raises(dl.CheckpointError):
            read(small[:n], tmp_path)


def _header(**changes: Any) -> Callable[[bytes], bytes]:
    """A change of the header's entries; None takes one away."""

    def change(data: bytes) -> bytes:
        header, numbers = split(data)
        return together({k: v for k, v in (header | changes).items() if v is not None}, numbers)

    return change


def _entry(name: str, **changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        header, numbers = split(data)
        return together(header | {name: header[name] | changes}, numbers)

    return change


def _metadata(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: _entry("__metadata__", **changes)(data)


def _renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        header, numbers = split(data)
        return together({new if name == old else name: entry for name, entry in header.items()}, numbers)

    return change


def _config(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: signed(*split(data), **changes)


def _layers(*layers: Any, inputs: Any = 2) -> Callable[[bytes], bytes]:
    return _config(model={"inputs": inputs, "layers": list(layers)})


def _named(name: str, kind: str = "layer", **own: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "fields": own}


def _twice(data: bytes) -> bytes:
    header, numbers = split(data)
    text = json.dumps(header)
    return together(f'{{"2.bias": {json.dumps(header["2.bias"])}, {text[1:]}'.encode(), numbers)


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a name twice": (_twice, "twice"),
    "leading whitespace": (
        lambda d: together(b" " + json.dumps(split(d)[0]).encode(), split(d)[1]),
        "not a safetensors",
    ),
    "bytes behind": (lambda d: d + b"\0", "holds 37: it is not complete"),
    "a header of 2**63 bytes": (lambda d: (2**63).to_bytes(8, "little") + d[8:], "not a safetensors file"),
    "a header longer than the file": (lambda d: (len(d) - 7).to_bytes(8, "little") + d[8:], "not a safetensors file"),
    "a header that is a list": (lambda d: together(b"[1, 2]", b""), "not a safetensors file"),
    "a header that is not JSON": (lambda d: together(b"{1: 2}", b""), "is not a dlarray model"),
    "a header in UTF-16": (lambda d: together('{"a": 1}'.encode("utf-16-le"), b""), "is not a dlarray model"),
    "a header without end": (lambda d: together(b'{"a":' * 20000 + b"1" + b"}" * 20000, b""), "is not a dlarray"),
    "no metadata": (_header(__metadata__=None), "another program"),
    "metadata of another": (_metadata(format="pt"), "another program"),
    "metadata that are a list": (_header(__metadata__=[1]), "is not a dlarray model"),
    "an extra word in the metadata": (_metadata(comment="hello"), "should not have, comment"),
    "metadata without a digest": (lambda d: _entry("__metadata__")(d.replace(b"sha256", b"sha257")), "sha256, sha257"),
    "a version of the future": (_metadata(version="2"), "version 2, this dlarray reads version 1"),
    "a version that is a number": (_metadata(version=1), "is not a dlarray model"),
    "an extra field": (_entry("0.bias", note=1), "entry for 0.bias is unusual"),
    "a dtype of its own": (_entry("0.bias", dtype="I32"), "entry for 0.bias is unusual"),
    "half precision": (_entry("0.bias", dtype="F16", shape=[4]), "entry for 0.bias is unusual"),
    "a shape too large": (_entry("0.bias", shape=[2**40]), "shape of 0.bias must be at most 36"),
    "a shape whose product wraps": (_entry("0.bias", shape=[2**33, 2**33]), "shape of 0.bias must be at most 36"),
    "a shape that is too large only in all": (_entry("0.bias", shape=[30] * 30), "0.bias does not fit its bytes"),
    "a shape of too many axes": (_entry("0.bias", shape=[1] * 40 + [2]), "entry for 0.bias is unusual"),
    "a large shape that holds nothing": (_entry("0.bias", shape=[0, 2**60]), "shape of 0.bias must be at most 36"),
    "a shape that multiplies text": (_entry("0.bias", shape=["2", 2**28]), "shape of 0.bias must be a whole number"),
    "a shape that is a number": (_entry("0.bias", shape=2), "shape of 0.bias must be a list"),
    "a shape that is true": (_entry("0.bias", shape=[True, 2]), "shape of 0.bias must be a whole number, got True"),
    "a negative shape": (_entry("0.bias", shape=[-1, -2]), "shape of 0.bias must be at least 0, got -1"),
    "a shape of fractions": (_entry("0.bias", shape=[2.0]), "shape of 0.bias must be a whole number"),
    "a shape of words": (_entry("0.bias", shape=["2"]), "shape of 0.bias must be a whole number"),
    "an entry that is a list": (_header(**{"0.bias": [1]}), "entry for 0.bias must be an object"),
    "a dtype that is a list": (_entry("0.bias", dtype=["F32"]), "dtype of 0.bias must be a string"),
    "far offsets": (
        _entry("0.bias", data_offsets=[2**70, 2**70 + 8]),
        "offsets of 0.bias must be at most 36",
    ),
    "null offsets": (_entry("0.bias", data_offsets=None), "offsets of 0.bias must be a list"),
    "a digest that is a number": (_metadata(sha256=1), "its sha256 must be a string"),
    "offsets as text": (
        _entry("0.bias", data_offsets=["0", "8"]),
        "offsets of 0.bias must be a whole number",
    ),
    "three offsets": (_entry("0.bias", data_offsets=[0, 4, 8]), "entry for 0.bias is unusual"),
    "an empty file's header": (lambda d: together({}, b""), "another program"),
    "an array that is absent": (
        lambda d: _config()(_renamed("0.bias", "0.bios")(d)),
        "0.bias is missing; 0.bios is unexpected",
    ),
    "another shape": (
        lambda d: _config()(_entry("0.weight", shape=[4, 1])(d)),
        r"0.weight is \(\(4, 1\), 'float32'\), not \(\(2, 2\)",
    ),
    "no configuration": (_metadata(config="null"), "is not a dlarray model"),
    "a nested configuration": (_metadata(config=_nested(100_000)), "is not a dlarray model"),
    "nested layers": (
        lambda d: _metadata(config=f'{{"model": {{"inputs": 2, "layers": {_nested(900)}}}}}')(d),
        "is not a dlarray model",
    ),
    "an unknown layer": (_layers(_named("dens", units=2)), "unknown layer 'dens'"),
    "an import path": (_layers(_named("os.system", command="true")), "unknown layer 'os.system'"),
    "an abstract class": (_layers(_named("layer")), "unknown layer 'layer'"),
    "another kind": (_layers(_named("adam", kind="optimizer")), "not a configuration"),
    "an unknown field": (_layers(_named("dense", units=2, path="/tmp")), "path"),
    "a bad field": (_layers(_named("dense", units=0)), "units must be at least 1"),
    "a field of another kind": (_layers(_named("dense", units="2")), "units must be a whole number"),
    "a layer for an initializer": (_layers(_named("dense", units=2, weight=_named("relu"))), "initializer must be"),
    "no layers": (_layers(), "at least one layer"),
    "inputs that are true": (_layers(_named("dense", units=2), inputs=True), "inputs must be a whole number"),
    "a huge model": (_layers(_named("dense", units=10**15)), "0.weight is .*, not"),
    "more layers": (_layers(*[_named("dense", units=2)] * 4), "1.weight is missing; 1.bias is missing; 3.weight is"),
    "another number type": (_config(dtype="float64"), "float32.*, not .*float64"),
    "no number type": (_config(dtype="int8"), "names no loss or no dtype"),
    "a layer for a loss": (_config(loss=_named("relu")), "names no loss or no dtype"),
    "another loss, unsigned": (lambda d: d.replace(b"mean_squared_error", b"mean_absolute_error"), "is not a dlarray"),
    "another activation, unsigned": (lambda d: d.replace(b"re_lu", b"relu").replace(b"relu", b"selu"), "SHA-256"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_file_that_was_made_to_harm_is_refused(what: str, small: bytes, tmp_path: Path) -> None:
    change, words = CHANGES[what]
    data = change(small)
    assert data != small
    with pytest.raises(dl.CheckpointError, match=words):
        read(data, tmp_path)


@pytest.mark.parametrize(
    "name", ["../up", "/root", "a_/b", "a_\\b", "..", "", "0.weight ", "a_ b", "a_\n", "0.we-ight"]
)
def test_names_that_are_paths_or_strange_are_refused(name: str, small: bytes, tmp_path: Path) -> None:
    with pytest.raises(dl.CheckpointError, match="holds an array with the name"):
        read(_renamed("0.bias", name)(small), tmp_path)


@pytest.mark.parametrize(
    ("weight", "bias"),
    [
        ([0, 16], [12, 20]),
        ([4, 20], [20, 28]),
        ([0, 16], [20, 28]),
        ([0, 16], [24, 16]),
        ([0, 16], [0, 8]),
        ([0, 8], [8, 24]),
    ],
)
def test_arrays_that_overlap_or_leave_gaps_are_refused(
    weight: list[int], bias: list[int], small: bytes, tmp_path: Path
) -> None:
    header, numbers = split(small)
    assert (header["0.weight"]["data_offsets"], header["0.bias"]["data_offsets"]) == ([0, 16], [16, 24])
    header["0.weight"]["data_offsets"], header["0.bias"]["data_offsets"] = weight, bias
    with pytest.raises(dl.CheckpointError, match="does not fit its bytes"):
        read(together(header, numbers), tmp_path)


def test_a_signed_file_of_the_attacker_s_own_is_only_data(small: bytes, tmp_path: Path) -> None:
    """Whoever can write the file can sign it: then it is another model, and nothing else."""
    same = _config()(small)
    assert_same(read(same, tmp_path), SMALL)
    assert read(_config(loss=_named("huber", "loss", delta=2.0))(small), tmp_path).loss == dl.Huber(2.0)


def test_no_memory_is_taken_for_what_is_declared_and_not_there(small: bytes, tmp_path: Path) -> None:
    for change in (
        _entry("0.bias", shape=[2**40]),
        _entry("0.bias", shape=[2**30], data_offsets=[0, 2**32]),
        _layers(_named("dense", units=2**40)),
        lambda d: (2**60).to_bytes(8, "little") + d[8:],
    ):
        tracemalloc.start()
        with pytest.raises(dl.CheckpointError):
            read(change(small), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_a_large_file_of_another_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04 a zip file, as torch writes them")
        file.truncate(2**31)  # no disk is used: it is a hole
    tracemalloc.start()
    with pytest.raises(dl.CheckpointError, match=r"large\.pt is not a dlarray model: it is not a safetensors file"):
        dl.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


class Bomb:
    """What a pickle can do to who opens it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("exploded",)


OTHERS: dict[str, bytes] = {
    "empty": b"",
    "short": b"\0" * 7,
    "zeros": bytes(1000),
    "pickle": pickle.dumps(Bomb()),
    "text.json": b'{"model": 1}' * 10,
    "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "model.npy": b"\x93NUMPY\x01\x00" + bytes(200),
    "safetensors of another": safetensors.numpy.save({"0.weight": np.ones((2, 2), np.float32)}, {"format": "pt"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_kinds_are_refused_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(OTHERS[name])
    with pytest.raises(dl.CheckpointError, match=f"{name} is not a dlarray model: "):
        dl.load(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_a_file_of_torch_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.ones(2, 2)}, tmp_path / "model.pt")
    with pytest.raises(dl.CheckpointError, match=r"model\.pt is not a dlarray model: it is not a safetensors file"):
        dl.load(tmp_path / "model.pt")


def test_a_refusal_names_the_file_and_keeps_its_cause(tmp_path: Path) -> None:
    with pytest.raises(dl.CheckpointError) as caught:
        read(b"nothing", tmp_path)
    assert str(tmp_path / "changed.safetensors") in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value, ValueError)


# The disk


def unharmed(folder: Path, before: bytes) -> None:
    """The old file is as it was, and nothing lies beside it."""
    assert [path.name for path in folder.iterdir()] == ["model"]
    assert (folder / "model").read_bytes() == before


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, bytes]:
    trained_model(dl.mlp(4, 2), seed=1).save(tmp_path / "model")
    return tmp_path / "model", (tmp_path / "model").read_bytes()


def test_paths_that_cannot_be_read_are_the_system_s_own_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere") as caught:
        dl.load(tmp_path / "nowhere")
    assert caught.value.filename == str(tmp_path / "nowhere") or caught.value.filename == tmp_path / "nowhere"
    with pytest.raises((IsADirectoryError, PermissionError), match=tmp_path.name):
        dl.load(tmp_path)


def test_paths_that_cannot_be_written_are_errors_with_the_path_that_was_given(tmp_path: Path) -> None:
    trained = trained_model(dl.mlp(4, 2))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*nowhere.model'"):
        trained.save(tmp_path / "nowhere" / "model")
    with pytest.raises((NotADirectoryError, FileNotFoundError), match=r"file.model'"):
        trained.save(tmp_path / "file" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError), match=r"folder'$"):
        trained.save(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_no_permission_is_an_error_with_the_path(old: tuple[Path, bytes]) -> None:
    path, before = old
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    path.chmod(0)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("this user may write and read everything")
        with pytest.raises(PermissionError, match="model"):
            trained_model(dl.mlp(4, 2)).save(path)
        with pytest.raises(PermissionError, match="model"):
            dl.load(path)
    finally:
        path.parent.chmod(stat.S_IRWXU)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    unharmed(path.parent, before)


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_where_writing_fails_the_old_file_stays_and_nothing_else(
    where: str, error: BaseException, old: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = old

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(type(error)) as caught:
        trained_model(dl.mlp(4, 3), seed=2).save(path)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC  # type: ignore[attr-defined]
        assert str(path) in str(caught.value)
    unharmed(path.parent, before)


@pytest.mark.skipif(os.name != "posix", reason="the limits of POSIX")
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_nothing_else(old: tuple[Path, bytes]) -> None:
    import resource

    path, before = old
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*model'"):
            trained_model(dl.mlp(4, 2), seed=2).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    unharmed(path.parent, before)


def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("fsync", "replace"):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, plain=plain: (done.append(name), plain(*a))[1])
    trained_model(dl.mlp(4, 2)).save(tmp_path / "model")
    assert done == (["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"])


def test_two_threads_may_write_one_file(tmp_path: Path) -> None:
    """One of them is the last; the file is whole all the time."""
    models = [trained_model(dl.mlp(4, 50, 2), seed=seed) for seed in range(4)]
    failed: list[BaseException] = []

    def work(trained: dl.Trained) -> None:
        try:
            for _ in range(10):
                trained.save(tmp_path / "model")
                dl.load(tmp_path / "model")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(trained,)) for trained in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert any(np.array_equal(dl.load(tmp_path / "model").theta[0], trained.theta[0]) for trained in models)


# The history and the notes


def test_the_history_comes_back_and_of_a_long_one_the_means_of_neighbours(tmp_path: Path) -> None:
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    trained = dl.fit(DEEP, x, y, epochs=2, batch_size=10, validation=(x, y), compile=False, progress=False)
    assert len(trained.history.epochs) == 2
    trained.save(tmp_path / "m")
    assert dl.load(tmp_path / "m").history == trained.history
    steps = rng.normal(size=20_000).tolist()
    long = dl.History(steps, [{"loss": 1.0, "validation_loss": 0.1}])
    back = dl.History.from_data(json.loads(json.dumps(long.to_data())))
    assert back.epochs == long.epochs
    np.testing.assert_allclose(back.steps, np.repeat(np.mean(np.reshape(steps, (-1, 4)), axis=1), 4), rtol=1e-12)
    assert dl.History.from_data(back.to_data()) == back
    assert len(long.to_data()["steps"]) == 5_000
    with pytest.raises(ValueError, match="does not have as many steps as it says"):
        dl.History.from_data({"count": 3, "each": 1, "steps": [1.0], "epochs": []})


def test_notes_lie_beside_the_model(tmp_path: Path) -> None:
    trained = trained_model(DEEP)
    notes = {"words": ["ünïcode", None, 0.1], "more": {"deep": True}}
    trained.save(tmp_path / "m", notes=notes)
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert found == notes
    assert_same(trained, again)
    trained.save(tmp_path / "plain")
    assert load_with_notes(tmp_path / "plain")[1] == {}


@pytest.mark.parametrize(
    ("notes", "error", "words"),
    [
        ({1: "a", "1": "b"}, TypeError, r"notes must have strings as names, .*got 1$"),
        ({"a": [{}, {None: 1}]}, TypeError, r"notes\['a'\]\[1\] must have strings as names, .*got None"),
        ({"a": {"x": np.ones(2)}}, TypeError, r"notes\['a'\]\['x'\] must be numbers, .*got ndarray"),
        ({"a": {1, 2}}, TypeError, r"notes\['a'\] must be numbers, .*got set"),
        ({"a": np.int64(1)}, TypeError, r"notes\['a'\] must be numbers, .*got int64"),
        ({"a": 10**5000}, ValueError, "limit"),
        ({"a": "nested"}, ValueError, "nested too deeply"),
    ],
)
def test_notes_that_would_not_come_back_are_refused_and_the_good_file_stays(
    notes: dict[Any, Any], error: type[Exception], words: str, old: tuple[Path, bytes]
) -> None:
    path, before = old
    if notes == {"a": "nested"}:
        for _ in range(100_000):
            notes = {"a": notes}
    with pytest.raises(error, match=words):
        trained_model(dl.mlp(4, 2)).save(path, notes=notes)
    unharmed(path.parent, before)


def test_numbers_that_are_not_finite_come_back_in_notes_and_metrics(tmp_path: Path) -> None:
    trained = trained_model(DEEP)
    trained.history.epochs.append({"loss": math.inf, "validation_loss": -math.inf, "r2": math.nan})
    trained.save(tmp_path / "m", notes={"metrics": (math.inf, math.nan, -0.0)})
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert str(found) == "{'metrics': [inf, nan, -0.0]}"
    assert str(again.history.epochs) == "[{'loss': inf, 'validation_loss': -inf, 'r2': nan}]"


def test_notes_and_histories_may_be_as_long_as_they_are(tmp_path: Path) -> None:
    """A header has a limit, so a long text is an array of its own; safetensors reads the file all the same."""
    trained = trained_model(DEEP)
    rows = [{"loss": 1.0 / (i + 1), "validation_loss": 0.1 * i, "validation_accuracy": 0.5} for i in range(20_000)]
    trained.history.epochs.extend(rows)
    notes = {"long": "é" * 2**22}
    trained.save(tmp_path / "m", notes=notes)
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert_same(trained, again)
    assert again.history == trained.history
    assert found == notes
    assert "0.weight" in safetensors.numpy.load_file(tmp_path / "m")
    data = bytearray((tmp_path / "m").read_bytes())
    data[-10] ^= 1  # in the text
    with pytest.raises(dl.CheckpointError, match="SHA-256"):
        read(bytes(data), tmp_path)


HISTORY = {"count": 3, "each": 1, "steps": [1.0, 2.0, 3.0], "epochs": [{"loss": 2.0}]}


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"notes": [1]}, "its notes must be an object"),
        ({"history": [1]}, "its history must be an object"),
        ({"history": {"count": 3}}, "its history must have each, steps, epochs"),
        ({"history": HISTORY | {"count": 9}}, "does not have as many steps as it says"),
        ({"history": HISTORY | {"count": 2.5}}, "its count of steps must be a whole number"),
        ({"history": HISTORY | {"count": -1}}, "its count of steps must be at least 0"),
        ({"history": HISTORY | {"count": 10**30, "each": 10**30}}, "its count of steps must be at most"),
        ({"history": HISTORY | {"each": 0}}, "each must be at least 1"),
        ({"history": HISTORY | {"each": True}}, "each must be a whole number"),
        ({"history": HISTORY | {"steps": {}}}, "its steps must be a list"),
        ({"history": HISTORY | {"steps": [1.0, "2", 3.0]}}, "a loss must be a real number"),
        ({"history": HISTORY | {"steps": [1.0, 10**400, 3.0]}}, "a loss must be a number that a float holds"),
        ({"history": HISTORY | {"epochs": [1]}}, "an epoch must be an object"),
        ({"history": HISTORY | {"epochs": [{"loss": None}]}}, "loss must be a real number"),
    ],
)
def test_an_odd_history_and_odd_notes_are_refused(
    odd: dict[str, Any], words: str, small: bytes, tmp_path: Path
) -> None:
    assert read(_config(history=HISTORY)(small), tmp_path).history.steps == [1.0, 2.0, 3.0]
    with pytest.raises(dl.CheckpointError, match=f"is not a dlarray model: .*{words}"):
        read(_config(**odd)(small), tmp_path)


def test_the_number_of_steps_costs_nothing(small: bytes, tmp_path: Path) -> None:
    """A file of a kilobyte may say that its training had a billion billion steps, and it may have had them."""
    count = 10**18
    long = {"count": count, "each": 2**59, "steps": [2.0, 1.0], "epochs": [{"loss": 1.5}]}
    data = _config(history=long)(small)
    tracemalloc.start()
    history = read(data, tmp_path).history
    assert (len(history.steps), history.steps[0], history.steps[-1]) == (count, 2.0, 1.0)
    assert history.steps[2**59 - 1 : 2**59 + 1] == [2.0, 1.0]
    assert history.to_data() == long
    assert history == dl.History.from_data(long)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    with pytest.raises(IndexError):
        history.steps[count]


def test_a_file_without_them_is_read(small: bytes, tmp_path: Path) -> None:
    """Files were written without, before."""
    header, numbers = split(small)
    config = json.loads(header["__metadata__"]["config"])
    old = {name: config[name] for name in ("model", "loss", "dtype")}
    metadata = header["__metadata__"] | {"config": json.dumps(old)}
    data = signed(header | {"__metadata__": metadata}, numbers)
    assert read(data, tmp_path).history == dl.History()

"""Model files that were made to harm are refused, and are only data."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dlarray as dl
from tests.support.model_files import SMALL, config_changed, read, split, together
from tests.support.models import assert_same


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


def _layers(*layers: Any, inputs: Any = 2) -> Callable[[bytes], bytes]:
    return config_changed(model={"inputs": inputs, "layers": list(layers)})


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
        lambda d: config_changed()(_renamed("0.bias", "0.bios")(d)),
        "0.bias is missing; 0.bios is unexpected",
    ),
    "another shape": (
        lambda d: config_changed()(_entry("0.weight", shape=[4, 1])(d)),
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
    "another number type": (config_changed(dtype="float64"), "float32.*, not .*float64"),
    "no number type": (config_changed(dtype="int8"), "names no loss or no dtype"),
    "a layer for a loss": (config_changed(loss=_named("relu")), "names no loss or no dtype"),
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
    same = config_changed()(small)
    assert_same(read(same, tmp_path), SMALL)
    assert read(config_changed(loss=_named("huber", "loss", delta=2.0))(small), tmp_path).loss == dl.Huber(2.0)


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

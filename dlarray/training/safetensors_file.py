"""A file of arrays and a text: safetensors with a SHA-256 over everything.

The type of every entry is checked before the entry is used. No number in the file can make the reader use more memory
or time than the file has bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from dlarray.core.check import whole
from dlarray.training.json_data import entries, items, string, unique_names

__all__ = ["pack", "unpack"]

VERSION = 1
MAX_HEADER = 100_000_000  # the limit of the safetensors library
MAX_CONFIG = 2**20
DTYPES = {"F32": "float32", "F64": "float64", "I16": "int16", "U8": "uint8"}  # I16: only in an optimizer's state
MAX_AXES = 32
CONFIG = "config"


def pack(config: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a file; equal contents give equal bytes.

    The safetensors library would write its metadata in a random order, and strided views wrongly. A long text is stored
    as an array of bytes, because the header has a limit and arrays do not. Raises ValueError if the header is too long:
    for more than half a million arrays.
    """
    metadata = {"format": "dlarray", "version": str(VERSION)}
    if len(config) < MAX_CONFIG:
        metadata[CONFIG] = config
    else:
        arrays, config = {**arrays, CONFIG: np.frombuffer(config.encode(), dtype=np.uint8)}, ""
    header: dict[str, Any] = {"__metadata__": metadata | {"sha256": _digest(config, arrays)}}
    numbers: list[bytes] = []
    end = 0
    for name, x in arrays.items():
        numbers.append(x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes())
        start, end = end, end + x.nbytes
        dtype = next(code for code, word in DTYPES.items() if word == x.dtype.name)
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"{len(arrays):,} arrays need a header of {len(text):,} bytes, at most {MAX_HEADER:,} are allowed"
        )
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of their size
    return b"".join([len(text).to_bytes(8, "little"), text, *numbers])


def unpack(file: BinaryIO) -> tuple[str, dict[str, np.ndarray]]:
    """The text and the arrays of a file that ``pack`` wrote. Raises ValueError or TypeError for any other file."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError("it is too short to be a safetensors file")
    length = int.from_bytes(file.read(8), "little")
    text = file.read(length) if 2 <= length <= min(MAX_HEADER, size - 8) else b""
    if text[:1] != b"{":
        raise ValueError("it is not a safetensors file")
    header = json.loads(text, object_pairs_hook=unique_names)
    metadata = _metadata(header.pop("__metadata__", None))
    entries = _entries(header, size - 8 - length)
    numbers = file.read(size - 8 - length)
    arrays = {
        name: np.frombuffer(memoryview(numbers)[start:stop], dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape)
        for name, (dtype, shape, start, stop) in entries.items()
    }
    if _digest(metadata.get(CONFIG, ""), arrays) != metadata["sha256"]:
        raise ValueError("its contents do not match its SHA-256: it was changed or damaged")
    if CONFIG in metadata:
        return metadata[CONFIG], arrays
    if CONFIG not in arrays or arrays[CONFIG].dtype != np.uint8:
        raise ValueError("it has no configuration")
    return arrays.pop(CONFIG).tobytes().decode(), arrays


def _entries(header: dict[str, Any], size: int) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Dtype, shape, start and end of each array. They must be within the file, without gaps, and with plain names."""
    found = {name: _entry(name, entry, size) for name, entry in header.items()}
    end = 0
    for name, (_, _, start, stop) in sorted(found.items(), key=lambda item: item[1][2:]):
        if start != end:
            raise ValueError(f"the array {name} does not fit its bytes")
        end = stop
    if end != size:
        raise ValueError(f"it should hold {end} bytes of numbers, and holds {size}: it is not complete")
    return found


def _entry(name: str, entry: Any, size: int) -> tuple[str, tuple[int, ...], int, int]:
    if not all(part.replace("_", "a").isalnum() for part in name.split(".")):
        raise ValueError(f"it holds an array with the name {name!r}")
    fields = entries(f"its entry for {name}", entry, "dtype", "shape", "data_offsets")
    code = string(f"the dtype of {name}", fields["dtype"])
    if len(fields) != 3 or code not in DTYPES:
        raise ValueError(f"its entry for {name} is unusual: {str(entry)[:200]}")
    dtype = DTYPES[code]
    shape = _whole_numbers(f"the shape of {name}", fields["shape"], size)
    offsets = _whole_numbers(f"the offsets of {name}", fields["data_offsets"], size)
    if len(offsets) != 2 or len(shape) > MAX_AXES:
        raise ValueError(f"its entry for {name} is unusual: {str(entry)[:200]}")
    nbytes = np.dtype(dtype).itemsize
    for n in shape:
        nbytes *= n
    if offsets[1] - offsets[0] != nbytes:
        raise ValueError(f"the array {name} does not fit its bytes")
    return dtype, shape, *offsets


def _whole_numbers(what: str, values: Any, most: int) -> tuple[int, ...]:
    """A list of whole numbers, none of them larger than the file size."""
    return tuple(whole(what, value, most=most) for value in items(what, values)[: MAX_AXES + 1])


def _metadata(data: Any) -> dict[str, str]:
    metadata = entries("its metadata", {} if data is None else data)
    if metadata.get("format") != "dlarray":
        raise ValueError("it is a safetensors file of another program")
    if metadata.get("version") != str(VERSION):
        raise ValueError(f"it is of version {str(metadata.get('version'))[:80]}, this dlarray reads version {VERSION}")
    if wrong := {"format", "version", "sha256"} ^ (metadata.keys() - {CONFIG}):
        raise ValueError(f"its metadata lacks, or should not have, {', '.join(sorted(wrong))[:200]}")
    return {name: string(f"its {name}", value) for name, value in metadata.items()}


def _digest(config: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the configuration and every array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(config.encode())
    for name in sorted(arrays):
        x = arrays[name]
        digest.update(f"\n{name} {x.dtype.str} {x.shape}\n".encode())
        digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()

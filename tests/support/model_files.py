"""A small model in a file, and changes of the file's header and configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.numpy

import dlarray as dl
from dlarray.training import safetensors_file
from tests.support.models import trained_model

SMALL = trained_model(dl.MLP(2, [dl.Dense(2), "relu", dl.Dense(1)]))


def written(trained: dl.Trained, folder: Path) -> bytes:
    trained.save(folder / "written")
    return (folder / "written").read_bytes()


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


def config_changed(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: signed(*split(data), **changes)

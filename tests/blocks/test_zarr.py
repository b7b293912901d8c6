"""Zarr groups: chunks and shards as blocks, and the hint where Zarr is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.process import python

zarr: Any = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
W = RNG.uniform(0.5, 2, 1000)


def group(path: Path, chunks: int = 30, shards: int | None = None, **more: Any) -> Any:
    root = zarr.open_group(path, mode="w")
    for name, array in ({"x": X, "y": Y} | more).items():
        shape = array.shape[1:]
        root.create_array(
            name, data=array, chunks=(chunks, *shape), shards=None if shards is None else (shards, *shape)
        )
    return root


@pytest.mark.parametrize("shards", [None, 90])
def test_a_group_or_its_path_has_the_rows_of_its_arrays(tmp_path: Path, shards: int | None) -> None:
    root = group(tmp_path / "data.zarr", shards=shards, weight=W)
    for given in (root, tmp_path / "data.zarr", str(tmp_path / "data.zarr")):
        blocks = dl.open_blocks(given)
        parts = [blocks.read(i) for i in range(len(blocks))]
        for found, expected in zip(zip(*parts, strict=True), (X, Y, W), strict=True):
            np.testing.assert_array_equal(np.concatenate(found), expected)
    assert dl.open_blocks(root).fingerprint.keys() == {"/"}


def test_blocks_are_whole_chunks_and_at_most_a_shard(tmp_path: Path) -> None:
    def rows(name: str, chunks: int, shards: int | None = None, **options: Any) -> int:
        return dl.open_blocks(group(tmp_path / name, chunks, shards), **options).lengths[0]

    assert rows("chunks", 30) == 1000  # 2¹⁸ numbers are more than all
    assert rows("shards", 30, 90) == 90
    assert rows("given", 30, 90, rows_per_block=60) == 60
    wide = zarr.create_array(tmp_path / "wide", shape=(1000, 2**14), chunks=(30, 2**14), dtype="f4")
    assert dl.open_blocks(wide, Y).lengths[0] == 30  # a chunk, although it has more numbers
    narrow = zarr.create_array(tmp_path / "narrow", shape=(1000, 2**12), chunks=(30, 2**12), dtype="f4")
    assert dl.open_blocks(narrow, Y).lengths[0] == 60


def test_training_is_that_of_arrays(tmp_path: Path) -> None:
    model = dl.mlp(4, 8, 2)
    options: dict[str, Any] = {"epochs": 2, "metrics": [], "progress": False}
    found = dl.fit(model, dl.open_blocks(group(tmp_path / "data.zarr")), **options)
    assert found.history == dl.fit(model, X, Y, **options).history


def test_a_group_without_targets_is_refused(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "data.zarr", mode="w")
    with pytest.raises(ValueError, match="must have the arrays x and y, it has none"):
        dl.open_blocks(tmp_path / "data.zarr")
    root.create_array("x", data=X)
    with pytest.raises(ValueError, match="must have the arrays x and y, it has x"):
        dl.open_blocks(root)
    with pytest.raises(ValueError, match="leave out y and weight"):
        dl.open_blocks(root, Y)


def test_where_zarr_is_missing_the_error_says_what_to_install(tmp_path: Path) -> None:
    group(tmp_path / "data.zarr")
    code = (
        "import sys; sys.modules['zarr'] = None\nimport dlarray\n"
        f"try:\n    dlarray.open_blocks({str(tmp_path / 'data.zarr')!r})\n"
        "except ImportError as error:\n    print(error)"
    )
    assert python(code).endswith('is a Zarr group, which needs zarr: pip install "dlarray[zarr]"')

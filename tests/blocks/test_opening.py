"""``open_blocks``: what it takes, what it refuses, and that a read gives the rows of the arrays."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 53)
W = RNG.uniform(0.5, 2, 53)


def save(folder: Path, **arrays: Any) -> Path:
    for name, array in arrays.items():
        path = folder / f"{name.replace('__', '/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return folder


def all_rows(blocks: dl.Blocks) -> list[Any]:
    read = [blocks.read(i) for i in range(len(blocks))]
    assert [len(x) for x, _, _ in read] == list(blocks.lengths)
    for i, (_, y, weight) in enumerate(read):
        own = blocks.targets(i)
        np.testing.assert_array_equal(own[0], y)
        np.testing.assert_array_equal(own[1], weight)
    return [None if part[0] is None else np.concatenate(part) for part in zip(*read, strict=True)]


def same(blocks: dl.Blocks, x: Any = X, y: Any = Y, weight: Any = None) -> None:
    found = all_rows(blocks)
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], y)
    if weight is None:
        assert found[2] is None
    else:
        np.testing.assert_array_equal(found[2], weight)


def test_a_folder_with_one_pair(tmp_path: Path) -> None:
    blocks = dl.open_blocks(save(tmp_path, x=X, y=Y), rows_per_block=10)
    assert list(blocks.lengths) == [10, 10, 10, 10, 10, 3]
    same(blocks)
    assert blocks.row_numbers(5).tolist() == [50, 51, 52]
    assert repr(blocks) == "Blocks(53 rows, 6 blocks, 6 at a time, 4.201 MB of memory)"


LAYOUTS = {
    "words behind": "{i}_{role}",
    "words in front": "{role}-{i}",
    "points": "{role}.{i}",
    "folders": "{role}__{i}",
    "a folder for each part": "part-{i}__{role}",
    "upper case": "{role_upper}_{i}",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_with_several_parts_in_the_order_of_their_numbers(tmp_path: Path, layout: str) -> None:
    bounds = [*range(0, 53, 5), 53]  # eleven parts: 10 comes after 9
    for i, (a, b) in enumerate(pairwise(bounds)):
        for role, array in {"x": X, "y": Y, "weight": W}.items():
            name = LAYOUTS[layout].format(i=i, role=role, role_upper=role.upper())
            save(tmp_path, **{name: array[a:b]})
    blocks = dl.open_blocks(tmp_path, rows_per_block=4)
    assert list(blocks.lengths) == [4, 1] * 10 + [3]
    same(blocks, weight=W)


def test_files_and_memory_maps_and_arrays(tmp_path: Path) -> None:
    save(tmp_path, a=X, b=Y, c=W)
    files = [tmp_path / f"{name}.npy" for name in "abc"]
    same(dl.open_blocks(files[0], files[1], files[2], rows_per_block=20), weight=W)
    same(dl.open_blocks(str(files[0]), np.load(files[1], mmap_mode="r"), rows_per_block=20))
    same(dl.open_blocks(X, Y))


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i8", "f2", ">f4", "f8", "?"])
def test_numbers_of_any_width_and_byte_order(tmp_path: Path, dtype: str) -> None:
    x = (np.abs(X) * 10).astype(dtype)
    same(dl.open_blocks(save(tmp_path, x=x, y=Y), rows_per_block=7), x=x)


def test_a_file_in_the_order_of_columns(tmp_path: Path) -> None:
    same(dl.open_blocks(save(tmp_path, x=np.asfortranarray(X), y=Y), rows_per_block=7))


class Squares:
    """The least that a custom object has."""

    lengths = (3, 0, 5)

    def read(self, i: int) -> Any:
        n = self.lengths[i]
        return np.full((n, 2), i), np.arange(n)


def test_a_custom_object() -> None:
    blocks = dl.open_blocks(Squares(), blocks_per_group=2)
    assert (blocks.rows, len(blocks), blocks.group_size) == (8, 3, 2)
    assert all_rows(blocks)[1].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert blocks.fingerprint == dl.open_blocks(Squares()).fingerprint


def test_the_size_of_a_group_depends_on_the_blocks_alone() -> None:
    class Wide(dl.Blocks):
        def __init__(self, rows: int) -> None:
            self._rows = rows

        @property
        def lengths(self) -> Any:
            return [self._rows] * 1000

        def read(self, i: int) -> Any:
            return np.broadcast_to(np.float32(0), (self._rows, 64)), np.zeros(self._rows), None

    assert Wide(1).group_size == 64
    assert Wide(2**13).group_size == 2**24 // (64 * 2**13)
    assert Wide(2**20).group_size == 8
    assert dl.open_blocks(np.broadcast_to(np.uint8(0), (10**6, 784)), np.zeros(10**6)).lengths[0] == 2**18 // 784


def test_data_that_change_have_another_fingerprint(tmp_path: Path) -> None:
    first = dl.open_blocks(save(tmp_path, x=X, y=Y)).fingerprint
    assert dl.open_blocks(tmp_path).fingerprint == first
    os.utime(tmp_path / "x.npy", (0, 0))
    assert dl.open_blocks(tmp_path, rows_per_block=3).fingerprint == first  # a copy is the same data
    changed = X.copy()
    changed[17, 3] += 1
    assert dl.open_blocks(save(tmp_path, x=changed)).fingerprint != first
    assert dl.open_blocks(save(tmp_path, x=X, y=Y.astype(np.int32))).fingerprint != first
    assert dl.open_blocks(save(tmp_path, x=X[:-1], y=Y[:-1])).fingerprint != first


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "has no .npy files: x.npy and y.npy are needed"),
    "no targets": ({"x": X}, "has no y beside it: a part needs the inputs x and the targets y"),
    "no word": ({"features": X, "y": Y}, "must have one of the words x, y and weight.* it has none"),
    "two words": ({"x_y": X}, "it has x and y"),
    "two of one name": ({"x-1": X, "x_1": X}, "are both x of one part: give them different names"),
    "other rows": ({"x": X, "y": Y[1:]}, r"x and y must have as many rows, got shapes \(53, 4\) and \(52,\)"),
    "a vector": ({"x": Y, "y": Y}, r"x must have the shape \(rows, inputs\), got \(53,\)"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "there are no rows"),
    "no columns": ({"x": X[:, :0], "y": Y}, r"x must have the shape \(rows, inputs\), got \(53, 0\)"),
    "one part with weights": ({"x0_x": X, "x0_y": Y, "x1_x": X, "x1_y": Y, "x1_weight": W}, "x1 has weight, and x0"),
    "other columns": ({"0x": X, "y": Y}, "it has none"),
    "parts of other columns": ({"x-0": X, "y-0": Y, "x-1": X[:, :2], "y-1": Y}, "must have the same columns: x of 0"),
    "a single number": ({"x": np.float32(1), "y": Y}, "holds a single number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    arrays, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        dl.open_blocks(save(tmp_path, **arrays))


def test_files_are_refused(tmp_path: Path) -> None:
    save(tmp_path, x=X, y=Y)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="holds Python objects: save numbers or texts of one type"):
        dl.open_blocks(tmp_path / "objects.npy", Y)
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(ValueError, match="is incomplete: it has 975 bytes of 976"):
        dl.open_blocks(tmp_path / "short.npy", Y)
    (tmp_path / "text.npy").write_text("1,2,3")
    with pytest.raises(ValueError, match="text.npy is not a .npy file of numbers or texts"):
        dl.open_blocks(tmp_path / "text.npy", Y)
    with pytest.raises(FileNotFoundError):
        dl.open_blocks(tmp_path / "missing.npy", Y)
    with pytest.raises(FileNotFoundError, match="missing"):
        dl.open_blocks(tmp_path / "missing")
    with pytest.raises(ValueError, match="y is missing: give the targets of x as a second file or array"):
        dl.open_blocks(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="leave out y and weight"):
        dl.open_blocks(tmp_path, Y)
    with pytest.raises(TypeError, match=r"x must be a path, an array .* or an object with lengths and read\(i\)"):
        dl.open_blocks([[1.0]], Y)
    with pytest.raises(ValueError, match="this object has its own blocks"):
        dl.open_blocks(Squares(), rows_per_block=3)
    for name in ("rows_per_block", "blocks_per_group"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            dl.open_blocks(X, Y, **{name: 0})


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    blocks = dl.open_blocks(save(tmp_path, x=X, y=Y), rows_per_block=53)
    os.truncate(tmp_path / "x.npy", 500)
    with pytest.raises(OSError, match="has become shorter: it ends before row 53"):
        blocks.read(0)


@pytest.mark.parametrize(("lengths", "error"), [((3, -1), ValueError), ((3, 2.5), TypeError)])
def test_lengths_of_a_custom_object_must_be_numbers_of_rows(lengths: Any, error: type[Exception]) -> None:
    squares = Squares()
    squares.lengths = lengths
    with pytest.raises(error, match=r"lengths must have the number of rows of each block, got (-1|2\.5)"):
        dl.open_blocks(squares)


def test_what_a_custom_object_reads_must_be_a_pair() -> None:
    class Alone(Squares):
        def read(self, i: int) -> Any:
            return np.zeros((3, 2))

    with pytest.raises(TypeError, match=r"read\(0\) must give \(x, y\) or \(x, y, weight\), got ndarray"):
        dl.open_blocks(Alone()).read(0)

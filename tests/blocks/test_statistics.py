"""Statistics by one pass, standardized inputs, and splits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.blocks import Standardizer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(101, 3)) * [1.0, 100.0, 0.0] + [1e6, -5.0, 3.0]
Y = RNG.integers(0, 4, 101)


def blocks(x: Any = X, y: Any = Y, rows: int = 7, **options: Any) -> dl.Blocks:
    return dl.open_blocks(x, y, rows_per_block=rows, **options)


@pytest.mark.parametrize("rows", [1, 7, 101])
def test_means_and_deviations_are_numpys(rows: int) -> None:
    found = blocks(rows=rows).statistics()
    np.testing.assert_allclose(found.x.mean, X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.x.deviation, X.std(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.x.minimum, X.min(axis=0))
    np.testing.assert_array_equal(found.x.maximum, X.max(axis=0))
    assert found.rows == 101
    assert found.x.count.tolist() == [101] * 3
    assert found.classes == {label: int(np.sum(label == Y)) for label in range(4)}
    assert found.y is None


def test_numbers_that_are_not_finite_are_counted_and_left_out() -> None:
    x = X.copy()
    x[3:50, 0], x[7, 1], x[:, 2] = np.nan, -np.inf, np.nan
    found = blocks(x).statistics()
    assert found.x.missing.tolist() == [47, 1, 101]
    np.testing.assert_allclose(found.x.mean[0], np.nanmean(x[:, 0]), rtol=1e-14)
    np.testing.assert_allclose(found.x.deviation[0], np.nanstd(x[:, 0]), rtol=1e-9)
    np.testing.assert_allclose(found.x.minimum[1], np.delete(x[:, 1], 7).min())
    assert np.isnan([found.x.mean[2], found.x.deviation[2], found.x.minimum[2], found.x.maximum[2]]).all()
    assert repr(found) == "Statistics(101 rows, 3 columns, 149 missing, 4 classes)"
    assert "<td" in found._repr_html_()


def test_numbers_as_targets_have_statistics_and_texts_are_counted() -> None:
    y = RNG.normal(size=(101, 2)).astype(np.float32)
    found = blocks(y=y).statistics()
    assert found.y is not None
    np.testing.assert_allclose(found.y.mean, y.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert found.classes is None
    assert blocks(y=np.asarray(["b", "a"])[Y % 2]).statistics().classes == {
        "a": int(np.sum(Y % 2)),
        "b": int(np.sum(Y % 2 == 0)),
    }


def test_standardized_blocks_have_mean_0_and_deviation_1() -> None:
    scaled = blocks().standardized()
    found = scaled.statistics().x
    np.testing.assert_allclose(found.mean, 0, atol=1e-8)
    np.testing.assert_allclose(found.deviation, [1, 1, 0], atol=1e-8)
    standardizer = scaled.standardizer
    assert standardizer is not None
    np.testing.assert_array_equal(standardizer(X[:7]), scaled.read(0)[0])
    again = Standardizer.from_data(json.loads(json.dumps(standardizer.to_data())))
    assert again == standardizer
    assert blocks().standardized(again).fingerprint == scaled.fingerprint != blocks().fingerprint
    assert scaled[2:].standardizer is scaled.split(0.5)[0].standardizer is standardizer
    assert blocks().standardizer is None
    assert blocks(X.astype(np.float32)).standardized(again).read(0)[0].dtype == np.float32
    assert blocks(X.astype(np.uint8)).standardized().read(0)[0].dtype == np.float32


def test_a_standardizer_checks_its_numbers() -> None:
    for mean, deviation, message in [
        ([0.0], [0.0], "deviation must be above 0"),
        ([np.nan], [1.0], "mean must be finite"),
        ([0.0, 1.0], [1.0], "mean has 2 numbers, and deviation 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Standardizer(mean, deviation)
    empty = dl.open_blocks(np.full((3, 1), np.nan), np.zeros(3)).statistics()
    assert Standardizer.of(empty.x) == Standardizer([0.0], [1.0])


@pytest.mark.parametrize("seed", [0, 5])
def test_a_split_is_random_and_does_not_depend_on_the_blocks(seed: int) -> None:
    x = np.arange(4000).reshape(-1, 1)
    parts = [dl.open_blocks(x, x[:, 0], rows_per_block=rows).split(0.25, seed) for rows in (1, 33, 4000)]
    for training, validation in parts:
        rows = [np.concatenate([part.read(i)[1] for i in range(len(part))]) for part in (training, validation)]
        assert sorted(np.concatenate(rows).tolist()) == list(range(4000))
        np.testing.assert_array_equal(
            rows[1], np.concatenate([validation.targets(i)[0] for i in range(len(validation))])
        )
        numbers = np.concatenate([validation.row_numbers(i) for i in range(len(validation))])
        np.testing.assert_array_equal(numbers, rows[1])
        assert validation.rows == len(rows[1]) == parts[0][1].rows
        assert abs(validation.rows - 1000) < 4 * np.sqrt(4000 * 0.25 * 0.75)
        for quarter in range(4):  # sorted data too
            assert abs(np.sum(rows[1] // 1000 == quarter) - 250) < 4 * np.sqrt(1000 * 0.25 * 0.75)
    first, second = (dl.open_blocks(x, x[:, 0]).split(0.25, s)[1].rows for s in (seed, seed + 1))
    assert first != second


def test_some_of_the_blocks() -> None:
    some = blocks()[2:5]
    assert (len(some), some.rows) == (3, 21)
    np.testing.assert_array_equal(some.read(1)[0], X[21:28])
    np.testing.assert_array_equal(some.targets(1)[0], Y[21:28])
    assert some.row_numbers(1).tolist() == list(range(21, 28))
    assert some.fingerprint != blocks()[2:6].fingerprint
    with pytest.raises(TypeError, match=r"blocks are chosen by a slice, such as blocks\[:10\], got 3"):
        blocks()[3]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="leaves no rows in one of the two parts of 101 rows"):
        blocks().split(0.0)
    with pytest.raises(ValueError, match=r"held_out must lie in \[0, 1\)"):
        blocks().split(1.0)


def test_the_memory_is_stated() -> None:
    found = blocks(X.astype(np.float32), blocks_per_group=4)
    rows = 4 * 7 + 31
    assert found.memory() == 2 * rows * 4 * 4 + 7 * (4 * 4 + 3 * 4 + 8) + 56 * rows + 2**22
    assert blocks(blocks_per_group=100).memory(1) < 2 * blocks(blocks_per_group=100).memory(1)
    assert repr(found) == "Blocks(101 rows, 15 blocks, 4 at a time, 4.2 MB of memory)"

"""Data that are sorted by class, the hard case of a block-shuffled order: accuracy beside a full shuffle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl

K, N, COLUMNS = 10, 8000, 20
RNG = np.random.default_rng(0)
CENTERS = RNG.normal(size=(K, COLUMNS))


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(K), rows // K)
    return (CENTERS[y] + 1.6 * RNG.normal(size=(rows, COLUMNS))).astype(np.float32), y


X, Y = drawn(N)
TEST = drawn(2000)


def accuracy(*data: Any, **options: Any) -> float:
    model = dl.mlp(COLUMNS, 32, K)
    return float(
        np.mean(
            [
                dl.fit(model, *data, seed=seed, epochs=5, metrics=[], progress=False, **options).evaluate(*TEST)[
                    "accuracy"
                ]
                for seed in range(3)
            ]
        )
    )


@pytest.mark.slow
def test_sorted_data_train_nearly_as_with_a_full_shuffle_and_one_block_at_a_time_does_not() -> None:
    def by(blocks: int, **options: Any) -> float:
        return accuracy(dl.open_blocks(X, Y, rows_per_block=80, blocks_per_group=blocks), **options)

    full = accuracy(X, Y)
    assert by(64) > full - 0.01
    assert full - 0.02 > by(32) - 0.02 > by(1) > by(1, shuffle=False) + 0.02

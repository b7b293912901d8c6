"""``partial_fit`` from data in blocks."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl

pytest.importorskip("sklearn")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4)).astype(np.float32)
Y = np.asarray(["in", "out"])[(X[:, 0] * X[:, 1] > 0).astype(int)]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_classifier_learns_from_the_batches_of_blocks(weighted: bool) -> None:
    from dlarray.estimators import MLPClassifier

    def trained(blocks: dl.Blocks) -> MLPClassifier:
        classifier = MLPClassifier(hidden_layer_sizes=(16,), learning_rate_init=0.02, random_state=0)
        for epoch in range(12):
            for x, y, *weight in blocks.batches(100, epoch=epoch):
                classifier.partial_fit(x, y, classes=["in", "out"], sample_weight=weight[0] if weight else None)
        return classifier

    weight = np.ones(600) if weighted else None
    blocks = dl.open_blocks(X, Y, weight, rows_per_block=25, blocks_per_group=6)
    first, again = trained(blocks), trained(blocks)
    assert first.score(X, Y) > 0.9
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


def test_a_regressor_learns_from_the_batches_of_blocks() -> None:
    from dlarray.estimators import MLPRegressor

    regressor = MLPRegressor(hidden_layer_sizes=(16,), learning_rate_init=0.02, random_state=0)
    blocks = dl.open_blocks(X, X[:, 0] + X[:, 1], rows_per_block=25, blocks_per_group=6)
    for epoch in range(12):
        for x, y in blocks.batches(100, epoch=epoch):
            regressor.partial_fit(x, y)
    assert regressor.score(X, X[:, 0] + X[:, 1]) > 0.9

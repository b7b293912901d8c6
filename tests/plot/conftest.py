"""A trained model, a diagnosis and a landscape to draw; every figure is closed after its test."""

from __future__ import annotations

from typing import Any

import pytest

import dlarray as dl
from dlarray import plot
from tests.support.pictures import PLANE, SMALL, THREE, fitted


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plot.pyplot().close("all")


@pytest.fixture(scope="module")
def model() -> dl.Trained:
    return fitted(SMALL, THREE)


@pytest.fixture(scope="module")
def diagnosis() -> dl.Diagnosis:
    deep = dl.MLP(2, [f for _ in range(6) for f in (dl.Dense(8), "sigmoid")] + [dl.Dense(8), "relu", dl.Dense(3)])
    return dl.diagnose_at(deep, deep.init(), PLANE, THREE)


@pytest.fixture(scope="module")
def landscape() -> dl.diagnostics.Landscape:
    path = [SMALL.init(seed) for seed in range(3)]
    return dl.loss_landscape(SMALL, SMALL.init(7), PLANE, THREE, path=path, points=7)

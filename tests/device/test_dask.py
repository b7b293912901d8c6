"""Dask: a step is computed when it is done, by the user's scheduler, also from arrays in many chunks."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

X = np.random.default_rng(0).normal(size=(48, 3))
Y = np.astype(np.sum(X * X, axis=1) < 2, np.int32)


def fit(x, y, **options):
    model = dlarray.mlp(3, 4, 1)
    return dlarray.fit(model, x, y, epochs=1, batch_size=16, dtype="float64", metrics=[], progress=False, **options)


def graph_size(x):
    return len(dict(x.__dask_graph__()))


def test_the_losses_are_those_of_numpy():
    found = fit(X, Y, device="dask").history.steps
    np.testing.assert_allclose(found, fit(X, Y, compile=False).history.steps, rtol=1e-14)


def test_arrays_in_many_chunks_are_examples_too():
    found = fit(da.from_array(X, chunks=(5, 2)), da.from_array(Y, chunks=7), device="dask").history.steps
    np.testing.assert_allclose(found, fit(X, Y, compile=False).history.steps, rtol=1e-14)


def test_the_graph_does_not_grow_from_step_to_step():
    assert {graph_size(p) for p in fit(X, Y, device="dask").theta} == {1}


def test_the_scheduler_is_the_user_s():
    calls = []

    def scheduler(graph, keys, **options):
        calls.append(len(keys))
        return dask.get(graph, keys, **options)

    with dask.config.set(scheduler=scheduler):
        fit(X, Y, device="dask")
    assert len(calls) >= 3


def test_a_tree_is_settled_with_what_is_no_array():
    backend = dlarray.core.libraries.get("dask")
    tree = {"a": (da.ones(3) + 1, None), "b": 2.5}
    settled = backend.settle(tree)
    assert graph_size(settled["a"][0]) == 1
    assert settled["a"][1] is None
    assert settled["b"] == 2.5

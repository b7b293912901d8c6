"""What a notebook and an interpreter show of a trained model, a history and a search for a learning rate."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import History, LRFinderResult, Trained

X = np.linspace(-2, 2, 41).reshape(-1, 1)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return dl.fit(dl.mlp(1, 16, 1), X, np.sin(X), epochs=2, metrics=[], batch_size=41, device="cpu", progress=False)


def test_a_model_on_one_line(trained: Trained) -> None:
    loss = f"{trained.history['loss'][-1]:.4g}"
    layers = "1 → Dense(16) → ReLU → Dense(1)"
    assert repr(trained) == f"Trained({layers}, 49 parameters, float32 on cpu, 2 epochs, loss={loss})"


def test_a_deep_model_on_one_line() -> None:
    model = dl.mlp(1, *[2] * 20, 1)
    trained = dl.fit(model, X, X, epochs=1, metrics=[], device="cpu", progress=False)
    layers = repr(trained).partition(", ")[0].split(" → ")
    assert layers[-2:] == ["32 more", "Dense(1)"]
    assert len(layers) == 11
    assert len(model.layers) == 8 + 32 + 1


def test_a_history_on_one_line(trained: Trained) -> None:
    loss = f"{trained.history['loss'][-1]:.4g}"
    assert repr(trained.history) == f"History(2 epochs, 2 steps, loss={loss})"
    assert repr(History(stopped="max_steps")) == "History(0 epochs, 0 steps, stopped='max_steps')"


def test_a_search_on_one_line() -> None:
    rates = np.asarray([1e-3, 1e-2, 1e-1, 1.0])
    falling = LRFinderResult(rates, np.asarray([3.0, 2.0, 1.0, 0.9]), smoothing=0.0)
    assert repr(falling) == "LRFinderResult(suggestion=0.01, rates=0.001 to 1, steps=4, end=4)"
    rising = LRFinderResult(rates, np.asarray([1.0, 2.0, 3.0, 9.0]), smoothing=0.0)
    assert repr(rising) == "LRFinderResult(suggestion=None, rates=0.001 to 1, steps=4, end=3)"


def test_tables_in_a_notebook(trained: Trained) -> None:
    first, last = (f"{trained.history['loss'][i]:.4g}" for i in (0, -1))
    assert f">{first}</td>" in trained.history._repr_html_()
    for html in (trained._repr_html_(), trained.history._repr_html_()):
        assert html.count("<table>") == 1
        assert f">{last}</td>" in html
    assert ">49</td>" in trained._repr_html_()
    result = LRFinderResult(np.asarray([0.1, 1.0]), np.asarray([1.0, 9.0]))
    assert ">0.1 to 1</td>" in result._repr_html_()

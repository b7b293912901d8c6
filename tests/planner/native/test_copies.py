"""What has been compiled to native code is copied, and passes to another process, as without it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.native_steps import batch, close, start, started, step
from tests.support.process import python

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}


def test_a_compiled_step_is_no_data() -> None:
    """It has locks, and memory that belongs to a thread; a copy of the object has the same programs."""
    compiled = started(start())
    for way in ("deepcopy", "pickle"):
        with pytest.raises((TypeError, pickle.PicklingError), match="pickle"):
            WAYS[way](compiled)
    other, state, plain = copy.copy(compiled), start(), start()
    for seed in range(3):
        state, loss = other(state, batch(seed=seed))
        plain, expected = step(plain, batch(seed=seed))
        close((state, loss), (plain, expected))
    assert other.programs is compiled.programs


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_model_that_predicts_by_native_code_is_copied(way: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    trained = dl.fit(dl.mlp(6, 8, 3), x, np.arange(40) % 3, epochs=2, progress=False)
    for _ in range(20):
        expected = trained.predict(x)
    other = way(trained)
    for _ in range(20):
        np.testing.assert_allclose(other.predict(x), expected, rtol=1e-6)
    np.testing.assert_array_equal(trained.predict(x), expected)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_estimator_that_was_trained_by_native_code_is_copied_and_trained_on(way: Callable[[Any], Any]) -> None:
    pytest.importorskip("sklearn", minversion="1.9")
    from dlarray.estimators import MLPClassifier

    x, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 2
    ours = MLPClassifier(8, random_state=0, batch_size=20).partial_fit(x, y, classes=[0, 1])
    other = way(ours)
    for estimator in (ours, other):
        estimator.partial_fit(x, y)
    np.testing.assert_array_equal(other.predict_proba(x), ours.predict_proba(x))
    assert other.loss_ == ours.loss_


def test_another_process_goes_on_with_a_model(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    trained = dl.fit(dl.mlp(6, 8, 3), x, np.arange(40) % 3, epochs=1, progress=False)
    for _ in range(20):
        expected = trained.predict(x)
    file = tmp_path / "model"
    file.write_bytes(pickle.dumps((trained, x)))
    code = f"""
import pickle
from pathlib import Path
trained, x = pickle.loads(Path({str(file)!r}).read_bytes())
for _ in range(20):
    y = trained.predict(x)
print(y.tobytes().hex())
"""
    assert python(code) == expected.tobytes().hex()

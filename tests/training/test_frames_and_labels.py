"""``fit`` and predictions with frames and series of pandas and polars, and with labels of any kind."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import dlarray as dl
from dlarray.losses import BinaryCrossEntropy, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.training.checkpoint import write_file
from dlarray.training.data_names import DataNames
from tests.support.fits import FEW, check_same
from tests.support.matrix import On
from tests.support.named_data import COLUMNS, NUMBERS, ONE, THREE, WEIGHT, WORDS, YES, N, X, fit

FRAMES: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
SERIES: dict[str, Any] = {"pandas": pd.Series, "polars": pl.Series}


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_trains_as_its_numbers_do(library: str, on: On) -> None:
    if on.name not in FEW | {"strict-2025.12"}:
        pytest.skip("frames become host arrays: a few devices are enough")
    frame, series = FRAMES[library], SERIES[library]
    where = {"device": on.device, "dtype": on.dtype}
    expected = fit(weight=WEIGHT, validation=(X[:9], NUMBERS[:9]), **where)
    x, y = frame(COLUMNS), series(NUMBERS)
    trained = fit(x, y, weight=series(WEIGHT), validation=(x[:9], y[:9]), **where)
    check_same(trained, expected)
    assert trained.features == ("age", "height", "member")
    assert trained.classes is None
    for name in ("predict", "outputs", "classify", "predict_labels"):
        np.testing.assert_array_equal(getattr(trained, name)(x), getattr(expected, name)(X))
    assert trained.evaluate(x, y) == expected.evaluate(X, NUMBERS)


@pytest.mark.parametrize("library", FRAMES)
def test_columns_are_found_by_name(library: str) -> None:
    frame = FRAMES[library]
    trained = fit(frame(COLUMNS))
    other = frame({"extra": ["a"] * N} | dict(reversed(COLUMNS.items())))
    np.testing.assert_array_equal(trained.predict(other), trained.predict(X))
    lacking = frame({"age": COLUMNS["age"], "heihgt": COLUMNS["height"], "member": COLUMNS["member"]})
    with pytest.raises(ValueError, match="x has no column 'height', and the model was trained on it, did you mean"):
        trained.predict(lacking)
    np.testing.assert_array_equal(fit().predict(frame(COLUMNS)), fit().predict(X))


def test_columns_without_names_are_taken_in_their_order() -> None:
    trained = fit(pd.DataFrame(X))
    assert trained.features is None
    check_same(trained, fit())
    np.testing.assert_array_equal(trained.predict(pd.DataFrame(X[:5])), fit().predict(X[:5]))


def test_numbers_of_any_type_and_targets_of_several_columns() -> None:
    x = pd.DataFrame({"a": pd.array([1, 2, 3, 4], dtype="Int64"), "b": pd.array([True, False] * 2, dtype="boolean")})
    x["c"] = pd.arrays.SparseArray([0.5, 0, 0, 1])
    numbers = np.asarray([[1, 1, 0.5], [2, 0, 0], [3, 1, 0], [4, 0, 1]])
    y = pd.DataFrame({"u": [1, 2, 3, 4], "v": [1.5, 0, 0, 2]})
    two = dl.mlp(3, 4, 2)
    check_same(fit(x, y, two, batch_size=4), fit(numbers, y.to_numpy(), two, batch_size=4))
    one: dict[str, Any] = {"model": ONE, "batch_size": 4, "loss": "mse"}
    check_same(fit(x, y[["v"]], **one), fit(numbers, y["v"].to_numpy(), **one))


KINDS: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
    "strings": (lambda: WORDS, ("cat", "dog", "owl")),
    "objects": (lambda: WORDS.astype(object), ("cat", "dog", "owl")),
    "a series": (lambda: pd.Series(WORDS), ("cat", "dog", "owl")),
    "a series of polars": (lambda: pl.Series(WORDS.tolist()), ("cat", "dog", "owl")),
    "categories of polars": (lambda: pl.Series(WORDS.tolist(), dtype=pl.Categorical), ("cat", "dog", "owl")),
    "a frame of one column": (lambda: pd.DataFrame({"animal": WORDS}), ("cat", "dog", "owl")),
    "variable strings": (lambda: WORDS.astype(np.dtypes.StringDType()), ("cat", "dog", "owl")),
    "categories": (lambda: pd.Series(pd.Categorical(WORDS, categories=["cat", "dog", "owl"])), ("cat", "dog", "owl")),
    "a Categorical": (lambda: pd.Categorical(WORDS, categories=["cat", "dog", "owl"]), ("cat", "dog", "owl")),
    "numbered categories": (
        lambda: pd.Series(NUMBERS * 10 + 10, dtype=pd.CategoricalDtype([10, 20, 30])),
        (10, 20, 30),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind_are_the_numbers_of_their_classes(kind: str) -> None:
    make, classes = KINDS[kind]
    y, expected = make(), fit(validation=0.25)
    trained = fit(y=y, validation=0.25)
    check_same(trained, expected)
    assert trained.classes == classes
    found = trained.predict_labels(X)
    assert found.tolist() == [classes[i] for i in expected.classify(X).tolist()]
    np.testing.assert_array_equal(trained.classify(X), expected.classify(X))
    assert trained.evaluate(X, y) == expected.evaluate(X, NUMBERS)
    check_same(fit(y=y, validation=(X, y)), fit(validation=(X, NUMBERS)))
    check_same(fit(y=y, class_weight={classes[2]: 3.0}), fit(class_weight={2: 3.0}))


def test_labels_train_on_any_device(on: On) -> None:
    where = {"device": on.device, "dtype": on.dtype}
    trained = fit(y=WORDS, **where)
    assert set(trained.predict_labels(on.array(X)).tolist()) <= {"cat", "dog", "owl"}
    if on.name in FEW | {"strict-2025.12"}:
        check_same(trained, fit(**where))
        x, where = on.array(X), {"device": None, "dtype": on.dtype}
        check_same(fit(x, on.array(NUMBERS.astype(float)), **where), fit(x, on.array(NUMBERS), **where))


def test_two_classes_are_one_output() -> None:
    expected = fit(y=YES.astype(int), model=ONE)
    assert isinstance(expected.loss, BinaryCrossEntropy)
    trained = fit(y=YES, model=ONE)
    check_same(trained, expected)
    assert trained.classes == (False, True)
    assert trained.predict_labels(X).dtype == bool
    words = fit(y=np.where(YES, "yes", "no"), model=ONE)
    check_same(words, expected)
    assert words.predict_labels(X).tolist() == np.where(expected.classify(X), "yes", "no").tolist()
    assert fit(y=YES, model=ONE, loss="hinge").classes == (False, True)
    two = dl.mlp(3, 6, 2)
    check_same(fit(y=YES, model=two), fit(y=YES.astype(int), model=two))


def test_booleans_are_numbers_for_a_loss_of_numbers() -> None:
    trained = fit(y=YES, model=ONE, loss="mse")
    check_same(trained, fit(y=YES.astype(float), model=ONE, loss="mse"))
    assert trained.classes is None
    several = np.stack([YES, ~YES, YES], axis=1)
    check_same(fit(y=several, loss="bce"), fit(y=several.astype(int), loss="bce"))


def test_whole_floats_are_labels_where_classes_are_trained() -> None:
    assert isinstance(fit(y=NUMBERS * 1.0).loss, SparseCategoricalCrossEntropy)
    check_same(fit(y=NUMBERS * 1.0), fit())
    check_same(fit(y=NUMBERS.astype(object)), fit())
    assert fit(y=NUMBERS * 1.0).evaluate(X, NUMBERS * 1.0) == fit().evaluate(X, NUMBERS)
    assert isinstance(fit(y=YES * 1.0, model=ONE).loss, MeanSquaredError)  # numbers, unless a loss says otherwise


def test_a_category_without_examples_has_its_output() -> None:
    y = pd.Series(np.where(YES, "a", "c"), dtype=pd.CategoricalDtype(["c", "b", "a"]))
    trained = fit(y=y)
    check_same(trained, fit(y=np.where(YES, 2, 0)))
    assert trained.classes == ("c", "b", "a")


def test_batches_may_be_frames() -> None:
    x = pd.DataFrame(COLUMNS)
    batches = [(x[i : i + 16], pd.Series(NUMBERS)[i : i + 16]) for i in (0, 16, 32)]
    check_same(fit(batches, None), fit(shuffle=False, metrics=[]))


def test_names_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    trained = fit(pd.DataFrame(COLUMNS), WORDS)
    trained.save(path)
    for again in (dl.load(path), pickle.loads(pickle.dumps(trained)), copy.copy(trained)):
        assert (again.features, again.classes) == (trained.features, trained.classes)
        np.testing.assert_array_equal(again.predict_labels(X), trained.predict_labels(X))
    yes = fit(y=YES, model=ONE)
    yes.save(path)
    assert dl.load(path).classes == (False, True)
    assert dl.load(path).classes[0] is False  # type: ignore[index]
    fit().save(path)
    assert (dl.load(path).features, dl.load(path).classes) == (None, None)


def test_a_checkpoint_keeps_the_names_and_is_resumed_with_the_same_classes(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole = fit(y=WORDS, epochs=3)
    fit(y=WORDS, epochs=1, callbacks=[dl.Checkpoint(path)])
    assert dl.load(path).classes == ("cat", "dog", "owl")
    check_same(fit(y=WORDS, epochs=3, resume=path), whole)
    with pytest.raises(ValueError, match="different run.*classes was"):
        fit(y=np.char.upper(WORDS), epochs=3, resume=path)


def test_a_checkpoint_is_resumed_with_its_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    frame = pd.DataFrame(COLUMNS)
    whole = fit(frame, epochs=3)
    fit(frame, epochs=1, callbacks=[dl.Checkpoint(path)])
    for x in (frame[list(COLUMNS)[::-1]], frame.assign(more=0)[["more", *COLUMNS]], X):
        resumed = fit(x, epochs=3, resume=path)
        check_same(resumed, whole)
        assert resumed.features == tuple(COLUMNS)
    with pytest.raises(ValueError, match="different run.* trained on the column 'age', and x has years, height"):
        fit(frame.rename(columns={"age": "years"}), epochs=3, resume=path)


@pytest.mark.parametrize(
    "names",
    [
        {"classes": ["a", "b"]},
        {"classes": ["a", "b", "b"]},
        {"classes": ["a", "b", 1]},
        {"classes": ["a", "b", None]},
        {"classes": [0.5, 1.5, float("inf")]},
        {"classes": [["a"], ["b"], ["c"]]},
        {"classes": []},
        {"classes": "abc"},
        {"features": ["a", "b"]},
        {"features": ["a", "b", "a"]},
        {"features": ["a", "b", 3]},
        {"features": {"a": 1}},
    ],
    ids=json.dumps,
)
def test_a_file_with_other_names_is_refused(names: dict[str, Any], tmp_path: Path) -> None:
    path, trained = tmp_path / "model.safetensors", fit()
    with pytest.raises((ValueError, TypeError)):
        write_file(path, trained.model, trained.theta, trained.buffers, trained.loss, "float32", names)
    assert not path.exists()


def test_other_functions_take_frames_and_labels() -> None:
    x = pd.DataFrame(COLUMNS)
    trained = fit(x, WORDS)
    assert dl.diagnose(trained, x, WORDS).loss == dl.diagnose(fit(), X, NUMBERS).loss
    theta = trained.theta
    assert dl.diagnose_at(THREE, theta, x, WORDS).loss == dl.diagnose_at(THREE, theta, X, NUMBERS).loss
    first, expected = dl.first_step(THREE, x, WORDS), dl.first_step(THREE, X, NUMBERS)
    for a, b in zip(first[2][:2], expected[2][:2], strict=True):
        np.testing.assert_array_equal(a, b)
    found = dl.find_learning_rate(THREE, x, WORDS, steps=5)
    np.testing.assert_array_equal(found.losses, dl.find_learning_rate(THREE, X, NUMBERS, steps=5).losses)
    flat, plain = (dl.loss_landscape(THREE, theta, *pair, points=3) for pair in ((x, WORDS), (X, NUMBERS)))
    np.testing.assert_array_equal(flat.loss, plain.loss)


def test_names_of_numbers_are_none() -> None:
    assert DataNames.of(X, NUMBERS) == DataNames.of(X, X) == DataNames.of(X, None) == DataNames()

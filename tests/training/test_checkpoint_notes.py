"""The history and the notes in a model's file."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import dlarray as dl
from dlarray.training import load_with_notes
from tests.support.model_files import config_changed, read, signed, split
from tests.support.models import DEEP, assert_same, trained_model
from tests.training.test_checkpoint_writing import unharmed

rng = np.random.default_rng(0)


def test_the_history_comes_back_and_of_a_long_one_the_means_of_neighbours(tmp_path: Path) -> None:
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    trained = dl.fit(DEEP, x, y, epochs=2, batch_size=10, validation=(x, y), compile=False, progress=False)
    assert len(trained.history.epochs) == 2
    trained.save(tmp_path / "m")
    assert dl.load(tmp_path / "m").history == trained.history
    steps = rng.normal(size=20_000).tolist()
    long = dl.History(steps, [{"loss": 1.0, "validation_loss": 0.1}])
    back = dl.History.from_data(json.loads(json.dumps(long.to_data())))
    assert back.epochs == long.epochs
    np.testing.assert_allclose(back.steps, np.repeat(np.mean(np.reshape(steps, (-1, 4)), axis=1), 4), rtol=1e-12)
    assert dl.History.from_data(back.to_data()) == back
    assert len(long.to_data()["steps"]) == 5_000
    with pytest.raises(ValueError, match="does not have as many steps as it says"):
        dl.History.from_data({"count": 3, "each": 1, "steps": [1.0], "epochs": []})


def test_notes_lie_beside_the_model(tmp_path: Path) -> None:
    trained = trained_model(DEEP)
    notes = {"words": ["ünïcode", None, 0.1], "more": {"deep": True}}
    trained.save(tmp_path / "m", notes=notes)
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert found == notes
    assert_same(trained, again)
    trained.save(tmp_path / "plain")
    assert load_with_notes(tmp_path / "plain")[1] == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notes", "error", "words"),
    [
        ({1: "a", "1": "b"}, TypeError, r"notes must have strings as names, .*got 1$"),
        ({"a": [{}, {None: 1}]}, TypeError, r"notes\['a'\]\[1\] must have strings as names, .*got None"),
        ({"a": {"x": np.ones(2)}}, TypeError, r"notes\['a'\]\['x'\] must be numbers, .*got ndarray"),
        ({"a": {1, 2}}, TypeError, r"notes\['a'\] must be numbers, .*got set"),
        ({"a": np.int64(1)}, TypeError, r"notes\['a'\] must be numbers, .*got int64"),
        ({"a": 10**5000}, ValueError, "limit"),
        ({"a": "nested"}, ValueError, "nested too deeply"),
    ],
)
def test_notes_that_would_not_come_back_are_refused_and_the_good_file_stays(
    notes: dict[Any, Any], error: type[Exception], words: str, old: tuple[Path, bytes]
) -> None:
    path, before = old
    if notes == {"a": "nested"}:
        for _ in range(100_000):
            notes = {"a": notes}
    with pytest.raises(error, match=words):
        trained_model(dl.mlp(4, 2)).save(path, notes=notes)
    unharmed(path.parent, before)


def test_numbers_that_are_not_finite_come_back_in_notes_and_metrics(tmp_path: Path) -> None:
    trained = trained_model(DEEP)
    trained.history.epochs.append({"loss": math.inf, "validation_loss": -math.inf, "r2": math.nan})
    trained.save(tmp_path / "m", notes={"metrics": (math.inf, math.nan, -0.0)})
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert str(found) == "{'metrics': [inf, nan, -0.0]}"
    assert str(again.history.epochs) == "[{'loss': inf, 'validation_loss': -inf, 'r2': nan}]"


def test_notes_and_histories_may_be_as_long_as_they_are(tmp_path: Path) -> None:
    """A header has a limit, so a long text is an array of its own; safetensors reads the file all the same."""
    trained = trained_model(DEEP)
    rows = [{"loss": 1.0 / (i + 1), "validation_loss": 0.1 * i, "validation_accuracy": 0.5} for i in range(20_000)]
    trained.history.epochs.extend(rows)
    notes = {"long": "é" * 2**22}
    trained.save(tmp_path / "m", notes=notes)
    again, found = load_with_notes(tmp_path / "m", "cpu")
    assert_same(trained, again)
    assert again.history == trained.history
    assert found == notes
    assert "0.weight" in safetensors.numpy.load_file(tmp_path / "m")
    data = bytearray((tmp_path / "m").read_bytes())
    data[-10] ^= 1  # in the text
    with pytest.raises(dl.CheckpointError, match="SHA-256"):
        read(bytes(data), tmp_path)


HISTORY = {"count": 3, "each": 1, "steps": [1.0, 2.0, 3.0], "epochs": [{"loss": 2.0}]}


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"notes": [1]}, "its notes must be an object"),
        ({"history": [1]}, "its history must be an object"),
        ({"history": {"count": 3}}, "its history must have each, steps, epochs"),
        ({"history": HISTORY | {"count": 9}}, "does not have as many steps as it says"),
        ({"history": HISTORY | {"count": 2.5}}, "its count of steps must be a whole number"),
        ({"history": HISTORY | {"count": -1}}, "its count of steps must be at least 0"),
        ({"history": HISTORY | {"count": 10**30, "each": 10**30}}, "its count of steps must be at most"),
        ({"history": HISTORY | {"each": 0}}, "each must be at least 1"),
        ({"history": HISTORY | {"each": True}}, "each must be a whole number"),
        ({"history": HISTORY | {"steps": {}}}, "its steps must be a list"),
        ({"history": HISTORY | {"steps": [1.0, "2", 3.0]}}, "a loss must be a real number"),
        ({"history": HISTORY | {"steps": [1.0, 10**400, 3.0]}}, "a loss must be a number that a float holds"),
        ({"history": HISTORY | {"epochs": [1]}}, "an epoch must be an object"),
        ({"history": HISTORY | {"epochs": [{"loss": None}]}}, "loss must be a real number"),
    ],
)
def test_an_odd_history_and_odd_notes_are_refused(
    odd: dict[str, Any], words: str, small: bytes, tmp_path: Path
) -> None:
    assert read(config_changed(history=HISTORY)(small), tmp_path).history.steps == [1.0, 2.0, 3.0]
    with pytest.raises(dl.CheckpointError, match=f"is not a dlarray model: .*{words}"):
        read(config_changed(**odd)(small), tmp_path)


def test_the_number_of_steps_costs_nothing(small: bytes, tmp_path: Path) -> None:
    """A file of a kilobyte may say that its training had a billion billion steps, and it may have had them."""
    count = 10**18
    long = {"count": count, "each": 2**59, "steps": [2.0, 1.0], "epochs": [{"loss": 1.5}]}
    data = config_changed(history=long)(small)
    tracemalloc.start()
    history = read(data, tmp_path).history
    assert (len(history.steps), history.steps[0], history.steps[-1]) == (count, 2.0, 1.0)
    assert history.steps[2**59 - 1 : 2**59 + 1] == [2.0, 1.0]
    assert history.to_data() == long
    assert history == dl.History.from_data(long)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    with pytest.raises(IndexError):
        history.steps[count]


def test_a_file_without_them_is_read(small: bytes, tmp_path: Path) -> None:
    """Files were written without, before."""
    header, numbers = split(small)
    config = json.loads(header["__metadata__"]["config"])
    old = {name: config[name] for name in ("model", "loss", "dtype")}
    metadata = header["__metadata__"] | {"config": json.dumps(old)}
    data = signed(header | {"__metadata__": metadata}, numbers)
    assert read(data, tmp_path).history == dl.History()

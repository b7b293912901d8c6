"""What a resumed run reads from its file is looked at first: a file that was edited is refused by name and by entry."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.edited import contents, edited, signed

rng = np.random.default_rng(0)
X, LABELS = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
T = ["int32", 1]
MODEL = dl.MLP(3, [dl.Dense(2), dl.BatchNorm(), "tanh", dl.Dense(2)])


def callbacks(folder: Path) -> list[Any]:
    return [
        dl.ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=9.0, cooldown=1),
        dl.EarlyStopping("loss", patience=9),
        dl.SWA(0.25),
        dl.EMA(0.5),
        dl.Checkpoint(folder / "kept-{epoch}-{loss:.2f}", keep=2),
        dl.CSVLog(folder / "log.csv"),
        dl.Checkpoint(folder / "run", steps=1),
    ]


def fit(folder: Path, **options: Any) -> dl.Trained:
    options = {"epochs": 4, "batch_size": 8, "progress": False, "compile": False, "device": "cpu"} | options
    return dl.fit(MODEL, X, LABELS, callbacks=callbacks(folder), optimizer=dl.Adam(0.01, weight_decay=0.1), **options)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint in the middle of its third epoch."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, max_steps=8)
    return (folder / "run").read_bytes()


@pytest.fixture
def run(written: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.write_bytes(written)
    return path


def test_as_it_was_written_it_is_taken_up(run: Path) -> None:
    assert len(fit(run.parent, resume=run).history.steps) == 12


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("epoch", -(10**12), "epoch must be at least 0, got -1000000000000"),
        ("epoch", 10**12, "epoch must be at most 2147483647"),
        ("epoch", 1, "epoch is 1, and it has the metrics of 2 epochs|steps is 8, and not 1 epochs of 3 steps"),
        ("epoch", 2.0, "epoch must be a whole number, got 2.0"),
        ("epoch", ["x" * 10**5], r"epoch must be a whole number, got .{900,1000}$"),
        ("epoch", None, "epoch must be a whole number, got None"),
        ("steps", 2**31, "steps must be at most 2147483647"),
        ("steps", True, "steps must be a whole number, got True"),
        ("steps", 9, "steps is 9, and it has the losses of 6 steps and of 2 more"),
        ("seconds", "long", "seconds must be a real number, got 'long'"),
        ("seconds", math.nan, "seconds must be finite, got nan"),
        ("metrics", {}, "metrics must be a list, got {}"),
        ("metrics", [[], []], "metrics must be an object"),
        ("metrics", [{"loss": "low"}, {}], "the metric 'loss' must be a real number, got 'low'"),
        ("settings", [], "settings must be an object"),
        ("optimizer", None, "optimizer must be an object"),
        ("optimizer", {}, "optimizer must have t"),
        ("optimizer", {"t": ["int32", 9]}, "optimizer.t is out of range, got 9"),
        ("optimizer", {"t": ["int32", 10**12]}, "optimizer.t is out of range"),
        ("optimizer", {"t": ["int32", -1]}, "optimizer.t is out of range"),
        ("optimizer", {"t": ["U900000000000", "x"]}, r"optimizer.t must be \['int32', a number\]"),
        ("optimizer", {"t": ["int32", 1], "scale": ["float32", -1]}, "optimizer.scale is out of range"),
        (
            "optimizer",
            {"t": ["int32", 1], "scale": ["float32", 1e300]},
            "optimizer.scale is out of range",
        ),
        ("optimizer", {"t": ["int32", 1], "m": ["float32", 1]}, "optimizer.m must be an array"),
        ("optimizer", {"t": ["int32", 1], "n": ["float32", 1]}, "optimizer.n is no number of Adam"),
        ("scaling", [1], "scaling must be an object"),
        ("callbacks", {"EMA": {}}, "callbacks must be a list"),
        ("callbacks", [["EMA"]], r"callbacks\[0\] must be a name and a memory"),
        ("callbacks", [[1, {}]], r"callbacks\[0\] must be a string, got 1"),
        ("callbacks", [["TensorBoard", {"_writer": 1}]], "callbacks.0. has '_writer', and names with an underscore"),
        ("callbacks", [["EMA", {"theta": {"like": "beta"}}]], "callbacks.0..theta must be like theta or buffers"),
        ("callbacks", [["EMA", {"theta": {"like": []}}]], "callbacks.0..theta must be a string"),
        ("callbacks", [["EMA", {"theta": {"like": "theta"}}]], r"it lacks the array run.callback0.theta.0.W"),
        ("callbacks", [["EMA", {"theta": 1}]], "unknown arrays|the memory of EMA: theta must be vectors"),
        ("callbacks", [], "unknown arrays: run.callback"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_by_name(entry: str, value: Any, words: str, run: Path) -> None:
    edited(run, lambda run: run.update({entry: value}))
    with pytest.raises(dl.CheckpointError, match=rf"run is not a training checkpoint: .*({words})"):
        fit(run.parent, resume=run)


@pytest.mark.parametrize(
    ("i", "memory", "words"),
    [
        (0, {"waited": "1"}, "the memory of ReduceLROnPlateau: waited must be a whole number, got '1'"),
        (0, {"cooling": -1}, "the memory of ReduceLROnPlateau: cooling must be at least 0"),
        (0, {"best": [1]}, "the memory of ReduceLROnPlateau: best must be a real number"),
        (1, {"waited": None}, "the memory of EarlyStopping: waited must be a whole number"),
        (1, {"epoch": 99}, "the memory of EarlyStopping: epoch must be at most 2, got 99"),
        (1, {"theta": None}, "unknown arrays|the memory of EarlyStopping: theta must be vectors"),
        (2, {"n": 0}, "the memory of SWA: n must be at least 1"),
        (2, {"n": 1e9}, "the memory of SWA: n must be a whole number"),
        (4, {"written": {}}, r"callbacks\[4\].written must have like"),
    ],
)
def test_a_memory_that_is_none_of_a_callback_s_is_refused(i: int, memory: Any, words: str, run: Path) -> None:
    edited(run, lambda run: run["callbacks"][i][1].update(memory))
    with pytest.raises(dl.CheckpointError, match=rf"run is not a training checkpoint: .*({words})"):
        fit(run.parent, resume=run)


@pytest.mark.parametrize(
    ("name", "x", "words"),
    [
        ("run.losses", None, "it lacks the array run.losses"),
        ("run.losses", np.zeros((1, 2)), "run.losses must be a vector of float64"),
        ("run.history", np.zeros(6, dtype=np.float32), "run.history must be a vector of float64, got float32"),
        ("run.weights", np.asarray([1.0, np.nan]), "run.weights must be finite"),
        ("run.weights", np.zeros(3), "steps is 8, and it has the losses"),
        (
            "run.optimizer.m.0.W",
            np.zeros((3, 2)),
            "run.optimizer.m.0.W must be float32 .*, got float64",
        ),
        ("run.optimizer.m.0.W", np.zeros((2, 3), dtype=np.float32), "run.optimizer.m.0.W must be float32 of"),
        ("run.optimizer.n.0.W", np.zeros((3, 2), dtype=np.float32), "unknown arrays: run.optimizer.n.0.W"),
    ],
)
def test_an_array_that_cannot_be_is_refused_by_name(name: str, x: np.ndarray | None, words: str, run: Path) -> None:
    config, arrays = contents(run)
    arrays = {k: v for k, v in arrays.items() if k != name} | ({} if x is None else {name: x})
    signed(run, config, arrays)
    with pytest.raises(dl.CheckpointError, match=rf"run is not a training checkpoint: .*{words}"):
        fit(run.parent, resume=run)


VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(10**12), 10**12, 10**30),
    *(0.5, -0.0, 1e300, -1e300, math.nan, math.inf, "", "x", "theta", "9", [], {}, [1], [[]], {"like": "theta"}),
    *({"like": "buffers"}, ["float32", 1.0], ["object", 1], [["EMA", {}]], [None] * 3),
]


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every entry of nested data: what it is in, and its name or number there."""
    inner = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [pair for key in inner for pair in [(data, key), *places(data[key])]]


def mutated(config: Any, arrays: dict[str, np.ndarray], draw: random.Random) -> tuple[Any, dict[str, np.ndarray]]:
    """One or two entries of what the file says of its run, or of its arrays, are others, or gone, or there twice."""
    config, arrays = copy.deepcopy(config), dict(arrays)
    for _ in range(draw.choice([1, 1, 1, 2])):
        if draw.random() < 0.2:
            name = draw.choice([name for name in arrays if name.startswith("run.")])
            x = arrays.pop(name)
            other = [
                x.astype(np.float64),
                x.reshape(-1),
                x[:0],
                np.full_like(x, np.nan),
                -x,
                x[None],
                np.append(x, 1.0),
            ]
            if draw.random() < 0.8:
                arrays[draw.choice([name, name, name, f"{name}.b", "run.x"])] = draw.choice(other)
            continue
        of, key = draw.choice(places(config["run"]))
        match draw.randrange(6):
            case 0:
                del of[key]
            case 1 if isinstance(of, dict):
                of[draw.choice(["x", "_x", "theta", "t", ""])] = of.pop(key)
            case 1 | 2 if isinstance(of, list):
                of.append(copy.deepcopy(of[key]))
            case 3 if isinstance(of[key], (int, float)):
                of[key] = draw.choice([-of[key], of[key] + 1, of[key] * 1e12, -(10**12), str(of[key])])
            case _:
                of[key] = copy.deepcopy(draw.choice(VALUES))
    return config, arrays


def test_no_edited_file_is_anything_but_taken_up_or_refused(run: Path) -> None:
    """With the digest that belongs to it. What is taken up has as many steps as were asked for."""
    config, arrays = contents(run)
    refusals: list[str] = []
    for seed in range(250):
        signed(run, *mutated(config, arrays, random.Random(seed)))
        try:
            trained = fit(run.parent, resume=run, epochs=3)
        except dl.DivergedError:
            continue
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert trained.history.stopped or len(trained.history.steps) == 9, seed
    assert all(str(run) in words for words in refusals)
    assert 125 < len(refusals) < 250

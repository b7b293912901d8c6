"""A run that is resumed takes the steps of the run that was never stopped, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Callback, Run
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
LABELS = (X @ rng.normal(size=(6, 3))).argmax(axis=1)
MODEL = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(), "tanh", dl.Dropout(0.2), dl.Dense(3)])
SMALL = dl.mlp(6, 4, 3, activation="tanh")
FEW = {"numpy-float64", "numpy-float32", "strict-2025.12", "torch-float64", "jax-float32"}


def fit(x: Any = X, y: Any = LABELS, model: dl.MLP = MODEL, **options: Any) -> dl.Trained:
    options = {"optimizer": dl.AdamW(dl.CosineDecay(0.05, 20), weight_decay=0.1), "device": "cpu"} | options
    return dl.fit(model, x, y, **({"epochs": 4, "batch_size": 16, "seed": 5, "progress": False} | options))


def numbers(trained: dl.Trained) -> list[np.ndarray]:
    return [dl.to_numpy(v) for v in trained.theta + trained.buffers]


def check_same(a: dl.Trained, b: dl.Trained) -> None:
    for p, q in zip(numbers(a), numbers(b), strict=True):
        np.testing.assert_array_equal(p, q)
    assert a.history == b.history


def companions(path: Path) -> list[Any]:
    """Callbacks whose memory matters, and a file of every step."""
    return [
        dl.ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=9.0),
        "ema",
        "early_stopping",
        dl.Checkpoint(path, steps=1),
    ]


def test_the_bits_of_the_run_that_was_never_stopped(on: On, tmp_path: Path) -> None:
    """In the middle of an epoch, at the end of one before and after it counts; the rate was changed, θ averaged."""
    if on.name not in FEW:
        pytest.skip("a few devices are enough for the loop, which is the same code on all")
    where = {"device": on.device, "dtype": on.dtype, "validation": 0.2}
    where |= {"model": SMALL} if on.jit else {}  # masks take JAX's compiler its time
    whole = fit(callbacks=companions(tmp_path / "whole"), **where)
    assert len(whole.history.steps) == 8
    for stop in (1, 2, 5) if not on.jit else (3,):
        path = tmp_path / f"part {stop}"
        part = fit(callbacks=companions(path), max_steps=stop, **where)
        assert len(part.history.steps) == stop
        resumed = fit(callbacks=companions(tmp_path / "rest"), resume=path, **where)
        check_same(resumed, whole)


def test_resumed_at_every_step_it_was_written(tmp_path: Path) -> None:
    whole = fit(callbacks=[dl.Checkpoint(tmp_path / "{step}", steps=1, keep=99)])
    assert len(list(tmp_path.iterdir())) == 12
    for path in tmp_path.iterdir():
        check_same(fit(resume=path), whole)


def test_averages_in_16_bits_go_on(tmp_path: Path) -> None:
    options = {"optimizer": dl.BFloat16State(dl.Adam(0.05)), "model": SMALL}
    whole, path = fit(**options), tmp_path / "run"
    fit(max_steps=4, callbacks=[dl.Checkpoint(path)], **options)
    check_same(fit(resume=path, **options), whole)


def test_a_finished_run_goes_on_with_more_epochs(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fit(epochs=2, callbacks=[dl.Checkpoint(path)])
    check_same(fit(epochs=4, resume=path), fit(epochs=4))
    check_same(fit(epochs=2, resume=path), fit(epochs=2))  # nothing is left to do


def test_a_run_that_had_stopped_early_stays_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run"
    callbacks = [dl.EarlyStopping("loss", patience=1, min_delta=9.0), dl.Checkpoint(path)]
    first = fit(epochs=9, callbacks=callbacks)
    assert len(first.history.epochs) == 2
    again = fit(epochs=9, callbacks=callbacks, resume=path)
    check_same(again, first)


def test_logs_go_on_where_the_checkpoint_is(tmp_path: Path) -> None:
    path, log = tmp_path / "run", tmp_path / "log.csv"
    fit(epochs=3, callbacks=[dl.Checkpoint(tmp_path / "run", epochs=2), dl.CSVLog(log)], max_steps=8)
    lines = log.read_text().splitlines()
    assert len(lines) == 3
    log.write_text("\n".join([*lines, "3,9,1.0,0.1,0.5,0.5"]))  # an epoch that the checkpoint does not know
    fit(epochs=4, callbacks=[dl.CSVLog(log)], resume=path)
    found = log.read_text().splitlines()
    assert found[:3] == lines
    assert [line.split(",")[0] for line in found] == ["epoch", "1", "2", "3", "4"]
    seconds = [float(line.split(",")[2]) for line in found[1:]]
    assert seconds == sorted(seconds)


def brought() -> Iterator[Any]:
    for i in range(0, 40, 16):
        yield X[i : i + 16], LABELS[i : i + 16]


@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 2}])
def test_batches_from_an_iterable(options: Any, tmp_path: Path) -> None:
    whole = fit(brought, None, **options)
    for stop in (1, 5):
        path = tmp_path / str(stop)
        fit(brought, None, max_steps=stop, callbacks=[dl.Checkpoint(path)], **options)
        check_same(fit(brought, None, resume=path, **options), whole)


def test_the_scale_of_float16_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options = {"model": SMALL, "device": "torch", "precision": "float16"}
    whole, path = fit(**options), tmp_path / "run"
    fit(max_steps=4, callbacks=[dl.Checkpoint(path)], **options)
    check_same(fit(resume=path, **options), whole)


def test_a_run_goes_on_at_another_library_to_rounding(tmp_path: Path) -> None:
    """One vector there, a vector for each parameter here."""
    pytest.importorskip("jax")
    path = tmp_path / "run"
    options = {"model": SMALL, "metrics": []}
    fit(max_steps=5, callbacks=[dl.EMA(0.5), dl.Checkpoint(path)], **options)
    here, there = (fit(resume=path, device=d, callbacks=[dl.EMA(0.5)], **options) for d in ("cpu", "jax"))
    np.testing.assert_allclose(here.history.steps, there.history.steps, rtol=1e-5)
    for name, p in here.parameters.items():
        np.testing.assert_allclose(dl.to_numpy(there.parameters[name]), p, rtol=1e-4, atol=1e-5)


# What is refused


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    fit(max_steps=4, model=SMALL, callbacks=["ema", dl.Checkpoint(path)])
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": dl.mlp(6, 5, 3, activation="tanh")}, "model was .*, is "),
        ({"loss": dl.SparseCategoricalCrossEntropy(label_smoothing=0.1)}, "loss was .*, is "),
        ({"optimizer": dl.Adam(0.1)}, "optimizer was .*AdamW.*, is .*Adam"),
        ({"clip_norm": 1.0}, "optimizer was .*AdamW.*, is .*Clipped"),
        ({"batch_size": 8}, "batch_size was 16, is 8"),
        ({"seed": 6}, "seed was 5, is 6"),
        ({"shuffle": False}, "shuffle was True, is False"),
        ({"accumulate": 2}, "accumulate was 1, is 2"),
        ({"class_weight": {0: 2.0}}, r"class_weight was None, is \{'0': 2.0\}"),
        ({"class_weight": np.ones(3)}, r"class_weight was None, is \[1.0, 1.0, 1.0\]"),
        ({"dtype": "float64"}, "dtype was float32, is float64"),
        ({"x": X[:30], "y": LABELS[:30]}, "examples was 40, is 30"),
    ],
)
def test_another_run_is_refused(run: Path, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=rf"run is from a different run.*{words}"):
        fit(**({"model": SMALL, "resume": run} | options))


def test_files_that_hold_no_run_are_refused(run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    trained = dl.load(run)
    trained.save(model)
    with pytest.raises(dl.CheckpointError, match=r"holds a model and no run.*theta=dlarray\.load"):
        fit(model=SMALL, resume=model)
    for damaged in (run.read_bytes()[:-9], run.read_bytes().replace(b"epoch", b"epoxy")):
        (tmp_path / "bad").write_bytes(damaged)
        with pytest.raises(dl.CheckpointError):
            fit(model=SMALL, resume=tmp_path / "bad")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fit(model=SMALL, resume=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="give theta and buffers or resume, not both"):
        fit(model=SMALL, resume=run, theta=trained.theta)


def test_a_file_that_is_whole_and_makes_no_sense_is_refused(run: Path, tmp_path: Path) -> None:
    """As somebody would write it who knows the format: the digest is right."""
    from dlarray.training.checkpoint import read_file, write_file

    model, loss, dtype, arrays, config = read_file(run)
    data = config["run"]
    trained = dl.load(run)
    beside = {name: x for name, x in arrays.items() if name.startswith("run.")}

    def written(data: Any, beside: Any) -> Path:
        path = tmp_path / "strange"
        write_file(path, model, trained.theta, trained.buffers, loss, dtype, {"run": data}, beside)
        return path

    assert len(fit(model=SMALL, resume=written(data, beside)).history.steps) == 12  # as it was, it is good
    for changed in (
        written({k: v for k, v in data.items() if k != "optimizer"}, beside),
        written(data | {"optimizer": {"t": ["int32"]}}, beside),
        written(data, {k: v for k, v in beside.items() if not k.startswith("run.optimizer.m")}),
        written(data, beside | {"run.optimizer.m.0.W": np.zeros((2, 2), dtype=np.float32)}),
        written(data | {"callbacks": [["EMA", {"theta": {"like": "nothing"}}]]}, beside),
        written({k: v for k, v in data.items() if k != "settings"}, beside),
    ):
        with pytest.raises(dl.CheckpointError, match="strange is not a training checkpoint"):
            fit(model=SMALL, resume=changed, callbacks=["ema"])


def test_what_a_callback_remembers_must_be_data(tmp_path: Path) -> None:
    class Hoards(Callback):
        def __init__(self, **memory: Any) -> None:
            self.memory = memory

        def on_start(self, run: Run) -> None:
            run.memory(self).update(self.memory)

    path = tmp_path / "run"
    good = Hoards(n=1, words=["a", "b"], nothing=None, _open=open)
    fit(epochs=1, model=SMALL, callbacks=[good, dl.Checkpoint(path)])
    for bad in ({"f": open}, {"x": X}, {"t": (X,)}, {"d": {"a": 1}}):
        with pytest.raises(TypeError, match="the memory of a callback has '[fxtd]'"):
            fit(epochs=1, model=SMALL, callbacks=[Hoards(**bad), dl.Checkpoint(path)])


def test_a_checkpoint_is_a_model_with_its_history(tmp_path: Path) -> None:
    trained = fit(epochs=3, model=SMALL, callbacks=[dl.Checkpoint(tmp_path / "run")])
    found = dl.load(tmp_path / "run").history
    assert found == trained.history
    assert len(found["loss"]) == 3


def test_a_checkpoint_names_what_it_holds(run: Path) -> None:
    header = json.loads(run.read_bytes()[8 : 8 + int.from_bytes(run.read_bytes()[:8], "little")])
    own = {name for name in header if name.startswith("run.")}
    parameters = [name for name, _ in SMALL.layout.shapes]
    assert own == {
        "run.losses",
        "run.weights",
        "run.history",
        *(f"run.optimizer.{kind}.{name}" for kind in ("m", "v", "mask") for name in parameters),
        *(f"run.callback0.theta.{name}" for name in parameters),
    }

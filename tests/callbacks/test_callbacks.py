"""Callbacks: when they are called, what they get, and what each of dlarray's does."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import classes, make
from dlarray.optimizers import Optimizer
from dlarray.training import Callback, Run
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
LABELS = (X @ rng.normal(size=(6, 3))).argmax(axis=1)
NUMBERS = np.tanh(X @ rng.normal(size=(6, 2)))
MODEL = dl.mlp(6, 8, 3, activation="tanh")
NORMED = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(), "tanh", dl.Dropout(0.1), dl.Dense(3)])
NORMED_ALONE = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(), "tanh", dl.Dense(3)])
FEW = {"numpy-float32", "torch-float32"}
MORE = {"numpy-float64", "strict-2025.12", "jax-float32"}


def fit(model: dl.MLP = MODEL, x: Any = X, y: Any = LABELS, **options: Any) -> dl.Trained:
    return dl.fit(model, x, y, **({"epochs": 3, "batch_size": 16, "device": "cpu", "progress": False} | options))


def few(on: On, also: set[str] = set()) -> dict[str, Any]:  # noqa: B006 - it is read alone
    """Where a fit runs; a few rows are enough for the loop, and one of each library for what computes."""
    if on.name not in FEW | also:
        pytest.skip("a few devices are enough for the loop, which is the same code on all")
    return {"device": on.device, "dtype": on.dtype}


def numbers(trained: dl.Trained) -> list[np.ndarray]:
    return [dl.to_numpy(v).copy() for v in trained.theta + trained.buffers]


def equal(a: Any, b: Any) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


class Spy(Callback):
    """Writes down what happens, and the model after each epoch."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.models: list[list[np.ndarray]] = []
        self.rates: list[float] = []

    def on_start(self, run: Run) -> None:
        self.calls.append(("start", run.epoch, run.batch_index, run.steps))

    def on_step(self, run: Run) -> None:
        self.calls.append(("step", run.epoch, run.batch_index, run.steps))

    def on_epoch(self, run: Run) -> None:
        self.calls.append(("epoch", run.epoch, run.batch_index, run.steps))
        self.models.append(numbers(run.trained))
        self.rates.append(run.rate)

    def on_end(self, run: Run) -> None:
        self.calls.append(("end", run.epoch, run.batch_index, run.steps))


class Scripted:
    """A metric that returns given values."""

    def __init__(self, values: Sequence[float], name: str = "accuracy") -> None:
        self.values = iter(values)
        self.__name__ = name

    def __call__(self, y: Any, p: Any) -> Any:
        return np.asarray(next(self.values))


# The protocol


def test_hooks_are_called_in_order_and_told_where_the_walk_is() -> None:
    spy = Spy()
    fit(epochs=2, callbacks=[spy])
    steps = [("step", e, i + 1, 3 * e + i + 1) for e in range(2) for i in range(3)]
    first, second = steps[:3], steps[3:]
    assert spy.calls == [
        ("start", 0, 0, 0),
        *first,
        ("epoch", 1, 0, 3),
        *second,
        ("epoch", 2, 0, 6),
        ("end", 2, 0, 6),
    ]


def test_looking_on_changes_no_bit(on: On) -> None:
    class Looks(Callback):
        def on_step(self, run: Run) -> None:
            assert math.isfinite(run.latest_loss)
            assert run.trained is run.trained
            assert len(run.theta) == len(run.state["theta"])
            assert run.seconds > 0

    where = few(on)
    alone, watched = fit(NORMED, **where), fit(NORMED, callbacks=[Looks()], **where)
    assert equal(numbers(alone), numbers(watched))
    assert alone.history == watched.history


def test_a_copy_of_the_model_stays_as_it_was(on: On) -> None:
    kept: list[dl.Trained] = []

    class Keeps(Callback):
        def on_epoch(self, run: Run) -> None:
            kept.append(run.trained)
            seen.append(numbers(run.trained))

    seen: list[list[np.ndarray]] = []
    fit(callbacks=[Keeps()], **few(on))
    assert [equal(numbers(model), then) for model, then in zip(kept, seen, strict=True)] == [True] * 3
    assert not equal(seen[0], seen[1])


def test_a_callback_may_stop_the_walk_at_a_step_and_the_first_reason_counts() -> None:
    class Stops(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 4:
                run.stop("enough")
                run.stop("more than enough")

    trained = fit(epochs=5, callbacks=[Stops()])
    assert trained.history.stopped == "enough"
    assert len(trained.history.steps) == 4
    assert trained.history["loss"] == [
        pytest.approx(np.average(trained.history.steps[:3], weights=[16, 16, 8])),
        trained.history.steps[3],
    ]


def test_a_callback_may_move_the_run_and_return_another_model(on: On) -> None:
    where = few(on)
    start = MODEL.init(7, on.target, on.dtype)

    class Moves(Callback):
        def on_start(self, run: Run) -> None:
            run.replace(start)
            with pytest.raises(ValueError, match="theta must hold vectors of lengths"):
                run.replace((start[0][:3], *start[1:]))

    class HandsBack(Callback):
        def on_end(self, run: Run) -> None:
            run.set_result(start)

    moved = fit(callbacks=[Moves()], **where)
    assert equal(numbers(moved), numbers(fit(theta=start, **where)))
    assert equal(numbers(fit(callbacks=[HandsBack()], **where)), [dl.to_numpy(v) for v in start])


def test_the_same_object_serves_two_walks_at_a_time_and_one_after_the_other() -> None:
    callbacks = [dl.EarlyStopping("accuracy", patience=1), dl.EMA(0.9), dl.ReduceLROnPlateau("loss", patience=1)]
    runs = [fit(epochs=6, callbacks=callbacks) for _ in range(2)]
    assert runs[0].history == runs[1].history
    assert equal(numbers(runs[0]), numbers(runs[1]))


def test_callbacks_have_names() -> None:
    named = {name for name, c in classes(Callback).items() if c.__module__.startswith("dlarray.")}
    assert named >= {"early_stopping", "ema", "live_plot", "reduce_lr_on_plateau", "stop_on_non_finite", "swa"}
    assert make(Callback, "Early-Stopping") == dl.EarlyStopping()
    assert fit(callbacks=["ema", "early_stopping"]).history.stopped == ""


def test_the_end_is_told_of_the_error() -> None:
    errors: list[Any] = []

    class Ends(Callback):
        def on_end(self, run: Run) -> None:
            errors.append(run.error)

    fit(callbacks=[Ends()])
    with np.errstate(all="ignore"), pytest.raises(dl.DivergedError) as caught:
        fit(x=10 * X, y=NUMBERS, model=dl.mlp(6, 2), optimizer=dl.GradientDescent(1e6), epochs=50, callbacks=[Ends()])
    assert errors == [None, caught.value]


def test_an_interrupted_walk_says_so_and_keeps_the_last_whole_epoch(tmp_path: Path) -> None:
    class Interrupts(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 8:
                raise KeyboardInterrupt

    spy, path = Spy(), tmp_path / "run.safetensors"
    with pytest.raises(dl.Interrupted, match="after 2 complete epochs") as caught:
        fit(epochs=5, callbacks=[spy, dl.Checkpoint(path), Interrupts()])
    assert isinstance(caught.value, KeyboardInterrupt)
    assert equal(numbers(caught.value.trained), spy.models[1])
    assert equal(numbers(dl.load(path)), spy.models[1])  # nothing was written of a step that may be half done
    assert spy.calls[-1][0] == "end"


# The learning rate


@pytest.mark.parametrize("kind", [c for c in classes(Optimizer).values() if c.__module__.startswith("dlarray.")])
def test_a_scale_in_the_state_is_another_learning_rate(kind: Any) -> None:
    theta, g = rng.normal(size=9), rng.normal(size=9)
    slow, fast = kind(0.25, weight_decay=0.1), kind(0.5, weight_decay=0.1)
    a, state = slow.step(theta.copy(), g.copy(), slow.init(theta))
    b, scaled = fast.step(theta.copy(), g.copy(), fast.init(theta) | {"scale": np.asarray(0.5)})
    np.testing.assert_allclose(b, a, rtol=1e-15)
    assert scaled.keys() == state.keys() | {"scale"}
    assert fast.scalable
    assert dl.Clipped(fast, dl.clip_by_value, 1.0).scalable


class Halves(Callback):
    def on_epoch(self, run: Run) -> None:
        run.rate_scale = 0.5


def test_a_rate_that_is_changed_on_the_way_is_what_the_next_step_takes(on: On) -> None:
    where = {**few(on, MORE), "batch_size": None, "metrics": []}
    spy = Spy()
    found = fit(epochs=2, optimizer=dl.GradientDescent(0.5), callbacks=[spy, Halves()], **where)
    first = fit(epochs=1, optimizer=dl.GradientDescent(0.5), **where)
    second = fit(epochs=1, optimizer=dl.GradientDescent(0.25), theta=first.theta, **where)
    for a, b in zip(numbers(found), numbers(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=on.rtol, atol=on.rtol)
    assert spy.rates == [0.5, 0.25]


def test_an_optimizer_that_does_not_look_at_the_scale_is_refused() -> None:
    @dataclass(frozen=True)
    class Own(Optimizer):
        abstract = True

        def init(self, theta: Any, mask: Any = None) -> Any:
            return {}

        def step(self, theta: Any, g: Any, state: Any) -> Any:
            return theta - 0.1 * g, state

        def rate(self, t: Any) -> float:
            return 0.1

    with pytest.raises(TypeError, match=r"the rate of Own cannot be changed.*FirstOrder"):
        fit(optimizer=Own(), callbacks=["reduce_lr_on_plateau"])
    assert len(fit(optimizer=Own(), callbacks=["ema"]).history.epochs) == 3


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "min_delta"), [(1, 0, 0.0), (2, 1, 0.05), (3, 2, 0.0)])
def test_plateau_is_torch_s(mode: str, patience: int, cooldown: int, min_delta: float) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(patience).uniform(size=30).round(2).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience - 1, min_delta, "abs", cooldown, min_lr=0.002, eps=0
    )
    expected: list[float] = []
    for value in values:
        optimizer.step()
        schedule.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    plateau = dl.ReduceLROnPlateau(
        "figure", mode=mode, factor=0.5, patience=patience, cooldown=cooldown, min_delta=min_delta, min_lr=0.002
    )
    spy = Spy()
    fit(
        epochs=30,
        batch_size=None,
        optimizer=dl.GradientDescent(0.1),
        metrics=[Scripted(values, "figure")],
        callbacks=[plateau, spy],
        dtype="float64",
    )
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-12)
    assert spy.rates[-1] < 0.1


# Early stopping


@pytest.mark.parametrize(
    ("values", "options", "best", "last"),
    [
        ([0.5, 0.6, 0.55, 0.6, 0.9], {}, 2, 4),
        ([0.5, 0.6, 0.55, 0.65, 0.5, 0.5], {}, 4, 6),
        ([0.5, 0.6, 0.65, 0.9, 0.5], {"min_delta": 0.2}, 1, 3),
        ([0.5, math.nan, math.nan, 0.9], {}, 1, 3),
        ([0.5, 0.6, 0.4, 0.45, 0.5], {"mode": "min"}, 3, 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5], {}, 5, 5),
    ],
)
def test_early_stopping_gives_the_best_epoch_back(values: Any, options: Any, best: int, last: int, on: On) -> None:
    where = few(on)
    spy = Spy()
    stopping = dl.EarlyStopping("accuracy", patience=2, **options)
    values = [*values, *[0.0] * 9] if last == len(values) < 6 else values

    def run(stopping: dl.EarlyStopping, spy: Spy) -> dl.Trained:
        return fit(
            NORMED, epochs=last if best == last else 9, metrics=[Scripted(values)], callbacks=[spy, stopping], **where
        )

    trained = run(stopping, spy)
    assert len(trained.history.epochs) == last
    assert equal(numbers(trained), spy.models[best - 1])
    if best != last:
        assert f"accuracy has not improved for 2 epochs; the best was {values[best - 1]}" in trained.history.stopped
        assert f"in epoch {best}" in trained.history.stopped
    kept = run(dl.EarlyStopping("accuracy", patience=2, restore=False, **options), Spy())
    assert equal(numbers(kept), spy.models[last - 1])


def test_an_epoch_that_is_broken_off_may_be_the_best() -> None:
    """tf's and Keras's report: max_steps ends the run in a better place than any whole epoch did."""
    model, x = dl.MLP(1, [dl.Dense(1, weight=dl.Zeros())]), np.ones((2, 1))
    options: dict[str, Any] = {"batch_size": 1, "epochs": 9, "validation": (x, 2 * x), "max_steps": 3, "metrics": []}
    options |= {"optimizer": dl.GradientDescent(0.1), "dtype": "float64", "compile": False}
    stopped = fit(model, x, 2 * x, callbacks=[dl.EarlyStopping()], **options)
    assert len(stopped.history.epochs) == 2
    best = min(stopped.history["validation_loss"])
    assert best == stopped.history["validation_loss"][-1] == stopped.evaluate(x, 2 * x)["loss"]


@pytest.mark.parametrize(("values", "best"), [([0.5, 0.9], 3), ([0.9, 0.5], 2), ([0.9, math.nan], 2)])
@pytest.mark.parametrize("limit", ["max_steps", "stop"])
def test_the_best_of_an_incomplete_run(values: list[float], best: int, limit: str, tmp_path: Path) -> None:
    """By the callback that restores, and in the file of the best: after two steps of the first epoch, or the third."""

    class Stops(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 3:
                run.stop("as a time limit does")

    path, where = tmp_path / "best", {"batch_size": 20, "compile": False}
    watched: list[Callback] = [dl.EarlyStopping("accuracy"), dl.Checkpoint(path, best="accuracy")]
    ends = {"max_steps": 3} if limit == "max_steps" else {"callbacks": [*watched, Stops()]}
    given: dict[str, Any] = {"callbacks": watched, "epochs": 4, "metrics": [Scripted(values)], **where, **ends}
    trained = fit(**given)
    expected = numbers(fit(max_steps=best, metrics=[], **where))
    assert equal(numbers(trained), expected)
    assert equal(numbers(dl.load(path)), expected)


def test_what_is_watched_by_default_and_which_way_is_better() -> None:
    from dlarray.callbacks.monitor import direction

    names = dl.metrics.__all__
    less = {"log_loss", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"}
    assert {n for n in names if n != "confusion_matrix" and direction(n, None) < 0} == less
    assert direction("validation_loss", None) == -1
    assert direction("anything", "max") == 1
    watched: list[str] = []

    class Watches(Callback):
        def on_start(self, run: Run) -> None:
            watched.append(dl.EarlyStopping().metric(run))
            assert run.names == tuple(expected)

    expected = ["loss", "accuracy"]
    assert fit(epochs=1, callbacks=[Watches()]).history.names == expected
    expected = ["loss", "validation_loss", "validation_accuracy"]
    assert fit(epochs=1, callbacks=[Watches()], validation=0.2).history.names == expected
    assert watched == ["loss", "validation_loss"]


# Averages


def test_ema_is_the_recurrence(on: On) -> None:
    where = few(on, MORE)
    steps: list[list[np.ndarray]] = []

    class Every(Callback):
        def on_start(self, run: Run) -> None:
            steps.append(numbers(run.trained))

        on_step = on_start

    model = MODEL if on.jit else NORMED  # masks take JAX's compiler its time
    trained = fit(model, callbacks=[Every(), dl.EMA(0.8)], **where)
    expected = steps[0]
    for now in steps[1:]:
        expected = [0.8 * m + (1 - 0.8) * x for m, x in zip(expected, now, strict=True)]
    for a, b in zip(numbers(trained)[: len(trained.theta)], expected, strict=False):
        np.testing.assert_allclose(a, b, rtol=on.rtol, atol=on.rtol)
    plain = fit(model, **where)
    assert equal(numbers(plain), steps[-1])  # training itself is unchanged


@pytest.mark.parametrize("average", [dl.SWA(0.5), dl.EMA(0.8)], ids=repr)
def test_an_average_s_batch_norm_is_measured_anew(average: Callback, on: On) -> None:
    """Means over the batches of one pass, counted by their 16, 16 and 8 examples, and nothing of the run's own."""
    where = {**few(on, MORE), "shuffle": False}
    spy = Spy()
    trained = fit(NORMED_ALONE, epochs=6, callbacks=[spy, average], **where)
    if isinstance(average, dl.SWA):
        for i, found in enumerate(numbers(trained)[: len(trained.theta)]):
            mean = np.mean([model[i] for model in spy.models[3:]], axis=0)
            np.testing.assert_allclose(found, mean, rtol=5 * on.rtol, atol=5 * on.rtol)
    p = {name: dl.to_numpy(v) for name, v in trained.parameters.items()}
    z = X @ p["0.W"] + p["0.b"]
    found = {name: dl.to_numpy(v) for name, v in NORMED_ALONE.named_buffers(trained.buffers).items()}
    variances = [z[i : i + 16].var(axis=0, ddof=1) for i in range(0, 40, 16)]
    np.testing.assert_allclose(found["1.mean"], z.mean(axis=0), rtol=20 * on.rtol, atol=20 * on.rtol)
    variance = np.average(variances, axis=0, weights=[16, 16, 8])
    np.testing.assert_allclose(found["1.variance"], variance, rtol=20 * on.rtol, atol=20 * on.rtol)


@pytest.mark.parametrize("average", [dl.SWA(0.5), dl.EMA()], ids=repr)
def test_an_average_of_one_batch_has_its_mean_and_variance(average: Callback) -> None:
    x = np.arange(8.0).reshape(-1, 1)
    model = dl.MLP(1, [dl.BatchNorm(), dl.Residual([dl.BatchNorm()]), dl.Dense(1)])
    trained = fit(model, x, x, epochs=2, batch_size=None, callbacks=[average], dtype="float64", compile=False)
    kept = model.named_buffers(trained.buffers)
    assert (kept["0.mean"][0], kept["0.variance"][0]) == (3.5, 6.0)
    beta, gamma = (trained.parameters[f"0.{name}"][0] for name in ("beta", "gamma"))
    np.testing.assert_allclose(kept["1.0.mean"], [beta], atol=1e-12)
    np.testing.assert_allclose(kept["1.0.variance"], [gamma**2 * 8 / 7], rtol=1e-4)  # but for eps


@pytest.mark.parametrize("average", [dl.SWA(0.0), dl.EMA()], ids=repr)
def test_an_average_with_batch_norm_needs_a_second_pass(average: Callback) -> None:
    batches = ((X[i : i + 20], LABELS[i : i + 20]) for i in (0, 20))
    with pytest.raises(ValueError, match=f"{type(average).__name__} needs one more pass over the batches"):
        fit(NORMED, batches, None, epochs=1, batch_size=32, callbacks=[average])


def test_swa_takes_every_so_many_epochs() -> None:
    spy = Spy()
    trained = fit(epochs=7, callbacks=[spy, dl.SWA(0.4, every=2)])
    np.testing.assert_allclose(
        numbers(trained)[0], (spy.models[2][0] + spy.models[4][0] + spy.models[6][0]) / 3, rtol=1e-6, atol=1e-8
    )


# Files


def test_checkpoints_are_written_kept_and_read_as_models(tmp_path: Path) -> None:
    spy = Spy()
    fit(epochs=5, callbacks=[spy, dl.Checkpoint(tmp_path / "run-{epoch}-{step}.safetensors", epochs=2, keep=2)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-4-12.safetensors", "run-5-15.safetensors"]
    loaded = dl.load(tmp_path / "run-4-12.safetensors")
    assert loaded.model == MODEL
    assert equal(numbers(loaded), spy.models[3])


def test_checkpoints_by_steps(tmp_path: Path) -> None:
    fit(epochs=2, callbacks=[dl.Checkpoint(tmp_path / "{step}", steps=2, keep=9)])
    assert {p.name for p in tmp_path.iterdir()} == {"2", "4", "6"}


def test_the_best_checkpoint(tmp_path: Path) -> None:
    spy, path = Spy(), tmp_path / "best.safetensors"
    values = [0.5, 0.9, 0.7, math.nan, 0.9]
    fit(epochs=5, metrics=[Scripted(values)], callbacks=[spy, dl.Checkpoint(path, best="accuracy")])
    assert equal(numbers(dl.load(path)), spy.models[1])


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.safetensors"
    fit(epochs=1, callbacks=[dl.Checkpoint(path)])
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*run\.safetensors"):
        fit(epochs=2, callbacks=[dl.Checkpoint(path)])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_logs_hold_a_line_for_each_epoch(tmp_path: Path) -> None:
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    metric = Scripted([0.5, math.nan, 0.25])
    trained = fit(metrics=[metric], optimizer=dl.Adam(0.5), callbacks=[dl.CSVLog(table), dl.JSONLinesLog(lines)])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "step", "seconds", "rate", "loss", "accuracy"]
    assert [float(row["loss"]) for row in rows] == trained.history["loss"]
    assert [(row["epoch"], row["step"], row["rate"]) for row in rows] == [
        (str(e), str(3 * e), "0.5") for e in (1, 2, 3)
    ]
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["accuracy"] for row in objects] == [0.5, None, 0.25]
    assert [row["loss"] for row in objects] == trained.history["loss"]


def events(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of all events in a folder: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: list[tuple[str, int, float]] = []
    for path in sorted(folder.iterdir()):
        data, i = path.read_bytes(), 0
        while i < len(data):
            (length,) = struct.unpack_from("<Q", data, i)
            event = Event.FromString(data[i + 12 : i + 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            i += 16 + length
    return found


def test_tensorboard_reads_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    trained = fit(epochs=2, optimizer=dl.Adam(0.25), callbacks=[dl.TensorBoard(tmp_path, steps=3)])
    losses = [("loss", 3 * (i + 1), np.float32(v)) for i, v in enumerate(trained.history["loss"])]
    found = events(tmp_path)
    assert [e for e in found if e[0] == "loss"] == losses
    assert [e for e in found if e[0] == "learning_rate"] == [("learning_rate", 3, 0.25), ("learning_rate", 6, 0.25)]
    assert [e[1:] for e in found if e[0] == "step_loss"] == [
        (s, np.float32(trained.history.steps[s - 1])) for s in (3, 6)
    ]


def test_a_missing_library_is_missed_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "dlarray\[tensorboard\]"'):
        fit(callbacks=[dl.TensorBoard(tmp_path), spy])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "dlarray\[plot\]"'):
        fit(callbacks=[dl.LivePlot(path=tmp_path / "p.png"), spy])
    assert {call[0] for call in spy.calls} == {"end"}


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    return pytest.importorskip("matplotlib.pyplot")


def test_a_live_plot_is_a_file_or_a_notebook_s_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyplot: Any
) -> None:
    path = tmp_path / "live.png"
    fit(callbacks=[dl.LivePlot(path=path, every=2)])
    assert pyplot.imread(path)[..., :3].std() > 0.05
    shown: list[Any] = []
    handle = SimpleNamespace(update=lambda figure: shown.append(len(figure.axes[0].lines[0].get_xdata())))

    def display(figure: Any, display_id: bool) -> Any:
        shown.append(len(figure.axes))
        return handle

    kernel = SimpleNamespace(kernel=1)
    ipython = SimpleNamespace(get_ipython=lambda: kernel, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    fit(callbacks=[dl.LivePlot(["loss"])])
    assert shown == [1, 2, 3]
    assert pyplot.get_fignums() == []


# Numbers that are not finite


@dataclass(frozen=True)
class Spoils(dl.Layer):
    """Identity, but for an infinity on the way forward or back, where an input is above a limit."""

    abstract = True
    forwards: bool = True

    def forward(self, x: Any) -> tuple[Any, Any]:
        return np.where(self.forwards & (x > 9), np.inf, x), x

    def backward(self, x: Any, dy: Any) -> Any:
        return np.where(x > 9, np.inf, dy)


@pytest.mark.parametrize("forwards", [True, False])
def test_the_layer_that_made_it_first_is_named(forwards: bool) -> None:
    inner = dl.Residual([Spoils(forwards), "tanh"])
    model = dl.MLP(6, [dl.Dense(6), "leaky_relu", inner, dl.Dense(3)])
    x = X.copy()
    x[37] *= 1e3  # seen in the third step
    way = "forward" if forwards else "backward"
    spy = Spy()
    with (
        np.errstate(all="ignore"),
        pytest.raises(dl.NonFiniteError, match=rf"layer 2\.0, Spoils\(.*\), {way} produced") as caught,
    ):
        fit(model, x, shuffle=False, compile=False, callbacks=[dl.StopOnNonFinite(), spy])
    assert caught.value.step == 3
    two = fit(model, x, shuffle=False, compile=False, max_steps=2, metrics=[])
    assert equal(numbers(caught.value.trained), numbers(two))


def test_a_step_too_far_is_the_optimizer_s() -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(dl.DivergedError, match=r"the optimizer's step .* in 0\.W.* at step 1:"),
    ):
        fit(optimizer=dl.GradientDescent(1e39), callbacks=["stop_on_non_finite"], compile=False)
    assert fit(callbacks=[dl.StopOnNonFinite(every=2)]).history.stopped == ""


def test_a_limit_of_time_ends_the_walk_at_a_step() -> None:
    for options in ({"callbacks": [dl.TimeLimit(1e-9)]}, {"max_time": 1e-9}):
        trained = fit(**options)
        assert len(trained.history.steps) == 1
        assert trained.history.stopped == "time limit: 1e-09 seconds have passed"
    assert fit(max_time=1e9).history.stopped == ""

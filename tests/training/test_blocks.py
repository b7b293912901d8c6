"""``fit(model, blocks)``: the steps of arrays, every option, resuming to the same bits, and errors that name rows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.matrix import On

RNG = np.random.default_rng(0)
N = 230
X = RNG.normal(size=(N, 5)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 1)
W = RNG.uniform(0.5, 2, N)
MODEL = dl.mlp(5, 16, 3)
KINDS = np.asarray(["daisy", "rose", "tulip"])


def blocks(x: Any = X, y: Any = Y, weight: Any = None, rows: int = 7, group: int | None = 5) -> dl.Blocks:
    return dl.open_blocks(x, y, weight, rows_per_block=rows, blocks_per_group=group)


def trained(x: Any, *y: Any, model: dl.MLP = MODEL, **options: Any) -> dl.Trained:
    return dl.fit(model, x, *y, **{"epochs": 3, "batch_size": 16, "progress": False, **options})


def as_arrays(data: dl.Blocks, epochs: int = 3, size: int = 16) -> Any:
    """The same batches from a function, as the tested reference."""
    epoch = iter(range(-1, epochs))
    return lambda: data.batches(size, epoch=max(next(epoch), 0))


SAME: dict[str, dict[str, Any]] = {
    "default": {},
    "in order": {"shuffle": False},
    "batches that divide": {"batch_size": 23},
    "one by one": {"steps_per_execution": 1},
    "eager": {"compile": False},
    "class weights": {"class_weight": [1.0, 2.0, 3.0]},
    "balanced": {"class_weight": "balanced"},
    "in parts": {"accumulate": 3},
    "stopped within an epoch": {"max_steps": 19},
    "clipped": {"clip_norm": 0.1},
    "another optimizer": {"optimizer": "lamb"},
    "metrics of training": {"metrics": ["accuracy"]},
    "given validation": {"validation": (X[:50], Y[:50])},
    "float64": {"dtype": "float64"},
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("weight", [None, W], ids=["alone", "weighted"])
def test_blocks_in_one_group_train_as_arrays_do(name: str, weight: Any) -> None:
    options = SAME[name]
    expected = trained(X, Y, weight=weight, **{"metrics": [] if "validation" not in options else None, **options})
    found = trained(blocks(weight=weight, group=1000), **options)
    if options.get("class_weight") == "balanced":  # the weights of classes are added up in another order
        np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=1e-6)
        return
    assert found.history == expected.history
    assert all(np.array_equal(a, b) for a, b in zip(found.theta, expected.theta, strict=True))


@pytest.mark.parametrize("name", ["default", "one by one", "eager", "stopped within an epoch", "in parts", "float64"])
def test_groups_train_as_their_batches_do(name: str) -> None:
    options = SAME[name]
    found = trained(blocks(), **options)
    expected = trained(as_arrays(blocks()), **options)
    np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=2e-5)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=2e-5)
    for a, b in zip(found.theta, expected.theta, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_blocks_train_on_every_device(on: On) -> None:
    if on.executor or on.read_only:
        pytest.skip("fit chooses its executor itself")
    given = {"device": on.device, "dtype": on.dtype, "validation": blocks(X[:60], Y[:60])}
    found = trained(blocks(), **given)
    expected = trained(blocks(), dtype=on.dtype, compile=False, validation=(X[:60], Y[:60]))
    np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=1e3 * on.rtol)
    np.testing.assert_allclose(
        found.history["validation_loss"], expected.history["validation_loss"], rtol=1e3 * on.rtol
    )


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4])
def test_groups_are_moved_as_a_whole_where_several_steps_are_one_call(steps: int) -> None:
    found = trained(blocks(), device="jax", steps_per_execution=steps)
    expected = trained(blocks(), compile=False)
    np.testing.assert_allclose(found.history.steps, expected.history.steps, rtol=1e-4)


def test_validation_by_other_blocks_and_by_arrays_is_the_same() -> None:
    arrays = trained(blocks(), validation=(X[:90], Y[:90]), metrics=["accuracy", "log_loss"])
    for group in (None, 2, 100):
        others = trained(blocks(), validation=blocks(X[:90], Y[:90], group=group), metrics=["accuracy", "log_loss"])
        for name in arrays.history.epochs[0]:
            np.testing.assert_allclose(others.history[name], arrays.history[name], rtol=1e-6)


def test_a_fraction_is_held_out_by_rows() -> None:
    held_out = trained(blocks(), validation=0.3, class_weight="balanced")
    training, validation = blocks().split(0.3, seed=0)
    found = trained(training, validation=validation, class_weight="balanced")
    assert held_out.history == found.history
    counts = np.bincount(np.concatenate([training.targets(i)[0] for i in range(len(training))]))
    found = trained(training, validation=validation, class_weight=(counts.sum() / (3 * counts)).tolist())
    np.testing.assert_allclose(found.history.steps, held_out.history.steps, rtol=1e-5)


def test_early_stopping_and_other_callbacks() -> None:
    stopping = dl.EarlyStopping("validation_loss", patience=1, min_delta=10.0)
    found = trained(blocks(), epochs=20, validation=0.2, callbacks=[stopping, "swa"])
    assert 1 < len(found.history.epochs) < 5
    assert found.history.stopped


@pytest.mark.parametrize("dtype", ["u1", ">i4", "f2", ">f8", "?"])
def test_numbers_are_cast_block_by_block(dtype: str, tmp_path: Path) -> None:
    x = (np.abs(X) * 4).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", Y.astype(">u2"))
    found = trained(dl.open_blocks(tmp_path, rows_per_block=9))
    assert found.history == trained(x, Y, metrics=[]).history


@pytest.mark.parametrize("kind", ["text", "boolean", "objects"])
def test_labels_of_other_kinds(kind: str) -> None:
    y: Any = {"text": KINDS[Y], "boolean": Y > 0, "objects": KINDS[Y].astype(object)}[kind]
    model = dl.mlp(5, 8, 2 if kind == "boolean" else 3)
    weights = {True: 2.0} if kind == "boolean" else {"rose": 2.0}
    found = trained(blocks(y=y, group=100), model=model, class_weight=weights, validation=0.2)
    expected = trained(X, y, model=model, class_weight=weights)
    assert found.classes == expected.classes
    assert found.predict_labels(X[:3]).dtype.kind in "Ub"


def test_classes_and_features_that_the_blocks_name() -> None:
    data = blocks()
    data.classes, data.features = ("daisy", "rose", "tulip"), ("a", "b", "c", "d", "e")
    found = trained(data, class_weight={"rose": 2.0}, validation=0.2)
    assert (found.classes, found.features) == (data.classes, data.features)
    assert set(found.predict_labels(X)) <= set(KINDS)


def test_numbers_as_targets() -> None:
    model = dl.mlp(5, 8, 1)
    found = trained(blocks(y=X[:, 0]), model=model, validation=0.2)
    assert found.loss == dl.MeanSquaredError()
    assert "validation_r2" in found.history.epochs[0]


def test_standardized_blocks_train_as_standardized_arrays() -> None:
    wide = X * [1.0, 10.0, 100.0, 0.1, 0.0] + 5.0
    scaled = blocks(wide, group=100).standardized()
    assert scaled.standardizer is not None
    found = trained(scaled)
    assert found.history == trained(scaled.standardizer(wide), Y, metrics=[]).history


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "y": ({"y": Y}, ValueError, "x is data in blocks, which hold the targets: leave out y"),
    "weight": ({"weight": W}, ValueError, r"blocks hold the weights of their rows, open_blocks\(x, y, weight\)"),
    "batch_size": ({"batch_size": None}, ValueError, "batch_size=None takes all examples at once"),
    "steps_per_epoch": ({"steps_per_epoch": 3}, ValueError, "an epoch of data in blocks is all of them"),
    "data": ({"data": "device"}, ValueError, "data='device' is for arrays: data in blocks stay on the host"),
    "validation": ({"validation": 0.0001}, ValueError, "leaves no rows in one of the two parts of 230 rows"),
    "a pair": ({"validation": [X, Y]}, TypeError, "validation must be a fraction or examples"),
    "loss": (
        {"model": dl.mlp(5, 1), "loss": "mean_squared_error", "class_weight": "balanced"},
        ValueError,
        "trains numbers: use weight=",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_blocks_cannot_have_are_refused_with_the_reason(name: str) -> None:
    options, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        trained(blocks(), **options)


def test_every_option_of_fit_is_in_a_table() -> None:
    """A new option of ``fit`` needs a row: it is the same for blocks, or refused, or does not concern data."""
    import inspect

    tested = {option for options in SAME.values() for option in options}
    refused = {option for options, _, _ in REFUSED.values() for option in options}
    elsewhere = {"callbacks", "validation", "resume", "device", "epochs", "progress", "seed", "loss", "model", "x"}
    not_about_data = {"max_time", "clip_value", "theta", "buffers", "precision"}
    on_ranks = {"parallel", "shard"}
    known = tested | refused | elsewhere | not_about_data | on_ranks
    assert set(inspect.signature(dl.fit).parameters) <= known


BAD: dict[str, tuple[Any, Any, Any, str]] = {
    "nan": (("x", 3, np.nan), None, None, "x must be finite, got nan in row 124, column 3"),
    "label": (("y", None, 7), None, None, r"labels must lie in \[0, 3\), got 7 in row 124"),
    "negative weight": (("weight", None, -1.0), None, None, "weights must be at least 0, got -1.0 in row 124"),
    "too large": (("x", 1, 1e300), None, None, r"x must fit into float32, got 1e\+300 in row 124, column 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_number_is_named_by_its_row_in_all_data(name: str) -> None:
    (array, column, value), *_, message = BAD[name]
    x, y, weight = X.astype(np.float64), Y.copy(), W.copy()
    target: Any = {"x": x, "y": y, "weight": weight}[array]
    target[(124, column) if column is not None else 124] = value
    for data in (blocks(x, y, weight), blocks(x, y, weight).split(0.9)[1], blocks(x, y, weight)[10:]):
        if 124 in np.concatenate([data.row_numbers(i) for i in range(len(data))]):
            with pytest.raises(ValueError, match=message):
                trained(data)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dlarray-blocks")]


@pytest.mark.parametrize("group", [2, 1000])
def test_weights_that_are_all_0_are_an_error(group: int) -> None:
    with pytest.raises(ValueError, match="weight must be at least 0, and not 0 everywhere"):
        trained(blocks(weight=0 * W, group=group), epochs=2)
    last = np.zeros(len(W))
    last[-1] = 1.0
    assert trained(blocks(weight=last, group=group), epochs=2).history.epochs


def test_a_missing_label_is_named_by_its_row() -> None:
    y = KINDS[Y].astype(object)
    y[124] = None
    with pytest.raises(ValueError, match="y has no value in row 124, got None"):
        trained(blocks(y=y))


class Interrupting(dl.Callback):
    """Interrupts in the fifth step."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def on_step(self, run: dl.Run) -> None:
        if run.steps == 5:
            raise self.error("now")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_thread_is_left_after_an_error_or_an_interrupt(error: type[BaseException]) -> None:
    with pytest.raises(error) as caught:
        trained(blocks(), callbacks=[Interrupting(error)], validation=0.2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dlarray-blocks")]
    assert hasattr(caught.value, "trained")


@pytest.mark.parametrize("at", [1, 9, 14, 15, 16, 30, 43])
def test_a_resumed_run_has_the_bits_of_one_that_was_not_interrupted(at: int, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    options: dict[str, Any] = {"validation": 0.1, "class_weight": "balanced"}
    whole = trained(blocks(), **options)
    trained(blocks(), **options, max_steps=at, callbacks=[dl.Checkpoint(path, steps=at)])
    resumed = trained(blocks(), **options, resume=path)
    assert resumed.history == whole.history
    assert all(np.array_equal(a, b) for a, b in zip(resumed.theta, whole.theta, strict=True))


def test_a_run_on_other_data_is_not_resumed_and_the_message_says_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trained(blocks(), max_steps=5, callbacks=[dl.Checkpoint(path, steps=5)])
    changed = X.copy()
    changed[100] += 1
    for data, message in [
        (blocks(changed), "cannot be resumed here: data was {'x': {'digest': '[0-9a-f]+'}}, is"),
        (blocks(X[1:], Y[1:]), "examples was 230, is 229"),
        (blocks(group=6), "blocks_per_group was 5, is 6"),
        (blocks(rows=8), "blocks was {'count': 33, 'largest': 7}, is {'count': 29, 'largest': 8}"),
    ]:
        with pytest.raises(ValueError, match=message):
            trained(data, resume=path)
    assert trained(blocks(), resume=path).history == trained(blocks()).history

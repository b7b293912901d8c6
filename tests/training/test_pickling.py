"""What passes to another process, or is copied, and is there what it was here."""

from __future__ import annotations

import copy
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
import pytest

import dlarray as dl
import dlarray.device as dd
from dlarray import callbacks
from dlarray.callbacks.non_finite import NonFiniteError
from dlarray.cli.output import UsageError
from dlarray.core.errors import RowError
from dlarray.core.ranks import RankError
from dlarray.device import OutOfMemoryError, search
from dlarray.onnx.import_graph import LoadError
from dlarray.onnx.program import ExportError
from dlarray.planner import PlannerWarning
from dlarray.planner.run.accelerated import _UnbindableError
from dlarray.planner.trace.node import UntraceableError
from dlarray.tables import TableModel, prepare
from dlarray.tables.blocks.plain_text import _TooLargeError
from dlarray.tables.blocks.row_ends import PartNotUtf8Error
from dlarray.tables.prepared import TableInterrupted
from dlarray.tables.text_files import NotUtf8Error
from dlarray.tables.values import TableWarning, UnknownColumnError
from dlarray.testing.check import NotApplicable
from dlarray.training import CheckpointError, DivergedError, Interrupted
from tests.support.matrix import On
from tests.support.process import ROOT, python

pytestmark = pytest.mark.usefixtures("without_native")

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest protocol": lambda value: pickle.loads(pickle.dumps(value, 0)),
}
way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
MODEL = dl.MLP(2, [dl.Dense(3), dl.BatchNorm(), "tanh", dl.Dropout(0.1), dl.Dense(1)])
X = np.random.default_rng(0).normal(size=(12, 2))


@pytest.fixture
def each(on: On) -> On:
    """A device on its own: read-only inputs and planners are NumPy's."""
    if on.executor or on.read_only:
        pytest.skip("numpy-float64 and numpy-float32 have the same device")
    return on


@cache
def trained_on(device: str, dtype: str) -> dl.Trained:
    return dl.fit(MODEL, X, X[:, :1], epochs=2, batch_size=6, device=device, dtype=dtype, progress=False)


@way
def test_a_device_and_its_backend_are_the_same_afterwards(each: On, way: Callable[[Any], Any]) -> None:
    assert way(each.target) is each.target
    assert way(each.target.backend) is each.target.backend
    assert dd.device_of(each.array([1.0])) is each.target


def test_a_device_that_is_missing_is_named_when_it_is_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(dd.resolve("cpu"))
    monkeypatch.setattr(search, "_working", {})
    monkeypatch.setattr(search, "_probe", lambda backend, local: 1 / 0)
    with pytest.raises(dd.DeviceError, match="a copy of an object on cpu names a device that cannot be used"):
        pickle.loads(data)


@way
def test_a_trained_model_answers_arrays_of_its_device(each: On, way: Callable[[Any], Any]) -> None:
    trained = trained_on(each.device, each.dtype)
    other = way(trained)
    assert other.device is trained.device
    assert other.history.epochs == trained.history.epochs
    assert [type(v) for v in other.theta] == [type(v) for v in trained.theta]
    x = each.array(X)
    np.testing.assert_array_equal(each.numpy(other.predict(x)), each.numpy(trained.predict(x)))
    for a, b in zip(other.theta + other.buffers, trained.theta + trained.buffers, strict=True):
        assert (a is b) == (way is copy.copy), "a copy of its own, or a shallow one"
        assert dd.device_of(a) is each.target


CALLBACKS = [
    callbacks.Checkpoint("file"),
    callbacks.CSVLog("file"),
    callbacks.EMA(),
    callbacks.EarlyStopping(),
    callbacks.ReduceLROnPlateau(),
    callbacks.SWA(),
    callbacks.StopOnNonFinite(),
    callbacks.TensorBoard("folder"),
    callbacks.TimeLimit(60),
]
CONFIGURATION = [MODEL, dl.Adam(dl.CosineDecay(0.1, 10)), dl.Focal(), dl.History(), *CALLBACKS]


@way
@pytest.mark.parametrize("value", CONFIGURATION, ids=lambda value: type(value).__name__)
def test_configuration_is_equal(value: Any, way: Callable[[Any], Any]) -> None:
    assert way(value) == value


# Exceptions


@cache
def table_model() -> TableModel:
    table = {"age": [20 + k for k in range(40)], "income": [3.0 * k for k in range(40)]}
    prepared = prepare(pl.DataFrame(table), "income")
    return TableModel(trained_on("cpu", "float32"), prepared.preprocessing, prepared.target)


def exceptions() -> list[BaseException]:
    """One of each class, as the library raises it."""
    trained = trained_on("cpu", "float32")
    shortage_ = OutOfMemoryError("cpu has not enough memory", "asked for 3 TB")
    shortage_.trained = trained
    return [
        shortage_,
        DivergedError("the loss became nan", 3, trained),
        NonFiniteError("layer 2, forward", 3, trained),
        Interrupted(trained),
        TableInterrupted(table_model(), complete=True),
        UnknownColumnError("agee", ["age"]),
        RowError("x must be finite, got nan in", 3),
        RankError(1, 4, "failed: ValueError: a message"),
        PartNotUtf8Error(b"\xff", 7),
        *(
            cls("a message")
            for cls in (
                dd.DeviceError, CheckpointError, UsageError, UntraceableError, PlannerWarning, TableWarning,
                _UnbindableError, NotUtf8Error, _TooLargeError, ExportError, LoadError, NotApplicable,
            )
        ),
    ]  # fmt: skip


def _subclasses(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def test_every_exception_of_the_library_is_tried_here() -> None:
    for folder in (ROOT / "dlarray", *(ROOT / "backends").glob("dlarray_*")):
        for module in pkgutil.walk_packages([str(folder)], f"{folder.name}."):
            with suppress(ImportError):  # of a library that is not installed
                import_module(module.name)
    own = {cls for cls in _subclasses(BaseException) if cls.__module__.startswith("dlarray")}
    assert own == {type(error) for error in exceptions()}


@way
def test_every_exception_keeps_its_message_and_its_attributes(way: Callable[[Any], Any]) -> None:
    for error in exceptions():
        error.add_note("a note")
        other = way(error)
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other).keys() == vars(error).keys()
        assert other.__notes__ == ["a note"]
        if hasattr(error, "trained"):
            np.testing.assert_array_equal(other.trained.theta, error.trained.theta)


POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np, dlarray as dl

def diverge():
    line, x = dl.mlp(1, 1), np.ones((4, 1))
    dl.fit(line, 1e10 * x, x, batch_size=4, optimizer=dl.GradientDescent(1e30), progress=False)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            pool.submit(diverge).result(120)
        except dl.DivergedError as error:
            print(error.step, error.trained.predict(np.ones((2, 1))).shape)
"""


def test_a_process_pool_passes_on_what_a_worker_raises(tmp_path: Any) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    assert python(f"import runpy; runpy.run_path({str(tmp_path / 'pool.py')!r}, run_name='__main__')") == "1 (2, 1)"

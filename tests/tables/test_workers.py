"""Networks and folds that workers train at the same time."""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")
joblib = pytest.importorskip("joblib")

from dlarray import tables  # noqa: E402
from dlarray.device import resolve  # noqa: E402
from dlarray.tables import network as network_module  # noqa: E402
from dlarray.tables import workers  # noqa: E402
from dlarray.training import DivergedError  # noqa: E402
from dlarray.training.shared_step import SharedStep  # noqa: E402

SHORT: dict[str, Any] = {"hidden": [6], "epochs": 3, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def rows() -> Any:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 3))
    y = np.where(x[:, 0] + x[:, 1] * x[:, 2] > 0, "yes", "no")
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


def same(one: Any, other: Any) -> None:
    for a, b in zip(one.trained.theta, other.trained.theta, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.facts == other.facts


@pytest.mark.slow
def test_processes_and_threads_train_the_same_model(rows: Any) -> None:
    alone = tables.train(rows, "y", folds=2, seeds=3, **SHORT)
    same(tables.train(rows, "y", folds=2, seeds=3, jobs=2, **SHORT), alone)
    with joblib.parallel_config("threading"):
        same(tables.train(rows, "y", folds=2, seeds=3, jobs=2, **SHORT), alone)


def test_a_step_is_not_sent_to_another_process() -> None:
    assert len(pickle.dumps(SharedStep(resolve("cpu")))) < 500


def test_the_plan_names_the_workers(rows: Any) -> None:
    assert "jobs:       2 workers train" in str(tables.prepare(rows, "y", jobs=2, **SHORT))
    assert "jobs:" not in str(tables.prepare(rows, "y", **SHORT))


@pytest.mark.parametrize(
    ("jobs", "error", "message"),
    [
        (0, ValueError, "jobs must be at least 1, got 0"),
        (-2, ValueError, "jobs must be at least 1, got -2"),
        (1.5, TypeError, "jobs must be a whole number, got 1.5"),
    ],
)
def test_wrong_numbers_of_jobs_are_errors(rows: Any, jobs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tables.prepare(rows, "y", jobs=jobs, **SHORT)


def test_a_table_in_blocks_has_one_network(tmp_path: Path) -> None:
    x = np.arange(2000.0)
    pl.DataFrame({"a": x, "b": -x, "y": np.where(x > 900, "yes", "no")}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"2 jobs train several networks, and a table .* in blocks has one"):
        tables.prepare(tmp_path / "t.parquet", "y", memory="1MB", jobs=2, **SHORT)


def test_minus_one_is_one_worker_for_each_core() -> None:
    assert workers.effective_jobs(-1) == joblib.cpu_count()
    with joblib.parallel_config("threading", n_jobs=3):
        assert workers.effective_jobs(2) == 2


def test_without_joblib_there_is_a_hint(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r'more than one job needs joblib.*pip install "dlarray\[sklearn\]"'):
        tables.prepare(rows, "y", jobs=2, **SHORT)
    assert tables.prepare(rows, "y", jobs=1, **SHORT).network.jobs == 1


@pytest.mark.parametrize(("jobs", "folds"), [(1, 0), (1, 4), (2, 3), (4, 4), (16, 2)])
def test_each_network_has_the_same_part_of_the_time(rows: Any, jobs: int, folds: int) -> None:
    prepared = tables.prepare(rows, "y", max_time=60, **SHORT)
    prepared = replace(prepared, network=replace(prepared.network, jobs=jobs))
    whole, fold = prepared._shares_of_time(folds)
    rounds = workers.rounds(5, jobs)  # of the five networks of the model
    assert whole.max_time is not None
    assert fold.max_time is not None
    assert whole.max_time / rounds == pytest.approx(fold.max_time / 5)
    assert whole.max_time + workers.rounds(folds, jobs) * fold.max_time == pytest.approx(60)
    assert (whole.jobs, fold.jobs) == (jobs, 1)


def test_a_worker_that_becomes_free_has_its_part_of_what_is_left(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = tables.prepare(rows, "y", **SHORT)
    options = replace(prepared.network, max_time=60.0, jobs=2)
    plan = replace(prepared._plan, max_time=60.0)
    times = iter([0.0, 0.0, 0.0, 10.0, 20.0, 24.0])  # at the start, and when each of five networks begins
    monkeypatch.setattr(network_module, "monotonic", lambda: next(times))
    masks = [prepared.held_out] * 5
    tasks = network_module._tasks(prepared.x, prepared.t, masks, prepared.target, options, plan)
    assert [task[5].max_time for task in tasks] == [20, 20, 25, 20, 36]  # of 60, 60, 50, 40 and 36 seconds


def test_an_interrupt_leaves_the_networks_that_are_complete(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tables.train(rows, "y", seeds=5, **SHORT)
    spread = workers.spread

    def interrupted(*a: Any) -> Iterator[Any]:
        for i, one in enumerate(spread(*a)):
            if i == complete:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(network_module, "spread", interrupted)
    complete = 2
    with joblib.parallel_config("threading"), pytest.raises(tables.TableInterrupted) as caught:
        tables.train(rows, "y", seeds=5, jobs=2, **SHORT)
    facts = caught.value.model.facts
    assert facts["networks"] == 2
    assert facts["metrics"].keys() == whole.facts["metrics"].keys()
    complete = 0
    with joblib.parallel_config("threading"), pytest.raises(KeyboardInterrupt) as nothing:
        tables.train(rows, "y", seeds=5, jobs=2, **SHORT)
    assert not isinstance(nothing.value, tables.TableInterrupted)


def warned(i: int) -> int:
    warnings.warn("a warning of a worker", UserWarning, stacklevel=1)
    return i * i


def failing(i: int) -> int:
    if i == 1:
        raise DivergedError("the loss is nan", 3, None)  # pyright: ignore[reportArgumentType]
    return i


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_warnings_of_workers_are_given_once(backend: str) -> None:
    with joblib.parallel_config(backend), warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("default")
        assert list(workers.spread(warned, ((i,) for i in range(4)), 2, 4, "squares", None)) == [0, 1, 4, 9]
    assert [str(one.message) for one in given] == ["a warning of a worker"]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_an_error_of_a_worker_is_raised_here(backend: str) -> None:
    with joblib.parallel_config(backend), pytest.raises(DivergedError, match="the loss is nan at step 3") as caught:
        list(workers.spread(failing, ((i,) for i in range(4)), 2, 4, "numbers", None))
    assert caught.value.step == 3


def test_arguments_are_read_when_a_worker_is_free() -> None:
    read: list[int] = []
    both = threading.Barrier(2)

    def numbers() -> Iterator[tuple[int]]:
        for i in range(6):
            read.append(i)
            yield (i,)

    def task(i: int) -> int:
        if i < 2:
            both.wait(60)
            assert read == [0, 1]
            both.wait(60)
        return i

    with joblib.parallel_config("threading"):
        assert list(workers.spread(task, numbers(), 2, 6, "numbers", None)) == list(range(6))


def test_a_bar_counts_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    with joblib.parallel_config("threading"):
        list(workers.spread(abs, ((i,) for i in range(3)), 2, 3, "folds", True))
        assert "folds: 3/3" in capsys.readouterr().err
        list(workers.spread(abs, ((i,) for i in range(3)), 2, 3, "folds", None))
    assert capsys.readouterr().err == ""

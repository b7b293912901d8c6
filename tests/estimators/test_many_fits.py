"""Many fits at once: scikit-learn's tools with several jobs, by processes, threads and Dask."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_validate
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from dlarray.planner.native import pool
from tests.support.estimators import classes
from tests.support.process import python

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

x, y = classes(90)
BACKENDS = ("loky", "threading", "dask")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Dask cluster of one worker with two threads, in this process."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="inproc"
        ) as made,
        distributed.Client(made),
    ):
        yield


@pytest.fixture(autouse=True, scope="module")
def new_processes() -> None:
    """joblib keeps processes, which tests before may have interrupted: then a result can be waited for in vain."""
    loky: Any = importlib.import_module("joblib.externals.loky")
    loky.get_reusable_executor(max_workers=2).shutdown(wait=True, kill_workers=True)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "dask":
        request.getfixturevalue("cluster")
    with joblib.parallel_config(request.param):
        yield request.param


def classifier(**settings: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 4, "batch_size": 30, **settings})


def searched(search: Any) -> np.ndarray:
    return search.fit(x, y).cv_results_["mean_test_score"]


def outputs(model: Any, t: Any = y) -> np.ndarray:
    return np.asarray(model.fit(x, t).predict_proba(x))


TOOLS: dict[str, Callable[[int], Any]] = {
    "cross_validate": lambda n: cross_validate(classifier(), x, y, cv=3, n_jobs=n)["test_score"],
    "cross_val_predict": lambda n: cross_val_predict(
        classifier(dropout=0.2), x, y, cv=3, n_jobs=n, method="predict_proba"
    ),
    "GridSearchCV": lambda n: searched(
        GridSearchCV(classifier(), {"alpha": [0, 0.1], "solver": ["sgd", "lbfgs"]}, cv=2, n_jobs=n)
    ),
    "RandomizedSearchCV": lambda n: searched(
        RandomizedSearchCV(
            make_pipeline(StandardScaler(), classifier()),
            {"mlpclassifier__activation": [dlarray.Tanh(), dlarray.LeakyReLU(0.2), "relu"]},
            n_iter=2,
            cv=2,
            n_jobs=n,
            random_state=0,
        )
    ),
    "VotingClassifier": lambda n: outputs(
        VotingClassifier([("a", classifier()), ("b", classifier(early_stopping=True))], voting="soft", n_jobs=n)
    ),
    "StackingClassifier": lambda n: outputs(
        StackingClassifier([("a", classifier()), ("b", classifier(solver="sgd"))], classifier(), cv=2, n_jobs=n)
    ),
    "MultiOutputClassifier": lambda n: outputs(
        MultiOutputClassifier(classifier(), n_jobs=n), np.stack([y, (y + 1) % 3], 1)
    ),
    "MultiOutputRegressor": lambda n: (
        MultiOutputRegressor(MLPRegressor(hidden_layer_sizes=5, max_iter=4, random_state=0), n_jobs=n)
        .fit(x, x[:, :2] ** 2)
        .predict(x)
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_two_jobs_give_the_numbers_of_one(backend: str, tool: str) -> None:
    run = TOOLS[tool]
    np.testing.assert_array_equal(run(2), run(1))


def test_the_members_of_a_bag_are_the_same(backend: str) -> None:
    one, two = (BaggingClassifier(classifier(random_state=None), 4, n_jobs=n, random_state=1).fit(x, y) for n in (1, 2))
    for a, b in zip(one.estimators_, two.estimators_, strict=True):
        np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    # scikit-learn adds the outputs of each job's members first
    np.testing.assert_allclose(one.predict_proba(x), two.predict_proba(x), rtol=1e-14)


def test_jobs_within_jobs_give_the_same_numbers(backend: str) -> None:
    bag = BaggingClassifier(classifier(), 2, n_jobs=2, random_state=0)
    inner = cross_validate(bag, x, y, cv=2, n_jobs=2)["test_score"]
    np.testing.assert_array_equal(inner, cross_validate(bag.set_params(n_jobs=1), x, y, cv=2)["test_score"])


def many(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Enough rows for a copy on disk, which joblib makes of arrays over 1 MB, and for kernels on two threads."""
    draw = np.random.default_rng(0)
    wide = draw.standard_normal((n, 64))
    return wide, (wide[:, 0] > 0).astype(int)


def seen(model: Any, a: np.ndarray, t: np.ndarray) -> tuple[str, bool, np.ndarray]:
    return type(a).__name__, a.flags.writeable, model.fit(a, t).coefs_[0]


def test_arrays_mapped_from_a_file_are_trained_on() -> None:
    a, t = many(2500)
    model = classifier(hidden_layer_sizes=256, max_iter=2, batch_size=250)
    alone = seen(model, a, t)[2]
    for kind, writeable, W in joblib.Parallel(n_jobs=2)(joblib.delayed(seen)(model, a, t) for _ in range(2)):
        assert (kind, writeable) == ("memmap", False)
        np.testing.assert_allclose(W, alone, rtol=1e-9, atol=1e-12)


def test_torch_trains_on_arrays_that_nobody_may_write_to(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, alone = (classifier(device="torch").fit(a, y).coefs_[0] for a in (mapped, x))
    np.testing.assert_array_equal(found, alone)


def blas_threads() -> tuple[bool, int]:
    from threadpoolctl import threadpool_info

    threads = (each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
    return pool.pool() is not None, max(threads, default=1)


def test_a_process_of_loky_has_its_part_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(blas_threads)() for _ in range(2))
    assert found == [(False, 1)] * 2


def test_threads_that_share_the_threads_of_blas_give_the_same_numbers() -> None:
    a, t = many(1000)
    model = classifier(hidden_layer_sizes=256, max_iter=2, batch_size=250)
    alone = model.fit(a, t).coefs_
    for limit in (None, 1):
        with threadpool_limits(limit, user_api="blas"), joblib.parallel_config("threading"):
            if limit is not None:
                assert pool.pool() is None
            found = cross_validate(
                model, a, t, cv=[(np.arange(1000), np.arange(9))] * 4, n_jobs=2, return_estimator=True
            )
        for each in found["estimator"]:
            for W, V in zip(each.coefs_, alone, strict=True):
                np.testing.assert_allclose(W, V, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="processes do not fork here")
def test_a_process_that_is_forked_after_a_training_trains() -> None:
    code = """
import warnings
warnings.simplefilter("ignore")
from joblib import parallel_config
from tests.estimators.test_many_fits import classifier, cross_validate, many
a, t = many(1000)
model = classifier(hidden_layer_sizes=256, max_iter=2, batch_size=250)
here = cross_validate(model, a, t, cv=2)["test_score"]
with parallel_config("multiprocessing"):
    there = cross_validate(model, a, t, cv=2, n_jobs=2)["test_score"]
print((here == there).all())
"""
    assert python(code) == "True"


def test_a_pickle_has_neither_data_nor_compiled_steps() -> None:
    model = classifier(hidden_layer_sizes=50)
    assert len(pickle.dumps(model)) < 1000

    def size(units: int, copies: int) -> int:
        a = np.tile(x, (copies, 1))
        return len(pickle.dumps(classifier(hidden_layer_sizes=units).fit(a, a[:, 0] > 0)))

    assert abs(size(50, 9) - size(50, 1)) < 64
    theta = 8 * (5 + 1 + 1) * 200
    assert size(250, 1) - size(50, 1) < 3 * theta + 2000  # θ and Adam's two moments, with the gaps between parameters


def test_fit_itself_runs_in_workers(backend: str) -> None:
    model = dlarray.mlp(5, 4, 3)
    t = y.astype(np.int32)

    def one(seed: int) -> dlarray.Trained:
        return dlarray.fit(model, x.astype(np.float32), t, epochs=2, seed=seed, device="cpu", progress=False)

    found = joblib.Parallel(n_jobs=2)(joblib.delayed(one)(seed) for seed in range(3))
    for seed, trained in enumerate(found):
        np.testing.assert_array_equal(trained.theta[0], one(seed).theta[0])
        assert trained.history == one(seed).history


def test_an_error_of_a_worker_is_the_estimators_own(backend: str) -> None:
    # the last test: joblib ends its processes after an error, and new ones take seconds to start
    wrong = MLPRegressor(solver="sgd", learning_rate_init=1e300, max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights.*standardize them"):
        cross_validate(wrong, x, y, cv=2, n_jobs=2, error_score="raise")

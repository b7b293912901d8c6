"""The estimators give the numbers of scikit-learn's for the same settings: weights, losses, scores, epoch by epoch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import (
    load_digits,
    load_iris,
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning

from dlarray.estimators import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]
THEIRS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}


def binary() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(90, 6, random_state=1)
    return x, np.where(y == 1, "yes", "no")


def multiclass() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_iris(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), y * 10


def multilabel() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_multilabel_classification(80, 5, n_classes=3, random_state=2)
    return x / 10, y


def one_output() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_regression(85, 5, random_state=3)
    return x, y / 50


def outputs() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_regression(85, 5, n_targets=3, random_state=4)
    return x, y / 50


def counts() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(85, 4))
    return x, rng.poisson(np.exp(0.5 * x[:, 0])).astype(float)


TASKS: dict[str, tuple[type, Any, dict[str, Any]]] = {
    "binary": (MLPClassifier, binary, {}),
    "multiclass": (MLPClassifier, multiclass, {}),
    "multilabel": (MLPClassifier, multilabel, {}),
    "numbers": (MLPRegressor, one_output, {}),
    "several numbers": (MLPRegressor, outputs, {}),
    "counts": (MLPRegressor, counts, {"loss": "poisson"}),
}
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "adam, own numbers": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "learning_rate_init": 0.02},
    "constant": {"solver": "sgd", "learning_rate_init": 0.02},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.02, "nesterovs_momentum": False, "momentum": 0.7},
    "no momentum": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.2, "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 0.05,
                 "n_iter_no_change": 2, "max_iter": 25},
    # smooth: at the kink of a ReLU its line search may turn on the last bit
    "lbfgs": {"solver": "lbfgs", "max_iter": 12, "activation": "tanh"},
}  # fmt: skip
CURVES = ("loss_curve_", "validation_scores_")
NUMBERS = ("loss_", "best_loss_", "best_validation_score_")
EXACT = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")


def both(task: str, **settings: Any) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Ours and theirs, not fitted, and the examples."""
    kind, examples, own = TASKS[task]
    settings = {"hidden_layer_sizes": (7, 5), "random_state": 3, "max_iter": 8, "batch_size": 32, **own, **settings}
    return kind(**settings), THEIRS[kind](**settings), *examples()


def close(ours: Any, theirs: Any, rtol: float = 1e-8) -> None:
    """Weights to a part in 10⁸ of the largest of their layer, metrics relatively to themselves, counts exactly."""
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
            assert a.dtype == b.dtype
    for name in CURVES + NUMBERS:
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if getattr(theirs, name, None) is None:
            assert getattr(ours, name, None) is None
        else:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol, err_msg=name)
    for name in EXACT:
        assert getattr(ours, name) == getattr(theirs, name), name


def same_answers(ours: Any, theirs: Any, x: Any, y: Any) -> None:
    answers = ours.predict(x), theirs.predict(x)
    assert answers[0].dtype == answers[1].dtype
    if isinstance(ours, MLPRegressor):
        np.testing.assert_allclose(*answers, rtol=1e-7, atol=1e-7)
    else:
        np.testing.assert_array_equal(*answers)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(ours.predict_log_proba(x), theirs.predict_log_proba(x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.score(x, y), theirs.score(x, y), rtol=1e-8)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_on_every_task(solver: str, task: str) -> None:
    ours, theirs, x, y = both(task, **SOLVERS[solver])
    ours.fit(x, y)
    theirs.fit(x, y)
    close(ours, theirs)
    same_answers(ours, theirs, x, y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["adam", "constant", "lbfgs"])
def test_every_activation(solver: str, activation: str) -> None:
    ours, theirs, x, y = both("multiclass", **{**SOLVERS[solver], "activation": activation})
    ours.fit(x, y)
    theirs.fit(x, y)
    close(ours, theirs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["adam", "adaptive", "lbfgs"])
def test_weights_of_examples(solver: str, task: str) -> None:
    ours, theirs, x, y = both(task, **SOLVERS[solver], alpha=0.3)
    weight = np.random.default_rng(0).uniform(0.1, 2, len(x))
    ours.fit(x, y, weight)
    theirs.fit(x, y, weight)
    close(ours, theirs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["adam", "adaptive"])
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping(solver: str, task: str, weighted: bool) -> None:
    settings = {**SOLVERS[solver], "max_iter": 25}
    ours, theirs, x, y = both(task, **settings, early_stopping=True, validation_fraction=0.3)
    weight = np.random.default_rng(0).uniform(0.1, 2, len(x)) if weighted else None
    ours.fit(x, y, weight)
    theirs.fit(x, y, weight)
    close(ours, theirs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["adam", "invscaling", "adaptive"])
def test_partial_fit(solver: str, task: str) -> None:
    ours, theirs, x, y = both(task, **SOLVERS[solver], batch_size=5)
    for part in range(6):
        rows = slice(12 * part, 12 * part + 12)
        classes = {"classes": np.unique(y)} if isinstance(ours, MLPClassifier) and part == 0 and y.ndim == 1 else {}
        classes = {"classes": np.arange(3)} if task == "multilabel" and part == 0 else classes
        ours.partial_fit(x[rows], y[rows], **classes)
        theirs.partial_fit(x[rows], y[rows], **classes)
    close(ours, theirs)


@pytest.mark.parametrize("solver", ["adam", "invscaling", "lbfgs"])
def test_warm_start(solver: str) -> None:
    ours, theirs, x, y = both("multiclass", **{**SOLVERS[solver], "max_iter": 4}, warm_start=True)
    for _ in range(3):
        ours.fit(x, y)
        theirs.fit(x, y)
        close(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"shuffle": False},
        {"batch_size": "auto"},
        {"hidden_layer_sizes": 9},
        {"hidden_layer_sizes": ()},
        {"alpha": 0.0},
        {"alpha": 5.0},
        {"random_state": np.random.RandomState},
        {"n_iter_no_change": np.inf},
        {"tol": 0.5, "n_iter_no_change": 1, "max_iter": 40},
    ],
    ids=str,
)
def test_other_settings(settings: dict[str, Any]) -> None:
    made = [{n: v(4) if isinstance(v, type) else v for n, v in settings.items()} for _ in range(2)]
    (ours, _, x, y), (_, theirs, _, _) = both("multiclass", **made[0]), both("multiclass", **made[1])
    ours.fit(x, y)
    theirs.fit(x, y)
    close(ours, theirs)


@pytest.mark.parametrize("task", ["binary", "multiclass", "numbers"])
@pytest.mark.parametrize("solver", ["adam", "constant", "lbfgs"])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_inputs(solver: str, task: str, form: Any) -> None:
    ours, theirs, x, y = both(task, **SOLVERS[solver])
    x = form(np.where(np.abs(x) > 0.7, x, 0.0))
    ours.fit(x, y)
    theirs.fit(x, y)
    close(ours, theirs)
    same_answers(ours, theirs, x, y)


def test_labels_in_a_sparse_matrix() -> None:
    ours, theirs, x, y = both("multilabel")
    ours.fit(x, sparse.csr_array(y))
    theirs.fit(x, sparse.csr_array(y))
    close(ours, theirs)
    answers = ours.predict(x), theirs.predict(x)
    assert all(sparse.issparse(answer) for answer in answers)
    np.testing.assert_array_equal(answers[0].toarray(), answers[1].toarray())


def test_float32_stays_float32_and_near() -> None:
    ours, theirs, x, y = both("multiclass", activation="tanh")
    x = x.astype(np.float32)
    ours.fit(x, y)
    theirs.fit(x, y)
    close(ours, theirs, rtol=2e-5)


@pytest.mark.parametrize("native", [False, True])
def test_digits_to_the_end(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole training, until the loss no longer falls."""
    if native:
        pytest.importorskip("llvmlite")
        monkeypatch.undo()  # of without_native
    x, y = load_digits(return_X_y=True)
    settings = {"hidden_layer_sizes": 16, "activation": "tanh", "random_state": 0, "tol": 0.02, "n_iter_no_change": 2}
    ours, theirs = (kind(**settings).fit(x[:600] / 16, y[:600]) for kind in (MLPClassifier, THEIRS[MLPClassifier]))
    assert ours.n_iter_ > 20
    close(ours, theirs, rtol=1e-7)


def test_what_is_printed_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for settings in (
        {"solver": "adam", "max_iter": 3},
        SOLVERS["adaptive"],
        {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 30},
    ):
        ours, theirs, x, y = both("multiclass", verbose=True, **settings)
        ours.fit(x, y)
        said = capsys.readouterr().out
        theirs.fit(x, y)
        assert said == capsys.readouterr().out
        assert said.count("\n") >= 3


def test_the_same_warnings() -> None:
    for settings in ({"max_iter": 2}, {"max_iter": 2, "solver": "lbfgs"}, {"batch_size": 1000, "max_iter": 2}):
        heard = []
        for estimator in both("multiclass", **settings)[:2]:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                estimator.fit(*multiclass())
            heard.append([w.category for w in found])
        assert heard[0] == heard[1]
        assert ConvergenceWarning in heard[0]

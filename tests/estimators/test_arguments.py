"""What the estimators make of their arguments, and which they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.utils._param_validation import InvalidParameterError

import dlarray
from dlarray.callbacks import Checkpoint
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]

# What is refused


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_masked_arrays_are_refused(estimator: type[Any]) -> None:
    x, y = np.array([[0.0], [1.0], [99.0]]), np.array([0, 1, 2])
    masked_x, masked_y = np.ma.masked_array(x, mask=[[0], [0], [1]]), np.ma.masked_array(y, mask=[0, 0, 1])
    weight = np.ma.masked_array([1.0, 1, 1], mask=[0, 0, 1])
    model = estimator(max_iter=2).fit(x, y)
    for call in (
        lambda: estimator(max_iter=2).fit(masked_x, y),
        lambda: estimator(max_iter=2).fit(x, masked_y),
        lambda: estimator(max_iter=2).fit(x, y, weight),
        lambda: estimator(max_iter=2).fit(x, y, X_val=masked_x, y_val=y),
        lambda: model.partial_fit(masked_x, y),
        lambda: model.predict(masked_x),
        lambda: model.score(x, masked_y),
        lambda: model.score(x, y, weight),
    ):
        with pytest.raises(TypeError, match="is a masked array, and masks are not supported; drop or fill"):
            call()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_examples_to_validate_on_are_used_or_refused(solver: str) -> None:
    x, y = classes()
    model = MLPClassifier(solver=solver, **SMALL)
    for given, message in (
        ({"y_val": y}, "y_val without X_val"),
        ({"sample_weight_val": np.ones(60)}, "sample_weight_val without X_val and y_val"),
        ({"X_val": x}, "X_val without y_val"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, y, **given)
    if solver == "lbfgs":
        with pytest.raises(ValueError, match="lbfgs does not validate"):
            model.fit(x, y, X_val=x, y_val=y)


def test_a_new_training_forgets_the_curves_of_the_one_before() -> None:
    x, y = classes()
    model = MLPClassifier(**SMALL).fit(x, y, X_val=x, y_val=y)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_ or ()) == 4
    model.fit(x, y)
    assert not hasattr(model, "validation_loss_curve_")
    assert model.validation_scores_ is None
    model.set_params(solver="lbfgs").fit(x, y)
    assert not hasattr(model, "loss_curve_")


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -1.0},
        {"alpha": "much"},
        {"shuffle": 3},
        {"hidden_layer_sizes": 2.5},
        {"solver": "adamm"},
        {"activation": "rellu"},
        {"normalization": "bach_norm"},
        {"dropout": 1.0},
        {"loss": "hingee"},
    ],
    ids=str,
)
def test_a_wrong_parameter_is_scikit_learns_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=str(next(iter(wrong.values())))):
        MLPClassifier(**wrong).fit(*classes())
    assert issubclass(InvalidParameterError, ValueError)
    assert issubclass(InvalidParameterError, TypeError)


def test_partial_fit_of_a_warm_start_may_bring_some_of_the_classes() -> None:
    model = MLPClassifier(warm_start=True).partial_fit(np.eye(3), [0, 1, 2], classes=[0, 1, 2])
    model.partial_fit(np.eye(3)[:1], [1])
    assert model.t_ == 4


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_losses_are_numbers_of_numpy(estimator: type[Any], solver: str) -> None:
    x, y = classes()
    model = estimator(solver=solver, **SMALL).fit(x, y)
    assert type(model.loss_) is np.float64


# Weights by class


def _probabilities(x: np.ndarray, y: Any, weight: Any = None, **given: Any) -> np.ndarray:
    model = MLPClassifier((), solver="lbfgs", alpha=1.0, random_state=0, max_iter=2000, tol=1e-9, **given)
    return model.fit(x, y, sample_weight=weight).predict_proba(x[:20])


@pytest.mark.parametrize("several", [False, True])
def test_balanced_weights_count_a_weight_as_so_many_examples(several: bool) -> None:
    x, labels = classes(90)
    y = np.stack([labels == 0, labels != 1], axis=1).astype(int) if several else np.array(["a", "b", "c"])[labels]
    weight = np.where(labels == 0, 3, 1)
    weight[labels == 2] = np.arange(np.sum(labels == 2)) % 3  # some of them not at all
    copies = _probabilities(np.repeat(x, weight, axis=0), np.repeat(y, weight, axis=0), class_weight="balanced")
    first = np.repeat(x, weight, axis=0)[:20]
    model = MLPClassifier((), solver="lbfgs", alpha=1.0, random_state=0, max_iter=2000, tol=1e-9,
                          class_weight="balanced").fit(x, y, sample_weight=weight)  # fmt: skip
    np.testing.assert_allclose(model.predict_proba(first), copies, atol=1e-5)


def test_balanced_weights_of_fit_count_a_weight_as_so_many_examples() -> None:
    x, y = classes(90)
    weight = np.where(y == 0, 3, 1)
    given: dict[str, Any] = {"class_weight": "balanced", "batch_size": None, "epochs": 30, "dtype": "float64"}
    model = dlarray.mlp(5, 3)
    ours = dlarray.fit(model, x, y, weight=weight, progress=False, **given)
    copies = dlarray.fit(model, np.repeat(x, weight, axis=0), np.repeat(y, weight), progress=False, **given)
    np.testing.assert_allclose(ours.outputs(x), copies.outputs(x), rtol=1e-9)


def test_weights_by_class_are_read_against_all_classes() -> None:
    x, y = classes(90)
    by_label, in_order = (_probabilities(x, y, class_weight=given) for given in ({0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5]))
    by_example = _probabilities(x, y, np.array([2.0, 1.0, 0.5])[y])
    np.testing.assert_allclose(by_label, by_example, rtol=1e-12)
    np.testing.assert_allclose(in_order, by_example, rtol=1e-12)
    model = MLPClassifier(class_weight={0: 2.0}, **SMALL).partial_fit(x, y, classes=[0, 1, 2])
    model.partial_fit(x[y > 0], y[y > 0])  # the class that the dictionary names is not among these
    with pytest.raises(ValueError, match="class_weight has 2 weights for 3 classes"):
        MLPClassifier(class_weight=[1.0, 2.0]).fit(x, y)
    for given in ({0: -1}, {0: math.nan}, {0: math.inf}, dict.fromkeys(range(3), 0), [0, 0, 0]):
        with pytest.raises(ValueError, match="class_weight must"):
            MLPClassifier(class_weight=given).fit(x, y)
    with pytest.raises(ValueError, match="class_weight has 1 entries for 2 labels"):
        MLPClassifier(class_weight=[{1: 2.0}]).fit(x, np.stack([y == 0, y != 1], axis=1).astype(int))


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_checkpoint_writes_the_model_of_an_estimator(estimator: type[Any], tmp_path: Path) -> None:
    x, y = classes()
    best = Checkpoint(tmp_path / "best", best="validation_loss")
    every = Checkpoint(tmp_path / "run-{epoch:02d}-{loss:.1f}", keep=2)
    model = estimator(callbacks=[every, best], **SMALL).fit(x, y, X_val=x, y_val=y)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["best", *(f"run-{e:02d}-{model.loss_curve_[e - 1]:.1f}" for e in (3, 4))]
    trained = dlarray.load(tmp_path / files[-1])
    own = model.predict_proba(x) if estimator is MLPClassifier else model.predict(x)[:, None]
    np.testing.assert_allclose(trained.predict(x), own, rtol=1e-12)


# What scikit-learn's users do with an estimator


def test_a_model_of_the_host_reads_tensors_as_scikit_learn_does() -> None:
    torch = pytest.importorskip("torch")
    x, y = classes()
    model, theirs = MLPClassifier(**SMALL).fit(x, y), ScikitLearns(max_iter=4).fit(x, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        answer = getattr(model, method)(torch.tensor(x))
        assert type(answer) is type(getattr(theirs, method)(torch.tensor(x))) is np.ndarray
        np.testing.assert_array_equal(answer, getattr(model, method)(x))
    numbers = MLPRegressor(**SMALL).fit(x, y)
    np.testing.assert_array_equal(numbers.predict(torch.tensor(x)), numbers.predict(x))
    with sklearn.config_context(array_api_dispatch=True), pytest.raises(ValueError, match="X on torch"):
        model.predict(torch.tensor(x))
    with pytest.raises(ValueError, match="X on torch"):
        model.predict(torch.tensor(x, requires_grad=True))


def test_the_tag_for_sparse_inputs_is_the_devices() -> None:
    pytest.importorskip("torch")
    assert MLPClassifier().__sklearn_tags__().input_tags.sparse
    assert not MLPClassifier(device="torch").__sklearn_tags__().input_tags.sparse


class _Ones(MLPClassifier):
    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((fan_in, fan_out), dtype), np.zeros(fan_out, dtype)


def test_init_coef_may_be_overridden() -> None:
    x, y = classes()
    model = _Ones(solver=dlarray.GradientDescent(1e-300), **SMALL).fit(x, y)
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        np.testing.assert_array_equal(coef, np.ones_like(coef))
        np.testing.assert_allclose(intercept, 0, atol=1e-300)


def test_weights_set_by_hand_are_used_or_refused() -> None:
    x, y = classes()
    model = MLPClassifier(warm_start=True, **SMALL)
    coefs, intercepts = [np.ones((5, 6)), np.ones((6, 3))], [np.zeros(6), np.zeros(3)]
    model.coefs_, model.intercepts_ = coefs, intercepts
    for call in (lambda: model.predict(x), lambda: model.fit(x, y), lambda: model.predict_proba(x)):
        with pytest.raises(NotFittedError, match="was not fitted, and its coefs_ were set by hand.*Fit it first"):
            call()
    model = MLPClassifier(**SMALL).fit(x, y)
    model.coefs_, model.intercepts_ = coefs, intercepts
    np.testing.assert_allclose(model.predict_proba(x), np.full((60, 3), 1 / 3))


def test_the_activation_of_the_outputs_cannot_be_set() -> None:
    model = MLPClassifier(**SMALL)
    assert not hasattr(model, "out_activation_")
    model.fit(*classes())
    assert model.out_activation_ == "softmax"
    with pytest.raises(AttributeError, match=r"out_activation_ belongs to the loss: choose it.*'identity'"):
        model.out_activation_ = "identity"

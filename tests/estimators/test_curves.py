"""The curves of an estimator: NaN is no improvement, and an epoch's loss is that of its examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_wine

from dlarray.estimators import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 4))
Y = X[:, 0] + 0.1 * rng.normal(size=50)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (5,), "random_state": 0, "batch_size": 16, "max_iter": 200}


@pytest.mark.parametrize("early", [False, True])
def test_a_training_that_diverges_ends_at_the_first_nan(early: bool) -> None:
    epochs: list[Any] = []
    model = MLPRegressor(
        **SMALL, early_stopping=early, solver="sgd", learning_rate_init=1e6, callbacks=lambda model: epochs.append(1)
    )
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights.*smaller learning rate"):
        model.fit(X * 1e4, Y * 1e6)
    assert len(epochs) < 10
    assert not hasattr(model, "coefs_")  # there is nothing good to keep


class Scripted(MLPRegressor):
    """A regressor whose validation scores are given."""

    scores: tuple[float, ...] = ()

    def _score_of(self, z: Any, t: Any, weight: Any) -> float:
        return ([*self.scores] + [float("nan")] * 200)[len(self.validation_scores_ or [])]


def test_a_score_that_is_no_number_is_no_progress() -> None:
    model = Scripted(**SMALL, early_stopping=True, n_iter_no_change=3)
    model.scores = (0.25, 0.5)
    model.fit(X, Y)
    assert model.n_iter_ == 2 + 4
    assert model.best_validation_score_ == 0.5
    two = MLPRegressor(**{**SMALL, "max_iter": 2}, early_stopping=True)
    with pytest.warns(match="Maximum iterations"):
        two.fit(X, Y)
    for a, b in zip(model.coefs_, two.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_score_that_never_is_a_number_is_an_error(bad: float) -> None:
    model = Scripted(**SMALL, early_stopping=True, n_iter_no_change=3)
    model.scores = (bad,) * 200
    with pytest.raises(ValueError, match="the validation score was NaN in all 4 epochs"):
        model.fit(X, Y)


@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
@pytest.mark.parametrize("loss", [None, "poisson"])
def test_weights_whose_sum_is_beyond_float32(kind: Any, loss: str | None) -> None:
    """Examples of weight 2e38 each are trained on as such of weight 1."""
    if loss and kind is MLPClassifier:
        pytest.skip("a loss of counts")
    y = (Y > 0).astype("i8") if kind is MLPClassifier or loss else Y.astype("f4")
    settings = {**SMALL, "max_iter": 3, "alpha": 0.0, **({"loss": loss} if loss else {})}
    models = [kind(**settings) for _ in range(2)]
    for model, weight in zip(models, (None, np.full(50, 2e38)), strict=True):
        with pytest.warns(match="Maximum iterations"):
            model.fit(X.astype("f4"), y, weight)
    np.testing.assert_allclose(models[1].loss_curve_, models[0].loss_curve_, rtol=1e-5)
    assert models[0].loss_ > 0


@pytest.mark.parametrize(
    ("loss", "right"), [("rmse", lambda d: np.sqrt(np.mean(d**2))), ("mse", lambda d: np.mean(d**2))]
)
def test_an_epoch_s_loss_is_that_of_all_examples(loss: str, right: Any) -> None:
    model = MLPRegressor(**{**SMALL, "max_iter": 1}, loss=loss, alpha=0.0, solver="sgd", learning_rate_init=1e-30)
    with pytest.warns(match="Maximum iterations"):
        model.fit(X, Y)
    assert model.loss_ == pytest.approx(right(model.predict(X) - Y), rel=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_on_unscaled_data_curves_differ_and_steps_do_not(solver: str) -> None:
    """scikit-learn limits the loss of an example to 36; its gradient is not limited."""
    x, y = load_wine(return_X_y=True)
    own = {"solver": solver, "random_state": 0, "max_iter": 10, "tol": 0, "n_iter_no_change": 20}
    ours, theirs = (kind(**own).fit(x, y) for kind in (MLPClassifier, neural_network.MLPClassifier))
    assert ours.loss_curve_[0] > 36 > theirs.loss_curve_[0]
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_on_unscaled_data_lbfgs_does_not_stop_at_a_limited_loss() -> None:
    x, y = load_wine(return_X_y=True)
    own = {"solver": "lbfgs", "random_state": 0, "max_iter": 50}
    ours, theirs = (kind(**own).fit(x, y) for kind in (MLPClassifier, neural_network.MLPClassifier))
    assert theirs.n_iter_ < 5
    assert ours.n_iter_ == 50
    assert ours.score(x, y) > theirs.score(x, y) + 0.3

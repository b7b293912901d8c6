"""The curves of an estimator: NaN is no improvement, and an epoch's loss is that of its examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
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

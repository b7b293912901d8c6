"""Options that scikit-learn lacks: bounded outputs, initializers, L1, plateau, a progress bar, devices as objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_gamma_deviance, mean_pinball_loss, mean_tweedie_deviance

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import SMALL, classes, numbers
from tests.support.matrix import On

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]

TRAINED = {"hidden_layer_sizes": 12, "random_state": 0, "max_iter": 200, "learning_rate_init": 0.02}


@pytest.mark.parametrize(
    ("activation", "name", "least", "most"),
    [("sigmoid", "logistic", 0, 1), ("softplus", "softplus", 0, np.inf), ("identity", "identity", -np.inf, np.inf)],
)
def test_the_outputs_of_a_regressor_are_bounded_by_its_output_activation(
    activation: str, name: str, least: float, most: float
) -> None:
    x, y = numbers()
    y = 1 / (1 + np.exp(-y))
    for solver in ("adam", "lbfgs"):
        model = MLPRegressor(**TRAINED, solver=solver, output_activation=activation).fit(x, y)
        far = model.predict(10 * x)
        assert far.min() >= least
        assert far.max() <= most
        assert model.score(x, y) > (0.8 if activation == "identity" else 0.9)
        assert model.out_activation_ == name
        assert model.loss_ == pytest.approx(0.5 * np.mean((model.predict(x) - y) ** 2), abs=0.002)
    plain = MLPRegressor(**TRAINED).fit(x, y).predict(10 * x)
    assert plain.min() < 0 < 1 < plain.max()


def test_identity_changes_nothing() -> None:
    x, y = numbers()
    plain, same = (MLPRegressor(**SMALL, output_activation=f).fit(x, y) for f in (None, "identity"))
    np.testing.assert_array_equal(plain.predict(x), same.predict(x))


def test_a_loss_with_a_log_link_takes_the_bounded_predictions() -> None:
    x, _ = numbers()
    counts = np.random.default_rng(0).poisson(np.exp(0.5 * x[:, 0])).astype(float)
    model = MLPRegressor("poisson", **TRAINED, output_activation="softplus").fit(x, counts)
    assert model.score(x, counts) > 0.5
    assert model.out_activation_ == "softplus"
    assert MLPRegressor("poisson", **SMALL).fit(x, counts).out_activation_ == "exp"


def test_losses_of_quantiles_and_of_amounts_are_what_scikit_learn_measures() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    mean = np.exp(0.5 * x[:, 0] - 0.3 * x[:, 1])
    amounts = mean * rng.gamma(2.0, 0.5, size=400)
    claims = amounts * (rng.uniform(size=400) < 0.6)
    for loss, t, factor, metric in (
        ("gamma", amounts, 2, mean_gamma_deviance),
        (dlarray.Tweedie(1.5), claims, 2, lambda t, y: mean_tweedie_deviance(t, y, power=1.5)),
        (dlarray.Pinball(0.9), amounts, 1, lambda t, y: mean_pinball_loss(t, y, alpha=0.9)),
    ):
        model = MLPRegressor(loss, 16, random_state=0, max_iter=60, learning_rate_init=0.01, alpha=0).fit(x, t)
        constant = np.full(400, np.quantile(t, 0.9) if loss == dlarray.Pinball(0.9) else t.mean())
        assert metric(t, model.predict(x)) < 0.85 * metric(t, constant)
        before = metric(t, model.predict(x))
        model.set_params(batch_size=400).partial_fit(x, t)  # its loss is that before its only step
        assert factor * model.loss_ == pytest.approx(before, rel=1e-9)
    assert np.mean(amounts < MLPRegressor(dlarray.Pinball(0.9), **TRAINED).fit(x, amounts).predict(x)) > 0.8


def test_the_weight_of_rare_labels() -> None:
    x, y = classes(200)
    several = np.stack([y == 0, y == 1], axis=1).astype(int)
    plain, weighted = (
        MLPClassifier(4, loss=loss, random_state=0, max_iter=60, learning_rate_init=0.02).fit(x, several)
        for loss in (dlarray.BinaryCrossEntropy(), dlarray.BinaryCrossEntropy(pos_weight=(5.0, 1.0)))
    )
    p, q = plain.predict_proba(x).mean(axis=0), weighted.predict_proba(x).mean(axis=0)
    assert q[0] > p[0] + 0.15
    assert abs(q[1] - p[1]) < 0.05
    with pytest.raises(ValueError, match="pos_weight has 3 numbers for 2 outputs"):
        MLPClassifier(4, loss=dlarray.BinaryCrossEntropy(pos_weight=(5.0, 1.0, 1.0))).fit(x, several)


def test_an_initializer_gives_the_weights_and_biases_are_zero() -> None:
    x, y = classes()
    frozen = {**SMALL, "solver": dlarray.GradientDescent(1e-300), "max_iter": 1, "alpha": 0}
    model = MLPClassifier(**frozen, initializer="he_normal").fit(x, y)
    again = MLPClassifier(**frozen, initializer=dlarray.HeNormal()).fit(x, y)
    other = MLPClassifier(**{**frozen, "random_state": 2}, initializer="he_normal").fit(x, y)
    for ours, same, different in zip(model.coefs_, again.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(ours, same)
        assert (ours != different).all()
    assert max(np.abs(b).max() for b in model.intercepts_) < 1e-200
    wide = MLPClassifier(**{**frozen, "hidden_layer_sizes": 2000}, initializer="he_normal").fit(x, y)
    assert np.std(wide.coefs_[0]) == pytest.approx(np.sqrt(2 / 5), rel=0.05)
    constant = MLPClassifier(**frozen, initializer=dlarray.Constant(0.25)).fit(x, y)
    assert (constant.coefs_[0] == 0.25).all()
    with pytest.raises(ValueError, match="did you mean 'he_normal'"):
        MLPClassifier(initializer="he_norml").fit(x, y)


def test_l1_makes_weights_small_that_are_not_needed() -> None:
    x, y = classes(200)
    x = np.hstack([x, np.random.default_rng(0).normal(size=(200, 10))])
    own = {"hidden_layer_sizes": 8, "random_state": 0, "max_iter": 300, "learning_rate_init": 0.01, "alpha": 3.0}
    small = [np.mean(np.abs(MLPClassifier(**own, l1_ratio=r).fit(x, y).coefs_[0]) < 0.01) for r in (0.0, 1.0)]
    assert small[1] > 0.4 > 0.2 > small[0]
    with pytest.raises(ValueError, match=r"l1_ratio must lie in \[0, 1\], got 1.5"):
        MLPClassifier(l1_ratio=1.5).fit(x, y)
    with pytest.raises(ValueError, match="lbfgs needs a smooth penalty"):
        MLPClassifier(solver="lbfgs", l1_ratio=0.5).fit(x, y)


def test_the_penalty_is_part_of_the_loss_that_is_shown() -> None:
    x, y = numbers()
    own = {**SMALL, "batch_size": 60, "max_iter": 1, "alpha": 0.5, "solver": dlarray.GradientDescent(1e-300)}
    model, plain = (MLPRegressor(**{**own, "alpha": alpha}, l1_ratio=0.3).fit(x, y) for alpha in (0.5, 0.0))
    penalty = sum(0.35 * np.sum(W * W) + 0.3 * np.sum(np.abs(W)) for W in model.coefs_)
    assert model.loss_ - plain.loss_ == pytest.approx(0.5 * penalty / 60, rel=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "adamw", dlarray.RMSprop(dlarray.ExponentialDecay(0.02, 0.999))])
def test_plateau_reduces_the_rate_of_every_solver(solver: Any, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = classes(100)
    own = {"hidden_layer_sizes": 6, "random_state": 0, "learning_rate_init": 0.02, "n_iter_no_change": 2, "tol": 0.01}
    rates: list[float] = []
    watch = SimpleNamespace(on_epoch=lambda run: rates.append(run.rate))
    model = MLPClassifier(**own, solver=solver, learning_rate="plateau", verbose=True, callbacks=watch).fit(x, y)
    printed = capsys.readouterr().out
    assert "Setting learning rate to 0.004000" in printed
    assert "Learning rate too small. Stopping." in printed
    assert model.n_iter_ < 200
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 2e-6 < 0.019 < rates[0]


def test_plateau_is_adaptive_for_sgd_and_refused_where_there_is_no_rate() -> None:
    x, y = classes(100)
    own = {"hidden_layer_sizes": 6, "random_state": 0, "solver": "sgd", "learning_rate_init": 0.1, "max_iter": 100}
    adaptive, plateau = (MLPClassifier(**own, learning_rate=kind).fit(x, y) for kind in ("adaptive", "plateau"))
    np.testing.assert_array_equal(adaptive.coefs_[0], plateau.coefs_[0])
    with pytest.raises(ValueError, match="lbfgs has no learning rate"):
        MLPClassifier(solver="lbfgs", learning_rate="plateau").fit(x, y)
    fixed = dlarray.Clipped(dlarray.Adam(0.01), dlarray.clip_by_global_norm, 1.0)
    assert fixed.scalable == (MLPClassifier(6, solver=fixed, learning_rate="plateau").fit(x, y).n_iter_ > 0)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_progress_bar_instead_of_lines(solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = classes()
    MLPClassifier(**SMALL, solver=solver, verbose="progress").fit(x, y)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "4/4" in shown.err
    assert ("loss " in shown.err) == (solver == "adam")
    with pytest.raises(ValueError, match="unknown verbose 'bar'"):
        MLPClassifier(verbose="bar").fit(x, y)


def test_a_library_s_own_object_for_a_device() -> None:
    strict = pytest.importorskip("array_api_strict")
    x, y = classes()
    other = strict.Device("device1")
    model = MLPClassifier(**SMALL, device=other).fit(x, y)
    assert dlarray.device_of(model.coefs_[0]).name == "strict:device1"
    assert dlarray.device_of(dlarray.asarray([1.0], other)) is dlarray.device_of(model.coefs_[0])
    with pytest.raises(TypeError, match="or as the object of its library, got 3"):
        MLPClassifier(device=3).fit(x, y)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_options_on_every_device(on: On, solver: str) -> None:
    if on.executor:
        pytest.skip("the estimators choose the executor themselves")
    x, y = numbers()
    y = 1 / (1 + np.exp(-y))
    own: dict[str, Any] = {
        **SMALL,
        "solver": solver,
        "activation": "tanh",
        "initializer": "lecun_normal",
        "output_activation": "sigmoid",
        "max_iter": 12,
    }
    if solver != "lbfgs":
        own |= {"l1_ratio": 0.3, "alpha": 0.01, "learning_rate": "plateau", "n_iter_no_change": 1, "tol": 10.0}
    there = MLPRegressor(**own).fit(on.array(x), on.array(y))
    here = MLPRegressor(**own).fit(on.host(x).astype(on.dtype), on.host(y).astype(on.dtype))
    rtol = 1e-9 if on.dtype == "float64" else 2e-4
    for a, b in zip(there.coefs_ + there.intercepts_, here.coefs_ + here.intercepts_, strict=True):
        np.testing.assert_allclose(on.numpy(a), b, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(on.numpy(there.predict(on.array(x))), here.predict(on.host(x)), rtol=rtol, atol=rtol)
    if solver != "lbfgs":
        assert there._training.rate.value < 1e-4  # reduced by 5 several times

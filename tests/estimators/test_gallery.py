"""scikit-learn's own examples with the import line changed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_circles, make_moons
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dlarray.estimators import MLPClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_training_curves_of_the_gallery() -> None:
    """After plot_mlp_training_curves: solvers and schedules on toy sets, their curves and scores."""
    settings = [
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0, "learning_rate_init": 0.2},
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": False},
        {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": True},
        {"solver": "adam", "learning_rate_init": 0.01},
    ]
    x, y = load_digits(return_X_y=True)
    sets = [
        (x[:300] / 16, y[:300]),
        make_circles(noise=0.2, factor=0.5, random_state=1),
        make_moons(noise=0.3, random_state=0),
    ]
    for x, y in sets:
        fitted = [MLPClassifier(random_state=0, max_iter=20, **own).fit(x, y) for own in settings]
        for model in fitted:
            assert model.loss_ == model.loss_curve_[-1]
            assert 0 <= model.score(x, y) <= 1
        assert min(model.loss_ for model in fitted) < 0.8


def test_varying_regularization_of_the_gallery() -> None:
    """After plot_mlp_alpha: the larger alpha, the smoother the border."""
    x, y = make_moons(noise=0.3, random_state=0)
    sizes = []
    for alpha in np.logspace(-1, 1, 3):
        model = make_pipeline(
            StandardScaler(),
            MLPClassifier(solver="lbfgs", alpha=alpha, random_state=1, max_iter=300, early_stopping=True,
                          hidden_layer_sizes=[10, 10]),
        ).fit(x, y)  # fmt: skip
        xx, yy = np.meshgrid(np.arange(-2, 2, 0.4), np.arange(-2, 2, 0.4))
        z = model.predict_proba(np.column_stack([xx.ravel(), yy.ravel()]))[:, 1].reshape(xx.shape)
        assert z.shape == xx.shape
        sizes.append(np.abs(np.diff(z, axis=1)).max())
    assert sizes[0] > sizes[1] > sizes[2]


def test_first_layer_weights_of_the_gallery(capsys: pytest.CaptureFixture[str]) -> None:
    """After plot_mnist_filters, on the digits: the first layer's weights as pictures."""
    x, y = load_digits(return_X_y=True)
    mlp = MLPClassifier(hidden_layer_sizes=(40,), max_iter=8, alpha=1e-4, solver="sgd", verbose=10, random_state=1,
                        learning_rate_init=0.2)  # fmt: skip
    mlp.fit(x[:1200] / 16, y[:1200])
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")
    assert mlp.score(x[1200:] / 16, y[1200:]) > 0.85
    vmin, vmax = mlp.coefs_[0].min(), mlp.coefs_[0].max()
    for coef in mlp.coefs_[0].T[:16]:
        picture = coef.ravel().reshape(8, 8)
        assert vmin <= picture.min() <= picture.max() <= vmax
    assert accuracy_score(y[:9], mlp.predict(x[:9] / 16)) > 0.5

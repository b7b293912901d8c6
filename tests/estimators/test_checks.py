"""scikit-learn's own checks of an estimator, all of them, those of arrays of other libraries included."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils import estimator_checks as checks

from dlarray.estimators import MLPClassifier, MLPRegressor

ESTIMATORS = [
    MLPClassifier(hidden_layer_sizes=20, max_iter=60, learning_rate_init=0.01),
    MLPRegressor(hidden_layer_sizes=20, max_iter=60, learning_rate_init=0.01),
]


@pytest.mark.usefixtures("without_native")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the checks' trainings are short
@checks.parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_s_checks(estimator: Any, check: Any) -> None:
    check(estimator)

"""Scores of predictions: AUC, precision and recall of each class, quantiles, the threshold."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("polars")
sklearn_metrics = pytest.importorskip("sklearn.metrics")

from dlarray.tables import ClassificationTarget, RegressionTarget, Target  # noqa: E402
from dlarray.tables.scores import class_scores, quantiles  # noqa: E402

rng = np.random.default_rng(3)


def test_the_area_under_the_curve_is_that_of_scikit_learn_and_leaves_out_classes_without_rows() -> None:
    target = ClassificationTarget("y", ("a", "b", "c"))
    t, y = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90).astype(np.float32)
    expected = sklearn_metrics.roc_auc_score(t, y, multi_class="ovr")
    assert target.metrics(t, y)["auc"] == pytest.approx(expected, rel=1e-6)
    two = t != 1
    each = [sklearn_metrics.roc_auc_score(t[two] == k, y[two, k]) for k in (0, 2)]
    assert target.metrics(t[two], y[two])["auc"] == pytest.approx(np.mean(each), rel=1e-6)
    assert np.isnan(target.metrics(t[t == 0], y[t == 0])["auc"])


def test_scores_of_classes_are_those_of_scikit_learn() -> None:
    t, chosen = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    found = class_scores(t, chosen, ("a", "b", "c"))
    precision, recall, _, rows = sklearn_metrics.precision_recall_fscore_support(t, chosen)
    for k, name in enumerate("abc"):
        assert found[k] == {
            "label": name,
            "rows": int(rows[k]),
            "precision": pytest.approx(precision[k]),
            "recall": pytest.approx(recall[k]),
        }


def test_of_a_class_without_rows_nothing_is_known() -> None:
    found = class_scores(np.array([0, 0]), np.array([0, 1]), ("a", "b"))
    assert found[0]["recall"] == 0.5
    assert found[1] == {"label": "b", "rows": 0, "precision": None, "recall": None}


def test_quantiles_are_of_truth_prediction_and_error() -> None:
    truth = np.arange(101.0)
    found = quantiles(truth, 2 * truth)
    assert found["truth"] == pytest.approx([5, 25, 50, 75, 95])
    assert found["prediction"] == pytest.approx([10, 50, 100, 150, 190])
    assert found["error"] == pytest.approx([5, 25, 50, 75, 95])


def test_a_threshold_decides_between_two_classes_and_is_saved() -> None:
    target = ClassificationTarget("y", ("no", "yes"), threshold=0.25)
    y = np.array([[0.8, 0.2], [0.7, 0.3], [0.75, 0.25], [0.1, 0.9]], dtype=np.float32)
    assert target.predictions(y)["prediction"].to_list() == ["no", "yes", "yes", "yes"]
    t = np.array([0, 0, 1, 1])
    assert target.metrics(t, y)["accuracy"] == 0.75
    plain = ClassificationTarget("y", ("no", "yes"))
    assert plain.predictions(y)["prediction"].to_list() == ["no", "no", "no", "yes"]
    assert plain.metrics(t, y)["log_loss"] == target.metrics(t, y)["log_loss"]
    assert Target.from_data(target.as_data()) == target
    for wrong in (0, 1, -0.5):
        with pytest.raises(ValueError, match="threshold must lie"):
            ClassificationTarget("y", ("no", "yes"), threshold=wrong)
    with pytest.raises(ValueError, match="a threshold is for two classes, and the target 'y' has 3"):
        ClassificationTarget("y", ("a", "b", "c"), threshold=0.5)


def test_row_losses_have_the_mean_of_the_metric() -> None:
    target = ClassificationTarget("y", ("a", "b", "c"))
    t, y = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    assert target.losses(t, y).mean() == pytest.approx(target.metrics(t, y)["log_loss"])
    number = RegressionTarget("y", 10.0, 2.0)
    t, y = rng.normal(size=40), rng.normal(size=(40, 1))
    assert np.sqrt(number.losses(t, y).mean()) * 2.0 == pytest.approx(number.metrics(t, y)["rmse"])

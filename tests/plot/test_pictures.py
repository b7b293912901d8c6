"""All pictures: titles, labels and legible text. Metrics, classes, decision boundaries and activations in detail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import plot
from dlarray.core.registry import classes
from tests.support.pictures import PLANE, THREE, fitted, lines, overlapping
from tests.support.process import python

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

OLD = [[8, 0, 2], [1, 9, 0], [0, 0, 0]]
HISTORY = dl.History([2.0, 1.0], [{"loss": 2.0, "validation_accuracy": 0.4}, {"loss": 1.0, "validation_accuracy": 0.7}])


RATES = np.geomspace(1e-5, 1, 60)
SEARCH = dl.LRFinderResult(RATES, 2.0 / (1 + 200 * RATES) + 5 * RATES**2)  # falls, and rises again
"""A search for a learning rate."""


def every_picture(
    model: dl.Trained, diagnosis: dl.Diagnosis, landscape: dl.diagnostics.Landscape, ax: Any = None
) -> dict[str, Any]:
    """Each function of one Axes."""
    matrix = np.array(OLD)
    return {
        "learning_curves": lambda ax: plot.learning_curves(HISTORY, ax),
        "metric_curves": lambda ax: plot.metric_curves(HISTORY, ax=ax),
        "confusion": lambda ax: plot.confusion(matrix, ax),
        "confusion_percent": lambda ax: plot.confusion_percent(matrix, ax),
        "decision_boundary": lambda ax: plot.decision_boundary(model, PLANE, THREE, ax, points=30),
        "activation": lambda ax: plot.activation("gelu", ax),
        "weight_histograms": lambda ax: plot.weight_histograms(model, ax),
        "weights": lambda ax: plot.weights(model, ax, shape=(1, 2)),
        "feature_weights": lambda ax: plot.feature_weights(model, ["x", "y"], ax),
        "network": lambda ax: plot.network(model.model, model.theta, ax),
        "gradient_flow": lambda ax: plot.gradient_flow(diagnosis, ax),
        "activation_distributions": lambda ax: plot.activation_distributions(diagnosis, ax),
        "inactive_units": lambda ax: plot.inactive_units(diagnosis, ax),
        "update_ratios": lambda ax: plot.update_ratios(diagnosis, ax),
        "loss_landscape": lambda ax: plot.loss_landscape(landscape, ax),
        "lr_finder": lambda ax: plot.lr_finder(SEARCH, ax),
        "truth_and_prediction": lambda ax: plot.truth_and_prediction(RATES, RATES + 0.1, ax, name="rate"),
    }


ELSEWHERE = {
    "AMBER",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "PINK",
    "SKY",
    "LivePlot",  # drawn by fit: tests/callbacks
    "activations",
    "diagnosis",
    "misclassified",
    "plan_picture",  # of a whole figure: test_plan_picture.py
    "pyplot",
    "save",
    "training_report",
}


def test_every_picture_is_tested(model: Any, diagnosis: Any, landscape: Any) -> None:
    assert every_picture(model, diagnosis, landscape).keys() == set(plot.__all__) - ELSEWHERE


@pytest.mark.parametrize("name", sorted(set(plot.__all__) - ELSEWHERE))
def test_a_picture_is_named_labelled_legible_and_drawn_on_the_axes_given(
    name: str, model: Any, diagnosis: Any, landscape: Any, tmp_path: Path
) -> None:
    draw = every_picture(model, diagnosis, landscape)[name]
    ax = draw(None)
    assert isinstance(ax, matplotlib.axes.Axes)
    assert ax.get_title()
    assert ax.get_xlabel()
    assert ax.get_ylabel() or name in {"weights", "feature_weights"}  # no height in units
    assert ax.figure.get_size_inches()[0] == 6 or name == "learning_curves"
    assert overlapping(ax.figure) == []
    sizes = [t.get_fontsize() for t in ax.figure.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible()]
    assert min(sizes) >= 8
    plot.save(ax.figure, tmp_path / "picture.png")
    assert plot.pyplot().imread(tmp_path / "picture.png")[..., :3].std() > 0.02
    _, (left, right) = plot.pyplot().subplots(1, 2)
    assert draw(right) is right
    assert not left.has_data()


def test_drawing_changes_no_setting_of_matplotlib(model: Any, diagnosis: Any, landscape: Any) -> None:
    before = dict(matplotlib.rcParams)
    for draw in every_picture(model, diagnosis, landscape).values():
        draw(None)
    assert dict(matplotlib.rcParams) == before


# Curves and classes


def test_metrics_are_drawn_by_epoch() -> None:
    x, y = lines(plot.metric_curves(HISTORY))["validation accuracy"]
    assert (x.tolist(), y.tolist()) == ([1, 2], [0.4, 0.7])
    assert set(lines(plot.metric_curves(HISTORY, ["loss"]))) == {"loss"}
    with pytest.raises(ValueError, match=r"'validation_acuracy', did you mean 'validation_accuracy'"):
        plot.metric_curves(HISTORY, ["validation_acuracy"])
    with pytest.raises(TypeError, match=r"write \['loss'\]"):
        plot.metric_curves(HISTORY, "loss")
    with pytest.raises(ValueError, match="has no metrics"):
        plot.metric_curves(dl.History([1.0], [{"loss": 1.0}]))
    with pytest.raises(ValueError, match="has no epochs"):
        plot.metric_curves(dl.History())


def cells(ax: Any) -> dict[tuple[int, int], str]:
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}


def test_shares_are_of_each_true_class() -> None:
    ax = plot.confusion_percent(np.array(OLD), names=["cat", "dog", "mouse"])
    assert cells(ax) == {(0, 0): "80", (0, 2): "20", (1, 0): "10", (1, 1): "90"}
    assert ax.get_title() == "Confusion in % of each true class, mean recall 85.0 %"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cat", "dog", "mouse"]
    few = np.array([[999, 1], [0, 5]])
    assert cells(plot.confusion_percent(few)) == {(0, 0): "99.9", (0, 1): "0.1", (1, 1): "100"}


def test_predictions_are_drawn_over_the_truth_and_one_wild_value_hides_no_other() -> None:
    truth = np.linspace(0, 10, 4000)
    predicted = truth + 1
    predicted[7] = 1e9
    ax = plot.truth_and_prediction(truth, predicted, name="price")
    points: Any = ax.collections[0].get_offsets()
    assert np.array_equal(np.asarray(points), np.column_stack([truth, predicted]))
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_ylim()[1] < 20
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true price", "predicted price")
    (diagonal,) = ax.lines
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    with pytest.raises(ValueError, match="must have the same length, got 2 and 3"):
        plot.truth_and_prediction(truth[:2], truth[:3])
    with pytest.raises(ValueError, match="have no finite number"):
        plot.truth_and_prediction(np.full(2, np.nan), np.full(2, np.inf))


@pytest.mark.parametrize("draw", [plot.confusion, plot.confusion_percent])
@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)), r"square, \(classes, classes\), got shape \(2, 3\)"),
        (np.zeros((0, 0)), "square"),
        (np.array([[1, -1], [0, 2]]), "counts, numbers of at least 0"),
        (np.array([[1, np.nan], [0, 2]]), "counts"),
    ],
)
def test_a_wrong_confusion_matrix_is_refused(draw: Any, matrix: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw(matrix)


def test_names_are_one_for_each_class() -> None:
    with pytest.raises(ValueError, match="names must hold 3 names, one for each class, got 2"):
        plot.confusion(np.eye(3, dtype=int), names=["a", "b"])


# The decision boundary


@pytest.mark.parametrize(("loss", "outputs"), [("binary_cross_entropy", 1), ("hinge", 1), (None, 2), (None, 3)])
def test_regions_have_the_colours_of_the_classes_that_are_predicted(loss: str | None, outputs: int) -> None:
    y = THREE if outputs == 3 else (PLANE[:, 0] > 0).astype(int)
    trained = fitted(dl.mlp(2, 8, outputs), y, loss=loss, optimizer=dl.Adam(0.05))
    ax = plot.decision_boundary(trained, PLANE, y, points=40)
    (image,) = ax.images
    colours = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    assert left < PLANE[:, 0].min() < PLANE[:, 0].max() < right
    xs, ys = np.linspace(left, right, 40), np.linspace(low, high, 40)
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    chosen = np.asarray(trained.classify(places)).reshape(40, 40)
    own = np.array([matplotlib.colors.to_rgb(c) for c in plot.PALETTE[: max(2, outputs)]])
    nearest = np.argmin(np.linalg.norm(colours[:, :, None] - (0.55 + 0.45 * own), axis=-1), axis=-1)
    if outputs < 3:
        assert np.mean(nearest == chosen) > 0.99
    points = {p.get_label(): np.asarray(p.get_offsets()) for p in ax.collections if p.get_label().startswith("class")}
    assert {k: len(p) for k, p in points.items()} == {f"class {k}": int(np.sum(y == k)) for k in range(len(own))}


def test_two_classes_meet_where_the_weights_say() -> None:
    """One line: 2 x₁ - x₂ + 1 = 0."""
    trained = fitted(dl.MLP(2, [dl.Dense(1)]), (PLANE[:, 0] > 0).astype(int), loss="binary_cross_entropy")
    theta = trained.model.layout.join({"0.W": np.float32([[2], [-1]]), "0.b": np.float32([1])})
    given = dl.Trained(trained.model, theta, (), trained.loss, trained.device)
    ax = plot.decision_boundary(given, PLANE, (PLANE[:, 0] > 0).astype(int))
    paths = [p for c in ax.collections for p in c.get_paths() if c.get_label().startswith("_")]
    line = max((p.vertices for p in paths), key=len)
    assert len(line) > 50
    np.testing.assert_allclose(2 * line[:, 0] - line[:, 1] + 1, 0, atol=0.05)


def test_a_boundary_needs_two_inputs_and_one_class(model: dl.Trained) -> None:
    with pytest.raises(ValueError, match=r"two inputs, got a model of 2 and x of shape \(80, 3\)"):
        plot.decision_boundary(model, np.ones((80, 3)), THREE)
    with pytest.raises(ValueError, match="same number of rows, got 80 and 79"):
        plot.decision_boundary(model, PLANE, THREE[:79])
    with pytest.raises(ValueError, match="MeanSquaredError does not predict one class"):
        plot.decision_boundary(fitted(dl.mlp(2, 1), PLANE[:, 0]), PLANE, THREE)
    with pytest.raises(ValueError, match="colours for at most 8 classes, got 9"):
        plot.decision_boundary(fitted(dl.mlp(2, 9), THREE), PLANE, THREE)


# Activations


def test_an_activation_is_drawn_with_its_derivative() -> None:
    found = lines(plot.activation("sigmoid", reach=3))
    z, a = found["a = f(z)"]
    np.testing.assert_allclose(a, 1 / (1 + np.exp(-z)), rtol=1e-12)
    z, slope = found["derivative da/dz"]
    np.testing.assert_allclose(slope, np.exp(-z) / (1 + np.exp(-z)) ** 2, rtol=1e-12)
    assert (z[0], z[-1], len(z)) == (-3, 3, 801)
    _, a = lines(plot.activation(dl.PReLU(0.5)))["a = f(z)"]
    assert a[0] == -2
    with pytest.raises(ValueError, match="unknown activation 'gleu', did you mean 'gelu'"):
        plot.activation("gleu")


def test_every_activation_has_its_place_on_the_page() -> None:
    own = {name: kind for name, kind in classes(dl.Activation).items() if kind.__module__.startswith("dlarray.")}
    figure = plot.activations(list(own))  # classes of other tests need not have a derivative
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [kind.__name__ for kind in own.values()]
    assert overlapping(figure) == []
    assert [ax.get_title() for ax in plot.activations(["relu", dl.Tanh()]).axes if ax.get_title()] == ["ReLU", "Tanh"]
    with pytest.raises(ValueError, match="must be a list of activations, got 'relu'"):
        plot.activations("relu")


def test_without_matplotlib_every_picture_says_the_remedy() -> None:
    code = """
import sys
sys.modules["matplotlib"] = None
import numpy as np, dlarray as dl
from dlarray import plot
model = dl.mlp(2, 3, 2)
x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
d = dl.diagnose_at(model, model.init(), x, y)
theta = model.init()
for draw in (lambda: plot.diagnosis(d), lambda: plot.gradient_flow(d), plot.activations,
             lambda: plot.network(model, theta), lambda: plot.weights(model.parameters(theta), shape=(1, 2))):
    try: draw()
    except ImportError as error: print(error)
"""
    assert python(code).splitlines() == ['pictures are drawn by matplotlib: pip install "dlarray[plot]"'] * 5

"""The pictures of classes, functions, weights, networks, diagnoses and landscapes: what is drawn, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import plot
from dlarray.core.registry import classes
from tests.support.pictures import lines, overlapping
from tests.support.process import python

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

rng = np.random.default_rng(0)
PLANE = rng.normal(size=(80, 2))
THREE = rng.integers(0, 3, 80)
SMALL = dl.mlp(2, 5, 3, activation="tanh")
OLD = [[8, 0, 2], [1, 9, 0], [0, 0, 0]]
HISTORY = dl.History([2.0, 1.0], [{"loss": 2.0, "validation_accuracy": 0.4}, {"loss": 1.0, "validation_accuracy": 0.7}])


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plot.pyplot().close("all")


def fitted(model: dl.MLP, y: np.ndarray, **options: Any) -> dl.Trained:
    return dl.fit(model, PLANE, y, epochs=5, compile=False, progress=False, **options)


@pytest.fixture(scope="module")
def model() -> dl.Trained:
    return fitted(SMALL, THREE)


@pytest.fixture(scope="module")
def diagnosis() -> dl.Diagnosis:
    deep = dl.MLP(2, [f for _ in range(6) for f in (dl.Dense(8), "sigmoid")] + [dl.Dense(8), "relu", dl.Dense(3)])
    return dl.diagnose_at(deep, deep.init(), PLANE, THREE)


@pytest.fixture(scope="module")
def landscape() -> dl.diagnostics.Landscape:
    path = [SMALL.init(seed) for seed in range(3)]
    return dl.loss_landscape(SMALL, SMALL.init(7), PLANE, THREE, path=path, points=7)


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
        "network": lambda ax: plot.network(model.model, model.theta, ax),
        "gradient_flow": lambda ax: plot.gradient_flow(diagnosis, ax),
        "activation_distributions": lambda ax: plot.activation_distributions(diagnosis, ax),
        "inactive_units": lambda ax: plot.inactive_units(diagnosis, ax),
        "update_ratios": lambda ax: plot.update_ratios(diagnosis, ax),
        "loss_landscape": lambda ax: plot.loss_landscape(landscape, ax),
        "lr_finder": lambda ax: plot.lr_finder(SEARCH, ax),
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
    "plan_picture",  # of a whole figure: tests/planner/test_explanation.py
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
    assert ax.get_ylabel() or name == "weights"  # images have no height in units
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


# Weights and networks


def test_histograms_count_every_weight(model: dl.Trained) -> None:
    ax = plot.weight_histograms(model, bins=10)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.W", "2.W"]
    filled = [p for p in ax.patches if p.get_fill()]
    for i, (patch, name) in enumerate(zip(filled, ("0.W", "2.W"), strict=True)):
        values, edges, baseline = patch.get_data()
        W = np.asarray(model.parameters[name], dtype=np.float64)
        counts, _ = np.histogram(W, edges)
        assert counts.sum() == W.size
        assert baseline == 1 - i
        np.testing.assert_allclose(values - baseline, 0.85 * counts / counts.max())
    words = [t.get_text() for t in ax.texts]
    assert words == [f"σ = {np.asarray(model.parameters[n]).std():.2g}" for n in ("0.W", "2.W")]


def test_weights_come_by_name_as_well(model: dl.Trained) -> None:
    assert plot.weight_histograms(SMALL.parameters(SMALL.init())).get_title() == "Weights of each layer"
    with pytest.raises(TypeError, match="must be a trained model, or a mapping"):
        plot.weights(model.theta)
    with pytest.raises(ValueError, match="must hold a weight matrix"):
        plot.weights({"b": np.zeros(3)})
    with pytest.raises(ValueError, match=r"weights must be finite, but 0\.W"):
        plot.weights({"0.W": np.full((4, 2), np.nan)})


def test_the_first_layer_is_a_page_of_images() -> None:
    W = rng.normal(size=(6, 4))
    ax = plot.weights({"0.W": W, "2.W": np.ones((4, 2))}, shape=(2, 3))
    page = np.ma.filled(ax.images[0].get_array(), np.nan)
    found = [page[y : y + 2, x : x + 3] for y in range(0, page.shape[0], 3) for x in range(0, page.shape[1], 4)]
    for unit, image in zip(W.T, found, strict=False):
        np.testing.assert_allclose(image, unit.reshape(2, 3))
    assert ax.images[0].get_clim() == (-np.abs(W).max(), np.abs(W).max())
    assert ax.get_xlabel() == "4 of 4 units, 2 by 3 inputs each"


def test_of_many_units_those_with_the_largest_norms_are_drawn() -> None:
    W = np.ones((4, 5)) * [1, 5, 2, 4, 3]
    ax = plot.weights({"W": W}, units=2)
    page = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert {float(v) for v in page[np.isfinite(page)]} == {5, 4}
    with pytest.raises(ValueError, match=r"6 inputs do not fill an image of 2 by 2; give shape"):
        plot.weights({"W": np.ones((6, 2))})
    with pytest.raises(ValueError, match="their product must be the number of inputs"):
        plot.weights({"W": np.ones((6, 2))}, shape=(2, 4))


def test_edges_are_coloured_by_sign_and_wide_by_weight() -> None:
    model = dl.MLP(2, [dl.Dense(2), "relu", dl.Dropout(0.1), dl.Dense(1)])
    W = {"0.W": [[1.0, -2.0], [0.0, 4.0]], "0.b": [0.0, 0.0], "3.W": [[-1.0], [2.0]], "3.b": [0.0]}
    theta = model.layout.join({name: np.float32(p) for name, p in W.items()})
    ax = plot.network(model, theta)
    edges = {}
    for c in ax.collections:
        if isinstance(c, matplotlib.collections.LineCollection):
            for (start, end), width in zip(c.get_segments(), c.get_linewidths(), strict=True):
                edges[tuple(start), tuple(end)] = (matplotlib.colors.to_hex(c.get_color()[0]).upper(), float(width))
    up, down = 0.1, -0.1
    assert edges == {
        ((0, up), (1, up)): (plot.BLUE, 1.0),
        ((0, up), (1, down)): (plot.ORANGE, 2.0),
        ((0, down), (1, down)): (plot.BLUE, 4.0),
        ((1, up), (2, 0)): (plot.ORANGE, 1.0),
        ((1, down), (2, 0)): (plot.BLUE, 2.0),
    }
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2 inputs", "0: Dense\nReLU\nDropout", "3: Dense"]


def test_a_network_that_cannot_be_drawn_is_refused() -> None:
    for model, words in [
        (dl.mlp(2, 17, 1), "at most 16 units in a layer, got 17"),
        (dl.MLP(2, ["tanh"]), "this model has no Dense layer"),
        (dl.MLP(2, [dl.Residual([dl.Dense(2)])]), "got a Residual"),
        (dl.MLP(2, [dl.Embedding(3, 1), dl.Dense(1)]), "got Embedding"),
    ]:
        with pytest.raises(ValueError, match=words):
            plot.network(model, model.init())


# Diagnoses


def test_the_flow_of_gradients_is_that_of_the_diagnosis(diagnosis: dl.Diagnosis) -> None:
    layers = [f for f in diagnosis.layers if f.weights]
    found = lines(plot.gradient_flow(diagnosis))
    np.testing.assert_allclose(found["outputs, |dL/dz|"][1], [f.gradient for f in layers])
    np.testing.assert_allclose(found["weights, |dL/dW|"][1], [f.weights.gradient for f in layers])
    ratios = lines(plot.update_ratios(diagnosis))["|ΔW| / |W|"][1]
    np.testing.assert_allclose(ratios, [f.weights.update for f in layers])


def test_shares_and_distributions_are_those_of_the_diagnosis(diagnosis: dl.Diagnosis) -> None:
    found = lines(plot.inactive_units(diagnosis))
    saturated = [100 * f.saturated for f in diagnosis.layers if f.saturated is not None]
    np.testing.assert_allclose(found["saturated outputs"][1], saturated)
    dead = [100 * f.dead for f in diagnosis.layers if f.dead is not None]
    np.testing.assert_allclose(found["dead units"][1], dead)
    medians = lines(plot.activation_distributions(diagnosis))["median"][1]
    np.testing.assert_allclose(medians, [f.output.median for f in diagnosis.layers])


def test_the_title_of_a_diagnosis_is_the_verdict(diagnosis: dl.Diagnosis) -> None:
    figure = plot.diagnosis(diagnosis)
    assert figure.get_suptitle() == "Verdict: vanishing"
    assert [ax.get_title() for ax in figure.axes] == [
        "Outputs of each layer",
        "Inactive and duplicate units",
        "Gradient flow",
        "Weight update of one step",
    ]
    assert overlapping(figure) == []


def test_networks_with_zeros_and_infinite_numbers_can_be_drawn(tmp_path: Path) -> None:
    dead = dl.MLP(2, [dl.Dense(4, bias=dl.Constant(-100.0)), "relu", dl.Dense(3)])
    infinite = dl.MLP(2, [f for _ in range(30) for f in (dl.Dense(8, dl.Normal(200.0)), "relu")] + [dl.Dense(3)])
    for model in (dead, infinite):
        figure = plot.diagnosis(dl.diagnose_at(model, model.init(), PLANE, THREE))
        plot.save(figure, tmp_path / "picture.png")
    bare = dl.MLP(2, ["tanh"])
    with pytest.raises(ValueError, match="needs a layer with weights"):
        plot.gradient_flow(dl.diagnose_at(bare, (), PLANE, PLANE))


# The landscape


def test_the_map_has_the_path_on_it(landscape: dl.diagnostics.Landscape) -> None:
    ax = plot.loss_landscape(landscape)
    found = lines(ax)
    np.testing.assert_array_equal(np.stack(found["path"], axis=1), landscape.path)
    assert found["θ"] == (np.array([0]), np.array([0]))
    assert "%" in ax.get_xlabel()
    assert "|θ|" in ax.get_ylabel()


def test_maps_of_any_loss_can_be_drawn(landscape: dl.diagnostics.Landscape) -> None:
    side = landscape.a
    for loss in (np.zeros((7, 7)), landscape.loss - 10, np.where(np.eye(7) > 0, np.inf, landscape.loss)):
        ax = plot.loss_landscape(dl.diagnostics.Landscape(side, side, loss))
        ax.figure.canvas.draw()
        assert "random direction" in ax.get_xlabel()
    with pytest.raises(ValueError, match="at least 2 × 2 points and a finite loss"):
        plot.loss_landscape(dl.diagnostics.Landscape(side, side, np.full((7, 7), np.nan)))


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

"""Pictures of weights, networks, diagnoses and landscapes in detail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dlarray as dl
from dlarray import plot
from tests.support.pictures import PLANE, SMALL, THREE, lines, overlapping

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

rng = np.random.default_rng(0)


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


def test_a_layer_without_biases_is_drawn() -> None:
    model = dl.MLP(2, [dl.Dense(3, bias=False), "relu6", dl.Dense(1)])
    assert plot.network(model, model.init()).texts


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


def test_weights_by_feature_show_the_largest_with_their_names() -> None:
    W = np.outer([1.0, 3.0, 2.0], [1.0, -2.0, 0.5, 4.0])
    ax = plot.feature_weights({"0.W": W, "2.W": np.ones((4, 2))}, ["$a", "b" * 60, "c"], count=2, units=3)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b" * 39 + "…", "c"]
    np.testing.assert_array_equal(ax.images[0].get_array(), W[[1, 2]][:, [3, 1, 0]])
    assert ax.images[0].get_clim() == (-12, 12)
    assert ax.get_xlabel() == "3 of 4 units, 2 of 3 features"
    ax.figure.canvas.draw()
    with pytest.raises(ValueError, match=r"features must name the 3 inputs of 0\.W, got 2 names"):
        plot.feature_weights({"0.W": W}, ["a", "b"])


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


@pytest.mark.slow
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

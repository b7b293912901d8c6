"""The pictures: what they show, that it can be read, and what is drawn of histories out of the ordinary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import plot
from tests.support.pictures import lines, overlapping
from tests.support.process import python

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
LABELS = rng.integers(0, 3, 60)
IMAGES = rng.uniform(size=(60, 2, 2))


def trained(y: np.ndarray = LABELS, outputs: int = 3, **options: Any) -> dl.Trained:
    return dl.fit(dl.mlp(4, 8, outputs), X, y, epochs=4, batch_size=20, progress=False, **options)


def history(**columns: list[float]) -> dl.History:
    """Epochs of two steps each."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return dl.History([value for row in rows for value in (row["loss"], row["loss"])], rows)


# Learning curves


def test_of_many_steps_the_means_of_neighbours_are_drawn_also_for_a_model_from_a_file() -> None:
    long = dl.History([1.0 + i % 4 for i in range(20_000)], [{"loss": 2.5}, {"loss": 2.5}])
    for given in (long, dl.History.from_data(long.to_data())):
        drawn = lines(plot.learning_curves(given))
        x, y = drawn["training, mean of 4 steps"]
        np.testing.assert_array_equal(y, np.full(5_000, 2.5))
        np.testing.assert_array_equal(x, np.arange(2.5, 20_000, 4))
        np.testing.assert_array_equal(drawn["training, mean of an epoch"][0], [10_000, 20_000])


def test_learning_curves_show_every_step_and_the_epochs_where_they_end() -> None:
    ax = plot.learning_curves(history(loss=[4.0, 2.0, 1.0], validation_loss=[5.0, 3.0, 2.0]))
    found = lines(ax)
    assert list(found) == ["training, each step", "training, mean of an epoch", "validation"]
    x, y = found["training, each step"]
    assert (x.tolist(), y.tolist()) == ([1, 2, 3, 4, 5, 6], [4, 4, 2, 2, 1, 1])
    assert [v.tolist() for v in found["validation"]] == [[2, 4, 6], [5, 3, 2]]
    assert [v.tolist() for v in found["training, mean of an epoch"]] == [[2, 4, 6], [4, 2, 1]]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(), ax.get_yscale()) == (
        "step",
        "loss",
        "Learning curves",
        "log",
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(found)


def test_without_validation_there_is_no_curve_of_it() -> None:
    assert list(lines(plot.learning_curves(history(loss=[2.0])))) == [
        "training, each step",
        "training, mean of an epoch",
    ]


@pytest.mark.parametrize(
    "columns",
    [
        {"loss": [1.0, 0.0]},  # a perceptron that is done
        {"loss": [0.0, 0.0]},
        {"loss": [1.0, -3.0]},  # Poisson's loss has no floor at 0
        {"loss": [2.0, 1.0], "validation_loss": [1.0, 0.0]},
    ],
    ids=str,
)
def test_losses_without_a_logarithm_are_drawn_on_a_linear_axis(columns: dict[str, list[float]], tmp_path: Path) -> None:
    ax = plot.learning_curves(history(**columns))
    assert ax.get_yscale() == "linear"
    plot.save(ax.figure, tmp_path / "curves.png")


def test_a_metric_of_0_does_not_change_the_axis() -> None:
    assert plot.learning_curves(history(loss=[2.0, 1.0], accuracy=[0.0, 0.5])).get_yscale() == "log"


def test_a_history_without_epochs_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ValueError, match="this history has no epochs: the model was not trained, or its file is from before"
    ):
        plot.learning_curves(dl.History())


def test_a_model_from_a_file_brings_its_history_along(tmp_path: Path) -> None:
    trained().save(tmp_path / "model")
    assert dl.load(tmp_path / "model").history == trained().history
    plot.learning_curves(dl.load(tmp_path / "model").history)


# Confusion


def test_the_confusion_matrix_is_written_out_cell_by_cell() -> None:
    matrix = np.array([[10, 0, 2], [1, 11, 0], [0, 0, 12]])
    ax = plot.confusion(matrix)
    cells = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in ax.texts}
    assert {place: int(t.get_text()) for place, t in cells.items()} == {
        (0, 0): 10,
        (0, 2): 2,
        (1, 0): 1,
        (1, 1): 11,
        (2, 2): 12,
    }
    assert all((t.get_color() == plot.BLUE) == (row == column) for (row, column), t in cells.items())
    assert ax.get_title() == "Confusion matrix: 33 of 36 correct"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert (
        [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2"]
    )


def test_a_matrix_without_mistakes_can_be_drawn() -> None:
    assert plot.confusion(np.diag([3, 4])).get_title().endswith("7 of 7 correct")


def test_functions_draw_on_the_axes_given() -> None:
    _, (left, right) = plot.pyplot().subplots(1, 2)
    assert plot.learning_curves(history(loss=[1.0]), left) is left
    assert plot.confusion(np.eye(2, dtype=int), right) is right


def test_misread_images_have_titles_and_no_axes() -> None:
    _, axes = plot.pyplot().subplots(1, 3)
    plot.misclassified(IMAGES[:2], np.array([1, 2]), np.array([7, 0]), axes)
    assert [ax.get_title() for ax in axes] == ["true 1\npredicted 7", "true 2\npredicted 0", ""]
    assert [len(ax.images) for ax in axes] == [1, 1, 0]
    assert not any(ax.axison for ax in axes)


# The report


def everything(figure: Any) -> list[str]:
    """All words of a figure that are drawn."""
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_visible() and text.get_text()]


def test_the_report_has_all_parts_in_legible_text(tmp_path: Path) -> None:
    model = trained(validation=(X, LABELS))
    figure = plot.training_report(model, X, LABELS, IMAGES, title="A title")
    wrong = int(np.sum(model.classify(X) != LABELS))
    assert wrong > 10
    words = everything(figure)
    for word in ("A title", "Learning curves", f"Confusion matrix: {60 - wrong} of 60 correct", "step", "loss"):
        assert word in words
    assert f"Misclassified: {wrong} of 60, the first 10" in words
    first = np.flatnonzero(model.classify(X) != LABELS)[:10]
    titles = [word for word in words if "\npredicted " in word]
    assert titles == [f"true {LABELS[i]}\npredicted {model.classify(X)[i]}" for i in first]
    sizes = [t.get_fontsize() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]
    assert min(sizes) >= 8

    plot.save(figure, tmp_path / "report.png")
    pixels = plot.pyplot().imread(tmp_path / "report.png")
    assert pixels.shape[:2] == (792, 1200)
    assert pixels.std() > 0.1  # something is drawn
    assert not plot.pyplot().get_fignums(), "the figure was not closed"


def test_no_word_of_the_report_lies_on_another() -> None:
    figure = plot.training_report(trained(), X, LABELS, IMAGES, title="A title")
    assert overlapping(figure) == []


def test_a_report_without_images_and_without_mistakes(tmp_path: Path) -> None:
    model = trained()
    own = model.classify(X)
    figure = plot.training_report(model, X, own)
    assert not [word for word in everything(figure) if "\npredicted " in word]
    words = everything(plot.training_report(model, X, own, IMAGES))
    assert "Misclassified: 0 of 60" in words
    assert not [word for word in words if "\npredicted " in word]
    plot.save(figure, tmp_path / "report.svg")
    assert "<svg" in (tmp_path / "report.svg").read_text()


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_two_classes_in_any_of_their_spellings(loss: str, shape: tuple[int, ...]) -> None:
    y = (X[:, 0] > 0).astype(int).reshape(shape)
    for spelled in (y, 2 * y - 1) if loss == "hinge" else (y,):
        model = trained(spelled, 1, loss=loss)
        right = int(np.sum(model.classify(X) == y.reshape(-1)))
        words = everything(plot.training_report(model, X, spelled, IMAGES))
        assert f"Confusion matrix: {right} of 60 correct" in words
        assert all(word in {"true 0\npredicted 1", "true 1\npredicted 0"} for word in words if "\npredicted " in word)


def test_a_report_is_of_one_class_for_each_example() -> None:
    with pytest.raises(ValueError, match="trains numbers, not classes"):
        plot.training_report(trained(X[:, :2], 2), X, X[:, :2])
    many = trained(np.eye(3)[LABELS], 3, loss="binary_cross_entropy")
    with pytest.raises(ValueError, match=r"one class for each example, got predictions of shape \(60, 3\)"):
        plot.training_report(many, X, np.eye(3)[LABELS])


def test_the_report_of_a_model_on_another_device_is_the_same() -> None:
    pytest.importorskip("array_api_strict")
    words = [everything(plot.training_report(trained(device=d), X, LABELS)) for d in ("cpu", "strict:device1")]
    assert words[0] == words[1]


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    figure = plot.confusion(np.eye(2, dtype=int)).figure
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plot.save(figure, tmp_path / "nowhere" / "picture.png")


WITHOUT = """
import sys
sys.modules["{library}"] = None  # as if it were not installed
import dlarray.plot, dlarray.datasets
try: {call}
except ImportError as error: print(error)
"""


def test_without_matplotlib_the_remedy_is_printed() -> None:
    code = WITHOUT.format(library="matplotlib", call="dlarray.plot.pyplot()")
    assert python(code) == 'pictures are drawn by matplotlib: pip install "dlarray[plot]"'


def test_without_scikit_learn_the_remedy_is_printed() -> None:
    code = WITHOUT.format(library="sklearn", call="dlarray.datasets.digits()")
    assert python(code) == 'the digits come with scikit-learn: pip install "dlarray[data]"'


def test_reading_the_module_imports_no_matplotlib() -> None:
    assert (
        python(
            "import sys, dlarray.plot, dlarray.datasets; print('matplotlib' in sys.modules, 'sklearn' in sys.modules)"
        )
        == "False False"
    )


# The search for a learning rate


def test_a_rate_search_marks_its_suggestion_and_ends_where_the_loss_blew_up() -> None:
    rates = np.geomspace(1e-5, 1, 101)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3))) + 1
    losses[80:] = 100
    found = dl.LRFinderResult(rates, losses, smoothing=0.0)
    ax = plot.lr_finder(found)
    shown = lines(ax)
    assert list(shown) == ["each step", "smoothed", "falls fastest at 0.001"]
    assert [len(x) for x, _ in shown.values()] == [80, 80, 1]
    assert shown["falls fastest at 0.001"][0][0] == found.suggestion
    assert ax.get_xscale() == "log"
    assert list(lines(plot.lr_finder(dl.LRFinderResult(rates, np.linspace(1, 2, 101))))) == ["each step", "smoothed"]

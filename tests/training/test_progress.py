"""The progress bar on a terminal of 80 columns."""

from __future__ import annotations

import re

import pytest

from dlarray.training.progress import _number as number
from tests.support.terminal import on_terminal

pytest.importorskip("pty")

CODE = """
import numpy as np, dlarray as dl
x = np.random.default_rng(0).normal(size=(3000, 5))
{}
"""


def lines(code: str, columns: int) -> list[str]:
    return re.split(r"[\r\n]+", on_terminal(CODE.format(code), columns))


@pytest.mark.parametrize("columns", [80, 60])
def test_a_bar_shows_epoch_loss_validation_and_accuracy_within_the_line(columns: int) -> None:
    found = lines("dl.fit(dl.mlp(5, 9, 2), x, (x[:, 0] > 0).astype(int), epochs=123, validation=0.2)", columns)
    assert all(len(line) <= columns for line in found)
    numbers = r"loss [-+.e\d]+, validation [-+.e\d]+, accuracy [.\d]+"
    end = r", \d\d:\d\d left" if columns == 80 else ""
    assert [line for line in found if re.search(rf"^epoch 123/123: \|.+\| {numbers}{end}", line) or columns == 60]
    assert re.search(rf"^epoch 123/123: {numbers}{', 00:0' if columns == 80 else ''}", found[-2].rstrip())


def test_a_bar_that_ends_early_does_not_say_what_is_left() -> None:
    stopping = "callbacks=[dl.callbacks.EarlyStopping(patience=1, min_delta=9)]"
    code = f"dl.fit(dl.mlp(5, 2), x, (x[:, 0] > 0).astype(int), epochs=99, validation=0.2, {stopping})"
    assert re.search(r"^epoch 2/99: loss .*, 00:\d\d$", lines(code, 80)[-2].rstrip())


def test_a_title_is_in_front_and_fits_too() -> None:
    code = "\n".join(
        (
            "from dlarray.training.progress import progress_title",
            "with progress_title('2/5'):",
            "    dl.fit(dl.mlp(5, 2), x, (x[:, 0] > 0).astype(int), epochs=134, validation=0.2)",
            "dl.fit(dl.mlp(5, 1), x, x[:, :1], epochs=1)",
        )
    )
    found = lines(code, 80)
    assert all(len(line) <= 80 for line in found)
    (whole, *_) = [line for line in found if line.startswith("2/5 epoch 134/134: |")]
    assert re.search(r"\| loss 0.\d\d\d, validation 0.\d\d\d, accuracy \d.\d\d\d, 00:00 left$", whole)
    assert found[-2].startswith("epoch 1/1: ")


def test_a_bar_without_a_known_end_counts_steps() -> None:
    code = "dl.fit(dl.mlp(5, 2), lambda: ((x[:32], np.zeros(32, int)) for _ in range(7)), epochs=2)"
    assert re.search(r"^epoch 2/2: 14 steps, loss [-+.e\d]+, 00:0\d$", lines(code, 80)[-2].rstrip())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.07012, "0.070"),
        (-0.5, "-0.500"),
        (8.1e-4, "8e-04"),
        (1.23456, "1.235"),
        (12.3456, "12.35"),
        (123.456, "123.5"),
        (12345.6, "12346"),
        (1.23456e8, "1.23e+08"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text

"""The picture of a plan shows what its explanation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dlarray
from dlarray import plot
from dlarray.device.description import bytes_text, flops_text
from dlarray.explanation import explain
from tests.support.explained import T, X, array, layer, layers
from tests.support.pictures import overlapping
from tests.support.process import python

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.mark.parametrize("kind", ["mlp", "deep", "small"])
def test_the_picture_shows_work_traffic_and_memory(kind: str, tmp_path: Path) -> None:
    if kind == "small":
        found = explain(layer, {"W": array(5, 3), "b": array(3)}, (X, array(8, 3)))
    elif kind == "mlp":
        found = layers()
    else:
        parts = [dlarray.Dense(4), dlarray.BatchNorm(), "swish", dlarray.Dropout(0.1)]
        model = dlarray.MLP(5, [*parts, dlarray.Residual([dlarray.Dense(4), "gelu"]), dlarray.Dense(3)])
        clipped = dlarray.Clipped(dlarray.AdamW(), dlarray.clip_by_global_norm, 1.0)
        found = explain(*dlarray.first_step(model, X, T, optimizer=clipped))
    figure = found.plot()
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    for i, work in enumerate(found.description.works):
        assert f"{i + 1}  {work.title}" in words
        assert any(word.startswith(f"{bytes_text(work.nbytes)}, {flops_text(work.flops)}: ") for word in words)
    columns = [label.get_text() for label in figure.axes[2].get_xticklabels()]
    assert all(re.fullmatch(r".+\n[\d.]+ [kM]?B", column) for column in columns)
    assert {found.description.memories[v.memory].name for v in found.description.values if v.nbytes > 8} == {
        column.partition("\n")[0] for column in columns
    }
    assert overlapping(figure) == []
    plot.save(figure, tmp_path / "plan.png")
    pixels = plot.pyplot().imread(tmp_path / "plan.png")
    assert pixels.std() > 0.05


def test_explaining_imports_no_matplotlib_and_drawing_says_what_is_missing() -> None:
    code = """
import sys
sys.modules["matplotlib"] = None
import numpy as np, dlarray
print("dlarray.planner" in sys.modules)
found = dlarray.explain(*dlarray.first_step(dlarray.mlp(2, 3), np.zeros((4, 2), np.float32), np.zeros((4, 3))))
try: found.plot()
except ImportError as error: print(error)
"""
    assert python(code).splitlines() == ["False", 'pictures are drawn by matplotlib: pip install "dlarray[plot]"']

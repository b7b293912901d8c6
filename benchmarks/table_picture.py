"""The picture of ``benchmarks/tables.py``: on each set, how much higher dlarray's score is than that of a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from table_report import difference

BASELINES = {"linear": "logistic or ridge regression", "HGB": "HistGradientBoosting", "MLP": "scikit-learn's MLP"}
HIGHER, LEVEL, LOWER, INK = "#0072B2", "#9AA0A6", "#D55E00", "#24292F"


def draw(result: dict[str, Any], path: Path) -> None:
    """One panel for each baseline; the sets in the order of their difference, with two standard errors."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(BASELINES), figsize=(9.6, 3.9), sharey=True, squeeze=False)
    for ax, (name, title) in zip(axes.flat, BASELINES.items(), strict=True):
        panel(ax, result["sets"], name, title)
    axes[0, 0].set_ylabel("accuracy or R², dlarray minus baseline", fontsize=9, color=INK)
    figure.suptitle("dlarray's defaults on tables, set by set", x=0.015, ha="left", fontweight="bold", color=INK)
    note = (
        "Above 0 dlarray is better; bars are two standard errors, and grey is within them. "
        "Filled: held-back sets. Open: tuning sets."
    )
    figure.text(0.015, 0.02, note, fontsize=8.5, color=INK)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def panel(ax: Any, sets: dict[str, Any], name: str, title: str) -> None:
    """The differences to one baseline."""
    found = sorted((*difference(s["of"], "dlarray", name), s["list"] != "tuning") for s in sets.values())
    for rank, (higher, error, held_back) in enumerate(found):
        colour = HIGHER if higher > 2 * error else LOWER if higher < -2 * error else LEVEL
        fill = colour if held_back else "white"
        ax.errorbar(
            rank, higher, yerr=2 * error, color=colour, fmt="o", markersize=4, markerfacecolor=fill, elinewidth=1
        )
    ax.axhline(0, color=INK, linewidth=1)
    ax.set_yscale("symlog", linthresh=0.05)
    ax.set_yticks([-0.5, -0.1, -0.05, -0.02, 0, 0.02, 0.05, 0.1, 0.5], minor=False)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xticks([])
    above = sum(higher >= 0 for higher, _, _ in found)
    ax.set_title(f"{title}\nlevel or better on {above} of {len(found)}", fontsize=9.5, loc="left", color=INK)
    ax.spines[["top", "right", "bottom"]].set_visible(False)

"""Draw the README's chart: the time of a training step, divided by the time of its matrix products.

It reads one file of results and measures nothing:

    python benchmarks/chart.py docs/_static/step_times.png
    python benchmarks/chart.py chart.png benchmarks/results/2026-11-23-cpu-2-cores.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from report import ratios

RESULTS = Path(__file__).parent / "results" / "2026-11-30-amd-2-cores.json"
OURS = {"fast": "dlarray with llvmlite", "numpy": "dlarray, NumPy alone"}
OTHERS = {
    "JAX + optax": "JAX + optax",
    "PyTorch, fused Adam": "PyTorch, fused Adam",
    "PyTorch, torch.compile": "PyTorch, compiled",
    "PyTorch": "PyTorch",
    "Keras on JAX": "Keras on JAX",
    "scikit-learn": "scikit-learn",
    "thinc": "thinc",
}
BLUE, GREY, INK = "#0072B2", "#B9C0C8", "#24292F"


def draw(result: dict[str, Any], path: Path) -> None:
    """One panel for each network: a bar for each library, from the limit, which is 1, to its ratio."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    cases = {name: case for name, case in result["cases"].items() if OTHERS.keys() & ratios(case).keys()}
    found = [ratios(case) for case in cases.values()]
    names = [name for name in OURS | OTHERS if any(name in of for of in found)]
    end = 1.6 * max(of[name] for of in found for name in names if name in of)
    figure, axes = plt.subplots(1, len(cases), figsize=(9.6, 3.7), sharey=True, squeeze=False)
    for ax, of, (case, about) in zip(axes.flat, found, cases.items(), strict=True):
        for row, name in enumerate(names):
            if name not in of:
                ax.text(1.1, row, "not measured", va="center", fontsize=9, color=INK)
                continue
            own = name in OURS
            ax.barh(row, of[name] - 1, left=1, height=0.68, color=BLUE if own else GREY)
            label = f"{of[name]:.3g}" if of[name] < 10 else f"{of[name]:.0f}"
            weight = "bold" if own else "normal"
            style = {"va": "center", "fontsize": 9.5, "color": INK, "fontweight": weight}
            ax.annotate(label, (of[name], row), xytext=(4, 0), textcoords="offset points", **style)
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"], fontsize=9, color=INK)
        ax.set_xlim(1, end)
        ax.minorticks_off()
        ax.tick_params(length=0)
        ax.set_axisbelow(True)
        ax.grid(axis="x", color="#E6E9EC")
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        ax.spines["left"].set(color=INK, linewidth=1.6)
        ax.set_title(f"{case}: {about['network']}, batch {about['batch']}", loc="left", fontsize=10, color=INK)
    first = axes[0, 0]
    labels = {**OURS, **OTHERS}
    first.set_yticks(range(len(names)), [labels[name] for name in names], fontsize=10, color=INK)
    first.invert_yaxis()
    for name, tick in zip(names, first.get_yticklabels(), strict=True):
        tick.set(fontweight="bold" if name in OURS else "normal", color=BLUE if name in OURS else INK)
    title = "Time of a training step, divided by the time of its matrix products"
    figure.suptitle(title, x=0.015, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    machine = result["machine"]
    note = (
        "Shorter is better: the line at 1 is the matrix products alone. Logarithmic axis. "
        f"{machine['cpu']}, {machine['threads']} threads, float32, Adam."
    )
    figure.text(0.015, 0.02, note, fontsize=9, color=INK)
    figure.tight_layout(rect=(0.005, 0.05, 0.995, 1.03), w_pad=1.5)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the README's chart from a file of results.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS)
    given = parser.parse_args()
    draw(json.loads(given.results.read_text(encoding="utf-8")), given.picture)


if __name__ == "__main__":
    main()

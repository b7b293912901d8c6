"""What ``scaling.py`` has found as a picture: measured beside predicted steps, and simulated speed-ups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scaling_evaluation import Evaluation
from scaling_report import GOAL, MANY, NETWORKS, speedup

COLOURS = ("#0072B2", "#E69F00", "#009E73")
"""Okabe and Ito's, which everyone can tell apart."""
INK = "#24292F"


def draw(result: dict[str, Any], path: Path) -> None:
    """One panel of measured steps and one of simulated speed-ups for each case."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    found = Evaluation(result)
    figure, axes = plt.subplots(
        1, 1 + len(found.cases), figsize=(4.0 * (1 + len(found.cases)), 3.9), layout="constrained"
    )
    compared(axes[0], found)
    for ax, name in zip(axes[1:], found.cases, strict=True):
        speedups(ax, found, name)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def compared(ax: Any, found: Evaluation) -> None:
    """Predicted against measured times; the band is the goal."""
    times = [t for one in found.compared for t in (one.measured, one.predicted.seconds)]
    ends = [1e3 * 0.6 * min(times), 1e3 * 1.6 * max(times)]
    ax.fill_between(ends, [(1 - GOAL) * e for e in ends], [(1 + GOAL) * e for e in ends], color="#D0D7DE", linewidth=0)
    ax.plot(ends, ends, color=INK, linewidth=0.8)
    for colour, name in zip(COLOURS, found.cases, strict=False):
        of = [one for one in found.compared if one.key.name == name]
        points = [[1e3 * one.measured for one in of], [1e3 * one.predicted.seconds for one in of]]
        ax.plot(*points, "o", color=colour, markersize=5, label=name)
    ax.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured, ms a step", ylabel="predicted, ms a step"
    )
    plain(ax)
    ax.set_title(f"a step on 2 and 4 ranks; band: {100 * GOAL:.0f} %", fontsize=10)
    ax.legend(frameon=False, fontsize=8)


def speedups(ax: Any, found: Evaluation, name: str) -> None:
    """Simulated speed-ups of one case over the number of ranks, by link; dashed where sums advance by themselves."""
    case = found.cases[name]
    ranks = [n for n in MANY if n <= case.batch]
    ax.plot([1, ranks[-1]], [1, ranks[-1]], color=INK, linewidth=0.8)
    highest = 1.0
    for colour, (words, (bits, latency)) in zip(COLOURS, NETWORKS.items(), strict=True):
        link = found.network(bits, latency)
        for progress, style in ((0.0, "-"), (1.0, "--")):
            values = [1.0, *(speedup(found, name, n, link, progress=progress) for n in ranks)]
            highest = max(highest, *values)
            ax.plot([1, *ranks], values, style, color=colour, label="" if progress else words)
    ax.set(xscale="log", yscale="log", xlabel="ranks (simulated)", ylabel="speed-up", ylim=(0.1, 2 * highest))
    plain(ax)
    ax.set_title(f"{name}: {'-'.join(map(str, case.widths))}, batch {case.batch:,}", fontsize=9)
    ax.legend(frameon=False, fontsize=8)


def plain(ax: Any) -> None:
    """Numbers without powers of ten at the axes, and few of them."""
    from matplotlib.ticker import LogLocator

    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")

"""Figures as a picture: bars on a log axis, one panel for each case and precision, the limit as a line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from report import group, in_order, label, limit_ms, ratios

COLOURS = {"limit": "#777777", "ours": "#0072B2", "torch": "#E69F00", "jax": "#009E73"}
"""Okabe and Ito's, which everyone can tell apart."""


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw what ``cpu.py`` or ``gpu.py`` has measured into a file."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    on_gpu = "device" in result
    panels = gpu_panels(result) if on_gpu else [(cpu_panel, name, case) for name, case in result["cases"].items()]
    if not panels:
        return
    columns = min(len(panels), 3 if on_gpu else 2)
    lines = -(-len(panels) // columns)
    bars = max(len(case.get("microseconds") or case["milliseconds"]) for _, _, case in panels)
    size = (6.6 * columns, lines * (1.5 + 0.3 * bars))
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (panel, title, case) in zip(axes.flat, panels, strict=False):
        ax.set_xscale("log")
        panel(ax, title, case)
        least, most = ax.get_xlim()
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < 300 * least else (1.0,)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
    m, gpu = result["machine"], result.get("gpu")
    on_cpu = f"{m['cpu']}, {m['threads']} threads, {m['blas']} ({m['blas_core']})"
    figure.suptitle(gpu["name"] if gpu else on_cpu, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def gpu_panels(result: dict[str, Any]) -> list[tuple[Any, str, dict[str, Any]]]:
    """A panel for each case and precision that could be measured."""
    cases = [(name, precision, case) for name, of in result["cases"].items() for precision, case in of.items()]
    return [(gpu_panel, f"{name}, {precision}", case) for name, precision, case in cases if case["microseconds"]]


def cpu_panel(ax: Any, title: str, case: dict[str, Any]) -> None:
    """Times in multiples of the products', the fastest above."""
    found = sorted(ratios(case).items(), key=lambda item: item[1])
    names, values = [name for name, _ in found], [value for _, value in found]
    bars(ax, names, values, values, range(len(values)))
    ax.axvline(1, color="black", linestyle="--", linewidth=1.2)
    ax.set_xlim(min(0.8, *values), 2.2 * max(values))
    ax.set_title(f"{title}: {case['network']}, batch {case['batch']}; products {limit_ms(case):.3g} ms", fontsize=10)
    ax.set_xlabel("time of a step / time of its matrix products")


def gpu_panel(ax: Any, title: str, case: dict[str, Any]) -> None:
    """Microseconds: limits, dlarray by stage, PyTorch, JAX, from above; the floor is a line."""
    names = in_order(case)
    groups = sorted(set(map(group, names)), key=list(COLOURS).index)
    us = [case["microseconds"][name] for name in names]
    medians: list[float] = [u["median"] for u in us]
    positions = [i + 0.6 * groups.index(group(name)) for i, name in enumerate(names)]
    bars(ax, names, medians, [u["most"] for u in us], positions)
    spread = [[u["median"] - u["least"] for u in us], [u["most"] - u["median"] for u in us]]
    ax.errorbar(medians, positions, xerr=spread, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
    least, most = min([*medians, case["floor"] or math.inf]), max(u["most"] for u in us)
    ax.set_xlim(0.6 * least, most * (most / least) ** 0.15)  # room for the numbers
    floor = ""
    if case["floor"]:
        ax.axvline(case["floor"], color="black", linestyle="--", linewidth=1.2)
        floor = f"; floor, dashed, {short(case['floor'])}"
    ax.set_title(f"{title}{floor}\n{case['network']}, batch {case['batch']}", fontsize=10)
    ax.set_xlabel("microseconds a step: median, least and most of the rounds")


def bars(ax: Any, names: list[str], values: list[float], ends: list[float], positions: Any) -> None:
    """A bar for each contender in its family's colour, and its value behind its end."""
    colours = [COLOURS.get(group(name), COLOURS["torch"]) for name in names]
    ax.barh(positions, values, color=colours, edgecolor="white", linewidth=0.5)
    for position, value, end in zip(positions, values, ends, strict=True):
        at = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        ax.annotate(short(value), (end, position), **at)
    ax.set_yticks(positions, [label(name) for name in names])
    ax.invert_yaxis()


def short(value: float) -> str:
    """Three figures, and no powers of ten."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

"""What was measured on a card, as text and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report import BLUE, GREY, ORANGE, aligned

OURS = {
    "eager": "dlarray, run plainly",
    "fused": "dlarray, fused kernels",
    "captured": "dlarray, one graph",
    "epilogues": "dlarray, epilogues",
    "repeated": "dlarray, many steps a graph",
    "jax": "dlarray on JAX",
    "jax repeated": "dlarray on JAX, scan",
}
LIMITS = {
    "products": "the products alone",
    "products captured": "the products as one graph",
    "PyTorch products": "the products alone, PyTorch",
}
GREEN = "#009E73"
HEAD = ["", "µs a step", "least", "most", "device", "floor is", "made, s", "first, s", "loss apart", "gradient off"]


def label(name: str) -> str:
    """How a player is called."""
    return (OURS | LIMITS).get(name, name)


def group(name: str) -> int:
    """Limits, ours, PyTorch, JAX: in this order."""
    return 0 if name in LIMITS else 1 if name in OURS else 2 if name.startswith("PyTorch") else 3


def text(result: dict[str, Any]) -> str:
    """What is printed: the machine, a table for each case and precision, and the targets."""
    m, card = result["machine"], result["card"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    lines = [f"{m['cpu']}, {m['cores']} cores; {m['os']}", versions, card_line(card), *result["conditions"]]
    for precision, peaks in result["peaks"].items():
        rates = [f"{name} {value / 1e9:.4g} G/s" for name, value in peaks["of"].items()]
        lines.append(f"{precision}: {', '.join(rates) or 'no rates were measured'}")
    for name, precisions in result["cases"].items():
        for precision, case in precisions.items():
            lines += ["", *table(f"{name} {precision}", case)]
    return "\n".join([*lines, "", *target_lines(result["targets"])])


def card_line(card: dict[str, str] | None) -> str:
    """The card in one line."""
    if card is None:
        return "no card: nvidia-smi is not there or fails"
    return ", ".join(f"{name} {value}" for name, value in card.items())


def table(title: str, case: dict[str, Any]) -> list[str]:
    """One case in one precision: players down."""
    floor = case["floor"]
    rows = [[title, *HEAD[1:]]]
    rows += [row(name, case) for name in sorted(case["microseconds"], key=group)]
    told = f"floor {floor:.4g} µs" if floor else "no floor"
    lines = [f"{title}: {case['network']}, batch {case['batch']}; {told}", *aligned(rows)]
    if floor and any(us["median"] < floor for us in case["microseconds"].values()):
        lines.append(
            "the floor is none here: what it counts stays in a cache, or small products are faster than large ones"
        )
    losses = case["losses"]
    if wrong := [label(name) for name, of in losses.get("of", {}).items() if not of["equal"]]:
        lines.append(f"LOSSES NOT EQUAL: {', '.join(wrong)}; allowed {losses['allowed']:.1e} of the first loss")
    if "failed" in losses:
        lines.append(f"losses were not compared: {losses['failed']}")
    for name, of in case["gradients"].get("of", {}).items():
        if of["is"] != "as its precision":
            lines.append(f"GRADIENT of {label(name)}: {of['is']} ({of['roundoffs']:.2g} roundoffs)")
    return lines + [f"without {label(k)}: {' '.join(str(why).split())[:160]}" for k, why in case["absent"].items()]


def row(name: str, case: dict[str, Any]) -> list[str]:
    """A player's figures."""
    us = case["microseconds"][name]
    first, loss = case["first_seconds"].get(name), case["losses"].get("of", {}).get(name)
    gradient = case["gradients"].get("of", {}).get(name)
    return [
        label(name),
        *(f"{us[key]:.4g}" for key in ("median", "least", "most")),
        f"{us['device']:.4g}" if us["device"] else "–",
        f"{100 * case['floor'] / us['median']:.0f} %" if case["floor"] else "–",
        *(f"{first[key]:.2f}" if first else "–" for key in ("made", "first")),
        f"{loss['apart']:.1e}" if loss else "–",
        f"{gradient['error']:.1e}" if gradient else "–",
    ]


def target_lines(targets: list[dict[str, Any]]) -> list[str]:
    """Every target in a line."""
    words = {True: "reached", False: "MISSED", None: "not known"}
    return [
        f"{t['case']} {t['precision']}: {t['against']}: "
        + (f"{t['ratio']:.3g} times" if t["ratio"] is not None else t["why"])
        + f", wanted {t['wanted']:.3g}: {words[t['reached']]}"
        for t in targets
    ]


def draw(result: dict[str, Any], path: Path) -> None:
    """Bars in groups on a log axis, a panel for each case and precision; the floor is a line."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = [
        (f"{name}, {precision}", case)
        for name, precisions in result["cases"].items()
        for precision, case in precisions.items()
        if case["microseconds"]
    ]
    if not panels:
        return
    columns = max(sum(bool(case["microseconds"]) for case in of.values()) for of in result["cases"].values())
    lines = -(-len(panels) // columns)
    bars = max(len(case["microseconds"]) for _, case in panels)
    figure, axes = plt.subplots(
        lines, columns, figsize=(6.8 * columns, lines * (1.6 + 0.3 * bars)), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (title, case) in zip(axes.flat, panels, strict=False):
        panel(ax, title, case)
    m, card = result["machine"], result["card"]
    figure.suptitle(card["name"] if card else f"no card: {m['cpu']}", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def short(us: float) -> str:
    """Three figures, and no powers of ten."""
    return f"{us:.3g}" if us < 1000 else f"{us:,.0f}"


def panel(ax: Any, title: str, case: dict[str, Any]) -> None:
    """One case in one precision: limits, ours by stage, PyTorch, JAX, from above."""
    from matplotlib.ticker import LogLocator

    colours = {0: GREY, 1: BLUE, 2: ORANGE, 3: GREEN}
    names = sorted(case["microseconds"], key=group)
    groups = sorted(set(map(group, names)))
    places = [i + 0.6 * groups.index(group(name)) for i, name in enumerate(names)]
    us = [case["microseconds"][name] for name in names]
    medians = [u["median"] for u in us]
    spread = [[u["median"] - u["least"] for u in us], [u["most"] - u["median"] for u in us]]
    ax.barh(places, medians, color=[colours[group(name)] for name in names], edgecolor="white", linewidth=0.5)
    ax.errorbar(medians, places, xerr=spread, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
    for place, u in zip(places, us, strict=True):
        ax.annotate(
            short(u["median"]), (u["most"], place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    ax.set_yticks(places, [label(name) for name in names])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter("")
    least = min([*medians, *([case["floor"]] if case["floor"] else [])])
    most = max(u["most"] for u in us)
    ax.set_xlim(0.6 * least, most * (most / least) ** 0.15)  # room for the numbers
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < 150 * least else (1.0,)))
    ax.xaxis.set_major_formatter("{x:g}")
    told = ""
    if case["floor"]:
        ax.axvline(case["floor"], color="black", linestyle="--", linewidth=1.2)
        told = f"; floor, dashed, {short(case['floor'])}"
    ax.set_title(f"{title}{told}\n{case['network']}, batch {case['batch']}", fontsize=10)
    ax.set_xlabel("microseconds a step: median, least and most of the rounds")

"""Figures as text, as a table of Markdown and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS = {
    "numpy": "dlarray, NumPy alone",
    "fast": "dlarray with the extra fast",
    "eager": "dlarray, formulas run plainly",
    "jax": "dlarray on JAX",
    "torch": "dlarray on torch",
    "torch compiled": "dlarray on torch, compiled by it",
    "torch eager": "dlarray on torch, run plainly",
}
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#777777"  # Okabe and Ito's, seen apart by everyone


def label(name: str) -> str:
    """How a player is called in tables."""
    return OURS.get(name, name)


def ratios(case: dict[str, Any]) -> dict[str, float]:
    """All of a case's ratios to its limit: ours, then the rivals'."""
    return {name: case[name] for name in OURS if name in case} | case.get("rivals", {})


def text(result: dict[str, Any]) -> str:
    """What is printed: ratios, then milliseconds, then whether all took the same walk, then who is absent."""
    m = result["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} cores; {m['blas']} for {m['blas_core']}, {m['threads']} threads; load {m['load']}",
        *result.get("conditions", []),
    ]
    for kind, title in [("ratios", "step / products"), ("milliseconds", "milliseconds a step")]:
        lines += ["", *aligned(rows(result["cases"], kind, title))]
    for name, case in result["cases"].items():
        if of := case["losses"].get("of"):
            wrong = [label(k) for k, v in of.items() if not v["equal"]]
            steps = min(v["steps"] for v in of.values())
            far = max(v["apart"] for v in of.values())
            verdict = f"NOT EQUAL: {', '.join(wrong)}" if wrong else "equal"
            bound = f"at most {far:.1e} of the first loss apart, allowed {case['losses']['allowed']:.1e}"
            lines += ["", f"{name}: losses of {steps} steps: {verdict} ({bound})"]
        lines += [
            f"{name}: without {label(k)}: {' '.join(str(why).split())[:100]}" for k, why in case["absent"].items()
        ]
    return "\n".join(lines)


def rows(cases: dict[str, Any], kind: str, title: str) -> list[list[str]]:
    """A table: players down, cases across, the fastest in the largest case first."""
    names: dict[str, None] = {name: None for case in cases.values() for name in ratios(case)}
    table = [[title, *cases]]
    limits = [f"{case['limit_ms']:.4g}" if kind == "milliseconds" else "1" for case in cases.values()]
    table.append(["the products alone", *limits])
    for name in names:
        found = [ratios(case) if kind == "ratios" else case["milliseconds"] for case in cases.values()]
        table.append([label(name), *(f"{f[name]:.3g}" if name in f else "–" for f in found)])
    return table


def aligned(table: list[list[str]]) -> list[str]:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def as_markdown(table: list[list[str]]) -> str:
    """A table of Markdown, numbers to the right."""
    head, *body = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|---" + "|---:" * (len(table[0]) - 1) + "|", *body])


def markdown(result: dict[str, Any]) -> str:
    """The tables of all that a run has measured, with the machine above them."""
    m = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    parts = [
        f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads, {m['blas']} with kernels for {m['blas_core']}, "
        f"{m['os']}. {versions}."
    ]
    if cases := result.get("cases"):
        parts += [as_markdown(rows(cases, "ratios", "step / products"))]
        parts += [as_markdown(rows(cases, "milliseconds", "milliseconds a step"))]
    for case, of in result.get("predict", {}).items():
        parts += [as_markdown(predict_rows(case, of))]
    if growth := result.get("growth"):
        parts += [as_markdown(slope_rows(growth))]
    if start := result.get("start"):
        parts += [as_markdown([["at the start", "seconds"], *([k, f"{v:.3g}"] for k, v in start.items())])]
    return "\n\n".join(parts)


def predict_rows(case: str, batches: dict[str, Any]) -> list[list[str]]:
    """Inference: players down, batch sizes across, in milliseconds."""
    names: dict[str, None] = {name: None for of in batches.values() for name in of["milliseconds"]}
    head = [f"{case}: predict, milliseconds", *(f"batch {n}" for n in batches)]
    cell = [of["milliseconds"] for of in batches.values()]
    return [head, *([name, *(f"{c[name]:.3g}" if name in c else "–" for c in cell)] for name in names)]


def slope_rows(growth: dict[str, Any]) -> list[list[str]]:
    """How time and memory grow: exponents against width, depth, batch and parameters."""
    table = [["grows with", "ours, time", "products, time", "ours, memory", "planned memory"]]
    for name, of in growth.items():
        s = of["slopes"]
        cells = [s.get(key) for key in ("seconds", "limit_seconds", "bytes", "planned_bytes")]
        table.append([name, *("–" if value is None else f"{value:.2f}" for value in cells)])
    return table


def draw(result: dict[str, Any], path: Path) -> None:
    """Bars on a log axis, one panel a case: ours in blue, rivals in orange, the limit a line."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    cases = result["cases"]
    columns = min(2, len(cases))
    lines = -(-len(cases) // columns)
    bars = max(len(ratios(case)) for case in cases.values())
    figure, axes = plt.subplots(
        lines, columns, figsize=(6.4 * columns, lines * (1.2 + 0.3 * bars)), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(cases) :]:
        ax.set_axis_off()
    for ax, (name, case) in zip(axes.flat, cases.items(), strict=False):
        found = sorted(ratios(case).items(), key=lambda item: -item[1])
        names, values = [label(k) for k, _ in found], [v for _, v in found]
        ours = [k in OURS for k, _ in found]
        colours, hatches = zip(*((BLUE, "") if own else (ORANGE, "//") for own in ours), strict=True)
        ax.barh(names, values, color=colours, hatch=hatches, edgecolor="white", linewidth=0.5)
        for i, value in enumerate(values):
            ax.text(value * 1.04, i, f"{value:.3g}", va="center", fontsize=8)
        ax.axvline(1, color=GREY, linewidth=1.5)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(min(0.8, *values), 2.2 * max(values))
        ax.set_title(f"{name}: {case['network']}, batch {case['batch']}; products {case['limit_ms']:.3g} ms")
        ax.set_xlabel("time of a step / time of its matrix products")
    m = result["machine"]
    figure.suptitle(f"{m['cpu']}, {m['threads']} threads, {m['blas']} ({m['blas_core']})", fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)

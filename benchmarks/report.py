"""Figures as text and as tables of Markdown."""

from __future__ import annotations

from typing import Any

from contenders import CONTENDERS, family, label

NO_FLOOR = "the floor is none here: what it counts stays in a cache, or small products are faster than large ones"
HEAD = ["", "µs a step", "least", "most", "device", "floor is", "made, s", "first, s", "loss apart", "gradient off"]
ORDER = ("limit", "ours", "torch", "jax")

Table = list[list[str]]


def aligned(table: Table) -> list[str]:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def as_markdown(table: Table) -> str:
    """A table of Markdown, numbers to the right."""
    head, *body = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|---" + "|---:" * (len(table[0]) - 1) + "|", *body])


def versions(machine: dict[str, Any]) -> str:
    """The versions of all libraries."""
    return ", ".join(f"{name} {number}" for name, number in machine["versions"].items())


def absences(case: dict[str, Any]) -> list[str]:
    """The contenders that are absent from a case, and why."""
    return [f"without {label(name)}: {' '.join(str(why).split())[:160]}" for name, why in case["absent"].items()]


def checks(case: dict[str, Any]) -> list[str]:
    """What is wrong with the losses and gradients of a case."""
    losses, lines = case["losses"], list[str]()
    if wrong := [label(name) for name, of in losses.get("of", {}).items() if not of["equal"]]:
        lines.append(f"LOSSES NOT EQUAL: {', '.join(wrong)}; allowed {losses['allowed']:.1e} of the first loss")
    if "failed" in losses:
        lines.append(f"losses were not compared: {losses['failed']}")
    for name, of in case.get("gradients", {}).get("of", {}).items():
        if of["is"] != "as its precision":
            lines.append(f"GRADIENT of {label(name)}: {of['is']} ({of['roundoffs']:.2g} roundoffs)")
    return lines


# On a CPU: times in multiples of the products'


def ratios(case: dict[str, Any]) -> dict[str, float]:
    """Times of a step by those of its raw products, dlarray's first; in older files by those of ``numpy.matmul``."""
    found = {name: ms / limit_ms(case) for name, ms in milliseconds(case).items()}
    return {entry.name: found[entry.name] for entry in CONTENDERS if entry.name in found} | found


def limit_ms(case: dict[str, Any]) -> float:
    """The milliseconds of the products that all are compared with."""
    return case.get("raw_ms", case["limit_ms"])


def milliseconds(case: dict[str, Any]) -> dict[str, float]:
    """The milliseconds of a step, and of its products in other libraries."""
    return ({"matmul products": case["limit_ms"]} if "raw_ms" in case else {}) | case["milliseconds"]


def cpu_text(result: dict[str, Any]) -> str:
    """What is printed: ratios, then milliseconds, then whether all computed the same, then what is absent."""
    m = result["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} cores; {m['blas']} for {m['blas_core']}, {m['threads']} threads; load {m['load']}",
        *result.get("conditions", []),
    ]
    for title in ("step / products", "milliseconds a step"):
        lines += ["", *aligned(rows(result["cases"], title))]
    for name, case in result["cases"].items():
        lines.append("")
        if of := case["losses"].get("of"):
            steps, far = min(v["steps"] for v in of.values()), max(v["apart"] for v in of.values())
            verdict = "equal" if all(v["equal"] for v in of.values()) else "NOT EQUAL"
            bound = f"at most {far:.1e} of the first loss apart, allowed {case['losses']['allowed']:.1e}"
            lines.append(f"{name}: losses of {steps} steps: {verdict} ({bound})")
        if (by := case.get("about", {}).get("raw products", {}).get("products", "")).startswith("numpy.dot"):
            lines.append(f"{name}: the products alone are by {by}")
        lines += [f"{name}: {line}" for line in checks(case) + absences(case)]
    return "\n".join(lines)


def rows(cases: dict[str, Any], title: str) -> Table:
    """A table: contenders down, cases across."""
    relative = title == "step / products"
    names = dict.fromkeys(name for case in cases.values() for name in ratios(case))
    found = [ratios(case) if relative else milliseconds(case) for case in cases.values()]
    limits = ["1" if relative else f"{limit_ms(case):.4g}" for case in cases.values()]
    body = [[label(name), *(f"{of[name]:.3g}" if name in of else "–" for of in found)] for name in names]
    return [[title, *cases], ["the products alone", *limits], *body]


def markdown(result: dict[str, Any]) -> str:
    """The tables of all that a run on a CPU has measured, with the machine above them."""
    m = result["machine"]
    parts = [
        f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads, {m['blas']} with kernels for {m['blas_core']}, "
        f"{m['os']}. {versions(m)}."
    ]
    if cases := result.get("cases"):
        parts += [as_markdown(rows(cases, title)) for title in ("step / products", "milliseconds a step")]
    parts += [as_markdown(predict_rows(case, of)) for case, of in result.get("predict", {}).items()]
    if growth := result.get("growth"):
        parts += [as_markdown(slope_rows(growth))]
    if start := result.get("start"):
        parts += [as_markdown([["at the start", "seconds"], *([k, f"{v:.3g}"] for k, v in start.items())])]
    return "\n\n".join(parts)


def predict_rows(case: str, batches: dict[str, Any]) -> Table:
    """Inference: contenders down, batch sizes across, in milliseconds."""
    names = dict.fromkeys(name for of in batches.values() for name in of["milliseconds"])
    head = [f"{case}: predict, milliseconds", *(f"batch {n}" for n in batches)]
    cell = [of["milliseconds"] for of in batches.values()]
    return [head, *([label(name), *(f"{c[name]:.3g}" if name in c else "–" for c in cell)] for name in names)]


def slope_rows(growth: dict[str, Any]) -> Table:
    """How time and memory grow: exponents against width, depth, batch and parameters."""
    table = [["grows with", "dlarray, time", "products, time", "dlarray, memory", "planned memory"]]
    for name, of in growth.items():
        slopes = [of["slopes"].get(key) for key in ("seconds", "limit_seconds", "bytes", "planned_bytes")]
        table.append([name, *("–" if value is None else f"{value:.2f}" for value in slopes)])
    return table


# On a GPU: microseconds beside the floor


def in_order(case: dict[str, Any]) -> list[str]:
    """The names of what was measured: limits, dlarray, PyTorch, JAX."""
    return sorted(case["microseconds"], key=lambda name: ORDER.index(group(name)))


def group(name: str) -> str:
    """A contender's family, but that the products of all libraries are limits."""
    return "limit" if "products" in name else family(name)


def gpu_text(result: dict[str, Any]) -> str:
    """What is printed: the machine, a table for each case and precision, and the targets."""
    m = result["machine"]
    gpu: dict[str, str] = result.get("gpu") or {}
    lines = [f"{m['cpu']}, {m['cores']} cores; {m['os']}", versions(m)]
    lines.append(", ".join(f"{name} {value}" for name, value in gpu.items()) or "no GPU: nvidia-smi is absent or fails")
    lines += result["conditions"]
    for precision, peaks in result["peaks"].items():
        rates = [f"{name} {value / 1e9:.4g} G/s" for name, value in peaks["of"].items()]
        lines.append(f"{precision}: {', '.join(rates) or 'no rates were measured'}")
    for name, precisions in result["cases"].items():
        for precision, case in precisions.items():
            lines += ["", *table(f"{name} {precision}", case)]
    return "\n".join([*lines, "", *target_lines(result["targets"])])


def table(title: str, case: dict[str, Any]) -> list[str]:
    """One case in one precision: contenders down."""
    floor = case["floor"]
    head = f"floor {floor:.4g} µs" if floor else "no floor"
    cells = aligned([[title, *HEAD[1:]], *(row(name, case) for name in in_order(case))])
    lines = [f"{title}: {case['network']}, batch {case['batch']}; {head}", *cells]
    if floor and any(us["median"] < floor for us in case["microseconds"].values()):
        lines.append(NO_FLOOR)
    return lines + checks(case) + absences(case)


def row(name: str, case: dict[str, Any]) -> list[str]:
    """A contender's figures."""
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

"""What ``scaling.py`` has measured as tables: fits, predictions beside measurements, and simulated clusters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlarray.bench import scaling
from scaling_evaluation import HERE, Evaluation, Key

NETWORKS = {
    "1 Gbit/s, 50 µs": (1e9, 50e-6),
    "10 Gbit/s, 20 µs": (1e10, 20e-6),
    "100 Gbit/s, 2 µs": (1e11, 2e-6),
}
"""Links of the simulation: bits per second and latency."""
MANY = tuple(2**i for i in range(1, 11))
GOAL = 0.2


def tables(result: dict[str, Any]) -> dict[str, str]:
    """Markdown by name, as ``docs/scaling.md`` has it."""
    found = Evaluation(result)
    return {
        "machine": about(result),
        "costs": costs(found),
        "links": links(found),
        "steps": steps(found),
        "threads": threads(found),
        "strong": strong(found),
        "weak": weak(found),
    }


def about(result: dict[str, Any]) -> str:
    """The machine, the conditions, and a warning where they were bad."""
    m = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    lines = [
        f"{m['cpu']}, {result['cores']} cores, {m['blas']} ({m['blas_core']}), {' '.join(m['mpi'].split())}, "
        f"{versions}, {m['os']}.",
        f"{'; '.join(result['conditions'])}. The load of the machine was {m['load']} at the beginning.",
    ]
    if result["quick"] or (m["load"] or 0) > 0.5:
        lines.append(
            "**Other programs used the cores, or the measurement was a short trial: these times mean little.**"
        )
    if result["no_links"]:
        lines.append(f"Slow links were not measured: {result['no_links']}.")
    return "\n".join(lines)


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; its first column is text, the others are numbers."""
    names = head.split(" | ")
    rule = "|---|" + "---:|" * (len(names) - 1)
    return "\n".join([f"| {head} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def costs(found: Evaluation) -> str:
    """The fitted step on one rank."""
    rows: list[list[str]] = []
    for name, (cost, shared) in found.costs.items():
        c, case = shared.value, found.cases[name]
        rows.append([f"{name}: {'-'.join(map(str, case.widths))}, batch {case.batch:,}", ms(c.fixed)])
        rows[-1] += [f"{1e6 * c.per_example:.3g}", ms(c.update), ms(c.sharing), f"{100 * c.contention:.0f} %"]
        rows[-1] += [percent(cost.largest), percent(shared.largest)]
    head = (
        "case | fixed, ms | per example, µs | update, ms | sharing, ms | contention | largest error, one rank | several"
    )
    return table(head, rows)


def links(found: Evaluation) -> str:
    """The fitted links; the names of the slow ones say what they were made to be."""
    rows: list[list[str]] = []
    for (name, ranks), fit in found.links.items():
        link = fit.value
        words = name if not ranks else f"{name}, {ranks} ranks on {found.cores} cores"
        beyond = f"{8e-9 * link.memory_bandwidth:.3g}" if link.cache < float("inf") else "–"
        adding = f"{1e9 * link.adding:.2g}" if link.adding else "0"
        rows.append(
            [
                words,
                f"{1e6 * link.latency:.3g}",
                f"{1e6 * link.overhead:.3g}",
                f"{8e-9 * link.bandwidth:.3g}",
                beyond,
                adding,
            ]
        )
        rows[-1] += [percent(fit.typical), percent(fit.largest)]
    head = "link | latency, µs | overhead, µs | Gbit/s | Gbit/s beyond the cache | adding, ns per byte"
    head += " | typical error | largest error"
    return table(head, rows)


def steps(found: Evaluation) -> str:
    """Measured and predicted steps."""
    rows: list[list[str]] = []
    for name, case in found.cases.items():
        alone, fitted = found.steps[Key(HERE, 1, 1, name, "alone", case.batch)], found.costs[name][0].value
        seconds = fitted.gradient(case.batch) + fitted.update
        rows.append([name, "1", "part of the fit", ms(alone), ms(seconds), signed(seconds / alone - 1), "0"])
        for one in (c for c in found.compared if c.key.name == name):
            where = one.key.where + (", sharded" if one.key.kind == "sharded" else "")
            rows.append([name, str(one.key.ranks), where, ms(one.measured), ms(one.predicted.seconds)])
            rows[-1] += [signed(one.deviation), ms(one.predicted.exposed)]
    head = "case | ranks | link | measured, ms | predicted, ms | difference | of it communication, ms"
    within = sum(abs(one.deviation) <= GOAL for one in found.compared)
    worst = max((abs(one.deviation) for one in found.compared), default=0.0)
    text = f"{within} of {len(found.compared)} predictions are within {percent(GOAL)}; the largest difference"
    return f"{table(head, rows)}\n\n{text} is {percent(worst)}."


def threads(found: Evaluation) -> str:
    """One process with all cores as threads, beside ranks."""
    rows: list[list[str]] = []
    for name, case in found.cases.items():
        times = [
            found.steps.get(Key(HERE, 1, 1, name, "alone", case.batch)),
            found.steps.get(Key(HERE, 1, found.cores, name, "alone", case.batch)),
            *(found.steps.get(Key(HERE, found.cores, 1, name, kind, case.batch)) for kind in ("together", "sharded")),
        ]
        rows.append([name, *("–" if t is None else ms(t) for t in times)])
    n = found.cores
    return table(
        f"ms a step | 1 rank, 1 thread | 1 rank, {n} threads | {n} ranks, 1 thread each | the same, sharded", rows
    )


def strong(found: Evaluation) -> str:
    """Simulated speed-ups with the same whole batch."""
    rows: list[list[str]] = []
    for name, case in found.cases.items():
        for words, (bits, latency) in NETWORKS.items():
            speedups = {n: speedup(found, name, n, found.network(bits, latency)) for n in MANY if n <= case.batch}
            best = max(speedups, key=lambda n: speedups[n])
            half = max((n for n, s in speedups.items() if s >= n / 2), default=1)
            shown = [f"{speedups[n]:.3g}" if n in speedups else "–" for n in (2, 4, 8, 16, 64, 256, 1024)]
            rows.append([f"{name}, {words}", *shown, str(best) if speedups[best] > 1 else "1", str(half)])
    return table("speed-up with ranks: | 2 | 4 | 8 | 16 | 64 | 256 | 1,024 | fastest | half efficient", rows)


def speedup(found: Evaluation, name: str, ranks: int, link: scaling.Link, **options: Any) -> float:
    """The mean step of one rank divided by that of many, in the simulation."""
    case, cost, spread = found.cases[name], found.costs[name][1].value, found.spread[name]
    work = scaling.layers(case.widths)
    alone = scaling.simulate(work, cost, link, case.batch, 1, spread, **options)
    return float(alone.mean() / scaling.simulate(work, cost, link, case.batch, ranks, spread, **options).mean())


def weak(found: Evaluation) -> str:
    """Simulated efficiency when every rank keeps the examples of the whole batch: more ranks, larger batches."""
    rows: list[list[str]] = []
    for name, case in found.cases.items():
        work, cost, spread = scaling.layers(case.widths), found.costs[name][1].value, found.spread[name]
        for words, (bits, latency) in NETWORKS.items():
            link = found.network(bits, latency)
            mean = {n: scaling.simulate(work, cost, link, case.batch * n, n, spread).mean() for n in (1, *MANY)}
            rows.append([f"{name}, {words}", *(percent(mean[1] / mean[n]) for n in (2, 16, 128, 1024))])
    return table("efficiency with ranks: | 2 | 16 | 128 | 1,024", rows)


def ms(seconds: float) -> str:
    """Milliseconds with three figures."""
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def percent(fraction: float) -> str:
    """A fraction as whole percent."""
    return f"{100 * fraction:.0f} %"


def signed(fraction: float) -> str:
    """The same with its sign."""
    return f"{100 * fraction:+.0f} %"


def write_page(found: dict[str, str], path: Path) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end -->`` by the table of that name.

    Raises ValueError if the page has no place for a table.
    """
    text = path.read_text(encoding="utf-8")
    for name, table_of in found.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{path} has no line <!-- {name} --> with a line <!-- end --> after it")
        text = marked.sub(lambda match, new=table_of: f"{match[1]}{new}\n{match[2]}", text)
    path.write_text(text, encoding="utf-8")

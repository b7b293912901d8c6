"""The matrix as one HTML page, which needs no other file, no script and no network.

Every cell shows a number or a sign. Its reason is in the tooltip, and in the lists above the matrix, to which it links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from dlarray.core.check import count
from dlarray.testing.check import Result
from dlarray.testing.reasons import WORDS, Group, groups
from dlarray.testing.report import ColumnReport, Report

__all__ = ["page", "shown"]

SIGNS = {"pass": "✓", "fail": "✗", "blocked": "⊘", "skip": "–", "xfail": "(✗)", "xpass": "!"}
LEVELS = (0.0, 1.0, 4.0, 16.0)
"""The deviations in ulp up to which a cell has the shades 0 to 3; 4 above."""
FEW = 8
"""The number of checks with one reason that are listed one by one."""
LEGEND = (
    '<p class="legend"><span class="pass l0">0</span><span class="pass l1">0.6</span><span class="pass l2">3.1</span>'
    '<span class="pass l3">12</span><span class="pass l4">40</span> the largest deviation from NumPy in float64, in ulp'
    " of the column’s dtype; what passes depends on the check. "
    '<span class="pass">✓</span> passed, <span class="fail">✗</span> failed, '
    '<span class="xfail">(✗)</span> failed as expected, <span class="xpass">!</span> passed unexpectedly, '
    '<span class="blocked">⊘</span> blocked, because a part of the contract has failed, '
    '<span class="skip">–</span> not applicable. A cell that has a reason is a link to it.</p>'
)


def page(report: Report) -> str:
    """The report as a page."""
    grouped = groups(report.columns)
    style = files("dlarray.testing").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>dlarray matrix</title>\n<style>\n{style}</style>",
        f"<header><h1>dlarray matrix</h1>\n{_headline(report)}</header>\n<main>",
        _overview(report),
        *(_list(outcome, [g for g in grouped if g.outcome == outcome]) for outcome in WORDS),
        _table(report.columns, grouped),
        f"</main>\n<footer><p>{_footer(report)}</p></footer>\n</html>\n",
    ]
    return "\n".join(filter(None, parts))


def shown(result: Result) -> str:
    """What a cell shows: a deviation in ulp or a measurement, else a sign."""
    if result.outcome == "pass" and result.reason:
        return result.reason.partition(",")[0]
    if result.ulp is None or result.outcome in ("blocked", "skip"):
        return SIGNS[result.outcome]
    sign = "" if result.outcome == "pass" else f"{SIGNS[result.outcome]} "
    if not result.ulp < 1e5:
        return f"{sign}{result.ulp:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{sign}{result.ulp:.0f}" if result.ulp == 0 or result.ulp >= 99.5 else f"{sign}{result.ulp:.1f}"


def _headline(report: Report) -> str:
    checks = len(report.columns[0].results) if report.columns else 0
    wrong = [{(r.part, r.name) for r in column.results if r.outcome == "fail"} for column in report.columns]
    failed, where = len(set[tuple[str, str]]().union(*wrong)), sum(map(bool, wrong))
    verdict = f"{count(failed, 'check')} failed, on {count(where, 'column')}" if failed else "no check failed"
    text = f"{count(len(report.columns), 'column')}, {count(checks, 'check')} on each: {verdict}."
    return f'<p class="verdict {"bad" if failed else "good"}">{text}</p>'


def _overview(report: Report) -> str:
    """One row for each column: its library, how many checks came out how, the largest deviation."""
    head = (
        "column",
        "library",
        "",
        "passed",
        "failed",
        "failed as expected",
        "passed un\u00adexpectedly",
        "blocked",
        "not applicable",
        "largest, ulp",
    )
    rows = [f"<tr>{''.join(f'<th>{name}</th>' for name in (*head, 'seconds'))}</tr>"]
    for found in report.columns:
        n, most = found.counts, found.worst
        numbers = [n["pass"], n["fail"], n["xfail"], n["xpass"], n["blocked"], n["skip"]]
        bar = "".join(
            f'<i class="{outcome}" style="flex:{n[outcome]}"></i>'
            for outcome in ("pass", "skip", "xfail", "xpass", "blocked", "fail")
            if n[outcome]
        )
        largest = f"<b>{shown(most)}</b> {escape(most.part)}: <code>{escape(most.name)}</code>" if most else ""
        cells = "".join(f'<td class="number{" none" if not k else ""}">{k}</td>' for k in numbers)
        rows.append(
            f'<tr><th scope="row">{escape(found.column.name)}</th><td>{escape(found.library)}</td>'
            f'<td><span class="bar">{bar}</span></td>{cells}<td class="largest">{largest}</td>'
            f'<td class="number">{found.seconds:.1f}</td></tr>'
        )
    rows += [
        f'<tr><th scope="row">{escape(column.name)}</th><td colspan="10">not run: {escape(reason)}</td></tr>'
        for column, reason in report.missing
    ]
    return (
        f'<section><h2>Columns</h2>\n<div class="wide"><table class="overview">{"".join(rows)}</table></div></section>'
    )


def _list(outcome: str, grouped: Sequence[Group]) -> str:
    """The reasons of an outcome; an empty text if no check has it."""
    if not grouped:
        return ""
    title, meaning = WORDS[outcome]
    items: list[str] = []
    for group in grouped:
        reasons = "".join(
            f"<dd><span>{escape(', '.join(names))}</span> {escape(reason)}</dd>" for reason, names in group.reasons
        )
        items.append(f'<dl id="{group.anchor}"><dt>{_names(group)}</dt>{reasons}</dl>')
    number = sum(len(group.checks) for group in grouped)
    opened = " open" if outcome in ("fail", "xpass") else ""
    return (
        f'<section><details class="reasons {outcome}"{opened}><summary><h2>{title}: {count(number, "check")}</h2> '
        f"{meaning}</summary>\n{chr(10).join(items)}</details></section>"
    )


def _names(group: Group) -> str:
    parts = [
        f"{escape(part)}: {', '.join(f'<code>{escape(name)}</code>' for _, name in checks)}"
        for part, checks in groupby(group.checks, key=lambda check: check[0])
    ]
    names, number = "; ".join(parts), len(group.checks)
    if number == 1:
        return names
    if number <= FEW:
        return f"{number} checks: {names}"
    return f"<details><summary>{number} checks</summary>{names}</details>"


def _table(columns: Sequence[ColumnReport], grouped: Sequence[Group]) -> str:
    """Checks by columns, part by part."""
    anchors = {(g.outcome, *check): g.anchor for g in grouped for check in g.checks}
    reports = [list(column.results) for column in columns]
    devices = [(device, len(list(group))) for device, group in groupby(column.column.device for column in columns)]
    head = "".join(f'<th colspan="{n}">{escape(device)}</th>' for device, n in devices)
    dtypes = "".join(f"<th>{escape(column.column.dtype.replace('float', 'f'))}</th>" for column in columns)
    bodies = [
        _body(part, [list(row) for row in rows], anchors)
        for part, rows in groupby(zip(*reports, strict=True), key=lambda row: row[0].part)
    ]
    return (
        f'<section><h2>Checks</h2>\n{LEGEND}\n<p><label><input type="checkbox" id="only"> only checks that do not pass '
        f'on every column</label></p>\n<div class="scroll"><table class="matrix"><thead><tr><th rowspan="2">check</th>'
        f"{head}</tr><tr>{dtypes}</tr></thead>\n{chr(10).join(bodies)}\n</table></div></section>"
    )


def _body(part: str, rows: Sequence[Sequence[Result]], anchors: Mapping[tuple[str, str, str], str]) -> str:
    passed = [sum(result.outcome in ("pass", "xpass") for result in column) for column in zip(*rows, strict=True)]
    sums = "".join(
        f'<td title="{n} of {len(rows)} passed">{n if n == len(rows) else f"{n}/{len(rows)}"}</td>' for n in passed
    )
    lines = [f'<tr class="part"><th scope="rowgroup">{escape(part)}</th>{sums}</tr>']
    for row in rows:
        kind = ' class="all"' if all(result.outcome == "pass" for result in row) else ""
        name = escape(row[0].name)
        cells = "".join(_cell(result, anchors) for result in row)
        lines.append(f'<tr{kind}><th scope="row" title="{name}">{name}</th>{cells}</tr>')
    return f"<tbody>{chr(10).join(lines)}</tbody>"


def _cell(result: Result, anchors: Mapping[tuple[str, str, str], str]) -> str:
    level = "" if result.ulp is None else f" l{sum(result.ulp > bound for bound in LEVELS)}"
    kind = f"pass{level}" if result.outcome == "pass" else result.outcome
    words = result.reason or ("passed" if result.ulp is None else f"{result.ulp:.4g} ulp")
    text = shown(result)
    if anchor := anchors.get((result.outcome, result.part, result.name)):
        text = f'<a href="#{anchor}">{text}</a>'
    return f'<td class="{kind}" title="{escape(words)}">{text}</td>'


def _footer(report: Report) -> str:
    found = report.data()
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        "A deviation is relative to the larger of the expected number and 1, where the check says nothing else. "
        f"{escape(versions)}, {escape(found['platform'])}."
    )

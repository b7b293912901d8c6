"""What ``dlarray train`` prints about a model: metrics beside those of a linear model, classes, columns, remarks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from dlarray import tables
from dlarray.cli.output import Output
from dlarray.core.check import count
from dlarray.core.text import escape
from dlarray.tables.conversion import DATES
from dlarray.tables.layout import aligned, labelled, unbroken

__all__ = ["metrics_line", "metrics_text", "report"]

BASELINE = {"classification": "guess: the class frequencies", "regression": "guess: the mean"}
SINGLE = {  # what predicted the rows that were measured
    "validation": "by the network that has not learned from these rows",
    "folds": "each row by a network that has not learned from it",
}
NAMES = {"r2": "R²", "rmse": "RMSE", "mae": "mean absolute error", "auc": "AUC"}
MOST = 10  # classes and columns that are shown
BAR = 24
UNKNOWN = "–"


def report(out: Output, model: tables.TableModel, width: int | None) -> None:
    """Print how good a model is."""
    facts = model.facts
    out.text(metrics_text(facts))
    if facts["networks"] > 1 and facts["measured_on"] in SINGLE:
        averages = f"{SINGLE[facts['measured_on']]}; the model averages {facts['networks']} networks"
        out.text(labelled([("measured", averages)], width))
    out.text("")
    out.text(_classes(facts) if facts["task"] == "classification" else _quantiles(facts, model.target))
    if facts["importance"]:
        out.text("")
        out.text(_importance(facts))
    if facts["remarks"]:
        out.text("")
        out.text(labelled([("remark", text) for text in facts["remarks"]], width))
    out.text("")


def as_option(name: str, value: str) -> str:
    """An argument as an option of the command line."""
    return f"--{name} {shlex.quote(escape(value))}"


def unbroken_option(name: str, value: str) -> str:
    """The same for a text in which it is never wrapped."""
    return unbroken(as_option(name, value))


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Metrics in a line, such as "accuracy 97.22%, balanced accuracy 96.30%, log loss 0.0852"."""
    return ", ".join(f"{_name(name)} {_number(name, value)}" for name, value in metrics.items())


def metrics_text(facts: Mapping[str, Any]) -> str:
    """A table with the metrics of the model, of the linear model and of the guess."""
    metrics, deviations = facts["metrics"], facts.get("deviations", {})
    where = {"folds": "cross-validation"}.get(facts["measured_on"], facts["measured_on"])
    rows = f", {count(facts['rows_measured'], 'row')}" if "rows_measured" in facts else ""
    lines = [(f"{where}{rows}", *map(_name, metrics))]
    lines.append(("this model", *(_number(name, value) for name, value in metrics.items())))
    if deviations:
        lines.append(("± between parts", *(_number(name, deviations[name]) for name in metrics)))
    for kind, words in (("linear", "linear model"), ("baseline", BASELINE[facts["task"]])):
        if kind in facts:  # models of older versions have no linear model
            lines.append((words, *(_number(name, facts[kind][name]) for name in metrics if name in facts[kind])))
    return aligned(lines, right=range(1, len(metrics) + 1))


def _classes(facts: Mapping[str, Any]) -> str:
    found = sorted(facts["classes"], key=lambda entry: -entry["rows"])
    rows = [
        (escape(entry["label"]), f"{entry['rows']:,}", _share(entry["precision"]), _share(entry["recall"]))
        for entry in found[:MOST]
    ]
    text = aligned([("class", "rows", "precision", "recall"), *rows], right={1, 2, 3})
    if len(found) > MOST:
        text += f"\n… and {len(found) - MOST:,} more; --json has them all"
    return text


def _quantiles(facts: Mapping[str, Any], target: tables.Target) -> str:
    found = facts["quantiles"]
    dates = isinstance(target, tables.RegressionTarget) and target.value_kind == DATES
    shown = _day if dates else _short
    head = ("quantile", *(f"{share:.0%}" for share in found["shares"]))
    rows = [
        (escape(target.name), *map(shown, found["truth"])),
        ("prediction", *map(shown, found["prediction"])),
        (f"prediction - truth{', days' if dates else ''}", *map(_short, found["error"])),
    ]
    return aligned([head, *rows], right=range(1, len(head)))


def _day(days: float) -> str:
    """The date of so many days since 1970; days beyond the calendar as a number."""
    try:
        return str(date(1970, 1, 1) + timedelta(days=math.floor(days)))
    except OverflowError:
        return _short(days)


def _importance(facts: Mapping[str, Any]) -> str:
    found = facts["importance"]
    loss = "log loss grows" if facts["task"] == "classification" else "R² falls"
    largest = max(found[0]["value"], 1e-12)
    rows = [
        (escape(entry["column"]), _thousandths(entry["value"]), "█" * round(BAR * max(0.0, entry["value"]) / largest))
        for entry in found[:MOST]
    ]
    text = f"{loss} by, if a column is shuffled:\n{aligned(rows, right={1})}"
    return text + (f"\n… and {len(found) - MOST:,} more; --json has them all" if len(found) > MOST else "")


def _name(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    if "accuracy" in name:
        return f"{value:.2%}"
    return _thousandths(value) if name in ("r2", "auc") else _short(value)


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1%}"


def _thousandths(value: float) -> str:
    """Such as 0.839; far values by ``_short``."""
    return f"{value:.3f}".replace("-0.000", "0.000") if abs(value) < 1e4 else _short(value)


def _short(value: float) -> str:
    """Four digits, such as 0.04386 or 8.626; large numbers without an exponent, such as 12,900."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"

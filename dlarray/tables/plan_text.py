"""What will be done with a table, in words: lines that both ways of training have."""

from __future__ import annotations

from collections.abc import Callable

from dlarray.tables.column_options import columns_text
from dlarray.tables.layout import labelled
from dlarray.tables.network_plan import NetworkOptions, NetworkPlan
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.targets import ClassificationTarget, Target

__all__ = ["Argument", "network_lines", "plan_in_python", "task_lines"]

Argument = Callable[[str, str], str]
"""Writes an argument, given its name and value, as the reader would: task="regression" or --task regression."""


def task_lines(target: Target, reason: str, argument: Argument) -> list[tuple[str, str]]:
    """The task with its reason, and the threshold if there is one."""
    other = "regression" if target.task == "classification" else "classification"
    if reason not in ("as requested", "text"):  # text cannot be a regression target
        reason += f"; for {other}: {argument('task', other)}"
    found = [("task", f"{target.description} ({reason})")]
    if isinstance(target, ClassificationTarget) and target.threshold is not None:
        least = f"{target.names[1]} is predicted if its probability is at least {target.threshold:g}"
        found.append(("threshold", least))
    return found


def network_lines(plan: NetworkPlan, options: NetworkOptions) -> list[tuple[str, str]]:
    """The network and its device, and what limits its training."""
    found = [("network", f"{plan.description}, on {options.device}")]
    if options.jobs > 1:
        found.append(("jobs", f"{options.jobs} workers train networks or folds at the same time"))
    if options.max_time is not None:
        found.append(("time limit", f"{options.max_time:g} s"))
    return found


def plan_in_python(lines: Callable[[Argument], list[tuple[str, str]]], preprocessing: Preprocessing) -> str:
    """The lines and the columns, with arguments as Python has them."""
    first, *others = labelled(lines(_in_python)).splitlines()
    return "\n".join([first, "", columns_text(preprocessing, _in_python), "", *others])


def _in_python(name: str, value: str) -> str:
    listed = f"[{value!r}]" if name not in ("task", "cache") else repr(value)
    return f"{name}={listed}"

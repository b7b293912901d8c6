"""The table of ``benchmarks/tables.py``, and which goals the run has reached.

A difference is *beyond noise* if it is more than two standard errors from 0. The standard error comes from the rows of
the test parts: each of them is divided into 20 groups, and in each group both contenders have a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from report import aligned, as_markdown

HEAD = ["set", "task", "rows", "linear", "HGB", "MLP", "before", "dlarray", "noise", "loss: linear", "dlarray", "CPU s"]
TOLERANCE = 0.02
"""A log loss that is larger by this share is not worse."""


@dataclass(frozen=True)
class Goal:
    """A share of sets, or a ratio, with the figure that is to be reached."""

    words: str
    reached: float
    wanted: float
    most: bool
    """Whether ``wanted`` is the most, not the least."""
    sets: list[str]
    """The sets that speak against it."""
    count: int
    """The number of sets that it is about."""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.reached <= self.wanted if self.most else self.reached >= self.wanted

    @property
    def figure(self) -> str:
        """What is reached."""
        return self.shown(self.reached)

    @property
    def limit(self) -> str:
        """What is to be reached."""
        return f"{'at most' if self.most else 'at least'} {self.shown(self.wanted)}"

    def shown(self, value: float) -> str:
        """A share in per cent, a ratio with two decimals."""
        return f"{value:.0%}" if self.wanted < 1 else f"{value:.2f}"

    def __str__(self) -> str:
        against = f" [{', '.join(self.sets)}]" if self.sets else ""
        about = f" ({self.count} sets)"
        return f"{self.words}{about}: {self.figure}, goal {self.limit}: {'met' if self.met else 'NOT met'}{against}"


def mean(of: dict[str, Any], name: str, field: str) -> float:
    """A figure of a contender, the mean over the splits; NaN where it was not measured."""
    return float(np.mean([row[field] for row in of[name]])) if of.get(name) else float("nan")


def difference(of: dict[str, Any], one: str, other: str) -> tuple[float, float]:
    """How much higher the score of one is, and the standard error of that over the groups of test rows."""
    pairs = zip(of[one], of[other], strict=True)
    groups = np.concatenate([np.subtract(a["groups"], b["groups"]) for a, b in pairs])
    higher = mean(of, one, "score") - mean(of, other, "score")
    return higher, float(groups.std(ddof=1) / np.sqrt(len(groups)))


def goals(sets: dict[str, Any]) -> list[Goal]:
    """The goals, with what is reached in these sets."""
    found: list[Goal] = []

    def share(words: str, wanted: float, holds: Callable[[Any], bool], needs: str, *, most: bool = False) -> None:
        about = {name: s for name, s in sets.items() if {"dlarray", needs} <= s["of"].keys()}
        if words.startswith("log loss"):
            about = {name: s for name, s in about.items() if s["task"] == "classification"}
        if about:
            true = [name for name, s in about.items() if holds(s["of"])]
            against = true if most else [name for name in about if name not in true]
            found.append(Goal(words, len(true) / len(about), wanted, most, against, len(about)))

    def worse_beyond_noise(of: Any) -> bool:
        higher, error = difference(of, "dlarray", "linear")
        return higher < -2 * error

    share("worse than linear beyond noise", 0.05, worse_beyond_noise, "linear", most=True)
    share("better than scikit-learn's MLP", 0.8, lambda of: difference(of, "dlarray", "MLP")[0] > 0, "MLP")
    share("at least level with HGB", 0.6, lambda of: difference(of, "dlarray", "HGB")[0] >= 0, "HGB")
    share(
        f"log loss no worse than logistic's (by {TOLERANCE:.0%})",
        0.9,
        lambda of: mean(of, "dlarray", "loss") <= (1 + TOLERANCE) * mean(of, "linear", "loss"),
        "linear",
    )
    timed = {name: s["of"] for name, s in sets.items() if {"dlarray", "before"} <= s["of"].keys()}
    if timed:
        ratios = {n: mean(of, "dlarray", "seconds") / mean(of, "before", "seconds") for n, of in timed.items()}
        total = sum(mean(of, "dlarray", "seconds") for of in timed.values())
        ratio = total / sum(mean(of, "before", "seconds") for of in timed.values())
        words = "CPU time / that of the earlier defaults"
        found.append(Goal(f"{words}, median of the sets", median(ratios.values()), 3, True, [], len(timed)))
        found.append(Goal(f"{words}, sum of the sets", ratio, 3, True, [], len(timed)))
    return found


def row(name: str, entry: dict[str, Any]) -> list[str]:
    """A line of the table: scores of all, and losses and CPU time of dlarray."""
    of = entry["of"]

    def figure(who: str, field: str, digits: int = 3) -> str:
        value = mean(of, who, field)
        return "–" if np.isnan(value) else f"{value:.{digits}f}" if field == "score" else f"{value:.3g}"

    noise = f"{difference(of, 'dlarray', 'linear')[1]:.3f}" if {"dlarray", "linear"} <= of.keys() else "–"
    scores = [figure(who, "score") for who in ("linear", "HGB", "MLP", "before", "dlarray")]
    losses = [figure(who, "loss") for who in ("linear", "dlarray")]
    kind = "accuracy" if entry["task"] == "classification" else "R²"
    return [name, kind, f"{entry['rows']:,}", *scores, noise, *losses, figure("dlarray", "seconds")]


def markdown(result: dict[str, Any]) -> str:
    """The goals and the tables of both lists as Markdown."""
    kinds = dict.fromkeys(entry["list"] for entry in result["sets"].values())
    lists = {kind: {n: e for n, e in result["sets"].items() if e["list"] == kind} for kind in kinds}
    named = {**lists, "all": result["sets"]}
    reached = {kind: goals(sets) for kind, sets in named.items()}
    head = ["", "goal", *(f"{kind}, {len(sets)} sets" for kind, sets in named.items())]
    rows = zip(*reached.values(), strict=True)
    table = [head, *([row[0].words, row[0].limit, *(goal.figure for goal in row)] for row in rows)]
    parts = [as_markdown(table)]
    for kind, sets in lists.items():
        parts += [f"{kind}:", as_markdown([HEAD, *(row(name, entry) for name, entry in sets.items())])]
    return "\n\n".join(parts)


def text(result: dict[str, Any]) -> str:
    """The tables of both lists and the goals of each."""
    lines: list[str] = []
    for kind in dict.fromkeys(entry["list"] for entry in result["sets"].values()):
        sets = {name: entry for name, entry in result["sets"].items() if entry["list"] == kind}
        lines += [f"{kind}: {len(sets)} sets", *aligned([HEAD, *(row(name, entry) for name, entry in sets.items())])]
        lines += ["", *map(str, goals(sets)), ""]
    if len({entry["list"] for entry in result["sets"].values()}) > 1:
        lines += ["all sets", *map(str, goals(result["sets"]))]
    return "\n".join(lines)

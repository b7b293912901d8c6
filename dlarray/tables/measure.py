"""How good a model is: its metrics beside those of the guess and of a linear model, and remarks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.check import count
from dlarray.core.text import escape, quote
from dlarray.tables.linear import linear_outputs
from dlarray.tables.scores import class_scores, quantiles
from dlarray.tables.targets import ClassificationTarget, RegressionTarget, Target

__all__ = ["Measured", "Part", "measure", "remarks"]

UNMEASURED = 6  # names of classes without measured rows that a remark shows


@dataclass(frozen=True)
class Part:
    """Rows on which a model is measured, its ``outputs`` for them, and the rows that it was trained on.

    ``weight`` are the weights of the training rows, or None. ``plain`` is a mask of the features for a linear model.
    """

    x_train: np.ndarray
    t_train: np.ndarray
    x: np.ndarray
    t: np.ndarray
    outputs: np.ndarray
    plain: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Measured:
    """Metrics as JSON-ready data, and the loss of each row for the model, the linear model and the guess."""

    facts: dict[str, Any]
    losses: dict[str, np.ndarray]


def measure(parts: Sequence[Part], target: Target) -> Measured:
    """The metrics of the model, of a linear model trained on the same rows, and of the guess (``Target.baseline``).

    Of several parts, such as folds, they are means over the parts; ``deviations`` are the standard deviations. All
    rows together give the scores of each class, or the quantiles of truth and prediction.
    """
    kinds = ("metrics", "linear", "baseline")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    losses: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for part in parts:
        outputs = {
            "metrics": part.outputs,
            "linear": _linear(part, target),
            "baseline": target.baseline(part.t_train, len(part.t)),
        }
        for kind, y in outputs.items():
            found[kind].append(target.metrics(part.t, y))
            losses[kind].append(target.losses(part.t, y))
    facts: dict[str, Any] = {kind: _over(np.mean, found[kind]) for kind in kinds}
    if len(parts) > 1:
        facts["deviations"] = _over(np.std, found["metrics"])
    t, y = np.concatenate([part.t for part in parts]), np.concatenate([part.outputs for part in parts])
    if isinstance(target, ClassificationTarget):
        facts["classes"] = class_scores(t, target.choose(y), target.names)
    elif isinstance(target, RegressionTarget):
        facts["quantiles"] = quantiles(target.unscale(t), target.unscale(y))
    return Measured(facts, {kind: np.concatenate(each) for kind, each in losses.items()})


def _linear(part: Part, target: Target) -> np.ndarray:
    x_train, x = part.x_train[:, part.plain], part.x[:, part.plain]
    return linear_outputs(x_train, part.t_train, x, target.loss, target.outputs, part.weight)


def remarks(measured: Measured, target: Target, suspects: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader should know about the metrics: no gain over the guess or the linear model, or columns that leak."""
    found: list[str] = []
    if suspects:
        names = [suspect["column"] for suspect in suspects]
        one = len(names) == 1
        columns = (
            f"the column {quote(names[0])} alone predicts" if one else f"the columns {_listed(names)} each predict"
        )
        drop = " ".join(f"--drop {shlex.quote(escape(name))}" for name in names)
        found.append(
            f"{columns} {quote(target.name)} almost exactly. If such a column is not known before {quote(target.name)} "
            f"is, the metrics are too good: leave it out with {drop}"
        )
    losses = measured.losses
    unseen = [entry["label"] for entry in measured.facts.get("classes", ()) if not entry["rows"]]
    if unseen:
        found.append(_unmeasured(unseen, len(losses["metrics"])))
    rows = count(len(losses["metrics"]), "row")
    guess = _verdict(losses["baseline"], losses["metrics"], "guess", rows)
    linear = _verdict(losses["linear"], losses["metrics"], "linear model", rows)
    if linear and not _verdict(losses["baseline"], losses["linear"], "guess", rows) and _far_behind(losses):
        verdict = (
            f"{guess}, although the linear model is better" if guess else f"{linear} and little better than the guess"
        )
        return [
            *found,
            f"{verdict}: the training went wrong or was too short. Try a smaller --learning-rate, more --epochs, or "
            "more time with --max-time",
        ]
    if guess:
        return [*found, f"{guess}: the columns may say nothing about the target, or there are too few rows"]
    return [*found, *([f"{linear}: the linear model is simpler and its weights can be read"] if linear else [])]


def _unmeasured(names: list[str], measured: int) -> str:
    """A remark about classes of which no row was measured."""
    shown = ", ".join(map(quote, names[:UNMEASURED]))
    if len(names) > UNMEASURED:
        shown += f" and {len(names) - UNMEASURED:,} more"
    classes, them = (f"the class {shown} has", "it") if len(names) == 1 else (f"the classes {shown} have", "them")
    return (
        f"{classes} no row among the {measured:,} measured ones: how well the model predicts {them} is not known. "
        "Give more such rows, or measure on all rows with --folds 5"
    )


def _far_behind(losses: dict[str, np.ndarray]) -> bool:
    """Whether the model has less than a quarter of the gain over the guess that the linear model has."""
    model, linear, guess = (float(np.mean(losses[kind])) for kind in ("metrics", "linear", "baseline"))
    return not guess - model >= 0.25 * (guess - linear)


def _verdict(other: np.ndarray, model: np.ndarray, name: str, rows: str) -> str:
    """Whether the model, by the losses of its rows, is worse or no better than another one; "" if it is better.

    Better is what lowers the mean loss by more than the standard error of the difference.
    """
    gain = other - model
    error = float(np.std(gain)) / np.sqrt(len(gain))
    if not float(np.mean(gain)) >= -error:
        return f"the model is worse than the {name}"
    return f"the model is no better than the {name}, as far as {rows} can show" if float(np.mean(gain)) <= error else ""


def _listed(names: list[str]) -> str:
    return f"{', '.join(map(quote, names[:-1]))} and {quote(names[-1])}"


def _over(statistic: Any, each: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(statistic([metrics[name] for metrics in each])) for name in each[0]}

"""The model fitted to what ``scaling.py`` has measured, and the steps that it predicts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dlarray.bench import Case, scaling

HERE = "this machine"
OPERATIONS = {
    "all_reduce": scaling.all_reduce,
    "reduce_scatter": scaling.reduce_scatter,
    "all_gather": scaling.all_gather,
    "at_once": scaling.all_reduce,
}
AT_ONCE = 8
"""As in ``scaling_worker.py``, which imports MPI."""
CALIBRATION = "calibration"


class Key(NamedTuple):
    """One kind of step that was measured."""

    where: str
    ranks: int
    threads: int
    name: str
    kind: str
    batch: int


@dataclass(frozen=True)
class Compared:
    """A measured step of several ranks, and its prediction."""

    key: Key
    measured: float
    predicted: scaling.Prediction

    @property
    def deviation(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted.seconds / self.measured - 1


class Evaluation:
    """The fits of a file of results, and the steps that they predict."""

    def __init__(self, result: dict[str, Any]) -> None:
        self.cores: int = result["cores"]
        self.cases: dict[str, Case] = {name: Case.named(text) for name, text in result["cases"].items()}
        self.steps: dict[Key, float] = {}
        self.spread: dict[str, list[float]] = {}
        times: dict[Key, list[float]] = defaultdict(list)
        sums: dict[tuple[str, int, str, int], list[float]] = defaultdict(list)
        updates: dict[str, list[float]] = defaultdict(list)
        for start in result["starts"]:
            for step in start["steps"]:
                key = Key(
                    start["link"], start["ranks"], start["threads"], *(step[k] for k in ("name", "kind", "batch"))
                )
                times[key].append(step["seconds"])
                if step["times"]:
                    self.spread.setdefault(step["name"], []).extend(t / step["seconds"] for t in step["times"])
            for size, of in start["sums"].items():
                for operation, seconds in of.items():
                    sums[start["link"], start["ranks"], operation, int(size)].append(seconds)
            for case, seconds in start["update"].items():
                updates[case].append(seconds)
        self.steps = {key: min(of) for key, of in times.items()}  # other programs only make a step slower
        self.sums = {key: min(of) for key, of in sums.items()}
        self.costs = {name: self._cost(name, min(updates[result["cases"][name]])) for name in self.cases}
        self.links = {group: self._link(*group) for group in dict.fromkeys(self._group(*key[:2]) for key in self.sums)}
        sharing = self._sharing()
        self.costs = {
            name: (cost, replace(shared, value=replace(shared.value, sharing=sharing)))
            for name, (cost, shared) in self.costs.items()
            if name != CALIBRATION
        }
        self.cases.pop(CALIBRATION, None)
        self.compared = [
            Compared(key, seconds, self.predict(key))
            for key, seconds in self.steps.items()
            if key.kind != "alone" and key.name in self.cases and self._group(key.where, key.ranks) in self.links
        ]

    def _group(self, link: str, ranks: int) -> tuple[str, int]:
        """Ranks with a core each share the constants of a link; more ranks than cores wait for one another."""
        return link, 0 if ranks <= self.cores else ranks

    def _cost(self, name: str, update: float) -> tuple[scaling.Fitted[scaling.StepCost], ...]:
        """The cost of the step on one rank, and the same with the contention of several."""
        of = [
            (key, s) for key, s in self.steps.items() if key.name == name and key.kind == "alone" and key.threads == 1
        ]
        one = {key.batch: s for key, s in of if key.ranks == 1}
        cost = scaling.fit_cost(list(one), list(one.values()), update)
        several = [(key.ranks, key.batch, s) for key, s in of if key.ranks > 1]
        return cost, scaling.fit_contention(cost.value, self.cores, several)

    def _link(self, link: str, ranks: int) -> scaling.Fitted[scaling.Link]:
        timings = [
            scaling.Timing((OPERATIONS[operation](n, size),) * (AT_ONCE if operation == "at_once" else 1), seconds)
            for (where, n, operation, size), seconds in self.sums.items()
            if self._group(where, n) == (link, ranks)
        ]
        return scaling.fit_link(timings, two_bandwidths=link == HERE)

    def _sharing(self) -> float:
        """What a step of the smallest network takes on ranks with a core each, beyond what is predicted without it."""
        found = [
            (seconds - self.predict(key).seconds) / self.costs[key.name][1].value.slowdown(key.ranks, self.cores)
            for key, seconds in self.steps.items()
            if key.name == CALIBRATION and key.kind == "together" and 1 < key.ranks <= self.cores
        ]
        return max(0.0, *found) if found else 0.0

    def predict(self, key: Key) -> scaling.Prediction:
        """The prediction of one kind of step."""
        return scaling.predict(
            scaling.layers(self.cases[key.name].widths),
            self.costs[key.name][1].value,
            self.links[self._group(key.where, key.ranks)].value,
            self.cases[key.name].batch,
            key.ranks,
            on_one_machine=key.ranks,
            cores=self.cores,
            shard=key.kind == "sharded",
        )

    def network(self, bits: float, latency: float) -> scaling.Link:
        """A link of the simulation: its numbers, and the additions as this machine makes them."""
        adding = next((fit.value.adding for group, fit in self.links.items() if group == (HERE, 0)), 0.0)
        return scaling.Link(latency, bits / 8, adding)

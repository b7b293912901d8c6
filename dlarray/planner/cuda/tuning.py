"""The algorithm of each product and the epilogues to use, chosen by measured time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dlarray.planner.cuda.epilogues import Fused, Option, options
from dlarray.planner.cuda.gpu import Product
from dlarray.planner.cuda.jobs import ALGORITHMS, Job, Jobs
from dlarray.planner.schedule.lowering import Body
from dlarray.planner.schedule.order import Unit
from dlarray.planner.trace.node import Node

__all__ = ["Tuning"]

BETTER = 0.98
"""An option is taken if it needs at most this share of the time: smaller gains are within the error of the clock."""


@dataclass
class Tuning:
    """The choices for a plan. They stay when the plan is bound to another state.

    ``report`` has a row for each measured option: its name, its seconds, and the seconds of what it would replace.
    """

    jobs: Jobs
    taken: list[Option] = field(default_factory=list[Option])
    report: list[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])
    _algorithms: dict[object, int] = field(default_factory=dict[object, int])
    _masks: dict[Node, int] = field(default_factory=dict[Node, int])
    _possible: list[Option] = field(default_factory=list[Option])
    """Those of ``taken`` that are possible with the addresses of the state."""

    def prepare(self) -> None:
        """Reserve the memory that options can need, before the arena has an address."""
        for option in options(self.jobs.plan):
            self.jobs.widen(choice for choice in option.instead.values() if isinstance(choice, Body))
            for fused in option.instead.values():
                if isinstance(fused, Fused) and fused.mask is not None and fused.mask not in self._masks:
                    rows, n = fused.mask.shape
                    self._masks[fused.mask] = self.jobs.arena.part(rows * -(-n // 128) * 128 // 8)

    def measure(self) -> None:
        """Measure and choose. The measured work writes only into the arena, whose values no later step needs."""
        for option in options(self.jobs.plan):
            overlapped = [o for o in self.taken if o.instead.keys() & option.instead.keys()]
            whole = all(o.instead.keys() <= option.instead.keys() for o in overlapped)
            if not whole or self._writes_state(option):
                continue
            others = [o for o in self.taken if o not in overlapped]
            if not self._is_possible(option):
                continue
            now = self._seconds(self._jobs_of(option.instead, self._choices(self.taken)))
            then = self._seconds(self._jobs_of(option.instead, self._choices([*others, option])))
            self.report.append((option.name, then, now))
            if then <= BETTER * now:
                self.taken = [*others, option]

    def job_list(self) -> list[Job]:
        """The jobs of the plan, in order, with the chosen options that the addresses of the state allow."""
        self._possible = [option for option in self.taken if self._is_possible(option)]
        return self._jobs_of(self.jobs.plan.units, self._choices(self._possible))

    def by_unit(self) -> dict[Unit, Job]:
        """The job of each unit that has one."""
        choices = self._choices(self._possible)
        made = {unit: self._job(unit, choices.get(unit, unit)) for unit in self.jobs.plan.units}
        return {unit: job for unit, job in made.items() if job is not None}

    def chosen(self, unit: Unit) -> Unit | Fused | Body | None:
        """How a unit is computed: unchanged, by an option, or not at all (None)."""
        return self._choices(self._possible).get(unit, unit)

    def _choices(self, taken: Iterable[Option]) -> dict[Unit, Fused | Body | None]:
        return {unit: choice for option in taken for unit, choice in option.instead.items()}

    def _jobs_of(self, units: Iterable[Unit], choices: dict[Unit, Fused | Body | None]) -> list[Job]:
        made = [self._job(unit, choices.get(unit, unit)) for unit in self._in_order(units)]
        return [job for job in made if job is not None]

    def _in_order(self, units: Iterable[Unit]) -> list[Unit]:
        chosen = set(units)
        return [unit for unit in self.jobs.plan.units if unit in chosen]

    def _job(self, unit: Unit, choice: Unit | Fused | Body | None) -> Job | None:
        if choice is None:
            return None
        if isinstance(choice, Body):
            return self.jobs.kernel(choice)
        if isinstance(choice, Fused):
            unit, product = choice.unit, self._product(choice)
        else:
            product = self.jobs.product(unit) if unit.op == "matmul" else None
        return (product and self._fastest(unit, product)) or self.jobs.job(unit)

    def _is_possible(self, option: Option) -> bool:
        """Whether there are algorithms for its products at the current addresses."""
        products = [self._product(fused) for fused in option.instead.values() if isinstance(fused, Fused)]
        return all(product is not None and self.jobs.gpu.algorithms(product, 1) for product in products)

    def _product(self, fused: Fused) -> Product | None:
        plain = self.jobs.product(fused.unit)
        if plain is None:
            return None
        return replace(
            plain,
            out=self.jobs.address(fused.out),
            epilogue=fused.epilogue,
            bias=0 if fused.bias is None else self.jobs.address(fused.bias),
            mask=0 if fused.mask is None else self.jobs.part(self._masks[fused.mask]),
        )

    def _fastest(self, unit: Unit, product: Product) -> Job | None:
        """The product by the algorithm that was the fastest at the first measurement."""
        found = self.jobs.gpu.algorithms(product, ALGORITHMS)
        if not found:
            return None
        key = (unit, product.epilogue)
        if key not in self._algorithms:
            times = [self.jobs.gpu.seconds(run) for run in found] if len(found) > 1 else [0.0]
            self._algorithms[key] = times.index(min(times))
        title = f"product {product.m} × {product.k} by {product.k} × {product.n}"
        chosen = found[min(self._algorithms[key], len(found) - 1)]
        return Job(f"{title}, {product.epilogue}" if product.epilogue else title, [(chosen, ())])

    def _seconds(self, jobs: list[Job]) -> float:
        def run() -> None:
            for job in jobs:
                job()

        return self.jobs.gpu.seconds(run)

    def _writes_state(self, option: Option) -> bool:
        """Whether measuring would change the state: one of the kernels writes into it."""
        locations = self.jobs.plan.locations
        return any(locations[node].kind == "input" for unit in option.instead for node in unit.outputs)

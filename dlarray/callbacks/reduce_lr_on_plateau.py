"""Reduce the learning rate when a metric no longer improves."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlarray.callbacks.monitor import Monitored, is_better
from dlarray.core.check import at_least_one, non_negative, real, whole
from dlarray.training.callback import Memory, Run

__all__ = ["ReduceLROnPlateau"]


@dataclass(frozen=True)
class ReduceLROnPlateau(Monitored):
    """η ← factor · η after ``patience`` consecutive epochs in which the monitored metric has not improved.

    It multiplies the rate of the optimizer or its schedule. After a reduction, ``cooldown`` epochs are not
    counted. η never falls below ``min_lr``. ``monitor``, ``mode`` and ``min_delta`` are those of ``Monitored``. Raises
    ValueError for a factor outside (0, 1), patience below 1, cooldown or min_lr below 0. Source: torch's
    ReduceLROnPlateau, which reduces one epoch later: it allows ``patience`` epochs without improvement.
    """

    factor: float = field(default=0.1, kw_only=True)
    patience: int = field(default=10, kw_only=True)
    cooldown: int = field(default=0, kw_only=True)
    min_lr: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < non_negative("factor", self.factor) < 1:
            raise ValueError(f"factor must lie between 0 and 1, got {self.factor!r}")
        at_least_one("patience", self.patience)
        non_negative("cooldown", self.cooldown)
        non_negative("min_lr", self.min_lr)

    def check_memory(self, run: Run, memory: Memory) -> None:
        for name in ("waited", "cooling"):
            whole(name, memory.get(name, 0))
        if "best" in memory:
            real("best", memory["best"])

    def on_start(self, run: Run) -> None:
        self.sign(run)
        run.check_rate_can_change()

    def on_epoch(self, run: Run) -> None:
        mine = run.memory(self)
        value = run.metrics[self.metric(run)]
        waited, cooling = mine.get("waited", 0) + 1, mine.get("cooling", 0)
        if is_better(value, mine.get("best"), self.sign(run), self.min_delta):
            mine["best"] = value
            waited = 0
        if cooling:
            cooling, waited = cooling - 1, 0
        if waited >= self.patience:
            rate = run.rate
            run.rate_scale *= max(self.factor, min(1.0, self.min_lr / rate)) if rate else 1.0
            cooling, waited = self.cooldown, 0
        mine |= {"waited": waited, "cooling": cooling}

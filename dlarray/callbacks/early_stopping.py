"""Stop training when a metric no longer improves, and return the best weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlarray.callbacks.monitor import Monitored, is_better
from dlarray.core.check import at_least_one, real, whole
from dlarray.training.callback import Memory, Run, check_shapes
from dlarray.training.json_data import entries

__all__ = ["EarlyStopping"]


@dataclass(frozen=True)
class EarlyStopping(Monitored):
    """Stop after ``patience`` consecutive epochs in which the monitored metric has not improved.

    ``fit`` returns the weights and the buffers of the best epoch; with ``restore=False`` those of the last. An epoch
    that ``max_steps`` or ``max_time`` ended early counts too: if its metric is the best, its weights are returned.
    ``monitor``, ``mode`` and ``min_delta`` are those of ``Monitored``. Raises ValueError for patience below 1. Source:
    Prechelt 1998, "Early Stopping - But When?"; Keras's EarlyStopping.
    """

    patience: int = field(default=10, kw_only=True)
    restore: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("patience", self.patience)

    def check_memory(self, run: Run, memory: Memory) -> None:
        whole("waited", memory.get("waited", 0))
        if memory.keys() & {"best", "epoch", "theta", "buffers"}:
            entries("it", memory, "best", "epoch", "theta", "buffers")
            real("best", memory["best"])
            whole("epoch", memory["epoch"], 1, run.epoch)
            for name in ("theta", "buffers"):
                check_shapes(name, memory[name], run.state[name])

    def on_start(self, run: Run) -> None:
        self.sign(run)  # raises before the first step if the metric is not measured
        mine = run.memory(self)
        if mine.get("waited", 0) >= self.patience:  # the resumed run had stopped already
            self._stop(run, mine)

    def on_epoch(self, run: Run) -> None:
        mine = run.memory(self)
        if self._better(run, mine):
            now, value = run.trained, run.metrics[self.metric(run)]
            mine |= {"best": value, "epoch": run.epoch, "waited": 0, "theta": now.theta, "buffers": now.buffers}
            return
        mine["waited"] = mine.get("waited", 0) + 1
        if mine["waited"] >= self.patience:
            self._stop(run, mine)

    def on_end(self, run: Run) -> None:
        mine = run.memory(self)
        if not self.restore:
            return
        if (
            run.error is None and run.epoch_incomplete and self._better(run, mine)
        ):  # not in the memory: a checkpoint has only complete epochs
            run.set_result(run.trained.theta, run.trained.buffers)
        elif "best" in mine:
            run.set_result(mine["theta"], mine["buffers"])

    def _better(self, run: Run, mine: Memory) -> bool:
        return is_better(run.metrics[self.metric(run)], mine.get("best"), self.sign(run), self.min_delta)

    def _stop(self, run: Run, mine: Memory) -> None:
        best = f"{mine['best']:.6g} in epoch {mine['epoch']}" if "best" in mine else "never a number"
        run.stop(f"{self.metric(run)} has not improved for {self.patience} epochs; the best was {best}")

"""The progress bar of ``fit``, by tqdm, which is imported when a bar is shown."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Bar", "progress_bar", "progress_title"]

_title: ContextVar[str] = ContextVar("title", default="")


@contextmanager
def progress_title(text: str) -> Generator[None]:
    """The bars that are made in this context begin with a text, such as "2/5", if it is not empty."""
    token = _title.set(f"{text} " if text else "")
    try:
        yield
    finally:
        _title.reset(token)


def progress_bar(total: int | None, initial: int, epoch: int, epochs: int, shown: bool | None) -> Bar:
    """A bar of steps on stderr. If ``shown`` is None, it is shown on a terminal only."""
    if shown is None:
        shown = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    return _Shown(total, initial, epoch, epochs) if shown else Bar()


class Bar(AbstractContextManager["Bar"]):
    """What the training loop calls of a bar. This one shows nothing."""

    def update(self, n: int = 1) -> Any:
        """Count n more steps."""

    def show_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show how many epochs are complete, and the metrics of the last one."""

    def __exit__(self, *error: object) -> None:
        pass


class _Shown(Bar):
    """The epoch, losses, metrics and the time left: within 80 columns for the usual three numbers.

    What a narrower terminal cuts off is the time, not a digit of a metric.
    """

    def __init__(self, total: int | None, initial: int, epoch: int, epochs: int) -> None:
        from tqdm import tqdm

        self._title, self._epochs, self._total = _title.get(), epochs, total
        form = self._form(epoch, {})
        self._bar: Any = tqdm(total=total, initial=initial, bar_format=form, dynamic_ncols=True, smoothing=0)
        self.update = self._bar.update

    def show_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._bar.bar_format = self._form(epoch, metrics)
        self._bar.refresh()

    def __exit__(self, *error: object) -> None:
        self._bar.bar_format = self._bar.bar_format.replace("|{bar}| ", "").replace("{remaining} left", "{elapsed}")
        self._bar.close()  # training may have stopped early: nothing is left then

    def _form(self, epoch: int, metrics: Mapping[str, float]) -> str:
        numbers = "".join(f"{_short(name)} {_number(value)}, " for name, value in metrics.items())
        steps = "{n_fmt} steps, " if self._total is None else "|{bar}| "
        left = "{elapsed}" if self._total is None else "{remaining} left"
        return f"{self._title}epoch {epoch}/{self._epochs}: {steps}{numbers}{left}"


def _short(name: str) -> str:
    """validation_loss is "validation", validation_accuracy is "accuracy"."""
    return "validation" if name == "validation_loss" else name.removeprefix("validation_")


def _number(value: float) -> str:
    """Five characters where they are enough: 0.070, 12.34, 123.4, 12345, 8e-04."""
    size = abs(value)
    if size < 0.001 or size >= 99999:
        return f"{value:.0e}" if value and size < 1 else f"{value:.3g}"
    return f"{value:.{max(0, 3 - len(str(int(size))) + 1)}f}" if size >= 1 else f"{value:.3f}"

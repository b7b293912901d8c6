"""The progress bar of ``fit``, by tqdm, which is imported when a bar is shown."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Bar", "progress_bar"]


class Bar(AbstractContextManager[Any], Protocol):
    """What the training loop calls of a bar."""

    def update(self, n: int = 1) -> Any:
        """Count n more steps."""
        ...

    def set_postfix_str(self, s: str) -> None:
        """Show this text at the end of the bar."""
        ...


def progress_bar(total: int | None, initial: int, title: str, shown: bool | None) -> Bar:
    """A bar of steps on stderr. If ``shown`` is None, it is shown on a terminal only."""
    if shown is None:
        shown = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    if not shown:
        return _Hidden()
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit="step", desc=title)


class _Hidden(Bar):
    def update(self, n: int = 1) -> None:
        pass

    def set_postfix_str(self, s: str) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

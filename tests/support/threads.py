"""The same work in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["at_once"]


def at_once(work: Callable[[int], None], count: int = 6) -> None:
    """Run ``work(k)`` for each k below ``count``, each in its own thread; all start at the same time."""
    start = threading.Barrier(count)

    def begin(k: int) -> None:
        start.wait()
        work(k)

    threads = [threading.Thread(target=begin, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

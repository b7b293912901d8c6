"""One thread that reads ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ReadingThread"]

_T = TypeVar("_T")


class ReadingThread:
    """Runs functions one after the other in a thread, which starts with the first and ends with ``close``.

    An error of a function is raised where its result is asked for. A long function asks ``closed`` from time to time,
    and returns early when it is True.
    """

    def __init__(self) -> None:
        self.closed = False
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[[], _T]) -> Future[_T]:
        """The result of a function, which runs when the earlier ones have ended. RuntimeError after ``close``."""
        if self.closed:
            raise RuntimeError("the thread that reads data has ended")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="dlarray-blocks")
        return self._pool.submit(function)

    def results(self, functions: Iterable[Callable[[], _T]]) -> Iterator[_T]:
        """The results in order. Each function runs while the result of the one before is used."""
        waiting: Future[_T] | None = None
        for function in functions:
            following = self.submit(function)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

    def close(self) -> None:
        """Wait for the function that runs, drop the others, and end the thread."""
        self.closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

"""Functions computed by several workers at once, through joblib: by processes, or by threads or Dask if chosen."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Any, TypeVar

from dlarray.core.check import at_least_one

__all__ = ["effective_jobs", "rounds", "spread"]

T = TypeVar("T")
_Warned = tuple[str, type[Warning], str, int]
"""A warning: its text, class, file and line."""


def effective_jobs(jobs: int) -> int:
    """The number of workers for ``jobs`` of a user: -1 is one for each CPU core, or each of a cluster's.

    Raises ValueError for 0 and other negative numbers, TypeError for anything but an integer, and ImportError if more
    than one is asked for and joblib is missing.
    """
    if jobs != -1 and at_least_one("jobs", jobs) == 1:
        return 1
    return int(_joblib().effective_n_jobs(jobs))


def rounds(tasks: int, jobs: int) -> int:
    """How many tasks one after another a worker has at most."""
    return -(-tasks // jobs)


def spread(
    function: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    jobs: int,
    total: int,
    what: str,
    progress: bool | None,
) -> Generator[T]:
    """The results of ``function(*a)`` for each a, in order. The next a is read when a worker is free.

    With one job everything is computed here. Otherwise a bar on stderr counts the results, of ``total``, and warnings
    of other processes are given here. An error of a worker, or an interrupt here, ends all workers.
    """
    if jobs == 1:
        yield from (function(*a) for a in arguments)
        return
    from tqdm import tqdm

    joblib, here = _joblib(), os.getpid()
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    parallel = joblib.Parallel(jobs, return_as="generator", pre_dispatch=jobs, batch_size=1)
    found = parallel(joblib.delayed(_recorded)(here, function, a) for a in arguments)
    seen: dict[Any, Any] = {}  # equal warnings of several workers are one
    form = "{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}"
    with tqdm(total=total, desc=what, bar_format=form, dynamic_ncols=True, disable=not shown) as bar:
        try:
            for result, given in found:
                for text, category, file, line in given:
                    warnings.warn_explicit(text, category, file, line, registry=seen)
                bar.update()
                yield result
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib warns of results that nobody has read
                found.close()


def _recorded(caller: int, function: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T, list[_Warned]]:
    """The result, and the warnings that it has given if this is another process than the caller's."""
    if os.getpid() == caller:  # in a thread: its warnings are the caller's
        return function(*arguments), []
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        result = function(*arguments)
    return result, [(str(one.message), one.category, one.filename, one.lineno) for one in given]


def _joblib() -> Any:
    try:
        return import_module("joblib")
    except ImportError as error:
        hint = 'more than one job needs joblib, which comes with scikit-learn: pip install "dlarray[sklearn]"'
        raise ImportError(f"{hint} ({error})", name="joblib") from error

"""Dask: arrays in chunks, on one machine or on many. Operations are recorded, and computed after each step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array

__all__ = ["DaskBackend", "backend"]


class DaskBackend(OneDevice):
    """Arrays of dask.array, of which each that dlarray makes is one chunk.

    They are computed by the scheduler that Dask is configured for: threads, or a cluster.
    """

    name = "dask"
    array_modules = ("dask",)
    requirement = "dlarray[dask]"
    writes_in_place = False
    lazy = True

    def namespace(self) -> Any:
        import array_api_compat.dask.array as xp

        return xp

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import dask.array

        return dask.array.from_array(np.array(host), chunks=-1, name=False)  # a name would be a hash of the numbers

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x.compute())

    def settle(self, tree: Any) -> Any:
        import dask

        return dask.persist(tree)[0]

    @contextmanager
    def computations(self) -> Generator[list[str]]:
        from dask.callbacks import Callback

        tasks: list[str] = []

        def before(key: object, graph: object, state: object) -> None:
            tasks.append(str(key))

        with Callback(pretask=before):
            yield tasks


backend = DaskBackend()

"""The checks of transfers, of lazy libraries and of speed: they see what a library does, and who did it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest

from dlarray.backend import Overlay
from dlarray.core import libraries
from dlarray.testing import lazy, runner, speed, transfers
from dlarray.testing.check import Check
from dlarray.testing.columns import Column, columns
from dlarray.testing.watch import watching
from tests.testing import narrow

NUMBERS = count()
TORCH = Column("torch-float32", "torch", "float32")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Column]]:
    """A column of a backend for the test library, with some functions of its namespace replaced."""

    used: list[str] = []

    def one(kind: type[narrow.NarrowBackend] = narrow.NarrowBackend, **own: Any) -> Column:
        name = f"narrow{next(NUMBERS)}"  # a device is resolved once for each name
        backend = type(kind.__name__, (kind,), {"name": name})()
        backend.space = Overlay(narrow.NarrowBackend.space, **own)
        for old in used:
            monkeypatch.delitem(libraries._loaded, old)
        used[:] = [name]
        monkeypatch.setitem(libraries._loaded, name, backend)
        libraries._library_of.clear()
        libraries.NAMESPACES.clear()
        return Column(name, name)

    yield one
    libraries._library_of.clear()
    libraries.NAMESPACES.clear()


def reasons(column: Column, checks: list[Check]) -> dict[str, str]:
    results = runner.run(column, checks)
    assert {r.outcome for r in results} <= {"pass", "fail", "skip"}
    return {r.name: r.reason for r in results if r.outcome == "fail"}


def test_torch_transfers_nothing() -> None:
    results = runner.run(TORCH, transfers.checks())
    assert {r.outcome for r in results} == {"pass"}, results
    assert {r.outcome for r in runner.run(columns("cpu")[0], transfers.checks())} == {"skip"}
    assert {r.outcome for r in runner.run(TORCH, lazy.checks())} == {"skip"}


def test_reads_and_transfers_are_listed_with_their_line_and_put_back_afterwards() -> None:
    x = TORCH.array([1.0])
    before = type(x).__bool__, type(x).__float__, dict(vars(TORCH.backend))
    with watching(TORCH) as seen:
        bool(x)
        float(x)
        TORCH.numpy(x)
        TORCH.array([2.0])
    assert [line.partition(" in ")[0] for line in seen] == ["__bool__", "__float__", "to_numpy", "asarray"]
    assert "testing/test_transfers.py, line " in seen[0]
    assert (type(x).__bool__, type(x).__float__, dict(vars(TORCH.backend))) == before
    with pytest.raises(RuntimeError), watching(TORCH):
        raise RuntimeError
    assert (type(x).__bool__, type(x).__float__, dict(vars(TORCH.backend))) == before


def test_a_namespace_that_reads_is_seen(use: Callable[..., Column]) -> None:
    def maximum(x: Any, y: Any) -> Any:
        return np.maximum(x, y) if float(np.sum(x)) == 0 else np.maximum(y, x)

    found = reasons(use(maximum=maximum), transfers.checks())
    assert set(found) == {
        "steps read and send nothing",
        "activations read and send nothing",
        "losses read and send nothing",
    }
    assert all("__float__ in testing/test_transfers.py, line " in reason for reason in found.values())
    assert "ReLU()" in found["activations read and send nothing"]


def test_a_namespace_that_goes_to_the_host_is_seen(use: Callable[..., Column]) -> None:
    def exp(x: Any) -> Any:
        backend = libraries.library_of(x)
        return backend.asarray(np.exp(backend.to_numpy(x)), "cpu")

    found = reasons(use(exp=exp), transfers.checks())
    assert "to_numpy in testing/test_transfers.py" in found["losses read and send nothing"]
    assert "asarray in testing/test_transfers.py" in found["losses read and send nothing"]


def test_arrays_that_leave_the_device_are_seen(use: Callable[..., Column]) -> None:
    found = reasons(use(sum=lambda x, **options: np.sum(np.asarray(x), **options)),
                    [check for check in transfers.checks() if check.name.startswith("results")])  # fmt: skip
    assert found["results stay on the device"]


class Lazy(narrow.NarrowBackend):
    """It says when it computes: ``work`` has what it has done."""

    lazy = True
    work: list[str] = []  # noqa: RUF012

    @contextmanager
    def computations(self) -> Generator[list[str]]:
        before = len(self.work)
        found: list[str] = []
        yield found
        found += self.work[before:]

    def settle(self, tree: Any) -> Any:
        return tree


class Forgetful(Lazy):
    """It computes the same arrays again."""

    def settle(self, tree: Any) -> Any:
        self.work.append("all of it")
        return tree


def test_a_lazy_library_is_checked(use: Callable[..., Column]) -> None:
    assert {r.outcome for r in runner.run(use(Lazy), lazy.checks())} == {"pass"}
    found = reasons(use(Forgetful), lazy.checks())
    assert found == {"settled arrays are not computed again": "settled arrays are computed again: all of it"}


def test_computing_inside_a_step_is_seen(use: Callable[..., Column]) -> None:
    def sqrt(x: Any) -> Any:
        Lazy.work.append("a root")
        return np.sqrt(x)

    reason = reasons(use(Lazy, sqrt=sqrt), lazy.checks())["a step computes nothing"]
    assert "the library computed: a root" in reason


def test_late_numbers_that_differ_are_seen(use: Callable[..., Column]) -> None:
    class Late(Lazy):
        def settle(self, tree: Any) -> Any:
            for x in transfers.leaves(tree):
                if isinstance(x, np.ndarray) and x.dtype.kind == "f":
                    x[...] = x * 1.5
            return tree

    assert "late numbers are those of early ones" in reasons(use(Late), lazy.checks())


def test_a_backend_that_cannot_tell_is_not_judged(use: Callable[..., Column]) -> None:
    class Silent(narrow.NarrowBackend):
        lazy = True

    outcomes = {r.name: (r.outcome, r.reason) for r in runner.run(use(Silent), lazy.checks())}
    assert outcomes["settled arrays are not computed again"] == ("skip", "the backend does not report computations")
    assert outcomes["a step computes nothing"][0] == "pass"


def test_the_time_of_a_step_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "BUDGET", 0.01)
    results = runner.run(columns("strict")[1], speed.checks())
    assert [r.outcome for r in results] == ["pass"] * len(speed.CASES)
    assert all(r.ulp is None and "×, " in r.reason and " ms, NumPy " in r.reason for r in results)

"""Native code for other CPUs: compiled here, and run where this CPU has all of their instructions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import pytest

from dlarray.planner.native import joined
from dlarray.planner.native.module import Module, Target, host, simplified

X86 = {name: Target(name, "", "x86_64-unknown-linux-gnu") for name in ("x86-64", "haswell")}
"""SSE2 alone, and AVX2 with fused multiply-add."""
ARM = {
    "aarch64": Target("generic", "", "aarch64-unknown-linux-gnu"),
    "m1": Target("apple-m1", "", "arm64-apple-macosx14.0.0"),
}
TARGETS = X86 | ARM

_REFERENCE = re.compile(
    r"(?:\s(?:callq?|jmp|bl?)\s+|movabsq\s+\$|\s:got:)([A-Za-z_]\w*)\b|([A-Za-z_]\w*)@(?:GOTPAGE|PLT|GOTPCREL)\b"
)
"""A call by name, or the address of a function, in the assembly of x86 and ARM."""


def runnable() -> dict[str, Target]:
    """The targets whose code this machine runs, as targets of this system."""
    found = host()
    if not found.machine().triple.startswith("x86_64"):
        return {}
    has_avx2 = "+avx2" in found.features and "+fma" in found.features
    return {name: Target(name, "") for name in X86 if name == "x86-64" or has_avx2}


@contextmanager
def compiled_for(target: Target) -> Iterator[None]:
    """Native steps are compiled for another CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joined, "compiled", lambda functions, declared: Module(functions, declared, target))
        yield


def printed(work: Callable[[], Any]) -> list[tuple[list[str], set[str]]]:
    """The functions and declarations of each module that is compiled meanwhile."""
    found: list[tuple[list[str], set[str]]] = []
    compiled = joined.compiled

    def noted(functions: Iterable[str], declared: Iterable[str]) -> Module:
        found.append(([*functions], {*declared}))
        return compiled(*found[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joined, "compiled", noted)
        work()
    return found


def assembly(functions: Iterable[str], declared: Iterable[str], target: Target) -> str:
    """The text of the machine code for a target, which need not run here."""
    host()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = target.machine()
    return machine.emit_assembly(simplified(functions, declared, machine))


def called(text: str) -> set[str]:
    """The functions that machine code calls, without those of the same text."""
    own = set(re.findall(r"^([A-Za-z_]\w*):", text, re.MULTILINE))
    names = {one or other for one, other in _REFERENCE.findall(text)}
    return {name.removeprefix("_") for name in names - own}

"""Modules of LLVM's: from text to machine code in memory. Nothing is written to disk.

Of LLVM's passes only two run: registers for variables, and fewer branches. Vectors are written out, so nothing has to
be vectorised, and no pass may change the order of arithmetic: there are no fast-math flags.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from threading import RLock
from typing import Any
from weakref import WeakValueDictionary

from dlarray.planner.native.operations import LIBRARY

__all__ = ["Module", "Target", "add_symbol", "compiled", "host", "simplified"]

_LOCK = RLock()
_ROUNDING = ("floor", "ceil", "trunc", "rint", "sqrt", "memcpy", "memset")
"""Functions of the C library that LLVM calls where the CPU has no instruction for them."""


class Target:
    """A CPU to compile for: its name and features as LLVM spells them; by default a triple of this system."""

    def __init__(self, cpu: str, features: str, triple: str = "") -> None:
        self.cpu, self.features, self.triple = cpu, features, triple

    def machine(self) -> Any:
        """A new target machine: each engine owns one."""
        llvm = _llvm()
        triple = self.triple or llvm.get_default_triple()
        found = llvm.Target.from_triple(triple)
        return found.create_target_machine(cpu=self.cpu, features=self.features, opt=2, jit=not self.triple)


@cache
def host() -> Target:
    """The CPU of this machine."""
    llvm = _llvm()
    return Target(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


@cache
def _llvm() -> Any:
    """llvmlite's binding, ready to use. Raises ImportError with a hint if llvmlite is missing or too old."""
    try:
        llvm: Any = import_module("llvmlite.binding")
    except ImportError as error:
        hint = "the native executor of the planner needs llvmlite: pip install 'dlarray[fast]'"
        raise ImportError(f"{hint} ({error})", name="llvmlite") from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    library: Any = ctypes.cdll.ucrtbase if sys.platform == "win32" else ctypes.CDLL(None)
    for name in (*LIBRARY.values(), *_ROUNDING):
        for full in (name, f"{name}f"):
            if function := getattr(library, full, None):
                llvm.add_symbol(full, ctypes.cast(function, ctypes.c_void_p).value)
    return llvm


def add_symbol(name: str, address: int) -> None:
    """From now on native code can call the function at an address by this name."""
    _llvm().add_symbol(name, address)


class Module:
    """The machine code of some functions. Its memory is freed with it."""

    def __init__(self, functions: Iterable[str], declared: Iterable[str], target: Target) -> None:
        machine = target.machine()
        self._engine = _llvm().create_mcjit_compiler(simplified(functions, declared, machine), machine)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """The address of a function that is not internal."""
        return self._engine.get_function_address(name)


def simplified(functions: Iterable[str], declared: Iterable[str], machine: Any) -> Any:
    """LLVM's module of some functions, ready to be compiled for a target machine."""
    llvm = _llvm()
    heading = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"'
    module = llvm.parse_assembly("\n".join([heading, *functions, *sorted(set(declared))]))
    passes = llvm.create_new_function_pass_manager()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(1))
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


_known: WeakValueDictionary[Any, Module] = WeakValueDictionary()
_latest: deque[Module] = deque(maxlen=8)
"""Modules that stay although nothing uses them, about 1 MB each: the next training often has the same step."""


def compiled(functions: Iterable[str], declared: Iterable[str]) -> Module:
    """The module of these functions for this CPU: a known one, or a new one.

    A module is known while it is used, and as one of the eight latest.
    """
    key = tuple(functions), tuple(sorted(set(declared)))
    with _LOCK:
        module = _known.get(key)
        if module is None:
            module = _known[key] = Module(*key, host())
        if module in _latest:
            _latest.remove(module)
        _latest.append(module)
        return module

# SPDX-License-Identifier: BSD-3-Clause
"""C++ text of functions that CuPy's modules cannot be loaded without, and that are not emulated: they say so."""

from __future__ import annotations

from pathlib import Path

from . import elf

TEXT = """\
#include "emulator.h"
#define STUB(name) \\
    extern "C" EMULATOR_API __attribute__((weak)) int name() {{ emulator::not_emulated(#name); return {status}; }}
{functions}"""


def texts(wheel: Path, statuses: dict[str, int]) -> dict[str, str]:
    """For each library with its status, all functions that CuPy's modules need of it: each returns the status.

    They are weak, so a function that is emulated takes the place of the one with its name.
    """
    names: dict[str, set[str]] = {soname: set() for soname in statuses}
    for module in wheel.rglob("*.so"):
        for soname, found in elf.needed(module, set(statuses)).items():
            names[soname].update(found)
    return {
        soname: TEXT.format(status=status, functions="".join(f"STUB({name})\n" for name in sorted(names[soname])))
        for soname, status in statuses.items()
    }

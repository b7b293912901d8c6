"""Kernels as machine code: printed, compiled by Numba, stored on disk, and bound to their arrays.

The printed text of a kernel is a file named by its hash, so Numba's cache finds the machine code again in the next
process. The folder is ``$DLARRAY_CACHE`` ("~" is the home folder), or dlarray in the user's cache folder; if it cannot
be written, a temporary folder for this process. Each file is written under a temporary name and then linked to its own,
so many processes can share the folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from errno import ENOENT
from functools import cache
from pathlib import Path
from typing import Any

from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.numba.block import Block, same_memory
from dlarray.planner.numba.expressions import LIBRARY
from dlarray.planner.numba.source import source, workspace
from dlarray.planner.numba.storage import layout_for

__all__ = ["available", "cache_folder", "compiled", "module_text", "numba_loops"]

MEMORY = "advance, bits, item, left_shift, load, local, pointer, right_shift, store"
HINT = "the fast executor of the planner needs Numba: pip install 'dlarray[fast]'"


def available() -> bool:
    """Whether Numba is installed and NUMBA_DISABLE_JIT is not set; Numba is not imported for it."""
    if importlib.util.find_spec("numba") is None:
        return False
    loaded = sys.modules.get("numba")
    if loaded is not None and hasattr(loaded, "config"):
        return not loaded.config.DISABLE_JIT
    try:
        return not int(os.environ.get("NUMBA_DISABLE_JIT", "0"))
    except ValueError:  # Numba ignores what is not a number
        return True


def cache_folder() -> Path:
    """The folder of printed kernels and their machine code."""
    if chosen := os.environ.get("DLARRAY_CACHE"):
        return _home_expanded(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _home_expanded(base) / "dlarray"


def _home_expanded(folder: str | Path) -> Path:
    """With the home folder for a leading "~", which no shell has expanded if the variable was set elsewhere."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # "~name" of an unknown user
        raise FileNotFoundError(ENOENT, str(error), str(folder)) from error


@cache
def _versions() -> str:
    """The versions of Numba and of the inlined functions: a kernel's machine code depends on them too."""
    try:
        import numba
    except ModuleNotFoundError as error:
        raise ImportError(HINT, name="numba") from error
    except ImportError as error:
        raise ImportError(f"Numba is installed, and cannot be imported: {error}", name="numba") from error
    if not available():
        raise ImportError(
            "the fast executor of the planner needs Numba's compiler: unset NUMBA_DISABLE_JIT", name="numba"
        )
    digest = hashlib.sha256()
    for name in ("formats", "mathematics", "memory"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return f"Numba {numba.__version__}, functions {digest.hexdigest()[:16]}"


def module_text(function: str) -> str:
    """The module of a printed function."""
    used = sorted(f"{name}_{dtype}" for name in LIBRARY for dtype in ("float32", "float64"))
    functions = [
        f'{n} = FUNCTIONS["{n.rpartition("_")[2]}"]["{n.rpartition("_")[0]}"]' for n in used if f"{n}(" in function
    ]
    return "\n".join(
        [
            f"# {_versions()}",
            "import numpy as np",
            "from numba import njit, types",
            "",
            "from dlarray.planner.numba.mathematics import FUNCTIONS",
            f"from dlarray.planner.numba.memory import {MEMORY}",
            "",
            *functions,
            "",
            "",
            '@njit(types.void(types.int64), error_model="numpy", nogil=True, cache=True, no_cfunc_wrapper=True)',
            function,
        ]
    )


@cache
def compiled(function: str) -> Any:
    """Numba's dispatcher of a printed function: compiled in this process before, loaded from disk, or compiled now."""
    text = module_text(function)
    name = f"dlarray_kernel_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    try:
        path = _stored(cache_folder() / f"{name}.py", text)
    except OSError:
        path = _stored(_process_folder() / f"{name}.py", text)
    try:
        return _load(name, path)
    except Exception:  # truncated machine code on disk cannot be read
        if not _clear_cache(path):
            raise
        return _load(name, path)


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba's cache looks its function's module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module.kernel


def _clear_cache(path: Path) -> bool:
    """Remove the machine code that Numba has stored for a file; whether there was any."""
    folders = [path.parent / "__pycache__", *map(Path, filter(None, [os.environ.get("NUMBA_CACHE_DIR")]))]
    found = [file for folder in folders for file in folder.rglob(f"{path.stem}.*.nb[ic]")]
    for file in found:
        file.unlink(missing_ok=True)
    return bool(found)


@cache
def _process_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="dlarray-kernels-"))


def _stored(path: Path, text: str) -> Path:
    """Write the text to the file. A file with this text is not touched, because Numba's cache depends on its date."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:  # as bytes, because other content may not be text
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".py", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        try:
            os.link(temporary, path)  # unlike a rename, it does not replace the file of a faster process, nor its date
        except OSError:
            os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def numba_loops(call: Call) -> BoundKernel:
    """Compile the kernel of a call if necessary, and bind it to the call's arrays."""
    layout = layout_for(call.kernel, call.rows, call.cols)
    dispatcher = compiled(source(call.kernel, layout, same_memory(call)))
    (overload,) = dispatcher.overloads.values()  # called directly: the dispatcher looks it up at every call
    block = Block(call, workspace(call.kernel, layout, call.cols))
    return BoundKernel([(overload.entry_point, block)], block.rebind)

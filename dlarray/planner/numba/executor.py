"""Kernels as machine code: printed, compiled by Numba, kept on disk, and bound to their arrays.

The printed text of a kernel is a file named by its hash, so Numba's own cache finds the machine code again in the next
process. The folder is ``$DLARRAY_CACHE`` ("~" is the home folder), or dlarray in the user's cache folder; where it
cannot be written a folder for this process alone takes its place. Files are made beside their place and moved there, so
many processes may share.
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

__all__ = ["available", "cache_folder", "compiled", "fastest", "module_text", "numba_loops"]

MEMORY = "advance, bits, item, left_shift, load, local, pointer, right_shift, store"
HINT = "the fast executor of the planner needs Numba: pip install 'dlarray[fast]'"


def available() -> bool:
    """Whether Numba is installed and compiles, which NUMBA_DISABLE_JIT forbids; it is not imported to find out."""
    if importlib.util.find_spec("numba") is None:
        return False
    loaded = sys.modules.get("numba")
    if loaded is not None and hasattr(loaded, "config"):
        return not loaded.config.DISABLE_JIT
    try:
        return not int(os.environ.get("NUMBA_DISABLE_JIT", "0"))
    except ValueError:  # Numba passes over what is no number
        return True


def fastest() -> str:
    """The name of the quickest executor that can be used here."""
    return "numba" if available() else "ufuncs"


def cache_folder() -> Path:
    """Where printed kernels and their machine code are kept."""
    if own := os.environ.get("DLARRAY_CACHE"):
        return _home_expanded(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _home_expanded(base) / "dlarray"


def _home_expanded(folder: str | Path) -> Path:
    """With the home folder for a "~" at the beginning: nobody has expanded it in a variable set without a shell."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # "~somebody" who has no home here
        raise FileNotFoundError(ENOENT, str(error), str(folder)) from error


@cache
def _versions() -> str:
    """What else than its text a kernel's machine code depends on: Numba, and the functions that it inlines."""
    try:
        import numba
    except ImportError as error:
        raise ImportError(HINT, name="numba") from error
    if not available():
        raise ImportError(
            "the fast executor of the planner needs Numba's compiler: unset NUMBA_DISABLE_JIT", name="numba"
        )
    digest = hashlib.sha256()
    for name in ("mathematics", "memory"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return f"Numba {numba.__version__}, functions {digest.hexdigest()[:16]}"


def module_text(function: str) -> str:
    """The module that holds a printed function."""
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
    """Numba's dispatcher of a printed function: its machine code from this process, from the disk, or made now."""
    text = module_text(function)
    name = f"dlarray_kernel_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    try:
        path = _stored(cache_folder() / f"{name}.py", text)
    except OSError:
        path = _stored(_process_folder() / f"{name}.py", text)
    try:
        return _load(name, path)
    except Exception:  # machine code that was cut off on the disk cannot be read
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
    """Remove the machine code that Numba has kept of a file; whether there was any."""
    folders = [path.parent / "__pycache__", *map(Path, filter(None, [os.environ.get("NUMBA_CACHE_DIR")]))]
    kept = [file for folder in folders for file in folder.rglob(f"{path.stem}.*.nb[ic]")]
    for file in kept:
        file.unlink(missing_ok=True)
    return bool(kept)


@cache
def _process_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="dlarray-kernels-"))


def _stored(path: Path, text: str) -> Path:
    """See that the file holds the text. A file that does is left as it is, for Numba's cache goes by its date."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:  # not as text, which other bytes may not be
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".py", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        try:
            os.link(temporary, path)  # unlike a rename it leaves the file of a faster process, and its date, alone
        except OSError:
            os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def numba_loops(call: Call) -> BoundKernel:
    """Compile the kernel of a call where that has not been done, and bind it to the call's arrays."""
    layout = layout_for(call.kernel, call.rows, call.cols)
    dispatcher = compiled(source(call.kernel, layout, same_memory(call)))
    (made,) = dispatcher.overloads.values()  # called itself: the dispatcher would look for it at every call
    block = Block(call, workspace(call.kernel, layout, call.cols))
    return BoundKernel([(made.entry_point, block)], block.rebind)

"""What is measured: dlarray, its limits, and the baselines, which are other libraries doing the same step.

A contender is made by a class or function ``(workload, setting) -> Measured`` in a module of this package, in a process
of its own, so that no library is imported where another one is measured. The table below lists them all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["CONTENDERS", "OWN", "PACKAGES", "REFERENCE", "Entry", "chosen", "family", "label", "make"]


@dataclass(frozen=True)
class Entry:
    """One contender: its name in files, what makes it, what selects it, and which programs measure it."""

    name: str
    factory: str
    """A module of this package and a class or function in it."""
    family: str
    """"limit", "ours", or the library of a baseline: what ``--baselines`` selects."""
    programs: str = "cpu gpu"
    label: str = ""
    """What tables call it, where that is not its name."""


CONTENDERS = (
    Entry("raw products", "limits.Raw", "limit", "cpu", "the products alone"),
    Entry("matmul products", "limits.OneByOne", "limit", "cpu", "the products by numpy.matmul"),
    Entry("products", "limits.OneByOne", "limit", "gpu", "the products alone"),
    Entry("products captured", "limits.captured", "limit", "gpu", "the products as one graph"),
    Entry("PyTorch products", "torch.Products", "torch", "gpu", "the products alone, PyTorch"),
    Entry("JAX products", "jax.Products", "jax", "cpu", "the products by JAX"),
    Entry("numpy", "ours.numpy", "ours", "cpu", "dlarray, NumPy alone"),
    Entry("fast", "ours.fast", "ours", "cpu", "dlarray with the extra fast"),
    Entry("fast repeated", "ours.fast_repeated", "ours", "cpu", "dlarray with the extra fast, many steps a call"),
    Entry("eager", "ours.eager", "ours", label="dlarray, eager"),
    Entry("fused", "ours.fused", "ours", "gpu", "dlarray, fused kernels"),
    Entry("captured", "ours.captured", "ours", "gpu", "dlarray, one graph"),
    Entry("epilogues", "ours.epilogues", "ours", "gpu", "dlarray, epilogues"),
    Entry("repeated", "ours.repeated", "ours", "gpu", "dlarray, many steps a graph"),
    Entry("jax", "ours.on_jax", "ours", label="dlarray on JAX"),
    Entry("jax repeated", "ours.repeated_on_jax", "ours", "gpu", "dlarray on JAX, scan"),
    Entry("torch", "ours.on_torch", "ours", "cpu", "dlarray on torch"),
    Entry("torch compiled", "ours.on_torch_compiled", "ours", "cpu", "dlarray on torch, torch.compile"),
    Entry("torch eager", "ours.on_torch_eager", "ours", "cpu", "dlarray on torch, eager"),
    Entry("onnx", "ours.on_onnx", "ours", "cpu", "dlarray on onnxruntime"),
    Entry("PyTorch", "torch.eager", "torch"),
    Entry("PyTorch, fused Adam", "torch.fused", "torch"),
    Entry("PyTorch, torch.compile", "torch.compiled", "torch"),
    Entry("PyTorch, reduce-overhead", "torch.reduce_overhead", "torch", "gpu"),
    Entry("PyTorch, the step a graph", "torch.Captured", "torch", "gpu"),
    Entry("JAX + optax", "jax.Optax", "jax"),
    Entry("JAX + optax, scan", "jax.Scanned", "jax", "gpu"),
    Entry("scikit-learn", "others.Sklearn", "sklearn", "cpu"),
    Entry("Keras on JAX", "others.Keras", "keras", "cpu"),
    Entry("thinc", "others.Thinc", "thinc", "cpu"),
    Entry("tinygrad", "others.Tinygrad", "tinygrad", "cpu"),
    Entry("raw products", "inference.Raw", "limit", "predict", "the products alone"),
    Entry("matmul products", "inference.Forward", "limit", "predict", "the products by numpy.matmul"),
    Entry("dlarray", "inference.Ours", "ours", "predict"),
    Entry("dlarray, NumPy alone", "inference.numpy", "ours", "predict"),
    Entry("dlarray, the function alone", "inference.Accelerated", "ours", "predict"),
    Entry("dlarray, eager", "inference.Eager", "ours", "predict"),
    Entry("scikit-learn", "inference.Sklearn", "sklearn", "predict"),
    Entry("PyTorch", "inference.Torch", "torch", "predict"),
    Entry("PyTorch, torch.compile", "inference.torch_compiled", "torch", "predict"),
    Entry("onnxruntime", "inference.Onnx", "onnxruntime", "predict"),
)
OWN = ("limit", "ours")
"""The families that ``--ours`` selects from."""
ALWAYS = ("raw products", "matmul products", "products")
"""What the others are compared with, and so is measured in any case."""
COMMANDS = {"cpu": ("cpu", "predict"), "predict": ("cpu", "predict"), "gpu": ("gpu",)}
"""The programs of a command, by each of them: a library may be named where any of them measures it."""
PACKAGES = {
    "cpu": (
        *("dlarray", "numpy", "llvmlite", "jax", "jaxlib", "optax", "torch", "scikit-learn", "keras", "thinc", "blis"),
        *("tinygrad", "onnxruntime"),
    ),
    "gpu": (
        *("dlarray", "numpy", "cupy-cuda12x", "cupy-cuda13x", "nvmath-python", "torch", "triton", "jax", "jaxlib"),
        *("optax", "nvidia-cublas-cu12", "nvidia-cublas", "jax-cuda12-plugin", "jax-cuda13-plugin", "llvmlite"),
    ),
}
"""Whose versions a file records."""
REFERENCE = "ours.reference"
"""dlarray's formulas in float64 on the CPU: what losses and gradients of all are compared with."""

_LABELS = {entry.name: entry.label or entry.name for entry in CONTENDERS}
_FAMILIES = {entry.name: entry.family for entry in CONTENDERS}


def label(name: str) -> str:
    """What tables call a contender."""
    return _LABELS.get(name, name)


def family(name: str) -> str:
    """What a contender belongs to."""
    return _FAMILIES.get(name, "")


def chosen(program: str, ours: str = "all", baselines: str = "all") -> dict[str, str]:
    """The contenders of a program by name, with the factory of each.

    ``ours`` is "all" or names such as "jax,torch"; ``baselines`` is "all", "none" or libraries such as "torch,jax".
    The limits of a CPU, and the products alone on a GPU, are always among them. SystemExit, with what there is, for an
    unknown word.
    """
    entries = [entry for entry in CONTENDERS if program in entry.programs.split()]
    own = [entry.name for entry in entries if entry.family in OWN]
    known = [entry for entry in CONTENDERS if set(COMMANDS[program]) & set(entry.programs.split())]
    libraries = list(dict.fromkeys(entry.family for entry in known if entry.family not in OWN))
    wanted = {*ALWAYS, *_words("ours", ours, own)}
    families = set(_words("baselines", baselines, libraries))
    return {entry.name: entry.factory for entry in entries if entry.name in wanted or entry.family in families}


def _words(option: str, text: str, known: list[str]) -> list[str]:
    words = {"all": known, "none": []}.get(text, [word.strip() for word in text.split(",")])
    if unknown := set(words) - set(known):
        raise SystemExit(
            f"error: unknown --{option} {', '.join(sorted(unknown))}; choose from {', '.join(known)}, all, none"
        )
    return words


def make(factory: str, workload: Any, setting: Any) -> Any:
    """The contender that a factory such as "torch.eager" makes; ``made`` says how many seconds that took."""
    setting.check()
    module, _, name = factory.partition(".")
    create = getattr(import_module(f"{__name__}.{module}"), name)
    start = time.perf_counter()
    contender = create(workload, setting)
    contender.made = time.perf_counter() - start
    return contender

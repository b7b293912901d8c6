"""Who is measured, and where each is made. Each has a process of its own."""

from __future__ import annotations

from importlib import import_module

from setting import Setting
from timed import Timed

from dlarray.bench import Player, Problem

OURS = {
    "products": "ours.limit",
    "numpy": "ours.without_numba",
    "fast": "ours.fast",
    "eager": "ours.eager",
    "jax": "ours.on_jax",
    "torch": "ours.on_torch",
    "torch compiled": "ours.on_torch_compiled",
    "torch eager": "ours.on_torch_eager",
}
REFERENCE = "ours.reference"
RIVALS = {
    "torch": {
        "PyTorch": "rivals_torch.eager",
        "PyTorch, fused Adam": "rivals_torch.fused",
        "PyTorch, torch.compile": "rivals_torch.compiled",
    },
    "jax": {"JAX + optax": "rivals_jax.Optax"},
    "sklearn": {"scikit-learn": "rivals_others.Sklearn"},
    "keras": {"Keras on JAX": "rivals_jax.Keras"},
    "thinc": {"thinc": "rivals_others.Thinc"},
    "tinygrad": {"tinygrad": "rivals_others.Tinygrad"},
}
OURS_ON_A_CARD = {
    "products": "limits_card.products",
    "products captured": "limits_card.captured_products",
    "eager": "ours_card.eager",
    "fused": "ours_card.fused",
    "captured": "ours_card.captured",
    "epilogues": "ours_card.epilogues",
    "repeated": "ours_card.repeated",
    "jax": "ours_card.OnJax",
    "jax repeated": "ours_card.RepeatedOnJax",
}
REFERENCE_OF_A_CARD = "ours_card.reference"
RIVALS_ON_A_CARD = {
    "torch": {
        "PyTorch products": "rivals_torch_card.products",
        "PyTorch": "rivals_torch_card.eager",
        "PyTorch, fused Adam": "rivals_torch_card.fused",
        "PyTorch, torch.compile": "rivals_torch_card.compiled",
        "PyTorch, reduce-overhead": "rivals_torch_card.reduce_overhead",
        "PyTorch, the step a graph": "rivals_torch_card.captured",
    },
    "jax": {"JAX + optax": "rivals_jax_card.jitted", "JAX + optax, scan": "rivals_jax_card.scanned"},
}
ROOFLINE = {
    "rate": {"dlarray": "limits_card.large_product", "PyTorch": "rivals_torch_card.large_product"},
    "bandwidth": {"dlarray": "limits_card.Copy", "PyTorch": "rivals_torch_card.Copy"},
}
PACKAGES = (
    *("dlarray", "numpy", "numba", "jax", "jaxlib", "optax", "torch", "scikit-learn", "keras", "thinc", "blis"),
    *("tinygrad", "onnxruntime"),
)
PACKAGES_OF_A_CARD = (
    *("dlarray", "numpy", "cupy-cuda12x", "cupy-cuda13x", "nvmath-python", "torch", "triton", "jax", "jaxlib", "optax"),
    *("nvidia-cublas-cu12", "nvidia-cublas", "jax-cuda12-plugin", "jax-cuda13-plugin", "numba"),
)


def chosen_ours(text: str, table: dict[str, str] = OURS) -> dict[str, str]:
    """dlarray's own players and the limit, with where each is made, from "all" or words such as "jax,torch"."""
    words = list(table) if text == "all" else ["products", *(word.strip() for word in text.split(","))]
    if unknown := set(words) - table.keys():
        raise SystemExit(f"error: unknown players {', '.join(sorted(unknown))}; choose from {', '.join(table)}, all")
    return {name: place for name, place in table.items() if name in words}


def chosen_rivals(text: str, table: dict[str, dict[str, str]] = RIVALS) -> dict[str, str]:
    """Rivals by name, with where each is made, from "all", "none" or words such as "torch,jax"."""
    words = {"all": list(table), "none": []}.get(text, [word.strip() for word in text.split(",")])
    if unknown := set(words) - table.keys():
        raise SystemExit(
            f"error: unknown rivals {', '.join(sorted(unknown))}; choose from {', '.join(table)}, all, none"
        )
    return {name: place for word in words for name, place in table[word].items()}


def make(place: str, problem: Problem, setting: str | None = None) -> Player | Timed:
    """The player that is made there, as in "rivals_torch.eager"; timed by its device where there is a setting."""
    module, _, name = place.rpartition(".")
    if setting is None:
        return getattr(import_module(module), name)(problem)
    asked = Setting.read(setting)
    asked.check()
    return Timed(getattr(import_module(module), name), problem, asked)

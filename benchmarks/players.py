"""Who is measured, and where each is made. Each has a process of its own."""

from __future__ import annotations

from importlib import import_module

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
PACKAGES = (
    *("dlarray", "numpy", "numba", "jax", "jaxlib", "optax", "torch", "scikit-learn", "keras", "thinc", "blis"),
    *("tinygrad", "onnxruntime"),
)


def chosen_ours(text: str) -> dict[str, str]:
    """dlarray's own players and the limit, with where each is made, from "all" or words such as "jax,torch"."""
    words = list(OURS) if text == "all" else ["products", *(word.strip() for word in text.split(","))]
    if unknown := set(words) - OURS.keys():
        raise SystemExit(f"error: unknown players {', '.join(sorted(unknown))}; choose from {', '.join(OURS)}, all")
    return {name: place for name, place in OURS.items() if name in words}


def chosen_rivals(text: str) -> dict[str, str]:
    """Rivals by name, with where each is made, from "all", "none" or words such as "torch,jax"."""
    words = {"all": list(RIVALS), "none": []}.get(text, [word.strip() for word in text.split(",")])
    if unknown := set(words) - RIVALS.keys():
        raise SystemExit(
            f"error: unknown rivals {', '.join(sorted(unknown))}; choose from {', '.join(RIVALS)}, all, none"
        )
    return {name: place for word in words for name, place in RIVALS[word].items()}


def make(place: str, problem: Problem) -> Player:
    """The player that is made there, as in "rivals_torch.eager"."""
    module, _, name = place.rpartition(".")
    return getattr(import_module(module), name)(problem)

"""The ratios that dlarray should reach on a GPU, and whether a run reached them."""

from __future__ import annotations

from typing import Any

SINGLE = ("eager", "fused", "captured", "epilogues")
TORCH = ("PyTorch", "PyTorch, fused Adam")
SMALL: tuple[tuple[str, tuple[str, ...], tuple[str, ...], float], ...] = (
    ("PyTorch eager", SINGLE, TORCH, 5.0),
    ("PyTorch reduce-overhead", SINGLE, ("PyTorch, reduce-overhead",), 2.0),
    ("PyTorch, the step a graph", SINGLE, ("PyTorch, the step a graph",), 1.2),
    ("JAX scan, many steps at once", ("repeated",), ("JAX + optax, scan",), 1.0),
)
LARGE: tuple[tuple[str, tuple[str, ...], tuple[str, ...], float], ...] = (
    ("torch.compile", SINGLE, ("PyTorch, torch.compile",), 1.1),
    ("jax.jit", SINGLE, ("JAX + optax",), 1.1),
)
HUGE: tuple[tuple[str, tuple[str, ...], tuple[str, ...], float], ...] = (
    ("the better of torch.compile and jax.jit", SINGLE, ("PyTorch, torch.compile", "JAX + optax"), 1 / 1.03),
    ("the products alone", SINGLE, ("products", "products captured", "PyTorch products"), 0.9),
)
OF_CASES = {"S": SMALL, "M": SMALL, "L": SMALL, "XL": LARGE, "XL 8192": HUGE}
"""Of each case: what is compared with, our contenders, theirs, and how many times our time theirs must be at least.

Of several contenders on one side the fastest counts.
"""


def targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target of the cases and precisions in a result: its ratio, and whether it is reached.

    ``reached`` is None, with the reason in ``why``, where a side was not measured, had other losses, or the device is
    no GPU.
    """
    found: list[dict[str, Any]] = []
    for name, precisions in result["cases"].items():
        for precision, case in precisions.items():
            for words, ours, theirs, wanted in OF_CASES.get(name, ()):
                target = {"case": name, "precision": precision, "against": words, "wanted": wanted}
                found.append(target | judged(result["device"], case, ours, theirs, wanted))
    return found


def judged(
    device: str, case: dict[str, Any], ours: tuple[str, ...], theirs: tuple[str, ...], wanted: float
) -> dict[str, Any]:
    """The ratio of their time to ours, and whether the target is reached."""
    if device != "cuda":
        return {"ratio": None, "reached": None, "why": "a target for a GPU"}
    mine, other = fastest(case, ours), fastest(case, theirs)
    if mine is None or other is None:
        missing = "; ".join(" and ".join(names) for found, names in ((mine, ours), (other, theirs)) if found is None)
        return {"ratio": None, "reached": None, "why": f"not measured, or with other losses: {missing}"}
    ratio: float = case["microseconds"][other]["median"] / case["microseconds"][mine]["median"]
    return {"ratio": ratio, "reached": ratio >= wanted, "ours": mine, "theirs": other}


def fastest(case: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Which of these has the least median, of those that have the same losses."""
    wrong = {name for name, of in case["losses"].get("of", {}).items() if not of["equal"]}
    times = {name: case["microseconds"][name]["median"] for name in names if name in case["microseconds"]}
    return min(times.keys() - wrong, key=times.__getitem__, default=None)

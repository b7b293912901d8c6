"""The floor of a step: what its arithmetic and its traffic with memory take at the rates that are measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dlarray.bench import Case
from environment import log
from remote import Remote, WorkerError
from setting import Setting

ADAM = 7 * 4
"""Bytes a parameter in float32: θ, m and v read and written, the gradient read."""


def product_bytes(case: Case, itemsize: int) -> int:
    """Bytes that the products must move if each array moves once: itemsize · (B n₀ + Σ (2 n m + 2 B m)).

    The inputs; of each layer of n inputs and m units W and dW, and its outputs and their gradient.
    """
    arrays = sum(2 * n * m + 2 * case.batch * m for n, m in pairwise(case.widths))
    return itemsize * (case.batch * case.widths[0] + arrays)


def floor(case: Case, itemsize: int, rate: float, bandwidth: float) -> float:
    """Seconds: max(flops / rate, bytes / bandwidth) + optimizer bytes / bandwidth.

    ``rate`` is that of a large product in the same precision in operations a second, ``bandwidth`` that of a large
    array in bytes a second, read and written ones counted. The optimizer comes on top, for it waits for the gradient.
    What stays in a cache moves faster than that: where all of a network does (S and M on a large GPU, L for the most
    part), the second term and the last are no strict floor.
    """
    products = max(case.flops / rate, product_bytes(case, itemsize) / bandwidth)
    return products + ADAM * case.parameters / bandwidth


def floor_us(case: Case, setting: Setting, peaks: dict[str, Any]) -> float | None:
    """The floor in microseconds; None where the rates could not be measured."""
    if not (peaks.get("rate") and peaks.get("bandwidth")):
        return None
    return 1e6 * floor(case, setting.itemsize, peaks["rate"], peaks["bandwidth"])


def peaks(setting: Setting, patience: float, torch: bool) -> dict[str, Any]:
    """The rate of a large product in operations a second, and the bandwidth of a large array in bytes a second.

    The best of dlarray's (NumPy's or CuPy's) and, with ``torch``, PyTorch's.
    """
    found: dict[str, Any] = {"of": {}, "absent": {}, "large": setting.large}
    for name, factory in {"dlarray": "limits.rates", **({"PyTorch": "torch.rates"} if torch else {})}.items():
        log(f"{setting.precision}: rates by {name}")
        try:
            remote = Remote(factory, Case("none", (1, 1), 1), setting, patience)
            measured = remote.ask("measured")
            remote.close()
        except WorkerError as error:
            found["absent"][name] = str(error)
            continue
        for kind, rate in measured.items():
            found["of"][f"{kind} by {name}"] = rate
            found[kind] = max(found.get(kind, 0.0), rate)
    return found

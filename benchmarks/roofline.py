"""The floor of a step: what its arithmetic and its traffic with memory take at the rates that are measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dlarray.bench import Case
from environment import log
from remote import Gone, Remote
from setting import Setting

ADAM = 7 * 4
"""Bytes a parameter in float32: θ, m and v read and written, the gradient read."""
PLACES = {
    "rate": {"dlarray": "limits.large_product", "PyTorch": "limits.torch_large_product"},
    "bandwidth": {"dlarray": "limits.copy", "PyTorch": "limits.torch_copy"},
}
"""What measures the rate and the bandwidth, by library."""


def product_bytes(case: Case, itemsize: int) -> int:
    """Bytes that the products must move if each array moves once: itemsize · (B n₀ + Σ (2 n m + 2 B m)).

    The inputs; of each layer of n inputs and m units W and dW, and its outputs and their gradient.
    """
    arrays = sum(2 * n * m + 2 * case.batch * m for n, m in pairwise(case.widths))
    return itemsize * (case.batch * case.widths[0] + arrays)


def floor(case: Case, itemsize: int, rate: float, bandwidth: float) -> float:
    """Seconds: max(flops / rate, bytes / bandwidth) + optimizer bytes / bandwidth.

    ``rate`` is that of a large product in the same precision in operations a second, ``bandwidth`` that of a large copy
    in bytes a second, read and written ones counted. The optimizer comes on top, for it waits for the gradient. What
    stays in a cache moves faster than that: where all of a network does (S and M on a large GPU, L for the most part),
    the second term and the last are no strict floor.
    """
    products = max(case.flops / rate, product_bytes(case, itemsize) / bandwidth)
    return products + ADAM * case.parameters / bandwidth


def floor_us(case: Case, setting: Setting, peaks: dict[str, Any]) -> float | None:
    """The floor in microseconds; None where the rates could not be measured."""
    if not (peaks.get("rate") and peaks.get("bandwidth")):
        return None
    return 1e6 * floor(case, setting.itemsize, peaks["rate"], peaks["bandwidth"])


def peaks(setting: Setting, patience: float, rounds: int, torch: bool) -> dict[str, Any]:
    """The rate of a large product in operations a second, and the bandwidth of a copy in bytes a second.

    The best of dlarray's (NumPy's or CuPy's) and, with ``torch``, PyTorch's.
    """
    found: dict[str, Any] = {"of": {}, "absent": {}, "large": setting.large}
    amounts = {"rate": 2 * setting.large**3, "bandwidth": 8 * setting.large**2}
    for kind, places in PLACES.items():
        for name, place in list(places.items())[: 2 if torch else 1]:
            title = f"{kind} by {name}"
            log(f"{setting.precision}: {title}")
            try:
                remote = Remote(place, Case("none", (1, 1), 1), setting, patience)
                seconds = min(remote.ask("timed", steps=10)["wall"] for _ in range(rounds))
                remote.close()
            except Gone as gone:
                found["absent"][title] = str(gone)
                continue
            found["of"][title] = amounts[kind] / seconds
            found[kind] = max(found.get(kind, 0.0), found["of"][title])
    return found

"""The floor of a step: what its arithmetic and its traffic with memory take at the rates that were measured."""

from __future__ import annotations

from itertools import pairwise

from dlarray.bench import Case

ADAM = 7 * 4
"""Bytes a parameter in float32: θ, m and v read and written, the gradient read."""


def parameters(case: Case) -> int:
    """Weights and biases."""
    return sum(n * m + m for n, m in pairwise(case.widths))


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
    stays in a cache moves faster than that: where all of a network does (S and M on a large card, L for the most part),
    the second term and the last are no strict floor.
    """
    products = max(case.flops / rate, product_bytes(case, itemsize) / bandwidth)
    return products + ADAM * parameters(case) / bandwidth

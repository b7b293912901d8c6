"""How fast a step of training is, measured against its limit: the time of its matrix products alone.

Machines differ and the products do not depend on who wrote the step, so a ratio to them says more than a time. What is
measured takes turns in short bursts, so that a slow moment of the machine falls on all alike; the 10th percentile of
the bursts' means leaves out what other programs have disturbed. ``dlarray bench`` and ``benchmarks/cpu.py`` use it.
"""

from dlarray.bench.cases import BATCHES, CASES, Case, Problem
from dlarray.bench.machine import machine
from dlarray.bench.measure import Runs, bench, interleave, low, plans, table, write
from dlarray.bench.players import Player, Products, Walk

__all__ = [
    "BATCHES",
    "CASES",
    "Case",
    "Player",
    "Problem",
    "Products",
    "Runs",
    "Walk",
    "bench",
    "interleave",
    "low",
    "machine",
    "plans",
    "table",
    "write",
]

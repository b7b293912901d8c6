"""How fast a training step is, compared with its limit: the time of its matrix products alone.

Machines differ, and the products do not depend on how the step is written, so a ratio to them means more than a time.
Contenders take turns in short bursts, so that a slow moment of the machine affects all alike. The 10th percentile of
the bursts' means leaves out bursts that other programs have disturbed. ``dlarray bench`` and ``benchmarks/cpu.py`` use
it; ``profile`` shows where in a step the time goes.
"""

from dlarray.bench.cases import BATCHES, CASES, Case, Workload
from dlarray.bench.contenders import Contender, FullStep, Products, operands
from dlarray.bench.machine import machine
from dlarray.bench.measure import Runs, bench, interleave, plans, table, write
from dlarray.bench.profiling import Profile, profile, profiles
from dlarray.bench.raw import RawProducts
from dlarray.bench.roofline import Limits, limits
from dlarray.device.timing import low

__all__ = [
    "BATCHES",
    "CASES",
    "Case",
    "Contender",
    "FullStep",
    "Limits",
    "Products",
    "Profile",
    "RawProducts",
    "Runs",
    "Workload",
    "bench",
    "interleave",
    "limits",
    "low",
    "machine",
    "operands",
    "plans",
    "profile",
    "profiles",
    "table",
    "write",
]

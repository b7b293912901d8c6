"""The planner: a whole step traced once, fused, planned and replayed, for libraries that have no compiler of their own.

    fast = compile(step)                 step(state, batch) -> (state, loss), plain array-API code
    state, loss = fast(state, batch)     the same numbers, sooner
    fast = accelerate(function)          function(fixed, x) -> y, which consumes nothing: inference
    print(fast.describe())               what a compiled step's plan does; dlarray.explain gives names and a picture

tracing runs the step on symbols, arrays without numbers (symbols, namespace); graph holds what it computes; grouping
and lowering make kernels of it, which loops defines; memory says where values lie; replay repeats the plan; ufuncs runs
kernels on NumPy. cuda runs the same plan on a GPU.
"""

from dlarray.planner.numba.executor import fastest
from dlarray.planner.run.accelerated import Accelerated, accelerate
from dlarray.planner.run.compiled import Compiled, compile, plan  # noqa: A004 - the field's word
from dlarray.planner.run.profiling import profile, profiled
from dlarray.planner.run.program import Program
from dlarray.planner.run.refusals import PlannerWarning

__all__ = [
    "Accelerated",
    "Compiled",
    "PlannerWarning",
    "Program",
    "accelerate",
    "compile",
    "fastest",
    "plan",
    "profile",
    "profiled",
]

"""The planner: a whole step is traced once, fused, planned and replayed, for libraries without a compiler.

    fast = compile(step)                 step(state, batch) -> (state, loss), plain array-API code
    state, loss = fast(state, batch)     the same numbers, faster
    bound = fast.bind(state)             loss = bound(batch): the state is recognised once, not at each step
    fast = accelerate(function)          function(fixed, x) -> y, which consumes nothing: inference
    print(fast.describe())               what a compiled step's plan does; dlarray.explain adds names and a picture

The folders in processing order: trace runs the step on symbols and records a graph; schedule makes kernels and a plan
of it; numpy and native run kernels; run binds the plan to arrays and checks it; cuda does the same on a GPU. kernel
defines kernels, report describes plans. README.md in each folder has an example.
"""

from dlarray.planner.run.accelerated import Accelerated, accelerate
from dlarray.planner.run.compiled import Compiled, compile, plan  # noqa: A004 - the field's word
from dlarray.planner.run.executors import fastest, steps_per_execution
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
    "steps_per_execution",
]

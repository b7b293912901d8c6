"""Schedules: the learning rate as a function of the number of steps.

``rate = schedule(t)``, where t is the number of steps done before this one: 0 at the first step. A schedule is array
operations on a 0-d array, so it runs on the device and in a compiled step; of a longer array it computes each element,
as for a plot. All lengths are in steps; a rate is the factor of the gradient. t may be any number of steps: after its
last step a schedule keeps its last rate. In formulas a length is a floating-point number, because integers of some
devices end at 2³¹.

In float32 t is exact up to 2²⁴ steps. A change at a certain step (a drop, a restart) comes at exactly that step for
some hundred thousand steps; after that it may come one step early or late.
"""

from dlarray.schedules import cycles, decays
from dlarray.schedules.base import Schedule
from dlarray.schedules.cycles import *
from dlarray.schedules.decays import *

__all__ = ["Schedule"]
__all__ += cycles.__all__
__all__ += decays.__all__

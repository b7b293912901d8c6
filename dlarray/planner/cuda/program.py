"""A plan on a GPU, proved before it is used, and run launch by launch or as one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.trees import map_leaves
from dlarray.device.description import Description, Names
from dlarray.planner.cuda.gpu import Gpu, Memory
from dlarray.planner.cuda.jobs import Job, Jobs
from dlarray.planner.cuda.tuning import Tuning
from dlarray.planner.report.describe import describe
from dlarray.planner.run.sequence import in_sequence
from dlarray.planner.run.tree_code import builder
from dlarray.planner.schedule.step_plan import plan_step
from dlarray.planner.trace.node import root
from dlarray.planner.trace.trace import without_scalars

__all__ = ["GpuProgram", "Settings", "stand_in"]


@dataclass(frozen=True)
class Settings:
    """How far a step is taken: ``epilogues`` in the products where they are faster, all of it as one ``graph``."""

    epilogues: bool = True
    graph: bool = True


class GpuProgram:
    """The plan of a step for one set of shapes and dtypes, bound to the arrays of one state.

    Raises MemoryError where the GPU has not the memory, before anything is computed.
    """

    def __init__(self, step: Callable[..., Any], state: Any, batch: Any, gpu: Gpu, settings: Settings) -> None:
        self.gpu = gpu
        self.settings = settings
        found = plan_step(without_scalars(step), *(stand_in(tree, gpu.arrays) for tree in (state, batch)))
        self.plan, self.moving = found.plan, found.state_count
        self.given, self.structure = found.input_structures, found.output_structure
        self.jobs = Jobs(self.plan, self.moving, gpu)
        self.staged = [(i, self.jobs.arena.staged(n), n.nbytes) for i, n in enumerate(found.inputs[self.moving :])]
        self._in_place = found.keeps_state
        self._build = builder(found.loss_structure if self._in_place else self.structure)
        self.tuning = Tuning(self.jobs)
        if settings.epilogues:
            self.tuning.prepare()
        self.nbytes = self.jobs.nbytes
        """What the plan needs on the GPU besides the state and the batch."""
        self._memory: Memory = gpu.reserve(self.nbytes)
        self.list: list[Job] = []
        self.recorded = False
        self.bindings = 0
        """How often it was bound: what was recorded before holds other addresses."""
        self.launch: Callable[[], None] = _nothing
        """Queue one step on what is staged, launch by launch."""
        self.run: Callable[[], None] = _nothing
        """The same, as a graph where there is one."""

    def bind(self, state: Sequence[Any]) -> None:
        """Bind to the arrays of a state, launch by launch."""
        self.jobs.place(self._memory.address, state)
        self.list = self.tuning.list()
        self.run = self.launch = in_sequence([step for job in self._whole for step in job.steps])
        self.recorded = False
        self.bindings += 1

    def tune(self) -> None:
        """Measure and choose, on the numbers that are there; to be bound again."""
        if self.settings.epilogues:
            self.tuning.measure()

    def record(self) -> None:
        """From now on the step is one graph. What cannot be recorded stays as it is; raises what recording raises."""
        if self.settings.graph and all(job.recordable for job in self._whole):
            self.run = self.gpu.record(self.launch)
            self.recorded = True

    @property
    def _whole(self) -> list[Job]:
        return [self.jobs.first, *self.list, self.jobs.last]

    @property
    def unrecordable(self) -> str:
        """Which parts of the step no graph can hold; nothing where none was wanted."""
        found = dict.fromkeys(job.title for job in self._whole if not job.recordable)
        return f"no graph can hold what the library allocates: {', '.join(found)}" if self.settings.graph else ""

    @property
    def runs_alone(self) -> bool:
        """Whether one step can follow another on the GPU alone: all but the loss stays in the state's arrays.

        A loss that is but a number of what the step is given lies where the next step writes.
        """
        rest = set(range(len(self.plan.outputs))) - self.plan.donated.keys()
        alone = rest == {len(self.plan.outputs) - 1} and root(self.plan.outputs[-1]).op != "input"
        return self.recorded and alone and len(self.staged) > 0

    @property
    def loss_address(self) -> int:
        """Where the loss lies after a step."""
        return self.jobs.address(self.plan.outputs[-1])

    def describe(self, names: Names) -> Description:
        """What the plan does."""
        return describe(self.plan, self.given, self.structure, names)

    def stage(self, batch: Sequence[Any]) -> None:
        """Bring the leaves of a batch to their places."""
        for i, offset, nbytes in self.staged:
            array = self.gpu.in_rows(batch[i])
            self.gpu.copy(self.jobs.part(offset), self.gpu.address_of(array), nbytes)

    def __call__(self, state: Any, batch: Sequence[Any]) -> Any:
        """One step from the state that it is bound to: the tree of what comes out."""
        self.stage(batch)
        self.run()
        if self._in_place:  # the state is what it was, with other numbers in it
            return state, self._build(self.jobs.outputs(self.moving))
        return self._build(self.jobs.outputs())


def stand_in(tree: Any, arrays: tuple[type, ...]) -> Any:
    """The tree with arrays of NumPy that have only a shape and a dtype."""
    return map_leaves(tree, lambda x: np.broadcast_to(np.empty((), x.dtype), x.shape) if isinstance(x, arrays) else x)


def _nothing() -> None:
    raise RuntimeError("the program is bound to no state")

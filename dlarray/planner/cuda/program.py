"""A plan on a GPU, run as launches or as one graph."""

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
from dlarray.planner.trace.node import UntraceableError, root
from dlarray.planner.trace.trace import without_scalars

__all__ = ["GpuProgram", "Settings", "stand_in"]


@dataclass(frozen=True)
class Settings:
    """What is used: ``epilogues`` of products if they are faster, and one ``graph`` for the whole step."""

    epilogues: bool = True
    graph: bool = True


class GpuProgram:
    """The plan of a step for one set of shapes and dtypes, bound to the arrays of one state.

    Raises MemoryError, before anything is computed, if the GPU has too little memory.
    """

    def __init__(self, step: Callable[..., Any], state: Any, batch: Any, gpu: Gpu, settings: Settings) -> None:
        self.gpu = gpu
        self.settings = settings
        given = [stand_in(tree, gpu.arrays) for tree in (state, batch)]
        found = plan_step(without_scalars(step), *given, library=gpu)
        self.plan, self.state_count = found.plan, found.state_count
        if self.plan.graph.collectives:
            raise UntraceableError("it exchanges numbers with other ranks, which a plan on a GPU does not do")
        self.input_structures, self.output_structure = found.input_structures, found.output_structure
        self.jobs = Jobs(self.plan, self.state_count, gpu)
        self.staged = [(i, self.jobs.arena.staged(n), n.nbytes) for i, n in enumerate(found.inputs[self.state_count :])]
        self._in_place = found.keeps_state
        self._build = builder(found.loss_structure if self._in_place else self.output_structure)
        self.tuning = Tuning(self.jobs)
        if settings.epilogues:
            self.tuning.prepare()
        self.nbytes = self.jobs.nbytes
        """The bytes that the plan needs on the GPU in addition to the state and the batch."""
        self._memory: Memory = gpu.reserve(self.nbytes)
        captured = self.plan.graph.captured
        self.captured = [a for a in captured.arrays if isinstance(a, captured.kinds)]
        """Arrays on the GPU that the step closes over: they are read where they lie."""
        self.job_list: list[Job] = []
        self.recorded = False
        self.bindings = 0
        """How often it was bound: a graph that was recorded before has other addresses."""
        self.launch: Callable[[], None] = _nothing
        """Queue one step on the staged batch, launch by launch."""
        self.run: Callable[[], None] = _nothing
        """The same, as a graph if there is one."""

    def bind(self, state: Sequence[Any]) -> None:
        """Bind to the arrays of a state, launch by launch."""
        self.jobs.set_addresses(self._memory.address, state)
        self.job_list = self.tuning.job_list()
        self.run = self.launch = in_sequence([step for job in self._whole for step in job.steps])
        self.recorded = False
        self.bindings += 1

    def tune(self) -> None:
        """Measure and choose. Bind the program again afterwards."""
        if self.settings.epilogues:
            self.tuning.measure()

    def record(self) -> None:
        """From now on the step is one graph, if a graph can hold it. Raises what recording raises."""
        if self.settings.graph and all(job.recordable for job in self._whole):
            self.run = self.gpu.record(self.launch)
            self.recorded = True

    @property
    def _whole(self) -> list[Job]:
        return [self.jobs.first, *self.job_list, self.jobs.last]

    @property
    def unrecordable(self) -> str:
        """The parts of the step that no graph can hold; "" if there are none, or no graph is wanted."""
        found = dict.fromkeys(job.title for job in self._whole if not job.recordable)
        what = "no graph can hold what the library allocates"
        return f"{what}: {', '.join(found)}" if found and self.settings.graph else ""

    @property
    def runs_alone(self) -> bool:
        """Whether steps can follow each other without the host: all outputs but the loss stay in the state's arrays.

        The loss must be computed: if it is a number of the state or the batch, the next step writes over it.
        """
        rest = set(range(len(self.plan.outputs))) - self.plan.donated.keys()
        alone = rest == {len(self.plan.outputs) - 1} and root(self.plan.outputs[-1]).op != "input"
        return self.recorded and alone and len(self.staged) > 0

    @property
    def loss_address(self) -> int:
        """The address of the loss after a step."""
        return self.jobs.address(self.plan.outputs[-1])

    def describe(self, names: Names) -> Description:
        """A description of the plan."""
        return describe(self.plan, self.input_structures, self.output_structure, names)

    def stage(self, batch: Sequence[Any]) -> None:
        """Copy the arrays of a batch to their buffers."""
        for i, offset, nbytes in self.staged:
            array = self.gpu.in_rows(batch[i])
            self.gpu.copy(self.jobs.part(offset), self.gpu.address_of(array), nbytes)

    def __call__(self, state: Any, batch: Sequence[Any]) -> Any:
        """One step on the state that it is bound to. Returns the tree of the outputs."""
        self.stage(batch)
        self.run()
        if self._in_place:  # the same arrays, with other numbers in them
            return state, self._build(self.jobs.outputs(self.state_count))
        return self._build(self.jobs.outputs())


def stand_in(tree: Any, arrays: tuple[type, ...]) -> Any:
    """The tree with arrays of NumPy that have only a shape and a dtype."""
    return map_leaves(tree, lambda x: np.broadcast_to(np.empty((), x.dtype), x.shape) if isinstance(x, arrays) else x)


def _nothing() -> None:
    raise RuntimeError("the program is bound to no state")

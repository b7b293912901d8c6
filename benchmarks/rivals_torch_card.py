"""PyTorch in each of the modes that its users have on a card; on a CPU those that have a meaning there.

Nothing here that needs a card has ever run on one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from ours_card import on_a_card
from rivals_torch import Torch
from setting import TORCH, Setting
from timed import Clock, Events, HostClock, Measured

from dlarray.bench import Case, Problem


def prepare(setting: Setting) -> torch.device:
    """Set the precision, and give the device."""
    torch.set_float32_matmul_precision(TORCH[setting.precision])
    if setting.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise NotImplementedError(f"this PyTorch {torch.__version__} finds no card")
    return torch.device("cuda:0")


class OnTorch(Measured):
    """What all of PyTorch's players have."""

    device: torch.device

    def wait(self, loss: Any) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def clock(self) -> Clock:
        if self.device.type == "cpu":
            return HostClock()
        return Events(lambda: torch.cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))

    def about(self) -> dict[str, Any]:
        return {"CUDA of PyTorch": torch.version.cuda} if self.device.type == "cuda" else {}


class TorchOnCard(OnTorch, Torch):
    """Forward, ``loss.backward()``, ``optimizer.step()`` on a device. In bfloat16 each product's operands are cast."""

    def __init__(self, problem: Problem, setting: Setting, fused: bool = False, mode: str | None = None) -> None:
        self.device, self.setting = prepare(setting), setting
        self.mode = mode
        if setting.precision == "bfloat16":
            self.forward = self.in_bfloat16
        super().__init__(problem, fused)
        if mode:
            self.loss = torch.compile(self.forward, mode=mode)

    def place(self, tensor: Any) -> Any:
        return tensor.to(self.device)

    def in_bfloat16(self, x: Any, t: Any) -> Any:
        """θ in float32; products, biases and activations in bfloat16; the loss in float32."""
        half = torch.bfloat16
        x = x.to(half)
        for layer in self.model:
            dense = isinstance(layer, torch.nn.Linear)
            x = torch.nn.functional.linear(x, layer.weight.to(half), layer.bias.to(half)) if dense else layer(x)
        return torch.nn.functional.cross_entropy(x.float(), t)

    def step(self, i: int) -> Any:
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        return super().step(i)

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        return [average(self.optimizer.state[p]["exp_avg"]) for p in self.model.parameters()]


def average(m: Any) -> np.ndarray:
    """The gradient in Adam's first average, with weights as (inputs, units)."""
    return m.detach().cpu().numpy().astype(np.float64).T / (1 - 0.9)


class Captured(TorchOnCard):
    """The whole step as one CUDA graph, as PyTorch's notes on CUDA describe it: Adam capturable, a batch copied in."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        self.graph: Any = None
        super().__init__(problem, on_a_card(setting))
        self.given = [tensor.clone() for tensor in self.batches[0]]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True, capturable=True)
        self.capture()

    def restart(self) -> None:
        if self.graph is None:
            super().restart()
            return
        with torch.no_grad():  # the graph knows these places
            for name, value in self.model.state_dict().items():
                value.copy_(self.initial[name])
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def capture(self) -> None:
        """Three steps on a stream beside, then one that is recorded."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                self.whole_step()
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.recorded = self.whole_step()

    def whole_step(self) -> Any:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*self.given)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self, i: int) -> Any:
        for place, tensor in zip(self.given, self.batches[i % len(self.batches)], strict=True):
            place.copy_(tensor)
        self.graph.replay()
        return self.recorded


def eager(problem: Problem, setting: Setting) -> Measured:
    """As torch comes."""
    return TorchOnCard(problem, setting)


def fused(problem: Problem, setting: Setting) -> Measured:
    """With the optimizer's fused kernel."""
    return TorchOnCard(problem, setting, fused=True)


def compiled(problem: Problem, setting: Setting) -> Measured:
    """Forward and backward by torch.compile, the optimizer's fused kernel."""
    return TorchOnCard(problem, setting, fused=True, mode="default")


def reduce_overhead(problem: Problem, setting: Setting) -> Measured:
    """Forward and backward by torch.compile as CUDA graphs, the optimizer's fused kernel."""
    return TorchOnCard(problem, on_a_card(setting), fused=True, mode="reduce-overhead")


def captured(problem: Problem, setting: Setting) -> Measured:
    """The whole step as one CUDA graph."""
    return Captured(problem, setting)


class Tensors(OnTorch):
    """Something done with tensors of random numbers."""

    def __init__(self, setting: Setting) -> None:
        self.device, self.setting = prepare(setting), setting
        self.draw = np.random.default_rng(0)

    def random(self, *shape: int) -> Any:
        """Numbers of the precision that products have."""
        tensor = torch.from_numpy(self.draw.standard_normal(shape, dtype=np.float32)).to(self.device)
        return tensor.to(torch.bfloat16) if self.setting.precision == "bfloat16" else tensor


class Products(Tensors):
    """The products of a step alone, through PyTorch's library: cuBLAS on a card."""

    def __init__(self, case: Case, setting: Setting, backward: bool = True) -> None:
        super().__init__(setting)
        self.triples: list[tuple[Any, Any, Any]] = []
        for i, (n, m) in enumerate(pairwise(case.widths)):
            x, w, dy = self.random(case.batch, n), self.random(n, m), self.random(case.batch, m)
            for a, b in [(x, w), (x.T, dy), (dy, w.T)][: (3 if i else 2) if backward else 1]:
                self.triples.append((a, b, a @ b))

    def step(self, i: int) -> None:
        for a, b, out in self.triples:
            torch.matmul(a, b, out=out)


def products(problem: Problem, setting: Setting) -> Measured:
    """The limit, product by product."""
    return Products(problem.case, setting)


def large_product(problem: Problem, setting: Setting) -> Measured:
    """One large product."""
    return Products(Case("large", (setting.large, setting.large), setting.large), setting, backward=False)


class Copy(Tensors):
    """A tensor of float32 copied to another one."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        super().__init__(setting)
        self.source = self.random(setting.large, setting.large).float()
        self.target = self.source.clone()

    def step(self, i: int) -> None:
        self.target.copy_(self.source)

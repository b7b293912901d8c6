"""The step as PyTorch's own users write it: modules, autograd, torch.optim.Adam, in each of the modes that it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from contenders.base import Measured, on_gpu
from contenders.limits import Rates
from dlarray.bench import Workload, operands
from dlarray.device import Device, resolve
from setting import TORCH, Setting

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "gelu": torch.nn.GELU}


def prepare(setting: Setting) -> torch.device:
    """Set the precision, and return the device."""
    torch.set_float32_matmul_precision(TORCH[setting.precision])
    if setting.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise NotImplementedError(f"this PyTorch {torch.__version__} finds no GPU")
    return torch.device("cuda:0")


def network(workload: Workload) -> torch.nn.Sequential:
    """The case's network with the workload's weights."""
    case = workload.case
    layers: list[torch.nn.Module] = []
    for i, (w, b) in enumerate(workload.weights):
        dense = torch.nn.Linear(*w.shape, dtype=getattr(torch, case.dtype))
        with torch.no_grad():
            dense.weight.copy_(torch.tensor(w.T))
            dense.bias.copy_(torch.tensor(b))
        layers.append(dense)
        if i < len(workload.weights) - 1:
            layers += [torch.nn.LayerNorm(len(b), dtype=dense.weight.dtype)] if case.norm else []
            layers += [ACTIVATIONS[case.activation]()]
            layers += [torch.nn.Dropout(case.dropout)] if case.dropout else []
    return torch.nn.Sequential(*layers)


class Torch(Measured):
    """Forward, ``loss.backward()``, ``optimizer.step()``. In bfloat16 each product's operands are cast.

    ``mode`` is that of torch.compile, for forward and backward; without it both are eager.
    """

    library = "torch"

    def __init__(self, workload: Workload, setting: Setting, fused: bool = False, mode: str | None = None) -> None:
        self.device, self.setting, self.fused, self.mode = prepare(setting), setting, fused, mode
        self.model = network(workload).to(self.device)
        pairs = [(torch.tensor(x), torch.tensor(t, dtype=torch.int64)) for x, t in workload.batches]
        self.batches = [(x.to(self.device), t.to(self.device)) for x, t in pairs]
        self.initial = {name: value.clone() for name, value in self.model.state_dict().items()}
        forward = self.in_bfloat16 if setting.precision == "bfloat16" else self.forward
        self.loss = torch.compile(forward, mode=mode) if mode else forward
        self.restart()

    def forward(self, x: Any, t: Any) -> Any:
        return torch.nn.functional.cross_entropy(self.model(x), t)

    def in_bfloat16(self, x: Any, t: Any) -> Any:
        """θ in float32; products, biases and activations in bfloat16; the loss in float32."""
        half = torch.bfloat16
        x = x.to(half)
        for layer in self.model:
            dense = isinstance(layer, torch.nn.Linear)
            x = torch.nn.functional.linear(x, layer.weight.to(half), layer.bias.to(half)) if dense else layer(x)
        return torch.nn.functional.cross_entropy(x.float(), t)

    def restart(self) -> None:
        self.model.load_state_dict(self.initial)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=self.fused)

    def step(self, i: int) -> Any:
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        return self.one_step(*self.batches[i % len(self.batches)])

    def one_step(self, x: Any, t: Any) -> Any:
        """The loss of a batch, after a step along its gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, t)
        loss.backward()
        self.optimizer.step()
        return loss

    def wait(self, loss: Any) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def value(self, loss: Any) -> float:
        return loss.item()

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        averages = [self.optimizer.state[p]["exp_avg"] for p in self.model.parameters()]
        return [m.detach().cpu().numpy().astype(np.float64).T / (1 - 0.9) for m in averages]

    def about(self) -> dict[str, Any]:
        return {"CUDA of PyTorch": torch.version.cuda} if self.device.type == "cuda" else {}


class Products(Measured):
    """The products of a step alone, in the precision of the setting."""

    library = "torch"

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.setting, self.device = setting, prepared(setting)
        self.triples: list[Any] = [(a, b, a @ b) for a, b in operands(workload.case, self.device)]

    def step(self, i: int) -> None:
        for a, b, out in self.triples:
            torch.matmul(a, b, out=out)

    def wait(self, loss: Any) -> None:
        self.device.backend.synchronize(self.device.handle)


class Half(Device):
    """A device of torch whose new arrays are of bfloat16."""

    def asarray(self, values: Any, dtype: str | None = None) -> Any:
        x: Any = super().asarray(values, dtype)
        return x.bfloat16()


def prepared(setting: Setting) -> Device:
    """dlarray's device of torch, with new arrays and their products in the setting's precision."""
    device = resolve(f"torch:{prepare(setting)}")
    return Half(**vars(device)) if setting.precision == "bfloat16" else device


def rates(workload: Workload, setting: Setting) -> Rates:
    """What PyTorch reaches on its device."""
    return Rates(prepared(setting), setting, "float16" if setting.precision == "bfloat16" else "float32")  # 16 bits


class Captured(Torch):
    """The whole step as one CUDA graph, as PyTorch's notes on CUDA describe it: Adam capturable, a batch copied in."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.graph: Any = None
        super().__init__(workload, on_gpu(setting))
        self.given = [tensor.clone() for tensor in self.batches[0]]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True, capturable=True)
        self.capture()

    def restart(self) -> None:
        if self.graph is None:
            super().restart()
            return
        with torch.no_grad():  # the graph knows these addresses
            for name, value in self.model.state_dict().items():
                value.copy_(self.initial[name])
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def capture(self) -> None:
        """Three steps on a side stream, then one that is recorded."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.one_step(*self.given)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.recorded = self.one_step(*self.given)

    def step(self, i: int) -> Any:
        for buffer, tensor in zip(self.given, self.batches[i % len(self.batches)], strict=True):
            buffer.copy_(tensor)
        self.graph.replay()
        return self.recorded


def eager(workload: Workload, setting: Setting) -> Measured:
    """As torch comes."""
    return Torch(workload, setting)


def fused(workload: Workload, setting: Setting) -> Measured:
    """With the optimizer's fused kernel."""
    return Torch(workload, setting, fused=True)


def compiled(workload: Workload, setting: Setting) -> Measured:
    """Forward and backward by torch.compile, the optimizer's fused kernel."""
    return Torch(workload, setting, fused=True, mode="default")


def reduce_overhead(workload: Workload, setting: Setting) -> Measured:
    """Forward and backward by torch.compile as CUDA graphs, the optimizer's fused kernel."""
    return Torch(workload, on_gpu(setting), fused=True, mode="reduce-overhead")

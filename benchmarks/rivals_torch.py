"""The step as PyTorch's own users write it: modules, autograd, torch.optim.Adam."""

from __future__ import annotations

from typing import Any

import torch

from dlarray.bench import Player, Problem

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "gelu": torch.nn.GELU}


def network(problem: Problem) -> torch.nn.Sequential:
    """The case's network with the problem's weights."""
    case = problem.case
    layers: list[torch.nn.Module] = []
    for i, (w, b) in enumerate(problem.weights):
        dense = torch.nn.Linear(*w.shape, dtype=getattr(torch, case.dtype))
        with torch.no_grad():
            dense.weight.copy_(torch.tensor(w.T))
            dense.bias.copy_(torch.tensor(b))
        layers.append(dense)
        if i < len(problem.weights) - 1:
            layers += [torch.nn.LayerNorm(len(b), dtype=dense.weight.dtype)] if case.norm else []
            layers += [ACTIVATIONS[case.activation]()]
            layers += [torch.nn.Dropout(case.dropout)] if case.dropout else []
    return torch.nn.Sequential(*layers)


class Torch(Player):
    """Forward, ``loss.backward()``, ``optimizer.step()``."""

    def __init__(self, problem: Problem, fused: bool = False, compiled: bool = False) -> None:
        self.model = self.place(network(problem))
        pairs = [(torch.tensor(x), torch.tensor(t, dtype=torch.int64)) for x, t in problem.batches]
        self.batches = [(self.place(x), self.place(t)) for x, t in pairs]
        self.initial = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.fused = fused
        self.loss = torch.compile(self.forward) if compiled else self.forward
        self.restart()

    def place(self, what: Any) -> Any:
        """A tensor or module where it is computed with: on a CPU it is there."""
        return what

    def forward(self, x: Any, t: Any) -> Any:
        return torch.nn.functional.cross_entropy(self.model(x), t)

    def restart(self) -> None:
        self.model.load_state_dict(self.initial)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=self.fused)

    def step(self, i: int) -> Any:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*self.batches[i % len(self.batches)])
        loss.backward()
        self.optimizer.step()
        return loss

    def value(self, loss: Any) -> float:
        return loss.item()


def eager(problem: Problem) -> Player:
    """As torch comes."""
    return Torch(problem)


def fused(problem: Problem) -> Player:
    """With the optimizer's fused kernel."""
    return Torch(problem, fused=True)


def compiled(problem: Problem) -> Player:
    """Forward and backward by torch.compile, the optimizer's fused kernel."""
    return Torch(problem, fused=True, compiled=True)

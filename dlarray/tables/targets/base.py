"""The base class of targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlarray.core.registry import classes, spelling
from dlarray.core.text import quote
from dlarray.losses import Loss
from dlarray.tables.reading import Cells
from dlarray.tables.text_format import TextFormat

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Target"]


@dataclass(frozen=True)
class Target(ABC):
    """The column to predict, by ``name``."""

    abstract: ClassVar[bool] = True
    task: ClassVar[str]

    name: str
    format: TextFormat = field(default=TextFormat(), kw_only=True)

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The number of outputs that a model needs for it."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss that a model is trained with."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The task in words."""

    @abstractmethod
    def is_present(self, values: pl.Series) -> pl.Series:
        """Whether each row has a target."""

    @abstractmethod
    def refit(self, training: Cells) -> Target:
        """The target with its statistics from the training part alone."""

    @abstractmethod
    def encode(self, values: pl.Series) -> np.ndarray:
        """The targets as a loss takes them, each value alone. Raises ValueError for values that do not fit."""

    @abstractmethod
    def predictions(self, y: np.ndarray) -> pl.DataFrame:
        """A model's outputs as a table: ``prediction``, and what belongs to it."""

    @abstractmethod
    def metrics(self, t: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """The metrics of the outputs y for encoded targets t; the most important comes first."""

    @abstractmethod
    def losses(self, t: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The loss of each row, (n,): log loss of its class, or the squared error in standard deviations."""

    @abstractmethod
    def baseline(self, t: np.ndarray, rows: int) -> np.ndarray:
        """The same output for every row: the best constant, given the encoded targets t of the training part."""

    def as_data(self) -> dict[str, Any]:
        """The target as JSON-ready data."""
        return {"kind": spelling(type(self)), **asdict(self)}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Target:
        """The target that ``as_data`` wrote. Raises ValueError or TypeError for anything else."""
        fields = TextFormat.from_data(data)
        known: dict[str, Any] = {**classes(Target)}
        kind = fields.pop("kind", None)
        if kind not in known:
            raise ValueError(f"unknown kind of target {quote(kind)}")
        if not isinstance(fields.get("name"), str):
            raise TypeError(f"the target must have a name, got {fields.get('name')!r}")
        return known[kind](**fields)

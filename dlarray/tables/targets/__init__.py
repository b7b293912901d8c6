"""The target of a table model: a class, or a number or date. Saved as data with the model."""

from dlarray.tables.targets.base import *
from dlarray.tables.targets.classification import *
from dlarray.tables.targets.regression import RegressionTarget

__all__ = ["ClassificationTarget", "RegressionTarget", "Target"]

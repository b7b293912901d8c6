"""Data larger than memory: blocks of rows, read one at a time in a shuffled order."""

from dlarray.blocks.base import Blocks
from dlarray.blocks.opening import open_blocks
from dlarray.blocks.scaling import Standardizer
from dlarray.blocks.statistics import ColumnStatistics, Statistics

__all__ = ["Blocks", "ColumnStatistics", "Standardizer", "Statistics", "open_blocks"]

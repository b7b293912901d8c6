"""The kinds of columns: how each becomes features of a network. Fitted to the training part, saved as data."""

from dlarray.tables.columns.base import *
from dlarray.tables.columns.boolean import *
from dlarray.tables.columns.category import *
from dlarray.tables.columns.date import *
from dlarray.tables.columns.number import *

__all__ = ["Boolean", "Category", "Column", "Date", "Number"]

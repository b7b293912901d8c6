"""Tables in blocks: Parquet and text such as CSV, one file or a folder of them, a few rows at a time."""

from dlarray.tables.blocks.table import *

__all__ = ["BlockedTable", "open_blocks"]

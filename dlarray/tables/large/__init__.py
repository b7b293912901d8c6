"""Training on a table that does not fit into memory: what is decided and counted in one pass over its blocks."""

from dlarray.tables.large.prepared import *

__all__ = ["LargePrepared"]

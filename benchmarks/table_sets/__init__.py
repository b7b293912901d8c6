"""The tables of ``benchmarks/tables.py``, all from installable packages.

A set is one line: its name, package, file, target, and the columns that are left out because they are identifiers or
computed from the target.
"""

from table_sets.held_back import HELD_BACK
from table_sets.sources import TableSet
from table_sets.tuning import TUNING

__all__ = ["HELD_BACK", "LISTS", "TUNING", "TableSet"]

LISTS = {"tuning": TUNING, "held back": HELD_BACK}

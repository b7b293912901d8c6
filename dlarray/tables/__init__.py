"""Tables: a CSV or Parquet file to a trained model, and a new file to predictions.

    from dlarray import tables

    model = tables.train("wine.csv", target="class")
    model.save("model.safetensors")
    tables.load("model.safetensors").predict("new.csv")

What a column becomes (numbers scaled, categories one-hot, dates as numbers and cycles, missing values filled and
marked) is learnt on the training part alone and stays with the model, in its file. Files are read by polars:
``pip install "dlarray[table]"``.
"""

from dlarray.tables.choice import *
from dlarray.tables.columns import *
from dlarray.tables.model import *
from dlarray.tables.preprocessing import *
from dlarray.tables.reading import *
from dlarray.tables.split import *
from dlarray.tables.targets import *
from dlarray.tables.training import *
from dlarray.tables.values import *

__all__ = [
    "Boolean",
    "Category",
    "Classes",
    "Column",
    "Date",
    "Number",
    "Preprocessing",
    "Quantity",
    "Table",
    "TableModel",
    "TableWarning",
    "Target",
    "UnknownColumnError",
    "choose_target",
    "load",
    "read",
    "read_verbatim",
    "split",
    "train",
]

"""Tables: train a model on a CSV or Parquet file, and predict from a new file.

    from dlarray import tables

    model = tables.train("wine.csv", target="class")
    model.save("model.safetensors")
    tables.load("model.safetensors").predict("new.csv")

The preprocessing is fitted to the training rows alone and saved with the model: numbers are scaled, categories become
one-hot, dates become numbers and cycles, missing values are filled and get an indicator. polars reads the files:
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
    "ClassificationTarget",
    "Column",
    "Date",
    "Number",
    "Preprocessing",
    "RegressionTarget",
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

"""Tables: train a model on a file, such as CSV or Parquet, and predict from a new file.

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
from dlarray.tables.large import *
from dlarray.tables.model import *
from dlarray.tables.opening import LargeTable, open_table
from dlarray.tables.prepared import *
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.read_options import *
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
    "LargePrepared",
    "LargeTable",
    "Number",
    "Prepared",
    "Preprocessing",
    "ReadOptions",
    "RegressionTarget",
    "Table",
    "TableInterrupted",
    "TableModel",
    "TableWarning",
    "Target",
    "UnknownColumnError",
    "choose_target",
    "load",
    "open_table",
    "prepare",
    "read",
    "read_verbatim",
    "split",
    "train",
]

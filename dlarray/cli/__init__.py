"""The command line, ``dlarray``.

Its commands are ``train``, ``predict``, ``evaluate``, ``diagnose``, ``plot``, ``export``, ``devices``, ``bench`` and
``matrix``. Each has a file. ``dlarray.tables`` does the same in three lines of Python. The commands need typer and
rich: ``pip install "dlarray[cli]"``.
"""

from dlarray.cli import bench, devices, diagnose, evaluate, export, matrix, plot, predict, train
from dlarray.cli.app import app

__all__ = ["app"]

_commands = (
    train,
    predict,
    evaluate,
    diagnose,
    plot,
    export,
    devices,
    bench,
    matrix,
)  # importing each has added its command to app

"""The command line: ``dlarray train``, ``predict``, ``evaluate``, ``diagnose``, ``plot``, ``devices``, ``bench``.

Each command has a file. ``dlarray.tables`` does the same in three lines of Python. The commands need typer and rich:
``pip install "dlarray[cli]"``.
"""

from dlarray.cli import bench, devices, diagnose, evaluate, plot, predict, train
from dlarray.cli.app import app

__all__ = ["app"]

_commands = (train, predict, evaluate, diagnose, plot, devices, bench)  # importing each has added its command to app

"""The command line: ``dlarray train``, ``predict``, ``evaluate``, ``diagnose``, ``plot``, ``devices``, ``bench``.

One file for each command. What they do with tables is ``dlarray.tables``, in three lines of Python. Needs typer and
rich: ``pip install "dlarray[cli]"``.
"""

from dlarray.cli import bench, devices, diagnose, evaluate, plot, predict, train
from dlarray.cli.app import app

__all__ = ["app"]

_commands = (train, predict, evaluate, diagnose, plot, devices, bench)  # each has put its command into app

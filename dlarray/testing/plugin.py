"""The plug-in for pytest: ``pytest --pyargs dlarray.testing --dlarray-device mine``.

It is loaded in every run of pytest where dlarray is installed, so it only adds options; ``test_device`` has the checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the kit. Called by pytest."""
    group = parser.getgroup("dlarray", "dlarray's checks of an array library: pytest --pyargs dlarray.testing")
    group.addoption(
        "--dlarray-device",
        default="",
        metavar="NAMES",
        help="the devices to check, separated by commas, such as mine,torch; without it nothing is checked",
    )
    group.addoption(
        "--dlarray-dtype",
        default="",
        metavar="NAMES",
        help="float64 or float32; by default both, where the device has them",
    )
    group.addoption(
        "--dlarray-expected",
        default="",
        metavar="FILE",
        help="a file of expected failures; by default <name>.xfails beside the backend's module",
    )

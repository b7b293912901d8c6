"""The checks of dlarray on the device mparray. Which of them fail, and why, is in dlarray_mparray/mparray.xfails."""

from dlarray.testing.test_device import pytest_generate_tests, test_device  # noqa: F401

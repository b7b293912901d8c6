"""Checks of an array library and of its backend, beside NumPy in float64: ``dlarray matrix``, or pytest.

``suite`` has all checks and ``matrix``, which runs them on devices; ``page`` makes a page of its report.
"""

__all__: list[str] = []

"""Kernels as data: loops over rows and columns, their reference interpreter and their notation."""

__all__: list[str] = []

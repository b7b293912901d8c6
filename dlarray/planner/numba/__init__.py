"""The executor of the extra ``fast``: kernels printed as Python functions and compiled by Numba."""

__all__: list[str] = []

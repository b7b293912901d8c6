"""The executor without dependencies: kernels as NumPy ufuncs over blocks."""

__all__: list[str] = []

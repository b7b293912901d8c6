"""The executor of the extra ``fast``: kernels, products and copies as native functions, compiled by LLVM."""

__all__: list[str] = []

"""The executor of the extra ``fast``: a step as one function of machine code, printed as LLVM's text."""

__all__: list[str] = []

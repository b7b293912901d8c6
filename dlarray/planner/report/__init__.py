"""Reports: what a plan does, in words and formulas."""

__all__: list[str] = []

"""Running: a plan bound to arrays, its check against the eager step, ``compile`` and ``accelerate``."""

__all__: list[str] = []

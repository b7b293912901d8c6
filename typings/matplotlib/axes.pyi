from typing import Any, TypeAlias

Axes: TypeAlias = Any

from typing import Any, TypeAlias

Figure: TypeAlias = Any

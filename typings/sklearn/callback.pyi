from collections.abc import Callable
from typing import Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])

class CallbackSupportMixin:
    def set_callbacks(self, *callbacks: Any) -> Any: ...
    def _init_callback_context(
        self, task_name: str = "fit", task_id: int = 0, max_subtasks: int | None = 0, sequential_subtasks: bool = True
    ) -> Any: ...

def with_callbacks(method: _Method) -> _Method: ...

"""Multilayer perceptrons with formulas you can read, on any array library.

    import dlarray

    model = dlarray.mlp(64, 128, 10, activation="relu")
    trained = dlarray.fit(model, x, y, epochs=30)
    trained.predict(x)

Public names are imported when they are first asked for, so that ``import dlarray`` is quick.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_PUBLIC = {  # the public names of each module; None stands for its whole ``__all__``
    "device": (
        *("Device", "DeviceError", "OutOfMemoryError", "asarray", "current_device", "device_of", "devices"),
        *("resolve", "set_device", "to_device", "to_numpy", "use_device"),
    ),
    "core.array": ("Array", "array_namespace"),
    "core.layout": ("Theta",),
    "blocks": ("Blocks", "open_blocks"),
    "activations": None,
    "initializers": None,
    "layers": None,
    "losses": None,
    "schedules": None,
    "optimizers": None,
    "model": ("MLP", "mlp"),
    "callbacks": None,
    "plot.live_plot": None,
    "training": (
        *("Callback", "CheckpointError", "DivergedError", "History", "Interrupted", "LRFinderResult", "Run", "Step"),
        *("Trained", "find_learning_rate", "first_step", "fit", "load", "load_with_notes", "memory_estimate"),
    ),
    "explanation": ("explain",),
    "interop": ("from_keras", "from_torch", "to_torch"),
    "diagnostics": ("Diagnosis", "diagnose", "diagnose_at", "loss_landscape"),
}
_MODULES = {"backend", "core", "datasets", "estimators", "metrics", "onnx", "parallel", "planner", "plot", "tables"} | {
    module for module in _PUBLIC if "." not in module
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"dlarray.{name}")
    if name == "__all__":
        return sorted({public for module in _PUBLIC for public in _declared(module)})
    if not name.startswith("_"):
        for module in sorted(_PUBLIC, key=lambda module: _PUBLIC[module] is None):  # those first that need no import
            if name in _declared(module):
                value = getattr(import_module(f"dlarray.{module}"), name)
                globals()[name] = value  # found directly from now on
                return value
    raise AttributeError(f"module 'dlarray' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *__getattr__("__all__")})


def _declared(module: str) -> Sequence[str]:
    return _PUBLIC[module] or import_module(f"dlarray.{module}").__all__

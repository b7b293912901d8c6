"""Multilayer perceptrons with formulas you can read, on any array library.

    import dlarray

    model = dlarray.mlp(64, 128, 10, activation="relu")
    trained = dlarray.fit(model, x, y, epochs=30)
    trained.predict(x)

What the modules below declare in their ``__all__`` is found here too. They are imported when a name is first asked
for, so that importing dlarray costs no more than it must.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_flat = (
    "device",
    "core.layout",
    "activations",  # before layers: who asks for Activation gets all activations with it, and finds them by name
    "initializers",
    "layers",
    "losses",
    "schedules",
    "optimizers",
    "model",
    "callbacks",  # before training: whose name asks for ``fit`` finds callbacks by name
    "plot.live_plot",
    "training",
    "explanation",
    "diagnostics",
)
_of_array = ("Array", "array_namespace")  # the rest of that module is for formulas, and ``device`` is a module here
_modules = (
    *(name for name in _flat if "." not in name),
    "core",
    "datasets",
    "estimators",
    "metrics",
    "planner",
    "plot",
    "tables",
)


def __getattr__(name: str) -> Any:
    if name in _modules:
        return import_module(f"dlarray.{name}")
    if name == "__all__":
        return sorted({*_of_array, *(public for module in _flat for public in _declared(module))})
    if not name.startswith("_"):
        for module in ("core.array",) if name in _of_array else _flat:
            if name in _declared(module):
                value = getattr(import_module(f"dlarray.{module}"), name)
                globals()[name] = value  # found directly from now on
                return value
    raise AttributeError(f"module 'dlarray' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules, *__getattr__("__all__")})


def _declared(module: str) -> list[str]:
    return import_module(f"dlarray.{module}").__all__

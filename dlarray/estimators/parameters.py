"""The parameters of the estimators, and their checks, which run when training begins."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, cast

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from dlarray.core.check import at_least_one, fraction, non_negative, one_of, positive
from dlarray.core.registry import make
from dlarray.initializers import Initializer
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule

__all__ = [
    "Parameters",
    "batch_size",
    "check_parameters",
    "hidden_sizes",
    "invalid_parameters",
    "prints",
    "set_parameters",
    "takes_batches",
]

RATES = ("constant", "invscaling", "adaptive", "plateau")


class Parameters:
    """The unchanged parameters of the constructor: in scikit-learn ``fit`` checks them."""

    hidden_layer_sizes: int | Sequence[int]
    activation: Any
    solver: str | Optimizer
    alpha: float
    batch_size: int | str
    learning_rate: str | Schedule
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: Any
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool | int | str
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    class_weight: Any = None
    dropout: float | Sequence[float]
    normalization: Any
    initializer: Any
    l1_ratio: float
    output_activation: Any = None
    device: Any
    callbacks: Any


def set_parameters(estimator: Parameters, parameters: dict[str, Any]) -> None:
    """Set a constructor's parameters, its ``locals()``, as attributes."""
    vars(estimator).update({name: value for name, value in parameters.items() if name not in {"self", "__class__"}})


def hidden_sizes(given: int | Sequence[int]) -> list[int]:
    """The units of each hidden layer. Raises ValueError or TypeError unless all are whole numbers above 0."""
    sizes: list[Any] = list(cast("Iterable[Any]", given)) if isinstance(given, Iterable) else [given]
    return [at_least_one("hidden_layer_sizes", size) for size in sizes]


@contextmanager
def invalid_parameters() -> Generator[None]:
    """A ``with`` block that turns ValueError and TypeError into scikit-learn's InvalidParameterError, which is both."""
    try:
        yield
    except InvalidParameterError:
        raise
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(str(error)) from error


def check_parameters(given: Parameters) -> None:
    """Raise ValueError or TypeError for the first invalid parameter, with what was expected."""
    hidden_sizes(given.hidden_layer_sizes)
    non_negative("alpha", given.alpha)
    if non_negative("l1_ratio", given.l1_ratio) > 1:
        raise ValueError(f"l1_ratio must lie in [0, 1], got {given.l1_ratio!r}")
    if given.initializer is not None:
        make(Initializer, given.initializer)
    if given.batch_size != "auto":
        if isinstance(given.batch_size, str):
            raise ValueError(f"batch_size must be a whole number or 'auto', got {given.batch_size!r}")
        at_least_one("batch_size", given.batch_size)
    if not isinstance(given.learning_rate, Schedule):
        if not isinstance(given.learning_rate, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"learning_rate must be a string or a schedule, got {given.learning_rate!r}")
        one_of("learning_rate", given.learning_rate, RATES)
    positive("learning_rate_init", given.learning_rate_init)
    non_negative("power_t", given.power_t)
    at_least_one("max_iter", given.max_iter)
    non_negative("tol", given.tol)
    fraction("momentum", given.momentum)
    fraction("validation_fraction", given.validation_fraction)
    fraction("beta_1", given.beta_1)
    fraction("beta_2", given.beta_2)
    positive("epsilon", given.epsilon)
    if given.n_iter_no_change != np.inf:
        at_least_one("n_iter_no_change", given.n_iter_no_change)
    at_least_one("max_fun", given.max_fun)
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
        if not isinstance(value := getattr(given, name), (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    if isinstance(given.verbose, str):
        one_of("verbose", given.verbose, ("progress",))
    elif not isinstance(given.verbose, (bool, np.bool_, Integral)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"verbose must be True, False, a whole number or 'progress', got {given.verbose!r}")


def prints(given: Parameters) -> bool:
    """Whether training prints a line for each epoch."""
    return bool(given.verbose) and given.verbose != "progress"


def batch_size(given: Parameters, n: int) -> int:
    """The number of examples in a batch, of n in all."""
    if given.batch_size == "auto":
        return min(200, n)
    if int(given.batch_size) > n:
        warnings.warn(f"batch_size {given.batch_size} is more than the {n} examples: all are used", stacklevel=5)
    return min(int(given.batch_size), n)


def takes_batches(given: Parameters) -> bool:
    """Whether the solver uses batches and ``partial_fit`` exists. Raises AttributeError if not."""
    if given.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True

"""Parameters that are objects, such as an optimizer: their fields as parameters, and a short ``repr``."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass, replace
from inspect import signature
from typing import Any, Self, cast

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator

from dlarray.core.check import did_you_mean
from dlarray.core.layer import Activation
from dlarray.core.registry import classes
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer

__all__ = ["ParameterObjects", "brief"]


def brief(value: Any) -> str:
    """A ``repr`` on one line; of a configuration, an instance of a dataclass, only the fields without their default."""
    if isinstance(value, (list, tuple)):
        items = [brief(item) for item in cast("list[Any] | tuple[Any, ...]", value)]
        text = ", ".join(items) + ("," if isinstance(value, tuple) and len(items) == 1 else "")
        return f"[{text}]" if isinstance(value, list) else f"({text})"
    if not _is_object(value):
        return " ".join(repr(value).split())
    parts: list[str] = []
    for f in fields(value):
        default = f.default if f.default_factory is MISSING else f.default_factory()
        if f.repr and not _same(own := getattr(value, f.name), default):
            parts.append(f"{f.name}={brief(own)}")
    return f"{type(value).__name__}({', '.join(parts)})"


class ParameterObjects(BaseEstimator):
    """An estimator whose parameters may be configurations: ``solver=dlarray.AdamW(0.01)``.

    Their fields are parameters too, ``solver__learning_rate``, so that a search can vary them. A configuration cannot
    be changed, so setting a field replaces the object, and a clone can share it.
    """

    # A tooltip of a parameter is shown only with a link. dlarray's own pages have no fixed address.
    _doc_link_module = "dlarray"
    _doc_link_template = (
        "https://scikit-learn.org/stable/modules/generated/sklearn.neural_network.{estimator_name}.html"
    )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the fields of parameters that are objects of dlarray, such as ``solver__learning_rate``.

        Returns
        -------
        params : dict
            The values by name.
        """
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for name, value in list(params.items()):
                params |= _fields(name, value)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Values by name; the name of a field of a parameter is ``<parameter>__<field>``.

        Returns
        -------
        self : estimator instance
            This estimator.

        Raises
        ------
        ValueError
            If there is no such parameter or field, or if a parameter with fields is a name and not an object.
        """
        plain = {name: value for name, value in params.items() if "__" not in name}
        super().set_params(**plain)
        for path, value in params.items():
            name, parted, rest = path.partition("__")
            if parted:
                if name not in self.get_params(deep=False):
                    super().set_params(**{name: None})  # its error names the parameters
                setattr(self, name, _replaced(name, getattr(self, name), rest, value))
        return self

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """On one line, with the parameters and the fields that differ from their defaults."""
        if not get_config()["print_changed_only"]:
            return str(BaseEstimator.__repr__(cast("Any", self)))
        given, parts = self.get_params(deep=False), list[str]()
        for name, parameter in signature(cast("Any", type(self))).parameters.items():
            if name in given and not _same(given[name], parameter.default):
                parts.append(f"{name}={brief(given[name])}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _is_object(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    equal = type(value) is type(default) and np.all(value == default)
    return bool(equal) or repr(value) == repr(default)


def _fields(path: str, value: Any) -> dict[str, Any]:
    """The fields of an object, and of objects in them, by their paths."""
    found: dict[str, Any] = {}
    if _is_object(value):
        for f in fields(value):
            if f.init:
                found[f"{path}__{f.name}"] = own = getattr(value, f.name)
                found |= _fields(f"{path}__{f.name}", own)
    return found


def _object_with(path: str, value: Any, name: str) -> str:
    """The parameter as an object with this field: of the class that the value names, if it does."""
    kind = {"solver": Optimizer, "loss": Loss, "activation": Activation}.get(path)
    found = classes(kind).get(value) if kind is not None and isinstance(value, str) else None
    if found is not None and name in [f.name for f in fields(cast("Any", found)) if f.init]:
        return f"{path}=dlarray.{found.__name__}()"
    return f"{path}=…(…)"


def _replaced(path: str, value: Any, rest: str, new: Any) -> Any:
    """The object with another value of the field at ``rest``, a name or a path."""
    name, parted, deeper = rest.partition("__")
    if not _is_object(value):
        example = _object_with(path, value, name)
        raise ValueError(f"{path} is {value!r} and has no {name!r}: give an object of dlarray, such as {example}")
    known = [f.name for f in fields(value) if f.init]
    if name not in known:
        near, kind = did_you_mean(name, known), type(value).__name__
        raise ValueError(f"Invalid parameter {path}__{name}{near}; {kind} has {', '.join(known)}")
    return replace(value, **{name: _replaced(f"{path}__{name}", getattr(value, name), deeper, new) if parted else new})

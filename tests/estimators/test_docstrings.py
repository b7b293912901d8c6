"""The documentation by scikit-learn's own rules: docstrings in numpydoc's form, attributes, tooltips in notebooks."""

from __future__ import annotations

import html
from inspect import Signature, signature
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._testing import check_docstring_parameters

import dlarray
from dlarray.estimators import MLPClassifier, MLPRegressor
from tests.support.estimators import classes, numbers

docscrape = pytest.importorskip("numpydoc.docscrape", reason="numpydoc is not installed: it is in the extra docs")
validate = pytest.importorskip(
    "numpydoc.validate", reason="numpydoc is not installed: it is in the extra docs"
).validate

BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
METHODS: list[tuple[type, str | None]] = [(cls, None) for cls in (MLPClassifier, MLPRegressor)]
METHODS += [
    (cls, name)
    for cls in (MLPClassifier, MLPRegressor)
    for name in dir(cls)
    if not name.startswith("_") and (callable(getattr(cls, name)) or isinstance(getattr(cls, name), property))
]


def documented(cls: type, section: str) -> dict[str, Any]:
    return {item.name: item for item in docscrape.ClassDoc(cls)[section]}


@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_docstrings_are_valid_by_scikit_learn_s_rules(cls: type, method: str | None) -> None:
    """The codes that are left out are those that its tests/test_docstrings.py leaves out."""
    path = ".".join([cls.__module__, cls.__name__, *([method] if method else [])])
    left_out = {"RT02", "GL01", "GL02"}
    if method is not None:
        left_out |= {"EX01", "SA01", "ES01"}
        if isinstance(getattr(cls, method), property):
            left_out |= {"PR02", "GL08"}
    assert not [error for error in validate(path)["errors"] if error[0] not in left_out]


@BOTH
def test_docstrings_and_signatures_agree(cls: type) -> None:
    doc = docscrape.ClassDoc(cls)
    assert not check_docstring_parameters(cls.__init__, doc)
    own = [name for name in doc.methods if name in vars(cls) or name not in {"set_callbacks", "get_metadata_routing"}]
    assert {"fit", "partial_fit", "predict", "score", "hidden_outputs", "to_trained", "from_trained"} <= set(own)
    for name in own:
        assert not check_docstring_parameters(getattr(cls, name))


@BOTH
def test_types_and_defaults_are_those_of_the_constructor(cls: type) -> None:
    parameters = documented(cls, "Parameters")
    for name, parameter in signature(cls).parameters.items():
        stated = parameters[name].type.rpartition("default=")[2]
        assert eval(stated) == parameter.default, name
    assert list(parameters) == list(signature(cls).parameters)


@pytest.mark.parametrize(("cls", "theirs"), [(MLPClassifier, SklearnClassifier), (MLPRegressor, SklearnRegressor)])
def test_parameters_of_scikit_learn_come_first_with_its_defaults(cls: type, theirs: type) -> None:
    ours, same = (list(signature(c).parameters.values()) for c in (cls, theirs))

    def plain(p: Any) -> tuple[Any, ...]:
        return p.name, p.default, p.kind

    assert [plain(p) for p in ours[: len(same)]] == [plain(p) for p in same]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not Signature.empty for p in ours[len(same) :])


def test_what_both_estimators_have_is_documented_alike() -> None:
    for section in ("Parameters", "Attributes"):
        ours, others = documented(MLPClassifier, section), documented(MLPRegressor, section)
        for name in (ours.keys() & others.keys()) - {"loss", "early_stopping", "validation_scores_"}:
            assert ours[name] == others[name]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(("cls", "data"), [(MLPClassifier, classes), (MLPRegressor, numbers)])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_fitted_attributes_are_documented_and_exist(cls: type[Any], data: Any, options: dict[str, Any]) -> None:
    model = cls(max_iter=2, random_state=0, **options).fit(*data())
    attributes = documented(cls, "Attributes")
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert fitted <= attributes.keys()
    always = {name for name, item in attributes.items() if "only " not in " ".join(item.desc).lower()}
    assert not [name for name in always if not hasattr(model, name)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("without_native")
@BOTH
def test_tooltips_in_a_notebook_hold_our_texts(cls: type[Any]) -> None:
    model = cls(solver=dlarray.AdamW(0.01), dropout=0.1, max_iter=2)
    shown = model._repr_html_()
    for name, item in documented(cls, "Parameters").items():
        assert f"{html.escape(name)}: {html.escape(item.type)}" in shown
        assert html.escape(item.desc[0]) in shown
    assert f"sklearn.neural_network.{cls.__name__}.html" in shown
    assert "solver__learning_rate" in shown  # fields of objects are rows of the table
    assert cls.__name__ in make_pipeline(StandardScaler(), model)._repr_html_()
    fitted = model.fit(np.eye(4), [0, 1, 0, 1])._repr_html_()
    attributes = documented(cls, "Attributes")
    for name in ("loss_curve_", "out_activation_", "coefs_"):
        assert html.escape(attributes[name].desc[0]) in fitted

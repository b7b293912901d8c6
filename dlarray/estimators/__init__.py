"""scikit-learn's MLPClassifier and MLPRegressor on dlarray: the same numbers for the same settings, and more settings.

Needs scikit-learn 1.9 or newer: ``pip install "dlarray[sklearn]"``.
"""

from importlib import import_module

try:
    import_module("sklearn.callback")  # new in scikit-learn 1.9
except ImportError as error:
    raise ImportError('the estimators need scikit-learn 1.9 or newer: pip install "dlarray[sklearn]"') from error

from dlarray.estimators.classifier import MLPClassifier
from dlarray.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

"""
Text classification with sparse inputs
======================================

Which package does a docstring belong to?

Each docstring becomes a row with a number for each word of the vocabulary: thousands of columns, nearly all of them 0.
For such sparse data the textbook recommends Adam. scikit-learn's vectorizer counts the words, and dlarray's classifier
works in its pipeline; the matrix stays sparse throughout. Code and package names are removed first, because they would
make the task too easy.
"""

import ast
import importlib.util
import re
import sys
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from dlarray.estimators import MLPClassifier
from dlarray.plot import AMBER, BLUE, GREY, ORANGE, confusion

PACKAGES = {
    "Python": {"asyncio", "collections", "email", "http", "json", "logging", "multiprocessing", "unittest", "xml"},
    "NumPy": {"numpy"},
    "SciPy": {"scipy"},
    "scikit-learn": {"sklearn"},
    "matplotlib": {"matplotlib"},
}
NAMES = re.compile(
    r"\b(numpy|np|scipy|sklearn|scikit|learn|matplotlib|mpl|plt|pyplot|python|array_?like|ndarrays?)\b", re.I
)
SHORTEST, MOST = 150, 600


def folders(roots: set[str]) -> list[Path]:
    """The folders of these packages, found without importing them."""
    found = [importlib.util.find_spec(root) for root in sorted(roots)]
    return [Path(spec.origin).parent for spec in found if spec and spec.origin]


def docstrings(roots: set[str]) -> list[str]:
    """Docstrings of functions and classes, without code and without the packages' names."""
    texts: dict[str, None] = {}
    files = [file for folder in folders(roots) for file in sorted(folder.rglob("*.py")) if "test" not in str(file)]
    for file in np.random.default_rng(0).permutation(files)[:150]:
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                text = ast.get_docstring(node) or ""
                prose = re.sub(r"^\s*(>>>|\.\.\.).*$", "", text.partition("Examples\n")[0], flags=re.MULTILINE)
                texts[NAMES.sub(" ", prose)] = None
    return [text for text in texts if len(text) >= SHORTEST][:MOST]


found = {name: docstrings(roots) for name, roots in PACKAGES.items()}
names = [name for name in PACKAGES if len(found[name]) >= 50]
texts = [text for name in names for text in found[name]]
labels = np.repeat(names, [len(found[name]) for name in names])
train, test, y_train, y_test = train_test_split(texts, labels, test_size=0.25, stratify=labels, random_state=0)

vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32)
x_train, x_test = vectorizer.fit_transform(train), vectorizer.transform(test)
share = x_train.nnz / np.prod(x_train.shape)
print(f"{len(texts)} docstrings of {len(names)} libraries, {x_train.shape[1]} words, {100 * share:.1f} % of them not 0")

MODELS = {
    "the most frequent": DummyClassifier(),
    "logistic regression": LogisticRegression(C=10.0, max_iter=300),
    "perceptron, sgd": MLPClassifier(64, solver="sgd", learning_rate_init=0.05, max_iter=12, tol=0, random_state=0),
    "perceptron, adam": MLPClassifier(64, solver="adam", learning_rate_init=0.005, max_iter=12, tol=0, random_state=0),
}
warnings.simplefilter("ignore", ConvergenceWarning)  # twelve epochs are enough to compare the models
right: dict[str, float] = {}
for name, model in MODELS.items():
    began = time.perf_counter()
    model.fit(x_train, y_train)
    right[name] = 100 * model.score(x_test, y_test)
    print(f"{name:20} {right[name]:5.1f} % right on {len(y_test)} test docstrings, {time.perf_counter() - began:.1f} s")

pipeline = make_pipeline(vectorizer, MODELS["perceptron, adam"])
print("a new sentence:", *pipeline.predict(["Draw the legend of the axes with a line for each artist in the figure."]))

figure, (left, middle, bars) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained", width_ratios=[1.1, 1, 0.9])
confusion(confusion_matrix(y_test, MODELS["perceptron, adam"].predict(x_test), labels=names), left)
left.set_xticks(range(len(names)), names, rotation=30)
left.set_yticks(range(len(names)), names)
for name, style in (("perceptron, sgd", "--"), ("perceptron, adam", "-")):
    middle.plot(range(1, 13), MODELS[name].loss_curve_, style, color=BLUE, linewidth=2.2, label=name)
middle.set(title="Training on sparse data", xlabel="epoch", ylabel="loss", ylim=(0, None))
middle.legend()
bars.barh(list(right), list(right.values()), color=[GREY, GREY, AMBER, ORANGE])
bars.set(title="Test accuracy (%)", xlim=(0, 100))
bars.invert_yaxis()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "text.png", dpi=110)

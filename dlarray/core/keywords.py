"""Keyword arguments that a function or a class does not have: the error says what to write instead.

Many are the names of other libraries, such as ``lr``. A table knows them; for any other word the closest argument is
suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Signature, signature
from typing import Any, ParamSpec, Self, TypeVar

from dlarray.core.check import did_you_mean

__all__ = ["SYNONYMS", "WithSynonyms", "explains_keywords"]

P = ParamSpec("P")
R = TypeVar("R")

_OTHER_NAMES = {  # our names, and those of other libraries
    "epochs": "n_epochs num_epochs nb_epoch nb_epochs max_epochs max_iter n_iter",
    "max_steps": "n_steps num_steps",
    "batch_size": "batch batchsize minibatch_size mini_batch_size",
    "loss": "criterion loss_fn loss_function loss_func objective",
    "optimizer": "optim opt solver optimiser",
    "weight": "sample_weight sample_weights weights kernel_initializer",
    "class_weight": "class_weights weight",
    "metrics": "metric scoring",
    "callbacks": "callback",
    "seed": "random_state random_seed rng",
    "progress": "verbose verbosity progress_bar",
    "accumulate": "accumulation_steps gradient_accumulation_steps accumulate_grad_batches",
    "precision": "amp use_amp mixed_precision",
    "resume": "checkpoint ckpt_path resume_from_checkpoint",
    "theta": "params parameters initial_weights",
    "x": "X inputs features x_train X_train",
    "y": "Y targets target labels y_train",
    "learning_rate": "lr learning_rate_init rate eta step_size",
    "weight_decay": "decay wd l2",
    "beta1 and beta2": "betas",
    "beta1": "b1 beta_1",
    "beta2": "b2 beta_2",
    "eps": "epsilon",
    "rho": "alpha decay_rate",
    "momentum": "gamma",
    "units": "out_features output_dim embedding_dim",
    "bias": "use_bias bias_initializer",
    "categories": "num_embeddings input_dim num_categories",
    "slope": "negative_slope alpha",
    "threshold": "lambd lam theta",
    "low": "min_val min_value",
    "high": "max_val max_value",
    "scale and shift": "affine elementwise_affine",
    "scale": "gamma",
    "shift": "center",
    "rate": "p prob dropout base_lr lr learning_rate init_value initial_learning_rate",
    "peak": "max_lr peak_value lr learning_rate rate",
    "steps": "T_max T_0 total_steps total_iters decay_steps transition_steps max_iters",
    "every": "step_size decay_steps transition_steps",
    "factor": "gamma decay_rate",
    "end": "eta_min end_value end_learning_rate",
    "at": "milestones boundaries steps",
    "up": "step_size_up",
    "down": "step_size_down",
    "growth": "T_mult",
    "warm_up": "pct_start",
    "div": "div_factor",
    "final_div": "final_div_factor",
    "activation": "activations",
    "delta": "beta",
}
SYNONYMS: dict[str, list[str]] = {}
"""For each name of another library the names that an argument may have here."""
for _name, _words in _OTHER_NAMES.items():
    for _word in _words.split():
        SYNONYMS.setdefault(_word, []).append(_name)


def explains_keywords(remedies: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: a call with an unknown keyword raises TypeError with its remedy. The signature stays as it is.

    ``remedies`` is for keywords that have no other name but belong elsewhere: {"lr": "it belongs to the optimizer"}.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = signature(function).parameters.keys()

        @wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            _check(f"{function.__name__}()", options, known, remedies)
            return function(*args, **options)

        return call

    return decorate


class _InitSignature:
    """The signature of a class is that of its ``__init__``: documentation would show that of ``__new__``."""

    def __get__(self, instance: object, owner: type) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")  # of a schedule, which is called, it is that of its __call__
        of_init = signature(vars(owner).get("__init__") or owner.__init__)
        return of_init.replace(parameters=list(of_init.parameters.values())[1:])


class WithSynonyms:
    """A configuration whose constructor explains keywords that it does not have."""

    __signature__ = _InitSignature()

    def __new__(cls, *args: Any, **options: Any) -> Self:
        if options and is_dataclass(cls):
            _check(cls.__name__, options, [f.name for f in fields(cls) if f.init], {})
        return super().__new__(cls)


def _check(who: str, given: Mapping[str, Any], known: Collection[str], remedies: Mapping[str, str]) -> None:
    """Raise TypeError that names the first keyword that is not known, with its remedy."""
    for name in given:
        if name not in known:
            own = next((own for own in SYNONYMS.get(name, []) if own.partition(" ")[0] in known), None)
            listed = f"; its arguments are {', '.join(known)}" if known else "; it takes none"
            remedy = f", it is called {own}" if own else did_you_mean(name, known) or listed
            raise TypeError(f"{who} has no argument {name!r}{f': {remedies[name]}' if name in remedies else remedy}")

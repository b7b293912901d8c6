"""Losses against oracles: torch's functions, scikit-learn's hinge loss and JAX's derivative of our forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CategoricalHinge,
    Focal,
    Gamma,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    MultiMargin,
    Pinball,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossEntropy,
    SquaredHinge,
    Tweedie,
)
from dlarray.losses.terms import SumOfTerms
from dlarray.testing.loss_cases import LOSSES, K, case, value_and_slope
from dlarray.testing.own import own

torch = pytest.importorskip("torch")
F = torch.nn.functional


def _reduce(terms: Any, reduction: str) -> Any:
    return terms if reduction == "none" else getattr(terms, reduction)()


def _right(y: Any, t: Any) -> Any:
    return torch.where(t > 0, y, 1 - y)


def _focal(z: Any, t: Any, gamma: float, alpha: float | None) -> Any:
    """Lin et al. 2017, equation 5, over the binary cross-entropy, as torchvision composes it."""
    entropy, y = F.binary_cross_entropy_with_logits(z, t, reduction="none"), torch.sigmoid(z)
    terms = entropy * (1 - (y * t + (1 - y) * (1 - t))) ** gamma
    return terms if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * terms


def _hinge(z: Any, t: Any) -> Any:
    return torch.clamp(1 - (2 * t - 1) * z, min=0)


def _crammer_singer(z: Any, t: Any) -> Any:
    right = F.one_hot(t, z.shape[1]).bool()
    return torch.clamp(1 + z.masked_fill(right, -torch.inf).max(1).values - z[right], min=0)


def _tweedie(y: Any, t: Any, p: float) -> Any:
    """Half the unit deviance as McCullagh and Nelder write it: the integral of (t - u) / u^p from y to t."""
    return (t ** (2 - p) - t * y ** (1 - p)) / (1 - p) - (t ** (2 - p) - y ** (2 - p)) / (2 - p)


def _soft(t: Any, classes: int) -> Any:
    return 0.9 * t + 0.1 / classes


# what torch computes for each configuration: (z, t, reduction) -> value
TORCH: list[tuple[type[Loss], dict[str, Any], Callable[[Any, Any, str], Any]]] = [
    (MeanSquaredError, {}, lambda z, t, r: F.mse_loss(z, t, reduction=r)),
    (MeanAbsoluteError, {}, lambda z, t, r: F.l1_loss(z, t, reduction=r)),
    (RootMeanSquaredError, {}, lambda z, t, r: torch.sqrt(F.mse_loss(z, t))),
    (Huber, {}, lambda z, t, r: F.huber_loss(z, t, reduction=r)),
    (Huber, {"delta": 0.3}, lambda z, t, r: F.huber_loss(z, t, reduction=r, delta=0.3)),
    (LogCosh, {}, lambda z, t, r: _reduce(torch.log(torch.cosh(z - t)), r)),
    (Poisson, {}, lambda z, t, r: F.poisson_nll_loss(z, t, reduction=r)),
    (Poisson, {"from_logits": False}, lambda z, t, r: F.poisson_nll_loss(z, t, log_input=False, reduction=r)),
    (MeanAbsolutePercentageError, {}, lambda z, t, r: _reduce(torch.abs((z - t) / t), r)),
    (MeanSquaredLogarithmicError, {}, lambda z, t, r: F.mse_loss(z, torch.log1p(t), reduction=r)),
    (
        MeanSquaredLogarithmicError,
        {"from_logits": False},
        lambda z, t, r: F.mse_loss(torch.log1p(z), torch.log1p(t), reduction=r),
    ),
    (
        GaussianNLL,
        {},
        lambda z, t, r: F.gaussian_nll_loss(z[:, : K // 2], t, F.softplus(z[:, K // 2 :]) + 1e-6, reduction=r),
    ),
    (
        GaussianNLL,
        {"from_logits": False},
        lambda z, t, r: F.gaussian_nll_loss(z[:, : K // 2], t, z[:, K // 2 :], reduction=r),
    ),
    (CategoricalHinge, {}, lambda z, t, r: _reduce(_crammer_singer(z, t), r)),
    (MultiMargin, {}, lambda z, t, r: F.multi_margin_loss(z, t, reduction=r)),
    (
        MultiMargin,
        {"margin": 0.3, "exponent": 2},
        lambda z, t, r: F.multi_margin_loss(z, t, p=2, margin=0.3, reduction=r),
    ),
    (Pinball, {}, lambda z, t, r: _reduce(0.5 * torch.abs(z - t), r)),
    (Pinball, {"quantile": 0.9}, lambda z, t, r: _reduce(torch.maximum(0.9 * (t - z), 0.1 * (z - t)), r)),
    (Gamma, {}, lambda z, t, r: _reduce(t * torch.exp(-z) - 1 - torch.log(t) + z, r)),
    (Gamma, {"from_logits": False}, lambda z, t, r: _reduce(t / z - 1 - torch.log(t) + torch.log(z), r)),
    (Tweedie, {}, lambda z, t, r: _reduce(_tweedie(torch.exp(z), t, 1.5), r)),
    (Tweedie, {"power": 1.1}, lambda z, t, r: _reduce(_tweedie(torch.exp(z), t, 1.1), r)),
    (Tweedie, {"power": 1.9, "from_logits": False}, lambda z, t, r: _reduce(_tweedie(z, t, 1.9), r)),
    (BinaryCrossEntropy, {}, lambda z, t, r: F.binary_cross_entropy_with_logits(z, t, reduction=r)),
    (BinaryCrossEntropy, {"from_logits": False}, lambda z, t, r: F.binary_cross_entropy(z, t, reduction=r)),
    (
        BinaryCrossEntropy,
        {"pos_weight": (0.5, 3.0, 1.0, 1.25)},
        lambda z, t, r: F.binary_cross_entropy_with_logits(
            z, t, reduction=r, pos_weight=torch.tensor([0.5, 3.0, 1.0, 1.25], dtype=z.dtype)
        ),
    ),
    (
        BinaryCrossEntropy,
        {"pos_weight": 3.0, "from_logits": False},
        lambda z, t, r: _reduce(-3 * t * torch.log(z) - (1 - t) * torch.log(1 - z), r),
    ),
    (
        BinaryCrossEntropy,
        {"label_smoothing": 0.1},
        lambda z, t, r: F.binary_cross_entropy_with_logits(z, _soft(t, 2), reduction=r),
    ),
    (
        BinaryCrossEntropy,
        {"label_smoothing": 0.1, "from_logits": False},
        lambda z, t, r: F.binary_cross_entropy(z, _soft(t, 2), reduction=r),
    ),
    (Focal, {}, lambda z, t, r: _reduce(_focal(z, t, 2.0, None), r)),
    (Focal, {"gamma": 0.5, "alpha": 0.25}, lambda z, t, r: _reduce(_focal(z, t, 0.5, 0.25), r)),
    (Focal, {"gamma": 0.0}, lambda z, t, r: F.binary_cross_entropy_with_logits(z, t, reduction=r)),
    (
        Focal,
        {"from_logits": False, "gamma": 3.0, "alpha": 0.25},
        lambda z, t, r: _reduce(-(0.75 - 0.5 * t) * (1 - _right(z, t)) ** 3 * torch.log(_right(z, t)), r),
    ),
    (Hinge, {}, lambda z, t, r: _reduce(_hinge(z, t), r)),
    (SquaredHinge, {}, lambda z, t, r: _reduce(_hinge(z, t) ** 2, r)),
    (CategoricalCrossEntropy, {}, lambda z, t, r: F.cross_entropy(z, t, reduction=r)),
    (
        CategoricalCrossEntropy,
        {"label_smoothing": 0.1},
        lambda z, t, r: F.cross_entropy(z, t, label_smoothing=0.1, reduction=r),
    ),
    (
        CategoricalCrossEntropy,
        {"from_logits": False, "label_smoothing": 0.1},
        lambda z, t, r: _reduce(-(_soft(t, K) * torch.log(z)).sum(1), r),
    ),
    (SparseCategoricalCrossEntropy, {}, lambda z, t, r: F.cross_entropy(z, t, reduction=r)),
    (
        SparseCategoricalCrossEntropy,
        {"label_smoothing": 0.1},
        lambda z, t, r: F.cross_entropy(z, t, label_smoothing=0.1, reduction=r),
    ),
    (
        SparseCategoricalCrossEntropy,
        {"class_weight": (0.5, 3.0, 0.0, 1.25)},
        lambda z, t, r: F.cross_entropy(z, t, torch.tensor([0.5, 3.0, 0.0, 1.25], dtype=z.dtype), reduction=r),
    ),
    (
        SparseCategoricalCrossEntropy,
        {"from_logits": False, "class_weight": (0.5, 3.0, 0.0, 1.25)},
        lambda z, t, r: F.nll_loss(torch.log(z), t, torch.tensor([0.5, 3.0, 0.0, 1.25], dtype=z.dtype), reduction=r),
    ),
    *(
        (
            SparseCategoricalCrossEntropy,
            {"ignore_index": 2, **options},
            lambda z, t, r, options=options: F.cross_entropy(
                z,
                t,
                torch.tensor(options["class_weight"], dtype=z.dtype) if "class_weight" in options else None,
                ignore_index=2,
                reduction=r,
                label_smoothing=0.1 if "label_smoothing" in options else 0,
            ),
        )
        for options in ({}, {"label_smoothing": 0.1}, {"class_weight": (0.5, 3.0, 2.0, 1.25)})
    ),
    (KLDivergence, {}, lambda z, t, r: _reduce(F.kl_div(F.log_softmax(z, 1), t, reduction="none").sum(1), r)),
    (
        KLDivergence,
        {"from_logits": False},
        lambda z, t, r: _reduce(F.kl_div(torch.log(z), t, reduction="none").sum(1), r),
    ),
]


def test_every_loss_has_an_oracle() -> None:
    assert {cls for cls, _, _ in TORCH} == set(own(Loss).values())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("cls", "options", "oracle"), TORCH)
def test_torch(cls: type[Loss], options: dict[str, Any], oracle: Callable[..., Any], reduction: str) -> None:
    if not issubclass(cls, SumOfTerms) and reduction != "mean":
        pytest.skip("it has no reduction")
    loss = cls(**options, reduction=reduction) if issubclass(cls, SumOfTerms) else cls(**options)
    z, t, _ = case(loss)
    value, dz = value_and_slope(loss)(z, t)
    theirs = torch.tensor(z, requires_grad=True)
    expected = oracle(theirs, torch.tensor(t), reduction)
    expected.sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dz, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("cls", "options", "oracle"), TORCH)
def test_torch_weighted(cls: type[Loss], options: dict[str, Any], oracle: Callable[..., Any], reduction: str) -> None:
    if not issubclass(cls, SumOfTerms) or {"class_weight", "ignore_index"} & options.keys():
        pytest.skip("it has no terms to weigh, or weighs them already")
    loss = cls(**options, reduction=reduction)
    z, t, weight = case(loss)
    value, dz = value_and_slope(loss)(z, t, weight)
    theirs = torch.tensor(z, requires_grad=True)
    terms = oracle(theirs, torch.tensor(t), "none")
    w = torch.tensor(weight).reshape((-1,) + (1,) * (terms.ndim - 1)).expand(terms.shape)
    expected = (w * terms).sum() / w.sum() if reduction == "mean" else _reduce(w * terms, reduction)
    expected.sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dz, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_root_mean_squared_error_weighted() -> None:
    z, t, weight = case(RootMeanSquaredError())
    value, dz = value_and_slope(RootMeanSquaredError())(z, t, weight)
    expected = np.sqrt(np.sum(weight[:, None] * (z - t) ** 2) / np.sum(weight) / K)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(dz, weight[:, None] * (z - t) / (expected * np.sum(weight) * K), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_multiply_example_weights_and_divide_the_mean(weighted: bool) -> None:
    no, yes = 0.5, 3.0
    for loss in (BinaryCrossEntropy(class_weight=(no, yes)), Hinge(class_weight=(no, yes))):
        z, t, weight = case(loss)
        terms, saved = type(loss)(reduction="none").forward(z, t)
        w = (no * (1 - t) + yes * t) * (weight[:, None] if weighted else 1)
        value, dz = value_and_slope(loss)(z, t, weight if weighted else None)
        np.testing.assert_allclose(value, np.sum(w * terms) / np.sum(w), rtol=1e-13)
        np.testing.assert_allclose(dz, w * loss.slopes(saved[0]) / np.sum(w), rtol=1e-12)
    of_class = (0.5, 3.0, 0.0, 1.25)
    plain, loss = (
        CategoricalCrossEntropy(0.1, class_weight=c, reduction=r) for c, r in ((None, "none"), (of_class, "mean"))
    )
    z, t, weight = case(loss)
    terms, saved = plain.forward(z, t)
    w = (t @ np.array(of_class)) * (weight if weighted else 1)
    value, dz = value_and_slope(loss)(z, t, weight if weighted else None)
    np.testing.assert_allclose(value, np.sum(w * terms) / np.sum(w), rtol=1e-13)
    np.testing.assert_allclose(dz, w[:, None] * plain.backward(saved) / np.sum(w), rtol=1e-12)


def test_scikit_learn_hinge() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    z, t, _ = case(CategoricalHinge())
    theirs = metrics.hinge_loss(t, z, labels=np.arange(K))
    np.testing.assert_allclose(CategoricalHinge().forward(z, t)[0], theirs, rtol=1e-13)
    z, t, _ = case(Hinge())
    np.testing.assert_allclose(Hinge().forward(z[:, 0], t[:, 0])[0], metrics.hinge_loss(t[:, 0], z[:, 0]), rtol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_scikit_learn_s_metrics_and_losses(weighted: bool) -> None:
    """Deviances are twice the loss; scikit-learn's losses with a log link have the same derivative."""
    metrics = pytest.importorskip("sklearn.metrics")
    from sklearn._loss import HalfGammaLoss, HalfTweedieLoss, PinballLoss

    pinball, gamma, tweedie = metrics.mean_pinball_loss, metrics.mean_gamma_deviance, metrics.mean_tweedie_deviance
    cases: list[tuple[Loss, float, Callable[..., float], Any]] = [
        (Pinball(0.9), 1, lambda t, y, w: pinball(t, y, sample_weight=w, alpha=0.9), PinballLoss(quantile=0.9)),
        (Gamma(), 2, lambda t, y, w: gamma(t, y, sample_weight=w), HalfGammaLoss()),
        (Tweedie(1.3), 2, lambda t, y, w: tweedie(t, y, sample_weight=w, power=1.3), HalfTweedieLoss(power=1.3)),
    ]
    for loss, factor, metric, theirs in cases:
        z, t, weight = case(loss)
        z, t, w = z[:, :1].copy(), t[:, :1].copy(), weight if weighted else None
        value, dz = value_and_slope(loss)(z, t, w)
        y = loss.output_activation.predict(z)
        np.testing.assert_allclose(factor * value, metric(t[:, 0], y[:, 0], w), rtol=1e-12)
        slopes = theirs.gradient(t[:, 0], z[:, 0].copy(), sample_weight=w)
        np.testing.assert_allclose(dz[:, 0], slopes / (np.sum(w) if weighted else len(t)), rtol=1e-12)


@pytest.mark.parametrize("scale", [2.0, 40.0])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_jax_vjp(loss: Loss, scale: float) -> None:
    jax = pytest.importorskip("jax")
    if getattr(loss, "from_logits", True) is False:
        scale = min(scale, 2.0)
    with jax.enable_x64(True):
        z, t, weight = map(jax.numpy.asarray, case(loss, scale))
        value, pullback, saved = jax.vjp(lambda z: loss.forward(z, t, weight), z, has_aux=True)
        (expected,) = pullback(jax.numpy.ones_like(value))
        found = loss.backward(saved)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * float(np.max(np.abs(expected))))

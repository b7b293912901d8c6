"""scikit-learn's MLPRegressor on dlarray: its documentation and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlarray.core.layer import Activation, Layer
from dlarray.estimators.parameters import set_parameters
from dlarray.estimators.regression import BaseRegressor
from dlarray.initializers import Initializer
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule

__all__ = ["MLPRegressor"]


class MLPRegressor(BaseRegressor):
    """Multilayer perceptron for numbers, with the parameters, attributes and numerical results of scikit-learn's.

    Parameters from ``loss`` to ``max_fun`` give the numbers of ``sklearn.neural_network.MLPRegressor``.
    Sparse inputs stay sparse in training and prediction. For an invalid parameter ``fit`` raises ValueError, TypeError
    or DeviceError, and names what was expected.

    Parameters
    ----------
    loss : str or Loss, default='squared_error'
        The loss: 'squared_error', 'poisson' for counts, 'absolute_error', or any other loss of dlarray for numbers, by
        name or as an object: 'huber', 'log_cosh', 'gamma', ``dlarray.Pinball(0.9)`` for a quantile,
        ``dlarray.Tweedie(1.5)``. A loss with scikit-learn's name has scikit-learn's mean, the others dlarray's.

    hidden_layer_sizes : int or sequence of int, default=(100,)
        The number of units of each hidden layer. ``()`` is a network without hidden layers: a linear model.

    activation : str, Activation or list of these, default='relu'
        The activation of the hidden layers: 'relu', 'tanh', 'logistic', 'identity', or any other activation of dlarray
        by name or as an object. A list has one for each hidden layer.

    solver : str or Optimizer, default='adam'
        The optimizer.

        - 'adam' is Adam (Kingma and Ba 2014), suited to most data.
        - 'sgd' is stochastic gradient descent with momentum.
        - 'lbfgs' is a quasi-Newton method on all examples at once, often the best for few examples.
        - Any other name is an optimizer of dlarray with the rate ``learning_rate_init``, such as 'adamw'.
        - An object has its own rate: ``dlarray.AdamW(0.01)``. Its fields are parameters for ``set_params`` and
          searches: ``solver__learning_rate``.

    alpha : float, default=0.0001
        The strength of the penalty on the weights W of the layers, divided by the number of examples of a batch or the
        sum of their weights: ``alpha * ((1 - l1_ratio) / 2 * sum(W**2) + l1_ratio * sum(abs(W)))``.

    batch_size : int or 'auto', default='auto'
        The number of examples of a step. 'auto' is ``min(200, n_samples)``. 'lbfgs' takes all examples.

    learning_rate : {'constant', 'invscaling', 'adaptive', 'plateau'} or Schedule, default='constant'
        How the learning rate changes.

        - 'constant' is ``learning_rate_init``.
        - 'invscaling' is ``learning_rate_init / t**power_t`` after t examples. Only with ``solver='sgd'``.
        - 'adaptive' divides the rate by 5 each time ``tol`` and ``n_iter_no_change`` would end training, and ends it
          when the rate is 1e-6 or less. Only with ``solver='sgd'``.
        - 'plateau' does the same with every solver except 'lbfgs'.
        - A schedule of dlarray is a function of the steps done, such as ``dlarray.CosineDecay(0.01, 1000)``.

    learning_rate_init : float, default=0.001
        The initial learning rate. Not used by 'lbfgs' and by a solver that is an object.

    power_t : float, default=0.5
        The exponent of 'invscaling'. Only used with ``solver='sgd'``.

    max_iter : int, default=200
        The largest number of epochs, or of iterations of 'lbfgs'.

    shuffle : bool, default=True
        Whether the examples are shuffled before each epoch.

    random_state : int, RandomState instance or None, default=None
        The source of the initial weights, of the split for early stopping, of the order of examples and of dropout. An
        int gives the same result at every call, on every device to rounding.

    tol : float, default=1e-4
        If the loss, or the validation score, does not improve by at least ``tol`` for more than ``n_iter_no_change``
        epochs, training ends, or ``learning_rate`` is reduced.

    verbose : bool, int or 'progress', default=False
        Whether to print the loss of each epoch. 'progress' shows a progress bar instead, also in a notebook.

    warm_start : bool, default=False
        Whether ``fit`` continues from the current weights instead of new ones.

    momentum : float, default=0.9
        The momentum of 'sgd', at least 0 and less than 1.

    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.

    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the examples and to end training when their score does not
        improve. The weights of the best score are kept. Not used by 'lbfgs'.

    validation_fraction : float, default=0.1
        The fraction of the examples that early stopping holds out.

    beta_1 : float, default=0.9
        The decay rate of the mean of gradients in 'adam', at least 0 and less than 1.

    beta_2 : float, default=0.999
        The decay rate of the mean of squared gradients in 'adam', at least 0 and less than 1.

    epsilon : float, default=1e-8
        The number that 'adam' adds to a divisor.

    n_iter_no_change : int, default=10
        The number of epochs without an improvement of ``tol`` that training continues.

    max_fun : int, default=15000
        The largest number of times that 'lbfgs' computes the loss.

    dropout : float or sequence of float, default=0.0
        The fraction of a hidden layer's outputs that are set to 0 at random in training, one for all layers or one for
        each.

    normalization : str, Layer or None, default=None
        The layer before each hidden activation: 'batch_norm', 'layer_norm', 'rms_norm', or any layer of dlarray that
        keeps the number of features.

    initializer : str, Initializer or None, default=None
        The initial weights: the name of an initializer of dlarray, such as 'he_normal', or an object; biases are then
        0. None draws weights and biases as scikit-learn does. To begin with weights of your own, see ``from_trained``.

    l1_ratio : float, default=0.0
        The part of the penalty ``alpha`` that is the sum of absolute weights (L1), from 0 to 1. L1 makes weights that
        are not needed small, but not exactly 0. 'lbfgs' needs 0.

    output_activation : str, Activation or None, default=None
        The activation of the outputs: 'sigmoid' keeps predictions between 0 and 1, 'softplus' above 0. None is that of
        the loss: the exponential for 'poisson', 'gamma' and Tweedie, the identity for all others.

    device : str, Device, object or None, default=None
        The device that trains on host arrays: 'cpu', 'cuda', 'torch', 'jax', or a library's own object, such as
        ``torch.device('cuda')``. None is the current device (``DLARRAY_DEVICE``). Arrays of CuPy, torch and JAX stay on
        their device.

    callbacks : callable, callback, str, list of these or None, default=None
        Functions of the estimator, called after each epoch; one that returns True ends training. Or callbacks of
        ``dlarray.callbacks``, which can end training and return other weights, but not change the learning rate.
        ``set_callbacks`` takes scikit-learn's own.

    Attributes
    ----------
    loss_ : float
        The loss of the last epoch, with the penalty.

    best_loss_ : float or None
        The smallest loss of an epoch; None with ``early_stopping=True``. Only with a solver other than 'lbfgs'.

    loss_curve_ : list of shape (n_iter_,)
        The loss of each epoch. Only with a solver other than 'lbfgs'.

    validation_scores_ : list of shape (n_iter_,) or None
        The R² on the validation examples after each epoch; None without any. Only with a solver other than
        'lbfgs'.

    validation_loss_curve_ : list of shape (n_iter_,)
        The loss on the validation examples after each epoch, without the penalty. Only with validation examples.

    best_validation_score_ : float or None
        The best of ``validation_scores_`` with ``early_stopping=True``, else None. Only with a solver other than
        'lbfgs'.

    t_ : int
        The number of examples that training has used, each counted once in every epoch.

    coefs_ : list of shape (n_layers_ - 1,)
        The weights of each layer, (inputs, units), on the device. Weights that are set here are used.

    intercepts_ : list of shape (n_layers_ - 1,)
        The biases of each layer, (units,), on the device.

    n_features_in_ : int
        The number of features.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the features. Only for tables whose column names are all strings.

    n_iter_ : int
        The number of epochs, or of iterations of 'lbfgs'.

    n_layers_ : int
        The number of layers, the inputs and the outputs included.

    n_outputs_ : int
        The number of outputs.

    out_activation_ : str
        scikit-learn's name of the activation of the outputs, such as 'softmax', 'logistic' or 'identity'.

    See Also
    --------
    MLPClassifier : The same for classes.
    dlarray.fit : Training of any network of dlarray.

    References
    ----------
    Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep feedforward neural networks.

    Kingma, D. P. and Ba, J. (2014). Adam: a method for stochastic optimization. arXiv:1412.6980.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from dlarray.estimators import MLPRegressor
    >>> X, y = make_regression(100, 5, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    >>> model.score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int | str = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | Layer | None = None,
        initializer: str | Initializer | None = None,
        l1_ratio: float = 0.0,
        output_activation: str | Activation | None = None,
        device: Any = None,
        callbacks: Any = None,
    ) -> None:
        set_parameters(self, locals())

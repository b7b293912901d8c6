"""scikit-learn's MLPClassifier on dlarray: its documentation and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlarray.core.layer import Activation, Layer
from dlarray.estimators.classification import BaseClassifier
from dlarray.estimators.parameters import set_parameters
from dlarray.initializers import Initializer
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule

__all__ = ["MLPClassifier"]


class MLPClassifier(BaseClassifier):
    """Multilayer perceptron for classes, with the parameters, attributes and numbers of scikit-learn's.

    Parameters from ``hidden_layer_sizes`` to ``max_fun`` give the numbers of ``sklearn.neural_network.MLPClassifier``.
    Sparse inputs stay sparse in training and prediction. For an invalid parameter ``fit`` raises ValueError, TypeError
    or DeviceError, and names what was expected.

    Parameters
    ----------
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
        improve. The weights of the best score are kept. The split is stratified for two classes. Not used by 'lbfgs'.

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

    loss : str or Loss, default='log_loss'
        The loss: 'log_loss' is scikit-learn's cross-entropy. Or any loss of dlarray for classes, by name or as an
        object, with its own mean: 'hinge', 'focal', ``dlarray.CategoricalCrossEntropy(label_smoothing=0.1)``,
        ``dlarray.BinaryCrossEntropy(pos_weight=(3.0, 1.0))``. A binary loss is applied one-vs-rest.

    class_weight : dict, list, 'balanced' or None, default=None
        The weight of each class, by label or in the order of ``classes_``; it multiplies ``sample_weight``. 'balanced'
        makes the sums of the weights of all classes equal. For several labels it is 'balanced' or a list with one of
        these for each label.

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
    classes_ : ndarray of shape (n_classes,)
        The labels in ascending order; for several labels the numbers of the columns.

    loss_ : float
        The loss of the last epoch, with the penalty.

    best_loss_ : float or None
        The smallest loss of an epoch; None with ``early_stopping=True``. Only with a solver other than 'lbfgs'.

    loss_curve_ : list of shape (n_iter_,)
        The loss of each epoch. Only with a solver other than 'lbfgs'.

    validation_scores_ : list of shape (n_iter_,) or None
        The accuracy on the validation examples after each epoch; None without any. Only with a solver other than
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
    MLPRegressor : The same for numbers.
    dlarray.fit : Training of any network of dlarray.

    References
    ----------
    Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep feedforward neural networks.

    Kingma, D. P. and Ba, J. (2014). Adam: a method for stochastic optimization. arXiv:1412.6980.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dlarray.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(20, learning_rate_init=0.02, max_iter=500, random_state=0).fit(X, y)
    >>> model.predict(X[:3])
    array([0, 0, 0])
    >>> model.predict_proba(X[:2]).round(1)
    array([[1., 0., 0.],
           [1., 0., 0.]])
    >>> model.score(X, y) > 0.95
    True
    """

    def __init__(
        self,
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
        loss: str | Loss = "log_loss",
        class_weight: Any = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | Layer | None = None,
        initializer: str | Initializer | None = None,
        l1_ratio: float = 0.0,
        device: Any = None,
        callbacks: Any = None,
    ) -> None:
        set_parameters(self, locals())

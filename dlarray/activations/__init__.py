"""Activations: the functions between the matrices of a network, without which it would be one matrix.

a or y is the output, z the input, σ the sigmoid; dz stands for dL/dz, so each ``backward`` is the chain rule: the slope
times dy. All take arrays with any number of axes, features in the last one, and keep the dtype. Equations and defaults
are torch's unless a docstring says otherwise. ±inf gives the limit, NaN gives NaN. At a kink the slope is the one on
the left: ReLU'(0) = 0. If a comparison selects the slope (ReLU, HardTanh and others of straight lines), it selects one
at NaN too, as in torch and JAX: the slope is then a number, but the value is NaN, and so is the loss, which ends
training.
"""

from dlarray.activations import gated, rectifiers, shrinkage, squashing
from dlarray.activations.gated import *
from dlarray.activations.rectifiers import *
from dlarray.activations.shrinkage import *
from dlarray.activations.squashing import *
from dlarray.core.layer import Activation

__all__ = ["Activation"]
__all__ += gated.__all__
__all__ += rectifiers.__all__
__all__ += shrinkage.__all__
__all__ += squashing.__all__

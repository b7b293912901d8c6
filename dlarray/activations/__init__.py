"""Activations: what makes a network more than one matrix.

a or y is the output, z the input, σ the sigmoid; dz stands for dL/dz, so each ``backward`` is the chain rule: the slope
times dy. All take any number of axes, features in the last one, and keep the dtype. Where nothing else is said, torch's
equations and defaults; ±inf gives the limit, NaN gives NaN. At a kink the slope is the one on the left: ReLU'(0) = 0.
Where a comparison picks the slope (ReLU, LeakyReLU, PReLU, HardSigmoid, HardTanh), it is picked at NaN too, as in torch
and JAX: the value alone is NaN there, and so is the loss, which ends training.
"""

from dlarray.activations import gated, rectifiers, squashing
from dlarray.activations.gated import *
from dlarray.activations.rectifiers import *
from dlarray.activations.squashing import *
from dlarray.core.layer import Activation

__all__ = ["Activation"]
__all__ += gated.__all__
__all__ += rectifiers.__all__
__all__ += squashing.__all__

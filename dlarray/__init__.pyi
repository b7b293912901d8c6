from dlarray import activations as activations
from dlarray import callbacks as callbacks
from dlarray import core as core
from dlarray import datasets as datasets
from dlarray import device as device
from dlarray import diagnostics as diagnostics
from dlarray import estimators as estimators
from dlarray import explanation as explanation
from dlarray import initializers as initializers
from dlarray import layers as layers
from dlarray import losses as losses
from dlarray import metrics as metrics
from dlarray import model as model
from dlarray import optimizers as optimizers
from dlarray import planner as planner
from dlarray import plot as plot
from dlarray import schedules as schedules
from dlarray import tables as tables
from dlarray import training as training
from dlarray.activations import *
from dlarray.callbacks import *
from dlarray.core.array import Array as Array
from dlarray.core.array import array_namespace as array_namespace
from dlarray.core.layout import *
from dlarray.device import *
from dlarray.diagnostics import *
from dlarray.explanation import *
from dlarray.initializers import *
from dlarray.layers import *
from dlarray.losses import *
from dlarray.model import *
from dlarray.optimizers import *
from dlarray.plot.live_plot import *
from dlarray.schedules import *
from dlarray.training import *

__version__: str

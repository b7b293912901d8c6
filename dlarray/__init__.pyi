from dlarray import activations as activations
from dlarray import backend as backend
from dlarray import callbacks as callbacks
from dlarray import datasets as datasets
from dlarray import description as description
from dlarray import device as device
from dlarray import diagnostics as diagnostics
from dlarray import estimators as estimators
from dlarray import explanation as explanation
from dlarray import initializers as initializers
from dlarray import layer as layer
from dlarray import layers as layers
from dlarray import layout as layout
from dlarray import losses as losses
from dlarray import metrics as metrics
from dlarray import model as model
from dlarray import names as names
from dlarray import normalization as normalization
from dlarray import optimizers as optimizers
from dlarray import planner as planner
from dlarray import plot as plot
from dlarray import random as random
from dlarray import schedules as schedules
from dlarray import special as special
from dlarray import tables as tables
from dlarray import training as training
from dlarray.activations import *
from dlarray.array import Array as Array
from dlarray.array import array_namespace as array_namespace
from dlarray.callbacks import *
from dlarray.device import *
from dlarray.diagnostics import *
from dlarray.explanation import *
from dlarray.initializers import *
from dlarray.layer import *
from dlarray.layers import *
from dlarray.layout import *
from dlarray.losses import *
from dlarray.model import *
from dlarray.normalization import *
from dlarray.optimizers import *
from dlarray.schedules import *
from dlarray.shortage import *
from dlarray.training import *

__version__: str

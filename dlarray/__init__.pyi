from dlarray import activations as activations
from dlarray import backend as backend
from dlarray import blocks as blocks
from dlarray import callbacks as callbacks
from dlarray import core as core
from dlarray import datasets as datasets
from dlarray import device as device
from dlarray import diagnostics as diagnostics
from dlarray import estimators as estimators
from dlarray import explanation as explanation
from dlarray import initializers as initializers
from dlarray import interop as interop
from dlarray import layers as layers
from dlarray import losses as losses
from dlarray import metrics as metrics
from dlarray import model as model
from dlarray import onnx as onnx
from dlarray import optimizers as optimizers
from dlarray import parallel as parallel
from dlarray import planner as planner
from dlarray import plot as plot
from dlarray import schedules as schedules
from dlarray import tables as tables
from dlarray import training as training
from dlarray.activations import *
from dlarray.blocks import Blocks as Blocks
from dlarray.blocks import open_blocks as open_blocks
from dlarray.callbacks import *
from dlarray.core.array import Array as Array
from dlarray.core.array import array_namespace as array_namespace
from dlarray.core.layout import Theta as Theta
from dlarray.device import Device as Device
from dlarray.device import DeviceError as DeviceError
from dlarray.device import OutOfMemoryError as OutOfMemoryError
from dlarray.device import asarray as asarray
from dlarray.device import current_device as current_device
from dlarray.device import device_of as device_of
from dlarray.device import devices as devices
from dlarray.device import resolve as resolve
from dlarray.device import set_device as set_device
from dlarray.device import to_device as to_device
from dlarray.device import to_numpy as to_numpy
from dlarray.device import use_device as use_device
from dlarray.diagnostics import Diagnosis as Diagnosis
from dlarray.diagnostics import diagnose as diagnose
from dlarray.diagnostics import diagnose_at as diagnose_at
from dlarray.diagnostics import loss_landscape as loss_landscape
from dlarray.explanation import explain as explain
from dlarray.initializers import *
from dlarray.interop import from_keras as from_keras
from dlarray.interop import from_torch as from_torch
from dlarray.interop import to_torch as to_torch
from dlarray.layers import *
from dlarray.losses import *
from dlarray.model import MLP as MLP
from dlarray.model import mlp as mlp
from dlarray.optimizers import *
from dlarray.plot.live_plot import *
from dlarray.schedules import *
from dlarray.training import Callback as Callback
from dlarray.training import CheckpointError as CheckpointError
from dlarray.training import DivergedError as DivergedError
from dlarray.training import History as History
from dlarray.training import Interrupted as Interrupted
from dlarray.training import LRFinderResult as LRFinderResult
from dlarray.training import Run as Run
from dlarray.training import Step as Step
from dlarray.training import Trained as Trained
from dlarray.training import find_learning_rate as find_learning_rate
from dlarray.training import first_step as first_step
from dlarray.training import fit as fit
from dlarray.training import load as load
from dlarray.training import load_with_notes as load_with_notes
from dlarray.training import memory_estimate as memory_estimate

__version__: str

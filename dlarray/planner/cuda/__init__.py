"""Plans on a GPU: kernels printed as CUDA C, matrix products by cublasLt, a whole step as one CUDA graph.

Not tested on a GPU yet. ``gpu.py`` is the interface to a GPU, so the rest is tested on a fake one.
"""

from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import GpuStep, compile_on_gpu

__all__ = ["Gpu", "GpuStep", "Repeated", "Settings", "compile_on_gpu", "profile"]

"""Plans on a GPU: kernels printed as CUDA C, matrix products by cublasLt, a whole step as one CUDA graph.

Tested on an emulated GPU, not on a real one yet. ``gpu.py`` is the interface to a GPU.
"""

from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import GpuStep, compile_on_gpu

__all__ = ["Gpu", "GpuStep", "Repeated", "Settings", "compile_on_gpu", "profile"]

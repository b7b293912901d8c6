"""Plans on a CUDA GPU: kernels printed as CUDA C, products of cublasLt, a whole step as one graph.

No GPU has run any of it. What a GPU must be able to do is said in gpu.py, so that all else is tested on a fake
GPU.
"""

from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import GpuStep, compile_on_gpu

__all__ = ["Gpu", "GpuStep", "Repeated", "Settings", "compile_on_gpu", "profile"]

"""The names of torch and CuPy that the contenders use only on a GPU exist."""

from __future__ import annotations

import inspect

import pytest


def test_the_names_of_torch_that_only_a_gpu_runs():
    torch = pytest.importorskip("torch")
    for name in ("Event", "CUDAGraph", "graph", "Stream", "stream", "current_stream", "synchronize", "is_available"):
        assert hasattr(torch.cuda, name), name
    assert {"record", "synchronize", "elapsed_time"} <= set(dir(torch.cuda.Event))
    assert "enable_timing" in inspect.signature(torch.cuda.Event.__new__).parameters
    assert "replay" in dir(torch.cuda.CUDAGraph)
    assert "wait_stream" in dir(torch.cuda.Stream)
    assert callable(torch.compiler.cudagraph_mark_step_begin)
    assert {"fused", "capturable"} <= inspect.signature(torch.optim.Adam).parameters.keys()
    assert "mode" in inspect.signature(torch.compile).parameters
    assert {"default", "reduce-overhead"} <= torch._inductor.list_mode_options().keys()


def test_the_names_of_cupy_that_only_a_gpu_runs():
    cupy = pytest.importorskip("cupy")
    assert {"record", "synchronize"} <= set(dir(cupy.cuda.Event))
    assert callable(cupy.cuda.get_elapsed_time)
    assert callable(cupy.cuda.device.get_cublas_handle)
    assert callable(cupy.cuda.runtime.runtimeGetVersion)
    assert callable(cupy.cuda.runtime.driverGetVersion)
    try:
        cublas = cupy.cuda.cublas
    except ImportError as error:
        pytest.skip(str(error))
    assert callable(cublas.getVersion)

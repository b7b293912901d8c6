"""The search for devices: errors that name the source, the device auto, and the table of devices."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import dlarray.device as dd
from dlarray.backend import OneDevice
from dlarray.core import libraries
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.choice import VARIABLE

pytest.importorskip("array_api_strict")  # its artificial devices stand for real ones
pytestmark = pytest.mark.usefixtures("nothing_chosen")


def chosen() -> str:
    return dd.current_device().name


# Errors


def test_a_device_error_is_a_runtime_error():
    assert issubclass(dd.DeviceError, RuntimeError)


def by_argument(name, monkeypatch):
    dd.asarray([1], device=name)


def by_use_device(name, monkeypatch):
    with dd.use_device(name):
        raise AssertionError("the block was entered")


def by_set_device(name, monkeypatch):
    dd.set_device(name)


def by_variable(name, monkeypatch):
    monkeypatch.setenv(VARIABLE, name)
    dd.current_device()


ASKERS = [
    (by_argument, "device={!r}"),
    (by_use_device, "use_device({!r})"),
    (by_set_device, "set_device({!r})"),
    (by_variable, "the environment variable DLARRAY_DEVICE={!r}"),
]


@pytest.mark.parametrize(("ask", "words"), ASKERS)
@pytest.mark.parametrize("name", ["cudda", "strict:device9"])
def test_an_error_names_who_asked(ask, words, name, monkeypatch):
    with pytest.raises(dd.DeviceError) as caught:
        ask(name, monkeypatch)
    assert str(caught.value).startswith(words.format(name))


@pytest.mark.parametrize(
    ("name", "meant"), [("cudda", "cuda"), ("CPU", "cpu"), ("numppy", "numpy"), ("pytorch", "torch")]
)
def test_an_unknown_name_gets_the_nearest_one_and_all_there_are(name, meant):
    with pytest.raises(dd.DeviceError, match=f"unknown device, did you mean '{meant}'") as caught:
        dd.resolve(name)
    listed = str(caught.value).partition("known are ")[2].split(", ")
    assert {"cpu", "cuda", "auto", *backends.names()} <= set(listed)


NO_DEVICES = ["", ":", ":cpu", "cpu:1", "cpu:x", "auto:1", "a b", "..", "torch:cudda", "jax:cpu:-1", "jax:cpu:x"]


@pytest.mark.parametrize("name", NO_DEVICES)
def test_words_that_name_no_device(name):
    with pytest.raises(dd.DeviceError):
        dd.resolve(name)


@pytest.mark.parametrize("wrong", [0, b"cpu", ["cpu"]])
def test_a_device_is_named_by_a_string(wrong):
    with pytest.raises(TypeError, match="a device is given by its name"):
        dd.resolve(wrong)


class CUDARuntimeError(RuntimeError):
    pass


def cupy_without(what, monkeypatch):
    """CuPy as it fails on machines that lack something."""

    def fail(*args):
        raise CUDARuntimeError(f"cudaError: no {what}\nand a line of no interest")

    if what == "package":
        monkeypatch.setitem(sys.modules, "cupy", None)
        return
    nothing = SimpleNamespace(__enter__=None, __exit__=None)
    runtime = SimpleNamespace(getDeviceCount=fail if what == "driver" else lambda: 1)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime, Device=lambda i: nothing), __version__="0")
    monkeypatch.setattr(type(backends.get("cupy")), "handle", lambda self, device: runtime.getDeviceCount() and nothing)
    monkeypatch.setattr(type(backends.get("cupy")), "asarray", fail)
    monkeypatch.setitem(sys.modules, "cupy", cupy)


@pytest.mark.parametrize(("ask", "words"), ASKERS)
@pytest.mark.parametrize(
    ("lacking", "cause", "kind"),
    [
        ("package", "the package cupy is not installed", ImportError),
        ("driver", "CUDARuntimeError: cudaError: no driver", CUDARuntimeError),
        ("memory", "CUDARuntimeError: cudaError: no memory", CUDARuntimeError),  # imports, and fails at the first use
    ],
)
def test_cuda_that_is_not_there(ask, words, lacking, cause, kind, monkeypatch):
    cupy_without(lacking, monkeypatch)
    with pytest.raises(dd.DeviceError) as caught:
        ask("cuda", monkeypatch)
    text = str(caught.value)
    assert text.startswith(words.format("cuda"))
    assert cause in text
    remedy = text.partition("remedy: ")[2]
    assert remedy.startswith('pip install "dlarray[cuda' if lacking == "package" else "an NVIDIA GPU and its driver")
    assert "of no interest" not in text
    usable = text.partition("devices that work here: ")[2].split(", ")
    assert "cpu" in usable
    assert "strict:device1" in usable
    assert "cuda" not in usable
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.usefixtures("no_gpu")
def test_cuda_on_a_machine_without_a_gpu():
    """On CuPy itself."""
    pytest.importorskip("cupy")
    with pytest.raises(dd.DeviceError, match="CUDARuntimeError: cudaErrorNoDevice"):
        dd.resolve("cuda")
    assert not next(status for status in dd.devices() if status.name == "cuda").usable


# auto


class Made(Backend):
    """A backend made up for these tests, NumPy underneath."""

    def __init__(self, name, rank, *devices, broken=False):
        self.name, self.auto_rank, self.array_modules = name, rank, (name,)
        self.short_names = ("cpu",) if name == "numpy" else ()
        self._devices, self._broken = list(devices), broken
        self._arrays = np.ndarray if name == "numpy" else type("Array", (np.ndarray,), {"__module__": name})

    def namespace(self):
        import array_api_compat.numpy as xp

        return xp

    def devices(self):
        return self._devices

    def device_of(self, x):
        return self._devices[-1]

    def handle(self, device):
        return device

    def asarray(self, host, place):
        if self._broken:
            raise OSError("libaccelerator.so was not found")
        return host.view(self._arrays)

    def to_numpy(self, x):
        return np.asarray(x)


NUMPY = Made("numpy", None, "cpu")
SLOW = Made("slow", 20, "cpu", "gpu:0")
FAST = Made("fast", 10, "cpu", "gpu:0")
BROKEN = Made("broken", 5, "cpu", "gpu:0", broken=True)
CORES = Made("cores", 10, "cpu", "cpu:1")  # another CPU is no accelerator
SHY = Made("shy", None, "gpu:0")  # asks never to be chosen


@pytest.mark.parametrize(
    ("installed", "expected", "passed_over"),
    [
        ([NUMPY], "cpu", []),
        ([NUMPY, SLOW, FAST], "fast:gpu:0", []),
        ([NUMPY, SLOW, BROKEN], "slow:gpu:0", ["broken: OSError: libaccelerator.so was not found"]),
        ([NUMPY, CORES, SHY], "cpu", ["cores: it has no accelerator"]),
    ],
)
def test_auto_takes_the_first_accelerator_that_works_and_says_so(installed, expected, passed_over, monkeypatch, caplog):
    monkeypatch.setattr(libraries, "importable", lambda: installed)
    monkeypatch.setattr(libraries, "_library_of", {})
    monkeypatch.setenv(VARIABLE, "auto")
    with caplog.at_level(logging.INFO, "dlarray"):
        assert chosen() == expected
        assert chosen() == expected
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [f"device 'auto': chose {expected}"]
    tried = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert tried == [f"auto skipped {why}" for why in passed_over]


# The table of devices


def test_every_device_of_the_table_leads_back_to_itself():
    table = dd.devices()
    usable = [status.name for status in table if status.usable]
    assert len({status.name for status in table}) == len(table)
    assert {"cpu", "strict:cpu", "strict:device1"} <= set(usable)
    for name in usable:
        device = dd.resolve(name)
        assert device.name == str(device) == name
        assert dd.device_of(device.asarray([1], "int32")) == device


def test_a_library_of_one_device_that_is_not_installed_is_a_line_of_the_table(monkeypatch):
    class Absent(OneDevice):
        name = "absent"
        array_modules = ("no_such_library",)
        requirement = "no-such-library"

        def namespace(self):
            import no_such_library

            return no_such_library

    monkeypatch.setitem(libraries._loaded, "absent", Absent())
    found = next(status for status in dd.devices() if status.backend == "absent")
    assert not found.usable
    assert found.reason == "the package no_such_library is not installed"
    assert found.remedy == 'pip install "no-such-library"'


def test_the_table_says_of_each_device_what_it_runs_on_or_why_not(monkeypatch):
    cupy_without("package", monkeypatch)
    table = {status.name: status for status in dd.devices()}
    assert {status.backend for status in table.values()} == set(backends.names())
    assert table["cpu"] == dd.DeviceStatus("cpu", "numpy", True, f"numpy {np.__version__}")
    assert table["cuda"] == dd.DeviceStatus(
        "cuda", "cupy", False, "", "the package cupy is not installed", 'pip install "dlarray[cuda13]"'
    )
    for status in table.values():
        assert status.usable == (status.reason == "")


def test_the_table_names_a_device_that_fails_only_when_used(monkeypatch):
    cupy_without("memory", monkeypatch)
    found = next(status for status in dd.devices() if status.name == "cuda")
    library = f"cupy {backends.get('cupy').version()}"  # of the package on which the GPU is emulated, if it is there
    assert (found.usable, found.library, found.reason) == (False, library, "CUDARuntimeError: cudaError: no memory")


def test_a_short_name_is_the_first_device():
    assert dd.resolve("numpy") == dd.resolve("numpy:cpu") == dd.resolve("cpu")
    assert dd.resolve("strict") == dd.resolve("strict:cpu")
    assert dd.resolve(dd.resolve("strict:device1")) == dd.resolve("strict:device1")


def test_a_library_s_own_object_names_its_device(on):
    """``torch.device("cpu")``, ``jax.devices()[0]``, ``cupy.cuda.Device(0)``: the handle of each device."""
    if isinstance(on.target.handle, str):  # the library has no object for it, as NumPy
        with pytest.raises(TypeError, match="or as the object of its library, got 3"):
            dd.resolve(3)
        return
    assert dd.resolve(on.target.handle) is on.target
    with dd.use_device(on.target.handle) as found:
        assert found is on.target
        assert dd.device_of(dd.asarray([1.0], dtype="float32")) is on.target

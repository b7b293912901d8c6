"""Where new arrays go, who decides it, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import dlarray.device as dd
from dlarray.device import backend as backends
from dlarray.device import search
from dlarray.device.backend import Backend
from dlarray.device.choice import VARIABLE
from tests.support.process import python

pytest.importorskip("array_api_strict")  # its made-up devices stand for real ones


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(search, "_working", {})
    yield
    dd.set_device(None)


def chosen() -> str:
    return dd.current_device().name


# Precedence


def test_each_way_to_choose_goes_before_the_next(monkeypatch):
    assert chosen() == "cpu"
    monkeypatch.setenv(VARIABLE, "strict:device1")
    assert chosen() == "strict:device1"
    dd.set_device("strict:device2")
    assert chosen() == "strict:device2"
    with dd.use_device("strict:no_x64"):
        assert chosen() == "strict:no_x64"
        assert dd.resolve("strict:no_float64").name == "strict:no_float64"
        assert dd.device_of(dd.asarray([1], "strict:cpu")).name == "strict:cpu"
        assert dd.device_of(dd.asarray([1], dtype="int32")).name == "strict:no_x64"
    assert chosen() == "strict:device2"
    dd.set_device(None)
    assert chosen() == "strict:device1"
    monkeypatch.delenv(VARIABLE)
    assert chosen() == "cpu"


def test_the_variable_is_read_when_it_is_needed_and_not_at_import():
    code = """
import os, dlarray.device as dd
print(dd.resolve("cpu"))          # an argument needs no variable
try: dd.current_device()
except dd.DeviceError as error: print("nonsense" in str(error))
os.environ["DLARRAY_DEVICE"] = "strict"
print(dd.current_device())
"""
    assert python(code, DLARRAY_DEVICE="nonsense").split() == ["cpu", "True", "strict:cpu"]


def test_an_empty_variable_chooses_nothing(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert chosen() == "cpu"


def test_use_device_gives_the_device_and_takes_its_choice_back_after_an_error():
    with dd.use_device("strict:device1") as device:
        assert device.name == "strict:device1"
        with pytest.raises(ZeroDivisionError), dd.use_device("strict:device2"):
            _ = 1 / 0
        assert chosen() == "strict:device1"
    assert chosen() == "cpu"


def in_a_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


def test_use_device_holds_in_the_thread_that_entered_it_alone():
    both_inside = threading.Barrier(2, timeout=60)
    seen = {}

    def work(name):
        with dd.use_device(name):
            both_inside.wait()
            seen[name] = chosen()
            both_inside.wait()

    threads = [threading.Thread(target=work, args=(f"strict:device{i}",)) for i in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"strict:device1": "strict:device1", "strict:device2": "strict:device2"}
    assert chosen() == "cpu"


def test_threads_see_set_device_and_the_block_only_with_its_context():
    dd.set_device("strict:device1")
    with dd.use_device("strict:device2"):
        assert in_a_thread(chosen) == "strict:device1"
        context = contextvars.copy_context()
        assert in_a_thread(lambda: context.run(chosen)) == "strict:device2"


def test_set_device_in_a_thread_is_the_whole_process_choice():
    in_a_thread(lambda: dd.set_device("strict:device1"))
    assert chosen() == "strict:device1"


def test_each_task_has_its_own_block():
    async def work(name):
        with dd.use_device(name):
            await asyncio.sleep(0)
            return chosen()

    async def both():
        return await asyncio.gather(work("strict:device1"), work("strict:device2"))

    assert asyncio.run(both()) == ["strict:device1", "strict:device2"]


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


def test_a_choice_that_fails_changes_nothing():
    dd.set_device("strict:device1")
    with pytest.raises(dd.DeviceError):
        dd.set_device("strict:device9")
    with pytest.raises(dd.DeviceError), dd.use_device("strict:device9"):
        pass
    assert chosen() == "strict:device1"


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


# auto


class Made(Backend):
    """A backend made up for these tests, NumPy underneath."""

    def __init__(self, name, rank, *devices, broken=False):
        self.name, self.auto_rank, self.array_modules = name, rank, (name,)
        self.short_names = ("cpu",) if name == "numpy" else ()
        self._devices, self._broken = list(devices), broken

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
        return host

    def to_numpy(self, x):
        return x


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
    monkeypatch.setattr(backends, "importable", lambda: installed)
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
    assert (found.usable, found.library, found.reason) == (False, "cupy 0", "CUDARuntimeError: cudaError: no memory")


def test_a_short_name_is_the_first_device():
    assert dd.resolve("numpy") == dd.resolve("numpy:cpu") == dd.resolve("cpu")
    assert dd.resolve("strict") == dd.resolve("strict:cpu")
    assert dd.resolve(dd.resolve("strict:device1")) == dd.resolve("strict:device1")


# Moving


def usable() -> list[str]:
    return [status.name for status in dd.devices() if status.usable]


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_every_pair_of_devices_exchanges_the_same_bits(dtype):
    host = np.random.default_rng(0).integers(-(2**31), 2**31, (5, 7), dtype=np.int32)
    host = host.view(np.float32) if dtype == "float32" else host.astype(dtype)
    if dtype == "float32":
        host[0, :6] = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38]
    names = usable()
    for a in names:
        x = dd.asarray(host, a)
        for b in names:
            y = dd.to_device(x, b)
            assert dd.device_of(y) == dd.resolve(b), (a, b)
            back = dd.to_numpy(y)
            assert type(back) is np.ndarray
            assert back.dtype == dtype
            assert back.tobytes() == host.tobytes(), (a, b)


def test_an_array_that_is_there_already_is_not_copied():
    for name in usable():
        x = dd.asarray([1, 2], name, "int32")
        assert dd.to_device(x, name) is x, name


def test_to_device_without_a_name_goes_where_new_arrays_go():
    with dd.use_device("strict:device1"):
        assert dd.device_of(dd.to_device(np.ones(2))).name == "strict:device1"


@pytest.mark.parametrize("wrong", [[1.0, 2.0], 1.0, "cpu", None])
def test_only_arrays_move(wrong):
    with pytest.raises(TypeError, match="to_device takes an array"):
        dd.to_device(wrong, "cpu")


def test_an_array_of_no_known_library():
    with pytest.raises(TypeError, match=r"no backend knows arrays of type tests\.device\.test_device\.Made"):
        dd.to_numpy(NUMPY)


def test_a_numpy_scalar_comes_out_as_an_array():
    assert type(dd.to_numpy(np.float32(3))) is np.ndarray


HOSTS = {
    "negative strides": np.arange(6)[::-1],
    "transposed": np.arange(6).reshape(2, 3).T,
    "every other": np.arange(12)[::2],
    "other byte order": np.arange(3).astype(">i4"),
    "no elements": np.zeros((0, 3)),
    "no axes": np.asarray(7),
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
}


@pytest.mark.parametrize("case", HOSTS)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_host_arrays_of_any_layout_arrive(on, case, dtype):
    host = HOSTS[case].astype(HOSTS[case].dtype.newbyteorder("="))
    given = HOSTS[case].astype(np.dtype(dtype).newbyteorder(HOSTS[case].dtype.byteorder))
    given.flags.writeable = False
    x = dd.asarray(given, on.device)
    assert x.shape == host.shape
    np.testing.assert_array_equal(on.numpy(x), host)
    assert on.numpy(x).dtype == dtype


def test_a_new_array_shares_no_memory_with_the_host(on):
    host = np.ones((64, 64), dtype=on.dtype)
    x = dd.asarray(host, on.device)
    host[:] = 2
    np.testing.assert_array_equal(on.numpy(x), 1)


def test_asarray_takes_nested_lists_and_a_dtype():
    x = dd.asarray([[1, 2], [3, 4]], "cpu", "float32")
    assert x.dtype == np.float32
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("device", ["jax", "strict:no_float64"])
def test_float64_is_refused_where_it_does_not_exist(device):
    if device == "jax":
        pytest.importorskip("jax")
    with pytest.raises(ValueError, match="float64"):
        dd.to_device(np.asarray([1 / 3]), device)


def test_jax_takes_wide_whole_numbers_that_fit_in_32_bits_and_refuses_others():
    pytest.importorskip("jax")
    assert dd.to_numpy(dd.asarray([1, -(2**31)], "jax")).tolist() == [1, -(2**31)]
    for wide in (2**31, -(2**31) - 1, 2**40):
        with pytest.raises(ValueError, match="JAX supports int64 only after"):
            dd.asarray([wide], "jax")

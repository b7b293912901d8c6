"""The interface of every backend, and how backends are found: those of dlarray and third-party ones."""

from __future__ import annotations

from importlib.metadata import packages_distributions, version

import numpy as np
import pytest

import dlarray.device as dd
from dlarray.core.array import array_namespace
from dlarray.device import backend as backends
from tests.support.process import ROOT, python


@pytest.fixture(params=backends.names())
def backend(request):
    """A backend whose library is installed and works."""
    found = backends.get(request.param)
    try:
        dd.resolve(found.name)
    except dd.DeviceError as error:
        pytest.skip(str(error).partition("\n")[0])
    return found


def test_every_folder_under_backends_is_announced_under_its_name():
    folders = {path.parent.name for path in (ROOT / "backends").glob("*/__init__.py")}
    assert {f"dlarray_{name}" for name in backends.names()} == folders
    for folder in folders:
        assert (ROOT / "backends" / folder / "py.typed").exists()


@pytest.mark.parametrize("name", backends.names())
def test_a_backend_says_who_it_is_without_its_library(name):
    backend = backends.get(name)
    assert isinstance(backend, backends.Backend)
    assert backend.name == name
    assert backend.array_modules
    assert repr(backend) == f"<backend {name}>"
    assert backend.requirement or name == "numpy"


@pytest.mark.parametrize("made", ["dlarray_elsewhere.py", "dlarray_elsewhere/__init__.py"])
def test_a_backend_in_the_current_folder_that_python_does_not_search_is_named(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dd.DeviceError, match="unknown device") as refused:
        dd.resolve("elsewhere")
    assert "python -m" not in str(refused.value)
    path = tmp_path / made
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(dd.DeviceError, match="dlarray_elsewhere is in the current folder.*run `python -m dlarray`"):
        dd.resolve("elsewhere")


def test_no_word_for_a_device_means_two_backends():
    words = [word for name in backends.names() for word in (name, *backends.get(name).short_names)]
    assert len(set(words)) == len(words)


def test_the_first_device_is_the_default_one(backend):
    first = backend.devices()[0]
    assert dd.resolve(backend.name) == dd.resolve(f"{backend.name}:{first}")


@pytest.mark.parametrize("wrong", ["no such device", "0", "cpu:7", "cpu:x", "cuda:x", "cuda:0:0", "cuda:-1", "cuda:"])
def test_a_device_that_is_none_raises(backend, wrong):
    with pytest.raises((ValueError, RuntimeError)):
        backend.handle(wrong)


def test_the_version_is_the_library_s(backend):
    assert backend.version()[0].isdigit()
    library = "onnxruntime" if backend.name == "onnx" else backend.array_modules[0]  # the arrays of onnx are its own
    assert backend.version() in map(version, packages_distributions()[library])


def test_an_array_goes_in_and_comes_out_and_is_known(backend):
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    for local in backend.devices():
        handle = backend.handle(local)
        x = backend.asarray(host, handle)
        backend.synchronize(handle)
        assert backends.of(x) is backend
        assert backend.device_of(x) == local
        assert backend.to_device(x, handle) is x
        np.testing.assert_array_equal(backend.to_numpy(x), host)
        assert x.__class__ is backend.namespace().asarray(x).__class__


def test_whether_arrays_are_written_in_place_is_said_truly(backend):
    x = backend.asarray(np.zeros(4, dtype=np.float32), backend.handle(backend.devices()[0]))
    part, before = x[:2], x
    part += 1
    assert (float(backend.to_numpy(before)[0]) == 1) == backend.writes_in_place


def test_a_compiled_step_computes_the_same(backend):
    device = dd.resolve(backend.name)

    def step(state, batch):
        moved = {"theta": tuple(p - 0.5 * batch for p in state["theta"])}
        return moved, array_namespace(batch).sum(batch)

    state = {"theta": (device.asarray([1.0, 2.0], "float32"),)}
    compiled = backend.compile(step)
    for _ in range(2):
        state, loss = compiled(state, device.asarray([2.0, 4.0], "float32"))
    assert dd.to_numpy(state["theta"][0]).tolist() == [-1.0, -2.0]
    assert float(loss) == 6


def test_an_unknown_backend_gets_the_nearest_name():
    with pytest.raises(ValueError, match=r"unknown backend 'torhc', did you mean 'torch'\?; known are .*numpy"):
        backends.get("torhc")


# Third-party backends


THIRD_PARTY = """
import numpy as np
from dlarray.device.backend import Backend

class Marked(np.ndarray):
    pass

class MarkedBackend(Backend):
    name = "marked"
    array_modules = ("{module}",)
    def namespace(self):
        import array_api_compat.numpy as xp
        return xp
    def devices(self): return ["here", "there"]
    def handle(self, device): return {{"here": 1, "there": 2}}[device]
    def device_of(self, x): return "here" if x.handle == 1 else "there"
    def asarray(self, host, handle):
        x = np.array(host).view(Marked)
        x.handle = handle
        return x
    def to_numpy(self, x): return np.array(x)

backend = MarkedBackend()
"""

USE = """
import dlarray.device as dd
from dlarray.device import backend as backends
x = dd.asarray([1.0, 2.0], "marked:there")
print(type(x).__name__, dd.to_numpy(x).tolist(), dd.resolve("marked:there").backend.name)
print([s.name for s in dd.devices() if s.backend == "marked"], "marked" in backends.names())
"""


def write(folder, package, text, announced_as=None):
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text(text)
    if announced_as:
        about = folder / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[dlarray.backends]\n{announced_as} = {package}\n")


@pytest.mark.slow
def test_a_third_party_backend_is_found_by_its_entry_point(tmp_path):
    write(tmp_path, "somebody", THIRD_PARTY.format(module="somebody"), announced_as="marked")
    rows = "from tests.support.matrix import selected; print([on.name for on in selected('marked')])"
    printed = python(f"{USE}print(dd.device_of(x), backends.of(x).name)\n{rows}", tmp_path).splitlines()
    assert printed == [
        "Marked [1.0, 2.0] marked",
        "['marked:here', 'marked:there'] True",
        "marked:there marked",
        "['marked-float64', 'marked-float32']",
    ]


@pytest.mark.slow
def test_a_third_party_backend_is_found_by_the_name_of_its_package_before_it_is_installed(tmp_path):
    write(tmp_path, "dlarray_marked", THIRD_PARTY.format(module="dlarray_marked"))
    assert python(USE, tmp_path).splitlines()[0] == "Marked [1.0, 2.0] marked"


BROKEN = """
import dlarray.device as dd
print(dd.asarray([1]).tolist(), dd.resolve("strict"))
print(next(s for s in dd.devices() if s.backend == "aardvark").reason)
try: dd.resolve("aardvark")
except Exception as error: print(type(error).__name__, error)
try: dd.resolve("cudda")
except dd.DeviceError as error: print("known are" in str(error))
"""


@pytest.mark.slow
def test_a_plug_in_that_fails_takes_no_other_backend_with_it(tmp_path):
    write(tmp_path, "dlarray_aardvark", "import no_such_library", announced_as="aardvark")
    printed = python(BROKEN, tmp_path).splitlines()
    assert printed[0] == "[1] strict:cpu"
    assert printed[1] == "the package no_such_library is not installed"
    assert printed[2].startswith("DeviceError device='aardvark' names a backend whose package cannot be imported")
    assert printed[3] == "True"

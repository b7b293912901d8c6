"""Transfers between the host and devices: the same numbers arrive, in memory of their own."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray.device as dd

pytest.importorskip("array_api_strict")  # its artificial devices stand for real ones
pytestmark = pytest.mark.usefixtures("nothing_chosen")


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
    with pytest.raises(TypeError, match=r"no backend knows arrays of type builtins\.list"):
        dd.to_numpy([1.0])


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

"""The device of new arrays: which setting has priority, and where it holds."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import dlarray.device as dd
from dlarray.device.choice import VARIABLE
from tests.support.process import python

pytest.importorskip("array_api_strict")  # its artificial devices stand for real ones
pytestmark = pytest.mark.usefixtures("nothing_chosen")


def chosen() -> str:
    return dd.current_device().name


# Priority


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


def test_a_choice_that_fails_changes_nothing():
    dd.set_device("strict:device1")
    with pytest.raises(dd.DeviceError):
        dd.set_device("strict:device9")
    with pytest.raises(dd.DeviceError), dd.use_device("strict:device9"):
        pass
    assert chosen() == "strict:device1"

"""Third-party classes with the name of a class of the library, or with one name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import by_name, classes
from dlarray.training import configuration
from tests.support.process import python

pytestmark = pytest.mark.usefixtures("without_native")

X = np.linspace(-3, 3, 7).reshape(-1, 1)
Define = Callable[..., Any]


@pytest.fixture
def define() -> Iterator[Define]:
    """Defines an activation z ↦ z + shift under a name, in a module."""
    made: list[Any] = []

    def one(name: str, module: str, shift: float = 0.0, qualname: str = "") -> Any:
        def forward(self: Any, z: Any) -> Any:
            return z + shift, None

        def backward(self: Any, saved: Any, da: Any) -> Any:
            return da

        body = {"__module__": module, "__qualname__": qualname or name, "forward": forward, "backward": backward}
        made.append(dataclass(frozen=True)(type(name, (dl.Activation,), body)))
        return made[-1]

    yield one
    for cls in made:
        cls.abstract = True  # no other test shall find it


def saved(layer: Any, path: Path) -> Path:
    model = dl.MLP(1, [layer])
    dl.fit(model, X, X, epochs=1, batch_size=7, progress=False).save(path)
    return path


def older(path: Path) -> Path:
    """The file as versions wrote it that did not write the modules of classes."""
    from tests.support.model_files import config_changed

    data = path.read_bytes()
    config = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["config"])
    for layer in config["model"]["layers"]:
        del layer["module"]
    path.write_bytes(config_changed(model=config["model"])(data))
    return path


@pytest.mark.parametrize("late", [False, True], ids=["before it is written", "before it is read"])
def test_a_file_with_ours_is_ours(define: Define, tmp_path: Path, late: bool) -> None:
    if not late:
        define("Tanh", "mine")
    path = saved(dl.Tanh(), tmp_path / "ours")
    if late:
        define("Tanh", "mine")
    np.testing.assert_allclose(dl.load(path).predict(X), np.tanh(X), rtol=1e-6)


def test_a_file_with_a_user_s_is_the_user_s(define: Define, tmp_path: Path) -> None:
    path = saved(define("Tanh", "mine", 5.0)(), tmp_path / "theirs")
    np.testing.assert_allclose(dl.load(path).predict(X), X + 5, rtol=1e-6)


def test_a_file_with_a_user_s_is_not_ours_where_the_user_s_is_missing(define: Define, tmp_path: Path) -> None:
    mine = define("Tanh", "mine", 5.0)
    path = saved(mine(), tmp_path / "theirs")
    mine.abstract = True  # as in a program that has no such class
    with pytest.raises(dl.CheckpointError, match=r"unknown layer 'tanh' of the module 'mine'.*dlarray\S*\.Tanh"):
        dl.load(path)


def test_two_users_classes_are_distinguished_by_their_modules(define: Define, tmp_path: Path) -> None:
    a, b = define("Snake", "a", 1.0), define("Snake", "b", 2.0)
    for cls, shift in ((a, 1), (b, 2)):
        np.testing.assert_allclose(dl.load(saved(cls(), tmp_path / "it")).predict(X), X + shift, rtol=1e-6)
    b.abstract = True
    with pytest.raises(dl.CheckpointError, match=r"unknown layer 'snake' of the module 'b'.*there is a\.Snake: .*set"):
        dl.load(tmp_path / "it")


def test_a_class_that_moved_from_a_script_to_a_module_or_back_is_found(define: Define, tmp_path: Path) -> None:
    script = define("Snake", "__main__", 1.0)
    path = saved(script(), tmp_path / "script")
    script.abstract = True
    moved = define("Snake", "package.snake", 1.0)
    np.testing.assert_allclose(dl.load(path).predict(X), X + 1, rtol=1e-6)
    path = saved(moved(), tmp_path / "package")
    define("Snake", "other", 2.0)
    with pytest.raises(dl.CheckpointError, match=r"'snake' could be any of package\.snake\.Snake, other\.Snake"):
        dl.load(tmp_path / "script")
    moved.abstract = True
    script.abstract = False
    np.testing.assert_allclose(dl.load(path).predict(X), X + 1, rtol=1e-6)


def test_a_class_that_is_defined_again_is_the_last_one(define: Define, tmp_path: Path) -> None:
    path = saved(define("Snake", "__main__", 1.0)(), tmp_path / "it")
    define("Snake", "__main__", 2.0)
    np.testing.assert_allclose(dl.load(path).predict(X), X + 2, rtol=1e-6)
    assert by_name(dl.Activation, "snake")().predict(X)[0] == X[0] + 2


def test_two_of_one_name_in_one_module_cannot_be_written(define: Define, tmp_path: Path) -> None:
    one = define("Snake", "a", qualname="f.<locals>.Snake")
    define("Snake", "a", qualname="g.<locals>.Snake")
    with pytest.raises(TypeError, match="cannot be written"):
        saved(one(), tmp_path / "it")


def test_older_files_are_read_where_they_can_mean_one_class_alone(define: Define, tmp_path: Path) -> None:
    path = older(saved(dl.Tanh(), tmp_path / "ours"))
    np.testing.assert_allclose(dl.load(path).predict(X), np.tanh(X), rtol=1e-6)
    define("Tanh", "mine", 5.0)
    with pytest.raises(dl.CheckpointError, match=r"'tanh' could be any of dlarray\S*\.Tanh, mine\.Tanh"):
        dl.load(path)
    path = older(saved(define("Snake", "a", 1.0)(), tmp_path / "theirs"))
    np.testing.assert_allclose(dl.load(path).predict(X), X + 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "Tanh", " TANH "])
def test_a_name_of_ours_is_ours(define: Define, name: str) -> None:
    define("Tanh", "mine", 5.0)
    assert by_name(dl.Activation, name) is dl.Tanh
    assert dl.mlp(1, 2, 1, activation=name).layers[1] == dl.Tanh()
    assert classes(dl.Activation)["tanh"] is dl.Tanh
    mine = define("SiLU", "mine")  # an alias of Swish
    assert by_name(dl.Activation, "silu") is dl.Swish
    assert classes(dl.Activation)["si_lu"] is mine


def test_a_name_of_two_users_classes_is_refused(define: Define) -> None:
    define("Snake", "a")
    define("Snake", "b")
    with pytest.raises(ValueError, match=r"activation 'snake' could be any of a\.Snake, b\.Snake: give an object"):
        dl.mlp(1, 2, 1, activation="snake")


def test_every_part_of_a_model_is_named_with_its_origin() -> None:
    loss = configuration.serialize(dl.Huber())
    dense = configuration.serialize(dl.Dense(2, weight=dl.Normal(0.1)))
    assert {loss["module"], dense["module"], dense["fields"]["weight"]["module"]} == {"dlarray"}


SCRIPT = """
from dataclasses import dataclass
import numpy as np, dlarray as dl

@dataclass(frozen=True)
class {name}(dl.Activation):
    def forward(self, z): return 2 * z, None
    def backward(self, saved, da): return 2 * da

x = np.ones((4, 1), np.float32)
"""
SAVE = "dl.fit(dl.MLP(1, [{name}()]), x, x, epochs=1, batch_size=None, progress=False, compile=False).save({path!r})"
LOAD = "print(float(dl.load({path!r}).predict(x)[0, 0]))"


def test_from_program_to_program(tmp_path: Path) -> None:
    path = str(tmp_path / "it")
    python((SCRIPT + SAVE).format(name="ReLU", path=path))
    assert python((SCRIPT + LOAD).format(name="ReLU", path=path)) == "2.0"
    with pytest.raises(dl.CheckpointError, match="unknown layer 're_lu' of the module '__main__'"):
        dl.load(path)


# Runs that are resumed


def test_a_run_with_ours_is_not_resumed_with_another_of_that_name(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Adam(dl.Adam):
        pass

    try:
        options: dict[str, Any] = {"epochs": 2, "batch_size": 7, "progress": False}
        dl.fit(dl.mlp(1, 1), X, X, **options, callbacks=[dl.Checkpoint(tmp_path / "run")], optimizer=dl.Adam())
        with pytest.raises(
            ValueError, match=r"optimizer was \{'Adam': .*, is \{'tests\.core\.test_same_names\..*Adam': "
        ):
            dl.fit(dl.mlp(1, 1), X, X, **options, resume=tmp_path / "run", optimizer=Adam())
    finally:
        Adam.abstract = True  # type: ignore[misc]


def test_a_callback_does_not_find_the_memory_of_another_of_its_name(tmp_path: Path) -> None:
    found: list[Any] = []

    class EMA(dl.Callback):
        def on_start(self, run: dl.Run) -> None:
            found.append(dict(run.memory(self)))
            run.memory(self)["mine"] = 1

    path = tmp_path / "run"
    try:
        for epochs, callbacks in enumerate([[dl.EMA()], [EMA()], [EMA(), dl.EMA()]], 1):
            options: dict[str, Any] = {"epochs": epochs, "batch_size": 7, "progress": False, "resume": None}
            if path.exists():
                options["resume"] = path
            dl.fit(dl.mlp(1, 1), X, X, **options, callbacks=[*callbacks, dl.Checkpoint(path)])
    finally:
        EMA.abstract = True  # type: ignore[misc]
    assert found == [{}, {"mine": 1}]


def test_a_refusal_shows_what_differs_and_no_more(tmp_path: Path) -> None:
    one, other = (dl.Adam(dl.OneCycle(0.1, 50), eps=eps) for eps in (1e-8, 1e-7))
    options: dict[str, Any] = {"epochs": 1, "batch_size": 7, "progress": False}
    deep = dl.mlp(1, *([3] * 9), 1)
    dl.fit(deep, X, X, **options, callbacks=[dl.Checkpoint(tmp_path / "run")], optimizer=one)
    with pytest.raises(ValueError, match=r"was \{'Adam': \{'eps': 1e-08\}\}, is \{'Adam': \{'eps': 1e-07\}\}$"):
        dl.fit(deep, X, X, **options, resume=tmp_path / "run", optimizer=other)
    wider = dl.mlp(1, *([3] * 8), 4, 1)
    with pytest.raises(ValueError, match=r"was \{'layers': \{16: \{'fields': \{'units': 3\}\}\}\}, is .*'units': 4"):
        dl.fit(wider, X, X, **options, resume=tmp_path / "run", optimizer=one)
    shorter = dl.mlp(1, *([3] * 8), 1)
    with pytest.raises(ValueError, match=r"model was \{'layers': \{16: .*17: .*, is "):
        dl.fit(shorter, X, X, **options, resume=tmp_path / "run", optimizer=one)

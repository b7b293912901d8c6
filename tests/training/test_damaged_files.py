"""Files that are damaged, cut off or of another kind are refused with a reason."""

from __future__ import annotations

import os
import pickle
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import dlarray as dl
from tests.support.model_files import SMALL, read, split
from tests.support.models import assert_same


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, repeat or cut off a few bytes, in the header as often as in the numbers."""
    n = int.from_bytes(data[:8], "little")
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        if not changed:
            break
        i = draw.randrange(min(len(changed), draw.choice([8, 8 + n, len(data)])))
        j = min(len(changed), i + draw.choice([1, 1, 2, 8, 40]))
        match draw.randrange(7):
            case 0:
                changed[i] ^= 1 << draw.randrange(8)
            case 1:
                changed[i] = draw.randrange(256)
            case 2:
                changed[i:i] = draw.randbytes(j - i)
            case 3:
                changed[i:j] = b""
            case 4:
                changed[i:i] = changed[i:j]
            case 5:
                changed[i:j] = draw.choice(
                    [b" " * (j - i), b"0" * (j - i), b"1", b'"', b"}", b"[", b"-", b"9" * (j - i)]
                )
            case _:
                changed[i if draw.random() < 0.5 else len(changed) - (j - i) :] = b""
    return bytes(changed)


def test_a_changed_file_is_refused_or_gives_the_very_same_model(small: bytes, tmp_path: Path) -> None:
    reasons: list[str] = []
    for seed in range(2000):
        data = mutated(small, random.Random(seed))
        try:
            assert_same(read(data, tmp_path), SMALL)
        except dl.CheckpointError as error:
            reasons.append(str(error))
    assert all("changed.safetensors is not a dlarray model: " in reason for reason in reasons)
    assert len(reasons) > 1900, "the mutations hardly change anything"


def test_every_single_bit_of_the_numbers_and_of_the_digest_counts(small: bytes, tmp_path: Path) -> None:
    start = len(small) - len(split(small)[1])
    digest = small.index(b'"sha256"') + 10
    for i in [*range(start, len(small)), *range(digest, digest + 64)]:
        data = bytearray(small)
        data[i] ^= 1
        with pytest.raises(dl.CheckpointError):
            read(bytes(data), tmp_path)


def test_every_truncation_is_refused(small: bytes, tmp_path: Path) -> None:
    for n in range(len(small)):
        with pytest.raises(dl.CheckpointError):
            read(small[:n], tmp_path)


def test_a_large_file_of_another_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04 a zip file, as torch writes them")
        file.truncate(2**31)  # no disk is used: it is a hole
    tracemalloc.start()
    with pytest.raises(dl.CheckpointError, match=r"large\.pt is not a dlarray model: it is not a safetensors file"):
        dl.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


class Bomb:
    """What a pickle can do to who opens it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("exploded",)


OTHERS: dict[str, bytes] = {
    "empty": b"",
    "short": b"\0" * 7,
    "zeros": bytes(1000),
    "pickle": pickle.dumps(Bomb()),
    "text.json": b'{"model": 1}' * 10,
    "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "model.npy": b"\x93NUMPY\x01\x00" + bytes(200),
    "safetensors of another": safetensors.numpy.save({"0.weight": np.ones((2, 2), np.float32)}, {"format": "pt"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_kinds_are_refused_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(OTHERS[name])
    with pytest.raises(dl.CheckpointError, match=f"{name} is not a dlarray model: "):
        dl.load(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_a_file_of_torch_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.ones(2, 2)}, tmp_path / "model.pt")
    with pytest.raises(dl.CheckpointError, match=r"model\.pt is not a dlarray model: it is not a safetensors file"):
        dl.load(tmp_path / "model.pt")


def test_a_refusal_names_the_file_and_keeps_its_cause(tmp_path: Path) -> None:
    with pytest.raises(dl.CheckpointError) as caught:
        read(b"nothing", tmp_path)
    assert str(tmp_path / "changed.safetensors") in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value, ValueError)

"""``mpiexec -n 2 dlarray train``: one model, written and reported by rank 0, and the errors of each rank."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import dlarray as dl
from tests.parallel.ranks import environment
from tests.support.command_line import frame_of

pytest.importorskip("typer")
pl = pytest.importorskip("polars")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

pytestmark = pytest.mark.slow

DLARRAY = ("-m", "dlarray")
ROUNDING = 1e-5  # in float32, as between devices: see test_digits.py


def alone(folder: Path, *words: str) -> None:
    """The same command in one process."""
    import subprocess

    command = [sys.executable, *DLARRAY, *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()


def same_history(a: Path, b: Path) -> None:
    one, other = dl.load(a, "cpu").history, dl.load(b, "cpu").history
    assert one.names == other.names
    assert len(one.epochs) == len(other.epochs)
    for name in (name for name in one.names if name.endswith("loss")):
        np.testing.assert_allclose(one[name], other[name], rtol=ROUNDING)


def silent(job) -> bool:
    """Whether rank 0 alone has printed."""
    return all(not job.out(rank) and not job.err(rank) for rank in range(1, job.size))


def test_digits_have_the_losses_of_one_rank(ranks, tmp_path):
    words = ("train", "digits", "--epochs", "5", "--seed", "3")
    job = ranks(2, *DLARRAY, *words)
    alone(tmp_path, *words, "--output", "alone")
    assert job.end() == 0, job.words
    assert silent(job), job.words
    assert job.out(0).startswith("device: cpu, 2 processes\nMLP of 64 inputs\n")
    assert "saved:         digits.safetensors, digits.png" in job.out(0)
    assert job.err(0) == ""
    same_history(tmp_path / "digits.safetensors", tmp_path / "alone" / "digits.safetensors")


def test_a_table_has_the_model_of_one_rank(ranks, tmp_path):
    frame_of("wine").write_csv(tmp_path / "wine.csv")
    words = ("train", "wine.csv", "--target", "target", "--seeds", "3", "--hidden", "8", "--epochs", "5", "--json")
    job = ranks(3, *DLARRAY, *words, "--plot", "errors.png")
    alone(tmp_path, *words, "--output", "alone")
    assert job.end() == 0, job.words
    assert silent(job), job.words
    found = json.loads(job.out(0))
    assert found["networks"] == 3
    assert (tmp_path / "errors.png").is_file()
    same_history(tmp_path / "model.safetensors", tmp_path / "alone" / "model.safetensors")
    models = [dl.load(tmp_path / name / "model.safetensors", "cpu") for name in (".", "alone")]
    np.testing.assert_allclose(models[0].theta[0], models[1].theta[0], atol=1e-4)


def test_a_large_table_is_read_in_blocks_by_each_rank(ranks, tmp_path):
    own = np.random.default_rng(0)
    x = own.normal(size=(3000, 3))
    labels = np.where(x[:, 0] + x[:, 1] * x[:, 2] > 0, "yes", "no")
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": labels}).write_csv(tmp_path / "large.csv")
    words = ("train", "large.csv", "--target", "y", "--memory", "1MB", "--epochs", "2", "--hidden", "8", "--json")
    job = ranks(2, *DLARRAY, *words)
    alone(tmp_path, *words, "--output", "alone")
    assert job.end() == 0, job.words
    assert silent(job), job.words
    assert json.loads(job.out(0))["blocks"]["number"] > 1
    same_history(tmp_path / "model.safetensors", tmp_path / "alone" / "model.safetensors")


def test_a_killed_training_of_a_table_is_resumed_on_other_ranks(ranks, tmp_path):
    frame_of("breast_cancer").write_csv(tmp_path / "cancer.csv")
    words = ("train", "cancer.csv", "--target", "target", "--seeds", "3", "--epochs", "6", "--checkpoints", "run")
    job = ranks(2, *DLARRAY, *words)
    process = job.pid(1)
    job.until((tmp_path / "run" / "network-2.safetensors").is_file, 120, "the second network")
    os.kill(process, signal.SIGKILL)
    assert job.end() != 0
    assert not (tmp_path / "model.safetensors").exists()
    job = ranks(3, *DLARRAY, *words, "--resume")
    alone(tmp_path, *words[:-2], "--output", "alone")
    assert job.end() == 0, job.words
    assert "resumed:    network " in job.out(0)
    same_history(tmp_path / "model.safetensors", tmp_path / "alone" / "model.safetensors")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["digits", "--nonsense"], 2, "No such option"),
        (["missing.csv", "--target", "a", "--jobs", "2"], 2, "--jobs is for one process"),
        (["missing.csv", "--target", "a"], 1, "error: No such file or directory: 'missing.csv'"),
    ],
)
def test_an_error_of_all_ranks_is_printed_once(ranks, words, code, message):
    job = ranks(2, *DLARRAY, "train", *words)
    assert job.end(60) == code, job.words
    assert message in job.err(0)
    assert silent(job), job.words
    assert "Traceback" not in job.words


def test_an_error_of_one_rank_ends_all_and_is_printed(ranks, tmp_path):
    """Rank 1 cannot read the file."""
    frame_of("wine").write_csv(tmp_path / "wine.csv")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "if os.environ['PMI_RANK'] == '1':\n"
        "    sys.argv[2] = 'elsewhere.csv'\n"
        "from dlarray.__main__ import main\n"
        "main()\n"
    )
    job = ranks(2, str(program), "train", "wine.csv", "--target", "target")
    assert job.end(60) == 1, job.words
    expected = "rank 1 of 2 failed: FileNotFoundError: [Errno 2] No such file or directory: 'elsewhere.csv'"
    assert job.err(0) == f"error: {expected}\n"
    assert "resumed" not in job.out(0)
    assert silent(job), job.words


def test_rank_0_that_cannot_save_the_model_ends_all(ranks, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "digits.png").mkdir()  # a folder in the way of the picture
    job = ranks(2, *DLARRAY, "train", "digits", "--epochs", "1", "--hidden", "4", "--output", "out")
    assert job.end(120) == 1, job.words
    assert "Is a directory" in job.err(0)
    assert silent(job), job.words


def test_ctrl_c_ends_all_ranks_and_saves_the_best_model(ranks, tmp_path):
    frame_of("breast_cancer").write_csv(tmp_path / "cancer.csv")
    words = ("--seeds", "1", "--epochs", "100000", "--no-early-stopping", "--checkpoints", "run")
    job = ranks(2, *DLARRAY, "train", "cancer.csv", "--target", "target", *words)
    job.until((tmp_path / "run" / "network-1.safetensors").is_file, 120, "an epoch")
    job.process.send_signal(signal.SIGINT)
    assert job.end() != 0
    assert "saved:      model.safetensors" in job.out(0), job.words
    assert job.err(0).endswith("note: the training was interrupted: the model is the best one so far\n")
    assert silent(job), job.words
    assert len(dl.load(tmp_path / "model.safetensors", "cpu").history.epochs) >= 1


def test_ctrl_c_during_the_digits(ranks, tmp_path):
    job = ranks(3, *DLARRAY, "train", "digits", "--epochs", "100000", "--hidden", "4", "--checkpoints", "run")
    job.until((tmp_path / "run" / "network-1.safetensors").is_file, 120, "an epoch")
    job.process.send_signal(signal.SIGINT)
    assert job.end() != 0
    assert job.err(0) == "interrupted\n"
    assert silent(job), job.words


def started_as_ranks(tmp_path: Path, code: str) -> list[str]:
    """What rank 0 and rank 1 of a launcher print that starts processes without telling MPI about each other."""
    import subprocess

    printed: list[str] = []
    for rank in range(2):
        variables = {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": "2"}
        done = subprocess.run(
            [sys.executable, "-c", code, "train", "digits"],
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode in (1, 2), done
        printed.append(done.stderr.decode())
    return printed


def test_a_launcher_of_another_mpi_library_is_an_error(mpiexec, tmp_path):
    printed = started_as_ranks(tmp_path, "from dlarray.__main__ import main; main()")
    assert printed[0].startswith("error: Open MPI has started 2 processes, but mpi4py, which uses ")
    assert "knows 1: this mpiexec belongs to another MPI library" in printed[0]
    assert printed[1] == ""


def test_without_mpi4py_the_remedy_is_printed(tmp_path):
    code = "import sys; sys.modules['mpi4py'] = None; from dlarray.__main__ import main; main()"
    printed = started_as_ranks(tmp_path, code)
    assert printed[0].startswith("error: Open MPI has started 2 processes, to train together: MPI needs mpi4py")
    assert 'pip install "dlarray[mpi]"' in printed[0]
    assert printed[1] == ""


def test_without_a_library_of_mpi_the_remedy_is_one_line(tmp_path):
    """mpi4py names every place where it has looked for the library, one in each line."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("")
    (tmp_path / "mpi4py" / "MPI.py").write_text(
        "raise RuntimeError('cannot load MPI library\\n/somewhere/libmpi.so: cannot open shared object file')"
    )
    code = "import sys; sys.path.insert(0, '.'); from dlarray.__main__ import main; main()"
    printed = started_as_ranks(tmp_path, code)
    last = printed[0].rstrip()
    assert last.endswith(
        "mpi4py finds no library of MPI: pip install mpich, or load your cluster's; cannot load MPI library"
    )
    assert printed[1] == ""

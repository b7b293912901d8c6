"""The recipes of the scaling page: what can run here runs, with real ranks and workers; the rest is parsed."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.parallel.ranks import start, unavailable
from tests.support.process import ROOT, python

yaml = pytest.importorskip("yaml")
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
PROGRAM, WITH_DASK = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def block(kind: str, words: str = "") -> str:
    """The block of this kind that has these words."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in found if words in text)


@pytest.mark.slow
@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "ranks can be started")
def test_the_recipe_for_a_laptop(tmp_path):
    """It trains on two ranks; started again, it has nothing left to do and prints the same loss."""
    (tmp_path / "train.py").write_text(PROGRAM)
    printed: list[str] = []
    for i in range(2):
        job = start(2, [str(tmp_path / "train.py")], tmp_path / f"ranks{i}", cwd=tmp_path)
        assert job.end() == 0, job.words
        printed += [job.out(0).split()[-1], job.out(1).split()[-1]]
    assert len(set(printed)) == 1
    assert float(printed[0]) < 0.5  # log 10, that of guessing, is 2.3
    assert (tmp_path / "run.safetensors").is_file()


@pytest.mark.slow
def test_the_recipe_for_dask():
    pytest.importorskip("distributed")
    code = "if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in WITH_DASK.splitlines())
    scores = python(code).strip("[] \n").split()
    assert len(scores) == 4
    assert min(map(float, scores)) > 0.8


@pytest.mark.parametrize("words", ["sbatch", "mpiexec", "pip install", "kubectl"])
def test_shell_scripts_parse(words):
    kind, text = ("bash", block("bash")) if words == "sbatch" else ("sh", block("sh", words))
    done = subprocess.run([shutil.which("bash") or kind, "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_script_for_slurm_goes_back_to_the_queue(tmp_path):
    """With stand-ins for Slurm's commands: the signal before the end of the time requeues the job."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").write_text("")
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "scontrol $@"\n')
    (tmp_path / "mpiexec").write_text(
        '#!/bin/sh\necho "mpiexec $@, $OMP_NUM_THREADS threads"\nkill -USR1 $PPID\nsleep 1\n'
    )
    for name in ("scontrol", "mpiexec"):
        (tmp_path / name).chmod(0o755)
    variables = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
    variables |= {"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "16"}
    done = subprocess.run(["bash"], input=block("bash"), env=variables, text=True, capture_output=True, check=False)
    assert done.stdout.splitlines() == [
        "mpiexec -n 4 -ppn 1 python -m mpi4py train.py, 16 threads",
        "scontrol requeue 7",
    ]


def test_the_job_for_kubernetes_is_consistent():
    job: dict[str, Any] = yaml.safe_load(block("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    launcher, worker = (job["spec"]["mpiReplicaSpecs"][name] for name in ("Launcher", "Worker"))
    assert worker["replicas"] == int(launcher["template"]["spec"]["containers"][0]["command"][2])
    for pod in (launcher["template"]["spec"], worker["template"]["spec"]):
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["image"] == re.search(r"docker build -t (\S+)", PAGE)[1]
    image = block("dockerfile")
    (sshd,) = worker["template"]["spec"]["containers"]
    assert f"Port {sshd['readinessProbe']['tcpSocket']['port']}" in image
    assert sshd["command"][-1] in image
    user = sshd["securityContext"]["runAsUser"]
    assert f"--uid {user} mpiuser" in image
    assert job["spec"]["sshAuthMountPath"] == "/mpi/.ssh"


def test_the_bounds_of_the_page_follow_from_the_model():
    """Rows on each rank from which computing takes longer than sending: 4/3 R β."""
    for flops, words in ((50e9, "533 rows on 1 Gbit/s, 53 on 10 Gbit/s and 5 on 100 Gbit/s"),):
        rows = [4 / 3 * flops * 8 / bits for bits in (1e9, 1e10, 1e11)]
        assert re.findall(r"\d+", words)[::2] == [f"{n:.0f}" for n in rows]
        assert words in PAGE

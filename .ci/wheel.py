"""Check what a wheel and a source distribution hold: python .ci/wheel.py dist/*.whl dist/*.tar.gz."""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

BACKENDS = {path.parent.name for path in (Path(__file__).parent.parent / "backends").glob("dlarray_*/__init__.py")}


def check_wheel(path: str) -> None:
    """The packages, typed, and nothing else."""
    with zipfile.ZipFile(path) as wheel:
        files = set(wheel.namelist())
        points = next(name for name in files if name.endswith(".dist-info/entry_points.txt"))
        announced = wheel.read(points).decode()
    tops = {PurePosixPath(name).parts[0] for name in files}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"dlarray"} | BACKENDS, f"the wheel holds {sorted(packages)}"
    for package in packages:
        assert {f"{package}/__init__.py", f"{package}/py.typed"} <= files, f"{package} is incomplete"
        assert package == "dlarray" or f"= {package}\n" in announced, f"{package} is not announced as a backend"
    assert any(name.endswith("licenses/LICENSE") for name in files), "the wheel holds no licence"
    strays = [
        name
        for name in files
        if PurePosixPath(name).suffix not in {".py", ".pyi", ".typed", ".txt", ".md", ".css", ".json", ".xfails", ""}
    ]
    assert not strays, f"the wheel holds {strays}"
    print(f"{path}: {len(files)} files in {len(packages)} packages")


def check_sdist(path: str) -> None:
    """All that is needed to build and to test."""
    with tarfile.open(path) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    needed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "dlarray/__init__.py"}
    needed |= {"backends/dlarray_numpy/__init__.py", "tests/conftest.py", "docs/conf.py"}
    needed |= {"tests/cuda_on_cpu/README.md", "tests/cuda_on_cpu/src/emulator.h"}
    assert needed <= files, f"the source distribution lacks {sorted(needed - files)}"
    strays = [name for name in files if name.startswith("tests/cuda_on_cpu/build/")]
    assert not strays, f"the source distribution holds {strays[:3]} and others"
    print(f"{path}: {len(files)} files")


for argument in sys.argv[1:]:
    (check_wheel if argument.endswith(".whl") else check_sdist)(argument)

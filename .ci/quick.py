"""Print the tests that the changed files need, for ``make quick``: the folders of tests that mirror them.

Changed is what differs from where this branch left its upstream, or from the last commit but one; new files count too.
"""

import subprocess
from pathlib import PurePosixPath

LAWS = ["architecture", "exports", "import_effects", "public", "repository", "words"]
ALWAYS = [f"tests/project/test_{name}.py" for name in LAWS]
FORMULAS = {"activations", "initializers", "layers", "losses", "metrics", "model", "optimizers", "schedules"}
OTHER = {
    "datasets": ["tests/cli", "tests/tables"],
    "explanation": ["tests/planner/test_explanation.py", "tests/plot/test_plan_picture.py"],
    "__main__": ["tests/cli"],
    "__init__": [],
}


def git(*arguments: str) -> list[str]:
    """The lines that a git command prints; none where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed() -> list[str]:
    """The paths of changed and new files."""
    base = git("merge-base", "HEAD", "@{upstream}") or git("rev-parse", "HEAD~1") or ["HEAD"]
    new = git("ls-files", "--others", "--exclude-standard")
    return sorted({*git("diff", "--name-only", "--diff-filter=d", base[0]), *new})


def tests_of(path: PurePosixPath) -> list[str]:
    """The folders and files of tests that a file needs."""
    top, *rest = path.parts
    if top == "tests" and rest[0] == "cuda_on_cpu":
        return ["tests/cuda_on_cpu"]
    if top == "tests":
        return [str(path)] if path.name.startswith("test_") else []
    if top == "benchmarks":
        return ["tests/bench"]
    if top == "backends":
        return ["tests/planner/cuda" if rest[0] == "dlarray_cupy" else "tests/device"]
    if top != "dlarray":
        return ["tests/project"]
    head = rest[0].partition(".")[0]
    if head == "planner":
        return ["tests/planner/cuda" if "cuda" in rest else "tests/planner"]
    if head in FORMULAS:
        return ["tests/book"]
    return OTHER.get(head, [f"tests/{head}"])


if __name__ == "__main__":
    needed = {test for name in changed() for test in tests_of(PurePosixPath(name))}
    print(*sorted(needed | set(ALWAYS)))

"""Draw the README's pictures anew: `make pictures`. The first is what its first code draws, the second its chart."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folder: Path) -> None:
    """Run the README's first code in this folder, and put the chart beside the picture that it makes."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"\A.*?^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    os.chdir(folder)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    subprocess.run([sys.executable, ROOT / "benchmarks" / "chart.py", "step_times.png"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

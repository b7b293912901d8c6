"""The memory of the host."""

from __future__ import annotations

from pathlib import Path

__all__ = ["host_memory"]


def host_memory() -> tuple[int, int] | None:
    """``Backend.memory`` of the host: the memory that Linux can give without swapping, within a container's limit.

    None on systems without /proc.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        total, free = 1024 * kilobytes["MemTotal"], 1024 * kilobytes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))  # "max" without a limit
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, StopIteration):
        return free, total
    return max(min(free, limit - used + cached), 0), min(total, limit)

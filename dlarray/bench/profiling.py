"""Where the time of a step goes: the time of each work of its plan, compared with the machine's limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlarray.bench.cases import Case, Workload
from dlarray.bench.contenders import FullStep
from dlarray.bench.roofline import Limits, limits
from dlarray.device import resolve
from dlarray.device.description import Work, bytes_text, flops_text
from dlarray.device.timing import Timings
from dlarray.explanation import backend_and_names

__all__ = ["Profile", "profile", "profiles"]

KINDS = ("product", "kernel", "concatenation", "call")


@dataclass(frozen=True)
class Profile:
    """The times of a step's works, compared with the machine's limits. ``print`` shows a table."""

    timings: Timings
    limits: Limits

    @property
    def limit(self) -> float:
        """The seconds that all works would take at their limits."""
        return sum(map(self.limits.seconds, self.timings.description.works))

    def works(self) -> Iterator[tuple[Work, float]]:
        """Each work in order, with its seconds."""
        return zip(self.timings.description.works, self.timings.works, strict=True)

    def result(self) -> dict[str, Any]:
        """All measurements, ready for JSON. For a work that takes no time, rates and the share of a limit are null."""
        step = self.timings.step
        return {
            "step_seconds": step,
            "works_seconds": sum(self.timings.works),
            "between_seconds": self.timings.between,
            "limit_seconds": self.limit,
            "count": {kind: len(self.timings.description.of(kind)) for kind in KINDS},
            "device": self.timings.device,
            "limits": {
                "product_flops_per_second": self.limits.products,
                "memory_bytes_per_second": self.limits.memory,
                "cache_bytes": self.limits.cache,
                "bytes_per_second_by_size": {str(n): rate for n, rate in self.limits.bandwidths},
            },
            "works": [
                {
                    "kind": work.kind,
                    "title": work.title,
                    "formulas": list(work.formulas),
                    "operations": work.operations,
                    "flops": work.flops,
                    "bytes": work.nbytes,
                    "seconds": seconds,
                    "share": seconds / step,
                    "flops_per_second": work.flops / seconds if seconds else None,
                    "bytes_per_second": work.nbytes / seconds if seconds else None,
                    "limit": self.limits.which(work),
                    "limit_share": self.limits.seconds(work) / seconds if seconds else None,
                }
                for work, seconds in self.works()
            ],
        }

    def __repr__(self) -> str:
        return f"Profile({str(self).splitlines()[0]})"

    def __str__(self) -> str:
        times, plan = self.timings, self.timings.description
        total = sum(times.works)
        counts = [self._of(kind) for kind in KINDS if plan.of(kind)]
        rows = [("", "work", "time", "share", "flop/s", "B/s", "of its limit")]
        rows += [(f"{i}.", *self._row(work, seconds)) for i, (work, seconds) in enumerate(self.works(), 1)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            [
                f"a step takes {_time(times.step)}: {', '.join(counts)}",
                *(
                    "  ".join(cell.ljust(n) if i == 1 else cell.rjust(n) for i, (cell, n) in enumerate(pairs)).rstrip()
                    for pairs in (list(zip(row, widths, strict=True)) for row in rows)
                ),
                f"together {_time(total)}, {total / times.step:.1%} of the step; between them {_time(times.between)}",
                f"at their limits they would take {_time(self.limit)}, {self.limit / times.step:.1%} of the step",
                f"limits of {times.device}: products {_rate(flops_text, self.limits.products)}, memory "
                f"{_rate(bytes_text, self.limits.memory)}" + self._cache(),
            ]
        )

    def _of(self, kind: str) -> str:
        """The number of works of a kind, and their share of the time."""
        times = [seconds for work, seconds in self.works() if work.kind == kind]
        return f"{len(times)} {kind}{'s' * (len(times) != 1)} {sum(times) / self.timings.step:.1%}"

    def _row(self, work: Work, seconds: float) -> tuple[str, str, str, str, str, str]:
        title = f"{work.title}: {work.formulas[0]}" if work.kind == "product" else work.title
        if not seconds:
            return title, "nothing", "", "", "", ""
        limit = f"{self.limits.seconds(work) / seconds:.0%} of {self.limits.which(work)}"
        flops = _rate(flops_text, work.flops / seconds) if work.flops else ""
        share = f"{seconds / self.timings.step:.1%}"
        return title, _time(seconds), share, flops, _rate(bytes_text, work.nbytes / seconds), limit

    def _cache(self) -> str:
        if not self.limits.cache:
            return ""
        rate = _rate(bytes_text, self.limits.bandwidth(self.limits.cache))
        return f"; up to {bytes_text(self.limits.cache)} fit in a cache, with {rate} or more"


def profile(step: Callable[..., Any], state: Any, batch: Any, bursts: int = 30, seconds: float = 0.1) -> Profile:
    """Where the time of ``step(state, batch)`` goes: ``profile(*dlarray.first_step(model, x, y))``.

    The step runs on copies of its arguments, in ``bursts`` bursts of about ``seconds`` each.

    Raises
    ------
    ValueError
        If dlarray does not plan the steps of these arrays' library, or if this step cannot be planned.
    TypeError
        If there is no array in state and batch.
    """
    backend, names = backend_and_names("profile", step, state, batch)
    timings = backend.profile(step, state, batch, names, bursts, seconds)
    return Profile(timings, limits(resolve(timings.device), _dtype(timings)))


def profiles(
    cases: Sequence[str] = ("M",), device: str | None = None, bursts: int = 30, seconds: float = 0.1
) -> dict[str, Profile]:
    """The profile of each case's step, by the case's name.

    Raises ValueError for an unknown case, and for a device whose steps dlarray does not plan; DeviceError for a device
    that cannot be used.
    """
    where = resolve(device)
    found = {case.name: FullStep(Workload.of(case, 1), where, keep=False) for case in map(Case.named, cases)}
    return {name: profile(*contender.first(), bursts, seconds) for name, contender in found.items()}


def _dtype(timings: Timings) -> str:
    """The dtype of the step's largest floating-point array."""
    floating = [value for value in timings.description.values if value.dtype in ("float32", "float64")]
    return max(floating, key=lambda value: value.nbytes).dtype if floating else "float32"


def _rate(text: Callable[[int], str], rate: float) -> str:
    """A rate per second, with its unit."""
    return f"{text(round(rate))}/s"


def _time(seconds: float) -> str:
    """Seconds with a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"

"""Writes the statements of a random step: each is run on sample inputs before it is accepted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Writer", "Written", "is_kept"]

LARGEST = 1e6
"""Larger numbers are rejected: if everything overflows, nothing is compared."""
SIZE = 4000
NUMBERS = ("2", "3", "0.5", "-0.3", "0.1", "1.7", "-1", "1", "0", "0.0", "-0.0", "1e-3", "7", "100", "c0", "c1")
TYPED = ("np.float32(0.3)", "np.float64(1.3)", "np.int32(3)", "np.asarray(0.7)", "np.asarray(2)", "True")

Written = Callable[["Writer"], "str | None"]


class Writer:
    """Makes statements and runs them on sample values, with a dictionary of variables for each sample."""

    def __init__(self, r: random.Random, samples: list[dict[str, Any]], forms: list[tuple[int, Written]]) -> None:
        self.r = r
        self.samples = samples
        self.forms = forms
        self.lines: list[str] = []
        self._count = 0

    def write(self, wanted: int) -> None:
        """Add so many statements, with at most forty attempts for each."""
        for _ in range(40 * wanted):
            if wanted <= 0:
                return
            made = self.r.choices([form for _, form in self.forms], [weight for weight, _ in self.forms])[0](self)
            if made is not None and self._accept(made):
                wanted -= 1

    def expression(self, made: str) -> str:
        """An assignment of an expression to a new name."""
        return f"{self.name()} = {made}"

    def form(self, table: list[str], a: str, b: str = "") -> str:
        """An expression or statement of a table, of these arrays."""
        labels = self.pick("iu", lambda v: v.ndim <= 2) or "labels"
        names = {name: self.name() for name in ("y", "z")}
        return self.r.choice(table).format(a=a, b=b, c=self.number(), i=labels, s=self.space(), **names)

    def name(self) -> str:
        """An unused name."""
        self._count += 1
        return f"v{self._count}"

    def _accept(self, line: str) -> bool:
        first = self.samples[0]
        old = set(first) | {"__builtins__"}
        invalid = "raise" if "astype" in line or "dtype" in line else "ignore"  # NaN cannot be cast to an integer
        try:
            with np.errstate(all="ignore", invalid=invalid):
                for sample in self.samples:
                    exec(line, sample)
        except Exception:
            kept = False
        else:
            kept = all(is_kept(sample[name]) for sample in self.samples for name in set(first) - old)
        if kept:
            self.lines.append(line)
            return True
        for sample in self.samples:
            for name in set(sample) - old:
                del sample[name]
        return False

    def pick(self, kinds: str = "f", fits: Callable[[Any], bool] = lambda v: True) -> str | None:
        """The name of an array of one of these kinds of dtype, more often a late one."""
        names = [
            name
            for name, v in self.samples[0].items()
            if name != "k0" and isinstance(v, np.ndarray | np.generic) and v.dtype.kind in kinds and fits(v)
        ]
        if not names:
            return None
        late = names[-1 - min(int(self.r.expovariate(0.35)), len(names) - 1)]
        return late if self.r.random() < 0.7 else self.r.choice(names)

    def two(self, kinds: str) -> tuple[str | None, str | None]:
        """The names of two arrays that can be broadcast together."""
        a = self.pick(kinds)
        return a, None if a is None else self.partner(a, kinds)

    def array(self, kinds: str = "fiub", axes: int = 1) -> str | None:
        """The name of an array with at least so many axes."""
        return self.pick(kinds, lambda v: v.ndim >= axes)

    def partner(self, a: str, kinds: str) -> str | None:
        """The name of a value that can be broadcast with a."""

        def meets(v: Any) -> bool:
            try:
                return int(np.prod(np.broadcast_shapes(self.shape(a), v.shape))) <= SIZE
            except ValueError:
                return False

        return self.pick(kinds, meets)

    def shape(self, a: str) -> tuple[int, ...]:
        """The shape of a value in the first sample."""
        return np.shape(self.samples[0][a])

    def number(self) -> str:
        """A number as users write it."""
        return self.r.choice(TYPED if self.r.random() < 0.15 else NUMBERS)

    def axis(self, a: str) -> str:
        """An axis of a, several, or all of them."""
        n = len(self.shape(a))
        if n == 0 or self.r.random() < 0.3:
            return "None"
        if n >= 2 and self.r.random() < 0.15:
            return str(tuple(self.r.sample(range(n), 2)))
        return str(self.r.randrange(-n, n))

    def word(self, words: str) -> str:
        """One of the words of a text."""
        return self.r.choice(words.split())

    def space(self) -> str:
        """A namespace: NumPy itself or that of the arrays."""
        return self.r.choice(["np", "xp"])


def is_kept(value: Any) -> bool:
    """Whether a value is accepted: small, and its numbers neither huge nor mostly NaN."""
    if isinstance(value, tuple | list):
        return all(map(is_kept, value))
    if not isinstance(value, np.ndarray | np.generic):
        return True
    x = np.asarray(value)
    if x.dtype.kind not in "fiub" or x.size > SIZE or x.ndim > 4:
        return False
    if x.dtype.kind != "f" or x.size == 0:
        return True
    known = x[np.isfinite(x)]
    return known.size * 2 >= x.size and float(np.max(np.abs(known), initial=0)) <= LARGEST

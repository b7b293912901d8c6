"""The two kernels around a step whose data are on the GPU: one fetches the batch, one advances the counters.

``cells`` are words on the GPU that both use: the index of the batch's first example, how many losses are written, and
the addresses of the losses, of the order of the examples (0: none), and of each array of the data. So one recorded
graph serves for all batches of all data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlarray.planner.cuda.expressions import C_TYPES
from dlarray.planner.cuda.gpu import Gpu
from dlarray.planner.cuda.launch import Grid
from dlarray.planner.cuda.prelude import PRELUDE

__all__ = ["CELLS", "Gathering"]

POSITION, WRITTEN, LOSSES, ORDER, CELLS = range(5)
"""Cells by number; from CELLS on, the data's addresses."""

_WORDS = {
    16: "struct alignas(16) Word{0} {{ long long a, b; }};",
    8: "typedef long long Word{0};",
    4: "typedef int Word{0};",
    2: "typedef short Word{0};",
    1: "typedef char Word{0};",
}

_GATHER = """
// at: the cells, the loss, the number of this step in its graph, the examples of a batch, and for each array its target
struct Head {{ long long at[{words}]; }};
KERNEL gather(const Head head) {{
    const long long *cells = (const long long *)head.at[0];
    const long long batch = head.at[3], start = cells[{position}] + head.at[2] * batch;
    const int *order = (const int *)cells[{order}];
    if (WARP == 0 && LANE == 0 && head.at[2] > 0)
        (({loss} *)cells[{losses}])[cells[{written}] + head.at[2] - 1] = *(const {loss} *)head.at[1];
{copies}
}}
KERNEL count(const Head head) {{
    long long *cells = (long long *)head.at[0];
    if (LANE == 0) {{
        (({loss} *)cells[{losses}])[cells[{written}] + head.at[2] - 1] = *(const {loss} *)head.at[1];
        cells[{written}] += head.at[2];
        cells[{position}] += head.at[2] * head.at[3];
    }}
}}
"""

_COPY = """\
    const Word{k} *from{k} = (const Word{k} *)cells[{cell}];
    for (long long i = WARP * 32 + LANE; i < batch * {width}; i += WARPS * 32) {{
        const long long row = start + i / {width};
        ((Word{k} *)head.at[{target}])[i] = from{k}[(order ? order[row] : row) * {width} + i % {width}];
    }}"""


class Gathering:
    """The kernels for arrays whose examples take ``widths`` bytes each, at addresses that are multiples of ``aligned``.

    The bytes of an example are copied in words that are as wide as possible.
    """

    def __init__(self, gpu: Gpu, widths: Sequence[int], aligned: int, loss: np.dtype[Any]) -> None:
        self._gpu = gpu
        words = [next(w for w in _WORDS if width % w == 0 and aligned % w == 0) for width in widths]
        copies = [
            _COPY.format(k=k, width=width // word, target=4 + k, cell=CELLS + k)
            for k, (width, word) in enumerate(zip(widths, words, strict=True))
        ]
        text = "\n".join([PRELUDE, *(_WORDS[word].format(k) for k, word in enumerate(words))]) + _GATHER.format(
            words=4 + len(widths),
            position=POSITION,
            written=WRITTEN,
            losses=LOSSES,
            order=ORDER,
            loss=C_TYPES[loss.name],
            copies="\n".join(copies),
        )
        self.text = text
        self._length = 4 + len(widths)
        self._most = max(width // word for width, word in zip(widths, words, strict=True))
        self._gather, self._count = gpu.compile(text, ["gather", "count"])

    def fetch(self, cells: int, loss: int, step: int, batch: int, targets: Sequence[int]) -> None:
        """Queue the copy of this step's batch, and of the loss of the step before it."""
        head = np.zeros(self._length, np.int64)
        head[:4] = cells, loss, step, batch
        head[4:] = targets
        blocks = min(-(-batch * self._most // 256), 8 * self._gpu.processors)
        self._gpu.launch(self._gather, Grid("gather", max(blocks, 1), 256), head)

    def advance(self, cells: int, loss: int, steps: int, batch: int) -> None:
        """Queue what follows the last of so many steps: the copy of its loss, and new values of the counters."""
        head = np.zeros(self._length, np.int64)
        head[:4] = cells, loss, steps, batch
        self._gpu.launch(self._count, Grid("count", 1, 32), head)

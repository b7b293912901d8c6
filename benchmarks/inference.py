"""Inference: probabilities of one example and of 4096, by all contenders with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlarray.bench import CASES, low
from measure import Settings, in_turns, started
from setting import Setting

CASE_NAMES, BATCH_SIZES = ("S", "M", "L"), (1, 4096)
RAW, LIMIT, OURS = "raw products", "matmul products", "dlarray"


def measure(wanted: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """Figures by case and batch size: ratios, milliseconds, and whether all return the same.

    ``native`` is the time of ``predict`` divided by ``raw_ms``, that of the raw products; the other ratios are divided
    by ``limit_ms``, that of ``numpy.matmul``.
    """
    return {name: {str(batch): at_batch(name, batch, wanted, settings) for batch in BATCH_SIZES} for name in CASE_NAMES}


def at_batch(name: str, batch: int, wanted: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """Figures of one network and batch size."""
    case, title = replace(CASES[name], batch=batch), f"{name}: predict at batch {batch}"
    with started(wanted, case, Setting(), settings.patience, title) as (running, absent):
        entropies = {who: remote.get("losses", steps=1) for who, remote in running.items() if who not in (RAW, LIMIT)}
        bursts = in_turns(running, settings, title)
    times = {who: low([burst["wall"] for burst in of]) for who, of in bursts.items()}
    limit, (expected, *_) = times[LIMIT], entropies[OURS]
    return {
        "limit_ms": 1e3 * limit,
        "raw_ms": 1e3 * times[RAW],
        "native": times[OURS] / times[RAW],
        **{who: t / limit for who, t in times.items()},
        "milliseconds": {who: 1e3 * t for who, t in times.items()},
        "equal": {who: abs(found[0] - expected) <= 1e-4 * abs(expected) for who, found in entropies.items() if found},
        "absent": absent,
    }

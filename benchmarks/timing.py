"""Contenders timed in turn, so that what the machine does meanwhile meets all of them alike."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable

Contenders = dict[str, Callable[[], object]]
Times = dict[str, list[float]]


def interleaved(contenders: Contenders, *, rounds: int = 60, per_round: int = 20) -> Times:
    """Return the microseconds per call of each round, by this thread's own clock."""
    times: Times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            call()  # the other one's data is in the cache
            start = time.thread_time()
            for _ in range(per_round):
                call()
            times[name].append((time.thread_time() - start) / per_round * 1e6)
    return times


def ratio(times: Times, name: str, peer: str) -> float:
    """Return the median over the rounds of how many times longer than its peer one took."""
    return statistics.median(a / b for a, b in zip(times[name], times[peer], strict=True))


def report(title: str, times: Times, peer: str) -> None:
    """Print medians, and ratios to one of the contenders."""
    print(title)
    for name, samples in times.items():
        print(
            f"  {name:34s} {statistics.median(samples):11.1f} µs (best {min(samples):.1f})"
            f"  {ratio(times, name, peer):9.3f} × {peer}"
        )

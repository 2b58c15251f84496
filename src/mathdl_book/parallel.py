"""The processor's cores, and work spread over them."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many processor cores this process may use, container limits included."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:
        usable = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        usable = min(usable, max(1, math.ceil(int(quota) / int(period))))
    return usable


def spread(function: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
    """Return a function's value for every item, computed on all cores.

    Where processes cannot be forked (Windows), one does it all: to start others anew and import
    everything again would take longer.

    Parameters
    ----------
    function : callable
        Of one item; a module's function, so that a process can find it.
    items : collection
        What to apply it to.

    Raises
    ------
    Exception
        What the function raised first, by the items' order.
    BrokenProcessPool
        If a process was killed.

    Examples
    --------
    >>> spread(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    processes = min(cores(), len(items))
    if processes < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [function(item) for item in items]
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, fork, initializer=_end_at_once) as pool:
        return list(pool.map(function, items))


def _end_at_once() -> None:
    # The build's own handler, which a fork inherits, is never called while a lock is waited for.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""Work spread over cores: in order, whole, and with its errors."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from mathdl_book import parallel


def identified(item: int) -> tuple[int, int]:
    return item, os.getpid()


def inverse(item: int) -> float:
    return 1 / item


@pytest.mark.parametrize("cores", [1, 3])
def test_spread_keeps_the_order(monkeypatch, cores):
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    done = parallel.spread(identified, range(20))
    assert [item for item, _ in done] == list(range(20))
    elsewhere = {process for _, process in done} - {os.getpid()}
    assert bool(elsewhere) == (cores > 1 and hasattr(os, "fork"))
    assert parallel.spread(identified, []) == []


def test_an_error_is_raised_here(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        parallel.spread(inverse, [2, 1, 0, 4])


def handler(_: int) -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def die(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return item


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_killed_ends_the_work(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # as the build has one
    try:
        assert all(parallel.spread(handler, range(4)))
        with pytest.raises(BrokenProcessPool):
            parallel.spread(die, range(8))
    finally:
        signal.signal(signal.SIGTERM, before)

"""Work spread over cores: in order, whole, and with its errors."""

from __future__ import annotations

import os

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

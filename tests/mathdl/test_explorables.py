from __future__ import annotations

import json

import numpy as np
import pytest

from mathdl import explorables
from mathdl.explorables import EXPLORABLE_MIME, Surface, explorable, landscape_3d, rounded


def bowl(n: int, m: int) -> Surface:
    a, b = np.linspace(-1, 1, n), np.linspace(-2, 3, m)
    return Surface(a, b, a[:, None] ** 2 + b**2 + 0.1)


def test_numbers_keep_four_digits_and_are_json() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)) * 10.0 ** np.arange(-3, 6, 3)
    kept = np.array(json.loads(json.dumps(rounded(values))))
    assert np.abs(kept / values - 1).max() <= 5e-4
    assert rounded(np.float32(np.nan)) is None and rounded(3.0) == 3


@pytest.mark.parametrize(("size", "kept"), [(3, 3), (49, 49), (50, 25), (61, 31), (97, 49)])
def test_a_fine_grid_is_thinned_never_interpolated(size: int, kept: int) -> None:
    given = bowl(size, 5)
    [shown] = landscape_3d({"bowl": given})["surfaces"]
    assert len(shown["alphas"]) == len(shown["losses"]) == kept
    assert set(shown["alphas"]) <= set(rounded(given.alphas))
    assert shown["key"] == "bowl"
    assert {len(row) for row in shown["losses"]} == {5}


def test_a_cell_publishes_under_its_own_type(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(explorables, "shell", lambda: object())
    monkeypatch.setattr(explorables, "show", shown.append)
    explorable("svd-rank", values=np.array([1.0, 2.5]), note="text", deep={"x": (np.float64(1),)})
    [bundle] = shown
    assert bundle[EXPLORABLE_MIME] == {
        "schema": 1,
        "name": "svd-rank",
        "data": {"values": [1, 2.5], "note": "text", "deep": {"x": [1]}},
    }
    assert "svd-rank" in bundle["text/plain"]


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    good = bowl(5, 4)
    path = np.zeros((3, 2))
    for wrong, says in [
        (good._replace(losses=np.asarray(good.losses).T), r"\(5, 4\), got \(4, 5\)"),
        (good._replace(alphas=np.zeros(5)), "increase"),
        (good._replace(losses=np.zeros((5, 4))), "positive"),
        (good._replace(losses=np.full((5, 4), np.inf)), "finite"),
        (good._replace(path=path, path_losses=np.ones(2)), r"\(3, 2\) and \(2,\)"),
        (good._replace(path=path, path_losses=np.zeros(3)), "along the path"),
    ]:
        with pytest.raises(ValueError, match=f"bowl: .*{says}"):
            landscape_3d({"bowl": wrong})
    for none in ({}, {"…": good}):
        with pytest.raises(ValueError, match="got"):
            landscape_3d(none)

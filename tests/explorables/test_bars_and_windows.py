"""categorical-kl against `mathdl.information`, convolution against `mathdl.layers` and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate2d

from mathdl import information as info
from mathdl.layers import conv2d_forward

BARS = "categorical-kl"
NAMES = ["groups", "fair", "loaded", "label", "missing"]


def pairs(node) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    known = node(BARS, "return m.DISTRIBUTIONS;")
    assert sorted(known) == sorted(NAMES)
    some = [rng.dirichlet(np.ones(6)) for _ in range(6)] + [np.eye(6)[1]]
    return [(np.array(p, float), q) for p in known.values() for q in some]


def test_divergences_are_the_librarys_with_zeros_and_infinities(call, node) -> None:
    for p, q in pairs(node):
        assert p.sum() == pytest.approx(1)
        for mine, theirs in [
            ("divergence", info.kl_divergence),
            ("crossEntropy", info.cross_entropy),
            ("jensenShannon", info.js_divergence),
        ]:
            for first, second in ((p, q), (q, p)):
                exact = float(theirs(first, second))
                found = float(call(BARS, mine, first.tolist(), second.tolist()))
                assert found == pytest.approx(exact, abs=1e-9) or found == exact == np.inf
        assert call(BARS, "entropy", p.tolist()) == pytest.approx(float(info.entropy(p)), abs=1e-9)
    assert call(BARS, "normalise", [0, 0]) == [0.5, 0.5]


SLIDE = "convolution"


@pytest.mark.parametrize("kernel", ["numbers", "blur", "edge", "laplace"])
def test_sliding_and_multiplying_give_the_librarys_convolution(call, node, kernel: str) -> None:
    weights = np.array(node(SLIDE, "return m.KERNELS[given[0]];", kernel), float)
    image = np.array(node(SLIDE, "return m.IMAGE;"), float)
    mine = np.array(call(SLIDE, "correlate", image.tolist(), weights.tolist()))
    x, w = image.reshape(1, 1, 6, 6), weights.reshape(1, 1, 3, 3)
    theirs = conv2d_forward(x, w, np.zeros(1))[0]
    np.testing.assert_allclose(mine, theirs.ravel(), atol=1e-9)
    np.testing.assert_allclose(mine.reshape(4, 4), correlate2d(x[0, 0], w[0, 0], "valid"))
    matrix = np.array(call(SLIDE, "toeplitz", weights.tolist()))
    np.testing.assert_allclose(matrix @ image, mine, atol=1e-9)
    # The column of a pixel in the middle is the kernel upside down and mirrored.
    column = matrix[:, 14].reshape(4, 4)[:3, :3]
    np.testing.assert_allclose(column, w[0, 0, ::-1, ::-1], atol=0)

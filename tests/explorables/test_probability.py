"""coin-posterior and softmax-temperature against `mathdl` and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from mathdl.activations import softmax
from mathdl.bayes import beta_bernoulli
from mathdl.distributions import Beta
from mathdl.information import entropy

COIN = "coin-posterior"
PRIORS = [(0.05, 0.95), (0.5, 0.5), (1.0, 1.0), (2.5, 1.2), (50.0, 50.0), (5.0, 95.0)]


@pytest.mark.parametrize(("a", "b"), PRIORS)
@pytest.mark.parametrize(("heads", "tails"), [(0, 0), (0, 3), (7, 3), (70, 30), (100, 100)])
def test_the_posterior_is_the_librarys(call, a, b, heads, tails) -> None:
    exact = beta_bernoulli(Beta(a, b), heads, tails)
    mine = call(COIN, "posterior", {"a": a, "b": b}, heads, tails)
    assert call(COIN, "mean", mine) == pytest.approx(float(exact.mean()), abs=1e-9)
    assert call(COIN, "variance", mine) == pytest.approx(float(exact.variance()), abs=1e-9)
    for theta in (0.001, 0.2, 0.5, 0.77, 0.999):
        height = float(np.exp(exact.log_prob(np.array(theta))))
        found = call(COIN, "density", theta, mine["a"], mine["b"])
        assert found == pytest.approx(height, rel=1e-9, abs=1e-12)
        share = call(COIN, "cumulative", theta, mine["a"], mine["b"])
        assert share == pytest.approx(special.betainc(mine["a"], mine["b"], theta), abs=1e-9)
    for share in (0.025, 0.5, 0.975):
        place = stats.beta.ppf(share, mine["a"], mine["b"])
        assert call(COIN, "quantile", share, mine["a"], mine["b"]) == pytest.approx(place, abs=1e-9)


def test_log_gamma(call) -> None:
    for x in np.geomspace(0.01, 300, 40):
        exact = special.gammaln(x)
        assert call(COIN, "logGamma", x) == pytest.approx(exact, abs=1e-9, rel=1e-12)


SOFTMAX = "softmax-temperature"


@pytest.mark.parametrize("T", [0.05, 0.3, 1.0, 2.7, 31.0])
def test_probabilities_entropy_and_slope_are_the_librarys(call, T: float) -> None:
    rng = np.random.default_rng(0)
    for z in (rng.uniform(-4, 4, 4), np.array([2.0, 1.0, 0.0, -1.0]), np.array([4.0, -4, -4, -4])):
        q = softmax(z / T)
        np.testing.assert_allclose(call(SOFTMAX, "softmax", z.tolist(), T), q, atol=1e-9)
        h = float(entropy(q))
        assert call(SOFTMAX, "entropy", q.tolist()) == pytest.approx(h, abs=1e-9)
        # Complex step through the library's own functions.
        p = softmax(z / (T + 1e-30j))
        slope = float(-(p * np.log(p)).sum().imag / 1e-30)
        assert call(SOFTMAX, "entropySlope", z.tolist(), T) == pytest.approx(slope, abs=1e-9)


def test_nothing_is_lost_at_the_ends(call) -> None:
    assert call(SOFTMAX, "entropy", [1, 0, 0, 0]) == 0
    cold = call(SOFTMAX, "softmax", [4, -4, -4, -4], 0.05)
    assert cold[0] == 1 and max(cold[1:]) < 1e-60

"""gaussian-kl against `mathdl.information` and numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from mathdl.distributions import Normal
from mathdl.information import gaussian_kl

NAME = "gaussian-kl"
GRID = [(m, s) for m in (-4.0, -1.3, 0.0, 2.5) for s in (0.32, 0.8, 1.0, 2.1, 5.0)]


def log_mixture(x: float) -> float:
    parts = [
        np.log(w) + Normal(m, s).log_prob(x) for w, m, s in [(0.6, -2.0, 0.6), (0.4, 2.0, 0.5)]
    ]
    return float(np.logaddexp(*parts))


@pytest.mark.parametrize(("mu", "sigma"), GRID)
def test_both_directions_for_one_gaussian_are_the_closed_form(call, mu, sigma) -> None:
    there, back = gaussian_kl(0.0, 1.0, mu, sigma), gaussian_kl(mu, sigma, 0.0, 1.0)
    assert call(NAME, "forward", "one", mu, sigma) == pytest.approx(float(there), abs=1e-9)
    assert call(NAME, "reverse", "one", mu, sigma) == pytest.approx(float(back), abs=1e-9)


@pytest.mark.parametrize(("mu", "sigma"), GRID)
def test_both_directions_for_two_peaks_are_the_integrals(call, mu, sigma) -> None:
    q = Normal(mu, sigma)

    def there(x: float) -> float:
        return np.exp(log_mixture(x)) * (log_mixture(x) - q.log_prob(x))

    def back(x: float) -> float:
        return np.exp(q.log_prob(x)) * (q.log_prob(x) - log_mixture(x))

    options = {"epsabs": 1e-11, "epsrel": 1e-12, "limit": 400}
    exact = quad(there, -9, 9, points=[-2, 0, 2], **options)[0]
    low, high = mu - 10 * sigma, mu + 10 * sigma
    places = [p for p in (-2, -0.05, 0.0, 0.1, 2, mu) if low < p < high]
    reverse = quad(back, low, high, points=places, **options)[0]
    assert call(NAME, "forward", "two", mu, sigma) == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert call(NAME, "reverse", "two", mu, sigma) == pytest.approx(reverse, rel=1e-9, abs=1e-9)


def test_the_forward_minimum_has_the_moments_and_the_reverse_ones_sit_on_the_peaks(call) -> None:
    mu, sigma = call(NAME, "moments", "two")
    assert mu == pytest.approx(-0.4) and sigma == pytest.approx(np.sqrt(2.616 + 1.7 - 0.16))
    least = call(NAME, "forward", "two", mu, sigma)
    for m, s in [(mu + 0.1, sigma), (mu - 0.1, sigma), (mu, 1.1 * sigma), (mu, 0.9 * sigma)]:
        assert call(NAME, "forward", "two", m, s) > least
    for start, peak, width, weight in [(0.6, -2.0, 0.6, 0.6), (1.0, 2.0, 0.5, 0.4)]:
        found = call(NAME, "descendReverse", "two", start, 1.0)
        assert found == pytest.approx([peak, width], abs=2e-2)
        assert call(NAME, "reverse", "two", *found) <= -np.log(weight) + 1e-9

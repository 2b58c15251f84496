"""gradient-descent and momentum-plane against `mathdl.optim` and the blocks' eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl.datasets import ravine, ravine_grad
from mathdl.optim import SGD


def descend(start: list[float], kappa: float, steps: int, **options: float) -> np.ndarray:
    """Return the points of SGD on the ravine of `mathdl`, (steps + 1, 2)."""
    x = np.array(start)
    optimizer = SGD([x], **options)
    points = [x.copy()]
    for _ in range(steps):
        optimizer.step([ravine_grad(x, kappa)])
        points.append(x.copy())
    return np.array(points)


@pytest.mark.parametrize("kappa", [1.0, 3.7, 20.0, 100.0])
def test_the_bowl_and_its_path_are_those_of_the_library(call, kappa: float) -> None:
    rng = np.random.default_rng(0)
    for share in (0.05, 0.9, 1.0, 1.9, 2.05):
        start = rng.uniform(-1, 1, 2).tolist()
        mine = np.array(call("gradient-descent", "path", kappa, share, start, 60))
        theirs = descend(start, kappa, 60, lr=share / kappa)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())
        for x in mine[:5]:
            height = call("gradient-descent", "bowl", x.tolist(), kappa)
            assert height == pytest.approx(float(ravine(x, kappa)), rel=1e-9)


def test_steps_to_a_share_are_counted_on_the_path(call) -> None:
    rng = np.random.default_rng(1)
    for kappa, share in [(1, 1.0), (10, 0.3), (10, 1.6), (100, 1.98), (30, 1.0)]:
        start = rng.uniform(-1, 1, 2).tolist()
        points = np.array(call("gradient-descent", "path", kappa, share, start, 4000))
        distance = np.linalg.norm(points, axis=1)
        first = int(np.argmax(distance <= 0.01 * distance[0]))
        assert call("gradient-descent", "stepsTo", kappa, share, start, 0.01) == first
    assert call("gradient-descent", "stepsTo", 10, 2.0, [1, 1], 0.01) == "Infinity"


def test_the_rate_is_the_larger_factor_and_least_at_the_best_step(call) -> None:
    for kappa in (1.0, 5.0, 77.0):
        shares = np.linspace(0.05, 2.1, 83)
        eigen = np.abs(1 - shares[:, None] / kappa * np.array([1.0, kappa])).max(axis=1)
        rates = [call("gradient-descent", "rate", kappa, float(s)) for s in shares]
        np.testing.assert_allclose(rates, eigen, atol=1e-12)
        best = call("gradient-descent", "rate", kappa, call("gradient-descent", "bestShare", kappa))
        assert best == pytest.approx((kappa - 1) / (kappa + 1), abs=1e-12)


PLANE = "momentum-plane"


@pytest.mark.parametrize("method", ["ball", "nesterov"])
def test_radii_are_the_largest_eigenvalues_of_the_blocks(call, method: str) -> None:
    for step in np.linspace(0.01, 4, 17):
        for beta in np.linspace(0, 0.99, 9):
            b, c = call(PLANE, "block", method, step, beta)
            matrix = np.array([[b, -c], [1.0, 0.0]])
            exact = np.abs(np.linalg.eigvals(matrix)).max()
            # A double root is known to half the digits only.
            near = 1e-9 if abs(b * b - 4 * c) > 1e-6 else 1e-6
            assert call(PLANE, "radius", method, step, beta) == pytest.approx(exact, abs=near)


@pytest.mark.parametrize("kappa", [2.0, 25.0, 400.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.5, 0.8), (0.3, 0.95), (2.4, 0.4)])
def test_the_paths_are_those_of_sgd_with_momentum(call, kappa, alpha, beta) -> None:
    # On ½ (x₁² + κ x₂²) a step α/κ moves as α does on the bowl with L = 1.
    options = {"lr": alpha / kappa, "momentum": beta}
    ball = np.array(call(PLANE, "path", "ball", kappa, alpha, beta, 80), float)
    theirs = descend([1.0, 1.0], kappa, 80, **options)
    np.testing.assert_allclose(ball, theirs, atol=1e-9 * np.abs(theirs).max())
    mine = np.array(call(PLANE, "path", "nesterov", kappa, alpha, beta, 80), float)
    ahead = mine + beta * (mine - np.vstack([mine[:1], mine[:-1]]))
    theirs = descend([1.0, 1.0], kappa, 80, nesterov=beta > 0, **options)
    np.testing.assert_allclose(ahead, theirs, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.parametrize("method", ["ball", "nesterov"])
def test_the_border_is_where_the_rate_is_one(call, method: str) -> None:
    for beta in np.linspace(0, 0.99, 12):
        edge = call(PLANE, "border", method, beta)
        assert call(PLANE, "rate", method, 25, edge, beta) == pytest.approx(1, abs=1e-9)
        assert call(PLANE, "rate", method, 25, 0.999 * edge, beta) < 1


@pytest.mark.parametrize("method", ["ball", "nesterov"])
def test_the_star_is_the_best_place_of_the_plane(call, node, method: str) -> None:
    for kappa in (3.0, 25.0, 300.0):
        star = call(PLANE, "best", method, kappa)
        optimum = call(PLANE, "rate", method, kappa, star["alpha"], star["beta"])
        root = np.sqrt(kappa)
        known = (root - 1) / (root + 1) if method == "ball" else 1 - 2 / np.sqrt(3 * kappa + 1)
        assert optimum == pytest.approx(known, abs=1e-7)
        around = node(
            PLANE,
            """const [method, kappa] = given;
            let least = 1;
            for (let a = 0.01; a < 4; a += 0.01)
              for (let b = 0; b < 1; b += 0.01)
                least = Math.min(least, m.rate(method, kappa, a, b));
            return least;""",
            method,
            kappa,
        )
        assert optimum - 1e-7 <= around < optimum + 0.05


def test_regimes_have_their_names(call) -> None:
    for step, beta, name in [(0.1, 0.9, "swings"), (0.01, 0.2, "creeps"), (2.5, 0.3, "jumps"),
                             (3.9, 0.5, "diverges")]:  # fmt: skip
        assert call(PLANE, "regime", "ball", step, beta) == name


def test_what_the_pages_say_of_the_star_is_so(call) -> None:
    here, right, left = (
        call(PLANE, "rate", "ball", 25, alpha, 0.446) for alpha in (2.78, 2.79, 2.68)
    )
    assert here == pytest.approx(call(PLANE, "rate", "ball", 25, 25 / 9, 4 / 9), rel=2e-3)
    assert right - here > left - here > 0
    assert call(PLANE, "rate", "nesterov", 25, 2.78, 0.444) > 1
    rates = [call(PLANE, "rate", "ball", 25, 1.92, b / 100) for b in range(0, 50, 5)]
    assert rates == sorted(rates, reverse=True)
    assert call(PLANE, "rate", "ball", 25, 1.0, 0.97) == pytest.approx(np.sqrt(0.97))

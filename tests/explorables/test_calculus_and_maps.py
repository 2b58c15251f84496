"""secant-tangent, matrix-map and schedule-builder against NumPy and `mathdl`."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl.gradcheck import numerical_gradient
from mathdl.schedules import linear_lr, polynomial_lr

SECANT = "secant-tangent"
FUNCTIONS = {
    "wave": lambda x: np.sin(2 * x) + x**2 / 4,
    "exp": np.exp,
    "root": lambda x: np.sqrt(x**2 + 0.01),
    "relu": lambda x: x * (np.real(x) > 0),
    "square": lambda x: x * x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_slopes(call, name: str) -> None:
    f = FUNCTIONS[name]
    for x in np.linspace(-2.4, 2.4, 17):
        assert call(SECANT, "value", name, x) == pytest.approx(float(np.real(f(x))), abs=1e-12)
        exact = float(np.imag(f(x + 1e-30j)) / 1e-30)
        assert call(SECANT, "slope", name, x) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_quotients_are_the_librarys(call, name: str) -> None:
    f = FUNCTIONS[name]
    for x in (-1.9, -0.3, 0.6, 2.2):
        for h in (1e-5, 1e-3, 0.1, 1.5):
            forward = float(np.real((f(x + h) - f(x)) / h))
            assert call(SECANT, "forward", name, x, h) == pytest.approx(forward, abs=1e-9)
            central = float(np.real(f(x + h) - f(x - h)) / (2 * h))
            assert call(SECANT, "central", name, x, h) == pytest.approx(central, abs=1e-9)
    for x in (-0.3, 0.6):  # the library scales its step by the size of a larger x
        theirs = numerical_gradient(lambda p: np.real(f(p[0])), np.array([x]), h=1e-4)
        assert call(SECANT, "central", name, x, 1e-4) == pytest.approx(float(theirs[0]), abs=1e-9)


MAP = "matrix-map"
RNG = np.random.default_rng(0)
MATRICES = [
    *RNG.uniform(-3, 3, size=(20, 2, 2)),
    np.array([[1.5, 1.0], [0.5, 1.0]]),
    np.array([[0.0, -1.0], [1.0, 0.0]]),
    np.array([[1.0, 1.0], [0.0, 1.0]]),
    np.array([[1.0, 2.0], [0.5, 1.0]]),
    np.diag([2.0, -1.0]),
    np.eye(2),
]


@pytest.mark.parametrize("matrix", MATRICES)
def test_what_a_matrix_does_is_what_numpy_says(call, matrix: np.ndarray) -> None:
    m = matrix.ravel().tolist()
    assert call(MAP, "determinant", m) == pytest.approx(np.linalg.det(matrix), abs=1e-9)
    s = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(call(MAP, "singularValues", m), s, atol=1e-9)
    axes = call(MAP, "axesOf", m)
    v, u = np.array(axes["v"]), np.array(axes["u"])
    np.testing.assert_allclose(v @ v.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(u, v @ matrix.T, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), s, atol=1e-9)
    found = call(MAP, "eigen", m)
    values = np.linalg.eigvals(matrix)
    if found["real"]:
        # A double eigenvalue is known to half the digits.
        near = 1e-9 if np.ptp(values.real) > 1e-6 else 1e-7
        assert np.abs(values.imag).max() < 1e-7
        np.testing.assert_allclose(found["values"], np.sort(values.real)[::-1], atol=near)
        for value, vector in zip(found["values"], found["vectors"], strict=True):
            np.testing.assert_allclose(matrix @ vector, value * np.array(vector), atol=1e-9)
            assert np.linalg.norm(vector) == pytest.approx(1)
    else:
        half, imaginary = found["values"]
        np.testing.assert_allclose(np.sort_complex(values), half + imaginary * np.array([-1j, 1j]))


BUILDER = "schedule-builder"
PLANS = [
    [(0, 0.2), (200, 0.2)],
    [(0, 0.4), (60, 0.0), (200, 0.0)],
    [(0, 0.0), (100, 0.4), (200, 0.0)],
    [(0, 0.4), (45, 0.31), (90, 0.22), (160, 0.07), (200, 0.02)],
]


@pytest.mark.parametrize("knots", PLANS)
def test_plans_and_their_losses_are_those_of_the_chapter(call, knots) -> None:
    at, rate = np.array(knots).T
    rates = np.interp(np.arange(200), at, rate)
    mine = call(BUILDER, "plan", knots)
    np.testing.assert_allclose(mine, rates, atol=1e-12)
    curvature, noise = np.array([0.02, 0.2, 1.0]), 0.05
    m, expected = np.ones(3), [np.array([0.02, 0.2, 1.0]) / 2]
    for a in rates:
        m = (1 - a * curvature) ** 2 * m + a**2 * noise
        expected.append(curvature * m / 2)
    np.testing.assert_allclose(call(BUILDER, "losses", mine), expected, atol=1e-9)
    sums = call(BUILDER, "sums", mine)
    assert sums["S"] == pytest.approx(rates.sum(), abs=1e-9)
    assert sums["Q"] == pytest.approx((rates**2).sum(), abs=1e-9)


def test_straight_falls_are_the_librarys_schedules(call) -> None:
    t = np.arange(200)
    fall = call(BUILDER, "plan", [(0, 0.4), (200, 0.0)])
    np.testing.assert_allclose(fall, polynomial_lr(t, 0.4, 200), atol=1e-12)
    rise = call(BUILDER, "plan", [(0, 0.1), (50, 0.4), (200, 0.4)])
    exact = linear_lr(t, 0.4, start_factor=0.25, total_iters=50)
    np.testing.assert_allclose(rise, exact, atol=1e-12)


def test_the_losses_are_those_of_noisy_descent(call) -> None:
    """The recursion against a simulation of 40 000 runs, within five standard errors."""
    rng = np.random.default_rng(1)
    rates = call(BUILDER, "plan", PLANS[3])
    curvature = np.array([0.02, 0.2, 1.0])
    x = np.ones((40_000, 3))
    for a in rates:
        x -= a * (curvature * x + np.sqrt(0.05) * rng.standard_normal(x.shape))
    sampled = curvature * x**2 / 2
    end = np.array(call(BUILDER, "losses", rates)[-1])
    error = sampled.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(sampled.mean(axis=0) - end) < 5 * error).all()

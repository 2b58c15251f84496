"""Numerical derivatives: any shape, any method, the errors that theory predicts."""

import numpy as np
import pytest

from mathdl import gradcheck
from mathdl.gradcheck import METHODS, locate, numerical_gradient, numerical_jacobian

SHAPES = [(), (1,), (5,), (3, 4), (2, 1, 3), (1, 1), (0,)]
ACCURACY = {"central": 1e-9, "forward": 1e-6, "complex": 1e-15, "richardson": 1e-11}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_any_shape(shape, method):
    x = np.random.default_rng(0).normal(size=shape)
    before = x.copy()
    g = numerical_gradient(lambda x: np.sum(np.sin(x) * np.exp(x)), x, method)
    right = (np.cos(x) + np.sin(x)) * np.exp(x)
    assert np.shape(g) == shape and np.asarray(g).dtype == np.float64
    np.testing.assert_allclose(g, right, rtol=ACCURACY[method], atol=ACCURACY[method])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [("central", 2e-3), ("forward", 5e-3), ("complex", 1e-6), ("richardson", 2e-3)],
)
def test_single_precision_stays_single_and_usable(method, tolerance):
    # The usual 1e-5 is off by 0.2 here: a step for double precision.
    x = np.linspace(0.5, 2, 6, dtype=np.float32).reshape(2, 3)
    g = numerical_gradient(lambda x: (x**3).sum(), x, method)
    assert g.dtype == np.float32
    assert np.max(np.abs(g - 3 * x**2)) < tolerance * 12
    worse = numerical_gradient(lambda x: (x**3).sum(), x, "central", h=1e-5)
    if method == "central":
        assert np.max(np.abs(worse - 3 * x**2)) > 10 * np.max(np.abs(g - 3 * x**2))


def test_gradient_of_a_dict_and_of_a_tuple():
    x = {"W": np.ones((2, 3)), "nested": (np.array(2.0), np.arange(3.0))}
    g = numerical_gradient(lambda p: p["W"].sum() * p["nested"][0] ** 2 + p["nested"][1].sum(), x)
    np.testing.assert_allclose(g["W"], 4.0)
    np.testing.assert_allclose(g["nested"][0], 24.0)
    np.testing.assert_allclose(g["nested"][1], 1.0)


@pytest.mark.parametrize("x", [3, np.arange(3), np.array([True]), np.ones(2, np.float16), 1j])
def test_what_has_no_derivative_is_refused(x):
    with pytest.raises(TypeError, match="needs float32 or float64, but x has dtype"):
        numerical_gradient(lambda x: (x**2).sum(), x)


def test_a_loop_over_rows_would_be_wrong_and_this_one_is_not():
    """The usual ``for i in range(len(x))`` perturbs whole rows of a matrix."""
    x = np.random.default_rng(1).normal(size=(3, 4))
    rows = np.zeros_like(x)
    for i in range(len(x)):
        moved = x.copy()
        moved[i] += 1e-6
        rows[i] = ((moved**2).sum() - (x**2).sum()) / 1e-6
    assert np.max(np.abs(rows - 2 * x)) > 1
    np.testing.assert_allclose(numerical_gradient(lambda x: (x**2).sum(), x), 2 * x, rtol=1e-8)


def test_unknown_methods_and_outputs_are_refused():
    x = np.ones(2)
    with pytest.raises(ValueError, match="method must be one of"):
        numerical_gradient(np.sum, x, "magic")
    with pytest.raises(ValueError, match=r"f\(x\) has shape \(2,\).*numerical_jacobian"):
        numerical_gradient(np.sin, x)
    with pytest.raises(ValueError, match="direction must have shapes"):
        gradcheck.directional_derivative(np.sum, x, np.ones(3))


@pytest.mark.parametrize("method", METHODS)
def test_jacobian_has_the_outputs_axes_first(method):
    A = np.random.default_rng(2).normal(size=(4, 2, 3))
    x = np.random.default_rng(3).normal(size=(2, 3))
    jacobian = numerical_jacobian(lambda x: np.tensordot(A, np.exp(x), 2), x, method)
    assert jacobian.shape == (4, 2, 3)
    np.testing.assert_allclose(jacobian, A * np.exp(x), atol=10 * ACCURACY[method] + 1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_directional_derivative_is_the_projection_of_the_gradient(method):
    rng = np.random.default_rng(4)
    x, u = (
        {"a": rng.normal(size=3), "b": rng.normal(size=(2, 2))},
        {
            "a": rng.normal(size=3),
            "b": rng.normal(size=(2, 2)),
        },
    )
    got = gradcheck.directional_derivative(
        lambda p: np.sin(p["a"]).sum() * (p["b"] ** 2).sum(), x, u, method
    )
    s, q = np.sin(x["a"]).sum(), (x["b"] ** 2).sum()
    right = (np.cos(x["a"]) * u["a"]).sum() * q + s * (2 * x["b"] * u["b"]).sum()
    assert abs(got - right) < 100 * ACCURACY[method]


def into_a_float_buffer(x):
    out = np.zeros(3)
    out[:] = x
    return out.sum()


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (lambda x: np.abs(x).sum(), "returns float64"),
        (lambda x: float(x.sum()), "drops the imaginary part"),
        (into_a_float_buffer, "drops the imaginary part"),
        (lambda x: np.floor(x).sum(), "raises TypeError"),
    ],
)
def test_a_function_that_is_not_complex_safe_is_named(f, why):
    with pytest.raises(gradcheck.NotComplexSafe, match=why):
        numerical_gradient(f, np.ones(3), "complex")


def test_the_central_step_is_the_best_of_its_size():
    """At ε^⅓ the error of exp' is within 30 times of the best over all steps."""
    x = 1.0
    steps = 10.0 ** np.arange(-12.0, 0)
    errors = [abs(numerical_gradient(np.exp, x, h=h) - np.e) for h in steps]
    assert abs(numerical_gradient(np.exp, x) - np.e) < 30 * min(errors)
    assert gradcheck.optimal_step(np.float64) == pytest.approx(6.06e-6, rel=1e-2)
    assert gradcheck.optimal_step(np.float32) == pytest.approx(4.92e-3, rel=1e-2)
    assert gradcheck.optimal_step(np.float32, "complex") == 1e-20
    with pytest.raises(ValueError, match="method must be"):
        gradcheck.optimal_step(np.float64, "magic")


@pytest.mark.parametrize("entry", [0, 1, 4567, 8999])
@pytest.mark.parametrize("method", ["complex", "central"])
def test_one_wrong_entry_of_nine_thousand_in_sixteen_forward_passes(entry, method):
    rng = np.random.default_rng(entry)
    calls = 0

    def f(p):
        nonlocal calls
        calls += 1
        return np.sin(p["W"]).sum() + (p["b"] ** 3).sum() / 3

    x = {"W": rng.normal(size=(80, 100)), "b": rng.normal(size=1000)}
    wrong = {"W": np.cos(x["W"]), "b": x["b"] ** 2}
    name, index = (
        ("W", np.unravel_index(entry, (80, 100))) if entry < 8000 else ("b", (entry - 8000,))
    )
    right = wrong[name][index]
    wrong[name][index] += 0.5
    found = locate(f, wrong, x, method=method)
    assert (found.tensor, found.index) == (name, tuple(int(i) for i in index))
    assert found.analytic == wrong[name][index]
    assert found.numerical == pytest.approx(right, abs=1e-10 if method == "complex" else 1e-3)
    assert found.evaluations == calls <= (16 if method == "complex" else 32)


def test_locate_finds_nothing_in_a_right_gradient_and_one_of_several():
    x = np.random.default_rng(5).normal(size=(30, 40))
    assert locate(lambda x: np.sin(x).sum(), np.cos, x) is None
    wrong = np.cos(x)
    wrong[3] *= -1
    assert locate(lambda x: np.sin(x).sum(), wrong, x).index[0] == 3
    with pytest.raises(ValueError, match="gradient must have shapes"):
        locate(lambda x: np.sin(x).sum(), wrong.T, x)


def test_taylor_slope_tells_right_from_wrong():
    x = {"a": np.array([0.3, 1.2]), "b": np.array([[2.0]])}

    def f(p):
        return np.exp(p["a"]).sum() * np.cos(p["b"]).sum()

    def grad(p):
        return {
            "a": np.exp(p["a"]) * np.cos(p["b"]).sum(),
            "b": -np.sin(p["b"]) * np.exp(p["a"]).sum(),
        }

    assert gradcheck.taylor_slope(f, grad, x) == pytest.approx(2, abs=0.1)
    assert gradcheck.taylor_slope(f, lambda p: {**grad(p), "b": -grad(p)["b"]}, x) == pytest.approx(
        1, abs=0.1
    )
    # A quadratic along a direction in which it is linear leaves nothing.
    assert gradcheck.taylor_slope(lambda x: 3 * x, 3.0, np.array(2.0), steps=[0.5, 0.25]) == np.inf


def test_a_float_buffer_in_single_precision_does_not_underflow():
    x = np.float32(1e-3)
    g = numerical_gradient(lambda x: x * np.exp(-x), x, "complex")
    assert g == pytest.approx(float((1 - x) * np.exp(-x)), rel=1e-6)

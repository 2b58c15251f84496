"""Activations against torch (values, VJPs), their limits in both tails, and complex steps."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mathdl import activations as act
from mathdl.checks import CheckFailed, check_vjp

# name, options of ours, the same function in torch
ELEMENTWISE = [
    ("sigmoid", {}, torch.sigmoid),
    ("tanh", {}, torch.tanh),
    ("relu", {}, F.relu),
    ("leaky_relu", {}, F.leaky_relu),
    ("leaky_relu", {"negative_slope": 0.3}, lambda t: F.leaky_relu(t, 0.3)),
    ("elu", {}, F.elu),
    ("elu", {"alpha": 1.7}, lambda t: F.elu(t, 1.7)),
    ("silu", {}, F.silu),
    ("softplus", {}, F.softplus),
    ("softplus", {"beta": 3.0, "threshold": 5.0}, lambda t: F.softplus(t, 3.0, 5.0)),
    ("gelu", {}, F.gelu),
    ("gelu", {"approximate": "tanh"}, lambda t: F.gelu(t, approximate="tanh")),
]
ALONG_AXIS = [
    (name, {"axis": axis}, lambda t, f=f, axis=axis: f(t, dim=axis))
    for name, f in [("softmax", F.softmax), ("log_softmax", F.log_softmax)]
    for axis in (-1, 0, 1)
]
CASES = ELEMENTWISE + ALONG_AXIS
IDS = [f"{name}-{'-'.join(map(str, o.values())) or 'default'}" for name, o, _ in CASES]
TOLERANCE = {np.float64: 1e-13, np.float32: 1e-6}


def pair(name, options):
    f, vjp = getattr(act, name), getattr(act, name + "_vjp")
    return (lambda x: f(x, **options)), (lambda x, dy: vjp(x, dy, **options))


def points(dtype, seed=0):
    """Generic points, a geometric grid of both signs, and the kink itself."""
    rng = np.random.default_rng(seed)
    grid = 10.0 ** np.arange(-8, 3)
    x = np.concatenate([rng.normal(size=40) * 3, grid, -grid, [0.0, -0.0, 20.0, 20.1]])
    return rng.permutation(np.resize(x, 72)).reshape(3, 4, 6).astype(dtype)


def torch_value_and_vjp(f, x, dy):
    t = torch.tensor(x, requires_grad=True)
    y = f(t)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), t.grad.numpy()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "options", "reference"), CASES, ids=IDS)
def test_value_and_vjp_equal_torch(name, options, reference, dtype):
    f, vjp = pair(name, options)
    x = points(dtype)
    dy = np.random.default_rng(1).normal(size=x.shape).astype(dtype)
    y, dx = torch_value_and_vjp(reference, x, dy)
    for ours, theirs in [(f(x), y), (vjp(x, dy), dx)]:
        assert ours.dtype == dtype and ours.shape == x.shape
        scale = np.abs(theirs).max()
        assert np.abs(ours - theirs).max() <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize(("name", "options", "reference"), CASES, ids=IDS)
def test_vjp_passes_the_check_by_three_routes(name, options, reference):
    f, vjp = pair(name, options)
    x = np.random.default_rng(2).normal(size=(4, 5, 3)) * 2
    result = check_vjp(f, vjp, x, torch=reference, seed=3)
    assert result.passed and len(result.record()["routes"]) == 3


@pytest.mark.parametrize(("name", "options", "reference"), CASES, ids=IDS)
def test_a_vjp_that_is_a_little_wrong_is_refused(name, options, reference):
    f, vjp = pair(name, options)
    x = np.random.default_rng(2).normal(size=(4, 5, 3))
    with pytest.raises(CheckFailed):
        check_vjp(f, lambda x, dy: vjp(x, dy) * (1 + 1e-6), x)


@pytest.mark.parametrize("complex_dtype", [np.complex128, np.complex64])
@pytest.mark.parametrize(("name", "options", "reference"), CASES, ids=IDS)
def test_complex_step_gives_the_vjp_and_its_own_derivative(name, options, reference, complex_dtype):
    """First order through f, second order through f_vjp, against torch's double backward."""
    f, vjp = pair(name, options)
    step = 1e-30 if complex_dtype == np.complex128 else 1e-20
    tolerance = 1e-14 if complex_dtype == np.complex128 else 2e-6
    dtype = np.zeros(0, complex_dtype).real.dtype
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(3, 4, 5)) * 2).astype(dtype)
    v, dy = rng.normal(size=(2, *x.shape)).astype(dtype)
    z = (x + 1j * step * v).astype(complex_dtype)

    y = f(z)
    assert y.dtype == complex_dtype
    along = np.sum(dy.astype(float) * y.imag / step)
    back = np.sum(vjp(x, dy).astype(float) * v)
    assert abs(along - back) <= tolerance * np.abs(vjp(x, dy) * v).sum()
    np.testing.assert_allclose(y.real, f(x), rtol=tolerance, atol=tolerance)

    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(reference(t), t, torch.tensor(dy).double(), create_graph=True)
    second = np.zeros_like(x)
    if g.requires_grad:
        second = torch.autograd.grad(g, t, torch.tensor(v).double())[0].numpy()
    ours = vjp(z, dy)
    assert ours.dtype == complex_dtype
    scale = np.abs(second).max() + np.abs(g.detach().numpy()).max()
    assert np.abs(ours.imag / step - second).max() <= tolerance * scale


EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_relative_accuracy_in_both_tails(name, dtype):
    """Values and slopes keep all their digits where the formulas of the textbook lose them."""
    options = {"threshold": np.inf} if name == "softplus" else {}
    f, vjp = pair(name, options)
    reach = {np.float64: 300.0, np.float32: 40.0}[dtype]
    if name == "gelu":
        reach = {np.float64: 30.0, np.float32: 10.0}[dtype]
    x = np.concatenate([np.linspace(-reach, reach, 61), 10.0 ** np.arange(-7, 1.0)]).astype(dtype)
    tolerance = 40 * np.finfo(dtype).eps
    slopes = vjp(x, np.ones_like(x))
    with mpmath.workdps(300):
        for xi, y, dy in zip(x, f(x), slopes, strict=True):
            point = mpmath.mpf(float(xi))
            exact = EXACT[name](point)
            slope = mpmath.diff(EXACT[name], point)
            # Half an ulp of x moves exp(x) by |x| and the normal tail by x**2 of them.
            condition = float(xi) ** 2 if name == "gelu" else abs(float(xi))
            bound = tolerance + condition * np.finfo(dtype).eps
            assert abs(mpmath.mpf(float(y)) - exact) <= bound * abs(exact)
            # The slopes of silu and gelu have a zero of their own.
            floor = 0 if name in ("sigmoid", "tanh", "softplus", "elu") else 1e-3 * (abs(xi) < 2)
            assert abs(mpmath.mpf(float(dy)) - slope) <= bound * max(abs(slope), floor)


def test_relative_accuracy_of_log_softmax():
    """A nearly certain class: log p = -exp(-50), where log(softmax) gives 0."""
    y = act.log_softmax(np.array([50.0, 0.0, -1.0]))
    exact = -float(mpmath.log1p(mpmath.exp(-50) + mpmath.exp(-51)))
    assert abs(y[0] / exact - 1) < 1e-14
    single = act.log_softmax(np.array([20.0, 0.0], np.float32))
    assert abs(single[0] / -np.exp(-20.0) - 1) < 1e-6


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("sigmoid", (0, 1, 0, 0)),
        ("tanh", (-1, 1, 0, 0)),
        ("relu", (0, np.inf, 0, 1)),
        ("leaky_relu", (-np.inf, np.inf, 0.01, 1)),
        ("elu", (-1, np.inf, 0, 1)),
        ("silu", (0, np.inf, 0, 1)),
        ("softplus", (0, np.inf, 0, 1)),
        ("gelu", (0, np.inf, 0, 1)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_limits_and_nan(name, limits, dtype):
    f, vjp = pair(name, {})
    far = np.array([-np.inf, np.inf], dtype)
    np.testing.assert_allclose(f(far), np.array(limits[:2], dtype))
    np.testing.assert_allclose(vjp(far, np.ones_like(far)), np.array(limits[2:], dtype))
    biggest = np.array([-1, 1], dtype) * np.finfo(dtype).max
    assert not np.isnan(f(biggest)).any() and not np.isnan(vjp(biggest, np.ones(2, dtype))).any()
    assert np.isnan(f(np.array(np.nan, dtype)))


def test_tanh_form_of_gelu_at_its_limits():
    far = np.array([-np.inf, np.inf, -3e38, 3e38], np.float32)
    np.testing.assert_array_equal(act.gelu(far, "tanh"), [0, np.inf, 0, np.float32(3e38)])
    slopes = act.gelu_vjp(far, np.ones(4, np.float32), "tanh")
    np.testing.assert_array_equal(slopes, [0, 1, 0, 1])


def test_slopes_at_the_kink_are_those_of_torch():
    zero, one = np.zeros(1), np.ones(1)
    assert act.relu_vjp(zero, one) == 0
    assert act.leaky_relu_vjp(zero, one) == 0.01
    assert act.elu_vjp(zero, one, alpha=2.0) == 2.0


finite = st.floats(-1e4, 1e4, allow_subnormal=False)
arrays = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=finite
)


@settings(max_examples=50, deadline=None)
@given(arrays)
def test_identities(x):
    np.testing.assert_allclose(act.sigmoid(x) + act.sigmoid(-x), 1, rtol=1e-15)
    np.testing.assert_allclose(act.tanh(x), 2 * act.sigmoid(2 * x) - 1, atol=5e-16)
    np.testing.assert_allclose(
        act.softplus(x, threshold=np.inf) - act.softplus(-x, threshold=np.inf), x, atol=1e-12
    )
    np.testing.assert_allclose(act.relu(x) - act.relu(-x), x)
    np.testing.assert_allclose(act.gelu(x) - act.gelu(-x), x, rtol=1e-14, atol=1e-15)
    s = act.softmax(x)
    np.testing.assert_allclose(s.sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(act.log_softmax(x)), s, rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(act.softmax(x + 8.0), s, rtol=1e-10, atol=1e-300)


@settings(max_examples=25, deadline=None)
@given(
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    st.sampled_from([np.float16, np.float32, np.float64, np.complex64, np.complex128]),
)
def test_shapes_and_dtypes_are_kept(shape, dtype):
    """Empty arrays, and axes of length 0 and 1, included."""
    x = np.ones(shape, dtype)
    for name, options, _ in [*ELEMENTWISE, ("softmax", {}, None), ("log_softmax", {}, None)]:
        f, vjp = pair(name, options)
        for y in (f(x), vjp(x, x)):
            assert y.shape == shape and y.dtype == dtype, name


def test_softmax_over_one_class_and_several_axes():
    x = np.random.default_rng(5).normal(size=(3, 1, 4))
    np.testing.assert_array_equal(act.softmax(x, axis=1), np.ones_like(x))
    np.testing.assert_array_equal(act.log_softmax(x, axis=1), np.zeros_like(x))
    joint = act.softmax(x.reshape(3, 4), axis=(0, 1))
    np.testing.assert_allclose(joint.ravel(), act.softmax(x.ravel()), rtol=1e-15)


def test_softmax_of_masked_entries():
    x = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, -np.inf]])
    ours, theirs = act.softmax(x), F.softmax(torch.tensor(x), -1).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-15)
    assert np.isnan(ours[1]).all() and ours[0, 1] == 0
    assert act.log_softmax(x[:1])[0, 1] == -np.inf


def test_scalars_stay_scalars():
    assert isinstance(act.relu(-1.0), np.float64)
    for name, options, _ in ELEMENTWISE:
        f, vjp = pair(name, options)
        assert isinstance(f(np.float32(0.5)), np.float32), name
        assert isinstance(vjp(np.float32(0.5), 1.0), np.float32), name


@pytest.mark.parametrize(("name", "options", "reference"), CASES, ids=IDS)
def test_integers_and_shapes_that_only_broadcast_are_refused(name, options, reference):
    f, vjp = pair(name, options)
    x = np.ones((3, 2, 2))
    with pytest.raises(
        TypeError, match=r"x must hold real or complex floats, got dtype int(32|64)"
    ):
        f(np.ones((3, 2, 2), int))
    with pytest.raises(TypeError, match="dy must hold"):
        vjp(x, np.ones((3, 2, 2), int))
    with pytest.raises(ValueError, match=r"dy must have shape \(3, 2, 2\), got \(2,\)"):
        vjp(x, np.ones(2))


def test_options_that_have_no_meaning_are_refused():
    with pytest.raises(ValueError, match="approximate"):
        act.gelu(np.ones(1), approximate="erf")
    with pytest.raises(ValueError, match="beta must be positive"):
        act.softplus(np.ones(1), beta=0.0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex128, 4e-15), (np.complex64, 2e-6)])
def test_tanh_of_complex_numbers_keeps_its_digits(dtype, tolerance):
    rng = np.random.default_rng(0)
    x = (rng.uniform(-20, 20, 300) + 1j * rng.uniform(-6, 6, 300)).astype(dtype)
    x[:3] = [1e-9 + 1e-12j, 15 + 1e-20j, -15 - 1e-20j]
    one = np.ones_like(x)
    for got, exact in (
        (act.tanh(x), [mpmath.tanh(complex(z)) for z in x]),
        (act.tanh_vjp(x, one), [mpmath.sech(complex(z)) ** 2 for z in x]),
    ):
        want = np.array([complex(z) for z in exact])
        assert got.dtype == dtype
        assert (np.abs(got - want) <= tolerance * np.abs(want)).all()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("height", [1e-30, 0.2, 0.3, 4.0])
def test_tanh_of_a_complex_step_is_right_in_both_parts(dtype, height):
    """Each part by itself, on both sides of where the first order is exact to rounding."""
    eps = np.finfo(dtype).eps
    step = height if height < 1e-9 else height * np.sqrt(eps)
    a = np.random.default_rng(0).uniform(-8, 8, 200)
    x = (a + 1j * step * np.cos(a)).astype(dtype)
    for got, exact in (
        (act.tanh(x), [mpmath.tanh(complex(z)) for z in x]),
        (act.tanh_vjp(x, np.ones_like(x)), [mpmath.sech(complex(z)) ** 2 for z in x]),
    ):
        for part in (np.real, np.imag):
            want = part(np.array([complex(z) for z in exact]))
            assert np.all(np.abs(part(got) - want) <= 8 * eps * np.abs(want))

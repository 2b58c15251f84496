"""Special functions against mpmath and SciPy, roundings against torch's dtypes, sums exactly."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mathdl import numerics as num
from mathdl.numerics import _log1p

RNG = np.random.default_rng(0)
POSITIVE = np.concatenate(
    [
        RNG.uniform(0, 3, 300),
        RNG.uniform(0, 15, 300),
        10.0 ** RNG.uniform(-100, 100, 100),
        1 + 1e-3 * RNG.normal(size=50),
        2 + 1e-3 * RNG.normal(size=50),
        1.4616321449683623 + 1e-2 * RNG.normal(size=50),
        np.nextafter([0.75, 1, 2, 3, 8, 10], 0),
        [0.25, 0.5, 0.75, 1.5, 3, 8, 10],
    ]
)
BOTH_SIGNS = np.concatenate(
    [
        3 * RNG.normal(size=400),
        RNG.uniform(-26, 26, 400),
        10.0 ** RNG.uniform(-300, 0, 50),
        np.nextafter([0.5, 1.0, -0.5, -1.0], 0),
        [0.5, 1.0, -0.5, -1.0],
    ]
)
NEGATIVE = -RNG.uniform(0.01, 20, 400)


def ulps(values, exact):
    """Distance from the exact (mpmath) values, in units in the last place of theirs."""
    return max(
        float(abs((mpmath.mpf(float(v)) - e) / np.spacing(abs(float(e)))))
        for v, e in zip(values, exact, strict=True)
    )


SPECIAL = [
    (num.erf, mpmath.erf, BOTH_SIGNS, 3, scipy.special.erf, 4),
    # SciPy's own erfc is up to 450 ulp off in its tail, from rounding x**2.
    (num.erfc, mpmath.erfc, BOTH_SIGNS, 10, scipy.special.erfc, 600),
    # SciPy's gammaln loses its relative accuracy next to the roots 1 and 2: compared elsewhere.
    (num.lgamma, mpmath.loggamma, POSITIVE, 6, None, None),
    (num.digamma, mpmath.digamma, POSITIVE, 5, scipy.special.digamma, 8),
    (
        num.trigamma,
        lambda x: mpmath.psi(1, x),
        POSITIVE,
        6,
        lambda x: scipy.special.polygamma(1, x),
        12,
    ),
]


@pytest.mark.parametrize(("f", "exact", "x", "bound", "theirs", "both"), SPECIAL)
def test_special_functions_to_a_few_ulp(f, exact, x, bound, theirs, both):
    with mpmath.workdps(60):
        assert ulps(f(x), [exact(mpmath.mpf(v)) for v in x]) <= bound
    if theirs is not None:
        reference = theirs(x)
        assert (np.abs(f(x) - reference) / np.spacing(np.abs(reference))).max() <= both


def test_lgamma_against_scipy_on_its_scale():
    x = np.concatenate([POSITIVE, NEGATIVE])
    reference = scipy.special.gammaln(x)
    assert (np.abs(num.lgamma(x) - reference) / np.maximum(1, np.abs(reference))).max() < 2e-15


@pytest.mark.parametrize(
    ("f", "exact"),
    [
        (num.lgamma, lambda x: mpmath.log(abs(mpmath.gamma(x)))),
        (num.digamma, mpmath.digamma),
        (num.trigamma, lambda x: mpmath.psi(1, x)),
    ],
)
def test_negative_arguments_by_reflection(f, exact):
    with mpmath.workdps(40):
        want = np.array([float(exact(mpmath.mpf(v))) for v in NEGATIVE])
    assert (np.abs(f(NEGATIVE) - want) / np.maximum(1, np.abs(want))).max() < 3e-15


def test_special_values():
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 1.0, 2.0])
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(num.lgamma(x), [inf, inf, inf, inf, inf, inf, nan, 0, 0])
    want = [-inf, inf, nan, nan, inf, nan, nan]
    np.testing.assert_array_equal(num.digamma(x[:7]), want)
    np.testing.assert_array_equal(num.digamma(x[:7]), scipy.special.digamma(x[:7]))
    np.testing.assert_array_equal(num.trigamma(x[:5]), [inf, inf, inf, inf, 0])
    np.testing.assert_array_equal(num.erf(x[[0, 4, 5, 6]]), [0, 1, -1, nan])
    assert np.signbit(num.erf(-0.0))
    np.testing.assert_array_equal(num.erfc(x[[0, 4, 5, 6]]), [1, 0, 2, nan])
    for f in (num.erf, num.erfc, num.lgamma, num.digamma, num.trigamma):
        tiny_and_huge = np.array([5e-324, -5e-324, 1e308, -1e308 + 0.5])
        assert not np.isnan(f(tiny_and_huge[:3])).any()


def test_torch_agrees_in_float32():
    x = BOTH_SIGNS.astype(np.float32)
    for f, reference in [(num.erf, torch.erf), (num.erfc, torch.erfc), (num.lgamma, torch.lgamma)]:
        ours, theirs = f(x), reference(torch.tensor(x).double()).float().numpy()
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1.2e-7, atol=1e-37)


DERIVATIVES = [
    (num.erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    (num.erfc, lambda x: -2 / math.sqrt(math.pi) * np.exp(-x * x)),
    (num.lgamma, scipy.special.digamma),
    (num.digamma, lambda x: scipy.special.polygamma(1, x)),
    (num.trigamma, lambda x: scipy.special.polygamma(2, x)),
]


@pytest.mark.parametrize(("f", "slope"), DERIVATIVES)
def test_complex_rule(f, slope):
    """f(x + iy) = f(x) + i y f'(x), with y of any size."""
    x, y = RNG.uniform(0.1, 20, 100), RNG.normal(size=100)
    value = f(x + 1j * y)
    np.testing.assert_array_equal(value.real, f(x))
    np.testing.assert_allclose(value.imag, y * slope(x), rtol=1e-13)
    np.testing.assert_allclose(f(x + 1e-30j).imag / 1e-30, slope(x), rtol=1e-13)
    assert f(x.astype(np.complex64)).dtype == np.complex64


def test_derivatives_at_negative_arguments():
    x = np.array([-0.3, -1.4, -2.7, -7.9])
    for f, order in [(num.lgamma, 0), (num.digamma, 1), (num.trigamma, 2)]:
        with mpmath.workdps(30):
            want = [float(mpmath.psi(order, mpmath.mpf(v))) for v in x]
        np.testing.assert_allclose(f(x + 1e-30j).imag / 1e-30, want, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1e6))
def test_recurrence_and_reflection(x):
    """lgamma(x + 1) = lgamma(x) + log x, and its derivatives; digamma(1 - x) from digamma(x)."""
    scale = max(1.0, abs(num.lgamma(x)), 1 / x**2)
    assert abs(num.lgamma(x + 1) - num.lgamma(x) - math.log(x)) <= 1e-14 * scale
    assert abs(num.digamma(x + 1) - num.digamma(x) - 1 / x) <= 1e-14 * scale
    assert abs(num.trigamma(x + 1) - num.trigamma(x) + 1 / x**2) <= 1e-14 * scale
    assert num.erf(-x) == -num.erf(x)
    assert abs(num.erf(x) + num.erfc(x) - 1) <= 2.3e-16


@pytest.mark.parametrize("f", [num.erf, num.erfc, num.lgamma, num.digamma, num.trigamma])
def test_shapes_dtypes_and_refusals(f):
    for shape in [(), (0,), (1,), (2, 0, 3), (2, 3)]:
        for dtype in (np.float16, np.float32, np.float64, np.complex64, np.complex128):
            y = f(np.full(shape, 0.5, dtype))
            assert y.shape == shape and y.dtype == dtype
    strided = np.asfortranarray(RNG.uniform(1, 2, size=(4, 5)))[::2, 1:]
    np.testing.assert_array_equal(f(strided), f(strided.copy()))
    with pytest.raises(
        TypeError, match=r"x must hold real or complex floats, got dtype int(32|64)"
    ):
        f(np.arange(3))


AXES = [None, 0, 1, -1, (0, 2)]


@pytest.mark.parametrize(("axis", "keepdims"), list(itertools.product(AXES, [False, True])))
def test_logsumexp_equals_scipy(axis, keepdims):
    a = RNG.normal(size=(3, 4, 5)) * 30
    a[0, 0] = -np.inf
    b = RNG.normal(size=(3, 4, 5)) * (RNG.random(size=(3, 4, 5)) < 0.8)
    for factors in (None, np.abs(b), b, b[0, 0]):
        options = {"axis": axis, "b": factors, "keepdims": keepdims}
        ours = num.logsumexp(a, **options)
        theirs = scipy.special.logsumexp(a, **options)
        np.testing.assert_allclose(ours, theirs, rtol=2e-14)
        ours = num.logsumexp(a, **options, return_sign=True)
        theirs = scipy.special.logsumexp(a, **options, return_sign=True)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.shape == other.shape
            np.testing.assert_allclose(mine, other, rtol=2e-14)


@pytest.mark.parametrize("axis", AXES)
def test_complex_logsumexp_equals_scipy(axis):
    a = RNG.normal(size=(3, 4, 5)) * 5 + 1j * RNG.uniform(-10, 10, size=(3, 4, 5))
    b = RNG.normal(size=(3, 4, 5))
    for factors in (None, b):
        ours = num.logsumexp(a, axis=axis, b=factors)
        np.testing.assert_allclose(
            ours, scipy.special.logsumexp(a, axis=axis, b=factors), rtol=1e-12
        )
        ours = num.logsumexp(a, axis=axis, b=factors, return_sign=True)
        theirs = scipy.special.logsumexp(a, axis=axis, b=factors, return_sign=True)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12)


def test_logsumexp_extremes():
    inf = np.inf
    assert num.logsumexp(np.zeros(0)) == -inf
    assert num.logsumexp(np.zeros((2, 0)), axis=1).tolist() == [-inf, -inf]
    assert num.logsumexp(np.array([-inf, -inf])) == -inf
    assert num.logsumexp(np.array([inf, 0.0, 800.0])) == inf
    assert np.isnan(num.logsumexp(np.array([np.nan, 0.0])))
    assert num.logsumexp(np.float64(3.0)) == 3.0
    assert num.logsumexp(np.array([3.0, 3.0]), b=np.array([1, -1]), return_sign=True) == (-inf, 0)
    assert np.isnan(num.logsumexp(np.array([0.0]), b=np.array([-1.0])))
    # The infinite term has the factor 0.
    assert num.logsumexp(np.array([inf, 1.0]), b=np.array([0.0, 1.0])) == 1.0
    assert abs(num.logsumexp(np.array([0.0, -50.0])) / math.exp(-50) - 1) < 1e-15
    assert num.logsumexp(np.array([1e4, 1e4], np.float32)).dtype == np.float32
    assert num.logsumexp(np.array([1 + 0j], np.complex64)).dtype == np.complex64
    with pytest.raises(TypeError, match="a must hold"):
        num.logsumexp(np.arange(3))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, (2, 3), elements=st.floats(-500, 500)), st.floats(-1e3, 1e3))
def test_logsumexp_shifts_and_differentiates_to_softmax(a, shift):
    value = num.logsumexp(a, axis=1)
    assert np.all(value >= a.max(1)) and np.all(value <= a.max(1) + math.log(3) + 1e-12)
    np.testing.assert_allclose(num.logsumexp(a + shift, axis=1), value + shift, atol=1e-12)
    for i in range(3):
        moved = a.astype(complex)
        moved[:, i] += 1e-30j
        slope = num.logsumexp(moved, axis=1).imag / 1e-30
        np.testing.assert_allclose(slope, np.exp(a[:, i] - value), rtol=1e-12, atol=1e-250)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log1mexp(dtype):
    x = np.concatenate([10.0 ** np.arange(-30, 3), np.linspace(0.5, 1, 21)]).astype(dtype)
    with mpmath.workdps(60):
        exact = [mpmath.log(-mpmath.expm1(-mpmath.mpf(float(v)))) for v in x]
        worst = max(
            abs(float((mpmath.mpf(float(y)) - e) / e)) / (1 + v)
            for y, e, v in zip(num.log1mexp(x), exact, x.astype(float), strict=True)
            if v < 80
        )
    assert worst <= 4 * np.finfo(dtype).eps
    assert num.log1mexp(np.array(0.0)) == -np.inf
    assert num.log1mexp(x).dtype == dtype
    slope = num.log1mexp(x[x > 1e-3].astype(complex) + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(slope, 1 / np.expm1(x[x > 1e-3].astype(float)), rtol=1e-13)


def test_complex_log1p_where_numpy_loses_it():
    z = np.array([1e-20 + 1e-30j, -1e-17 + 1e-3j, -1 + 1e-9 + 1e-12j, 2.5 + 3j, 0.5 + 0j])
    with mpmath.workdps(60):
        exact = [mpmath.log(1 + mpmath.mpc(v)) for v in z]
    np.testing.assert_allclose(_log1p(z).real, [float(e.real) for e in exact], rtol=1e-15)
    np.testing.assert_allclose(_log1p(z).imag, [float(e.imag) for e in exact], rtol=1e-15)


def fraction_sum(x):
    return sum((Fraction(float(v)) for v in x), Fraction(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.sampled_from([np.float32, np.float64]))
def test_kahan_sum_keeps_its_bound(seed, n, dtype):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=n) * 10.0 ** rng.uniform(-4, 4, size=n)).astype(dtype)
    total = num.kahan_sum(x)
    u = Fraction(float(np.finfo(dtype).eps)) / 2
    bound = (2 * u + 4 * n * u**2) * fraction_sum(np.abs(x))
    assert abs(Fraction(float(total)) - fraction_sum(x)) <= bound
    assert np.asarray(total).dtype == dtype


def test_kahan_sum_beats_the_plain_loop_and_keeps_axes():
    x = np.full((3, 20_000), 0.1, np.float32)
    ours = num.kahan_sum(x, axis=1)
    assert ours.shape == (3,) and ours.dtype == np.float32
    exact = float(fraction_sum(x[0]))
    assert np.abs(ours / exact - 1).max() < 1.2e-7 < abs(np.cumsum(x[0])[-1] / exact - 1)
    assert num.kahan_sum(np.ones((2, 3))) == 6
    z = RNG.normal(size=7) + 1j * RNG.normal(size=7)
    np.testing.assert_allclose(num.kahan_sum(z), z.sum(), rtol=1e-15)
    np.testing.assert_array_equal(num.kahan_sum(np.ones((0, 2)), axis=0), [0, 0])
    with pytest.raises(TypeError, match="x must hold"):
        num.kahan_sum(np.arange(3))


@pytest.mark.parametrize(("axis", "ddof"), list(itertools.product([0, 1, -1], [0, 1])))
def test_welford_equals_two_passes(axis, ddof):
    x = RNG.normal(size=(6, 5, 4)) + 3
    mean, variance = num.welford(x, axis=axis, ddof=ddof)
    theirs = torch.var_mean(torch.tensor(x), dim=axis, correction=ddof)
    np.testing.assert_allclose(mean, theirs[1].numpy(), rtol=1e-14)
    np.testing.assert_allclose(variance, theirs[0].numpy(), rtol=1e-13)


def test_welford_where_the_difference_of_squares_cancels():
    x = 1e8 + RNG.normal(size=1000)
    _, variance = num.welford(x)
    exact = np.var(x)
    assert abs(variance / exact - 1) < 1e-9
    assert abs((np.mean(x * x) - np.mean(x) ** 2) / exact - 1) > 0.1
    mean, variance = num.welford(np.ones((1, 2), np.float32))
    assert mean.dtype == variance.dtype == np.float32 and variance.tolist() == [0, 0]


def test_welford_differentiates_by_complex_step():
    x, v = RNG.normal(size=(2, 9))
    _, variance = num.welford(x + 1e-30j * v)
    slope = 2 / 9 * np.sum((x - x.mean()) * v)
    np.testing.assert_allclose(variance.imag / 1e-30, slope, rtol=1e-13)


def test_welford_refuses_too_few_samples():
    with pytest.raises(ValueError, match="more than ddof=1 samples, got 1"):
        num.welford(np.ones(1), ddof=1)
    with pytest.raises(ValueError, match="got 0"):
        num.welford(np.ones((0, 3)))


TORCH_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float8_e5m2": torch.float8_e5m2,
    "float8_e4m3fn": torch.float8_e4m3fn,
}


def numbers_of(name):
    """Every finite non-negative number of a format of at most 16 bits, from torch's bits."""
    dtype = TORCH_DTYPES[name]
    bits = {1: (torch.uint8, 2**8), 2: (torch.int16, 2**15)}[dtype.itemsize]
    pattern = torch.arange(bits[1] if dtype.itemsize == 2 else bits[1] // 2, dtype=bits[0])
    values = pattern.view(dtype).double().numpy()
    return np.unique(values[np.isfinite(values)])


@pytest.mark.parametrize("name", [n for n in TORCH_DTYPES if n != "float32"])
def test_round_to_is_exact_at_every_number_tie_and_neighbour(name):
    """From float64, against the nearest of all numbers of the format, ties to the even one."""
    grid = numbers_of(name)
    fmt = num.FORMATS[name]
    assert grid.max() == fmt.maximum and len(grid) > 100
    np.testing.assert_array_equal(num.round_to(grid, name), grid)
    np.testing.assert_array_equal(num.round_to(-grid, name), -grid)
    ties = (grid[1:] + grid[:-1]) / 2
    lower, upper = (
        num.round_to(np.nextafter(ties, 0), name),
        num.round_to(np.nextafter(ties, np.inf), name),
    )
    np.testing.assert_array_equal(lower, grid[:-1])
    np.testing.assert_array_equal(upper, grid[1:])
    even = np.where(np.arange(len(ties)) % 2 == 0, grid[:-1], grid[1:])
    np.testing.assert_array_equal(num.round_to(ties, name), even)


@pytest.mark.parametrize("name", TORCH_DTYPES)
def test_round_to_equals_a_cast_in_torch(name):
    x = np.concatenate(
        [
            RNG.normal(size=2000) * 10.0 ** RNG.uniform(-45, 38, size=2000),
            RNG.normal(size=2000) * 10.0 ** RNG.uniform(-8, 6, size=2000),
            [0.0, -0.0, np.inf, -np.inf, np.nan, 448, 464, 464.01, 480, 57344, 61440, 65504, 65520],
        ]
    ).astype(np.float32)
    theirs = torch.tensor(x).to(TORCH_DTYPES[name]).float().numpy()
    ours = num.round_to(x, name, saturate=name == "float8_e4m3fn")
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)
    number = ~np.isnan(x)
    np.testing.assert_array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))


def test_overflow():
    """Without saturation e4m3fn gives NaN, as ml_dtypes 0.6.0 and the OCP's FP8 standard do."""
    x = np.array([448, 464, 464.01, 480, 1e30, np.inf, -np.inf, -464.01, np.nan])
    nan = np.nan
    ours = num.round_to(x, "float8_e4m3fn")
    np.testing.assert_array_equal(ours, [448, 448, nan, nan, nan, nan, nan, nan, nan])
    x = np.array([57344, 61439.9, 61440, np.inf, -61440, nan])
    ours = num.round_to(x, "float8_e5m2")
    np.testing.assert_array_equal(ours, [57344, 57344, np.inf, np.inf, -np.inf, nan])
    ours = num.round_to(x, "float8_e5m2", saturate=True)
    np.testing.assert_array_equal(ours, [57344, 57344, 57344, 57344, -57344, nan])


def test_round_to_rounds_once():
    """By way of float32, this number would land on a tie and go up."""
    x = 1 + 2.0**-8 - 2.0**-40
    assert num.round_to(x, "bfloat16") == 1.0
    assert num.round_to(np.float64(np.float32(x)), "bfloat16") == 1.0  # the tie goes to even
    x = 1 + 3 * 2.0**-8 - 2.0**-40
    assert num.round_to(x, "bfloat16") == 1 + 2.0**-7
    assert num.round_to(np.float64(np.float32(x)), "bfloat16") == 1 + 2.0**-6


def test_float32_and_tf32():
    x = RNG.normal(size=3000) * 10.0 ** RNG.uniform(-48, 40, size=3000)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(num.round_to(x, "float32"), x.astype(np.float32))
    # tf32 has the fraction of float16 and the range of float32.
    middle = RNG.normal(size=3000) * 10.0 ** RNG.uniform(-1, 3, size=3000)
    middle = middle[np.abs(middle) > 2.0**-14]
    np.testing.assert_array_equal(
        num.round_to(middle, "tf32"), middle.astype(np.float16).astype(np.float64)
    )
    assert num.round_to(np.array(1e30), "tf32") == pytest.approx(1e30, rel=2**-11)
    assert num.round_to(np.array(3.4e38), "tf32") < np.inf
    assert num.round_to(np.array(3.4028235e38), "tf32") == np.inf
    step = 2.0**-136
    np.testing.assert_array_equal(
        num.round_to(np.array([0.5, 0.51, 1.5, 2.5]) * step, "tf32"), np.array([0, 1, 2, 2]) * step
    )


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float64, 4, elements=st.floats(allow_nan=False, width=64)),
    st.sampled_from(list(num.FORMATS)),
)
def test_rounding_is_idempotent_odd_and_monotone(x, name):
    y = num.round_to(x, name)
    np.testing.assert_array_equal(num.round_to(y, name), y)
    np.testing.assert_array_equal(num.round_to(-x, name), -y)
    finite = np.sort(x)[np.isfinite(num.round_to(np.sort(x), name))]
    assert np.all(np.diff(num.round_to(finite, name)) >= 0)
    within = np.abs(x) <= num.FORMATS[name].maximum
    assert np.all(np.abs(y[within] - x[within]) <= num.ulp(x[within], name) / 2)


def test_round_to_shapes_and_refusals():
    assert num.round_to(0.1, "bfloat16") == 0.10009765625
    assert num.round_to(np.ones((2, 0), np.float32), "float16").shape == (2, 0)
    with pytest.raises(TypeError, match="real floats, got dtype complex128"):
        num.round_to(np.ones(2, complex), "bfloat16")
    with pytest.raises(TypeError, match=r"got dtype int(32|64)"):
        num.round_to(np.arange(3), "bfloat16")
    with pytest.raises(ValueError, match="format must be one of float32, tf32"):
        num.round_to(np.ones(2), "fp16")


def test_ulp_equals_math_and_numpy():
    x = np.concatenate([BOTH_SIGNS, [0.0, 1.0, -1.0, 5e-324, 1.7976931348623157e308, np.inf]])
    np.testing.assert_array_equal(num.ulp(x), [math.ulp(v) for v in x])
    assert np.isnan(num.ulp(np.nan))
    for dtype in (np.float16, np.float32):
        y = RNG.normal(size=100).astype(dtype)
        assert num.ulp(y).dtype == dtype
        np.testing.assert_array_equal(num.ulp(y), np.spacing(np.abs(y)))


@pytest.mark.parametrize("name", [n for n in TORCH_DTYPES if n != "float32"])
def test_ulp_is_the_gap_between_the_numbers_of_a_format(name):
    grid = numbers_of(name)
    np.testing.assert_array_equal(num.ulp(grid[:-1], name), np.diff(grid))
    assert num.ulp(0.0, name) == grid[1]
    with pytest.raises(ValueError, match="format must be one of"):
        num.ulp(1.0, "float128")


def test_formats_are_those_of_torch():
    for name, dtype in TORCH_DTYPES.items():
        bits, lowest, maximum, _ = num.FORMATS[name]
        info = torch.finfo(dtype)
        assert (2.0**-bits, 2.0**lowest, maximum) == (info.eps, info.tiny, info.max)
    assert num.round_to(3.4028236e38, "float32") == np.inf
    assert num.FORMATS["tf32"].maximum == num.round_to(1e39, "tf32", saturate=True)
    assert num.FORMATS["tf32"].maximum + num.ulp(3.4e38, "tf32") == 2.0**128

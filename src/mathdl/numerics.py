"""Special functions, sums and roundings that NumPy lacks, right to the last few bits.

The special functions are computed in float64 whatever the precision asked for, and rounded once.
Their approximations were fitted for this module (rational, near-minimax, with 60-digit arithmetic)
and are below 1e-17 in relative error before rounding.

A complex argument ``x + iy`` follows the rule ``f(x) + i y f'(x)``, the first two terms of the
Taylor series in ``y``: exactly what a complex step needs, and not the analytic continuation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mathdl._arrays import inexact, real

Array = np.ndarray

__all__ = [
    "FORMATS",
    "Format",
    "digamma",
    "erf",
    "erfc",
    "kahan_sum",
    "lgamma",
    "log1mexp",
    "logsumexp",
    "round_to",
    "trigamma",
    "ulp",
    "welford",
]

# erf(x) / x as a polynomial in x**2, for |x| < 1; lowest power first, here and below.
_ERF = (
    1.1283791670955126,
    -0.3761263890318352,
    0.11283791670944171,
    -0.02686617064310943,
    0.005223977606102368,
    -0.0008548325928571797,
    0.00012055293555520871,
    -1.492471190629812e-05,
    1.6447126861723718e-06,
    -1.620627892527131e-07,
    1.3710834699671141e-08,
    -7.779205162694359e-10,
)
# exp(x**2) erfc(x) as a rational function of x, for 0 <= x <= 27.3.
_ERFC_P = (
    1.0,
    2.341697487195403,
    2.718389408695719,
    2.0214106970331542,
    1.056353068988426,
    0.40353181277656747,
    0.11396643630060442,
    0.023526565543321012,
    0.003410479819596544,
    0.00031572153407602275,
    1.4349651575610459e-05,
)
_ERFC_Q = (
    1.0,
    3.470076654290916,
    5.63395161362207,
    5.6608204500415304,
    3.92032812314217,
    1.970346481994361,
    0.7358115927944865,
    0.2050099907892699,
    0.04197955262358361,
    0.006057635137204121,
    0.0005596018488878132,
    2.5434095194337243e-05,
)
# lgamma(1 + z) / (z (z - 1)) as a rational function of z, for -1/4 <= z <= 2: taking both roots
# out leaves nothing to cancel.
_LGAMMA_P = (
    0.5772156649015329,
    1.9254932181116782,
    2.5426503616841467,
    1.691843393832962,
    0.597488725129523,
    0.10811193981193983,
    0.008820622988143638,
    0.0002349599658055725,
    4.4106613832278217e-07,
)
_LGAMMA_Q = (
    1.0,
    3.7607166933083245,
    5.733622998683429,
    4.553973055319243,
    2.016490464011776,
    0.4945392142850637,
    0.06275969310503411,
    0.0035143068523076026,
    5.867367027741958e-05,
)
# digamma(1 + z) / (1 + z - root) as a rational function of z, for 0 <= z <= 1. The positive root
# is the sum of the two numbers, so that the difference keeps its digits next to it.
_DIGAMMA_P = (
    1.2503801375034054,
    1.8699988902590743,
    0.9743330789195688,
    0.21767877120433932,
    0.020179045175679592,
    0.0005911994409429077,
    1.1202691448940733e-06,
)
_DIGAMMA_Q = (
    1.0,
    2.179091117283076,
    1.6669486776074176,
    0.5736275716864835,
    0.09182370925108523,
    0.006176411131449603,
    0.0001227159390997033,
)
_DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)
# B(2k), k = 1, 2, ...: the asymptotic series below are made of them.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule, in place; lowest power first."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += c
    return y


_CHUNK = 8192  # entries at a time, so that the polynomials run in the cache


def _special(
    x: Any, f: Callable[[Array], Array], derivative: Callable[[Array], Array], name: str = "x"
) -> Array:
    """Apply `f` in float64 and keep the dtype; a complex `x` gives f(x) + i y f'(x)."""
    x = inexact(x, name)
    flat = x.ravel()  # one axis, so that `f` may assign through masks
    out = np.empty_like(flat)
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        wide = flat.real[part].astype(np.float64)
        out.real[part] = f(wide)
        if x.dtype.kind == "c":
            out.imag[part] = flat.imag[part] * derivative(wide)
    return out.reshape(x.shape)[()]


def _log1p(z: Array) -> Array:
    """Return log(1 + z), accurate for small and for complex `z` (Re z >= -1); NumPy's is not.

    For complex z the modulus is |1 + z|^2 = (1 + a)^2 (1 + (b / (1 + a))^2).
    """
    if z.dtype.kind != "c":
        return np.log1p(z)
    out = np.empty_like(z)
    a = z.real
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(a == -1, 0, z.imag / (1 + a))
    out.real = np.log1p(a) + np.log1p(ratio * ratio) / 2
    out.imag = np.arctan2(z.imag, 1 + a)
    return out


def _log_sum_exp(
    x: Array, axis: int | tuple[int, ...] | None, b: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return (shift, log |total|, total) with sum(b exp(x)) = exp(shift) total, axes kept.

    For complex `x` the second is the principal log(total). The largest terms are summed apart from
    the rest: where they dominate, log(1 + rest/largest) keeps what log(largest + rest) would round
    away.
    """
    if b is not None:
        x = np.where(b == 0, -np.inf, x).astype(x.dtype)
    top = np.max(x.real, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0).astype(x.real.dtype)
    with np.errstate(over="ignore"):
        terms = np.exp(x - shift)
    if b is not None:
        terms = b * terms
    largest = x.real == top
    peak = np.sum(np.where(largest, terms, 0), axis=axis, keepdims=True)
    rest = np.sum(np.where(largest, 0, terms), axis=axis, keepdims=True)
    total = peak + rest
    with np.errstate(divide="ignore", invalid="ignore"):
        dominant = np.abs(rest) <= np.abs(peak) / 2  # only chooses between two forms of one value
        ratio = np.where(dominant & np.isfinite(peak) & (peak != 0), rest / peak, 0)
        log = np.log(np.abs(np.where(dominant, peak, total))) + _log1p(ratio).real
    if x.dtype.kind == "c":
        log = log + 1j * np.arctan2(total.imag, total.real)
    return shift, log, total


def _erfc_right(x: Array) -> Array:
    """Return erfc(x) for x >= 0; beyond 27.3 it underflows.

    The exponent is split, x**2 = h**2 + (x - h)(x + h) with h**2 exact: rounding x**2 = 676 alone
    would cost 300 ulp.
    """
    x = np.minimum(x, 27.3)
    h = x.astype(np.float32).astype(np.float64)
    gauss = np.exp(-h * h) * np.exp((h - x) * (h + x))
    return gauss * (_polynomial(_ERFC_P, x) / _polynomial(_ERFC_Q, x))


def _erf(x: Array) -> Array:
    large = np.abs(x) >= 1
    centre = np.where(large, 0.0, x)
    out = centre * _polynomial(_ERF, centre * centre)
    tail = x[large]
    out[large] = np.copysign(1 - _erfc_right(np.abs(tail)), tail)
    return out


def _erfc(x: Array) -> Array:
    # Masks that the processor cannot predict cost more than arithmetic: erfc(-x) = 2 - erfc(x).
    return 2.0 * np.signbit(x) + np.copysign(_erfc_right(np.abs(x)), x)


def _erf_derivative(x: Array) -> Array:
    return 2 / math.sqrt(math.pi) * np.exp(-x * x)


def erf(x: Array) -> Array:
    r"""Error function.

    .. math:: \operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} \, dt

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        A complex ``x + iy`` gives ``erf(x) + i y erf'(x)``.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    References
    ----------
    NIST Digital Library of Mathematical Functions, §7.2. SciPy calls it `scipy.special.erf`.

    Examples
    --------
    >>> float(erf(0.5))
    0.5204998778130465
    """
    return _special(x, _erf, _erf_derivative)


def erfc(x: Array) -> Array:
    r"""Complement of the error function, :math:`1 - \operatorname{erf} x`, accurate in its tail.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        A complex ``x + iy`` gives ``erfc(x) + i y erfc'(x)``.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    References
    ----------
    NIST Digital Library of Mathematical Functions, §7.2. SciPy calls it `scipy.special.erfc`.

    Examples
    --------
    >>> bool(erfc(6.0) > 0), float(1 - erf(6.0))
    (True, 0.0)
    """
    return _special(x, _erfc, lambda t: -_erf_derivative(t))


def _lgamma(x: Array) -> Array:
    """Stirling's series from 8 on, the recurrence below, the reflection up to -1/4."""
    out = np.full_like(x, np.nan)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        far = x >= 8
        out[far] = _stirling(x[far])
        middle = (x >= 0.75) & ~far
        out[middle] = _lgamma_middle(x[middle])
        near = (x > -0.25) & (x < 0.75)
        out[near] = _lgamma_core(x[near]) - np.log(np.abs(x[near]))
        left = x <= -0.25
        a = -x[left]
        sine = np.sin(np.pi * np.abs(a - np.rint(a)))
        out[left] = np.log(np.pi / (a * sine)) - _lgamma(a) if a.size else a
        out[np.isinf(x)] = np.inf
    return out


def _lgamma_core(z: Array) -> Array:
    """Return lgamma(1 + z) for -1/4 <= z <= 2; it is zero at z = 0 and z = 1 exactly."""
    return z * (z - 1) * (_polynomial(_LGAMMA_P, z) / _polynomial(_LGAMMA_Q, z))


def _lgamma_middle(x: Array) -> Array:
    product = np.ones_like(x)
    for _ in range(5):  # 8 > x -> x < 3
        large = x >= 3
        x = np.where(large, x - 1, x)
        product = np.where(large, product * x, product)
    return _lgamma_core(x - 1) + np.log(product)


def _stirling(x: Array) -> Array:
    coefficients = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1)]
    series = _polynomial(coefficients, 1 / (x * x)) / x
    return (x - 0.5) * (np.log(x) - 1) + (0.5 * math.log(2 * math.pi) - 0.5 + series)


def _digamma(x: Array) -> Array:
    """Asymptotic series from 10 on, the recurrence down to [1, 2], the reflection below 0."""
    out = np.full_like(x, np.nan)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = x >= 10
        y = x[far]
        coefficients = [b / (2 * k) for k, b in enumerate(_BERNOULLI, start=1)]
        square = 1 / (y * y)
        out[far] = np.log(y) - 0.5 / y - square * _polynomial(coefficients, square)
        near = (x >= 0) & ~far
        y = x[near]
        small = y < 1
        total = np.where(small, -1 / y, 0)
        y = np.where(small, y + 1, y)
        for _ in range(8):  # 10 > y -> y < 2
            large = y >= 2
            y = np.where(large, y - 1, y)
            total = np.where(large, total + 1 / y, total)
        difference = (y - _DIGAMMA_ROOT[0]) - _DIGAMMA_ROOT[1]
        ratio = _polynomial(_DIGAMMA_P, y - 1) / _polynomial(_DIGAMMA_Q, y - 1)
        out[near] = difference * ratio + total
        left = x < 0
        y = x[left]
        tangent = np.tan(np.pi * (y - np.rint(y)))
        pole = np.where(tangent == 0, np.nan, np.pi / tangent)
        out[left] = _digamma(1 - y) - pole if y.size else y
    return out


def _hurwitz(s: int, x: Array) -> Array:
    """Return Hurwitz' zeta(s, x) for x > 0: ten terms, and Euler and Maclaurin's remainder."""
    a = x + 10
    square = 1 / (a * a)
    rising = [math.prod(range(s, s + 2 * k - 1)) for k in range(1, len(_BERNOULLI) + 1)]
    coefficients = [
        b * r / math.factorial(2 * k)
        for k, (b, r) in enumerate(zip(_BERNOULLI, rising, strict=True), start=1)
    ]
    total = (1 / (s - 1) + (0.5 + _polynomial(coefficients, square) / a) / a) / a ** (s - 1)
    for k in range(9, -1, -1):
        total += 1 / (x + k) ** s
    return total


def _trigamma(x: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        left = x < 0
        sine = np.sin(np.pi * (x - np.rint(x)))
        value = _hurwitz(2, np.where(left, 1 - x, x))
        return np.where(left, (np.pi / sine) ** 2 - value, value)


def _tetragamma(x: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        left = x < 0
        angle = np.pi * (x - np.rint(x))
        value = -2 * _hurwitz(3, np.where(left, 1 - x, x))
        pole = 2 * np.pi**3 * np.cos(angle) / np.sin(angle) ** 3
        return np.where(left, value - pole, value)


def lgamma(x: Array) -> Array:
    r"""Logarithm of the absolute value of the gamma function.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        A complex ``x + iy`` gives ``lgamma(x) + i y digamma(x)``, and not the analytic
        continuation.

    Returns
    -------
    ndarray of the shape and dtype of `x`; infinite at 0, -1, -2, ...

    Notes
    -----
    A few ulp of the result for positive `x`, next to the roots 1 and 2 as well; next to the roots
    among the negative numbers the error is a few ulp of the terms that cancel.

    References
    ----------
    NIST Digital Library of Mathematical Functions, §5.5 (recurrence, reflection) and 5.11.1
    (Stirling's series). SciPy calls it `scipy.special.gammaln`.

    Examples
    --------
    >>> float(np.exp(lgamma(6.0)).round(9)), float(lgamma(2.0))
    (120.0, 0.0)
    """
    return _special(x, _lgamma, _digamma)


def digamma(x: Array) -> Array:
    r"""Logarithmic derivative of the gamma function, :math:`\psi(x) = \Gamma'(x) / \Gamma(x)`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        A complex ``x + iy`` gives ``digamma(x) + i y trigamma(x)``.

    Returns
    -------
    ndarray of the shape and dtype of `x`; NaN at -1, -2, ... and -inf at 0

    Notes
    -----
    A few ulp of the result for positive `x`, next to its root 1.4616 as well; next to the roots
    among the negative numbers the error is a few ulp of the terms that cancel.

    References
    ----------
    NIST Digital Library of Mathematical Functions, §5.5 and 5.11.2. SciPy calls it
    `scipy.special.digamma`.

    Examples
    --------
    >>> float(digamma(2.0) - digamma(1.0))
    1.0
    """
    return _special(x, _digamma, _trigamma)


def trigamma(x: Array) -> Array:
    r"""First derivative of `digamma`, :math:`\psi'(x) = \sum_{k \ge 0} (x + k)^{-2}`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        A complex ``x + iy`` gives ``trigamma(x) + i y trigamma'(x)``.

    Returns
    -------
    ndarray of the shape and dtype of `x`; infinite at 0, -1, -2, ...

    References
    ----------
    NIST Digital Library of Mathematical Functions, §5.15. SciPy calls it
    ``scipy.special.polygamma(1, x)``.

    Examples
    --------
    >>> bool(np.isclose(trigamma(1.0), np.pi**2 / 6, rtol=1e-15))
    True
    """
    return _special(x, _trigamma, _tetragamma)


def logsumexp(
    a: Array,
    axis: int | tuple[int, ...] | None = None,
    b: Array | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    r"""Logarithm of a sum of exponentials, :math:`\log \sum_i b_i e^{a_i}`, without overflow.

    Parameters
    ----------
    a : ndarray, real or complex
    axis : int, tuple of ints or None
        What is summed; everything for None.
    b : ndarray that broadcasts with `a`, optional
        Factors, which may be negative or zero; of any dtype.
    keepdims : bool
    return_sign : bool
        Whether to return the pair (log of the absolute value, sign).

    Returns
    -------
    ndarray of the shape of `a` without `axis`
        For real `a` whose sum is negative NaN, unless `return_sign`; for complex `a` the principal
        logarithm. The sum over nothing is :math:`-\infty`.
    sign : ndarray of the same shape, only if `return_sign`
        1, 0 or -1, and for complex `a` a number on the unit circle, or 0.

    Notes
    -----
    The largest term is summed apart and the others enter through log(1 + rest): where that term
    dominates, what the others add is not rounded away.

    References
    ----------
    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
    2021. The interface is that of `scipy.special.logsumexp`.

    Examples
    --------
    >>> float(logsumexp(np.array([1000.0, 1000.0])) - 1000.0)
    0.693147180559...
    >>> logsumexp(np.array([3.0, 3.0]), b=np.array([1, -2]), return_sign=True)
    (np.float64(3.0), np.float64(-1.0))
    """
    a = inexact(a, "a")
    if b is not None:
        b = np.asarray(b)
        b = b.astype(a.real.dtype) if b.dtype.kind in "iub" else inexact(b, "b")
        a, b = np.broadcast_arrays(a, b)
        a = a.astype(np.result_type(a, b), copy=False)
    shift, log, total = _log_sum_exp(a, axis, b)
    value = shift + log
    squeeze = tuple(range(a.ndim)) if axis is None else axis
    if not keepdims:
        value, total = np.squeeze(value, axis=squeeze), np.squeeze(total, axis=squeeze)
    if value.dtype.kind == "c":
        sign = np.where(total == 0, 0, np.exp(1j * value.imag))
        return (value.real[()], sign[()]) if return_sign else value[()]
    if return_sign:
        return value[()], np.sign(total)[()]
    return np.where(total < 0, np.nan, value)[()]


def log1mexp(x: Array) -> Array:
    r"""Return :math:`\log(1 - e^{-x})` for positive `x`, accurate for small and for large ones.

    Parameters
    ----------
    x : ndarray of any shape, real or complex, with positive real parts

    Returns
    -------
    ndarray of the shape and dtype of `x`; -inf at 0, NaN for negative `x`

    Notes
    -----
    Up to log 2 through expm1, beyond through log1p: each where the other loses digits.

    References
    ----------
    Mächler, "Accurately computing log(1 - exp(-|a|))", 2012, equation 7.

    Examples
    --------
    >>> log1mexp(np.array([1e-20, 50.0]))
    array([-4.60517019e+01, -1.92874985e-22])
    """
    x = inexact(x)
    small = x.real <= math.log(2)
    with np.errstate(divide="ignore"):
        low = np.log(-np.expm1(-np.where(small, x, 1)))
    return np.where(small, low, _log1p(-np.exp(-np.where(small, 1, x))))[()]


def kahan_sum(x: Array, axis: int | None = None) -> Array:
    r"""Compensated sum, one term after the other, in the precision of `x`.

    Parameters
    ----------
    x : ndarray of finite numbers, real or complex
    axis : int or None
        What is summed; everything, in the order of memory layout C, for None.

    Returns
    -------
    ndarray of the shape of `x` without `axis`, of its dtype

    Notes
    -----
    The error is at most :math:`(2u + O(n u^2)) \sum |x_i|` with u the unit roundoff, whatever the
    number n of terms; that of the plain loop grows like :math:`n u`. Where the sum cancels, that
    bound may still be larger than the sum.

    References
    ----------
    Kahan, "Further remarks on reducing truncation errors", 1965. Higham, *Accuracy and Stability
    of Numerical Algorithms*, 2002, algorithm 4.2 and equation 4.8.

    Examples
    --------
    >>> x = np.full(10_000, 0.1, dtype=np.float32)
    >>> float(kahan_sum(x)), float(np.cumsum(x)[-1])
    (1000.0, 999.9028930664062)
    """
    x = inexact(x)
    terms = x.ravel() if axis is None else np.moveaxis(x, axis, 0)
    total = np.zeros(terms.shape[1:], x.dtype)[()]
    lost = total  # what the last addition rounded away, with the opposite sign
    for term in terms:
        corrected = term - lost
        new = total + corrected
        lost = (new - total) - corrected
        total = new
    return total


def welford(x: Array, axis: int = 0, ddof: int = 0) -> tuple[Array, Array]:
    r"""Mean and variance in one pass over the data, without the cancellation of E[x²] - E[x]².

    Parameters
    ----------
    x : ndarray, real or complex
    axis : int
        The samples.
    ddof : int
        The sum of squares is divided by n - ddof: 0 for the mean square, 1 for the unbiased
        estimate.

    Returns
    -------
    mean, variance : ndarray of the shape of `x` without `axis`, of its dtype
        For complex `x` the variance is its analytic extension, without a conjugate.

    Raises
    ------
    ValueError
        If there are not more than `ddof` samples.

    References
    ----------
    Welford, "Note on a method for calculating corrected sums of squares and products", 1962.

    Examples
    --------
    >>> mean, variance = welford(1e9 + np.array([4.0, 7.0, 13.0, 16.0]), ddof=1)
    >>> float(mean - 1e9), float(variance)
    (10.0, 30.0)
    """
    samples = np.moveaxis(inexact(x), axis, 0)
    if len(samples) <= ddof:
        raise ValueError(f"need more than ddof={ddof} samples, got {len(samples)}")
    mean = np.zeros(samples.shape[1:], samples.dtype)[()]
    squares = mean
    for n, sample in enumerate(samples, start=1):
        delta = sample - mean
        mean = mean + delta / n
        squares = squares + delta * (sample - mean)
    return mean, squares / (len(samples) - ddof)


class Format(NamedTuple):
    """A binary floating-point format.

    Attributes
    ----------
    fraction_bits : int
        Stored bits of the significand, without the leading 1.
    min_exponent : int
        Exponent of the smallest normal number, ``2**min_exponent``.
    maximum : float
        The largest finite number.
    overflow : float
        What lies beyond it.
    """

    fraction_bits: int
    min_exponent: int
    maximum: float
    overflow: float


#: The formats of `round_to` and `ulp`.
FORMATS = {
    "float32": Format(23, -126, (2 - 2.0**-23) * 2.0**127, math.inf),
    "tf32": Format(10, -126, (2 - 2.0**-10) * 2.0**127, math.inf),
    "bfloat16": Format(7, -126, (2 - 2.0**-7) * 2.0**127, math.inf),
    "float16": Format(10, -14, 65504.0, math.inf),
    "float8_e5m2": Format(2, -14, 57344.0, math.inf),
    "float8_e4m3fn": Format(3, -6, 448.0, math.nan),
}


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def ulp(x: Array, format: str | None = None) -> Array:
    """Gap between `x` and the next number of larger magnitude: one unit in the last place.

    Parameters
    ----------
    x : ndarray of real floats
    format : str, optional
        A name in `FORMATS`; by default the dtype of `x`.

    Returns
    -------
    ndarray of the shape and dtype of `x`, positive; inf at ±inf

    Raises
    ------
    TypeError
        If `x` is not real and floating.
    ValueError
        If the format is unknown.

    Examples
    --------
    >>> float(ulp(1.0)), float(ulp(np.float32(1.0)))
    (2.220446049250313e-16, 1.1920928955078125e-07)
    >>> ulp(np.array([1.0, 300.0]), "bfloat16")
    array([0.0078125, 2.       ])
    """
    x = real(x)
    if format is None:
        bits, lowest = np.finfo(x.dtype).nmant, np.finfo(x.dtype).minexp
    else:
        bits, lowest, *_ = _format(format)
    finite = np.isfinite(x)
    exponent = np.frexp(np.where(finite, x, 1))[1] - 1
    exponent = np.where(x == 0, lowest, np.maximum(exponent, lowest))
    gap = np.ldexp(np.ones_like(x), exponent - bits)
    return np.where(finite, gap, np.abs(x))[()]


def round_to(x: Array, format: str, saturate: bool = False) -> Array:
    """Round to the nearest number of a narrower format, ties to even, as the hardware does.

    Parameters
    ----------
    x : ndarray of real floats
    format : str
        A name in `FORMATS`: "float32", "tf32", "bfloat16", "float16", "float8_e5m2" or
        "float8_e4m3fn".
    saturate : bool
        Whether what lies beyond the largest number, ±inf included, becomes that number. Casts to
        "float8_e4m3fn" do so in torch, and do not in ml_dtypes.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        Numbers of the format, subnormal ones included. Beyond the largest one ±inf, or NaN in
        "float8_e4m3fn", which has no infinity, unless `saturate`.

    Raises
    ------
    TypeError
        If `x` is not real and floating: rounding has no derivative.
    ValueError
        If the format is unknown.

    Notes
    -----
    The significand is rounded as an integer: half a unit less one bit is added, one more where the
    unit's bit is odd, and the bits below the unit are cut off. It is rounded once, from float64,
    and not by way of float32, which would round ties twice.

    References
    ----------
    IEEE 754-2019, section 4.3.1. Micikevicius et al., "FP8 formats for deep learning", 2022.

    Examples
    --------
    >>> round_to(np.array([0.1, 1 / 3, 70000.0]), "float16")
    array([0.09997559, 0.33325195,        inf])
    >>> round_to(np.array([0.1, 17.0, 460.0, 470.0]), "float8_e4m3fn")
    array([1.015625e-01, 1.600000e+01, 4.480000e+02,          nan])
    """
    x = real(x)
    fraction_bits, lowest, maximum, overflow = _format(format)
    magnitude = np.abs(x.astype(np.float64))
    bits = magnitude.view(np.uint64)
    exponent = (bits >> np.uint64(52)).astype(np.int64) - 1023
    significand = bits & np.uint64(2**52 - 1) | np.uint64(2**52)
    # One bit is dropped more for every power of two below the normal numbers.
    drop = 52 - fraction_bits + np.maximum(lowest - exponent, 0)
    drop = np.minimum(drop, 54).astype(np.uint64)
    one = np.uint64(1)
    odd = (significand >> drop) & one
    significand = (significand + ((one << (drop - one)) - one) + odd) >> drop << drop
    # Exponent 1024 marks inf and NaN, which are kept.
    finite = np.isfinite(magnitude)
    with np.errstate(over="ignore"):
        rounded = np.ldexp(significand.astype(np.float64), np.where(finite, exponent - 52, 0))
    beyond = ~finite | (rounded > maximum)
    rounded = np.where(beyond, maximum if saturate else overflow, rounded)
    rounded = np.where(np.isnan(magnitude), np.nan, rounded)
    with np.errstate(over="ignore"):
        return np.copysign(rounded, x).astype(x.dtype)[()]

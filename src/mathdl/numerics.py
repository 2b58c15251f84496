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
from typing import Any

import numpy as np

from mathdl._arrays import inexact

Array = np.ndarray

__all__ = ["erf", "erfc"]

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
# x exp(x**2) erfc(x) as a rational function of 1/x, for 1/2 <= x <= 28.
_ERFC_P = (
    0.5641895835475984,
    9.613848458010088,
    82.51787984038118,
    455.30952387999196,
    1757.3990835566485,
    4889.35103458035,
    9786.210422834778,
    13620.321170519263,
    12055.360249486068,
    5262.773531258075,
    1.8588566813296674e-07,
)
_ERFC_Q = (
    1.0,
    17.040102721377018,
    146.75913389493354,
    815.5351701699466,
    3187.5383445787256,
    9061.136480908075,
    18831.182786519395,
    28092.236729313754,
    28661.336467349844,
    17993.76424216497,
    5262.773534376172,
)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule, in place; lowest power first."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += c
    return y


def _special(
    x: Any, f: Callable[[Array], Array], derivative: Callable[[Array], Array], name: str = "x"
) -> Array:
    """Apply `f` in float64 and keep the dtype; a complex `x` gives f(x) + i y f'(x)."""
    x = inexact(x, name)
    wide = np.ravel(x.real).astype(np.float64)  # one axis, so that `f` may assign through masks
    value = f(wide)
    if x.dtype.kind == "c":
        value = value.astype(np.complex128)
        value.imag = np.ravel(x.imag) * derivative(wide)
    return value.astype(x.dtype).reshape(x.shape)[()]


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


def _erfc_tail(x: Array) -> Array:
    """Return erfc(x) for x >= 1/2.

    The exponent is split, x**2 = h**2 + (x - h)(x + h) with h**2 exact: rounding x**2 = 676 alone
    would cost 300 ulp.
    """
    x = np.minimum(x, 30.0)
    t = 1 / x
    h = x.astype(np.float32).astype(np.float64)
    gauss = np.exp(-h * h) * np.exp(-(x - h) * (x + h))
    return gauss * (_polynomial(_ERFC_P, t) / _polynomial(_ERFC_Q, t)) * t


def _erf(x: Array) -> Array:
    large = np.abs(x) >= 1
    centre = np.where(large, 0.0, x)
    out = centre * _polynomial(_ERF, centre * centre)
    tail = x[large]
    out[large] = np.copysign(1 - _erfc_tail(np.abs(tail)), tail)
    return out


def _erfc(x: Array) -> Array:
    large = np.abs(x) >= 0.5
    centre = np.where(large, 0.0, x)
    out = 1 - centre * _polynomial(_ERF, centre * centre)
    tail = x[large]
    value = _erfc_tail(np.abs(tail))
    out[large] = np.where(tail > 0, value, 2 - value)
    return out


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

"""Activation functions, each as a pair: ``relu(x)`` and ``relu_vjp(x, dy)``.

``f_vjp(x, dy)`` is the gradient with respect to `x` of a scalar loss whose gradient with respect
to ``f(x)`` is `dy`. Names and defaults are those of `torch.nn.functional` (``axis`` for ``dim``),
and so is the slope at a kink. Functions and slopes keep their relative accuracy in both tails and
neither overflow nor lose the dtype; all of them are analytic in `x`, so that a complex step
differentiates the function, and its VJP once more.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mathdl._arrays import cotangent, inexact
from mathdl.numerics import _log1p, _log_sum_exp, erfc

Array = np.ndarray
Axis = int | tuple[int, ...]

__all__ = [
    "elu",
    "elu_vjp",
    "gelu",
    "gelu_vjp",
    "leaky_relu",
    "leaky_relu_vjp",
    "log_softmax",
    "log_softmax_vjp",
    "relu",
    "relu_vjp",
    "sigmoid",
    "sigmoid_vjp",
    "silu",
    "silu_vjp",
    "softmax",
    "softmax_vjp",
    "softplus",
    "softplus_vjp",
    "tanh",
    "tanh_vjp",
]


def _pair(x: Array, dy: Array) -> tuple[Array, Array]:
    """Return the checked input and cotangent of an elementwise function."""
    x = inexact(x)
    return x, cotangent(dy, x.shape, x)


# An unpredictable mask in np.where costs ten times the arithmetic that avoids it, hence the forms
# below; complex numbers, which are not ordered, keep np.where.


def _negative_part(x: Array) -> Array:
    """Return min(x, 0), by the real part."""
    return np.where(x.real < 0, x, 0) if x.dtype.kind == "c" else np.minimum(x, 0)


def _decay(x: Array) -> Array:
    """Return exp(-|x|), with the sign taken from the real part."""
    return np.exp(np.where(x.real >= 0, -x, x) if x.dtype.kind == "c" else -np.abs(x))


def _step(x: Array, left: float) -> Array:
    """Return 1 where x > 0, else `left`, in the precision of `x`."""
    positive = x.real > 0
    return positive + np.multiply(~positive, left, dtype=x.real.dtype)


def _gate(x: Array, g: Array) -> Array:
    """Return x * g, with 0 where the gate is closed: at -inf as well."""
    return np.where(g == 0, 0, x) * g


def sigmoid(x: Array) -> Array:
    r"""Logistic function :math:`\sigma(x) = 1 / (1 + e^{-x})`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Notes
    -----
    Computed from :math:`e^{-|x|}`, which cannot overflow, so that the left tail keeps its relative
    accuracy: :math:`\sigma(-100) = 3.7 \cdot 10^{-44}`.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0, 800.0]))
    array([0. , 0.5, 1. ])
    """
    x = inexact(x)
    return np.exp(_negative_part(x)) / (1 + _decay(x))


def _sigmoid_slope(x: Array) -> Array:
    e = _decay(x)
    return e / (1 + e) ** 2


def sigmoid_vjp(x: Array, dy: Array) -> Array:
    r"""Gradient of `sigmoid`: :math:`\sigma(x)\,\sigma(-x)` times `dy`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> float(sigmoid_vjp(0.0, 1.0))
    0.25
    """
    x, dy = _pair(x, dy)
    return _sigmoid_slope(x) * dy


def tanh(x: Array) -> Array:
    """Hyperbolic tangent.

    Parameters
    ----------
    x : ndarray of any shape, real or complex

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Examples
    --------
    >>> tanh(np.array([-1000.0, 0.0, 1000.0]))
    array([-1.,  0.,  1.])
    """
    x = inexact(x)
    if x.dtype.kind != "c":
        return np.tanh(x)
    a, b = _halves(x)
    t, slope = np.tanh(a), _tanh_slope(a)
    if _first_order(b):
        return _complex(t, slope * b)
    # (tanh a + i tan b) / (1 + i tanh a tan b) takes real functions only: less than half the time
    # of NumPy's complex one, and it keeps the last digits in the tails too.
    tangent = np.tan(b)
    product = t * tangent
    denominator = 1 + product * product
    return _complex(t * (1 + tangent * tangent) / denominator, tangent * slope / denominator)


def _tanh_slope(a: Array) -> Array:
    """Return 1 - tanh² a for real numbers, as the quotient that does not cancel."""
    e = np.exp(-np.abs(a))
    square = e * e
    return 4 * square / (1 + square) ** 2


def _halves(x: Array) -> tuple[Array, Array]:
    """Return copies of the real and the imaginary part: functions are faster without gaps."""
    return np.array(x.real), np.array(x.imag)


def _complex(real: Array, imaginary: Array) -> Array:
    result = np.empty(np.shape(real), np.result_type(real, np.complex64))
    result.real = real
    result.imag = imaginary
    return result[()]


def _first_order(b: Array) -> bool:
    """Whether the squares of all imaginary parts are lost in rounding, as in a complex step.

    Then f(a + ib) = f(a) + ib f'(a) to the last digit.
    """
    small = math.sqrt(np.finfo(b.dtype).eps) / 4
    return bool(-small < b.min(initial=0)) and bool(b.max(initial=0) < small)


def tanh_vjp(x: Array, dy: Array) -> Array:
    r"""Gradient of `tanh`: :math:`1 - \tanh^2 x = 4 e^{-2|x|} / (1 + e^{-2|x|})^2` times `dy`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`

    Returns
    -------
    ndarray of the shape of `x`

    Notes
    -----
    The difference on the left is 0 in float64 from |x| = 19 on; the quotient is not.

    Examples
    --------
    >>> float(tanh_vjp(0.0, 1.0)), bool(tanh_vjp(30.0, 1.0) > 0)
    (1.0, True)
    """
    x, dy = _pair(x, dy)
    if x.dtype.kind != "c":
        return _tanh_slope(x) * dy
    a, b = _halves(x)
    t, slope = np.tanh(a), _tanh_slope(a)
    if _first_order(b):
        return _complex(slope, -2 * b * (slope * t)) * dy
    tangent = np.tan(b)
    product = t * tangent
    scale = slope * (1 + tangent * tangent) / (1 + product * product) ** 2
    return _complex(scale * (1 - product * product), -2 * scale * product) * dy


def relu(x: Array) -> Array:
    """Rectified linear unit: `x` where it is positive, else 0.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
        The sign is that of the real part.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Examples
    --------
    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    x = inexact(x)
    if x.dtype.kind == "c":
        return np.where(x.real <= 0, 0, x)[()]
    # Between two arrays np.maximum is vectorised, beside a scalar it is not.
    zeros = np.zeros(x.shape, x.dtype)
    return np.maximum(x, zeros, out=zeros)[()]


def relu_vjp(x: Array, dy: Array) -> Array:
    """Gradient of `relu`: `dy` where `x` is positive, else 0; at the kink 0, as in torch.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> relu_vjp(np.array([-2.0, 0.0, 3.0]), np.ones(3))
    array([0., 0., 1.])
    """
    x, dy = _pair(x, dy)
    slope = ~(x.real <= 0)  # NaN counts as positive
    return (dy * slope).astype(np.result_type(x, dy), copy=False)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Leaky rectified linear unit: `x` where it is positive, else ``negative_slope * x``.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    negative_slope : float

    Returns
    -------
    ndarray of the shape and dtype of `x`

    References
    ----------
    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Examples
    --------
    >>> leaky_relu(np.array([-2.0, 0.0, 3.0]))
    array([-0.02,  0.  ,  3.  ])
    """
    x = inexact(x)
    return x * _step(x, negative_slope)


def leaky_relu_vjp(x: Array, dy: Array, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu`; at the kink `negative_slope`, as in torch.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`
    negative_slope : float

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> leaky_relu_vjp(np.array([-2.0, 0.0, 3.0]), np.ones(3))
    array([0.01, 0.01, 1.  ])
    """
    x, dy = _pair(x, dy)
    gradient = dy * _step(x, negative_slope)
    return gradient.astype(np.result_type(x, dy), copy=False)


def elu(x: Array, alpha: float = 1.0) -> Array:
    r"""Exponential linear unit: `x` where it is positive, else :math:`\alpha (e^x - 1)`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    alpha : float

    Returns
    -------
    ndarray of the shape and dtype of `x`

    References
    ----------
    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential
    linear units (ELUs)", 2016, equation 15.

    Examples
    --------
    >>> elu(np.array([-1000.0, 0.0, 3.0]))
    array([-1.,  0.,  3.])
    """
    x = inexact(x)
    return relu(x) + alpha * np.expm1(_negative_part(x))


def elu_vjp(x: Array, dy: Array, alpha: float = 1.0) -> Array:
    r"""Gradient of `elu`: 1 or :math:`\alpha e^x` times `dy`; at the kink :math:`\alpha`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`
    alpha : float

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> elu_vjp(np.array([-1000.0, 0.0, 3.0]), np.ones(3), alpha=2.0)
    array([0., 2., 1.])
    """
    x, dy = _pair(x, dy)
    return _step(x, alpha) * np.exp(_negative_part(x)) * dy


def silu(x: Array) -> Array:
    r"""Sigmoid linear unit (swish): :math:`x\,\sigma(x)`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Notes
    -----
    At :math:`-\infty` the limit, 0, is returned, where torch returns NaN.

    References
    ----------
    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2018.

    Examples
    --------
    >>> silu(np.array([-np.inf, 0.0, 100.0]))
    array([  0.,   0., 100.])
    """
    x = inexact(x)
    return _gate(x, sigmoid(x))[()]


def silu_vjp(x: Array, dy: Array) -> Array:
    r"""Gradient of `silu`: :math:`\sigma(x)\,(1 + x\,\sigma(-x))` times `dy`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> silu_vjp(np.array([-np.inf, 0.0, 100.0]), np.ones(3))
    array([0. , 0.5, 1. ])
    """
    x, dy = _pair(x, dy)
    open_, closed = sigmoid(x), sigmoid(-x)
    return (open_ + _gate(x, open_ * closed)) * dy


def _softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), exact in both tails."""
    return relu(x) + _log1p(_decay(x))


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    r"""Smooth rectifier :math:`\beta^{-1} \log(1 + e^{\beta x})`.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    beta : float
        Sharpness; must be positive.
    threshold : float
        Where ``beta * x`` exceeds it, `x` itself is returned, as in torch.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Raises
    ------
    ValueError
        If `beta` is not positive.

    Notes
    -----
    torch's shortcut is off by 2e-9 just above its default threshold, far above the rounding of
    float64. ``threshold=np.inf`` gives the function itself, to rounding, everywhere.

    Examples
    --------
    >>> softplus(np.array([-800.0, 0.0, 8.0])).round(4)
    array([0.    , 0.6931, 8.0003])
    >>> float(softplus(21.0) - 21.0), float(softplus(21.0, threshold=np.inf) - 21.0)
    (0.0, 7.5825...e-10)
    """
    x = inexact(x)
    _positive_beta(beta)
    with np.errstate(over="ignore"):
        scaled = beta * x
    return np.where(scaled.real > threshold, x, _softplus(scaled) / beta)[()]


def softplus_vjp(x: Array, dy: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    r"""Gradient of `softplus`: :math:`\sigma(\beta x)` times `dy`, and `dy` above the threshold.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`
    beta, threshold : float
        As in `softplus`.

    Returns
    -------
    ndarray of the shape of `x`

    Raises
    ------
    ValueError
        If `beta` is not positive.

    Examples
    --------
    >>> softplus_vjp(np.array([-800.0, 0.0, 800.0]), np.ones(3))
    array([0. , 0.5, 1. ])
    """
    x, dy = _pair(x, dy)
    _positive_beta(beta)
    with np.errstate(over="ignore"):
        scaled = beta * x
    return np.where(scaled.real > threshold, 1, sigmoid(scaled)) * dy


def _positive_beta(beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}")


Approximation = Literal["none", "tanh"]
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _gelu_gate(x: Array, approximate: Approximation) -> tuple[Array, Array]:
    """Return the gate g of gelu(x) = x g(x), and its slope.

    0.5 (1 + tanh u) is sigmoid(2u), and 0.5 (1 + erf(x / sqrt 2)) is 0.5 erfc(-x / sqrt 2): the
    forms on the right do not cancel in the left tail.
    """
    if approximate == "none":
        with np.errstate(over="ignore"):
            density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return erfc(-x * math.sqrt(0.5)) / 2, density
    if approximate == "tanh":
        with np.errstate(over="ignore"):
            square = x * x
            twice_u = 2 * _SQRT_2_OVER_PI * x * (1 + _CUBIC * square)
            slope = _gate(2 * _SQRT_2_OVER_PI * (1 + 3 * _CUBIC * square), _sigmoid_slope(twice_u))
        return sigmoid(twice_u), slope
    raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')


def gelu(x: Array, approximate: Approximation = "none") -> Array:
    r"""Gaussian error linear unit: :math:`x\,\Phi(x)`, with :math:`\Phi` the normal distribution.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    approximate : {"none", "tanh"}
        "tanh" replaces :math:`\Phi(x)` by
        :math:`\frac12 (1 + \tanh(\sqrt{2/\pi}\,(x + 0.044715\,x^3)))`.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Raises
    ------
    ValueError
        If `approximate` is another word.

    References
    ----------
    Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016, section 2.

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    x = inexact(x)
    gate, _ = _gelu_gate(x, approximate)
    return _gate(x, gate)[()]


def gelu_vjp(x: Array, dy: Array, approximate: Approximation = "none") -> Array:
    r"""Gradient of `gelu`: :math:`\Phi(x) + x\,\varphi(x)` times `dy`, or the approximation's own.

    Parameters
    ----------
    x : ndarray of any shape, real or complex
    dy : ndarray of the shape of `x`
    approximate : {"none", "tanh"}

    Returns
    -------
    ndarray of the shape of `x`

    Raises
    ------
    ValueError
        If `approximate` is another word.

    Examples
    --------
    >>> gelu_vjp(np.array([-1.0, 0.0, 1.0]), np.ones(3)).round(4)
    array([-0.0833,  0.5   ,  1.0833])
    """
    x, dy = _pair(x, dy)
    gate, slope = _gelu_gate(x, approximate)
    return (gate + _gate(x, slope)) * dy


def softmax(x: Array, axis: Axis = -1) -> Array:
    r"""Probabilities :math:`e^{x_i} / \sum_j e^{x_j}` along `axis`.

    Parameters
    ----------
    x : ndarray, real or complex, of at least one axis
    axis : int or tuple of ints
        The classes; several axes are normalised together.

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Notes
    -----
    The largest entry (by its real part) is subtracted first, so that nothing overflows. Entries
    of :math:`-\infty` get probability 0; a slice that holds nothing else has no softmax: NaN.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    x = inexact(x)
    top = np.max(x.real, axis=axis, keepdims=True, initial=-np.inf)
    e = np.exp(x - np.where(np.isfinite(top), top, 0).astype(x.real.dtype))
    with np.errstate(invalid="ignore"):
        return e / np.sum(e, axis=axis, keepdims=True)


def softmax_vjp(x: Array, dy: Array, axis: Axis = -1) -> Array:
    r"""Gradient of `softmax`: :math:`s_i (dy_i - \sum_j dy_j s_j)`.

    Parameters
    ----------
    x : ndarray, real or complex
    dy : ndarray of the shape of `x`
    axis : int or tuple of ints

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> softmax_vjp(np.zeros(2), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    x, dy = _pair(x, dy)
    s = softmax(x, axis)
    return s * (dy - np.sum(dy * s, axis=axis, keepdims=True))


def log_softmax(x: Array, axis: Axis = -1) -> Array:
    r"""Logarithm of `softmax`: :math:`x_i - \log \sum_j e^{x_j}`, without forming the quotient.

    Parameters
    ----------
    x : ndarray, real or complex, of at least one axis
    axis : int or tuple of ints

    Returns
    -------
    ndarray of the shape and dtype of `x`

    Notes
    -----
    The sum is taken without its largest term, which is 1 after the shift, and enters through
    log(1 + rest): a nearly certain class keeps its relative accuracy.

    Examples
    --------
    >>> log_softmax(np.array([0.0, 50.0]))
    array([-5.00000000e+01, -1.92874985e-22])
    """
    x = inexact(x)
    shift, log_total, _ = _log_sum_exp(x, axis)
    return (x - shift) - log_total


def log_softmax_vjp(x: Array, dy: Array, axis: Axis = -1) -> Array:
    r"""Gradient of `log_softmax`: :math:`dy_i - s_i \sum_j dy_j`.

    Parameters
    ----------
    x : ndarray, real or complex
    dy : ndarray of the shape of `x`
    axis : int or tuple of ints

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> log_softmax_vjp(np.zeros(2), np.array([1.0, 0.0]))
    array([ 0.5, -0.5])
    """
    x, dy = _pair(x, dy)
    return dy - softmax(x, axis) * np.sum(dy, axis=axis, keepdims=True)

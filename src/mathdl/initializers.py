r"""Initial weights whose scale keeps the variance of signals or of gradients from layer to layer.

A weight has the shape ``(out, in, *kernel)``: ``fan_in`` is ``in`` times the size of the kernel,
``fan_out`` is ``out`` times it. The rules differ in the variance that they give an entry:

========  =====================================
LeCun     1 / fan_in
Xavier    2 gain² / (fan_in + fan_out)
He        gain² / fan_in, gain² = 2 for ReLU
========  =====================================

A uniform distribution on [-a, a] has variance a²/3, hence the factor √3 in the bounds. Names and
defaults are those of `torch.nn.init` (where He's rule is called Kaiming's); the generator is always
given. Numbers are drawn in float64 and then rounded, so that a seed gives the same weights in every
precision.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]

__all__ = [
    "calculate_gain",
    "fan_in_and_fan_out",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def fan_in_and_fan_out(shape: Shape) -> tuple[int, int]:
    """Return how many inputs an output of the layer sums over, and outputs an input feeds.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)

    Returns
    -------
    fan_in, fan_out : int

    Raises
    ------
    ValueError
        If there are fewer than two axes.

    Examples
    --------
    >>> fan_in_and_fan_out((64, 3, 5, 5))
    (75, 1600)
    """
    if len(shape) < 2:
        raise ValueError(f"fans need a shape (out, in, ...), got {tuple(shape)}")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return torch's recommended gain for an activation function.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
    param : float, optional
        The negative slope of "leaky_relu", 0.01 by default.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the function is not in the table.

    Examples
    --------
    >>> calculate_gain("leaky_relu", 0.0) == calculate_gain("relu") == 2**0.5
    True
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        names = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"nonlinearity must be one of {names}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def zeros(shape: Shape, dtype: Any = np.float64) -> Array:
    """Return zeros: for biases, and for the matrix B of LoRA.

    Weights of two layers or more that start at zero all keep equal gradients, and never differ.

    Parameters
    ----------
    shape : tuple of ints
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    Examples
    --------
    >>> zeros((2,))
    array([0., 0.])
    """
    return np.zeros(shape, dtype)


def _uniform(shape: Shape, std: float, rng: np.random.Generator, dtype: Any) -> Array:
    bound = math.sqrt(3) * std
    return rng.uniform(-bound, bound, size=shape).astype(dtype)


def _normal(shape: Shape, std: float, rng: np.random.Generator, dtype: Any) -> Array:
    return (std * rng.standard_normal(size=shape)).astype(dtype)


def _xavier_std(shape: Shape, gain: float) -> float:
    return gain * math.sqrt(2 / _nonzero(sum(fan_in_and_fan_out(shape))))


def _he_std(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'mode must be "fan_in" or "fan_out", got {mode!r}')
    fan = fan_in_and_fan_out(shape)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(_nonzero(fan))


def _nonzero(fan: int) -> int:
    """Return the fan, or 1 where it is 0: an empty weight draws nothing at any scale."""
    return max(fan, 1)


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: Any = np.float64
) -> Array:
    """Draw from the uniform distribution of variance 2 gain² / (fan_in + fan_out).

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    gain : float
        See `calculate_gain`.
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 16.

    Examples
    --------
    >>> w = xavier_uniform((300, 300), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    return _uniform(shape, _xavier_std(shape, gain), rng, dtype)


def xavier_normal(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: Any = np.float64
) -> Array:
    """Draw from the normal distribution of variance 2 gain² / (fan_in + fan_out).

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    gain : float
        See `calculate_gain`.
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 12.

    Examples
    --------
    >>> w = xavier_normal((100, 300), np.random.default_rng(0))
    >>> float(w.std().round(3)), (2 / 400) ** 0.5
    (0.071, 0.0707106...)
    """
    return _normal(shape, _xavier_std(shape, gain), rng, dtype)


def he_uniform(
    shape: Shape,
    rng: np.random.Generator,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = np.float64,
) -> Array:
    """Draw from the uniform distribution of variance gain² / fan.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    a : float
        Negative slope of "leaky_relu"; 0 is ReLU. ``a = sqrt(5)`` is how torch initialises its
        linear layers: uniform on ±1/sqrt(fan_in).
    mode : {"fan_in", "fan_out"}
        Whether signals or gradients keep their variance.
    nonlinearity : str
        See `calculate_gain`.
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    Raises
    ------
    ValueError
        If `mode` or `nonlinearity` is unknown.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015, equation 10.

    Examples
    --------
    >>> w = he_uniform((10, 600), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    return _uniform(shape, _he_std(shape, a, mode, nonlinearity), rng, dtype)


def he_normal(
    shape: Shape,
    rng: np.random.Generator,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = np.float64,
) -> Array:
    """Draw from the normal distribution of variance gain² / fan.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    a, mode, nonlinearity
        As in `he_uniform`.
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    Raises
    ------
    ValueError
        If `mode` or `nonlinearity` is unknown.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015, equation 10.

    Examples
    --------
    >>> w = he_normal((100, 200), np.random.default_rng(0))
    >>> float(w.std().round(3))
    0.1
    """
    return _normal(shape, _he_std(shape, a, mode, nonlinearity), rng, dtype)


def lecun_uniform(shape: Shape, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Draw from the uniform distribution of variance 1 / fan_in.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    References
    ----------
    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, equation 16.

    Examples
    --------
    >>> w = lecun_uniform((10, 300), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    return he_uniform(shape, rng, nonlinearity="linear", dtype=dtype)


def lecun_normal(shape: Shape, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Draw from the normal distribution of variance 1 / fan_in.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
    rng : numpy.random.Generator
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype

    References
    ----------
    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, equation 16.

    Examples
    --------
    >>> w = lecun_normal((200, 100), np.random.default_rng(0))
    >>> float(w.std().round(3))
    0.1
    """
    return he_normal(shape, rng, nonlinearity="linear", dtype=dtype)


def orthogonal(
    shape: Shape, rng: np.random.Generator, gain: float = 1.0, dtype: Any = np.float64
) -> Array:
    """Draw a random (semi-)orthogonal matrix: all of its singular values are `gain`.

    Parameters
    ----------
    shape : tuple of ints, (out, in, *kernel)
        Taken as a matrix of `out` rows.
    rng : numpy.random.Generator
    gain : float
    dtype : floating dtype

    Returns
    -------
    ndarray of that shape and dtype
        Its rows are orthogonal where there are no more of them than columns, else its columns.

    Raises
    ------
    ValueError
        If there are fewer than two axes.

    Notes
    -----
    The factor Q of a Gaussian matrix, each column with the sign of R's diagonal: without that
    correction the distribution would be LAPACK's choice of signs and not the uniform one.

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014. Mezzadri, "How to generate random matrices from the classical
    compact groups", 2007.

    Examples
    --------
    >>> q = orthogonal((2, 5), np.random.default_rng(0))
    >>> bool(np.allclose(q @ q.T, np.eye(2)))
    True
    """
    fan_in_and_fan_out(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    gaussian = rng.standard_normal(size=(rows, columns))
    tall = gaussian.T if rows < columns else gaussian
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))
    return (gain * (q.T if rows < columns else q)).reshape(shape).astype(dtype)

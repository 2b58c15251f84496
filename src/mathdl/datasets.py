"""Small synthetic data sets, and two-dimensional surfaces with their gradients.

A data set takes a `numpy.random.Generator` and returns inputs ``x`` of shape ``(n, features)`` and
targets ``y`` of shape ``(n,)``: class indices (integers) or real numbers.

A surface is a pair: ``rosenbrock(x)`` takes points of shape ``(..., 2)`` and returns heights of
shape ``(...)``; ``rosenbrock_grad(x)`` returns the gradient, of the shape of `x`. Leading axes are
batches, real and complex floats are kept, so that a complex step through the gradient gives
products with the Hessian. `CRITICAL_POINTS` lists where the gradients vanish.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mathdl._arrays import inexact

Array = np.ndarray

__all__ = [
    "CRITICAL_POINTS",
    "beale",
    "beale_grad",
    "blobs",
    "himmelblau",
    "himmelblau_grad",
    "linear_regression",
    "ravine",
    "ravine_grad",
    "rosenbrock",
    "rosenbrock_grad",
    "saddle",
    "saddle_grad",
    "spirals",
    "two_moons",
    "xor",
]


def xor(
    n: int = 4,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
    dtype: Any = np.float64,
) -> tuple[Array, Array]:
    """Return the corners of the unit square; the class is the exclusive or of the coordinates.

    Parameters
    ----------
    n : int
        Points; the corners are repeated in turn.
    noise : float
        Standard deviation of normal noise added to the coordinates.
    rng : numpy.random.Generator
        Needed where there is noise.
    dtype : floating dtype of `x`

    Returns
    -------
    x : ndarray, shape (n, 2)
    y : ndarray of ints 0 and 1, shape (n,)

    Raises
    ------
    ValueError
        If there is noise and no generator.

    Notes
    -----
    The corner at the origin sits on the kink of every ReLU without a bias: gradients there depend
    on the convention, and a difference quotient does not see it.

    Examples
    --------
    >>> x, y = xor()
    >>> x.tolist(), y.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    corner = np.arange(n) % 4
    bits = np.stack([corner // 2, corner % 2], axis=1)
    x = bits.astype(np.float64)
    if noise:
        if rng is None:
            raise ValueError("noise needs a generator: rng=np.random.default_rng(seed)")
        x = x + noise * rng.standard_normal(size=x.shape)
    return x.astype(dtype), bits[:, 0] ^ bits[:, 1]


def _shuffled(
    x: Array, y: Array, noise: float, rng: np.random.Generator, dtype: Any
) -> tuple[Array, Array]:
    """Add normal noise and put the samples in random order."""
    x = x + noise * rng.standard_normal(size=x.shape)
    order = rng.permutation(len(y))
    return x[order].astype(dtype), y[order]


def _labels(n: int, classes: int) -> Array:
    """Return n sorted labels in classes that differ by at most one sample."""
    return np.sort(np.arange(n) % classes)


def two_moons(
    n: int, rng: np.random.Generator, noise: float = 0.1, dtype: Any = np.float64
) -> tuple[Array, Array]:
    """Return two interleaved half circles.

    Parameters
    ----------
    n : int
        Points in all; the classes differ by at most one.
    rng : numpy.random.Generator
    noise : float
        Standard deviation of normal noise.
    dtype : floating dtype of `x`

    Returns
    -------
    x : ndarray, shape (n, 2)
    y : ndarray of ints 0 and 1, shape (n,)

    Notes
    -----
    The circles of `sklearn.datasets.make_moons`: radius 1, about (0, 0) and (1, 1/2).

    Examples
    --------
    >>> x, y = two_moons(100, np.random.default_rng(0))
    >>> x.shape, np.bincount(y).tolist()
    ((100, 2), [50, 50])
    """
    upper, lower = np.linspace(0, np.pi, n // 2), np.linspace(0, np.pi, n - n // 2)
    x = np.concatenate(
        [
            np.stack([np.cos(upper), np.sin(upper)], axis=1),
            np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1),
        ]
    )
    y = np.repeat([0, 1], [len(upper), len(lower)])
    return _shuffled(x, y, noise, rng, dtype)


def spirals(
    n: int,
    rng: np.random.Generator,
    classes: int = 2,
    turns: float = 1.0,
    noise: float = 0.02,
    dtype: Any = np.float64,
) -> tuple[Array, Array]:
    """Return the arms of a spiral, one per class.

    Parameters
    ----------
    n : int
        Points in all; the classes differ by at most one.
    rng : numpy.random.Generator
    classes : int
        Arms, evenly turned against each other.
    turns : float
        How often an arm winds about the origin.
    noise : float
        Standard deviation of normal noise; the outer radius is 1.
    dtype : floating dtype of `x`

    Returns
    -------
    x : ndarray, shape (n, 2)
    y : ndarray of ints, shape (n,)

    Examples
    --------
    >>> x, y = spirals(90, np.random.default_rng(0), classes=3)
    >>> x.shape, np.bincount(y).tolist()
    ((90, 2), [30, 30, 30])
    """
    y = _labels(n, classes)
    radius = np.concatenate(
        [np.linspace(0.1, 1, np.count_nonzero(y == label)) for label in range(classes)]
    )
    angle = 2 * np.pi * (turns * radius + y / classes)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _shuffled(x, y, noise, rng, dtype)


def blobs(
    n: int,
    rng: np.random.Generator,
    centers: int | Array = 3,
    std: float = 1.0,
    features: int = 2,
    dtype: Any = np.float64,
) -> tuple[Array, Array]:
    """Return normal clouds, one per class.

    Parameters
    ----------
    n : int
        Points in all; the classes differ by at most one.
    rng : numpy.random.Generator
    centers : int or ndarray, shape (classes, features)
        How many centres to draw, uniformly from [-10, 10] along each axis; or the centres.
    std : float
        Standard deviation of a cloud along each axis.
    features : int
        Coordinates of the drawn centres.
    dtype : floating dtype of `x`

    Returns
    -------
    x : ndarray, shape (n, features)
    y : ndarray of ints, shape (n,)

    Examples
    --------
    >>> x, y = blobs(6, np.random.default_rng(0), centers=np.array([[0.0, 0.0], [9.0, 9.0]]))
    >>> bool(np.all((x.sum(axis=1) > 9) == (y == 1)))
    True
    """
    if np.ndim(centers) == 0:
        centers = rng.uniform(-10, 10, size=(centers, features))
    centers = np.asarray(centers, dtype=np.float64)
    y = _labels(n, len(centers))
    return _shuffled(centers[y], y, std, rng, dtype)


def linear_regression(
    n: int,
    rng: np.random.Generator,
    weight: Array = (2.0,),
    bias: float = 1.0,
    noise: float = 0.1,
    dtype: Any = np.float64,
) -> tuple[Array, Array]:
    """Return standard normal inputs and a noisy affine function of them.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    weight : ndarray, shape (features,)
    bias : float
    noise : float
        Standard deviation of normal noise on the targets.
    dtype : floating dtype of `x` and `y`

    Returns
    -------
    x : ndarray, shape (n, features)
    y : ndarray, shape (n,)
        ``x @ weight + bias`` and the noise.

    Examples
    --------
    >>> x, y = linear_regression(50, np.random.default_rng(0), weight=[2.0, -3.0], noise=0.0)
    >>> bool(np.allclose(y, 2 * x[:, 0] - 3 * x[:, 1] + 1))
    True
    """
    weight = np.asarray(weight, dtype=np.float64)
    x = rng.standard_normal(size=(n, len(weight)))
    y = x @ weight + bias + noise * rng.standard_normal(size=n)
    return x.astype(dtype), y.astype(dtype)


#: Where the gradient of each surface vanishes, as (kind, point), rounded to float64.
CRITICAL_POINTS: dict[str, list[tuple[str, tuple[float, float]]]] = {
    "rosenbrock": [("minimum", (1.0, 1.0))],
    "beale": [
        ("minimum", (3.0, 0.5)),
        ("saddle", (0.0, 1.0)),
        ("saddle", (0.10053793732415836, -2.644513585023125)),
    ],
    "himmelblau": [
        ("minimum", (3.0, 2.0)),
        ("minimum", (-2.805118086952745, 3.131312518250573)),
        ("minimum", (-3.779310253377747, -3.2831859912861696)),
        ("minimum", (3.5844283403304917, -1.8481265269644036)),
        ("maximum", (-0.2708445906673476, -0.9230385564799815)),
        ("saddle", (3.385154183607021, 0.07385187983774928)),
        ("saddle", (0.08667750455539636, 2.884254701174776)),
        ("saddle", (-0.12796134673068008, -1.9537149802445763)),
        ("saddle", (-3.0730257507643897, -0.08135304428796751)),
    ],
    "saddle": [("saddle", (0.0, 0.0))],
    "ravine": [("minimum", (0.0, 0.0))],
}


def _coordinates(x: Array) -> tuple[Array, Array]:
    x = inexact(x)
    if x.ndim == 0 or x.shape[-1] != 2:
        raise ValueError(f"x must have shape (..., 2), got {x.shape}")
    return x[..., 0], x[..., 1]


def rosenbrock(x: Array) -> Array:
    r"""Rosenbrock's valley, :math:`(1 - x)^2 + 100\,(y - x^2)^2`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (...)

    References
    ----------
    Rosenbrock, "An automatic method for finding the greatest or least value of a function", 1960.

    Examples
    --------
    >>> float(rosenbrock(np.array([-1.0, 1.0]))), float(rosenbrock(np.array([1.0, 1.0])))
    (4.0, 0.0)
    """
    x, y = _coordinates(x)
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def rosenbrock_grad(x: Array) -> Array:
    """Gradient of `rosenbrock`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> rosenbrock_grad(np.array([-1.0, 1.0]))
    array([-4.,  0.])
    """
    x, y = _coordinates(x)
    valley = y - x * x
    return np.stack([-2 * (1 - x) - 400 * x * valley, 200 * valley], axis=-1)


_BEALE = (1.5, 2.25, 2.625)


def beale(x: Array) -> Array:
    r"""Beale's function, :math:`\sum_{k=1}^{3} (c_k - x (1 - y^k))^2`, c = (1.5, 2.25, 2.625).

    Flat in the middle, steep at the rim.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (...)

    References
    ----------
    Beale, "On an iterative method for finding a local minimum of a function of more than one
    variable", 1958. Moré, Garbow and Hillstrom, "Testing unconstrained optimization software",
    1981, problem 5.

    Examples
    --------
    >>> float(beale(np.array([3.0, 0.5]))), float(beale(np.array([0.0, 0.0])))
    (0.0, 14.203125)
    """
    x, y = _coordinates(x)
    residuals = [c - x * (1 - y**k) for k, c in enumerate(_BEALE, start=1)]
    return sum(r * r for r in residuals)


def beale_grad(x: Array) -> Array:
    """Gradient of `beale`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> beale_grad(np.array([3.0, 0.5])).tolist()
    [0.0, 0.0]
    """
    x, y = _coordinates(x)
    dx, dy = np.zeros_like(x), np.zeros_like(x)
    for k, c in enumerate(_BEALE, start=1):
        residual = c - x * (1 - y**k)
        dx = dx - 2 * residual * (1 - y**k)
        dy = dy + 2 * residual * x * k * y ** (k - 1)
    return np.stack([dx, dy], axis=-1)


def himmelblau(x: Array) -> Array:
    r"""Himmelblau's function, :math:`(x^2 + y - 11)^2 + (x + y^2 - 7)^2`: four equal minima.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (...)

    References
    ----------
    Himmelblau, *Applied Nonlinear Programming*, 1972.

    Examples
    --------
    >>> float(himmelblau(np.array([3.0, 2.0]))), float(himmelblau(np.array([0.0, 0.0])))
    (0.0, 170.0)
    """
    x, y = _coordinates(x)
    return (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2


def himmelblau_grad(x: Array) -> Array:
    """Gradient of `himmelblau`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> himmelblau_grad(np.array([0.0, 0.0]))
    array([-14., -22.])
    """
    x, y = _coordinates(x)
    first, second = x * x + y - 11, x + y * y - 7
    return np.stack([4 * x * first + 2 * second, 2 * first + 4 * y * second], axis=-1)


def saddle(x: Array) -> Array:
    r"""Hyperbolic paraboloid, :math:`\tfrac12 (x^2 - y^2)`: a saddle at the origin.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> saddle(np.array([[1.0, 0.0], [0.0, 1.0]]))
    array([ 0.5, -0.5])
    """
    x, y = _coordinates(x)
    return (x * x - y * y) / 2


def saddle_grad(x: Array) -> Array:
    """Gradient of `saddle`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> saddle_grad(np.array([1.0, 2.0]))
    array([ 1., -2.])
    """
    x, y = _coordinates(x)
    return np.stack([x, -y], axis=-1)


def ravine(x: Array, condition: float = 100.0) -> Array:
    r"""Narrow quadratic valley, :math:`\tfrac12 (x^2 + \kappa y^2)`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex
    condition : float
        :math:`\kappa`, the condition number of the Hessian if it is at least 1.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> float(ravine(np.array([1.0, 1.0])))
    50.5
    """
    x, y = _coordinates(x)
    return (x * x + condition * y * y) / 2


def ravine_grad(x: Array, condition: float = 100.0) -> Array:
    """Gradient of `ravine`.

    Parameters
    ----------
    x : ndarray, shape (..., 2), real or complex
    condition : float

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> ravine_grad(np.array([1.0, 1.0]))
    array([  1., 100.])
    """
    x, y = _coordinates(x)
    return np.stack([x, condition * y], axis=-1)

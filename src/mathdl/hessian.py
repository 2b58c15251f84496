r"""Curvature without the Hessian: products, extreme eigenvalues, spectrum and trace.

A Hessian of P parameters has P² entries; what is asked of it needs only products
:math:`v \mapsto Hv`, each at the price of a few gradients. Functions of the spectrum take a
``product``, a callable from a vector ``(P,)`` to a vector ``(P,)``, as :func:`operator` makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl.gradcheck import complex_tangent, leaves, optimal_step, rebuild, require_float, split


class Lanczos(NamedTuple):
    r"""Result of :func:`lanczos`.

    Attributes
    ----------
    diagonal, off_diagonal : ndarray, shapes (k,), (k - 1,)
        The tridiagonal matrix :math:`T = Q^\top H Q`.
    basis : ndarray, shape (P, k)
        Orthonormal basis ``Q`` of the Krylov space.
    """

    diagonal: NDArray
    off_diagonal: NDArray
    basis: NDArray

    def ritz(self) -> tuple[NDArray, NDArray]:
        """Return the eigenvalues of ``T``, ascending, and its eigenvectors as columns."""
        t = np.diag(self.diagonal) + np.diag(self.off_diagonal, 1) + np.diag(self.off_diagonal, -1)
        return np.linalg.eigh(t)


class Estimate(NamedTuple):
    """A Monte-Carlo mean with its standard error.

    Attributes
    ----------
    mean : float
        Of the samples.
    standard_error : float
        Their standard deviation over the root of their number.
    """

    mean: float
    standard_error: float


def _flat(point: Any) -> NDArray:
    return np.concatenate([np.ravel(array) for _, array in leaves(point)])


def _same_structure(x: Any, v: Any) -> tuple[list[NDArray], list[NDArray]]:
    points = [require_float(name, array) for name, array in leaves(x, "x")]
    moves = [array for _, array in leaves(v, "v")]
    if [a.shape for a in points] != [a.shape for a in moves]:
        raise ValueError(
            f"v must have the shapes of x, {[a.shape for a in points]}, "
            f"got {[a.shape for a in moves]}"
        )
    return points, moves


def hvp(grad: Callable, x: Any, v: Any, *, method: str = "complex") -> Any:
    r"""Multiply the Hessian at ``x`` by ``v`` through the gradient alone.

    By the complex step :math:`Hv = \operatorname{Im} \nabla f(x + ihv)/h` to rounding, at the
    price of one gradient in complex numbers; by central differences
    :math:`(\nabla f(x + hv) - \nabla f(x - hv))/2h`, two gradients and half the digits.

    Parameters
    ----------
    grad : callable
        Gradient, from the structure of ``x`` to the same structure; complex-safe for the
        complex step.
    x : array, dict or tuple of arrays
        The point.
    v : like ``x``
        The direction.
    method : {"complex", "central"}
        Which route.

    Returns
    -------
    like ``x``
        The product, in the dtypes of ``x``.

    Raises
    ------
    TypeError
        If ``x`` does not hold floats.
    ValueError
        If shapes differ, the gradient has other shapes than ``x``, the method is unknown, or
        (:class:`mathdl.gradcheck.NotComplexSafe`) the gradient cannot take complex numbers.

    References
    ----------
    Pearlmutter (1994) for the product; Squire and Trapp (1998) for the complex step.

    Examples
    --------
    >>> hvp(lambda x: x**3, np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 3., 12.])
    """
    points, moves = _same_structure(x, v)
    if method == "complex":
        flat = complex_tangent(lambda z: _flat(grad(z)), x, points, moves)
    elif method == "central":
        size = max((float(np.max(np.abs(u), initial=0.0)) for u in moves), default=0.0)
        span = max((float(np.max(np.abs(a), initial=0.0)) for a in points), default=0.0)
        h = optimal_step(np.result_type(*points), "central") * max(1.0, span) / (size or 1.0)

        def at(step: float) -> NDArray:
            return _flat(
                grad(rebuild(x, [a + step * u for a, u in zip(points, moves, strict=True)]))
            )

        flat = (at(h) - at(-h)) / (2 * h)
    else:
        raise ValueError(f'method must be "complex" or "central", got {method!r}')
    if flat.size != sum(a.size for a in points):
        raise ValueError(
            f"the gradient has {flat.size} entries, x has {sum(a.size for a in points)}"
        )
    parts = split(flat, points)
    return rebuild(x, [part.astype(a.dtype) for part, a in zip(parts, points, strict=True)])


def operator(grad: Callable, x: Any, *, method: str = "complex") -> tuple[Callable, int]:
    """Return the Hessian at ``x`` as a product of flat vectors, and its size.

    Parameters
    ----------
    grad, x, method
        As for :func:`hvp`.

    Returns
    -------
    product : callable
        From ``(P,)`` to ``(P,)``.
    size : int
        ``P``, the number of parameters.

    Examples
    --------
    >>> product, size = operator(lambda p: {"w": 2 * p["w"]}, {"w": np.ones((2, 2))})
    >>> size, product(np.arange(4.0)).tolist()
    (4, [0.0, 2.0, 4.0, 6.0])
    """
    arrays = [array for _, array in leaves(x)]

    def product(v: NDArray) -> NDArray:
        return _flat(hvp(grad, x, rebuild(x, split(np.asarray(v), arrays)), method=method))

    return product, sum(array.size for array in arrays)


def dense_hessian(grad: Callable, x: Any, *, method: str = "complex") -> NDArray:
    """Return the whole Hessian, one product per column: for small P only.

    Parameters
    ----------
    grad, x, method
        As for :func:`hvp`.

    Returns
    -------
    ndarray, shape (P, P)
        Rows and columns in the order of the flattened parameters. It is not symmetrised, so
        that its asymmetry tells of a wrong gradient.

    Examples
    --------
    >>> def grad(x):  # of x₀² x₁² / 2
    ...     return np.array([x[0] * x[1] ** 2, x[0] ** 2 * x[1]])
    >>> dense_hessian(grad, np.array([1.0, 2.0]))
    array([[4., 4.],
           [4., 1.]])
    """
    product, size = operator(grad, x, method=method)
    return np.stack([product(column) for column in np.eye(size)], axis=1)


def lanczos(product: Callable, start: ArrayLike, steps: int) -> Lanczos:
    r"""Tridiagonalise a symmetric operator on the Krylov space of a start vector.

    Extreme eigenvalues of ``T`` approach those of the operator from inside, fast where they are
    separated. The basis is orthogonalised again at every step, since in floating point the plain
    three-term recurrence loses orthogonality and repeats eigenvalues.

    Parameters
    ----------
    product : callable
        The symmetric operator, from ``(P,)`` to ``(P,)``.
    start : array_like, shape (P,)
        Start vector, not zero.
    steps : int
        Products to take; fewer if the Krylov space is exhausted.

    Returns
    -------
    Lanczos
        ``T`` and the basis.

    Raises
    ------
    ValueError
        If the start is zero or ``steps`` is not positive.

    References
    ----------
    Golub and Van Loan, *Matrix Computations*, 4th edition, chapter 10.

    Examples
    --------
    >>> result = lanczos(lambda v: np.array([1.0, 2.0, 5.0]) * v, np.ones(3), 10)
    >>> result.ritz()[0].round(10).tolist()
    [1.0, 2.0, 5.0]
    """
    q = np.array(start, dtype=float)
    norm = np.linalg.norm(q)
    if steps < 1 or q.ndim != 1 or norm == 0:
        raise ValueError(
            f"lanczos wants a vector that is not zero and steps ≥ 1, got {q.shape}, {steps}"
        )
    basis, alphas, betas = [q / norm], [], []
    scale = 0.0
    for step in range(min(steps, q.size)):
        w = np.asarray(product(basis[-1]), dtype=float)
        alphas.append(float(basis[-1] @ w))
        span = np.array(basis)  # (k, P)
        for _ in range(2):  # twice is enough
            w = w - span.T @ (span @ w)
        beta = float(np.linalg.norm(w))
        scale = max(scale, abs(alphas[-1]), beta)
        if step + 1 == min(steps, q.size) or beta <= 1e-13 * scale:
            break
        betas.append(beta)
        basis.append(w / beta)
    return Lanczos(np.array(alphas), np.array(betas), np.array(basis).T)


def extreme_eigenvalues(
    product: Callable, size: int, *, rng: np.random.Generator, steps: int = 60
) -> tuple[float, float]:
    """Estimate the smallest and the largest eigenvalue of a symmetric operator by Lanczos.

    Parameters
    ----------
    product : callable
        The operator, from ``(P,)`` to ``(P,)``.
    size : int
        ``P``.
    rng : numpy.random.Generator
        Source of the start vector.
    steps : int
        Products to take.

    Returns
    -------
    low, high : float
        Ritz values, inside the true spectrum.

    Examples
    --------
    >>> d = np.linspace(-1, 3, 50)
    >>> low, high = extreme_eigenvalues(lambda v: d * v, 50, rng=np.random.default_rng(0))
    >>> round(low, 8), round(high, 8)
    (-1.0, 3.0)
    """
    values, _ = lanczos(product, rng.standard_normal(size), steps).ritz()
    return float(values[0]), float(values[-1])


def spectral_density(
    product: Callable,
    size: int,
    grid: ArrayLike,
    width: float,
    *,
    rng: np.random.Generator,
    steps: int = 60,
    probes: int = 8,
) -> NDArray:
    r"""Estimate the density of eigenvalues by stochastic Lanczos quadrature.

    For a random unit vector the Ritz values, weighted by the squares of the first entries of the
    eigenvectors of ``T``, are a Gauss quadrature of the spectrum; they are averaged over probes and
    smoothed by a Gaussian.

    Parameters
    ----------
    product : callable
        The operator, from ``(P,)`` to ``(P,)``.
    size : int
        ``P``.
    grid : array_like, shape (G,)
        Where the density is wanted.
    width : float
        Standard deviation of the smoothing Gaussian, in the units of the eigenvalues.
    rng : numpy.random.Generator
        Source of the probes.
    steps, probes : int
        Products per probe, and number of probes.

    Returns
    -------
    ndarray, shape (G,)
        The density; it integrates to 1 over the line.

    Raises
    ------
    ValueError
        If the width is not positive.

    References
    ----------
    Ghorbani, Krishnan and Xiao, *An Investigation into Neural Net Optimization via Hessian
    Eigenvalue Density* (2019), arXiv:1901.10159.

    Examples
    --------
    >>> grid = np.linspace(-3, 6, 901)
    >>> d, rng = np.repeat([0.0, 3.0], [70, 30]), np.random.default_rng(0)
    >>> rho = spectral_density(lambda v: d * v, 100, grid, 0.2, rng=rng, probes=40)
    >>> round(float(rho.sum() * 0.01), 6), round(float(rho[grid > 1.5].sum() * 0.01), 1)
    (1.0, 0.3)
    """
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}")
    grid = np.asarray(grid, dtype=float)
    density = np.zeros_like(grid)
    for _ in range(probes):
        values, vectors = lanczos(product, rng.standard_normal(size), steps).ritz()
        weights = vectors[0] ** 2  # (k,)
        bumps = np.exp(-(((grid[:, None] - values) / width) ** 2) / 2)  # (G, k)
        density += bumps @ weights
    return density / (probes * width * np.sqrt(2 * np.pi))


def hutchinson_trace(
    product: Callable, size: int, *, rng: np.random.Generator, probes: int = 64
) -> Estimate:
    r"""Estimate the trace as the mean of :math:`v^\top H v` over random signs.

    The estimate is unbiased, with variance :math:`2\sum_{i \ne j} H_{ij}^2` for a symmetric
    ``H``: exact for a diagonal one.

    Parameters
    ----------
    product : callable
        The operator, from ``(P,)`` to ``(P,)``.
    size : int
        ``P``.
    rng : numpy.random.Generator
        Source of the signs.
    probes : int
        Number of products, at least 2.

    Returns
    -------
    Estimate
        Mean and standard error.

    Raises
    ------
    ValueError
        If there are fewer than two probes.

    References
    ----------
    Hutchinson (1990).

    Examples
    --------
    >>> hutchinson_trace(lambda v: np.arange(5.0) * v, 5, rng=np.random.default_rng(0)).mean
    10.0
    """
    if probes < 2:
        raise ValueError(f"a standard error needs at least two probes, got {probes}")
    signs = rng.choice([-1.0, 1.0], (probes, size))
    samples = np.array([v @ product(v) for v in signs])
    return Estimate(float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(probes)))

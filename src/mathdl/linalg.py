r"""Linear algebra for networks: eigenpairs by power iteration, PCA, low-rank approximation.

Everything acts on the last two axes, so a leading axis batches for free.
Singular values are called ``s`` and are sorted from the largest; ``r`` is a rank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl._arrays import inexact


class PCA(NamedTuple):
    """Principal components of samples with ``d`` features.

    Attributes
    ----------
    mean : array, shape (d,)
        Of the samples.
    components : array, shape (k, d)
        Orthonormal rows, by falling variance; the largest entry of each is positive.
    variances : array, shape (k,)
        Of the samples along each of them, by ``n - 1``.
    ratios : array, shape (k,)
        Their shares of the variance of all features.
    """

    mean: NDArray
    components: NDArray
    variances: NDArray
    ratios: NDArray


def _floating(name: str, value: ArrayLike, ndim: int = 2) -> NDArray:
    array = inexact(value, name)
    if array.ndim < ndim:
        raise ValueError(f"{name} must have at least {ndim} axes, got shape {array.shape}")
    return array


def _transpose(a: NDArray) -> NDArray:
    return np.swapaxes(a, -1, -2)


def fix_signs(u: NDArray, vt: NDArray) -> tuple[NDArray, NDArray]:
    """Fix the signs of singular vectors: the largest entry of each row of ``vt`` is positive.

    The factorisation is unchanged, since a column of ``u`` turns with its row of ``vt``.

    Parameters
    ----------
    u : ndarray, shape (..., m, k)
        Left singular vectors, as columns.
    vt : ndarray, shape (..., k, n)
        Right singular vectors, as rows.

    Returns
    -------
    u, vt : ndarray
        The same vectors with their signs fixed.

    Examples
    --------
    >>> u, vt = fix_signs(np.array([[1.0]]), np.array([[0.6, -0.8]]))
    >>> u, vt
    (array([[-1.]]), array([[-0.6,  0.8]]))
    """
    largest = np.argmax(np.abs(vt), axis=-1)[..., None]
    signs = np.sign(np.take_along_axis(vt, largest, axis=-1).real)  # (..., k, 1)
    return u * _transpose(signs), vt * signs


def rayleigh_quotient(matrix: ArrayLike, vector: ArrayLike) -> NDArray:
    r"""Return :math:`v^\top A v / v^\top v`.

    Parameters
    ----------
    matrix : array_like, shape (..., n, n)
        A square matrix; the quotient is bounded by its eigenvalues if it is symmetric.
    vector : array_like, shape (..., n)
        A direction, not zero.

    Returns
    -------
    ndarray, shape (...)
        The quotient.

    Raises
    ------
    ValueError
        If the shapes do not fit or a vector is zero.

    Examples
    --------
    >>> float(rayleigh_quotient(np.diag([3.0, 1.0]), np.array([1.0, 1.0])))
    2.0
    """
    a, v = _floating("matrix", matrix), _floating("vector", vector, 1)
    if a.shape[-2:] != (v.shape[-1],) * 2:
        raise ValueError(
            f"a vector {v.shape} needs a matrix (n, n) with n = {v.shape[-1]}, got {a.shape}"
        )
    square = np.sum(v * v, axis=-1)
    if not np.all(square):
        raise ValueError("the Rayleigh quotient of a zero vector is not defined")
    return np.sum(v * (a @ v[..., None])[..., 0], axis=-1) / square


def power_iteration(matrix: ArrayLike, start: ArrayLike, steps: int) -> tuple[NDArray, NDArray]:
    r"""Multiply and normalise: the direction turns towards the dominant eigenvector.

    With :math:`|\lambda_1| > |\lambda_2|` and a start that is not orthogonal to the dominant
    eigenvector, the angle to it shrinks by :math:`|\lambda_2/\lambda_1|` a step; for a symmetric
    matrix the error of the Rayleigh quotient shrinks by the square of that.

    Parameters
    ----------
    matrix : array_like, shape (..., n, n)
        The matrix, real.
    start : array_like, shape (..., n)
        Where to start, not zero.
    steps : int
        Number of multiplications.

    Returns
    -------
    values : ndarray, shape (steps + 1, ...)
        Rayleigh quotient before the first and after each step.
    vectors : ndarray, shape (steps + 1, ..., n)
        The unit vectors.

    Raises
    ------
    ValueError
        If an iterate is exactly zero, or the shapes do not fit.

    References
    ----------
    Golub and Van Loan, *Matrix Computations*, 4th edition, section 7.3.1.

    Examples
    --------
    >>> values, vectors = power_iteration(np.diag([2.0, 1.0]), np.array([1.0, 1.0]), 30)
    >>> float(round(values[-1], 12)), vectors[-1].round(6).tolist()
    (2.0, [1.0, 0.0])
    """
    a, v = _floating("matrix", matrix), _floating("start", start, 1)
    vectors = []
    for step in range(steps + 1):
        if step:
            v = (a @ v[..., None])[..., 0]  # (..., n, n) @ (..., n, 1) -> (..., n)
        norm = np.sqrt(np.sum(v * v, axis=-1, keepdims=True))
        if not np.all(norm):
            raise ValueError(f"the iterate is zero at step {step}: start lies in the null space")
        v = v / norm
        vectors.append(v)
    stacked = np.stack(vectors)
    return rayleigh_quotient(a, stacked), stacked


def pca(x: ArrayLike, n_components: int | None = None) -> PCA:
    """Principal component analysis by the SVD of the centred data.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Samples as rows.
    n_components : int, optional
        How many components to keep; all ``min(n, d)`` by default.

    Returns
    -------
    PCA
        Mean, components (orthonormal rows, signs fixed), variances (eigenvalues of the unbiased
        covariance, divisor ``n - 1``) and their share of the total variance.

    Raises
    ------
    ValueError
        If there are fewer than two samples, or more components are asked for than exist.

    Examples
    --------
    >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> result = pca(x)
    >>> result.variances.round(12).tolist(), result.ratios.round(12).tolist()
    ([2.0, 0.0], [1.0, 0.0])
    """
    x = _floating("x", x)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x must be (samples, features) with at least two samples, got {x.shape}")
    most = min(x.shape)
    keep = most if n_components is None else n_components
    if not 1 <= keep <= most:
        raise ValueError(
            f"n_components must lie in 1..{most} for data of shape {x.shape}, got {keep}"
        )
    mean = x.mean(axis=0)
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    _, components = fix_signs(u, vt)
    variances = s**2 / (len(x) - 1)
    total = variances.sum()
    ratios = variances / total if total > 0 else np.zeros_like(variances)
    return PCA(mean, components[:keep], variances[:keep], ratios[:keep])


def truncated_svd(a: ArrayLike, rank: int) -> tuple[NDArray, NDArray, NDArray]:
    r"""Return the best approximation of a given rank as its three factors.

    By Eckart, Young and Mirsky ``u * s @ vt`` is nearest to ``a`` among all matrices of that rank,
    in the Frobenius and in the spectral norm.

    Parameters
    ----------
    a : array_like, shape (..., m, n)
        The matrix.
    rank : int
        Rank to keep, ``0 <= rank <= min(m, n)``.

    Returns
    -------
    u, s, vt : ndarray, shapes (..., m, r), (..., r), (..., r, n)
        Factors with ``a ≈ (u * s[..., None, :]) @ vt``; signs fixed.

    Raises
    ------
    ValueError
        If the rank does not lie in the range.

    References
    ----------
    Eckart and Young (1936); Mirsky (1960).

    Examples
    --------
    >>> u, s, vt = truncated_svd(np.diag([3.0, 2.0, 1.0]), 2)
    >>> ((u * s) @ vt).round(12).tolist()
    [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    a = _floating("a", a)
    _demand_rank(rank, a.shape)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    u, vt = fix_signs(u[..., :rank], vt[..., :rank, :])
    return u, s[..., :rank], vt


def _demand_rank(rank: int, shape: tuple[int, ...]) -> None:
    if not 0 <= rank <= min(shape[-2:]):
        raise ValueError(
            f"rank must lie in 0..{min(shape[-2:])} for a matrix {shape[-2:]}, got {rank}"
        )


def low_rank_errors(s: ArrayLike) -> NDArray:
    r"""Return the relative Frobenius error of the best approximation at every rank.

    Entry ``r`` is :math:`\sqrt{\sum_{i>r}\sigma_i^2 / \sum_i\sigma_i^2}`, for ``r = 0 … k``.

    Parameters
    ----------
    s : array_like, shape (..., k)
        Singular values, from the largest.

    Returns
    -------
    ndarray, shape (..., k + 1)
        Errors, from 1 at rank 0 to 0 at full rank.

    Raises
    ------
    ValueError
        If the values are not sorted, are negative, or are all zero.

    Examples
    --------
    >>> low_rank_errors(np.array([4.0, 3.0])).tolist()
    [1.0, 0.6, 0.0]
    """
    s = _floating("s", s, 1)
    if np.any(s < 0) or np.any(np.diff(s, axis=-1) > 0):
        raise ValueError("singular values must be non-negative and sorted from the largest")
    if not np.all(s[..., 0]):
        raise ValueError("a zero matrix has no relative error")
    scaled = s / s[..., :1]
    # Summed from the smallest, so that a small tail is not lost beside a large head.
    tails = np.cumsum(scaled[..., ::-1] ** 2, axis=-1)[..., ::-1]
    tails = np.concatenate([tails, np.zeros_like(tails[..., :1])], axis=-1)
    return np.sqrt(tails / tails[..., :1])


def rank_for_error(a: ArrayLike, tol: float) -> int:
    """Return the smallest rank whose best approximation has relative Frobenius error ≤ ``tol``.

    Parameters
    ----------
    a : array_like, shape (m, n) or (k,)
        A matrix (one SVD is taken), or its singular values from the largest.
    tol : float
        Relative error, in [0, 1].

    Returns
    -------
    int
        The rank; 0 if ``tol`` is 1.

    Raises
    ------
    ValueError
        If ``tol`` is outside [0, 1], or ``a`` has more than two axes.

    Examples
    --------
    >>> rank_for_error(np.array([4.0, 3.0]), 0.6), rank_for_error(np.array([4.0, 3.0]), 0.59)
    (1, 2)
    """
    if not 0 <= tol <= 1:
        raise ValueError(f"tol is a relative error in [0, 1], got {tol}")
    a = _floating("a", a, 1)
    if a.ndim > 2:
        raise ValueError(f"a must be one matrix or its singular values, got shape {a.shape}")
    s = a if a.ndim == 1 else np.linalg.svd(a, compute_uv=False)
    return int(np.argmax(low_rank_errors(s) <= tol))


def randomized_svd(
    a: ArrayLike,
    rank: int,
    *,
    rng: np.random.Generator,
    oversampling: int = 10,
    power_iterations: int = 0,
) -> tuple[NDArray, NDArray, NDArray]:
    r"""Approximate the leading singular triplets from a random sketch of the range.

    A Gaussian test matrix of ``rank + oversampling`` columns samples the range, an orthonormal
    basis :math:`Q` of the sample is found, and the SVD of the small :math:`Q^\top A` is
    lifted back.

    Parameters
    ----------
    a : array_like, shape (m, n)
        The matrix.
    rank : int
        Number of triplets to return.
    rng : numpy.random.Generator
        Source of the test matrix.
    oversampling : int
        Extra columns; the expected-error bounds ask for at least 2.
    power_iterations : int
        Times that the sample is multiplied by :math:`A A^\top` (orthonormalised in between), which
        sharpens a slowly decaying spectrum.

    Returns
    -------
    u, s, vt : ndarray, shapes (m, r), (r,), (r, n)
        Approximate singular triplets, signs fixed.

    Raises
    ------
    ValueError
        If the rank does not fit or a count is negative.

    References
    ----------
    Halko, Martinsson and Tropp (2011), algorithms 4.3, 4.4 and 5.1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 30))
    >>> u, s, vt = randomized_svd(a, 3, rng=rng)
    >>> bool(np.allclose((u * s) @ vt, a))
    True
    """
    a = _floating("a", a)
    _demand_rank(rank, a.shape)
    if oversampling < 0 or power_iterations < 0:
        raise ValueError("oversampling and power_iterations must not be negative")
    columns = min(rank + oversampling, *a.shape)
    q, _ = np.linalg.qr(
        a @ rng.standard_normal((a.shape[1], columns)).astype(a.dtype)
    )  # (m, r + p)
    for _ in range(power_iterations):
        q, _ = np.linalg.qr(a.T @ q)
        q, _ = np.linalg.qr(a @ q)
    u, s, vt = np.linalg.svd(q.T @ a, full_matrices=False)  # (r + p, n)
    u, vt = fix_signs(q @ u[:, :rank], vt[:rank])
    return u, s[:rank], vt


def randomized_svd_bound(s: ArrayLike, rank: int, oversampling: int, *, norm: str = "fro") -> float:
    r"""Bound the *expected* error :math:`\mathbb{E}\,\|A - QQ^\top A\|` of a Gaussian sketch.

    With ``p`` extra columns and without power iterations it is, in the Frobenius norm,
    :math:`\sqrt{1 + r/(p-1)}\,(\sum_{j>r}\sigma_j^2)^{1/2}`, and in the spectral norm
    :math:`(1 + \sqrt{r/(p-1)})\,\sigma_{r+1} + e\sqrt{r+p}/p\,(\sum_{j>r}\sigma_j^2)^{1/2}`.
    ``Q`` has all ``r + p`` columns; truncating to rank ``r`` afterwards is not covered.

    Parameters
    ----------
    s : array_like, shape (k,)
        Singular values of ``A`` from the largest.
    rank, oversampling : int
        Rank ``r ≥ 2`` and extra columns ``p ≥ 2`` with ``r + p ≤ k``.
    norm : {"fro", "spectral"}
        Which norm.

    Returns
    -------
    float
        The bound, in the units of ``s``.

    Raises
    ------
    ValueError
        If the theorem's assumptions do not hold.

    References
    ----------
    Halko, Martinsson and Tropp (2011), theorems 10.5 and 10.6.

    Examples
    --------
    >>> round(randomized_svd_bound(np.array([4.0, 3.0, 2.0, 1.0]), 2, 2), 6)
    3.872983
    """
    s = _floating("s", s, 1)
    if rank < 2 or oversampling < 2 or rank + oversampling > s.shape[-1]:
        raise ValueError(
            f"the bound holds for rank ≥ 2, oversampling ≥ 2 and their sum ≤ {s.shape[-1]}, "
            f"got {rank} and {oversampling}"
        )
    tail = float(np.sqrt(np.sum(s[rank:][::-1] ** 2)))
    if norm == "fro":
        return float(np.sqrt(1 + rank / (oversampling - 1))) * tail
    if norm == "spectral":
        first = (1 + np.sqrt(rank / (oversampling - 1))) * s[rank]
        return float(first + np.e * np.sqrt(rank + oversampling) / oversampling * tail)
    raise ValueError(f'norm must be "fro" or "spectral", got {norm!r}')


def pseudo_inverse(a: ArrayLike, *, rtol: float | None = None) -> NDArray:
    r"""Return the Moore–Penrose inverse :math:`V \Sigma^+ U^\top`.

    Parameters
    ----------
    a : array_like, shape (..., m, n)
        The matrix.
    rtol : float, optional
        Singular values below ``rtol`` times the largest count as zero; ``max(m, n)`` machine
        epsilons by default, as in ``torch.linalg.pinv``.

    Returns
    -------
    ndarray, shape (..., n, m)
        The inverse on the row space, zero on the complement of the column space.

    References
    ----------
    Golub and Van Loan, *Matrix Computations*, 4th edition, section 5.5.2.

    Examples
    --------
    >>> pseudo_inverse(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    a = _floating("a", a)
    if rtol is None:
        rtol = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    keep = s > rtol * s[..., :1]
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0)  # (..., k)
    return _transpose(vt).conj() @ (inverse[..., None] * _transpose(u).conj())


def marchenko_pastur_edges(ratio: float, variance: float = 1.0) -> tuple[float, float]:
    r"""Return the edges :math:`\sigma^2(1 \mp \sqrt{y})^2` of the Marchenko–Pastur law.

    It is the limit of the eigenvalues of :math:`W^\top W / m` for ``W`` of shape ``(m, n)`` with
    independent entries of the given variance as both sides grow with ``n / m = y``.

    Parameters
    ----------
    ratio : float
        ``y = n / m``, in (0, 1].
    variance : float
        Variance of an entry.

    Returns
    -------
    low, high : float
        Ends of the support.

    Raises
    ------
    ValueError
        If ``ratio`` is outside (0, 1].

    References
    ----------
    Marchenko and Pastur (1967).

    Examples
    --------
    >>> marchenko_pastur_edges(0.25)
    (0.25, 2.25)
    """
    if not 0 < ratio <= 1:
        raise ValueError(
            f"ratio = n / m must lie in (0, 1]; transpose the matrix otherwise. Got {ratio}"
        )
    root = float(np.sqrt(ratio))
    return variance * (1 - root) ** 2, variance * (1 + root) ** 2


def marchenko_pastur_pdf(x: ArrayLike, ratio: float, variance: float = 1.0) -> NDArray:
    r"""Return the Marchenko–Pastur density.

    It is :math:`\sqrt{(\lambda_+-x)(x-\lambda_-)}/(2\pi\sigma^2 y x)` between the edges.

    Parameters
    ----------
    x : array_like
        Eigenvalues of :math:`W^\top W/m`, positive.
    ratio, variance : float
        As for :func:`marchenko_pastur_edges`.

    Returns
    -------
    ndarray
        The density, 0 outside the support.

    Examples
    --------
    >>> float(marchenko_pastur_pdf(1.0, 1.0).round(6))
    0.275664
    """
    low, high = marchenko_pastur_edges(ratio, variance)
    x = inexact(x)
    inside = (x > low) & (x < high)
    safe = np.where(inside, x, (low + high) / 2)
    density = np.sqrt((high - safe) * (safe - low)) / (2 * np.pi * variance * ratio * safe)
    return np.where(inside, density, 0)


def marchenko_pastur_error(fraction: ArrayLike, ratio: float = 1.0) -> NDArray:
    r"""Predict the relative error of the best approximation of a large random matrix.

    Keeping the top ``fraction`` of the singular values of an ``(m, n)`` matrix of independent
    entries leaves the relative Frobenius error
    :math:`\bigl(\int_{\lambda_-}^{t}\lambda\,dF / \int\lambda\,dF\bigr)^{1/2}`, where ``t`` is
    the quantile above which ``fraction`` of the eigenvalues lie.

    Parameters
    ----------
    fraction : array_like
        Share of the singular values kept, ``r / n``, in [0, 1].
    ratio : float
        ``n / m``, in (0, 1].

    Returns
    -------
    ndarray
        Relative error in the limit of large matrices.

    Raises
    ------
    ValueError
        If a fraction lies outside [0, 1].

    Notes
    -----
    The substitution :math:`\lambda = c + h\cos\theta` makes both integrands smooth; they are
    tabulated by the trapezoidal rule on a fine grid and inverted by linear interpolation.

    Examples
    --------
    >>> float(marchenko_pastur_error(0.5).round(3))
    0.326
    """
    fraction = np.asarray(fraction, dtype=float)
    if np.any((fraction < 0) | (fraction > 1)):
        raise ValueError("fraction is a share of the singular values in [0, 1]")
    low, high = marchenko_pastur_edges(ratio)
    centre, half = (low + high) / 2, (high - low) / 2
    theta = np.linspace(0.0, np.pi, 20_001)  # from the largest eigenvalue to the smallest
    value = centre + half * np.cos(theta)
    energy = half**2 * np.sin(theta) ** 2 / (2 * np.pi * ratio)  # λ dF/dθ
    # At ratio 1 and θ = π this is 0/0; its limit there is 2·half/(2π).
    count = np.divide(
        energy, value, out=np.full_like(value, half / np.pi), where=value > 1e-12 * high
    )

    def cumulative(density: NDArray) -> NDArray:
        steps = (density[1:] + density[:-1]) / 2
        total = np.concatenate([[0.0], np.cumsum(steps)])
        return total / total[-1]

    kept = np.interp(fraction, cumulative(count), cumulative(energy))
    return np.sqrt(1 - kept)


def newton_schulz(
    g: ArrayLike,
    steps: int = 5,
    *,
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: float = 1e-7,
) -> NDArray:
    r"""Push every singular value towards 1 by matrix products alone.

    One step is :math:`X \leftarrow aX + (bXX^\top + c(XX^\top)^2)X`, which acts on each
    singular value as :math:`\sigma \mapsto a\sigma + b\sigma^3 + c\sigma^5`.
    Muon's default coefficients reach about [0.7, 1.2] in five steps and do not converge;
    ``(15/8, -10/8, 3/8)`` converges to the polar factor :math:`UV^\top`.

    Parameters
    ----------
    g : array_like, shape (..., m, n)
        The matrix, not zero.
    steps : int
        Number of steps.
    coefficients : tuple of three floats
        ``(a, b, c)``.
    eps : float
        Floor of the Frobenius norm that ``g`` is divided by, so that all singular values start ≤ 1.

    Returns
    -------
    ndarray, shape (..., m, n)
        A matrix with the singular vectors of ``g`` and singular values near 1.

    References
    ----------
    Jordan et al., *Muon: An optimizer for hidden layers in neural networks* (2024); Higham,
    *Functions of Matrices* (2008), section 8.3.

    Examples
    --------
    >>> x = newton_schulz(np.diag([3.0, 1.0]), 12, coefficients=(15 / 8, -10 / 8, 3 / 8))
    >>> x.round(9).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    x = _floating("g", g)
    a, b, c = coefficients
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else _transpose(x)  # the Gram matrix is taken on the short side
    norm = np.sqrt(np.sum(x * x, axis=(-2, -1), keepdims=True))
    x = x / np.maximum(norm, np.asarray(eps, dtype=x.dtype))
    for _ in range(steps):
        gram = x @ _transpose(x)  # (..., k, k), k = min(m, n)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else _transpose(x)

r"""Entropy, cross-entropy and divergences of discrete distributions, in nats.

Distributions lie along one axis, the last by default. They are refused when they are not
distributions: a negative divergence only ever comes from arguments that do not sum to one.
Zero probabilities follow the limits: :math:`0\log 0 = 0`, and where :math:`p > 0 = q` the
divergence :math:`D(p \parallel q)` is :math:`+\infty`.

`entropy`, `cross_entropy` and `kl_divergence` have a ``_vjp`` for the gradient with respect to
*unconstrained* entries: the derivative as if every entry could move alone, so compose it with a
softmax for a gradient that stays on the simplex.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl._arrays import inexact
from mathdl.numerics import _log1p

_SLACK = 1e3  # machine epsilons that a sum may be off one; a softmax of 10⁶ entries stays within


def distribution(name: str, p: ArrayLike, axis: int | tuple[int, ...] = -1) -> NDArray:
    """Return ``p`` as an array if it is a probability distribution along ``axis``.

    Parameters
    ----------
    name : str
        What to call it in the error.
    p : array_like
        Probabilities.
    axis : int or tuple of int
        Along which they sum to one.

    Returns
    -------
    ndarray
        The same numbers.

    Raises
    ------
    ValueError
        If an entry is negative or not finite, or a sum is not 1.

    Examples
    --------
    >>> distribution("p", [0.5, 0.6])
    Traceback (most recent call last):
    ValueError: p must sum to 1 along axis -1, but a sum is 1.1: normalise it
    """
    array = inexact(p, name)
    real = array.real
    if not np.all(np.isfinite(real)) or np.any(real < 0):
        raise ValueError(f"{name} must hold probabilities, but an entry is negative or not finite")
    total = real.sum(axis=axis)
    off = np.abs(total - 1)
    if np.any(off > _SLACK * np.finfo(real.dtype).eps):
        worst = total.flat[int(np.argmax(off))]
        raise ValueError(
            f"{name} must sum to 1 along axis {axis}, but a sum is {worst:.6g}: normalise it"
        )
    return array


def _pair(p: ArrayLike, q: ArrayLike, axis: int) -> tuple[NDArray, NDArray]:
    p, q = distribution("p", p, axis), distribution("q", q, axis)
    if p.shape != q.shape:
        raise ValueError(f"p and q must have one shape, got {p.shape} and {q.shape}")
    return p, q


def _log(p: NDArray) -> NDArray:
    """Logarithm with −∞ at zero and no warning."""
    with np.errstate(divide="ignore"):
        return np.log(p)


def _times_log(p: NDArray, q: NDArray) -> NDArray:
    """Return p·log q with 0·log 0 = 0 and −∞ where p > 0 = q."""
    alive = p.real > 0
    return np.where(alive, p * _log(np.where(alive, q, 1)), 0)


def entropy(p: ArrayLike, axis: int = -1) -> NDArray:
    r"""Return :math:`H(p) = -\sum_k p_k \log p_k`.

    Parameters
    ----------
    p : array_like
        Probabilities along ``axis``.
    axis : int
        Which axis they lie along.

    Returns
    -------
    ndarray
        Nats, without that axis; between 0 and the log of the number of outcomes.

    Raises
    ------
    ValueError
        If ``p`` is not a distribution.

    References
    ----------
    Shannon (1948); Cover and Thomas, *Elements of Information Theory*, section 2.1.

    Examples
    --------
    >>> float(entropy([0.25, 0.25, 0.5, 0.0]).round(6))
    1.039721
    """
    p = distribution("p", p, axis)
    # Adding 0 turns the -0.0 of a certain outcome into 0.0.
    return -np.sum(_times_log(p, p), axis=axis) + 0.0


def entropy_vjp(p: ArrayLike, dy: ArrayLike = 1.0, axis: int = -1) -> NDArray:
    r"""Return :math:`\bar y\,(-\log p_k - 1)`, the gradient of the entropy.

    Parameters
    ----------
    p, axis
        As for :func:`entropy`.
    dy : array_like, shape of the entropy
        Cotangent.

    Returns
    -------
    ndarray, shape of ``p``
        Gradient with respect to unconstrained entries; infinite where an entry is 0.

    Examples
    --------
    >>> entropy_vjp([1.0, 0.0]).tolist()
    [-1.0, inf]
    """
    p = distribution("p", p, axis)
    return np.expand_dims(np.asarray(dy, p.real.dtype), axis) * (-_log(p) - 1)


def cross_entropy(p: ArrayLike, q: ArrayLike, axis: int = -1) -> NDArray:
    r"""Return :math:`H(p, q) = -\sum_k p_k \log q_k`.

    Parameters
    ----------
    p, q : array_like, one shape
        The distribution that draws, and the one that codes.
    axis : int
        Which axis they lie along.

    Returns
    -------
    ndarray
        Nats; :math:`+\infty` where ``q`` gives no probability to what ``p`` draws.

    Raises
    ------
    ValueError
        If either is not a distribution, or the shapes differ.

    Examples
    --------
    >>> float(cross_entropy([0.5, 0.5], [0.5, 0.5]).round(6))
    0.693147
    >>> float(cross_entropy([1.0, 0.0], [0.0, 1.0]))
    inf
    """
    p, q = _pair(p, q, axis)
    return -np.sum(_times_log(p, q), axis=axis) + 0.0


def cross_entropy_vjp(p: ArrayLike, q: ArrayLike, dy: ArrayLike = 1.0, axis: int = -1) -> NDArray:
    r"""Return :math:`-\bar y\,p_k/q_k`, the gradient of the cross-entropy with respect to ``q``.

    Parameters
    ----------
    p, q, axis
        As for :func:`cross_entropy`.
    dy : array_like, shape of the cross-entropy
        Cotangent.

    Returns
    -------
    ndarray, shape of ``q``
        Gradient with respect to unconstrained entries of ``q``; 0 where ``p`` is 0.

    Examples
    --------
    >>> cross_entropy_vjp([0.5, 0.5], [0.25, 0.75]).round(6).tolist()
    [-2.0, -0.666667]
    """
    p, q = _pair(p, q, axis)
    with np.errstate(divide="ignore"):
        ratio = np.where(p.real > 0, p / np.where(p.real > 0, q, 1), 0)
    return -np.expand_dims(np.asarray(dy, p.real.dtype), axis) * ratio


def kl_divergence(p: ArrayLike, q: ArrayLike, axis: int = -1) -> NDArray:
    r"""Return :math:`D(p \parallel q) = \sum_k p_k \log(p_k/q_k)`.

    It punishes ``q`` for missing mass where ``p`` has it. It is summed as
    :math:`\sum_k \bigl(p_k\log(p_k/q_k) - p_k + q_k\bigr)`, whose terms are not negative, so that
    rounding cannot make the divergence of near distributions negative.

    Parameters
    ----------
    p, q : array_like, one shape
        Distributions along ``axis``.
    axis : int
        Which axis they lie along.

    Returns
    -------
    ndarray
        Nats, ≥ 0; :math:`+\infty` where ``q`` gives no probability to what ``p`` draws.

    Raises
    ------
    ValueError
        If either is not a distribution, or the shapes differ.

    References
    ----------
    Kullback and Leibler (1951).

    Examples
    --------
    >>> p, q = [0.5, 0.5], [0.25, 0.75]
    >>> float(kl_divergence(p, q).round(6)), float(kl_divergence(q, p).round(6))
    (0.143841, 0.130812)
    >>> float(kl_divergence([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    p, q = _pair(p, q, axis)
    alive = p.real > 0
    safe = np.where(alive, p, 1)
    change = (q - p) / safe
    # Near numbers through log1p of their small difference, others directly: each keeps its digits.
    near = np.abs(change.real) < 0.5
    ratio = np.where(near, _log1p(np.where(near, change, 0)), _log(q) - _log(safe))
    return np.sum(np.where(alive, (q - p) - p * ratio, q), axis=axis)


def kl_divergence_vjp(
    p: ArrayLike, q: ArrayLike, dy: ArrayLike = 1.0, axis: int = -1
) -> tuple[NDArray, NDArray]:
    r"""Return the gradients :math:`\bar y\log(p_k/q_k)` and :math:`\bar y\,(1 - p_k/q_k)`.

    They are those of the generalised divergence :math:`\sum_k (p_k\log(p_k/q_k) - p_k + q_k)`,
    which :func:`kl_divergence` sums; through a softmax they give the same as the plain sum.

    Parameters
    ----------
    p, q, axis
        As for :func:`kl_divergence`.
    dy : array_like, shape of the divergence
        Cotangent.

    Returns
    -------
    dp, dq : ndarray, shape of ``p``
        Gradients with respect to unconstrained entries.

    Examples
    --------
    >>> dp, dq = kl_divergence_vjp([0.5, 0.5], [0.25, 0.75])
    >>> dp.round(6).tolist(), dq.round(6).tolist()
    ([0.693147, -0.405465], [-1.0, 0.333333])
    """
    p, q = _pair(p, q, axis)
    dy = np.expand_dims(np.asarray(dy, p.real.dtype), axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        dp = np.where((p.real > 0) | (q.real > 0), _log(p) - _log(q), 0)
        dq = np.where(p.real > 0, 1 - p / q, 1)
    return dy * dp, dy * dq


def js_divergence(p: ArrayLike, q: ArrayLike, axis: int = -1) -> NDArray:
    r"""Return the Jensen–Shannon divergence.

    It is :math:`\tfrac12 D(p\parallel m) + \tfrac12 D(q\parallel m)` with :math:`m = (p + q)/2`:
    symmetric, at most :math:`\log 2`, and the square of a metric.

    Parameters
    ----------
    p, q : array_like, one shape
        Distributions along ``axis``.
    axis : int
        Which axis they lie along.

    Returns
    -------
    ndarray
        Nats, in :math:`[0, \log 2]`.

    Raises
    ------
    ValueError
        If either is not a distribution, or the shapes differ.

    References
    ----------
    Lin (1991).

    Examples
    --------
    >>> float(js_divergence([1.0, 0.0], [0.0, 1.0]).round(6))
    0.693147
    """
    p, q = _pair(p, q, axis)
    middle = (p + q) / 2
    return (kl_divergence(p, middle, axis) + kl_divergence(q, middle, axis)) / 2


def mutual_information(joint: ArrayLike) -> NDArray:
    r"""Return :math:`I(X; Y) = D\bigl(p(x, y) \parallel p(x)\,p(y)\bigr)`.

    Parameters
    ----------
    joint : array_like, shape (..., m, n)
        Joint probabilities; each last two axes sum to one.

    Returns
    -------
    ndarray, shape (...)
        Nats, ≥ 0; 0 exactly if the variables are independent.

    Raises
    ------
    ValueError
        If the joint is not a distribution or has fewer than two axes.

    References
    ----------
    Cover and Thomas, *Elements of Information Theory*, section 2.3.

    Examples
    --------
    >>> float(mutual_information([[0.5, 0.0], [0.0, 0.5]]).round(6))
    0.693147
    >>> float(mutual_information([[0.25, 0.25], [0.25, 0.25]]))
    0.0
    """
    joint = inexact(joint, "joint")
    if joint.ndim < 2:
        raise ValueError(f"joint must have at least two axes, got shape {joint.shape}")
    joint = distribution("joint", joint, axis=(-2, -1))
    product = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)  # (..., m, n)
    flat = (*joint.shape[:-2], -1)
    return kl_divergence(joint.reshape(flat), product.reshape(flat))


def gaussian_kl(
    mean_p: ArrayLike, std_p: ArrayLike, mean_q: ArrayLike, std_q: ArrayLike
) -> NDArray:
    r"""Return the divergence between two normal distributions, in closed form.

    .. math:: D(p\parallel q) = \log\frac{\sigma_q}{\sigma_p}
        + \frac{\sigma_p^2 + (\mu_p - \mu_q)^2}{2\sigma_q^2} - \frac12

    Parameters
    ----------
    mean_p, std_p, mean_q, std_q : array_like
        Means and standard deviations (not variances), broadcast against each other.

    Returns
    -------
    ndarray
        Nats, ≥ 0.

    Raises
    ------
    ValueError
        If a standard deviation is not positive.

    Examples
    --------
    >>> float(gaussian_kl(0.0, 1.0, 1.0, 1.0)), float(gaussian_kl(0.0, 1.0, 0.0, 2.0).round(6))
    (0.5, 0.318147)
    """
    mp, sp = inexact(mean_p, "mean_p"), inexact(std_p, "std_p")
    mq, sq = inexact(mean_q, "mean_q"), inexact(std_q, "std_q")
    if np.any(sp.real <= 0) or np.any(sq.real <= 0):
        raise ValueError("standard deviations must be positive")
    # ½(r² − 1) − log r with r = σp/σq, without cancellation near r = 1.
    excess = sp / sq - 1
    return excess * (excess + 2) / 2 - _log1p(excess) + ((mp - mq) / sq) ** 2 / 2

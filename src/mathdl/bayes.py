r"""Bayesian inference in closed form, around a mode, and by a variational bound.

Conjugate updates return the posterior as a distribution of :mod:`mathdl.distributions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl._arrays import inexact
from mathdl.distributions import Bernoulli, Beta, MultivariateNormal, Normal
from mathdl.hessian import dense_hessian
from mathdl.numerics import lgamma


class Laplace(NamedTuple):
    """A normal approximation of a posterior around its mode.

    Attributes
    ----------
    posterior : MultivariateNormal
        Mean at the mode, covariance the inverse of the curvature.
    log_evidence : float
        Approximate log-evidence.
    """

    posterior: MultivariateNormal
    log_evidence: float


class Elbo(NamedTuple):
    """A Monte-Carlo estimate of the evidence lower bound and of its gradients.

    Attributes
    ----------
    value, standard_error : float
        Mean over the samples, and its standard error.
    dloc, dlog_scale : ndarray, shape (d,)
        Reparametrised gradients, means over the samples.
    """

    value: float
    standard_error: float
    dloc: NDArray
    dlog_scale: NDArray


def _counts(heads: Any, tails: Any) -> tuple[NDArray, NDArray]:
    heads, tails = np.asarray(heads), np.asarray(tails)
    if np.any(heads < 0) or np.any(tails < 0):
        raise ValueError("counts must not be negative")
    return heads, tails


def beta_bernoulli(prior: Beta, heads: ArrayLike, tails: ArrayLike) -> Beta:
    r"""Update a Beta prior by counts of a Bernoulli variable: add them to the concentrations.

    Parameters
    ----------
    prior : Beta
        Belief about the probability of heads.
    heads, tails : array_like
        Counts.

    Returns
    -------
    Beta
        The posterior.

    Raises
    ------
    ValueError
        If a count is negative.

    References
    ----------
    Murphy, *Probabilistic Machine Learning: An Introduction* (2022), section 4.6.2.

    Examples
    --------
    >>> posterior = beta_bernoulli(Beta(1.0, 1.0), heads=7, tails=3)
    >>> float(posterior.concentration1), float(posterior.concentration0)
    (8.0, 4.0)
    """
    heads, tails = _counts(heads, tails)
    return Beta(prior.concentration1 + heads, prior.concentration0 + tails)


def beta_bernoulli_predictive(posterior: Beta) -> Bernoulli:
    """Return the distribution of the next toss, the parameter integrated out.

    Parameters
    ----------
    posterior : Beta
        Belief about the probability of heads.

    Returns
    -------
    Bernoulli
        Its probability of heads is the posterior's mean.

    Examples
    --------
    >>> beta_bernoulli_predictive(Beta(8.0, 4.0)).probs.round(6).item()
    0.666667
    """
    return Bernoulli.from_probs(posterior.mean())


def beta_bernoulli_evidence(prior: Beta, heads: ArrayLike, tails: ArrayLike) -> NDArray:
    r"""Return the log-probability of one sequence of tosses, the parameter integrated out.

    It is :math:`\log B(\alpha + h, \beta + t) - \log B(\alpha, \beta)`, B the Beta function.

    Parameters
    ----------
    prior : Beta
        Belief about the probability of heads.
    heads, tails : array_like
        Counts of the sequence, in whatever order the tosses came.

    Returns
    -------
    ndarray
        Log-evidence, in nats.

    Raises
    ------
    ValueError
        If a count is negative.

    Examples
    --------
    >>> float(np.exp(beta_bernoulli_evidence(Beta(1.0, 1.0), 1, 1)).round(6))
    0.166667
    """
    heads, tails = _counts(heads, tails)

    def log_beta(a: NDArray, b: NDArray) -> NDArray:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    a, b = prior.concentration1, prior.concentration0
    return log_beta(a + heads, b + tails) - log_beta(a, b)


def normal_normal(prior: Normal, x: ArrayLike, scale: ArrayLike) -> Normal:
    r"""Update a normal prior of a mean by observations of known standard deviation.

    Precisions add: :math:`1/\tau_n^2 = 1/\tau_0^2 + n/\sigma^2`, and the posterior mean is the
    average of prior mean and observations weighted by their precisions.

    Parameters
    ----------
    prior : Normal
        Belief about the mean.
    x : array_like, shape (n, ...)
        Independent observations along the first axis.
    scale : array_like
        Standard deviation of one observation.

    Returns
    -------
    Normal
        The posterior of the mean.

    Raises
    ------
    ValueError
        If the scale is not positive or ``x`` has no axis of observations.

    References
    ----------
    Murphy (2022), section 4.6.4.1.

    Examples
    --------
    >>> posterior = normal_normal(Normal(0.0, 1.0), [2.0, 2.0, 2.0], scale=1.0)
    >>> float(posterior.loc), float(posterior.scale)
    (1.5, 0.5)
    """
    x, scale = inexact(x), inexact(scale, "scale")
    if x.ndim == 0:
        raise ValueError("x must be (observations, ...): one number is an array of one")
    if np.any(scale.real <= 0):
        raise ValueError("scale must be positive")
    precision = 1 / prior.scale**2 + len(x) / scale**2
    loc = (prior.loc / prior.scale**2 + x.sum(axis=0) / scale**2) / precision
    return Normal(loc, 1 / np.sqrt(precision))


def normal_normal_predictive(posterior: Normal, scale: ArrayLike) -> Normal:
    r"""Return the distribution of the next observation: variances of belief and noise add.

    Parameters
    ----------
    posterior : Normal
        Belief about the mean.
    scale : array_like
        Standard deviation of one observation.

    Returns
    -------
    Normal
        The predictive distribution.

    Examples
    --------
    >>> float(normal_normal_predictive(Normal(0.0, 3.0), 4.0).scale)
    5.0
    """
    return Normal(posterior.loc, np.hypot(posterior.scale, inexact(scale, "scale")))


def linear_regression(
    x: ArrayLike, y: ArrayLike, *, noise_scale: float, prior_scale: float
) -> MultivariateNormal:
    r"""Return the posterior of a linear model's weights, for normal noise and a normal prior.

    Its mean minimises :math:`\lVert y - Xw\rVert^2/2\sigma^2 + \lVert w\rVert^2/2\tau^2`: weight
    decay with coefficient :math:`\sigma^2/\tau^2` beside half the sum of squares.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Inputs as rows.
    y : array_like, shape (n,)
        Targets.
    noise_scale, prior_scale : float
        ``σ`` and ``τ``.

    Returns
    -------
    MultivariateNormal
        Posterior of the weights, shape ``(d,)``.

    Raises
    ------
    ValueError
        If the shapes do not fit or a scale is not positive.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 3.3.

    Examples
    --------
    >>> posterior = linear_regression([[1.0], [1.0]], [2.0, 4.0], noise_scale=1.0, prior_scale=1.0)
    >>> posterior.loc.round(6).tolist()
    [2.0]
    """
    x, y = inexact(x), inexact(y, "y")
    if x.ndim != 2 or y.shape != (len(x),):
        raise ValueError(f"x must be (n, d) and y (n,), got {x.shape} and {y.shape}")
    if noise_scale <= 0 or prior_scale <= 0:
        raise ValueError("noise_scale and prior_scale must be positive")
    precision = x.T @ x / noise_scale**2 + np.eye(x.shape[1]) / prior_scale**2
    loc = np.linalg.solve(precision, x.T @ y / noise_scale**2)
    covariance = np.linalg.inv(precision)
    return MultivariateNormal.from_covariance(loc, (covariance + covariance.T) / 2)


def laplace_approximation(log_joint: Callable, grad: Callable, mode: ArrayLike) -> Laplace:
    r"""Approximate a posterior by the normal distribution that has its mode and curvature.

    With :math:`H` the Hessian of :math:`-\log p(\theta, D)` at the mode, the posterior is taken as
    :math:`\mathcal{N}(\hat\theta, H^{-1})` and the log-evidence as
    :math:`\log p(\hat\theta, D) + \tfrac d2\log 2\pi - \tfrac12\log\det H`.

    Parameters
    ----------
    log_joint : callable
        Log of likelihood times prior, from ``(d,)`` to a scalar.
    grad : callable
        Its gradient, from ``(d,)`` to ``(d,)``, complex-safe.
    mode : array_like, shape (d,)
        A maximum of it.

    Returns
    -------
    Laplace
        The approximation, exact for a normal posterior.

    Raises
    ------
    ValueError
        If the point is no maximum: its gradient is not small, or the curvature is not positive.

    References
    ----------
    MacKay, *Information Theory, Inference, and Learning Algorithms* (2003), chapter 27.

    Examples
    --------
    >>> result = laplace_approximation(lambda t: -np.sum(t**2) / 2, lambda t: -t, np.zeros(2))
    >>> round(result.log_evidence, 6), result.posterior.variance().tolist()
    (1.837877, [1.0, 1.0])
    """
    mode = inexact(mode, "mode")
    if mode.ndim != 1:
        raise ValueError(f"mode must be a vector, got shape {mode.shape}")
    curvature = -dense_hessian(grad, mode)
    curvature = (curvature + curvature.T) / 2
    values = np.linalg.eigvalsh(curvature)
    if values[0] <= 0:
        raise ValueError(f"not a maximum: the curvature has the eigenvalue {values[0]:.3g}")
    step = np.linalg.solve(curvature, grad(mode))  # how far the mode is, by Newton
    if np.sqrt(step @ curvature @ step) > 1e-3:  # in standard deviations
        raise ValueError(f"not a maximum: the gradient there is {np.asarray(grad(mode))}")
    covariance = np.linalg.inv(curvature)
    posterior = MultivariateNormal.from_covariance(mode, (covariance + covariance.T) / 2)
    evidence = log_joint(mode) + (mode.size * np.log(2 * np.pi) - np.sum(np.log(values))) / 2
    return Laplace(posterior, float(evidence))


def elbo(
    log_joint: Callable,
    grad: Callable,
    loc: ArrayLike,
    log_scale: ArrayLike,
    *,
    rng: np.random.Generator,
    samples: int = 64,
) -> Elbo:
    r"""Estimate the evidence lower bound of a factorised normal ``q``.

    It is :math:`\mathbb{E}_q[\log p(\theta, D) - \log q(\theta)]`, at most the log-evidence by
    :math:`D(q \parallel p(\cdot\mid D)) \ge 0`. Samples are
    :math:`\theta = \mu + e^{\rho}\varepsilon`, through which the gradient of the log-joint
    flows; the entropy of ``q`` and its gradient are exact.

    Parameters
    ----------
    log_joint : callable
        Log of likelihood times prior, from ``(samples, d)`` to ``(samples,)``.
    grad : callable
        Its gradient, from ``(samples, d)`` to ``(samples, d)``.
    loc, log_scale : array_like, shape (d,)
        Mean and log standard deviation of ``q``.
    rng : numpy.random.Generator
        Source of the noise.
    samples : int
        At least 2.

    Returns
    -------
    Elbo
        Value, standard error and gradients.

    Raises
    ------
    ValueError
        If the shapes differ, or there are fewer than two samples.

    References
    ----------
    Kingma and Welling, *Auto-Encoding Variational Bayes* (2013), arXiv:1312.6114.

    Examples
    --------
    >>> def log_joint(t):  # a standard normal: its evidence is 1
    ...     return -np.sum(t**2 + np.log(2 * np.pi), axis=-1) / 2
    >>> zero, rng = np.zeros(2), np.random.default_rng(0)
    >>> result = elbo(log_joint, lambda t: -t, zero, zero, rng=rng, samples=10_000)
    >>> abs(result.value) < 5 * result.standard_error
    True
    """
    loc, log_scale = inexact(loc, "loc"), inexact(log_scale, "log_scale")
    if loc.ndim != 1 or loc.shape != log_scale.shape:
        raise ValueError(f"loc and log_scale must be (d,), got {loc.shape} and {log_scale.shape}")
    if samples < 2:
        raise ValueError(f"a standard error needs at least two samples, got {samples}")
    q = Normal(loc, np.exp(log_scale))
    theta, slopes = q.rsample(rng, (samples,))  # (samples, d)
    values, slope = np.asarray(log_joint(theta)), np.asarray(grad(theta))
    if values.shape != (samples,) or slope.shape != theta.shape:
        raise ValueError(
            f"log_joint must return ({samples},) and grad {theta.shape} for theta {theta.shape}, "
            f"got {values.shape} and {slope.shape}"
        )
    dlog_scale = np.mean(slope * slopes["scale"], axis=0) * q.scale + 1  # 1 from the entropy
    return Elbo(
        float(values.mean() + np.sum(q.entropy())),
        float(values.std(ddof=1) / np.sqrt(samples)),
        slope.mean(axis=0),
        dlog_scale,
    )

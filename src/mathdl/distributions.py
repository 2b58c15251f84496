r"""Probability distributions: log-probability, score, sampling and moments.

A distribution is an object with its parameters, which broadcast against each other; its
``batch`` shape is theirs. ``log_prob(x)`` broadcasts ``x`` against it; ``score(x)`` gives the
gradients of the log-probability, by parameter name and for ``"x"`` where the variable is
continuous. ``sample(rng, shape)`` draws arrays of shape ``shape + batch + event``; where a
sample is a differentiable function of noise and parameters, written out or given by its quantile,
``rsample`` draws the same and also returns the derivative of the sample by each parameter.

Names, parameters and supports are those of ``torch.distributions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl._arrays import inexact
from mathdl.activations import log_softmax, softmax, softplus
from mathdl.information import distribution, gaussian_kl
from mathdl.numerics import digamma, lgamma

_LOG_TWO_PI = float(np.log(2 * np.pi))


def _logical(name: str, ok: Any, wanted: str) -> None:
    if not np.all(ok):
        raise ValueError(f"{name} must be {wanted}")


def _beta_slope(x: NDArray, y: NDArray, a: NDArray, b: NDArray) -> NDArray:
    r"""Return ∂x/∂a of a Beta(a, b) sample x = 1 - y whose quantile is held fixed.

    Differentiating :math:`F(x; a, b) = u` gives :math:`-(\partial F/\partial a)/p(x)`. The
    distribution function on the nearer side of the mean is
    :math:`F = \frac{x\,y}{a}\,p(x)\,h(x; a, b)` with a continued fraction h (DLMF 8.17.22), whose
    derivative a complex step gives.
    """
    total = a + b
    left = x * (total + 2) <= a + 1  # where the fraction of F converges, else that of 1 - F does
    z = np.where(left, x, y)
    p = np.where(left, a, b) + 1e-30j * left
    q = np.where(left, b, a) + 1e-30j * ~left
    h = np.ones(z.shape, complex)
    # The terms needed grow like the power 0.4 of the concentrations, by trial up to 1e8.
    for m in range(20 + int(3 * np.max(total, initial=0) ** 0.4), -1, -1):
        h = 1 - (p + m) * (p + q + m) * z / ((p + 2 * m) * (p + 2 * m + 1)) / h
        if m:
            h = 1 + m * (q - m) * z / ((p + 2 * m - 1) * (p + 2 * m)) / h
    near = x < 0.5
    log = np.where(near, np.log(np.where(x > 0, x, 1)), np.log1p(-np.where(near, 0, y)))
    rate = log + digamma(total) - digamma(a) - np.where(left, 1 / a, 0)
    # the logarithmic derivative of 1/h is that of h, turned
    rate -= h.imag / h.real / 1e-30
    # at an end, to which a sample may be rounded, x y = 0: it stays there
    return np.where(left, -1, 1) * x * y / (h.real * p.real) * rate


def _outside(log_prob: NDArray, inside: NDArray) -> NDArray:
    """Log-probability −∞ outside the support."""
    return np.where(inside, log_prob, -np.inf)


class _Univariate:
    """What the distributions of single numbers share: parameters that broadcast."""

    def __post_init__(self) -> None:
        values = {f.name: inexact(getattr(self, f.name), f.name) for f in fields(self)}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        np.broadcast_shapes(*(value.shape for value in values.values()))
        self._demand()

    def _demand(self) -> None:
        raise NotImplementedError

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the parameters, broadcast."""
        return np.broadcast_shapes(*(getattr(self, f.name).shape for f in fields(self)))

    @property
    def dtype(self) -> np.dtype:
        """Floating-point type of the parameters."""
        return np.result_type(*(getattr(self, f.name).real for f in fields(self)))

    def _draws(self, values: NDArray) -> NDArray:
        return np.asarray(values).astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Normal(_Univariate):
    r"""Normal distribution with density :math:`e^{-(x-\mu)^2/2\sigma^2}/\sqrt{2\pi\sigma^2}`.

    Parameters
    ----------
    loc, scale : array_like
        Mean and standard deviation (not variance), floats.

    Raises
    ------
    ValueError
        If a scale is not positive.

    Examples
    --------
    >>> float(Normal(0.0, 1.0).log_prob(0.0).round(6))
    -0.918939
    """

    loc: ArrayLike
    scale: ArrayLike

    def _demand(self) -> None:
        _logical("scale", self.scale.real > 0, "positive")

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-density at ``x``."""
        z = (inexact(x) - self.loc) / self.scale
        return -(z * z + _LOG_TWO_PI) / 2 - np.log(self.scale)

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradients of the log-density: ``loc``, ``scale`` and ``x``."""
        z = (inexact(x) - self.loc) / self.scale
        slope = z / self.scale
        return {"loc": slope, "scale": (z * z - 1) / self.scale, "x": -slope}

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw samples of shape ``shape + batch``."""
        return self.rsample(rng, shape)[0]

    def rsample(
        self, rng: np.random.Generator, shape: tuple[int, ...] = ()
    ) -> tuple[NDArray, dict[str, NDArray]]:
        r"""Draw :math:`x = \mu + \sigma\varepsilon` and return its derivatives, 1 and ε."""
        noise = self._draws(rng.standard_normal((*shape, *self.batch)))
        return self.loc + self.scale * noise, {"loc": np.ones_like(noise), "scale": noise}

    def mean(self) -> NDArray:
        """Return the mean."""
        return np.broadcast_to(self.loc, self.batch)

    def variance(self) -> NDArray:
        """Return the variance."""
        return np.broadcast_to(self.scale**2, self.batch)

    def entropy(self) -> NDArray:
        """Return the differential entropy, in nats."""
        return np.broadcast_to((1 + _LOG_TWO_PI) / 2 + np.log(self.scale), self.batch)


@dataclass(frozen=True)
class Laplace(_Univariate):
    r"""Laplace distribution with density :math:`e^{-|x-\mu|/b}/2b`.

    Parameters
    ----------
    loc, scale : array_like
        Location and scale ``b``, floats; the variance is ``2 b²``.

    Raises
    ------
    ValueError
        If a scale is not positive.

    Examples
    --------
    >>> float(Laplace(0.0, 1.0).log_prob(2.0).round(6))
    -2.693147
    """

    loc: ArrayLike
    scale: ArrayLike

    def _demand(self) -> None:
        _logical("scale", self.scale.real > 0, "positive")

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-density at ``x``."""
        z = (inexact(x) - self.loc) / self.scale
        return -np.where(z.real < 0, -z, z) - np.log(2 * self.scale)

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradients: ``loc``, ``scale`` and ``x``; 0 at the kink for ``loc``, ``x``."""
        z = (inexact(x) - self.loc) / self.scale
        sign = np.sign(z.real)
        return {
            "loc": sign / self.scale,
            "scale": (sign * z - 1) / self.scale,
            "x": -sign / self.scale,
        }

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw samples of shape ``shape + batch``."""
        return self.rsample(rng, shape)[0]

    def rsample(
        self, rng: np.random.Generator, shape: tuple[int, ...] = ()
    ) -> tuple[NDArray, dict[str, NDArray]]:
        """Draw location plus scale times standard Laplace noise, and return both derivatives."""
        noise = self._draws(rng.laplace(size=(*shape, *self.batch)))
        return self.loc + self.scale * noise, {"loc": np.ones_like(noise), "scale": noise}

    def mean(self) -> NDArray:
        """Return the mean."""
        return np.broadcast_to(self.loc, self.batch)

    def variance(self) -> NDArray:
        """Return the variance."""
        return np.broadcast_to(2 * self.scale**2, self.batch)

    def entropy(self) -> NDArray:
        """Return the differential entropy, in nats."""
        return np.broadcast_to(1 + np.log(2 * self.scale), self.batch)


@dataclass(frozen=True)
class Bernoulli(_Univariate):
    r"""Bernoulli distribution, given by the logit :math:`\log\frac{p}{1-p}` of success.

    Parameters
    ----------
    logits : array_like
        Log-odds, floats; use :meth:`from_probs` for probabilities.

    Examples
    --------
    >>> Bernoulli(0.0).log_prob(1.0).round(6).item()
    -0.693147
    """

    logits: ArrayLike

    def _demand(self) -> None:
        _logical("logits", ~np.isnan(self.logits), "numbers")

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> Bernoulli:
        """Build from probabilities in [0, 1]; the ends give infinite logits."""
        p = inexact(probs, "probs")
        _logical("probs", (p.real >= 0) & (p.real <= 1), "in [0, 1]")
        with np.errstate(divide="ignore"):
            return cls(np.log(p) - np.log1p(-p))

    @property
    def probs(self) -> NDArray:
        """Probability of success."""
        return np.exp(self._log_probs()[1])

    def _log_probs(self) -> tuple[NDArray, NDArray]:
        """Return log(1 − p) and log p, without cancellation."""
        return -softplus(self.logits), -softplus(-self.logits)

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-probability of 0 or 1; −∞ for anything else."""
        x = np.asarray(x)
        failure, success = self._log_probs()
        return _outside(np.where(x == 1, success, failure), (x == 0) | (x == 1))

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradient with respect to the logits, ``x - p``."""
        return {"logits": np.asarray(x) - self.probs}

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw zeros and ones of shape ``shape + batch``."""
        return self._draws(rng.random((*shape, *self.batch)) < self.probs)

    def mean(self) -> NDArray:
        """Return the mean, ``p``."""
        return self.probs

    def variance(self) -> NDArray:
        """Return the variance, ``p (1 - p)``."""
        failure, success = self._log_probs()
        return np.exp(failure + success)

    def entropy(self) -> NDArray:
        """Return the entropy, in nats."""
        certain = np.isinf(self.logits.real)
        uncertain = Bernoulli(np.where(certain, 0, self.logits))
        failure, success = uncertain._log_probs()
        return np.where(certain, 0, -np.exp(failure) * failure - np.exp(success) * success)


@dataclass(frozen=True)
class Poisson(_Univariate):
    r"""Poisson distribution with :math:`P(x = k) = \lambda^k e^{-\lambda}/k!`.

    Parameters
    ----------
    rate : array_like
        Expected count, floats.

    Raises
    ------
    ValueError
        If a rate is not positive.

    Examples
    --------
    >>> float(Poisson(2.0).log_prob(0.0))
    -2.0
    """

    rate: ArrayLike

    def _demand(self) -> None:
        _logical("rate", self.rate.real > 0, "positive")

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-probability of the counts ``x``; −∞ where ``x`` is no count."""
        x = np.asarray(x, dtype=self.dtype)
        count = (x >= 0) & (x == np.floor(x))
        safe = np.where(count, x, 0)
        return _outside(safe * np.log(self.rate) - self.rate - lgamma(safe + 1), count)

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradient with respect to the rate, ``x / rate - 1``."""
        return {"rate": np.asarray(x) / self.rate - 1}

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw counts of shape ``shape + batch``."""
        return self._draws(rng.poisson(self.rate, (*shape, *self.batch)))

    def mean(self) -> NDArray:
        """Return the mean."""
        return self.rate

    def variance(self) -> NDArray:
        """Return the variance."""
        return self.rate

    def entropy(self) -> NDArray:
        """Return the entropy, in nats, summed over all counts that matter.

        There is no closed form; terms beyond 12 standard deviations are below rounding.
        """
        top = float(np.max(self.rate, initial=0))
        counts = np.arange(int(top + 12 * np.sqrt(top) + 40), dtype=self.dtype)
        log_p = Poisson(self.rate[..., None]).log_prob(counts)
        return -np.sum(np.exp(log_p) * log_p, axis=-1)


@dataclass(frozen=True)
class Beta(_Univariate):
    r"""Beta distribution, density :math:`x^{\alpha-1}(1-x)^{\beta-1}/B(\alpha,\beta)` on (0, 1).

    Parameters
    ----------
    concentration1, concentration0 : array_like
        ``α`` and ``β``, floats.

    Raises
    ------
    ValueError
        If a concentration is not positive.

    Examples
    --------
    >>> Beta(2.0, 1.0).log_prob(0.5).round(6).item()
    0.0
    >>> x, slopes = Beta(2.0, 1.0).rsample(np.random.default_rng(0))  # F(x) = x^concentration1
    >>> bool(np.isclose(slopes["concentration1"], -x * np.log(x) / 2))
    True
    """

    concentration1: ArrayLike
    concentration0: ArrayLike

    def _demand(self) -> None:
        _logical("concentration1", self.concentration1.real > 0, "positive")
        _logical("concentration0", self.concentration0.real > 0, "positive")

    @property
    def total(self) -> NDArray:
        """The sum of the concentrations."""
        return self.concentration1 + self.concentration0

    def _log_norm(self) -> NDArray:
        return lgamma(self.concentration1) + lgamma(self.concentration0) - lgamma(self.total)

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-density at ``x``; −∞ outside (0, 1)."""
        x = inexact(x)
        inside = (x.real > 0) & (x.real < 1)
        x = np.where(inside, x, 0.5)
        a, b = self.concentration1 - 1, self.concentration0 - 1
        return _outside(a * np.log(x) + b * np.log(1 - x) - self._log_norm(), inside)

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradients: ``concentration1``, ``concentration0`` and ``x``."""
        x, common = inexact(x), digamma(self.total)
        return {
            "concentration1": np.log(x) + common - digamma(self.concentration1),
            "concentration0": np.log(1 - x) + common - digamma(self.concentration0),
            "x": (self.concentration1 - 1) / x - (self.concentration0 - 1) / (1 - x),
        }

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw samples of shape ``shape + batch``."""
        size = (*shape, *self.batch)
        return self._draws(rng.beta(self.concentration1, self.concentration0, size))

    def rsample(
        self, rng: np.random.Generator, shape: tuple[int, ...] = ()
    ) -> tuple[NDArray, dict[str, NDArray]]:
        r"""Draw samples as :meth:`sample` does, and their derivatives by the concentrations.

        There is no closed form of the sample in a noise without parameters; its derivative at a
        fixed quantile, :math:`-(\partial F/\partial\alpha)/p(x)`, needs none.

        References
        ----------
        Figurnov, Mohamed and Mnih, *Implicit reparameterization gradients* (2018).
        """
        x = self.sample(rng, shape)
        wide = x.astype(np.float64)
        a, b = (
            np.broadcast_to(c, x.shape).astype(np.float64)
            for c in (self.concentration1, self.concentration0)
        )
        return x, {
            "concentration1": self._draws(_beta_slope(wide, 1 - wide, a, b)),
            "concentration0": self._draws(-_beta_slope(1 - wide, wide, b, a)),
        }

    def mean(self) -> NDArray:
        """Return the mean."""
        return self.concentration1 / self.total

    def variance(self) -> NDArray:
        """Return the variance."""
        return self.concentration1 * self.concentration0 / (self.total**2 * (self.total + 1))

    def entropy(self) -> NDArray:
        """Return the differential entropy, in nats."""
        a, b = self.concentration1, self.concentration0
        excess = (self.total - 2) * digamma(self.total)
        return self._log_norm() - (a - 1) * digamma(a) - (b - 1) * digamma(b) + excess


@dataclass(frozen=True)
class Categorical:
    r"""Categorical distribution over ``K`` outcomes, given by logits.

    Parameters
    ----------
    logits : array_like, shape (..., K)
        Log-probabilities up to a constant per row; use :meth:`from_probs` for probabilities.

    Raises
    ------
    ValueError
        If there is no axis of outcomes.

    Examples
    --------
    >>> Categorical(np.zeros(4)).log_prob(2).round(6).item()
    -1.386294
    """

    logits: ArrayLike

    def __post_init__(self) -> None:
        logits = inexact(self.logits, "logits")
        if logits.ndim == 0 or logits.shape[-1] == 0:
            raise ValueError(f"logits must be (..., outcomes), got shape {logits.shape}")
        object.__setattr__(self, "logits", logits)

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> Categorical:
        """Build from probabilities along the last axis, which must sum to one."""
        with np.errstate(divide="ignore"):
            return cls(np.log(distribution("probs", probs)))

    @property
    def log_probs(self) -> NDArray:
        """Normalised log-probabilities, shape ``(..., K)``."""
        return log_softmax(self.logits)

    @property
    def probs(self) -> NDArray:
        """Probabilities, shape ``(..., K)``."""
        return np.exp(self.log_probs)

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape without the outcomes."""
        return self.logits.shape[:-1]

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-probability of the outcomes ``x``, integers ``0 … K - 1``.

        Raises
        ------
        ValueError
            If an outcome is outside that range.
        """
        x = self._outcomes(x)
        shape = np.broadcast_shapes(x.shape, self.batch)
        table = np.broadcast_to(self.log_probs, (*shape, self.logits.shape[-1]))
        return np.take_along_axis(table, np.broadcast_to(x, shape)[..., None], axis=-1)[..., 0]

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradient with respect to the logits: one-hot minus probabilities."""
        x = self._outcomes(x)
        one_hot = x[..., None] == np.arange(self.logits.shape[-1])
        return {"logits": one_hot - self.probs}

    def _outcomes(self, x: ArrayLike) -> NDArray:
        x = np.asarray(x)
        k = self.logits.shape[-1]
        if x.dtype.kind not in "iu" or np.any((x < 0) | (x >= k)):
            raise ValueError(f"outcomes must be integers in 0..{k - 1}")
        return x

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        r"""Draw outcomes of shape ``shape + batch`` by the Gumbel-max trick.

        The largest of :math:`\log p_k + g_k`, with independent standard Gumbel noise, is at ``k``
        with probability :math:`p_k`.
        """
        noise = rng.gumbel(size=(*shape, *self.logits.shape))
        return np.argmax(self.log_probs + noise, axis=-1)

    def mean(self) -> NDArray:
        """Return the mean of the one-hot outcome: the probabilities, shape ``(..., K)``."""
        return self.probs

    def variance(self) -> NDArray:
        """Return the variance of each entry of the one-hot outcome, shape ``(..., K)``."""
        return self.probs * (1 - self.probs)

    def entropy(self) -> NDArray:
        """Return the entropy, in nats."""
        p, log_p = self.probs, self.log_probs
        return -np.sum(np.where(p.real > 0, p * np.where(p.real > 0, log_p, 0), 0), axis=-1) + 0.0


@dataclass(frozen=True)
class Dirichlet:
    r"""Dirichlet distribution on the simplex, density :math:`\propto \prod_k x_k^{\alpha_k - 1}`.

    Parameters
    ----------
    concentration : array_like, shape (..., K)
        ``α``, floats, ``K ≥ 2``.

    Raises
    ------
    ValueError
        If a concentration is not positive, or there are fewer than two outcomes.

    Examples
    --------
    >>> Dirichlet(np.ones(3)).log_prob([0.2, 0.3, 0.5]).round(6).item()
    0.693147
    """

    concentration: ArrayLike

    def __post_init__(self) -> None:
        a = inexact(self.concentration, "concentration")
        if a.ndim == 0 or a.shape[-1] < 2:
            raise ValueError(f"concentration must be (..., outcomes ≥ 2), got shape {a.shape}")
        _logical("concentration", a.real > 0, "positive")
        object.__setattr__(self, "concentration", a)

    @property
    def total(self) -> NDArray:
        """The sum of the concentrations, shape ``(...)``."""
        return self.concentration.sum(axis=-1)

    def _log_norm(self) -> NDArray:
        return lgamma(self.concentration).sum(axis=-1) - lgamma(self.total)

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-density at points ``x (..., K)`` of the simplex.

        Raises
        ------
        ValueError
            If a point is not on the simplex.
        """
        x = distribution("x", x)
        return np.sum((self.concentration - 1) * np.log(x), axis=-1) - self._log_norm()

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        """Return the gradients: ``concentration``, and ``x`` with unconstrained entries."""
        x = distribution("x", x)
        common = digamma(self.total)[..., None]
        return {
            "concentration": np.log(x) + common - digamma(self.concentration),
            "x": (self.concentration - 1) / x,
        }

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw points of shape ``shape + batch + (K,)``: normalised gamma variates."""
        a = self.concentration
        size = (*shape, *a.shape)
        if np.min(a, initial=1) >= 0.1:
            gamma = rng.gamma(a, size=size)
            points = gamma / gamma.sum(axis=-1, keepdims=True)
        else:  # all variates of a point may underflow, their logarithms do not
            points = softmax(np.log(rng.gamma(a + 1, size=size)) - rng.exponential(size=size) / a)
        return points.astype(self.concentration.dtype, copy=False)

    def rsample(
        self, rng: np.random.Generator, shape: tuple[int, ...] = ()
    ) -> tuple[NDArray, dict[str, NDArray]]:
        r"""Draw points as :meth:`sample` does, and their Jacobians by the concentrations.

        ``concentration`` has shape ``shape + batch + (K, K)``, entry (i, j) being

        .. math::
            \frac{\partial x_i}{\partial\alpha_j}
            = \frac{\delta_{ij} - x_i}{1 - x_j}\,s_j,

        where :math:`s_j` is the derivative of :math:`x_j`, a Beta variable, at a fixed quantile,
        and the others keep their proportions, which do not depend on it. A cotangent dx gives
        :math:`\sum_i dx_i\,\partial x_i/\partial\alpha_j`, as torch does.

        References
        ----------
        Jankowiak and Obermeyer, *Pathwise derivatives beyond the reparameterization trick* (2018).
        """
        x = self.sample(rng, shape)
        wide, eye = x.astype(np.float64), np.eye(x.shape[-1])
        a = np.broadcast_to(self.concentration, x.shape).astype(np.float64)
        # the sums of the others, without the cancellation of 1 - x
        y, b = wide @ (1 - eye), a @ (1 - eye)
        slope = _beta_slope(wide, y, a, b) / np.where(y > 0, y, 1)
        jacobian = (eye - wide[..., :, None]) * slope[..., None, :]
        return x, {"concentration": jacobian.astype(x.dtype, copy=False)}

    def mean(self) -> NDArray:
        """Return the mean, shape ``(..., K)``."""
        return self.concentration / self.total[..., None]

    def variance(self) -> NDArray:
        """Return the variance of each entry, shape ``(..., K)``."""
        mean = self.mean()
        return mean * (1 - mean) / (self.total[..., None] + 1)

    def entropy(self) -> NDArray:
        """Return the differential entropy, in nats."""
        a, k = self.concentration, self.concentration.shape[-1]
        spread = (self.total - k) * digamma(self.total)
        return self._log_norm() + spread - np.sum((a - 1) * digamma(a), axis=-1)


@dataclass(frozen=True)
class MultivariateNormal:
    r"""Multivariate normal distribution in ``d`` dimensions, given by a Cholesky factor.

    Parameters
    ----------
    loc : array_like, shape (..., d)
        Mean.
    scale_tril : array_like, shape (..., d, d)
        Lower triangular ``L`` with positive diagonal, covariance :math:`LL^\top`; use
        :meth:`from_covariance` for a covariance.

    Raises
    ------
    ValueError
        If the shapes do not fit, or ``L`` is not lower triangular with a positive diagonal.

    Examples
    --------
    >>> MultivariateNormal(np.zeros(2), np.eye(2)).log_prob(np.zeros(2)).round(6).item()
    -1.837877
    """

    loc: ArrayLike
    scale_tril: ArrayLike

    def __post_init__(self) -> None:
        loc, l = inexact(self.loc, "loc"), inexact(self.scale_tril, "scale_tril")
        if loc.ndim == 0 or l.shape[-2:] != (loc.shape[-1],) * 2:
            raise ValueError(
                f"loc (..., d) needs scale_tril (..., d, d), got {loc.shape}, {l.shape}"
            )
        _logical("scale_tril", l == np.tril(l), "lower triangular")
        diagonal = np.diagonal(l, axis1=-2, axis2=-1)
        _logical("the diagonal of scale_tril", diagonal.real > 0, "positive")
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "scale_tril", l)

    @classmethod
    def from_covariance(cls, loc: ArrayLike, covariance: ArrayLike) -> MultivariateNormal:
        """Build from a covariance, shape ``(..., d, d)``, symmetric and positive definite.

        Raises
        ------
        ValueError
            If it is not.
        """
        covariance = inexact(covariance, "covariance")
        if not np.allclose(covariance, np.swapaxes(covariance, -1, -2), rtol=1e-10, atol=0):
            raise ValueError("the covariance must be symmetric")
        try:
            return cls(loc, np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            raise ValueError("the covariance must be positive definite") from None

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape without the event."""
        return np.broadcast_shapes(self.loc.shape[:-1], self.scale_tril.shape[:-2])

    @property
    def covariance(self) -> NDArray:
        """Covariance, shape ``(..., d, d)``."""
        return self.scale_tril @ np.swapaxes(self.scale_tril, -1, -2)

    def _log_det(self) -> NDArray:
        return np.sum(np.log(np.diagonal(self.scale_tril, axis1=-2, axis2=-1)), axis=-1)

    def _whiten(self, x: ArrayLike) -> NDArray:
        x = inexact(x)
        if x.ndim == 0 or x.shape[-1] != self.loc.shape[-1]:
            raise ValueError(f"x must be (..., {self.loc.shape[-1]}), got shape {x.shape}")
        return np.linalg.solve(self.scale_tril, (x - self.loc)[..., None])[..., 0]  # L z = x - μ

    def log_prob(self, x: ArrayLike) -> NDArray:
        """Return the log-density at points ``x (..., d)``."""
        z = self._whiten(x)
        d = self.loc.shape[-1]
        return -(np.sum(z * z, axis=-1) + d * _LOG_TWO_PI) / 2 - self._log_det()

    def score(self, x: ArrayLike) -> dict[str, NDArray]:
        r"""Return the gradients: ``loc``, ``scale_tril`` (its lower triangle) and ``x``.

        With :math:`z = L^{-1}(x - \mu)`, that of ``L`` is the lower triangle of
        :math:`L^{-\top}(zz^\top - I)`.
        """
        z = self._whiten(x)
        upper = np.swapaxes(self.scale_tril, -1, -2)
        slope = np.linalg.solve(upper, z[..., None])[..., 0]
        inner = z[..., :, None] * z[..., None, :] - np.eye(z.shape[-1])
        return {"loc": slope, "scale_tril": np.tril(np.linalg.solve(upper, inner)), "x": -slope}

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> NDArray:
        """Draw samples of shape ``shape + batch + (d,)``."""
        return self.rsample(rng, shape)[0]

    def rsample(
        self, rng: np.random.Generator, shape: tuple[int, ...] = ()
    ) -> tuple[NDArray, NDArray]:
        r"""Draw :math:`x = \mu + Lz` and return the noise ``z`` with it.

        The derivatives are :math:`\partial x_i/\partial\mu_i = 1` and
        :math:`\partial x_i/\partial L_{ij} = z_j`.
        """
        d = self.loc.shape[-1]
        z = rng.standard_normal((*shape, *self.batch, d)).astype(self.loc.dtype, copy=False)
        return self.loc + (self.scale_tril @ z[..., None])[..., 0], z

    def mean(self) -> NDArray:
        """Return the mean, shape ``batch + (d,)``."""
        return np.broadcast_to(self.loc, (*self.batch, self.loc.shape[-1]))

    def variance(self) -> NDArray:
        """Return the variance of each entry, shape ``batch + (d,)``."""
        variance = np.sum(self.scale_tril**2, axis=-1)
        return np.broadcast_to(variance, (*self.batch, self.loc.shape[-1]))

    def entropy(self) -> NDArray:
        """Return the differential entropy, in nats."""
        d = self.loc.shape[-1]
        return np.broadcast_to(d * (1 + _LOG_TWO_PI) / 2 + self._log_det(), self.batch)


def _discrete_kl(p_logs: NDArray, q_logs: NDArray) -> NDArray:
    alive = p_logs.real > -np.inf
    gap = np.where(alive, p_logs, 0) - np.where(alive, q_logs, 0)
    return np.sum(np.where(alive, np.exp(p_logs) * gap, 0), axis=-1)


def _bernoulli_kl(p: Bernoulli, q: Bernoulli) -> NDArray:
    return _discrete_kl(np.stack(p._log_probs(), axis=-1), np.stack(q._log_probs(), axis=-1))


def _laplace_kl(p: Laplace, q: Laplace) -> NDArray:
    gap = p.loc - q.loc
    gap = np.where(gap.real < 0, -gap, gap)
    moved = p.scale * np.exp(-gap / p.scale) + gap
    return np.log(q.scale / p.scale) + moved / q.scale - 1


def _dirichlet_kl(p: Dirichlet, q: Dirichlet) -> NDArray:
    a, b = p.concentration, q.concentration
    pull = digamma(a) - digamma(p.total)[..., None]
    return q._log_norm() - p._log_norm() + np.sum((a - b) * pull, axis=-1)


def _as_dirichlet(beta: Beta) -> Dirichlet:
    pair = np.broadcast_arrays(beta.concentration1, beta.concentration0)
    return Dirichlet(np.stack(pair, axis=-1))


def _multivariate_kl(p: MultivariateNormal, q: MultivariateNormal) -> NDArray:
    z = q._whiten(p.loc)
    ratio = np.linalg.solve(q.scale_tril, p.scale_tril)  # L_q⁻¹ L_p
    spread = np.sum(ratio**2, axis=(-2, -1)) + np.sum(z * z, axis=-1) - z.shape[-1]
    return spread / 2 + q._log_det() - p._log_det()


_KL: dict[type, Callable[[Any, Any], NDArray]] = {
    Normal: lambda p, q: gaussian_kl(p.loc, p.scale, q.loc, q.scale),
    Laplace: _laplace_kl,
    Bernoulli: _bernoulli_kl,
    Categorical: lambda p, q: _discrete_kl(p.log_probs, q.log_probs),
    Poisson: lambda p, q: p.rate * np.log(p.rate / q.rate) - (p.rate - q.rate),
    Beta: lambda p, q: _dirichlet_kl(_as_dirichlet(p), _as_dirichlet(q)),
    Dirichlet: _dirichlet_kl,
    MultivariateNormal: _multivariate_kl,
}


def kl_divergence(p: Any, q: Any) -> NDArray:
    r"""Return :math:`D(p \parallel q)` between two distributions of one kind, in closed form.

    Parameters
    ----------
    p, q : distributions of this module, of one kind
        The distribution that draws, and the one that is compared with it.

    Returns
    -------
    ndarray, shape of the batches broadcast
        Nats, ≥ 0 up to rounding; infinite where ``q`` excludes what ``p`` draws.

    Raises
    ------
    TypeError
        If the kinds differ.

    Examples
    --------
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0)).item()
    0.5
    >>> kl_divergence(Bernoulli.from_probs(0.5), Bernoulli.from_probs(1.0)).item()
    inf
    """
    if type(p) is not type(q) or type(p) not in _KL:
        raise TypeError(
            f"there is a closed form between two of one kind, not {type(p).__name__} "
            f"and {type(q).__name__}"
        )
    return np.asarray(_KL[type(p)](p, q))

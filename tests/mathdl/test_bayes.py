"""`mathdl.bayes` against numerical integration, scikit-learn and exact posteriors."""

import numpy as np
import pytest
import scipy.integrate
from sklearn.linear_model import Ridge

from mathdl import bayes
from mathdl.distributions import Beta, MultivariateNormal, Normal


@pytest.mark.parametrize(("heads", "tails"), [(0, 0), (7, 3), (0, 12)])
def test_beta_bernoulli_is_bayes_rule_by_integration(heads, tails):
    prior = Beta(2.0, 3.0)

    def joint(p):
        return p**heads * (1 - p) ** tails * float(np.exp(prior.log_prob(p)))

    evidence = scipy.integrate.quad(joint, 0, 1, epsabs=1e-14)[0]
    posterior = bayes.beta_bernoulli(prior, heads, tails)
    for p in (0.1, 0.5, 0.8):
        assert float(np.exp(posterior.log_prob(p))) == pytest.approx(joint(p) / evidence, rel=1e-9)
    assert bayes.beta_bernoulli_evidence(prior, heads, tails) == pytest.approx(np.log(evidence))
    predictive = scipy.integrate.quad(lambda p: p * joint(p), 0, 1, epsabs=1e-14)[0] / evidence
    assert bayes.beta_bernoulli_predictive(posterior).probs == pytest.approx(predictive, rel=1e-9)


def test_learning_in_two_portions_is_learning_at_once():
    prior = Beta(1.5, 1.0)
    at_once = bayes.beta_bernoulli(prior, 9, 4)
    in_turn = bayes.beta_bernoulli(bayes.beta_bernoulli(prior, 5, 0), 4, 4)
    assert (at_once.concentration1, at_once.concentration0) == (
        in_turn.concentration1,
        in_turn.concentration0,
    )


@pytest.mark.parametrize("n", [0, 1, 8])
def test_normal_normal_is_bayes_rule_by_integration(n):
    x = np.random.default_rng(n).normal(2, 0.7, n)
    prior, scale = Normal(-1.0, 1.5), 0.7

    def joint(m):
        return float(np.exp(prior.log_prob(m) + np.sum(Normal(m, scale).log_prob(x))))

    def integral(f):
        return scipy.integrate.quad(f, -12, 12, points=[0, 1, 2], epsabs=1e-16, limit=300)[0]

    evidence = integral(joint)
    posterior = bayes.normal_normal(prior, x, scale)
    mean = integral(lambda m: m * joint(m)) / evidence
    assert posterior.loc == pytest.approx(mean, rel=1e-7)
    variance = integral(lambda m: (m - mean) ** 2 * joint(m)) / evidence
    assert posterior.scale**2 == pytest.approx(variance, rel=1e-7)
    predictive = bayes.normal_normal_predictive(posterior, scale)
    at = integral(lambda m: joint(m) * float(np.exp(Normal(m, scale).log_prob(0.5)))) / evidence
    assert float(np.exp(predictive.log_prob(0.5))) == pytest.approx(at, rel=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_map_of_a_normal_prior_is_weight_decay(seed):
    rng = np.random.default_rng(seed)
    x, sigma, tau = rng.standard_normal((30, 4)), 0.5, 2.0
    y = x @ rng.normal(0, tau, 4) + rng.normal(0, sigma, 30)
    posterior = bayes.linear_regression(x, y, noise_scale=sigma, prior_scale=tau)
    ridge = Ridge(alpha=sigma**2 / tau**2, fit_intercept=False, solver="cholesky").fit(x, y)
    np.testing.assert_allclose(posterior.loc, ridge.coef_, rtol=1e-10)
    # Descent on the loss with decay ends at the same weights.
    w, step = np.zeros(4), 1 / np.linalg.eigvalsh(x.T @ x + np.eye(4))[-1]
    for _ in range(3000):
        w -= step * (x.T @ (x @ w - y) + sigma**2 / tau**2 * w)
    np.testing.assert_allclose(w, posterior.loc, rtol=1e-8)


def linear_model(seed=0):
    rng = np.random.default_rng(seed)
    x, sigma, tau = rng.standard_normal((12, 2)), 0.8, 1.2
    y = x @ np.array([1.0, -0.5]) + rng.normal(0, sigma, 12)

    def log_joint(w):
        likelihood = Normal(np.asarray(w) @ x.T, sigma).log_prob(y).sum(axis=-1)
        return likelihood + Normal(0.0, tau).log_prob(np.asarray(w)).sum(axis=-1)

    def grad(w):
        return (y - w @ x.T) @ x / sigma**2 - w / tau**2

    marginal = MultivariateNormal.from_covariance(
        np.zeros(12), sigma**2 * np.eye(12) + tau**2 * x @ x.T
    )
    posterior = bayes.linear_regression(x, y, noise_scale=sigma, prior_scale=tau)
    return log_joint, grad, posterior, float(marginal.log_prob(y))


def test_laplace_is_exact_where_the_posterior_is_normal():
    log_joint, grad, posterior, evidence = linear_model()
    result = bayes.laplace_approximation(log_joint, grad, posterior.loc)
    np.testing.assert_allclose(result.posterior.covariance, posterior.covariance, rtol=1e-10)
    assert result.log_evidence == pytest.approx(evidence, rel=1e-12)


def test_laplace_is_near_and_gets_nearer_with_data_for_a_coin():
    errors = []
    for n in (5, 50, 500):
        heads, tails = 3 * n // 5, 2 * n // 5

        # In the log-odds t, with a Beta(2, 2) prior turned into that variable.
        def log_joint(t, heads=heads, tails=tails):
            p = 1 / (1 + np.exp(-t[0]))
            return float((heads + 2) * np.log(p) + (tails + 2) * np.log(1 - p) + np.log(6))

        def grad(t, heads=heads, tails=tails):
            p = 1 / (1 + np.exp(-t))
            return (heads + 2) * (1 - p) - (tails + 2) * p

        mode = np.array([np.log((heads + 2) / (tails + 2))])
        approximate = bayes.laplace_approximation(log_joint, grad, mode).log_evidence
        errors.append(
            abs(approximate - bayes.beta_bernoulli_evidence(Beta(2.0, 2.0), heads, tails))
        )
    assert errors[0] < 0.1 and errors[1] < errors[0] / 5 and errors[2] < errors[1] / 5


@pytest.mark.parametrize("seed", range(10))
def test_the_elbo_stays_below_the_evidence_and_tells_how_far(seed):
    log_joint, grad, posterior, evidence = linear_model(seed)
    rng = np.random.default_rng(seed)
    loc, log_scale = rng.standard_normal(2), rng.standard_normal(2) / 2
    result = bayes.elbo(log_joint, grad, loc, log_scale, rng=rng, samples=20_000)
    # The gap is the divergence of q from the posterior, in closed form.
    from mathdl.distributions import kl_divergence

    q = MultivariateNormal(loc, np.diag(np.exp(log_scale)))
    gap = float(kl_divergence(q, posterior))
    assert result.value == pytest.approx(evidence - gap, abs=5 * result.standard_error)
    assert result.value < evidence + 5 * result.standard_error


def test_elbo_gradients_are_those_of_its_own_value():
    log_joint, grad, _, _ = linear_model()
    loc, log_scale = np.array([0.3, -0.2]), np.array([-0.5, 0.1])

    def value(loc, log_scale):  # common random numbers: the same seed
        rng = np.random.default_rng(0)
        return bayes.elbo(log_joint, grad, loc, log_scale, rng=rng, samples=500).value

    result = bayes.elbo(log_joint, grad, loc, log_scale, rng=np.random.default_rng(0), samples=500)
    for i, e in enumerate(np.eye(2) * 1e-5):
        slope = (value(loc + e, log_scale) - value(loc - e, log_scale)) / 2e-5
        assert result.dloc[i] == pytest.approx(slope, rel=1e-7)
        slope = (value(loc, log_scale + e) - value(loc, log_scale - e)) / 2e-5
        assert result.dlog_scale[i] == pytest.approx(slope, rel=1e-7)


def test_ascending_the_elbo_finds_the_best_factorised_normal():
    log_joint, grad, posterior, _ = linear_model()
    loc, log_scale, rng = np.zeros(2), np.zeros(2), np.random.default_rng(0)
    for step in range(600):
        rate = 0.02 / (1 + step / 200)
        result = bayes.elbo(log_joint, grad, loc, log_scale, rng=rng, samples=32)
        loc, log_scale = loc + rate * result.dloc, log_scale + rate * result.dlog_scale
    np.testing.assert_allclose(loc, posterior.loc, atol=0.05)
    # The optimum of the reverse divergence has the precision's diagonal, not the variances.
    best = 1 / np.sqrt(np.diag(np.linalg.inv(posterior.covariance)))
    np.testing.assert_allclose(np.exp(log_scale), best, rtol=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.beta_bernoulli(Beta(1.0, 1.0), -1, 2), "negative"),
        (lambda: bayes.normal_normal(Normal(0.0, 1.0), 1.0, 1.0), "array of one"),
        (lambda: bayes.normal_normal(Normal(0.0, 1.0), [1.0], 0.0), "positive"),
        (
            lambda: bayes.linear_regression(
                np.ones((3, 2)), np.ones((3, 1)), noise_scale=1, prior_scale=1
            ),
            r"\(3, 1\)",
        ),
        (
            lambda: bayes.linear_regression(
                np.ones((3, 2)), np.ones(3), noise_scale=0, prior_scale=1
            ),
            "positive",
        ),
        (
            lambda: bayes.laplace_approximation(
                lambda t: np.sum(t**2), lambda t: 2 * t, np.zeros(2)
            ),
            "eigenvalue",
        ),
        (
            lambda: bayes.laplace_approximation(
                lambda t: -np.sum(t**2), lambda t: -2 * t, np.ones(2)
            ),
            "gradient",
        ),
        (lambda: bayes.laplace_approximation(None, None, 1.0), "vector"),
        (
            lambda: bayes.elbo(None, None, np.zeros(2), np.zeros(3), rng=np.random.default_rng(0)),
            r"\(3,\)",
        ),
        (
            lambda: bayes.elbo(
                lambda t: t,
                lambda t: t,
                np.zeros(2),
                np.zeros(2),
                rng=np.random.default_rng(0),
                samples=3,
            ),
            r"\(3,\)",
        ),
        (
            lambda: bayes.elbo(
                None, None, np.zeros(2), np.zeros(2), rng=np.random.default_rng(0), samples=1
            ),
            "two samples",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

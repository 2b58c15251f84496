"""`mathdl.distributions` against torch.distributions, SciPy and its own samples."""

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch
import torch.distributions as td

from mathdl import distributions as dist
from mathdl.checks import check_statistic, check_vjp

RNG = np.random.default_rng(0)
LOC, SCALE = RNG.standard_normal(4), np.exp(RNG.standard_normal(4))
LOGITS = RNG.standard_normal((3, 5)) * 3
ALPHA = np.exp(RNG.standard_normal((3, 4)))
L = np.tril(RNG.standard_normal((3, 3)))
L[np.diag_indices(3)] = np.exp(np.diag(L))


def tensor(x):
    return torch.tensor(x)


# name: (ours, torch's, points of the support)
CASES = {
    "normal": (
        dist.Normal(LOC, SCALE),
        td.Normal(tensor(LOC), tensor(SCALE)),
        RNG.standard_normal((6, 4)) * 5,
    ),
    "laplace": (
        dist.Laplace(LOC, SCALE),
        td.Laplace(tensor(LOC), tensor(SCALE)),
        RNG.standard_normal((6, 4)) * 5,
    ),
    "bernoulli": (
        dist.Bernoulli(LOGITS[0] * 20),
        td.Bernoulli(logits=tensor(LOGITS[0] * 20)),
        RNG.integers(0, 2, (6, 5)).astype(float),
    ),
    "poisson": (
        dist.Poisson(SCALE * 4),
        td.Poisson(tensor(SCALE * 4)),
        RNG.integers(0, 30, (6, 4)).astype(float),
    ),
    "beta": (
        dist.Beta(ALPHA[0], ALPHA[1]),
        td.Beta(tensor(ALPHA[0]), tensor(ALPHA[1])),
        RNG.random((6, 4)),
    ),
    "categorical": (
        dist.Categorical(LOGITS),
        td.Categorical(logits=tensor(LOGITS)),
        RNG.integers(0, 5, (6, 3)),
    ),
    "dirichlet": (
        dist.Dirichlet(ALPHA),
        td.Dirichlet(tensor(ALPHA)),
        RNG.dirichlet(np.ones(4), (6, 3)),
    ),
    "multivariate normal": (
        dist.MultivariateNormal(LOC[:3], L),
        td.MultivariateNormal(tensor(LOC[:3]), scale_tril=tensor(L)),
        RNG.standard_normal((6, 3)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_log_prob_and_moments_are_torchs(name):
    ours, theirs, x = CASES[name]
    expected = theirs.log_prob(tensor(x)).numpy()
    np.testing.assert_allclose(ours.log_prob(x), expected, rtol=1e-12, atol=1e-12)
    if name != "poisson":  # torch has no entropy for it
        np.testing.assert_allclose(ours.entropy(), theirs.entropy().numpy(), rtol=1e-11, atol=1e-12)
    if name != "categorical":  # torch does not say what its mean is
        np.testing.assert_allclose(ours.mean(), theirs.mean.numpy(), rtol=1e-13)
        np.testing.assert_allclose(ours.variance(), theirs.variance.numpy(), rtol=1e-12)


PARAMETERS = {
    "normal": ("loc", "scale"),
    "laplace": ("loc", "scale"),
    "bernoulli": ("logits",),
    "poisson": ("rate",),
    "beta": ("concentration1", "concentration0"),
    "categorical": ("logits",),
    "dirichlet": ("concentration",),
    "multivariate normal": ("loc", "scale_tril"),
}
CONTINUOUS = {"normal", "laplace", "beta", "dirichlet", "multivariate normal"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_scores_are_autograds(name):
    ours, _, x = CASES[name]
    kinds = {"multivariate normal": "MultivariateNormal"}
    kind = getattr(td, kinds.get(name, name.capitalize()))
    leaves = {key: torch.tensor(getattr(ours, key), requires_grad=True) for key in PARAMETERS[name]}
    point = torch.tensor(x, requires_grad=name in CONTINUOUS)
    # One point at a time, so that gradients are not summed over the batch of points.
    for i in range(len(x)):
        log_prob = kind(**leaves, validate_args=name != "dirichlet").log_prob(point[i]).sum()
        expected = torch.autograd.grad(
            log_prob, [*leaves.values(), *([point] if name in CONTINUOUS else [])]
        )
        score = ours.score(x[i])
        for key, value in zip(leaves, expected, strict=False):
            value = value.numpy()
            if key == "scale_tril":
                value = np.tril(value)
            np.testing.assert_allclose(score[key], value, rtol=1e-10, atol=1e-11)
        if name in CONTINUOUS:
            np.testing.assert_allclose(score["x"], expected[-1][i].numpy(), rtol=1e-10, atol=1e-11)


def other(ours, theirs, name):
    """Another distribution of the same kind, ours and torch's."""
    rng = np.random.default_rng(5)
    values = {}
    for key in PARAMETERS[name]:
        value = getattr(ours, key)
        if key in ("loc", "logits"):
            values[key] = value + rng.standard_normal(value.shape)
        else:
            values[key] = value * np.exp(rng.standard_normal(value.shape))
    torch_values = {key: tensor(value) for key, value in values.items()}
    return type(ours)(**values), type(theirs)(**torch_values)


@pytest.mark.parametrize("name", CASES)
def test_divergences_are_those_of_torchs_registry(name):
    ours, theirs, _ = CASES[name]
    ours_q, theirs_q = other(ours, theirs, name)
    expected = td.kl_divergence(theirs, theirs_q).numpy()
    np.testing.assert_allclose(dist.kl_divergence(ours, ours_q), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(dist.kl_divergence(ours, ours), 0, atol=1e-13)


@pytest.mark.parametrize("name", ["normal", "laplace", "beta"])
def test_scores_pass_two_numerical_routes(name):
    ours, _, x = CASES[name]
    first, second = PARAMETERS[name]
    kind = type(ours)

    def f(a, b, x):
        return kind(a, b).log_prob(x)

    def vjp(a, b, x, dy):
        score = kind(a, b).score(x)
        return dy * score[first], dy * score[second], dy * score["x"]

    point = x[0] if name == "beta" else x[0] + 10  # away from Laplace's kink
    assert check_vjp(f, vjp, getattr(ours, first), getattr(ours, second), point).passed


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_samples_have_the_moments_and_the_shape(name, seed):
    ours, theirs, _ = CASES[name]
    draws = ours.sample(np.random.default_rng(seed), (20_000,))
    assert draws.shape == (20_000, *theirs.batch_shape, *theirs.event_shape)
    if name == "categorical":
        draws = (draws[..., None] == np.arange(5)).astype(float)
    if name == "bernoulli":  # nearly certain ones have no spread to measure
        draws, mean = draws[:, np.abs(ours.logits) < 5], ours.mean()[np.abs(ours.logits) < 5]
        assert not draws.size or check_statistic(draws, mean).passed
        return
    assert check_statistic(draws, ours.mean()).passed
    assert check_statistic(draws, ours.variance(), kind="variance").passed


def test_gumbel_max_draws_with_the_probabilities_of_the_softmax():
    ours = dist.Categorical(np.array([0.0, 1.0, -2.0, 3.0]))
    counts = np.bincount(ours.sample(np.random.default_rng(0), (100_000,)), minlength=4)
    statistic = np.sum((counts - 1e5 * ours.probs) ** 2 / (1e5 * ours.probs))
    assert statistic < 21.1  # χ² with 3 degrees of freedom exceeds it once in ten thousand


@pytest.mark.parametrize("kind", [dist.Normal, dist.Laplace])
def test_reparametrised_samples_carry_their_own_derivatives(kind):
    """E[x²] = μ² + v: its gradient in the parameters, estimated through the sample, is unbiased."""
    loc, scale = 0.7, 1.3
    x, slopes = kind(loc, scale).rsample(np.random.default_rng(0), (200_000,))
    factor = 1 if kind is dist.Normal else 2
    assert check_statistic(2 * x * slopes["loc"], np.array(2 * loc)).passed
    assert check_statistic(2 * x * slopes["scale"], np.array(2 * factor * scale)).passed


def concentrations(low, high, size, seed=0):
    """Two concentrations over decades, and a sample of each pair that is not rounded to an end."""
    rng = np.random.default_rng(seed)
    a, b = 10 ** rng.uniform(low, high, (2, size))
    return a, b, np.clip(rng.beta(a, b), 1e-250, 1 - 1e-12)


def test_the_slope_of_a_beta_sample_is_that_of_its_quantile_to_many_digits():
    a, b, x = concentrations(-2, 3, 60)
    got = dist._beta_slope(x, 1 - x, a, b)
    with mpmath.workdps(60):
        for found, *at in zip(got, a, b, x, strict=True):
            alpha, beta, point = (mpmath.mpf(float(value)) for value in at)

            def below(alpha, beta=beta, point=point):
                return mpmath.betainc(alpha, beta, 0, point, regularized=True)

            h = alpha * mpmath.mpf(10) ** -20
            slope = (below(alpha + h) - below(alpha - h)) / (2 * h)
            density = point ** (alpha - 1) * (1 - point) ** (beta - 1) / mpmath.beta(alpha, beta)
            assert found == pytest.approx(float(-slope / density), rel=1e-10)


def test_the_slope_of_a_beta_sample_is_the_difference_of_scipys_quantiles():
    a, b, x = concentrations(0, 6, 300, seed=1)
    h = 1e-4 * np.sqrt(a)  # a tenth of a thousandth of what moves x by its own spread
    u = scipy.special.betainc(a, b, x)
    ahead, behind = (scipy.special.betaincinv(a + step, b, u) for step in (h, -h))
    spread = np.sqrt(a * b / (a + b) ** 2 / (a + b + 1))
    got = dist._beta_slope(x, 1 - x, a, b)
    inner = (u > 1e-6) & (u < 1 - 1e-6)
    error = np.abs(got - (ahead - behind) / (2 * h)) * np.sqrt(a) / spread
    assert inner.sum() > 250
    assert error[inner].max() < 1e-4


@pytest.mark.parametrize("seed", [0, 1])
def test_reparametrised_beta_and_dirichlet_are_torchs_to_its_approximation(seed):
    rng = np.random.default_rng(seed)
    backward = torch.distributions.dirichlet._Dirichlet_backward
    alpha = 10 ** rng.uniform(-1, 2, (50, 4))
    x, slopes = dist.Dirichlet(alpha).rsample(rng, (3,))
    dx = rng.standard_normal(x.shape)
    ours = np.einsum("...i,...ij->...j", dx, slopes["concentration"])
    theirs = backward(tensor(x), tensor(np.broadcast_to(alpha, x.shape).copy()), tensor(dx))
    # torch's tables and expansions are good to a thousandth
    scale = np.abs(theirs.numpy()).max(axis=-1, keepdims=True)
    assert np.all(np.abs(ours - theirs.numpy()) <= 3e-3 * scale)

    a, b = alpha[:, 0], alpha[:, 1]
    x, slopes = dist.Beta(a, b).rsample(rng)
    keep = (x > 0) & (x < 1)
    x, both = x[keep], np.stack([a, b], axis=-1)[keep]
    first = tensor(np.stack([np.ones_like(x), np.zeros_like(x)], axis=-1))
    theirs = backward(tensor(np.stack([x, 1 - x], axis=-1)), tensor(both), first).numpy()
    for i, name in enumerate(("concentration1", "concentration0")):
        np.testing.assert_allclose(slopes[name][keep], theirs[:, i], rtol=3e-3)


def test_gradients_through_beta_and_dirichlet_samples_are_unbiased():
    """E[x²] = v + m² and its gradient, of the first entry, by all concentrations."""
    alpha = np.array([0.7, 2.0, 3.5])
    total = alpha.sum()
    square = alpha[0] * (alpha[0] + 1) / (total * (total + 1))
    common = square * -(1 / total + 1 / (total + 1))
    wanted = common + np.array([square * (1 / alpha[0] + 1 / (alpha[0] + 1)), 0, 0])
    x, slopes = dist.Dirichlet(alpha).rsample(np.random.default_rng(0), (100_000,))
    through = 2 * x[:, :1] * slopes["concentration"][:, 0]
    assert check_statistic(through, wanted).passed
    x, slopes = dist.Beta(alpha[0], alpha[1:].sum()).rsample(np.random.default_rng(1), (100_000,))
    assert check_statistic(2 * x * slopes["concentration1"], wanted[0]).passed
    assert check_statistic(2 * x * slopes["concentration0"], wanted[1]).passed


def test_a_sample_rounded_to_an_end_does_not_move():
    with np.errstate(all="raise", under="ignore"):
        x, slopes = dist.Beta(1e-3, 1e-3).rsample(np.random.default_rng(0), (50,))
        points, jacobians = dist.Dirichlet(np.full(3, 1e-3)).rsample(
            np.random.default_rng(0), (50,)
        )
    ends = (x == 0) | (x == 1)
    assert ends.sum() > 5
    assert not ends.all()
    for slope in slopes.values():
        assert np.isfinite(slope).all()
        assert not slope[ends].any()
    assert np.isfinite(jacobians["concentration"]).all()
    assert (points == 1).any()


@pytest.mark.parametrize("alpha", [[1e-3, 1e-3, 2e-3], [0.05, 3.0, 0.5]])
def test_a_dirichlet_of_small_concentrations_has_its_moments(alpha):
    ours = dist.Dirichlet(np.array(alpha))
    draws = ours.sample(np.random.default_rng(0), (20_000,))
    np.testing.assert_allclose(draws.sum(axis=-1), 1, atol=1e-15)
    assert check_statistic(draws, ours.mean()).passed
    assert check_statistic(draws, ours.variance(), kind="variance").passed


@pytest.mark.parametrize("name", ["beta", "dirichlet"])
def test_reparametrised_samples_are_the_samples_and_stay_in_their_set(name):
    ours = CASES[name][0]
    x, slopes = ours.rsample(np.random.default_rng(3), (2, 3))
    np.testing.assert_array_equal(x, ours.sample(np.random.default_rng(3), (2, 3)))
    if name == "dirichlet":  # the entries go on adding up to one
        assert slopes["concentration"].shape == (*x.shape, 4)
        np.testing.assert_allclose(slopes["concentration"].sum(axis=-2), 0, atol=1e-15)
    else:  # more of one concentration pulls towards its own end
        assert (slopes["concentration1"] > 0).all()
        assert (slopes["concentration0"] < 0).all()
    small = type(ours)(*(getattr(ours, key).astype(np.float32) for key in PARAMETERS[name]))
    point, slopes = small.rsample(np.random.default_rng(0))
    assert {np.asarray(v).dtype for v in (point, *slopes.values())} == {np.dtype(np.float32)}


def test_multivariate_reparametrisation_is_the_noise_it_returns():
    ours = CASES["multivariate normal"][0]
    x, z = ours.rsample(np.random.default_rng(0), (5,))
    np.testing.assert_allclose(x, ours.loc + z @ ours.scale_tril.T, atol=1e-14)
    again = dist.MultivariateNormal.from_covariance(ours.loc, ours.covariance)
    np.testing.assert_allclose(again.scale_tril, ours.scale_tril, atol=1e-12)


@pytest.mark.parametrize("name", ["normal", "laplace", "beta"])
def test_densities_integrate_to_one_and_scores_have_mean_zero(name):
    parameters = {"beta": (2.5, 3.5)}.get(name, (0.3, 0.8))
    ours = type(CASES[name][0])(*map(np.asarray, parameters))
    low, high = (0, 1) if name == "beta" else (-40, 40)

    def integral(f):
        return scipy.integrate.quad(f, low, high, points=[0.3], epsabs=1e-12, limit=200)[0]

    assert integral(lambda x: float(np.exp(ours.log_prob(x)))) == pytest.approx(1, abs=1e-9)
    for key in PARAMETERS[name]:

        def weighted(x, key=key):
            return float(ours.score(x)[key] * np.exp(ours.log_prob(x)))

        assert integral(weighted) == pytest.approx(0, abs=1e-8)


def test_a_poisson_entropy_is_scipys():
    import scipy.stats

    for rate in (0.01, 1.0, 30.0, 400.0):
        expected = scipy.stats.poisson(rate).entropy()
        assert dist.Poisson(rate).entropy() == pytest.approx(expected, rel=1e-9)


def test_certainty_is_certain():
    ours = dist.Bernoulli.from_probs([0.0, 0.25, 1.0])
    np.testing.assert_array_equal(ours.log_prob([0.0, 1.0, 1.0]), [0, np.log(0.25), 0])
    assert ours.log_prob([1.0, 0.0, 0.0])[0] == -np.inf
    np.testing.assert_allclose(ours.entropy(), [0, 0.5623351446188083, 0], atol=1e-15)
    np.testing.assert_allclose(ours.variance(), [0, 0.1875, 0], atol=1e-15)
    certain = dist.Categorical.from_probs([0.0, 1.0])
    assert certain.entropy() == 0 and certain.log_prob(0) == -np.inf
    assert set(certain.sample(np.random.default_rng(0), (50,))) == {1}


def test_outside_the_support_the_log_probability_is_minus_infinity():
    assert dist.Bernoulli(0.0).log_prob(0.5) == -np.inf
    assert dist.Beta(2.0, 2.0).log_prob(1.5) == -np.inf
    assert np.all(dist.Poisson(2.0).log_prob([-1.0, 0.5]) == -np.inf)


@pytest.mark.parametrize("name", ["normal", "laplace", "bernoulli", "poisson", "beta"])
def test_float32_stays_float32(name):
    ours, _, x = CASES[name]
    small = type(ours)(*(getattr(ours, key).astype(np.float32) for key in PARAMETERS[name]))
    x = x.astype(np.float32)
    results = [
        small.log_prob(x),
        small.sample(np.random.default_rng(0)),
        small.mean(),
        small.variance(),
    ]
    results += [small.entropy(), *small.score(x).values()]
    assert {np.asarray(r).dtype for r in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dist.Normal(0.0, 0.0), ValueError, "scale must be positive"),
        (lambda: dist.Normal(0, 1), TypeError, "int(32|64)"),
        (lambda: dist.Normal(np.zeros(2), np.ones(3)), ValueError, "broadcast"),
        (
            lambda: dist.kl_divergence(dist.Normal(0.0, 1.0), dist.Laplace(0.0, 1.0)),
            TypeError,
            "Normal and Laplace",
        ),
        (lambda: dist.Laplace(0.0, -1.0), ValueError, "positive"),
        (lambda: dist.Bernoulli.from_probs(1.5), ValueError, r"\[0, 1\]"),
        (lambda: dist.Bernoulli(np.nan), ValueError, "numbers"),
        (lambda: dist.Poisson(0.0), ValueError, "positive"),
        (lambda: dist.Beta(0.0, 1.0), ValueError, "concentration1"),
        (lambda: dist.Categorical(0.0), ValueError, "outcomes"),
        (lambda: dist.Categorical.from_probs([0.5, 0.6]), ValueError, "sum to 1"),
        (lambda: dist.Categorical(np.zeros(3)).log_prob(3), ValueError, r"0\.\.2"),
        (lambda: dist.Categorical(np.zeros(3)).log_prob(1.0), ValueError, "integers"),
        (lambda: dist.Dirichlet(np.ones(1)), ValueError, "≥ 2"),
        (lambda: dist.Dirichlet(np.ones(2)).log_prob([0.5, 0.6]), ValueError, "sum to 1"),
        (lambda: dist.MultivariateNormal(np.zeros(2), np.ones((2, 2))), ValueError, "triangular"),
        (lambda: dist.MultivariateNormal(np.zeros(2), -np.eye(2)), ValueError, "diagonal"),
        (lambda: dist.MultivariateNormal(np.zeros(3), np.eye(2)), ValueError, r"\(\.\.\., d\)"),
        (
            lambda: dist.MultivariateNormal.from_covariance(
                np.zeros(2), np.array([[1.0, 2], [2, 1]])
            ),
            ValueError,
            "positive definite",
        ),
        (
            lambda: dist.MultivariateNormal.from_covariance(
                np.zeros(2), np.array([[1.0, 2], [0, 1]])
            ),
            ValueError,
            "symmetric",
        ),
        (
            lambda: dist.MultivariateNormal(np.zeros(2), np.eye(2)).log_prob(np.ones(3)),
            ValueError,
            r"\(\.\.\., 2\)",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()

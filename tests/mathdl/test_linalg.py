"""`mathdl.linalg` against NumPy, SciPy, scikit-learn, torch and the theory it states."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as SklearnPCA

from mathdl import linalg


def spectrum_matrix(rng, s, m, n):
    """A random (m, n) matrix with singular values s."""
    u = np.linalg.qr(rng.standard_normal((m, len(s))))[0]
    v = np.linalg.qr(rng.standard_normal((n, len(s))))[0]
    return (u * s) @ v.T


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("second", [0.9, 0.5])
def test_power_iteration_converges_at_the_rates_of_the_theory(seed, second):
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    matrix = (q * [1.0, second, 0.3, 0.2, 0.1, 0.05]) @ q.T
    values, vectors = linalg.power_iteration(matrix, rng.standard_normal(6), 60)
    sine = np.linalg.norm(vectors - (vectors @ q[:, :1]) * q[:, 0], axis=1)
    usable = slice(20, 60 if second == 0.9 else 40)  # after the start, above rounding
    steps = np.arange(61)[usable]
    rate = np.exp(np.polyfit(steps, np.log(sine[usable]), 1)[0])
    assert rate == pytest.approx(second, rel=1e-2)
    usable = slice(10, 50 if second == 0.9 else 20)
    rate = np.exp(np.polyfit(np.arange(61)[usable], np.log(1 - values[usable]), 1)[0])
    assert rate == pytest.approx(second**2, rel=2e-2)


def test_power_iteration_batches_and_refuses_a_start_in_the_null_space():
    batch = np.stack([np.diag([2.0, 1.0]), np.diag([1.0, 3.0])])
    values, _ = linalg.power_iteration(batch, np.ones((2, 2)), 80)
    np.testing.assert_allclose(values[-1], [2, 3], rtol=1e-12)
    with pytest.raises(ValueError, match="null space"):
        linalg.power_iteration(np.diag([1.0, 0.0]), np.array([0.0, 1.0]), 2)


@pytest.mark.parametrize(("n", "d"), [(50, 5), (8, 20), (30, 1)])
def test_pca_is_scikit_learns(n, d):
    x = np.random.default_rng(n).standard_normal((n, d)) @ np.diag(np.arange(1.0, d + 1))
    ours, theirs = linalg.pca(x), SklearnPCA().fit(x)
    np.testing.assert_allclose(ours.variances, theirs.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(ours.ratios, theirs.explained_variance_ratio_, atol=1e-12)
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-13)
    real = ours.variances > 1e-10
    turn = np.sum(ours.components * theirs.components_, axis=1)[real]
    np.testing.assert_allclose(np.abs(turn), 1, atol=1e-10)
    eigenvalues = np.linalg.eigvalsh(np.atleast_2d(np.cov(x.T)))[::-1][: min(n, d)]
    np.testing.assert_allclose(ours.variances, eigenvalues, atol=1e-12 * eigenvalues[0])


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 7), n=st.integers(1, 7), data=st.data())
@settings(max_examples=60, deadline=None)
def test_truncation_attains_eckart_young_and_nothing_beats_it(seed, m, n, data):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((m, n))
    r = data.draw(st.integers(0, min(m, n)))
    u, s, vt = linalg.truncated_svd(a, r)
    sigma = np.linalg.svd(a, compute_uv=False)
    error = a - (u * s) @ vt
    assert np.linalg.norm(error) == pytest.approx(
        np.sqrt(np.sum(sigma[r:] ** 2)), abs=1e-12 * sigma[0]
    )
    spectral = sigma[r] if r < len(sigma) else 0
    assert np.linalg.norm(error, 2) == pytest.approx(spectral, abs=1e-12 * sigma[0])
    assert linalg.low_rank_errors(sigma)[r] == pytest.approx(
        np.linalg.norm(error) / np.linalg.norm(a), abs=1e-12
    )
    rival = rng.standard_normal((m, r)) @ rng.standard_normal((r, n))
    assert np.linalg.norm(a - rival) >= np.linalg.norm(error) * (1 - 1e-12)


@given(
    s=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8),
    tol=st.floats(0, 1, allow_subnormal=False),
)
@settings(max_examples=200, deadline=None)
def test_rank_for_error_is_the_smallest_that_meets_the_tolerance(s, tol):
    s = np.sort(np.array(s))[::-1]
    errors = linalg.low_rank_errors(s)
    r = linalg.rank_for_error(s, tol)
    assert errors[r] <= tol
    assert r == 0 or errors[r - 1] > tol


def test_rank_for_error_needs_one_svd(monkeypatch):
    calls = []
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda *a, **k: calls.append(1) or svd(*a, **k))
    linalg.rank_for_error(np.random.default_rng(0).standard_normal((30, 20)), 0.1)
    assert len(calls) == 1


@pytest.mark.parametrize("p", [2, 5, 10])
@pytest.mark.parametrize("norm", ["fro", "spectral"])
def test_randomised_svd_obeys_its_bound_in_expectation(p, norm):
    rng = np.random.default_rng(3)
    s = 0.8 ** np.arange(40.0)
    a, r = spectrum_matrix(rng, s, 60, 50), 6
    errors = []
    for _ in range(200):
        # With all r + p triplets kept, the product is QQᵀA, which the theorem speaks of.
        u, values, vt = linalg.randomized_svd(a, r + p, rng=rng, oversampling=0)
        errors.append(np.linalg.norm(a - (u * values) @ vt, "fro" if norm == "fro" else 2))
    standard_error = np.std(errors) / np.sqrt(len(errors))
    bound = linalg.randomized_svd_bound(s, r, p, norm=norm)
    assert np.mean(errors) + 4 * standard_error < bound
    assert np.mean(errors) > bound / 30  # a bound, not a number from nowhere


def test_power_iterations_sharpen_a_slow_spectrum():
    a = spectrum_matrix(np.random.default_rng(0), np.linspace(1, 0.5, 40), 60, 50)
    best = linalg.low_rank_errors(np.linalg.svd(a, compute_uv=False))[5]
    error = {}
    for q in (0, 3):
        u, s, vt = linalg.randomized_svd(a, 5, rng=np.random.default_rng(1), power_iterations=q)
        error[q] = np.linalg.norm(a - (u * s) @ vt) / np.linalg.norm(a)
    assert best <= error[3] < error[0]


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 4, 3)])
def test_pseudo_inverse_is_torchs_and_numpys(shape):
    a = np.random.default_rng(1).standard_normal(shape)
    a[..., 0] = a[..., 1]  # rank-deficient
    ours = linalg.pseudo_inverse(a)
    np.testing.assert_allclose(ours, torch.linalg.pinv(torch.tensor(a)).numpy(), atol=1e-12)
    np.testing.assert_allclose(a @ ours @ a, a, atol=1e-12)
    complex_a = a + 1j * np.random.default_rng(2).standard_normal(shape)
    np.testing.assert_allclose(
        linalg.pseudo_inverse(complex_a), np.linalg.pinv(complex_a), atol=1e-12
    )


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_marchenko_pastur_density_integrates_to_one_with_the_right_mean(ratio):
    low, high = linalg.marchenko_pastur_edges(ratio)
    # λ = c + h cos θ turns the root singularities at the edges into smooth ones.
    theta = (np.arange(20_000) + 0.5) * np.pi / 20_000
    x = (low + high) / 2 + (high - low) / 2 * np.cos(theta)
    weight = (high - low) / 2 * np.sin(theta) * np.pi / 20_000
    density = linalg.marchenko_pastur_pdf(x, ratio)
    assert np.sum(density * weight) == pytest.approx(1, abs=1e-6)
    assert np.sum(x * density * weight) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(768, 768), (900, 300)])
def test_a_random_matrix_does_not_compress_and_the_law_says_how_little(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    errors = linalg.low_rank_errors(np.linalg.svd(a, compute_uv=False))
    fractions = np.array([0.05, 0.25, 0.5, 0.75])
    measured = errors[(fractions * shape[1]).astype(int)]
    predicted = linalg.marchenko_pastur_error(
        np.floor(fractions * shape[1]) / shape[1], shape[1] / shape[0]
    )
    np.testing.assert_allclose(
        measured, predicted, rtol=0, atol=1 / shape[1]
    )  # O(1/n) from the limit
    assert measured[0] > 0.85


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 5, 5)])
def test_newton_schulz_reaches_the_polar_factor(shape):
    g = np.random.default_rng(0).standard_normal(shape)
    ours = linalg.newton_schulz(g, 40, coefficients=(15 / 8, -10 / 8, 3 / 8))
    for x, a in zip(ours.reshape(-1, *shape[-2:]), g.reshape(-1, *shape[-2:]), strict=True):
        u, _, vt = np.linalg.svd(a, full_matrices=False)
        np.testing.assert_allclose(x, u @ vt, atol=1e-12)
        if shape[0] != 3:
            np.testing.assert_allclose(x, scipy.linalg.polar(a)[0], atol=1e-12)
    muon = np.linalg.svd(linalg.newton_schulz(g), compute_uv=False)
    assert muon.min() > 0.3 and muon.max() < 1.3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    a = np.random.default_rng(0).standard_normal((6, 4)).astype(dtype)
    rng = np.random.default_rng(0)
    results = [
        *linalg.truncated_svd(a, 2),
        *linalg.randomized_svd(a, 2, rng=rng, power_iterations=1),
        linalg.pseudo_inverse(a),
        linalg.newton_schulz(a),
        linalg.low_rank_errors(np.linalg.svd(a, compute_uv=False)),
        *linalg.pca(a),
        linalg.marchenko_pastur_pdf(a, 0.5),
        *linalg.power_iteration(a.T @ a, a[0], 3),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.truncated_svd(np.eye(3), 4), r"0\.\.3"),
        (lambda: linalg.truncated_svd(np.eye(3, dtype=int), 1), "int(32|64)"),
        (lambda: linalg.rank_for_error(np.eye(3), 1.5), "relative error"),
        (lambda: linalg.rank_for_error(np.ones((2, 3, 3)), 0.1), "one matrix"),
        (lambda: linalg.low_rank_errors(np.array([1.0, 2.0])), "sorted"),
        (lambda: linalg.low_rank_errors(np.zeros(2)), "zero matrix"),
        (lambda: linalg.pca(np.ones((1, 3))), "two samples"),
        (lambda: linalg.pca(np.ones((4, 3)), 4), r"1\.\.3"),
        (lambda: linalg.randomized_svd_bound(np.ones(5), 2, 1), "oversampling ≥ 2"),
        (lambda: linalg.randomized_svd_bound(np.ones(5), 2, 2, norm="max"), "spectral"),
        (lambda: linalg.marchenko_pastur_edges(2.0), "transpose"),
        (lambda: linalg.marchenko_pastur_error(1.2), "share"),
        (lambda: linalg.rayleigh_quotient(np.eye(2), np.zeros(2)), "zero vector"),
        (lambda: linalg.rayleigh_quotient(np.eye(2), np.ones(3)), "n = 3"),
        (
            lambda: linalg.randomized_svd(
                np.eye(4), 1, rng=np.random.default_rng(0), oversampling=-1
            ),
            "negative",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()

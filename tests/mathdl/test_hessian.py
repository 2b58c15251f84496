"""`mathdl.hessian` against torch's Hessian, dense algebra and exact spectra."""

import numpy as np
import pytest
import torch

from mathdl import hessian
from mathdl.gradcheck import NotComplexSafe
from mathdl.mlp import MLP


def network_gradient(seed=0, activation="tanh"):
    """Gradient of ½·mean square of a small MLP's error, with its parameters and a torch twin."""
    rng = np.random.default_rng(seed)
    net = MLP((3, 4, 2), activation=activation)
    params = net.init(rng)
    x, target = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))

    def grad(p):
        y, cache = net.forward(p, x)
        return net.backward((y - target) / y.size, cache)[1]

    def loss(*tensors):
        w1, b1, w2, b2 = tensors
        hidden = torch.tanh(torch.tensor(x) @ w1.T + b1)
        return ((hidden @ w2.T + b2 - torch.tensor(target)) ** 2).mean() / 2

    return grad, params, loss


def torch_hessian(loss, params):
    tensors = tuple(torch.tensor(p) for p in params.values())
    blocks = torch.autograd.functional.hessian(loss, tensors)
    sizes = [t.numel() for t in tensors]
    rows = [
        torch.cat([b.reshape(m, n) for b, n in zip(row, sizes, strict=True)], 1)
        for row, m in zip(blocks, sizes, strict=True)
    ]
    return torch.cat(rows).numpy()


def test_the_whole_hessian_is_torchs_and_symmetric():
    grad, params, loss = network_gradient()
    ours, theirs = hessian.dense_hessian(grad, params), torch_hessian(loss, params)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)
    np.testing.assert_allclose(ours, ours.T, atol=1e-15)


@pytest.mark.parametrize(("method", "tol"), [("complex", 1e-14), ("central", 1e-8)])
def test_products_by_either_route_are_those_of_the_dense_matrix(method, tol):
    grad, params, loss = network_gradient(1)
    product, size = hessian.operator(grad, params, method=method)
    v = np.random.default_rng(2).standard_normal(size) * 100
    np.testing.assert_allclose(product(v), torch_hessian(loss, params) @ v, atol=100 * tol)


def test_float32_keeps_its_dtype():
    grad, params, loss = network_gradient()
    small = {name: p.astype(np.float32) for name, p in params.items()}
    direction = {name: np.ones_like(p) for name, p in small.items()}
    result = hessian.hvp(grad, small, direction)
    expected = torch_hessian(loss, params) @ np.ones(26)
    assert {p.dtype for p in result.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        np.concatenate([p.ravel() for p in result.values()]), expected, atol=1e-5
    )


def test_a_wrong_gradient_shows_as_asymmetry():
    def wrong(x):
        return np.array([x[0] * x[1], x[0] ** 2])

    matrix = hessian.dense_hessian(wrong, np.array([1.0, 2.0]))
    assert np.abs(matrix - matrix.T).max() == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_lanczos_is_an_orthonormal_tridiagonalisation(seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((30, 30))
    a = a + a.T
    result = hessian.lanczos(lambda v: a @ v, rng.standard_normal(30), 30)
    q = result.basis
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-12)
    t = (
        np.diag(result.diagonal)
        + np.diag(result.off_diagonal, 1)
        + np.diag(result.off_diagonal, -1)
    )
    np.testing.assert_allclose(q.T @ a @ q, t, atol=1e-11)
    np.testing.assert_allclose(result.ritz()[0], np.linalg.eigvalsh(a), atol=1e-10)


def test_lanczos_stops_when_the_krylov_space_is_exhausted():
    d = np.repeat([1.0, 4.0], 10)  # two distinct eigenvalues: a space of dimension two
    result = hessian.lanczos(lambda v: d * v, np.ones(20), 15)
    assert result.basis.shape == (20, 2)
    np.testing.assert_allclose(result.ritz()[0], [1, 4], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_extreme_eigenvalues_are_found_with_few_products(seed):
    rng = np.random.default_rng(seed)
    d = np.concatenate([rng.uniform(-0.1, 1, 500), [5.0, -2.0]])
    low, high = hessian.extreme_eigenvalues(lambda v: d * v, 502, rng=rng, steps=40)
    assert -2 - 1e-12 <= low <= -2 + 1e-8 and 5 - 1e-8 <= high <= 5 + 1e-12


def test_density_puts_the_right_mass_in_the_right_place():
    d = np.repeat([0.0, 3.0], [300, 100])
    grid = np.linspace(-2, 5, 701)
    rng = np.random.default_rng(0)
    rho = hessian.spectral_density(lambda v: d * v, 400, grid, 0.1, rng=rng, probes=30)
    step = grid[1] - grid[0]
    assert rho.sum() * step == pytest.approx(1, abs=1e-6)
    # A probe's mass at 3 has mean ¼ and variance 2·¼·¾/402: its squares are Dirichlet(½, …).
    spread = np.sqrt(2 * 0.25 * 0.75 / 402 / 30)
    assert rho[grid > 1.5].sum() * step == pytest.approx(0.25, abs=5 * spread)


def test_hutchinson_is_unbiased_with_the_stated_variance():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 20))
    a = a + a.T
    variance = 2 * (np.sum(a**2) - np.sum(np.diag(a) ** 2))
    estimate = hessian.hutchinson_trace(lambda v: a @ v, 20, rng=rng, probes=4000)
    assert estimate.mean == pytest.approx(np.trace(a), abs=5 * estimate.standard_error)
    assert estimate.standard_error == pytest.approx(np.sqrt(variance / 4000), rel=0.1)


def test_bad_input_is_named():
    grad, params, _ = network_gradient()
    with pytest.raises(ValueError, match="shapes of x"):
        hessian.hvp(grad, np.ones(3), np.ones((3, 1)))
    with pytest.raises(TypeError, match=r"int(32|64)"):
        hessian.hvp(lambda x: x, np.ones(3, int), np.ones(3))
    with pytest.raises(ValueError, match="2 entries"):
        hessian.hvp(lambda x: x[:2], np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="central"):
        hessian.hvp(grad, params, params, method="forward")
    with pytest.raises(NotComplexSafe):
        hessian.hvp(lambda x: x.real, np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="not zero"):
        hessian.lanczos(lambda v: v, np.zeros(3), 2)
    with pytest.raises(ValueError, match="positive"):
        hessian.spectral_density(lambda v: v, 3, [0.0], 0.0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="two probes"):
        hessian.hutchinson_trace(lambda v: v, 3, rng=np.random.default_rng(0), probes=1)

"""The multilayer perceptron against torch's Sequential, the checks, and itself in a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import checks
from mathdl.mlp import ACTIVATIONS, MLP

TORCH = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "elu": torch.nn.functional.elu,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
}


def theirs(net: MLP):
    """The same network as a function of torch tensors."""

    def f(params, x):
        for layer in range(1, net.depth + 1):
            bias = params.get(f"bias_{layer}")
            x = torch.nn.functional.linear(x, params[f"weight_{layer}"], bias)
            if layer == net.depth:
                return x
            if net.layer_norm:
                scale, shift = params[f"norm_weight_{layer}"], params[f"norm_bias_{layer}"]
                x = torch.nn.functional.layer_norm(x, x.shape[-1:], scale, shift, net.eps)
            x = TORCH[net.activation](x)

    return f


def draw(net: MLP, seed: int, rows=(5,), grid=(), dtype=np.float64):
    rng = np.random.default_rng(seed)
    params = net.init(rng, grid=grid, dtype=dtype)
    for name in params:  # nothing at zero or one: a generic point
        params[name] = (params[name] + 0.3 * rng.standard_normal(params[name].shape)).astype(dtype)
    x = rng.standard_normal((*rows, net.sizes[0])).astype(dtype)
    return params, x, rng


def assert_close(actual, expected, dtype=np.float64):
    expected = np.asarray(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    tolerance = 1e-13 if dtype == np.float64 else 2e-5
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    activation=st.sampled_from([*ACTIVATIONS, "identity"]),
    layer_norm=st.booleans(),
    bias=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_any_network_is_torchs(sizes, activation, layer_norm, bias, dtype, seed):
    # LayerNorm of one or two features saturates (±1): all its gradients are rounding.
    if layer_norm:
        sizes = [sizes[0], *(n + 2 for n in sizes[1:-1]), sizes[-1]]
    net = MLP(tuple(sizes), activation, layer_norm, bias)
    params, x, rng = draw(net, seed, dtype=dtype)
    y, cache = net.forward(params, x)
    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    x_torch = torch.tensor(x, requires_grad=True)
    expected = theirs(net)(tensors, x_torch)
    scale = max(1.0, np.abs(y).max())
    loose = 1e-12 if dtype == np.float64 else 1e-4
    assert y.dtype == dtype
    assert np.abs(y - expected.detach().numpy()).max() <= loose * scale
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx, grads = net.backward(dy, cache)
    assert list(grads) == list(net.shapes)
    wanted = torch.autograd.grad(expected, [x_torch, *tensors.values()], torch.tensor(dy))
    # Through depth an error of one layer is seen at the scale of all gradients.
    scale = max(1.0, *(g.abs().max().item() for g in wanted))
    for gradient, its in zip([dx, *grads.values()], wanted, strict=True):
        assert gradient.dtype == dtype
        assert gradient.shape == tuple(its.shape)
        assert np.abs(gradient - its.numpy()).max() <= loose * scale


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_pass_the_check(activation, layer_norm):
    net = MLP((4, 7, 6, 3), activation, layer_norm)
    params, x, _ = draw(net, 0)

    def vjp(params, x, dy):
        dx, grads = net.backward(dy, net.forward(params, x)[1])
        return grads, dx

    result = checks.check_vjp(lambda p, x: net.forward(p, x)[0], vjp, params, x, torch=theirs(net))
    assert result.passed and len(result.routes) >= 3


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_grid_of_networks_is_each_network(layer_norm, shared):
    net = MLP((4, 6, 5, 3), "tanh", layer_norm)
    rows = (8,) if shared else (2, 3, 8)
    params, x, rng = draw(net, 1, rows=rows, grid=(2, 3))
    y, cache = net.forward(params, x)
    assert y.shape == (2, 3, 8, 3)
    dy = rng.standard_normal(y.shape)
    dx, grads = net.backward(dy, cache)
    table = net.statistics(dy, cache)
    total = 0
    for g in np.ndindex(2, 3):
        one = {name: p[g] for name, p in params.items()}
        expected, its = net.forward(one, x if shared else x[g])
        assert_close(y[g], expected)
        dx_one, grads_one = net.backward(dy[g], its)
        for name, gradient in grads_one.items():
            assert_close(grads[name][g], gradient)
        for mine, row in zip(table, net.statistics(dy[g], its), strict=True):
            assert mine.layer == row.layer
            np.testing.assert_allclose([v[g] for v in mine[1:]], row[1:], rtol=1e-12)
        total = total + dx_one
        if not shared:
            assert_close(dx[g], dx_one)
    if shared:
        assert_close(dx, total)


def test_flatten_and_unflatten_are_inverse_on_grids():
    net = MLP((3, 5, 2), layer_norm=True)
    params, x, _ = draw(net, 2, grid=(4,))
    vector = net.flatten(params)
    assert vector.shape == (4, net.count)
    again = net.unflatten(vector)
    assert all((again[name] == params[name]).all() for name in params)
    assert_close(net.forward(again, x)[0], net.forward(params, x)[0])


def test_statistics_measure_what_they_say():
    net = MLP((3, 4, 2), "relu")
    params, x, rng = draw(net, 3, rows=(50,))
    params["bias_1"][1] = -100.0  # this feature is dead
    y, cache = net.forward(params, x)
    dy = rng.standard_normal(y.shape)
    first, last = net.statistics(dy, cache)
    z = x @ params["weight_1"].T + params["bias_1"]
    dz = (dy @ params["weight_2"]) * (z > 0)
    assert first.layer == 1 and last.layer == 2
    assert first.pre_mean == pytest.approx(z.mean())
    assert first.pre_std == pytest.approx(z.std())
    assert first.mean == pytest.approx(np.maximum(z, 0).mean())
    assert first.std == pytest.approx(np.maximum(z, 0).std())
    assert first.dead == 0.25
    assert first.gradient_rms == pytest.approx(np.sqrt((dz**2).mean()))
    assert first.weight_gradient_norm == pytest.approx(np.linalg.norm(dz.T @ x))
    assert last.gradient_rms == pytest.approx(np.sqrt((dy**2).mean()))
    assert last.std == last.pre_std == pytest.approx(y.std())


def test_he_initialisation_keeps_the_scale():
    """Mean square of the pre-activations over 20 ReLU layers, within sampling error."""
    net = MLP((256,) * 21, "relu")
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(8):
        _, cache = net.forward(net.init(rng), rng.standard_normal((32, 256)))
        squares = [np.mean(layer.pre**2) for layer in cache.layers]
        ratios.append(math.log(squares[-1] / squares[0]))
    # Each layer multiplies by 1 + O(√(5/256)) at random: after 19 layers log has σ ≈ 0.6.
    assert abs(np.mean(ratios)) < 3 * 0.6 / math.sqrt(8)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.complex128])
def test_dtype_is_kept(dtype):
    net = MLP((3, 5, 4, 2), "gelu", layer_norm=True)
    params, x, _ = draw(net, 4, dtype=dtype)
    y, cache = net.forward(params, x)
    dx, grads = net.backward(y, cache)
    assert {a.dtype for a in (y, dx, *grads.values())} == {np.dtype(dtype)}


@pytest.mark.parametrize(("args", "message"), [
    (((3,),), r"at least two positive numbers, got \(3,\)"),
    (((3, 0, 2),), r"at least two positive numbers, got \(3, 0, 2\)"),
    (((3, 2), "swish"), r"activation must be one of relu, .*; got 'swish'"),
])  # fmt: skip
def test_a_network_that_cannot_be_is_refused(args, message):
    with pytest.raises(ValueError, match=message):
        MLP(*args)


def test_wrong_parameters_are_named():
    net = MLP((3, 4, 2))
    params, x, _ = draw(net, 0)
    missing = {name: p for name, p in params.items() if name != "bias_2"}
    with pytest.raises(ValueError, match="missing: bias_2; unknown: none"):
        net.forward(missing, x)
    with pytest.raises(ValueError, match="missing: none; unknown: gamma"):
        net.forward(params | {"gamma": x}, x)
    with pytest.raises(ValueError, match=r"weight_1 must have shape \(4, 3\).*got \(3, 4\)"):
        net.forward(params | {"weight_1": params["weight_1"].T}, x)
    with pytest.raises(ValueError, match=r"bias_1 must have shape \(4,\).*got \(\)"):
        net.forward(params | {"bias_1": np.float64(0)}, x)
    with pytest.raises(TypeError, match=r"int(32|64)"):
        net.forward(params | {"bias_1": np.zeros(4, dtype=int)}, x)
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 3\)"):
        net.forward(params, x[:, :2])
    with pytest.raises(ValueError, match=r"vector must have shape \(\.\.\., 26\), got \(25,\)"):
        net.unflatten(np.zeros(25))
    y, cache = net.forward(params, x)
    with pytest.raises(ValueError, match=r"dy must have the shape of the output \(5, 2\)"):
        net.backward(y[:, :1], cache)
    _, one = net.forward(params, x[0])
    with pytest.raises(ValueError, match="statistics need an axis of rows"):
        net.statistics(y[0], one)

"""Right code is never refused: 10,000 networks in float64, 1,000 in float32."""

import itertools

import numpy as np
import pytest

from mathdl.checks import check_gradient, check_vjp

ACTIVATIONS = {
    "relu": (lambda z: np.where(z.real > 0, z, 0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "leaky": (
        lambda z: np.where(z.real > 0, z, z * z.real.dtype.type(0.01)),
        lambda z: np.where(z > 0, z.dtype.type(1), z.dtype.type(0.01)),
    ),
}


def network(seed, dtype):
    """A small network, its data and its parameters, all drawn from one seed."""
    rng = np.random.default_rng(seed)
    widths = [3, *rng.integers(2, 9, rng.integers(1, 4)), int(rng.integers(1, 4))]
    batch = int(rng.integers(1, 9))
    name = ("relu", "relu", "tanh", "leaky")[seed % 4]
    data = rng.normal(size=(batch, widths[0])).astype(dtype)
    target = rng.normal(size=(batch, widths[-1])).astype(dtype)
    params = {}
    for k, (m, n) in enumerate(itertools.pairwise(widths)):
        params[f"W{k}"] = (rng.normal(size=(n, m)) * (2 / m) ** 0.5).astype(dtype)
        params[f"b{k}"] = (0.3 * rng.normal(size=n)).astype(dtype)
    return data, target, params, *ACTIVATIONS[name]


def problem(seed, dtype=np.float64):
    data, target, params, g, slope = network(seed, dtype)
    depth = len(params) // 2

    def forward(p):
        a, inputs, sums = data, [], []
        for k in range(depth):
            inputs.append(a)
            sums.append(a @ p[f"W{k}"].T + p[f"b{k}"])
            a = g(sums[-1]) if k < depth - 1 else sums[-1]
        return a, inputs, sums

    def loss(p):
        return ((forward(p)[0] - target) ** 2).mean()

    def grad(p):
        a, inputs, sums = forward(p)
        dz = 2 * (a - target) / dtype(target.size)
        out = {}
        for k in reversed(range(depth)):
            out[f"W{k}"], out[f"b{k}"] = dz.T @ inputs[k], dz.sum(0)
            if k:
                dz = (dz @ p[f"W{k}"]) * slope(sums[k - 1])
        return out

    return loss, grad, params


def alarms(seeds, dtype):
    """Seeds of right networks that are refused, those with a dead layer apart."""
    refused, dead, routes = [], 0, {}
    for seed in seeds:
        loss, grad, params = problem(seed, dtype)
        if not all(np.any(g) for g in grad(params).values()):
            dead += 1
            continue
        try:
            result = check_gradient(loss, grad, params, seed=seed)
        except AssertionError as failure:
            refused.append((seed, str(failure)))
            continue
        for route in result.routes:
            routes[route.name] = routes.get(route.name, 0) + (route.points > 0)
    return refused, dead, routes


@pytest.mark.parametrize("block", range(4))
def test_ten_thousand_right_networks_are_not_refused(block):
    refused, dead, routes = alarms(range(2500 * block, 2500 * (block + 1)), np.float64)
    assert refused == []
    assert dead < 250
    # Nor are they passed for want of a route.
    assert routes["complex step"] == routes["central differences"] == 2500 - dead


def test_a_thousand_right_networks_in_single_precision_are_not_refused():
    refused, dead, routes = alarms(range(1000), np.float32)
    assert refused == []
    assert dead < 100
    assert routes["complex step"] == routes["central differences"] == 1000 - dead


def test_right_activations_are_not_refused_over_seeds():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        g, slope = ACTIVATIONS[("relu", "tanh", "leaky")[seed % 3]]
        x = rng.normal(size=(4, 5)) * 10.0 ** rng.integers(-3, 2)
        assert check_vjp(g, lambda x, dy, s=slope: dy * s(x), x, seed=seed).passed

"""Initializers against torch draw by draw, and against the variances that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import initializers as init

SHAPES = [(7, 5), (5, 7), (16, 16), (6, 3, 2, 4)]


class TorchDraws:
    """A generator whose numbers are torch's, so that ours can be compared entry by entry."""

    def __init__(self, seed):
        torch.manual_seed(seed)

    def uniform(self, low, high, size):
        return low + (high - low) * torch.rand(size, dtype=torch.float64).numpy()

    def standard_normal(self, size):
        return torch.randn(size, dtype=torch.float64).numpy()


def theirs(function, shape, **options):
    torch.manual_seed(3)
    return function(torch.empty(shape, dtype=torch.float64), **options).numpy()


RULES = [
    (init.xavier_uniform, torch.nn.init.xavier_uniform_, {}),
    (init.xavier_uniform, torch.nn.init.xavier_uniform_, {"gain": 5 / 3}),
    (init.xavier_normal, torch.nn.init.xavier_normal_, {}),
    (init.xavier_normal, torch.nn.init.xavier_normal_, {"gain": 0.5}),
    (init.he_uniform, torch.nn.init.kaiming_uniform_, {}),
    (init.he_uniform, torch.nn.init.kaiming_uniform_, {"a": math.sqrt(5)}),
    (init.he_uniform, torch.nn.init.kaiming_uniform_, {"mode": "fan_out"}),
    (init.he_normal, torch.nn.init.kaiming_normal_, {}),
    (init.he_normal, torch.nn.init.kaiming_normal_, {"nonlinearity": "relu", "mode": "fan_out"}),
    (init.he_normal, torch.nn.init.kaiming_normal_, {"nonlinearity": "tanh"}),
    (init.orthogonal, torch.nn.init.orthogonal_, {}),
    (init.orthogonal, torch.nn.init.orthogonal_, {"gain": 2.0}),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("ours", "reference", "options"), RULES)
def test_equal_to_torch_from_the_same_draws(ours, reference, options, shape):
    got = ours(shape, TorchDraws(3), **options)
    want = theirs(reference, shape, **options)
    assert got.shape == shape and got.dtype == np.float64
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=2e-15)


def test_gains_equal_torch():
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)
    with pytest.raises(ValueError, match=r"nonlinearity must be one of linear.*got 'gelu'"):
        init.calculate_gain("gelu")


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_equal_torch(shape):
    want = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert init.fan_in_and_fan_out(shape) == want


VARIANCES = [
    (init.xavier_uniform, {"gain": 2.0}, lambda i, o: 8 / (i + o)),
    (init.xavier_normal, {}, lambda i, o: 2 / (i + o)),
    (init.he_uniform, {}, lambda i, o: 2 / i),
    (init.he_normal, {"mode": "fan_out"}, lambda i, o: 2 / o),
    (init.lecun_uniform, {}, lambda i, o: 1 / i),
    (init.lecun_normal, {}, lambda i, o: 1 / i),
]


@pytest.mark.parametrize(("rule", "options", "variance"), VARIANCES)
def test_variance_within_five_standard_errors(rule, options, variance):
    """He's 2 / fan_in is not Xavier's 2 / (fan_in + fan_out)."""
    w = rule((200, 400), np.random.default_rng(0), **options)
    square = w.ravel() ** 2
    error = square.std() / math.sqrt(square.size)
    assert abs(square.mean() - variance(400, 200)) <= 5 * error
    assert abs(w.mean()) <= 5 * w.std() / math.sqrt(w.size)


def test_lecun_is_uniform_or_normal():
    u = init.lecun_uniform((50, 300), np.random.default_rng(1))
    assert 0.099 < np.abs(u).max() <= 0.1
    n = init.lecun_normal((50, 300), np.random.default_rng(1))
    assert abs(np.mean(n**4) / np.mean(n**2) ** 2 - 3) < 0.2  # a uniform one has 1.8


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_orthogonal_has_orthonormal_rows_or_columns(out, columns, kernel, seed):
    w = init.orthogonal((out, columns, kernel), np.random.default_rng(seed)).reshape(out, -1)
    gram = w @ w.T if out <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-14)


def test_orthogonal_is_not_biased_by_the_signs_of_qr():
    """Uncorrected, LAPACK's diagonal entries of Q all have one sign."""
    rng = np.random.default_rng(0)
    corner = np.array([init.orthogonal((3, 3), rng)[0, 0] for _ in range(400)])
    assert abs(corner.mean()) <= 5 * corner.std() / 20


EVERY = [
    init.xavier_uniform,
    init.xavier_normal,
    init.he_uniform,
    init.he_normal,
    init.lecun_uniform,
    init.lecun_normal,
    init.orthogonal,
]


@pytest.mark.parametrize("rule", EVERY)
def test_precision_seed_and_refusals(rule):
    wide = rule((4, 3), np.random.default_rng(7))
    narrow = rule((4, 3), np.random.default_rng(7), dtype=np.float32)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
    assert not np.array_equal(wide, rule((4, 3), np.random.default_rng(8)))
    assert rule((0, 3), np.random.default_rng(0)).shape == (0, 3)
    with pytest.raises(ValueError, match=r"shape \(out, in, ...\), got \(3,\)"):
        rule((3,), np.random.default_rng(0))


def test_zeros_and_unknown_mode():
    z = init.zeros((2, 3), np.float32)
    assert z.shape == (2, 3) and z.dtype == np.float32 and not z.any()
    for rule in (init.he_uniform, init.he_normal):
        with pytest.raises(ValueError, match='mode must be "fan_in" or "fan_out"'):
            rule((2, 3), np.random.default_rng(0), mode="fan_avg")

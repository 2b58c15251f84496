"""Diagnoses of elementwise functions and the softmax: another slope, mask, limit or axis."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl import activations
from mathdl.checks import CheckFailed, check_vjp

X = np.random.default_rng(0).standard_normal((5, 4))


def diagnosis(f, vjp, *inputs):
    with pytest.raises(CheckFailed) as failure:
        check_vjp(f, vjp, *inputs)
    return str(failure.value)


@pytest.mark.parametrize("scale", [1.0, 1e-2])
@pytest.mark.parametrize(("name", "wrong", "phrase"), [
    ("gelu", lambda x, dy: activations.gelu_vjp(x, dy, "tanh"),
     "has the slope gelu'(approximate='tanh') at x, where gelu' at x is right"),
    ("silu", activations.gelu_vjp, "has the slope gelu' at x, where silu' at x is right"),
    ("elu", activations.relu_vjp, "has the slope relu' at x, where elu' at x is right"),
    ("relu", lambda x, dy: dy * (x < 0), "has the slope [x < 0], where relu' at x is right"),
    ("sigmoid", lambda x, dy: activations.sigmoid_vjp(activations.sigmoid(x), dy),
     "has the slope sigmoid' at y, where sigmoid' at x is right"),
    ("sigmoid", lambda x, dy: dy * x * (1 - x),
     "has the slope x(1 − x), where sigmoid' at x is right"),
    ("tanh", lambda x, dy: dy * (1 - x**2), "has the slope 1 − x², where tanh' at x is right"),
    ("tanh", activations.sigmoid_vjp, "has the slope sigmoid' at x, where tanh' at x is right"),
])  # fmt: skip
def test_the_slope_of_another_function_is_named(name, wrong, phrase, scale):
    f = getattr(activations, name)
    assert phrase in diagnosis(lambda x: f(x), wrong, scale * X)


def test_a_softmax_without_its_coupling_or_over_the_wrong_axis_is_named():
    def diagonal(x, dy):
        p = activations.softmax(x)
        return dy * p * (1 - p)

    assert "the softmax's other entries are left out" in diagnosis(
        lambda x: activations.softmax(x), diagonal, X
    )
    assert "the softmax's sum runs over axis 1, where axis 0 is right" in diagnosis(
        lambda x: activations.softmax(x, axis=0),
        lambda x, dy: (p := activations.softmax(x, axis=0)) * (dy - (p * dy).sum(1)[:, None]),
        X,
    )


def test_a_limit_and_a_mask_by_the_gradients_sign_are_named():
    assert "clipped to ±0.4" in diagnosis(
        np.sin, lambda x, dy: np.clip(dy * np.cos(x), -0.4, 0.4), X
    )
    assert "zero where dy ≤ 0" in diagnosis(np.sin, lambda x, dy: dy * np.cos(x) * (dy > 0), X)


def test_a_sparse_gradient_is_not_said_to_have_a_factor_per_slice():
    """With one entry in each slice, any error looks like a factor of the slice's own."""
    x = np.arange(10.0).reshape(2, 5) ** 2

    def f(x):
        return np.where(np.eye(2, 5) > 0, x, 0 * x)

    text = diagnosis(f, lambda x, dy: np.eye(2, 5) * dy * np.array([[2.0], [3.0]]), x)
    assert "factor of its own" not in text

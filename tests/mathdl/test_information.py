"""`mathdl.information` against SciPy, torch and the identities of the theory."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from mathdl import information as info
from mathdl.activations import softmax, softmax_vjp
from mathdl.checks import check_gradient, check_vjp


def draw(seed, shape, zeros=False):
    rng = np.random.default_rng(seed)
    p = rng.gamma(0.3, size=shape)
    if zeros:
        p[..., 0] = 0
    return p / p.sum(axis=-1, keepdims=True)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12), zeros=st.booleans())
@settings(max_examples=150, deadline=None)
def test_values_are_scipys_and_the_identities_hold(seed, n, zeros):
    p, q = draw(seed, (3, n), zeros), draw(seed + 1, (3, n))
    h, kl, ce = info.entropy(p), info.kl_divergence(p, q), info.cross_entropy(p, q)
    np.testing.assert_allclose(h, scipy.stats.entropy(p, axis=-1), atol=1e-13)
    np.testing.assert_allclose(kl, scipy.stats.entropy(p, q, axis=-1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ce, h + kl, rtol=1e-12, atol=1e-13)
    assert np.all(kl >= 0) and np.all(h >= 0) and np.all(h <= np.log(n) + 1e-14)
    js = info.js_divergence(p, q)
    expected = [scipy.spatial.distance.jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(js, expected, atol=1e-13)
    np.testing.assert_allclose(js, info.js_divergence(q, p), rtol=1e-13, atol=1e-16)
    assert np.all(js <= np.log(2) + 1e-14)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-12, 1e-3))
@settings(max_examples=100, deadline=None)
def test_near_distributions_have_a_divergence_with_digits_and_never_a_negative_one(seed, scale):
    rng = np.random.default_rng(seed)
    p = softmax(rng.standard_normal(6))
    bump = rng.standard_normal(6) * scale
    q = p * np.exp(bump - np.log(np.sum(p * np.exp(bump))))
    kl = info.kl_divergence(p, q)
    assert kl >= 0
    centred = (q - p) / p
    assert kl == pytest.approx(np.sum(p * centred**2) / 2, rel=10 * scale + 1e-3, abs=1e-30)


def test_infinities_are_where_support_is_missing_and_nowhere_else():
    p, q = [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]
    assert info.kl_divergence(p, q) == np.inf
    assert info.cross_entropy(p, q) == np.inf
    assert info.kl_divergence(q, p) == pytest.approx(np.log(2))
    assert info.js_divergence(p, q) < np.log(2)
    assert info.kl_divergence(p, p) == 0
    assert np.signbit(info.entropy(q)) == np.False_


def test_the_swapped_arguments_differ_and_both_are_positive():
    p, q = draw(0, (5,)), draw(1, (5,))
    forward, backward = info.kl_divergence(p, q), info.kl_divergence(q, p)
    assert forward > 0 and backward > 0 and abs(forward - backward) > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_gradients_through_a_softmax_pass_two_routes(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 6))
    p = softmax(b)

    def through(dp, x):
        return softmax_vjp(x, dp)

    assert check_gradient(
        lambda x: info.entropy(softmax(x)), lambda x: through(info.entropy_vjp(softmax(x)), x), a
    ).passed
    assert check_gradient(
        lambda x: info.cross_entropy(p, softmax(x)),
        lambda x: through(info.cross_entropy_vjp(p, softmax(x)), x),
        a,
    ).passed
    assert check_gradient(
        lambda x: info.kl_divergence(softmax(x[0]), softmax(x[1])),
        lambda x: tuple(
            through(g, z)
            for g, z in zip(info.kl_divergence_vjp(softmax(x[0]), softmax(x[1])), x, strict=True)
        ),
        (a, b),
    ).passed


def test_cross_entropy_of_a_softmax_has_the_gradient_q_minus_p():
    rng = np.random.default_rng(0)
    logits, p = rng.standard_normal(6), softmax(rng.standard_normal(6))
    q = softmax(logits)
    np.testing.assert_allclose(softmax_vjp(logits, info.cross_entropy_vjp(p, q)), q - p, atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_mutual_information_is_scikit_learns_and_splits_into_entropies(seed):
    counts = np.random.default_rng(seed).integers(0, 20, (4, 5)).astype(float)
    joint = counts / counts.sum()
    mi = info.mutual_information(joint)
    assert mi == pytest.approx(mutual_info_score(None, None, contingency=counts), rel=1e-12)
    x, y = joint.sum(axis=1), joint.sum(axis=0)
    assert mi == pytest.approx(info.entropy(x) + info.entropy(y) - info.entropy(joint.ravel()))
    independent = np.outer(x, y)
    assert info.mutual_information(np.stack([joint, independent]))[1] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_the_gaussian_closed_form_is_torchs_and_survives_near_equality(seed):
    rng = np.random.default_rng(seed)
    mp, mq = rng.standard_normal((2, 7))
    sp, sq = np.exp(rng.standard_normal((2, 7)))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(torch.tensor(mp), torch.tensor(sp)), normal(torch.tensor(mq), torch.tensor(sq))
    )
    np.testing.assert_allclose(info.gaussian_kl(mp, sp, mq, sq), expected.numpy(), rtol=1e-12)
    near = info.gaussian_kl(0.0, 1.0 + 1e-9, 0.0, 1.0)
    assert near == pytest.approx(1e-18, rel=1e-6)  # (δ)² to leading order


def test_the_gaussian_closed_form_takes_a_complex_step():
    def dp(mp, sp, mq, sq, dy):
        return (
            dy * (mp - mq) / sq**2,
            dy * (sp / sq**2 - 1 / sp),
            dy * (mq - mp) / sq**2,
            dy * (1 / sq - (sp**2 + (mp - mq) ** 2) / sq**3),
        )

    rng = np.random.default_rng(1)
    point = [rng.standard_normal(4), np.exp(rng.standard_normal(4))] * 2
    point[2] = rng.standard_normal(4)
    point[3] = np.exp(rng.standard_normal(4))
    assert check_vjp(info.gaussian_kl, dp, *point).passed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_axis_and_shape_are_kept(dtype):
    p, q = draw(0, (4, 3, 2)).astype(dtype), draw(1, (4, 3, 2)).astype(dtype)
    for function in (info.kl_divergence, info.cross_entropy, info.js_divergence):
        assert function(p, q).shape == (4, 3) and function(p, q).dtype == dtype
        swapped = function(np.moveaxis(p, -1, 0), np.moveaxis(q, -1, 0), axis=0)
        np.testing.assert_allclose(swapped, function(p, q), rtol=1e-5)
    assert info.entropy(p[:0]).shape == (0, 3)
    assert info.entropy(np.ones((2, 1), dtype)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: info.entropy([0.5, 0.6]), ValueError, "1.1"),
        (lambda: info.entropy([1.5, -0.5]), ValueError, "negative"),
        (lambda: info.entropy([np.nan, 1.0]), ValueError, "finite"),
        (lambda: info.entropy([1, 0]), TypeError, "int(32|64)"),
        (lambda: info.kl_divergence([0.5, 0.5], [2.0, 2.0]), ValueError, "q must sum to 1"),
        (lambda: info.kl_divergence([[0.5, 0.5]], [0.5, 0.5]), ValueError, "one shape"),
        (lambda: info.mutual_information([0.5, 0.5]), ValueError, "two axes"),
        (lambda: info.gaussian_kl(0.0, 0.0, 0.0, 1.0), ValueError, "positive"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()

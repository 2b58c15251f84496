"""Attention against torch: functional and `torch.nn.MultiheadAttention`, masks included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import attention, checks

TOLERANCE = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 5e-6}


def assert_close(actual, expected, dtype=np.float64, scale=None):
    expected = np.asarray(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if expected.size:
        scale = scale or np.abs(expected).max() or 1.0
        assert np.abs(actual - expected).max() <= TOLERANCE[np.dtype(dtype)] * scale


def as_torch(option, dtype):
    if isinstance(option, np.ndarray):
        option = torch.tensor(option)
        return option if option.dtype == torch.bool else option.to(dtype)
    return option


def compare_sdpa(query, key, value, dy, dtype, **options):
    y, cache = attention.scaled_dot_product_attention_forward(query, key, value, **options)
    tensors = [torch.tensor(a, requires_grad=True) for a in (query, key, value)]
    theirs = F.scaled_dot_product_attention(
        *tensors, **{k: as_torch(v, tensors[0].dtype) for k, v in options.items()}
    )
    assert_close(y, theirs, dtype)
    gradients = attention.scaled_dot_product_attention_backward(dy, cache)
    expected = torch.autograd.grad(theirs, tensors, torch.tensor(dy))
    # A query whose keys weigh all the same has a gradient of pure cancellation.
    scale = max(1e-3, *(g.abs().max().item() for g in expected))
    for gradient, its in zip(gradients, expected, strict=True):
        assert_close(gradient, its, dtype, scale)


MASK = np.array([[1, 0, 1, 0, 0], [1, 1, 0, 0, 1], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1]], dtype=bool)
BIAS = np.random.default_rng(4).standard_normal((4, 5))
OPTIONS = {
    "plain": {},
    "scaled": {"scale": 0.3},
    "causal": {"is_causal": True},
    "boolean mask": {"attn_mask": MASK},
    "mask per head": {"attn_mask": np.stack([MASK, ~MASK, MASK[::-1]])},
    "mask for the batch": {"attn_mask": np.stack([MASK, MASK[::-1]])[:, None]},
    "additive mask": {"attn_mask": BIAS},
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIONS)
def test_scaled_dot_product_attention_is_torchs(name, dtype):
    options = OPTIONS[name]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        arrays = [
            rng.standard_normal(shape).astype(dtype)
            for shape in ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7), (2, 3, 4, 7))
        ]
        compare_sdpa(*arrays, dtype, **options)


@given(
    leading=st.lists(st.integers(1, 3), max_size=2),
    lengths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    features=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    masking=st.sampled_from(["none", "causal", "boolean", "additive"]),
    dtype=st.sampled_from([np.float64, np.float32]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_attention_of_any_shape(leading, lengths, features, masking, dtype, seed):
    rng = np.random.default_rng(seed)
    (length, source), (width, out) = lengths, features
    arrays = [
        rng.standard_normal((*leading, *shape)).astype(dtype)
        for shape in ((length, width), (source, width), (source, out), (length, out))
    ]
    options = {
        "none": {},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": rng.random((length, source)) < 0.5},
        "additive": {"attn_mask": rng.standard_normal((length, source)).astype(dtype)},
    }[masking]
    compare_sdpa(*arrays, dtype, **options)


def test_a_row_that_may_attend_to_nothing_is_zero():
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal((4, 3)) for _ in range(3))
    mask = np.ones((4, 4), dtype=bool)
    mask[2] = False
    y, cache = attention.scaled_dot_product_attention_forward(query, key, value, mask)
    assert (y[2] == 0).all()
    assert (cache.weights[2] == 0).all()
    dquery, *_ = attention.scaled_dot_product_attention_backward(np.ones_like(y), cache)
    assert (dquery[2] == 0).all()
    compare_sdpa(query, key, value, np.ones((4, 3)), np.float64, attn_mask=mask)


def test_weights_are_a_distribution_even_for_huge_scores():
    rng = np.random.default_rng(0)
    query, key = 1e4 * rng.standard_normal((2, 6, 3))
    y, cache = attention.scaled_dot_product_attention_forward(query, key, np.ones((6, 2)))
    assert np.abs(cache.weights.sum(-1) - 1).max() < 1e-15
    assert np.abs(y - 1).max() < 1e-15


@pytest.mark.parametrize("name", OPTIONS)
def test_attention_vjp_passes_the_check(name):
    options = OPTIONS[name]
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7))]

    def f(*a):
        return attention.scaled_dot_product_attention_forward(*a, **options)[0]

    def vjp(*a):
        cache = attention.scaled_dot_product_attention_forward(*a[:-1], **options)[1]
        return attention.scaled_dot_product_attention_backward(a[-1], cache)

    def theirs(*a):
        given = {k: as_torch(v, torch.float64) for k, v in options.items()}
        return F.scaled_dot_product_attention(*a, **given)

    result = checks.check_vjp(f, vjp, *arrays, torch=theirs)
    assert result.passed and len(result.routes) >= 3


def test_complex_step_through_backward_gives_curvature():
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(s) for s in ((4, 6), (5, 6), (5, 7))]
    v = [rng.standard_normal(a.shape) for a in arrays]
    dy = rng.standard_normal((4, 7))
    stepped = [a + 1e-30j * d for a, d in zip(arrays, v, strict=True)]
    _, cache = attention.scaled_dot_product_attention_forward(*stepped, attn_mask=MASK)
    actual = attention.scaled_dot_product_attention_backward(dy, cache)

    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        y = F.scaled_dot_product_attention(*tensors, attn_mask=torch.tensor(MASK))
        first = torch.autograd.grad(y, tensors, torch.tensor(dy), create_graph=True)
        product = sum((g * torch.tensor(d)).sum() for g, d in zip(first, v, strict=True))
        expected = torch.autograd.grad(product, tensors)
    for a, e in zip(actual, expected, strict=True):
        assert np.abs(a.imag / 1e-30 - e.numpy()).max() <= 1e-12 * e.abs().max()


@pytest.mark.parametrize(("shapes", "options", "message"), [
    (((6,), (5, 6), (5, 7)), {}, r"query must have shape \(\.\.\., L, E\), got \(6,\)"),
    (((4, 6), (5, 3), (5, 7)), {}, r"key must have shape \('S', 6\).*got \(5, 3\)"),
    (((2, 4, 6), (1, 5, 6), (1, 5, 7)), {}, r"key must have shape \(2, 'S', 6\).*got \(1, 5, 6\)"),
    (((4, 6), (5, 6), (4, 7)), {}, r"value must have shape \(5, 'Ev'\).*got \(4, 7\)"),
    (((4, 6), (5, 6), (5, 7)), {"attn_mask": MASK[:, :1]}, r"the scores \(4, 5\), got \(4, 1\)"),
    (((4, 6), (5, 6), (5, 7)), {"attn_mask": MASK[None]}, r"scores \(4, 5\), got \(1, 4, 5\)"),
    (((4, 6), (5, 6), (5, 7)), {"attn_mask": MASK, "is_causal": True}, r"not both"),
])  # fmt: skip
def test_attention_says_what_is_wrong(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        attention.scaled_dot_product_attention_forward(*(np.ones(s) for s in shapes), **options)


def test_attention_refuses_integers_and_a_wrong_cotangent():
    good = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"key must hold.*int(32|64)"):
        attention.scaled_dot_product_attention_forward(good, good.astype(int), good)
    with pytest.raises(TypeError, match=r"mask must hold.*int(32|64)"):
        attention.scaled_dot_product_attention_forward(good, good, good, np.ones((2, 2), int))
    _, cache = attention.scaled_dot_product_attention_forward(good, good, good)
    with pytest.raises(ValueError, match=r"dy must have the shape of the output \(2, 3\)"):
        attention.scaled_dot_product_attention_backward(np.ones((2, 1)), cache)


# Many heads -----------------------------------------------------------------------------------

PADDING = np.array([[False, False, True, False, True], [False, True, False, False, False]])
HEAD_OPTIONS = {
    "plain": {},
    "forbidden by booleans": {"attn_mask": ~MASK},
    "additive": {"attn_mask": BIAS},
    "padding": {"key_padding_mask": PADDING},
    "causal": {"is_causal": True},
    "additive and padding": {"attn_mask": BIAS, "key_padding_mask": PADDING},
}


def draw_heads(seed, dtype=np.float64, bias=True, batch=(2,)):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, 4, 6), (*batch, 5, 6), (*batch, 5, 6), (18, 6), (18,), (6, 6), (6,)]
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    if not bias:
        arrays[4] = arrays[6] = None
    return arrays, rng.standard_normal((*batch, 4, 6)).astype(dtype)


def forward(arrays, **options):
    query, key, value, *parameters = arrays
    return attention.multi_head_attention_forward(query, key, value, 3, *parameters, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", HEAD_OPTIONS)
def test_multi_head_attention_is_torchs_module(name, bias, dtype):
    options = dict(HEAD_OPTIONS[name])
    arrays, dy = draw_heads(0, dtype, bias)
    y, cache = forward(arrays, **options)

    kind = torch.float64 if dtype == np.float64 else torch.float32
    module = torch.nn.MultiheadAttention(6, 3, bias=bias, batch_first=True, dtype=kind)
    names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    state = {n: torch.tensor(a) for n, a in zip(names, arrays[3:], strict=True) if a is not None}
    module.load_state_dict(state)
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays[:3]]
    given = {k: as_torch(v, kind) for k, v in options.items()}
    if given.get("is_causal"):  # torch wants the mask as well, and calls the other a hint
        given["attn_mask"] = torch.ones(4, 5, dtype=torch.bool).triu(1)
    if {"attn_mask", "key_padding_mask"} <= set(given):  # torch wants both of one type
        padding = given["key_padding_mask"]
        given["key_padding_mask"] = torch.zeros(padding.shape, dtype=kind).masked_fill(
            padding, -torch.inf
        )
    theirs, weights = module(*inputs, **given, average_attn_weights=False)
    assert_close(y, theirs, dtype)
    assert_close(cache.weights, weights, dtype)

    parameters = dict(module.named_parameters())
    wanted = inputs + [parameters[n] for n in names if n in parameters]
    expected = torch.autograd.grad(theirs, wanted, torch.tensor(dy))
    gradients = attention.multi_head_attention_backward(dy, cache)
    assert [g is None for g in gradients] == [a is None for a in arrays]
    present = [g for g in gradients if g is not None]
    for gradient, its in zip(present, expected, strict=True):
        assert_close(gradient, its, dtype)


@pytest.mark.parametrize("name", HEAD_OPTIONS)
def test_multi_head_attention_vjp_passes_the_check(name):
    options = HEAD_OPTIONS[name]
    arrays, _ = draw_heads(3)

    def f(*a):
        return forward(a, **options)[0]

    def vjp(*a):
        return attention.multi_head_attention_backward(a[-1], forward(a[:-1], **options)[1])

    result = checks.check_vjp(f, vjp, *arrays)
    assert result.passed and len(result.routes) >= 2


def test_self_attention_adds_three_gradients():
    arrays, dy = draw_heads(4)
    x = arrays[0]
    _, cache = forward([x, x, x, *arrays[3:]])
    total = sum(attention.multi_head_attention_backward(dy, cache)[:3])
    stepped = x + 1e-30j * np.random.default_rng(0).standard_normal(x.shape)
    y, _ = forward([stepped] * 3 + arrays[3:])
    expected = (dy * y.imag).sum() / 1e-30
    actual = (total * stepped.imag).sum() / 1e-30
    assert abs(actual - expected) <= 1e-13 * np.abs(total).sum()


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_multi_head_attention_on_any_leading_axes(batch):
    arrays, dy = draw_heads(5, batch=batch)
    padding = np.random.default_rng(1).random((*batch, 5)) < 0.3
    padding[..., 0] = False
    y, cache = forward(arrays, key_padding_mask=padding, is_causal=True)
    gradients = attention.multi_head_attention_backward(dy, cache)
    assert [g.shape for g in gradients] == [a.shape for a in arrays]
    if not batch:
        return
    for i, j in np.ndindex(batch):
        one = [a[i, j] for a in arrays[:3]] + arrays[3:]
        expected, its = forward(one, key_padding_mask=padding[i, j], is_causal=True)
        assert_close(y[i, j], expected)
        for whole, part in zip(
            gradients[:3], attention.multi_head_attention_backward(dy[i, j], its), strict=False
        ):
            assert_close(whole[i, j], part)


def test_complex64_stays_complex64():
    arrays, dy = draw_heads(6, np.complex64)
    y, cache = forward(arrays, key_padding_mask=PADDING)
    gradients = attention.multi_head_attention_backward(dy, cache)
    assert {a.dtype for a in (y, *gradients)} == {np.dtype(np.complex64)}


@pytest.mark.parametrize(("change", "options", "message"), [
    ({0: (2, 4, 5)}, {}, r"E a multiple of num_heads=3, got \(2, 4, 5\)"),
    ({1: (2, 5, 3)}, {}, r"key must have shape \(2, 'S', 6\), got \(2, 5, 3\)"),
    ({2: (2, 4, 6)}, {}, r"value must have shape \(2, 5, 6\), got \(2, 4, 6\)"),
    ({3: (6, 18)}, {}, r"in_proj_weight must have shape \(18, 6\), got \(6, 18\)"),
    ({4: (6,)}, {}, r"in_proj_bias must have shape \(18,\), got \(6,\)"),
    ({5: (6, 1)}, {}, r"out_proj_weight must have shape \(6, 6\), got \(6, 1\)"),
    ({6: (1,)}, {}, r"bias must have shape \(6,\).*got \(1,\)"),
    ({}, {"key_padding_mask": PADDING[:, :4]}, r"key_padding_mask must have shape \(2, 5\)"),
    ({}, {"attn_mask": MASK.T}, r"the mask must have shape \(\.\.\., 4, 5\)"),
])  # fmt: skip
def test_multi_head_attention_says_which_shape_is_wrong(change, options, message):
    arrays, _ = draw_heads(0)
    for i, shape in change.items():
        arrays[i] = np.ones(shape)
    with pytest.raises(ValueError, match=message):
        forward(arrays, **options)


def test_key_padding_mask_of_floats_is_refused():
    arrays, _ = draw_heads(0)
    with pytest.raises(TypeError, match="key_padding_mask must hold booleans, got float64"):
        forward(arrays, key_padding_mask=np.zeros((2, 5)))

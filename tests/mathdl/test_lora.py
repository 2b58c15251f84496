"""`mathdl.lora` against autograd, against dense algebra, and against counts by hand."""

import numpy as np
import pytest
import torch

from mathdl import linalg, lora
from mathdl.checks import check_vjp


def example(seed=0, batch=(5,), out=4, width=6, rank=2):
    rng = np.random.default_rng(seed)
    shapes = ((*batch, width), (out, width), (rank, width), (out, rank))
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_and_backward_are_autograds(batch, dtype):
    x, w, a, b = (value.astype(dtype) for value in example(batch=batch))
    bias = np.arange(4, dtype=dtype)
    y, cache = lora.lora_forward(x, w, a, b, alpha=3.0, bias=bias)
    dy = np.random.default_rng(9).standard_normal(y.shape).astype(dtype)
    grads = lora.lora_backward(dy, cache)
    tensors = [torch.tensor(value, requires_grad=True) for value in (x, a, b)]
    tx, ta, tb = tensors
    ty = torch.nn.functional.linear(tx, torch.tensor(w) + 1.5 * tb @ ta, torch.tensor(bias))
    expected = torch.autograd.grad(ty, tensors, torch.tensor(dy))
    tol = 1e-13 if dtype == np.float64 else 1e-5
    assert y.dtype == dtype
    np.testing.assert_allclose(y, ty.detach().numpy(), atol=tol * 30, rtol=0)
    for ours, theirs in zip(grads, expected, strict=True):
        assert ours.dtype == dtype and ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours, theirs.numpy(), atol=tol * 100, rtol=0)


def test_the_vjp_passes_two_independent_routes_away_from_b_zero():
    x, w, a, b = example(3)

    def f(x, a, b):
        return lora.lora_forward(x, w, a, b, alpha=4.0)[0]

    def vjp(x, a, b, dy):
        return lora.lora_backward(dy, lora.lora_forward(x, w, a, b, alpha=4.0)[1])

    assert check_vjp(f, vjp, x, a, b).passed


def test_gradients_are_those_of_the_dense_update():
    x, w, a, b = example(1)
    y, cache = lora.lora_forward(x, w, a, b, alpha=6.0)
    dy = np.ones_like(y)
    _, da, db = lora.lora_backward(dy, cache)
    g = dy.T @ x  # gradient of the effective weight
    np.testing.assert_allclose(db, 3.0 * g @ a.T, atol=1e-12)
    np.testing.assert_allclose(da, 3.0 * b.T @ g, atol=1e-12)


def test_a_fresh_adapter_changes_nothing_and_only_b_learns_first():
    rng = np.random.default_rng(0)
    a, b = lora.lora_init(rng, 6, 4, 2)
    x, w, *_ = example()
    y, cache = lora.lora_forward(x, w, a, b, alpha=16)
    np.testing.assert_array_equal(y, x @ w.T)
    _, da, db = lora.lora_backward(np.ones_like(y), cache)
    assert not da.any() and db.any()
    big, _ = lora.lora_init(rng, 300, 300, 100)
    assert np.abs(big).max() <= 1 / np.sqrt(300)
    assert big.std() == pytest.approx(1 / np.sqrt(3 * 300), rel=0.02)


def test_merging_gives_the_same_layer_and_an_update_of_the_rank():
    x, w, a, b = example(2)
    merged = lora.merge(w, a, b, alpha=8)
    np.testing.assert_allclose(x @ merged.T, lora.lora_forward(x, w, a, b, alpha=8)[0], atol=1e-12)
    assert np.linalg.matrix_rank(merged - w) == 2
    assert linalg.rank_for_error(lora.lora_update(a, b, 8), 1e-12) == 2


def test_a_single_layer_is_counted_as_by_hand():
    full = lora.training_cost({"w": (4096, 4096)})
    assert full.trained == full.stored == 4096**2
    assert (full.weight_bytes, full.gradient_bytes) == (4 * 4096**2, 4 * 4096**2)
    assert full.optimizer_bytes == 8 * 4096**2
    adapted = lora.training_cost({"w": (4096, 4096)}, rank=16)
    assert adapted.trained == 2 * 4096 * 16
    assert adapted.weight_bytes == 2 * 4096**2 + 4 * adapted.trained
    assert adapted.total_bytes == adapted.weight_bytes + 3 * 4 * adapted.trained


def test_grouped_query_attention_changes_the_counts():
    shapes = lora.attention_shapes(4096, 32, n_kv_heads=8)
    grouped = lora.training_cost(shapes, rank=16, adapted=("q", "v"))
    square = lora.training_cost(lora.attention_shapes(4096, 32), rank=16, adapted=("q", "v"))
    assert grouped.trained == 16 * (4096 + 4096) + 16 * (1024 + 4096)
    assert square.trained == 4 * 16 * 4096
    assert lora.attention_shapes(6, 2, head_dim=5)["o"] == (6, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lora.lora_init(np.random.default_rng(0), 4, 3, 4), r"1\.\.3"),
        (lambda: lora.lora_forward(*example()[:3], np.ones((2, 4)), alpha=1), r"b \(4, r\)"),
        (lambda: lora.lora_forward(*example(), alpha=1, bias=np.ones((1, 4))), r"\(4,\)"),
        (
            lambda: lora.lora_backward(np.ones((5, 1)), lora.lora_forward(*example(), alpha=1)[1]),
            r"\(5, 4\)",
        ),
        (lambda: lora.lora_update(np.ones((2, 3)), np.ones((3, 3)), 1), "one r"),
        (lambda: lora.merge(np.ones((2, 2)), np.ones((1, 3)), np.ones((2, 1)), 1), r"\(2, 3\)"),
        (lambda: lora.training_cost({"w": (4, 4)}, rank=5), r"1\.\.4"),
        (lambda: lora.training_cost({"w": (4, 4)}, rank=1, adapted=("v",)), "no matrix v"),
        (lambda: lora.training_cost({"w": (4, 4)}, adapted=("w",)), "rank"),
        (lambda: lora.training_cost({"w": (4, 4)}, weight_dtype="fp3"), "fp3"),
        (lambda: lora.attention_shapes(64, 8, n_kv_heads=3), "divide"),
        (lambda: lora.attention_shapes(65, 8), "divide"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""`mathdl` against the node test cases of ONNX, which another community wrote down.

`onnx.backend.test.case.node` makes them: inputs, attributes and outputs of single operations. Each
case of an operation that `mathdl` has is run, or stands in `SKIPPED` under the reason why not.
Cases that spell an operation out in simpler ones (``_expanded``) are not of that operation.
"""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some cases overflow on purpose while they are made
    from onnx import helper
    from onnx.backend.test.case.node import collect_testcases

    COLLECTED = collect_testcases(None)

from mathdl import activations, attention, layers, losses, numerics, optim


def fold_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(B, L, H·E) -> (B, H, L, E)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def run_attention(q, k, v, mask=None, past_key=None, past_value=None, **attributes):
    flat = q.ndim == 3
    if flat:
        q = fold_heads(q, attributes["q_num_heads"])
        k, v = (fold_heads(x, attributes["kv_num_heads"]) for x in (k, v))
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        k, v = np.concatenate([past_key, k], 2), np.concatenate([past_value, v], 2)
    groups = q.shape[1] // k.shape[1]  # grouped queries: several heads share a key
    k, v = (np.repeat(x, groups, axis=1) for x in (k, v))
    shape = (*q.shape[:3], k.shape[2])
    causal = bool(attributes.get("is_causal"))
    if causal and (mask is not None or past):
        allowed = np.tri(*shape[2:], past, dtype=bool)
        if mask is None or mask.dtype == bool:
            mask = allowed if mask is None else mask & allowed
        else:
            mask = np.where(allowed, mask, np.float32(-np.inf))
        causal = False
    if mask is not None:
        mask = np.broadcast_to(mask, shape)
    y, cache = attention.scaled_dot_product_attention_forward(
        q, k, v, mask, is_causal=causal, scale=attributes.get("scale")
    )
    if flat:
        y = y.swapaxes(1, 2).reshape(*y.shape[:1], y.shape[2], -1)
    present = [] if past_key is None else [None, None]
    return [y, *present, cache.weights if attributes.get("qk_matmul_output_mode") == 3 else None]


def windows(x, kernel_shape, strides=(1, 1), pads=None, auto_pad=b"NOTSET", dilations=(1, 1), **_):
    """Return the padding before and after each axis."""
    if auto_pad == b"NOTSET":
        pads = pads or [0] * 4
        return list(zip(pads[:2], pads[2:], strict=True))
    both = []
    for n, k, s in zip(x.shape[2:], kernel_shape, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        less, more = total // 2, total - total // 2
        both.append((less, more) if auto_pad == b"SAME_UPPER" else (more, less))
    return both


def run_conv(x, weight, **attributes):
    pads = windows(x, **attributes)
    stride = tuple(attributes.get("strides", (1, 1)))
    if all(before == after for before, after in pads):
        return [layers.conv2d_forward(x, weight, None, stride, tuple(p for p, _ in pads))[0]]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    return [layers.conv2d_forward(x, weight, None, stride)[0]]


def run_max_pool(x, **attributes):
    kernel, pads = tuple(attributes["kernel_shape"]), windows(x, **attributes)
    stride = tuple(attributes.get("strides", (1, 1)))
    dilation = tuple(attributes.get("dilations", (1, 1)))
    padding = (0, 0)
    if all(a == b <= k // 2 for (a, b), k in zip(pads, kernel, strict=True)):
        padding = tuple(a for a, _ in pads)
    else:
        x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=-np.inf)
    return [layers.max_pool2d_forward(x, kernel, stride, padding, dilation)[0], None]


def run_average_pool(x, **attributes):
    kernel, pads = tuple(attributes["kernel_shape"]), windows(x, **attributes)
    stride = tuple(attributes.get("strides", (1, 1)))
    counted = bool(attributes.get("count_include_pad"))
    padding = tuple(a for a, _ in pads)
    if counted:
        x, padding = np.pad(x, [(0, 0), (0, 0), *pads]), (0, 0)
    return [layers.avg_pool2d_forward(x, kernel, stride, padding, counted)[0]]


def run_dropout(x, ratio=0.5, training=False, seed=0):
    keep = np.random.RandomState(seed).uniform(0, 1, x.shape) >= ratio
    y, _ = layers.dropout_forward(x, float(ratio), bool(training), mask=keep if training else None)
    return [y, None]


def run_batch_norm(x, scale, bias, mean, var, epsilon=1e-5, training_mode=0):
    if training_mode:
        y, cache = layers.batch_norm_forward(x, mean, var, scale, bias, True, 0.1, epsilon)
        return [y, cache.running_mean, None]
    return [layers.batch_norm_forward(x, mean, var, scale, bias, False, eps=epsilon)[0]]


def run_gemm(a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
    x, weight = np.float32(alpha) * (a.T if transA else a), b if transB else b.T
    bias = None if c is None else np.float32(beta) * c.reshape(c.shape[-1:])
    return [layers.linear_forward(x, weight, bias)[0]]


def run_gather(table, indices, axis=0):
    rows = np.moveaxis(table, axis, 0)
    y, _ = layers.embedding_forward(indices, rows.reshape(len(rows), -1))
    y = y.reshape(*indices.shape, *rows.shape[1:])
    front = range(indices.ndim)
    return [np.moveaxis(y, front, [axis + i for i in front])]


def run_adagrad(lr, t, *arrays, decay_factor, epsilon, norm_coefficient):
    assert t == 0
    count, new_x, new_h = len(arrays) // 3, [], []
    for x, g, h in zip(arrays[:count], arrays[count : 2 * count], arrays[2 * count :], strict=True):
        x = x.copy()
        optimizer = optim.Adagrad(x, float(lr), decay_factor, norm_coefficient, eps=epsilon)
        optimizer.state["sum"][:] = h
        optimizer.step(g)
        new_x.append(x)
        new_h.append(optimizer.state["sum"])
    return [*new_x, *new_h]


def run_momentum(lr, t, *arrays, alpha, beta, mode, norm_coefficient):
    count, new_x, new_v = len(arrays) // 3, [], []
    for x, g, v in zip(arrays[:count], arrays[count : 2 * count], arrays[2 * count :], strict=True):
        x = x.copy()
        optimizer = optim.SGD(
            x,
            0.0,
            momentum=alpha,
            dampening=1 - beta if t > 0 else 0.0,
            weight_decay=norm_coefficient,
            nesterov=mode == b"nesterov",
        )
        optimizer.step(v - np.float32(norm_coefficient) * x)  # fills the buffer with v
        optimizer.lr = float(lr)
        optimizer.step(g)
        new_x.append(x)
        new_v.append(optimizer.state["momentum_buffer"])
    return [*new_x, *new_v]


def run_reduce_log_sum_exp(x, axes, keepdims=1):
    axis = tuple(int(a) for a in axes) or None
    return [numerics.logsumexp(x, axis=axis, keepdims=bool(keepdims))]


def run_layer_norm(x, scale, bias, axis=-1, epsilon=1e-5):
    return [layers.layer_norm_forward(x, x.shape[axis:], scale, bias, epsilon)[0], None, None]


def loss_options(weight, reduction=b"mean", ignore_index=-100):
    return {"weight": weight, "ignore_index": ignore_index, "reduction": reduction.decode()}


OPERATIONS = {
    "Relu": lambda x: [activations.relu(x)],
    "LeakyRelu": lambda x, alpha=0.01: [activations.leaky_relu(x, alpha)],
    "Elu": lambda x, alpha=1.0: [activations.elu(x, alpha)],
    "Softplus": lambda x: [activations.softplus(x)],
    "Sigmoid": lambda x: [activations.sigmoid(x)],
    "Tanh": lambda x: [activations.tanh(x)],
    "Gelu": lambda x, approximate=b"none": [activations.gelu(x, approximate.decode())],
    "Swish": lambda x, alpha=1.0: [activations.silu(alpha * x) / alpha],
    "Softmax": lambda x, axis=-1: [activations.softmax(x, axis)],
    "LogSoftmax": lambda x, axis=-1: [activations.log_softmax(x, axis)],
    "Erf": lambda x: [numerics.erf(x)],
    "ReduceLogSumExp": run_reduce_log_sum_exp,
    "Gemm": run_gemm,
    "MatMul": lambda a, b: [layers.linear_forward(a, b.swapaxes(-1, -2))[0]],
    "LayerNormalization": run_layer_norm,
    "BatchNormalization": run_batch_norm,
    "Conv": run_conv,
    "MaxPool": run_max_pool,
    "AveragePool": run_average_pool,
    "Gather": run_gather,
    "Dropout": run_dropout,
    "NegativeLogLikelihoodLoss": lambda x, t, w=None, **options: [
        losses.nll_loss(x, t, **loss_options(w, **options))
    ],
    "SoftmaxCrossEntropyLoss": lambda x, t, w=None, **options: [
        losses.cross_entropy(x, t, **loss_options(w, **options)),
        activations.log_softmax(x, 1),
    ],
    "Attention": run_attention,
    "Adam": lambda *arrays, **attributes: [],  # see SKIPPED
    "Adagrad": run_adagrad,
    "Momentum": run_momentum,
}

SKIPPED = {
    "step 0 has no bias correction in ONNX; torch's Adam, like ours, always has": """
        test_adam test_adam_multiple
    """,
    "no soft cap on the scores, as in torch": """
        test_attention_4d_softcap test_attention_4d_gqa_softcap
        test_attention_4d_diff_heads_sizes_softcap test_attention_4d_with_qk_matmul_softcap
        test_attention_3d_softcap test_attention_3d_gqa_softcap
        test_attention_3d_diff_heads_sizes_softcap
        test_attention_3d_with_past_and_present_qk_matmul_softcap
        test_attention_4d_softcap_neginf_mask test_attention_4d_softcap_neginf_mask_poison
    """,
    "no window: a page that needs one writes it as a mask": """
        test_attention_local_window test_attention_bidirectional_window
        test_attention_local_window_rank1_boolean_mask test_attention_local_window_with_past
        test_attention_3d_local_window test_attention_local_window_gqa_rank4_mask
    """,
    "no cache of keys padded at its end": """
        test_attention_4d_diff_heads_mask4d_padded_kv test_attention_4d_padded_kv_bf16
        test_attention_4d_causal_padded_kv_bf16 test_attention_4d_gqa_causal_nonpad_decode
        test_attention_4d_gqa_causal_nonpad_decode_fp16
        test_attention_4d_causal_nonpad_continued_prefill
        test_attention_4d_causal_nonpad_negative_offset_structural_empty
        test_attention_4d_causal_nonpad_attn_mask_composition
        test_attention_4d_causal_nonpad_batch_prefill
        test_attention_local_window_ext_cache_rank3_head_mask
        test_attention_local_window_ext_cache_rank4_batch_mask
        test_attention_local_window_ext_cache_rank2_mask
        test_attention_local_window_ext_cache_float16_mask
    """,
    "bfloat16 is no dtype of NumPy": """
        test_attention_4d_causal_bf16 test_attention_4d_attn_mask_causal_bf16
        test_attention_3d_causal_bf16
    """,
    "pooling is over two axes": """
        test_averagepool_1d_default test_averagepool_3d_default test_averagepool_3d_dilations_small
        test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True
        test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False
        test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True
        test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False
        test_maxpool_1d_default test_maxpool_3d_default test_maxpool_3d_dilations
        test_maxpool_3d_dilations_use_ref_impl test_maxpool_3d_dilations_use_ref_impl_large
    """,
    "an average without the padding has equal padding on both sides, of at most half a window": """
        test_averagepool_2d_same_upper test_averagepool_2d_same_lower test_averagepool_2d_pads
    """,
    "windows lie inside the padded image: no ceil_mode": """
        test_averagepool_2d_ceil test_averagepool_2d_ceil_last_window_starts_on_pad
        test_maxpool_2d_ceil
    """,
    "averages have no dilation, as in torch": """
        test_averagepool_2d_dilations
    """,
    "integers are refused": """
        test_maxpool_2d_uint8
    """,
    "negative indices are refused, as in torch's embedding": """
        test_gather_negative_indices
    """,
    "a bias that would only fit by broadcasting is refused": """
        test_gemm_default_scalar_bias test_gemm_default_single_elem_vector_bias
        test_gemm_default_matrix_bias
    """,
    "a weight is a matrix, and a grid of them acts on rows": """
        test_matmul_1d_3d test_matmul_4d_1d test_matmul_1d_1d
    """,
}
UNCOMPARED = {
    ("Attention", 1): "the case's own inputs joined, or scores, which are not kept",
    ("Attention", 2): "the case's own inputs joined",
    ("Attention", 3): "scores before the softmax are not kept; the weights are, and are compared",
    ("BatchNormalization", 2): "ONNX averages the biased variance, torch the unbiased one",
    ("Dropout", 1): "the mask is an argument here",
    ("LayerNormalization", 1): "the mean is not kept",
    ("LayerNormalization", 2): "1/σ is kept in the cache only",
    ("MaxPool", 1): "where the maximum lies shows in the gradient",
}
REASONS = {name: reason for reason, names in SKIPPED.items() for name in names.split()}
CASES = {
    case.name: (case.model.graph.node[0], case)
    for case in COLLECTED
    if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATIONS
}


def run(node, inputs):
    """Call the operation as the node says; an input left out is None."""
    given = iter(inputs)
    arguments = [next(given) if name else None for name in node.input]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return OPERATIONS[node.op_type](*arguments, **attributes)


def test_every_case_is_run_or_skipped_for_a_reason() -> None:
    assert len(COLLECTED) == 1884
    assert {node.op_type for node, _ in CASES.values()} == set(OPERATIONS)
    assert set(REASONS) <= set(CASES)
    assert sum(len(names.split()) for names in SKIPPED.values()) == len(REASONS)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(REASONS)))
def test_case(name: str) -> None:
    node, case = CASES[name]
    for inputs, outputs in case.data_sets:
        before = [x.copy() for x in inputs]
        results = run(node, inputs)
        assert len(results) >= len(outputs)
        for number, (got, want) in enumerate(zip(results, outputs, strict=False)):
            if got is None:
                assert (node.op_type, number) in UNCOMPARED
                continue
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            scale = np.max(np.abs(want[np.isfinite(want)]), initial=0.0)
            eps = np.finfo(want.dtype).eps
            np.testing.assert_allclose(got, want, rtol=0, atol=16 * eps * scale)
        for x, same in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(x, same)

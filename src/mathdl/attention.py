"""Attention as pairs of functions: scaled dot products, and many heads of them.

The conventions are torch's, including one trap: in `scaled_dot_product_attention_forward` a
boolean mask says where attention *is allowed*, in `multi_head_attention_forward`, as in
`torch.nn.MultiheadAttention`, where it is *forbidden*. A mask of floats is added to the scores in
both. Everything acts on trailing axes, ``(..., length, features)``, and is complex-safe.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from mathdl._arrays import inexact, same_shape
from mathdl.layers import _cotangent, linear_backward, linear_forward

__all__ = [
    "AttentionCache",
    "MultiHeadCache",
    "multi_head_attention_backward",
    "multi_head_attention_forward",
    "scaled_dot_product_attention_backward",
    "scaled_dot_product_attention_forward",
]

Array = np.ndarray


class AttentionCache(NamedTuple):
    """What the backward pass of one attention needs; `weights` is the map to look at.

    Attributes
    ----------
    weights : array, shape (..., L, S)
        How much each query takes of each value; the rows sum to one, or to zero where all is
        masked.
    query : array, shape (..., L, E)
    key : array, shape (..., S, E)
    value : array, shape (..., S, Ev)
        As they were given.
    scale : float
        What the scores were multiplied by.
    """

    weights: Array
    query: Array
    key: Array
    value: Array
    scale: float


class MultiHeadCache(NamedTuple):
    """What the backward pass of all heads needs; `weights` has a map per head.

    Attributes
    ----------
    weights : array, shape (..., heads, L, S)
        As those of `attention`.
    attention : AttentionCache
        Of all heads, which are an axis of it.
    projections : tuple of three
        What the linear maps of query, key and value keep.
    output : tuple
        What the linear map of the output keeps.
    shape : tuple of int
        Of the output.
    """

    weights: Array
    attention: AttentionCache
    projections: tuple[Any, Any, Any]
    output: Any
    shape: tuple[int, ...]


def _softmax(scores: Array) -> Array:
    """Softmax over the last axis; a row that is masked everywhere gives zeros, as in torch."""
    if not scores.shape[-1]:
        return scores
    top = scores.real.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def _additive(mask: Any, allowed: bool, shape: tuple[int, ...], real: np.dtype) -> Array:
    """Turn a mask into what is added to the scores, in their precision; True means `allowed`."""
    mask = np.asarray(mask)
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits or mask.shape[-2:] != shape[-2:]:
        raise ValueError(
            f"the mask must have shape (..., {shape[-2]}, {shape[-1]}) and fit the "
            f"scores {shape}, got {mask.shape}"
        )
    if mask.dtype == bool:
        return np.where(mask == allowed, 0.0, -np.inf).astype(real)
    mask = inexact(mask, "mask")
    return mask.astype(real) if mask.dtype.kind == "f" else mask


def scaled_dot_product_attention_forward(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> tuple[Array, AttentionCache]:
    r"""Average values with weights from the similarity of queries and keys.

    .. math:: Y = \operatorname{softmax}\!\left(s\, Q K^{\mathsf T} + M\right) V,
        \qquad s = 1/\sqrt{E}

    Parameters
    ----------
    query : array, shape (..., L, E)
    key : array, shape (..., S, E)
    value : array, shape (..., S, Ev)
        The leading axes of the three are equal.
    attn_mask : array, shape (L, S) or (..., L, S), optional
        Booleans: True where attention is allowed. Floats: added to the scores.
    is_causal : bool
        Position i sees positions j ≤ i only. Not together with `attn_mask`.
    scale : float, optional
        :math:`1/\sqrt{E}` if not given.

    Returns
    -------
    y : array, shape (..., L, Ev)
        Zero in a row that may attend to nothing.
    cache : AttentionCache
        ``cache.weights``, of shape (..., L, S), are the attention weights.

    Raises
    ------
    TypeError
        An argument holds integers, or a mask neither booleans nor floats.
    ValueError
        Shapes do not fit, or both a mask and `is_causal` are given.

    References
    ----------
    Vaswani et al. (2017), "Attention Is All You Need", equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> query = key = np.array([[10.0, 0.0], [0.0, 10.0]])
    >>> y, cache = scaled_dot_product_attention_forward(query, key, np.array([[1.0], [2.0]]))
    >>> y.round(3)
    array([[1.],
           [2.]])
    >>> causal, _ = scaled_dot_product_attention_forward(
    ...     np.ones((2, 1)), np.ones((2, 1)), np.array([[1.0], [2.0]]), is_causal=True)
    >>> causal
    array([[1. ],
           [1.5]])
    """
    query, key, value = inexact(query, "query"), inexact(key, "key"), inexact(value, "value")
    if query.ndim < 2:
        raise ValueError(f"query must have shape (..., L, E), got {query.shape}")
    leading, features = query.shape[:-2], query.shape[-1]
    if key.ndim < 2 or key.shape[:-2] != leading or key.shape[-1] != features:
        raise ValueError(
            f"key must have shape {(*leading, 'S', features)} for a query "
            f"{query.shape}, got {key.shape}"
        )
    if value.ndim < 2 or value.shape[:-1] != key.shape[:-1]:
        raise ValueError(
            f"value must have shape {(*key.shape[:-1], 'Ev')} for a key "
            f"{key.shape}, got {value.shape}"
        )
    if is_causal and attn_mask is not None:
        raise ValueError("give attn_mask or is_causal=True, not both")
    if scale is None:
        scale = 1.0 / math.sqrt(features) if features else 1.0
    # (..., L, E) @ (..., E, S) -> (..., L, S)
    scores = (query @ key.swapaxes(-1, -2)) * float(scale)
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None:
        scores = scores + _additive(attn_mask, True, scores.shape, scores.real.dtype)
    weights = _softmax(scores)
    y = weights @ value  # (..., L, S) @ (..., S, Ev) -> (..., L, Ev)
    return y, AttentionCache(weights, query, key, value, float(scale))


def scaled_dot_product_attention_backward(
    dy: Array, cache: AttentionCache
) -> tuple[Array, Array, Array]:
    r"""Propagate a gradient through attention.

    With weights :math:`A`, :math:`\mathrm{d}V = A^{\mathsf T}\mathrm{d}Y`,
    :math:`\mathrm{d}A = \mathrm{d}Y\, V^{\mathsf T}`,
    :math:`\mathrm{d}S = A \odot (\mathrm{d}A - \operatorname{rowsum}(A \odot \mathrm{d}A))`,
    :math:`\mathrm{d}Q = s\,\mathrm{d}S\,K` and :math:`\mathrm{d}K = s\,\mathrm{d}S^{\mathsf T} Q`.
    Masked places have weight zero and so pass nothing on.

    Parameters
    ----------
    dy : array, shape (..., L, Ev)
    cache : from `scaled_dot_product_attention_forward`

    Returns
    -------
    dquery, dkey, dvalue : arrays of the shapes of query, key and value

    Examples
    --------
    >>> import numpy as np
    >>> query, key, value = np.ones((2, 1)), np.ones((2, 1)), np.array([[1.0], [2.0]])
    >>> y, cache = scaled_dot_product_attention_forward(query, key, value)
    >>> dquery, dkey, dvalue = scaled_dot_product_attention_backward(np.ones_like(y), cache)
    >>> dkey
    array([[-0.5],
           [ 0.5]])
    >>> dvalue
    array([[1.],
           [1.]])
    """
    weights, query, key, value, scale = cache
    dy = _cotangent(dy, (*query.shape[:-1], value.shape[-1]))
    dvalue = weights.swapaxes(-1, -2) @ dy  # (..., S, L) @ (..., L, Ev) -> (..., S, Ev)
    dweights = dy @ value.swapaxes(-1, -2)  # (..., L, Ev) @ (..., Ev, S) -> (..., L, S)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True)) * scale
    dquery = dscores @ key  # (..., L, S) @ (..., S, E) -> (..., L, E)
    dkey = dscores.swapaxes(-1, -2) @ query  # (..., S, L) @ (..., L, E) -> (..., S, E)
    return dquery, dkey, dvalue


def _split(x: Array, heads: int) -> Array:
    """(..., L, E) -> (..., heads, L, E / heads)."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).swapaxes(-2, -3)


def _merge(x: Array) -> Array:
    """(..., heads, L, E / heads) -> (..., L, E)."""
    x = x.swapaxes(-2, -3)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def multi_head_attention_forward(
    query: Array,
    key: Array,
    value: Array,
    num_heads: int,
    in_proj_weight: Array,
    in_proj_bias: Array | None,
    out_proj_weight: Array,
    out_proj_bias: Array | None,
    *,
    attn_mask: Array | None = None,
    key_padding_mask: Array | None = None,
    is_causal: bool = False,
) -> tuple[Array, MultiHeadCache]:
    """Project, attend in each head, join the heads and project again.

    The mathematics of `torch.nn.MultiheadAttention(E, num_heads, batch_first=True)`, whose
    parameters it takes under their own names.

    Parameters
    ----------
    query : array, shape (..., L, E)
    key, value : array, shape (..., S, E)
        For self-attention give the same array three times, and add the three gradients.
    num_heads : int
        Divides E; each head works on E / num_heads features.
    in_proj_weight : array, shape (3E, E)
        The projections of query, key and value, stacked in this order.
    in_proj_bias : array, shape (3E,), or None
    out_proj_weight : array, shape (E, E)
    out_proj_bias : array, shape (E,), or None
    attn_mask : array, shape (L, S) or (..., num_heads, L, S), optional
        Booleans: True where attention is *forbidden*. Floats: added to the scores.
    key_padding_mask : array of bool, shape (..., S), optional
        True where a key is padding, to be ignored by every query.
    is_causal : bool
        Position i sees positions j ≤ i only; may be joined with the masks.

    Returns
    -------
    y : array, shape (..., L, E)
    cache : MultiHeadCache
        ``cache.weights``, of shape (..., num_heads, L, S), are the attention weights.

    Raises
    ------
    TypeError
        An argument holds integers, or a mask neither booleans nor floats.
    ValueError
        Shapes do not fit, or `num_heads` does not divide E.

    References
    ----------
    Vaswani et al. (2017), "Attention Is All You Need", section 3.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, w_in, w_out = rng.normal(size=(5, 4)), rng.normal(size=(12, 4)), np.eye(4)
    >>> y, cache = multi_head_attention_forward(x, x, x, 2, w_in, None, w_out, None)
    >>> y.shape, cache.weights.shape
    ((5, 4), (2, 5, 5))
    >>> bool(np.allclose(cache.weights.sum(axis=-1), 1))
    True
    """
    query, key, value = inexact(query, "query"), inexact(key, "key"), inexact(value, "value")
    num_heads = operator.index(num_heads)
    if query.ndim < 2 or num_heads < 1 or query.shape[-1] % num_heads:
        raise ValueError(
            f"query must have shape (..., L, E) with E a multiple of num_heads={num_heads}, "
            f"got {query.shape}"
        )
    features = query.shape[-1]
    if key.ndim < 2 or (*key.shape[:-2], features) != (*query.shape[:-2], key.shape[-1]):
        raise ValueError(
            f"key must have shape {(*query.shape[:-2], 'S', features)}, got {key.shape}"
        )
    same_shape(value, key.shape, "value")
    in_weight = inexact(in_proj_weight, "in_proj_weight")
    same_shape(in_weight, (3 * features, features), "in_proj_weight")
    same_shape(np.asarray(out_proj_weight), (features, features), "out_proj_weight")
    weights, biases = np.split(in_weight, 3), [None] * 3
    if in_proj_bias is not None:
        in_bias = inexact(in_proj_bias, "in_proj_bias")
        same_shape(in_bias, (3 * features,), "in_proj_bias")
        biases = np.split(in_bias, 3)
    projected = [
        linear_forward(x, w, b)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    ]
    heads = [_split(y, num_heads) for y, _ in projected]

    scores = (*heads[0].shape[:-1], key.shape[-2])  # (..., heads, L, S)
    real = heads[0].real.dtype
    mask = None
    if attn_mask is not None:
        mask = _additive(attn_mask, False, scores, real)
    if is_causal:
        forbidden = _additive(~np.tri(*scores[-2:], dtype=bool), False, scores, real)
        mask = forbidden if mask is None else mask + forbidden
    if key_padding_mask is not None:
        padding = np.asarray(key_padding_mask)
        if padding.dtype != bool:
            raise TypeError(f"key_padding_mask must hold booleans, got {padding.dtype}")
        same_shape(padding, key.shape[:-1], "key_padding_mask")
        # (..., S) -> (..., 1, L, S)
        rows = np.broadcast_to(padding[..., None, None, :], (*scores[:-3], 1, *scores[-2:]))
        ignored = _additive(rows, False, scores, real)
        mask = ignored if mask is None else mask + ignored

    attended, cache = scaled_dot_product_attention_forward(*heads, mask)
    y, output = linear_forward(_merge(attended), out_proj_weight, out_proj_bias)
    projections = tuple(projection for _, projection in projected)
    return y, MultiHeadCache(cache.weights, cache, projections, output, y.shape)


def multi_head_attention_backward(
    dy: Array, cache: MultiHeadCache
) -> tuple[Array, Array, Array, Array, Array | None, Array, Array | None]:
    """Propagate a gradient through multi-head attention.

    Parameters
    ----------
    dy : array, shape (..., L, E)
    cache : from `multi_head_attention_forward`

    Returns
    -------
    dquery, dkey, dvalue : arrays of the shapes of query, key and value
        In self-attention the gradient with respect to the one input is the sum of the three.
    din_proj_weight, din_proj_bias, dout_proj_weight, dout_proj_bias : arrays
        None for an absent bias.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, w_in, w_out = rng.normal(size=(5, 4)), rng.normal(size=(12, 4)), np.eye(4)
    >>> y, cache = multi_head_attention_forward(x, x, x, 2, w_in, None, w_out, None)
    >>> gradients = multi_head_attention_backward(np.ones_like(y), cache)
    >>> [None if g is None else g.shape for g in gradients]
    [(5, 4), (5, 4), (5, 4), (12, 4), None, (4, 4), None]
    """
    dmerged, dout_weight, dout_bias = linear_backward(_cotangent(dy, cache.shape), cache.output)
    heads = cache.weights.shape[-3]
    dheads = scaled_dot_product_attention_backward(_split(dmerged, heads), cache.attention)
    parts = [
        linear_backward(_merge(dhead), projection)
        for dhead, projection in zip(dheads, cache.projections, strict=True)
    ]
    (dquery, *dq), (dkey, *dk), (dvalue, *dv) = parts
    din_weight = np.concatenate([dq[0], dk[0], dv[0]])  # three (E, E) -> (3E, E)
    din_bias = None if dq[1] is None else np.concatenate([dq[1], dk[1], dv[1]])
    return dquery, dkey, dvalue, din_weight, din_bias, dout_weight, dout_bias

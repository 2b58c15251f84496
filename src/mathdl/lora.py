r"""Low-rank adaptation of a frozen weight.

The layer is :math:`y = x W^\top + \tfrac{\alpha}{r}\,(x A^\top) B^\top`:
``a`` has shape ``(r, in)``, ``b`` has shape ``(out, r)``; the update is
:math:`\Delta W = \tfrac{\alpha}{r} B A`, shape ``(out, in)`` like ``W``.

References
----------
Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models* (2021), arXiv:2106.09685.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BYTES = {
    "float64": 8,
    "float32": 4,
    "bfloat16": 2,
    "float16": 2,
    "float8": 1,
    "int8": 1,
    "int4": 0.5,
}


def lora_init(
    rng: np.random.Generator,
    in_features: int,
    out_features: int,
    rank: int,
    dtype: Any = np.float64,
) -> tuple[NDArray, NDArray]:
    r"""Return ``(a, b)`` as a fresh adapter: ``a`` random, ``b`` zero, so that nothing changes yet.

    ``a`` is uniform in :math:`\pm 1/\sqrt{\text{in}}` (``kaiming_uniform_`` with ``a=√5``, the
    default of ``torch.nn.Linear`` and of the PEFT package).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random entries.
    in_features, out_features, rank : int
        Sizes, with ``1 ≤ rank ≤ min(in_features, out_features)``.
    dtype : numpy dtype
        Floating-point type of both arrays.

    Returns
    -------
    a, b : ndarray, shapes (rank, in_features), (out_features, rank)
        The adapter.

    Raises
    ------
    ValueError
        If the rank does not fit.

    Examples
    --------
    >>> a, b = lora_init(np.random.default_rng(0), 8, 4, 2)
    >>> a.shape, b.shape, bool(np.any(a)), bool(np.any(b))
    ((2, 8), (4, 2), True, False)
    """
    if not 1 <= rank <= min(in_features, out_features):
        raise ValueError(f"rank must lie in 1..{min(in_features, out_features)}, got {rank}")
    bound = 1 / np.sqrt(in_features)
    a = rng.uniform(-bound, bound, (rank, in_features)).astype(dtype)
    return a, np.zeros((out_features, rank), dtype)


def lora_update(a: ArrayLike, b: ArrayLike, alpha: float) -> NDArray:
    r"""Return :math:`\Delta W = \tfrac{\alpha}{r} B A`.

    Parameters
    ----------
    a, b : array_like, shapes (..., r, in), (..., out, r)
        The adapter.
    alpha : float
        Scale; the update is divided by the rank.

    Returns
    -------
    ndarray, shape (..., out, in)
        The update of the weight.

    Raises
    ------
    ValueError
        If the inner sizes differ.

    Examples
    --------
    >>> lora_update(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), 2.0).tolist()
    [[6.0, 12.0], [8.0, 16.0]]
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-2] != b.shape[-1]:
        raise ValueError(
            f"a must be (r, in) and b (out, r) with one r, got {a.shape} and {b.shape}"
        )
    return (alpha / a.shape[-2]) * (b @ a)


def lora_forward(
    x: ArrayLike,
    weight: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    alpha: float,
    bias: ArrayLike | None = None,
) -> tuple[NDArray, tuple]:
    r"""Apply a linear layer with its adapter.

    Parameters
    ----------
    x : array_like, shape (..., in)
        Input, batches as rows.
    weight : array_like, shape (out, in)
        The frozen weight.
    a, b : array_like, shapes (r, in), (out, r)
        The adapter.
    alpha : float
        Scale of the adapter, divided by ``r``.
    bias : array_like, shape (out,), optional
        The frozen bias.

    Returns
    -------
    y : ndarray, shape (..., out)
        Output.
    cache : tuple
        What :func:`lora_backward` needs.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    Hu et al. (2021), equation 3 and section 4.1.

    Examples
    --------
    >>> w, a, b = np.eye(2), np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> lora_forward(np.array([[1.0, 2.0]]), w, a, b, alpha=1.0)[0].tolist()
    [[4.0, 2.0]]
    """
    x, weight, a, b = (np.asarray(value) for value in (x, weight, a, b))
    out, width = weight.shape[-2:]
    rank = a.shape[0] if a.ndim == 2 else None
    if x.shape[-1] != width or a.shape != (rank, width) or b.shape != (out, rank):
        raise ValueError(
            f"weight {weight.shape} wants x (..., {width}), a (r, {width}) and b ({out}, r); "
            f"got {x.shape}, {a.shape} and {b.shape}"
        )
    scale = alpha / rank
    inner = x @ a.T  # (..., in) @ (in, r) -> (..., r)
    y = x @ weight.T + scale * (inner @ b.T)  # (..., r) @ (r, out) -> (..., out)
    if bias is not None:
        bias = np.asarray(bias)
        if bias.shape != (out,):
            raise ValueError(f"bias must have shape ({out},), got {bias.shape}")
        y = y + bias
    return y, (x, weight, a, b, scale, inner)


def lora_backward(dy: ArrayLike, cache: tuple) -> tuple[NDArray, NDArray, NDArray]:
    r"""Return the gradients of input and adapter; the weight and the bias are frozen.

    With :math:`G` the gradient of the effective weight, :math:`dB = \tfrac{\alpha}{r} G A^\top` and
    :math:`dA = \tfrac{\alpha}{r} B^\top G`; ``G`` itself is never formed. At ``b = 0`` the
    gradient of ``a`` vanishes.

    Parameters
    ----------
    dy : array_like, shape (..., out)
        Gradient of the loss with respect to the output.
    cache : tuple
        From :func:`lora_forward`.

    Returns
    -------
    dx, da, db : ndarray, shapes (..., in), (r, in), (out, r)
        Gradients of the loss.

    Raises
    ------
    ValueError
        If ``dy`` does not have the shape of the output.

    Examples
    --------
    >>> w, a, b = np.eye(2), np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> _, cache = lora_forward(np.array([[1.0, 2.0]]), w, a, b, alpha=1.0)
    >>> dx, da, db = lora_backward(np.array([[1.0, 0.0]]), cache)
    >>> dx.tolist(), da.tolist(), db.tolist()
    ([[2.0, 1.0]], [[1.0, 2.0]], [[3.0], [0.0]])
    """
    x, weight, a, b, scale, inner = cache
    dy = np.asarray(dy)
    if dy.shape != (*x.shape[:-1], weight.shape[0]):
        raise ValueError(
            f"dy must have the output's shape {(*x.shape[:-1], weight.shape[0])}, got {dy.shape}"
        )
    dinner = scale * (dy @ b)  # (..., out) @ (out, r) -> (..., r)
    dx = dy @ weight + dinner @ a
    rows = (-1, a.shape[0])
    da = dinner.reshape(rows).T @ x.reshape(-1, x.shape[-1])  # (r, N) @ (N, in) -> (r, in)
    db = (
        scale * dy.reshape(-1, dy.shape[-1]).T @ inner.reshape(rows)
    )  # (out, N) @ (N, r) -> (out, r)
    return dx, da, db


def merge(weight: ArrayLike, a: ArrayLike, b: ArrayLike, alpha: float) -> NDArray:
    r"""Return :math:`W + \tfrac{\alpha}{r} BA`, the layer without its adapter's extra cost.

    Parameters
    ----------
    weight : array_like, shape (out, in)
        The frozen weight.
    a, b, alpha
        The adapter, as for :func:`lora_update`.

    Returns
    -------
    ndarray, shape (out, in)
        The merged weight.

    Raises
    ------
    ValueError
        If the update does not have the shape of the weight.

    Examples
    --------
    >>> merge(np.zeros((2, 2)), np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), 1.0).tolist()
    [[3.0, 6.0], [4.0, 8.0]]
    """
    weight, update = np.asarray(weight), lora_update(a, b, alpha)
    if weight.shape != update.shape:
        raise ValueError(f"the update has shape {update.shape}, the weight {weight.shape}")
    return weight + update


@dataclass(frozen=True)
class Cost:
    """Parameters and bytes of training a set of matrices, exactly counted.

    Attributes
    ----------
    stored, trained : int
        Parameters held in memory, and those that receive a gradient.
    weight_bytes, gradient_bytes, optimizer_bytes : int
        Bytes of all stored weights, of the gradients and of the optimizer's state.
    """

    stored: int
    trained: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int

    @property
    def total_bytes(self) -> int:
        """Weights, gradients and optimizer state together (activations are not counted)."""
        return self.weight_bytes + self.gradient_bytes + self.optimizer_bytes


def _bytes(count: int, dtype: str) -> int:
    if dtype not in BYTES:
        raise ValueError(f"dtype must be one of {', '.join(BYTES)}, got {dtype!r}")
    return int(np.ceil(count * BYTES[dtype]))


def training_cost(
    shapes: Mapping[str, tuple[int, int]],
    *,
    rank: int | None = None,
    adapted: tuple[str, ...] | None = None,
    weight_dtype: str = "bfloat16",
    trained_dtype: str = "float32",
    optimizer_dtype: str = "float32",
    optimizer_states: int = 2,
) -> Cost:
    """Count what full fine-tuning, or LoRA of some matrices, keeps in memory.

    Parameters
    ----------
    shapes : mapping of str to (out, in)
        The weight matrices.
    rank : int, optional
        Rank of the adapters; full fine-tuning where it is not given.
    adapted : tuple of str, optional
        Names of the matrices that get an adapter; all by default.
    weight_dtype, trained_dtype, optimizer_dtype : str
        Types of the frozen weights, of what is trained (and its gradients), and of the
        optimizer's state.
        Full fine-tuning holds every weight in ``trained_dtype``.
    optimizer_states : int
        Numbers kept per trained parameter: 2 for Adam, 1 for momentum, 0 for plain descent.

    Returns
    -------
    Cost
        Exact counts.

    Raises
    ------
    ValueError
        If a name is unknown, a rank does not fit or a dtype has no known size.

    Examples
    --------
    >>> full = training_cost({"w": (768, 768)})
    >>> lora = training_cost({"w": (768, 768)}, rank=16)
    >>> full.trained, lora.trained, lora.stored
    (589824, 24576, 614400)
    >>> lora.optimizer_bytes
    196608
    """
    for dtype in (weight_dtype, trained_dtype, optimizer_dtype):
        _bytes(0, dtype)  # refuse an unknown one even where nothing is stored in it
    base = sum(out * width for out, width in shapes.values())
    if rank is None:
        if adapted is not None:
            raise ValueError("adapted names matrices for LoRA: give the rank too")
        return Cost(
            base,
            base,
            _bytes(base, trained_dtype),
            _bytes(base, trained_dtype),
            optimizer_states * _bytes(base, optimizer_dtype),
        )
    names = tuple(shapes) if adapted is None else adapted
    if unknown := sorted(set(names) - set(shapes)):
        raise ValueError(f"there is no matrix {', '.join(unknown)}; there are {', '.join(shapes)}")
    for name in names:
        if not 1 <= rank <= min(shapes[name]):
            raise ValueError(
                f"rank must lie in 1..{min(shapes[name])} for {name} {shapes[name]}, got {rank}"
            )
    trained = sum(rank * sum(shapes[name]) for name in names)
    return Cost(
        base + trained,
        trained,
        _bytes(base, weight_dtype) + _bytes(trained, trained_dtype),
        _bytes(trained, trained_dtype),
        optimizer_states * _bytes(trained, optimizer_dtype),
    )


def attention_shapes(
    d_model: int, n_heads: int, *, n_kv_heads: int | None = None, head_dim: int | None = None
) -> dict[str, tuple[int, int]]:
    """Return the ``(out, in)`` shapes of an attention layer's four projections.

    With grouped-query attention keys and values have fewer heads, so their matrices are not square.

    Parameters
    ----------
    d_model : int
        Width of the residual stream.
    n_heads : int
        Query heads.
    n_kv_heads : int, optional
        Key and value heads, a divisor of ``n_heads``; ``n_heads`` by default.
    head_dim : int, optional
        Width of a head; ``d_model // n_heads`` by default.

    Returns
    -------
    dict
        Shapes named ``q``, ``k``, ``v`` and ``o``.

    Raises
    ------
    ValueError
        If heads do not divide evenly.

    References
    ----------
    Ainslie et al., *GQA* (2023), arXiv:2305.13245.

    Examples
    --------
    >>> attention_shapes(4096, 32, n_kv_heads=8)
    {'q': (4096, 4096), 'k': (1024, 4096), 'v': (1024, 4096), 'o': (4096, 4096)}
    """
    kv = n_heads if n_kv_heads is None else n_kv_heads
    if n_heads % kv:
        raise ValueError(f"n_kv_heads must divide n_heads, got {kv} and {n_heads}")
    if head_dim is None:
        if d_model % n_heads:
            raise ValueError(
                f"n_heads must divide d_model, got {n_heads} and {d_model}; or give head_dim"
            )
        head_dim = d_model // n_heads
    q, k = n_heads * head_dim, kv * head_dim
    return {"q": (q, d_model), "k": (k, d_model), "v": (k, d_model), "o": (d_model, q)}

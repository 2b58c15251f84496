"""Loss functions, each as a pair: ``mse_loss(input, target)`` and ``mse_loss_vjp``.

``f_vjp(input, target, dy=1.0, ...)`` is the gradient with respect to `input` (and for
`gaussian_nll_loss` with respect to `var` as well) of a scalar whose gradient with respect to the
loss is `dy`: a number for ``reduction="mean"`` and ``"sum"``, an array of the shape of the loss for
``"none"``. Names and defaults are those of `torch.nn.functional`, and so are the slopes at kinks.

``"mean"`` divides by the number of entries that were averaged: all of them for the elementwise
losses, so that the gradient of `mse_loss` is ``2 (input - target) / input.size``; the samples, or
their total weight, for `cross_entropy` and `nll_loss`.

Shapes must agree exactly: ``(N, 1)`` beside ``(N,)`` is refused, because broadcasting would
silently average N**2 differences.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from mathdl._arrays import at_precision_of, cotangent, inexact, real, same_shape
from mathdl.activations import _softplus, log_softmax, sigmoid, softmax
from mathdl.numerics import _log1p

Array = np.ndarray
Reduction = Literal["none", "mean", "sum"]

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_vjp",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_vjp",
    "cross_entropy",
    "cross_entropy_vjp",
    "gaussian_nll_loss",
    "gaussian_nll_loss_vjp",
    "huber_loss",
    "huber_loss_vjp",
    "kl_div",
    "kl_div_vjp",
    "l1_loss",
    "l1_loss_vjp",
    "mse_loss",
    "mse_loss_vjp",
    "nll_loss",
    "nll_loss_vjp",
]


def _operands(input: Array, target: Array) -> tuple[Array, Array]:
    """Return input and target as float arrays of one shape."""
    input, target = inexact(input, "input"), inexact(target, "target")
    same_shape(target, input.shape, "target")
    return input, target


def _reduce(values: Array, reduction: str, count: Any = None) -> Array:
    """Reduce the losses; `count` is what the mean divides by, where not their number."""
    if reduction == "none":
        return values[()]
    if reduction == "sum":
        return values.sum()
    if reduction == "mean":
        return values.mean() if count is None else values.sum() / count
    raise ValueError(f'reduction must be "none", "mean" or "sum", got {reduction!r}')


def _spread(dy: Any, like: Array, shape: tuple[int, ...], reduction: str, count: Any = None) -> Any:
    """Return the cotangent of the unreduced losses of shape `shape`: the transpose of `_reduce`."""
    if reduction == "none":
        return cotangent(dy, shape, like)
    dy = cotangent(dy, (), like)
    if reduction == "sum":
        return dy
    if reduction == "mean":
        return dy / np.asarray(math.prod(shape) if count is None else count, like.real.dtype)
    raise ValueError(f'reduction must be "none", "mean" or "sum", got {reduction!r}')


def _weight(weight: Any, shape: tuple[int, ...], name: str = "weight") -> Array:
    """Return a weight that fits `shape` by broadcasting alone, without making it larger."""
    weight = real(weight, name)
    try:
        return np.broadcast_to(weight, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to the input's shape {shape}, got {weight.shape}"
        ) from None


def mse_loss(input: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Mean squared error, ``mean((input - target)**2)``.

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Examples
    --------
    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    input, target = _operands(input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


def mse_loss_vjp(
    input: Array, target: Array, dy: Array | float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """Gradient of `mse_loss` with respect to `input`; with respect to `target` it is the opposite.

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
    dy : cotangent of the loss: a number, or an array for "none"
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> mse_loss_vjp(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0., -2.])
    """
    input, target = _operands(input, target)
    return 2 * (input - target) * _spread(dy, input, input.shape, reduction)


def l1_loss(input: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Mean absolute error, ``mean(|input - target|)``.

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
        The sign of a difference is that of its real part.
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Examples
    --------
    >>> float(l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    input, target = _operands(input, target)
    difference = input - target
    return _reduce(difference * np.sign(difference.real), reduction)


def l1_loss_vjp(
    input: Array, target: Array, dy: Array | float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """Gradient of `l1_loss` with respect to `input`: the sign, and 0 at the kink, as in torch.

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
    dy : cotangent of the loss: a number, or an array for "none"
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> l1_loss_vjp(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0. , -0.5])
    """
    input, target = _operands(input, target)
    difference = input - target
    gradient = np.sign(difference.real) * _spread(dy, input, input.shape, reduction)
    return gradient.astype(np.result_type(difference, gradient), copy=False)


def huber_loss(
    input: Array, target: Array, reduction: Reduction = "mean", delta: float = 1.0
) -> Array:
    r"""Huber's loss: quadratic up to `delta`, linear beyond it.

    .. math:: \ell(d) = \tfrac12 d^2 \text{ if } |d| \le \delta, \text{ else }
              \delta\,(|d| - \tfrac12 \delta)

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
    reduction : {"none", "mean", "sum"}
    delta : float
        Must be positive.

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Raises
    ------
    ValueError
        If `delta` is not positive.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.

    Examples
    --------
    >>> huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    input, target = _operands(input, target)
    difference, size = _huber_parts(input - target, delta)
    loss = np.where(size <= delta, difference * difference / 2, delta * (size - delta / 2))
    return _reduce(loss, reduction)


def _huber_parts(difference: Array, delta: float) -> tuple[Array, Array]:
    """Return a difference and its absolute value; where that is large, the square is not taken."""
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    size = difference * np.sign(difference.real)
    return np.where(size.real <= delta, difference, 0), size


def huber_loss_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    reduction: Reduction = "mean",
    delta: float = 1.0,
) -> Array:
    """Gradient of `huber_loss` with respect to `input`: the difference, clipped to ±delta.

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
    dy : cotangent of the loss: a number, or an array for "none"
    reduction : {"none", "mean", "sum"}
    delta : float

    Returns
    -------
    ndarray of the shape of `input`

    Raises
    ------
    ValueError
        If `delta` is not positive.

    Examples
    --------
    >>> huber_loss_vjp(np.array([0.5, 3.0]), np.zeros(2), reduction="sum")
    array([0.5, 1. ])
    """
    input, target = _operands(input, target)
    full = input - target
    small, size = _huber_parts(full, delta)
    slope = np.where(size.real <= delta, small, delta * np.sign(full.real))
    return slope * _spread(dy, input, input.shape, reduction)


def _class_weight(weight: Any, classes: int, dtype: np.dtype) -> Array:
    """Return one weight per class, 1 by default."""
    if weight is None:
        return np.ones(classes, dtype)
    weight = real(weight, "weight")
    same_shape(weight, (classes,), "weight")
    return weight


def _onehot(target: Array, samples: tuple[int, ...], classes: int, ignore_index: int) -> Array:
    """Return the indices as rows of 0 and 1; an ignored sample is a row of zeros."""
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"target must hold class indices or probabilities, got dtype {target.dtype}"
        )
    same_shape(target, samples, "target (class indices)")
    kept = target != ignore_index
    bad = kept & ((target < 0) | (target >= classes))
    if np.any(bad):
        raise IndexError(f"target {target[bad][0]} is out of bounds for {classes} classes")
    return (np.arange(classes) == target[..., None]) & kept[..., None]


def _coefficients(
    input: Array, target: Array, weight: Any, ignore_index: int, label_smoothing: float = 0.0
) -> tuple[Array, Any]:
    """Return q and what the mean divides by: loss = -sum(q * log_probabilities, axis=-1).

    `input` has its classes last; q has its shape. The mean divides by the total weight of the true
    classes, or for a target of probabilities by the number of samples.
    """
    samples, classes = input.shape[:-1], input.shape[-1]
    w = _class_weight(weight, classes, input.real.dtype)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie between 0 and 1, got {label_smoothing}")
    if target.dtype.kind in "fc":
        if ignore_index >= 0:
            raise ValueError("ignore_index has no meaning for a target of probabilities")
        same_shape(target, input.shape, "target (probabilities, classes last)")
        q, kept, count = target, 1, math.prod(samples)
    else:
        onehot = _onehot(target, samples, classes, ignore_index)
        q = onehot.astype(input.real.dtype)
        kept, count = onehot.any(axis=-1, keepdims=True), np.sum(q * w)
    if label_smoothing:
        q = (1 - label_smoothing) * q + kept * w.dtype.type(label_smoothing / classes)
    return q * w, count


def _dot_log(q: Array, log_probability: Array) -> Array:
    """Return -sum(q * log p) over the last axis, with 0 * log 0 = 0."""
    return -np.sum(q * np.where(q == 0, 0, log_probability), axis=-1)


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    *,
    axis: int | None = None,
) -> Array:
    r"""Cross-entropy between scores (logits) and classes, through `log_softmax`.

    .. math:: \ell_n = -\sum_c w_c \, q_{nc} \, \log \operatorname{softmax}(x_n)_c

    with q the target's probabilities, or 1 at the target's index and 0 elsewhere; smoothed,
    ``(1 - label_smoothing) * q + label_smoothing / C``.

    Parameters
    ----------
    input : ndarray, shape (C,), (N, C) or (N, C, d1, ...), real or complex
        Scores. The classes are on axis 1, as in torch, unless `axis` says otherwise.
    target : ndarray
        Class indices (integers) of the shape of `input` without its class axis, or probabilities
        (floats) of the shape of `input`.
    weight : ndarray, shape (C,), optional
        One weight per class.
    ignore_index : int
        Samples of this index count neither in the sum nor in the mean.
    reduction : {"none", "mean", "sum"}
        With class indices "mean" divides by the total weight of the samples' classes, with
        probabilities by the number of samples: torch's rule.
    label_smoothing : float between 0 and 1
    axis : int, optional
        The class axis; -1 lets any number of leading axes batch.

    Returns
    -------
    scalar, or ndarray of the shape of `input` without its class axis for "none"

    Raises
    ------
    TypeError, ValueError, IndexError
        If a dtype or a shape does not fit, or an index is out of bounds.

    Notes
    -----
    A class of probability 0 in the target adds nothing even where its score is
    :math:`-\infty`; torch answers NaN there.

    Examples
    --------
    >>> float(cross_entropy(np.array([[2.0, 0.0], [0.0, 50.0]]), np.array([0, 0])))
    25.063464005521485
    """
    input, target = inexact(input, "input"), np.asarray(target)
    scores, target, _ = _classes_last(input, target, axis)
    q, count = _coefficients(scores, target, weight, ignore_index, label_smoothing)
    return _reduce(_dot_log(q, log_softmax(scores)), reduction, count)


def _classes_last(input: Array, target: Array, axis: int | None) -> tuple[Array, Array, int]:
    """Move the class axis of the scores, and of probabilities, to the end; say where it was."""
    if input.ndim == 0:
        raise ValueError("input must have a class axis, got shape ()")
    if axis is None:
        axis = min(1, input.ndim - 1)
    if target.dtype.kind in "fc":
        same_shape(target, input.shape, "target (probabilities)")
        target = np.moveaxis(target, axis, -1)
    return np.moveaxis(input, axis, -1), target, axis


def cross_entropy_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    *,
    axis: int | None = None,
) -> Array:
    """Gradient of `cross_entropy` with respect to `input`: ``softmax - target`` for weights of 1.

    Parameters
    ----------
    input, target, weight, ignore_index, reduction, label_smoothing, axis
        As in `cross_entropy`.
    dy : cotangent of the loss: a number, or an array of the loss's shape for "none"

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> cross_entropy_vjp(np.array([[0.0, 0.0]]), np.array([0]))
    array([[-0.5,  0.5]])
    """
    input, target = inexact(input, "input"), np.asarray(target)
    scores, target, axis = _classes_last(input, target, axis)
    q, count = _coefficients(scores, target, weight, ignore_index, label_smoothing)
    dy = _spread(dy, input, scores.shape[:-1], reduction, count)
    gradient = (softmax(scores) * np.sum(q, axis=-1, keepdims=True) - q) * dy[..., None]
    return np.moveaxis(gradient, -1, axis)


def nll_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    *,
    axis: int | None = None,
) -> Array:
    """Negative log-likelihood of classes, from log-probabilities.

    Parameters
    ----------
    input : ndarray, shape (C,), (N, C) or (N, C, d1, ...), real or complex
        Log-probabilities, as `log_softmax` gives them; the classes are on axis 1, as in torch,
        unless `axis` says otherwise.
    target : ndarray of integers
        Class indices, of the shape of `input` without its class axis.
    weight : ndarray, shape (C,), optional
    ignore_index : int
    reduction : {"none", "mean", "sum"}
        "mean" divides by the total weight of the samples' classes.
    axis : int, optional
        The class axis.

    Returns
    -------
    scalar, or ndarray of the shape of `target` for "none"

    Raises
    ------
    TypeError, ValueError, IndexError
        If a dtype or a shape does not fit, or an index is out of bounds.

    Examples
    --------
    >>> float(nll_loss(np.log([[0.25, 0.75]]), np.array([0])))
    1.3862943611198906
    """
    input, target = inexact(input, "input"), _class_indices(target)
    logs, target, _ = _classes_last(input, target, axis)
    q, count = _coefficients(logs, target, weight, ignore_index)
    return _reduce(_dot_log(q, logs), reduction, count)


def _class_indices(target: Array) -> Array:
    target = np.asarray(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"target must hold class indices, got dtype {target.dtype}")
    return target


def nll_loss_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    *,
    axis: int | None = None,
) -> Array:
    """Gradient of `nll_loss` with respect to `input`.

    Parameters
    ----------
    input, target, weight, ignore_index, reduction, axis
        As in `nll_loss`.
    dy : cotangent of the loss: a number, or an array of the loss's shape for "none"

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> nll_loss_vjp(np.log([[0.25, 0.75]]), np.array([0]))
    array([[-1., -0.]])
    """
    input, target = inexact(input, "input"), _class_indices(target)
    logs, target, axis = _classes_last(input, target, axis)
    q, count = _coefficients(logs, target, weight, ignore_index)
    gradient = -q * _spread(dy, input, logs.shape[:-1], reduction, count)[..., None]
    return np.moveaxis(gradient.astype(np.result_type(input, gradient), copy=False), -1, axis)


def _clamped_log(p: Array) -> Array:
    """Return log p, at least -100; the clamp goes by the real part."""
    zero = p.real <= math.exp(-100)
    return np.where(zero, -100, np.log(np.where(zero, 1, p)))


def _clamped_log1m(p: Array) -> Array:
    """Return log(1 - p), at least -100."""
    one = p.real >= 1
    return np.where(one, -100, _log1p(-np.where(one, 0, p)))


def _probability(input: Array, name: str) -> None:
    """Raise a ValueError unless every entry lies between 0 and 1."""
    if not np.all((input.real >= 0) & (input.real <= 1)):
        raise ValueError(f"{name} must lie between 0 and 1")


def binary_cross_entropy(
    input: Array, target: Array, weight: Array | None = None, reduction: Reduction = "mean"
) -> Array:
    r"""Binary cross-entropy of probabilities, :math:`-t \log p - (1 - t) \log(1 - p)`.

    Parameters
    ----------
    input : ndarray, real or complex
        Probabilities, between 0 and 1.
    target : ndarray of floats of the shape of `input`, between 0 and 1
    weight : ndarray that broadcasts to the shape of `input`, optional
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Raises
    ------
    ValueError
        If `input` or `target` leaves [0, 1], or the shapes differ.

    Notes
    -----
    Both logarithms are clamped at -100, as in torch: the loss of a certain mistake is 100, not
    infinite. Where scores are at hand use `binary_cross_entropy_with_logits`, which needs no clamp.

    Examples
    --------
    >>> float(binary_cross_entropy(np.array([0.5]), np.array([1.0])))
    0.6931471805599453
    >>> float(binary_cross_entropy(np.array([0.0]), np.array([1.0])))
    100.0
    """
    input, target = _operands(input, target)
    _probability(input, "input")
    _probability(target, "target")
    loss = -target * _clamped_log(input) - (1 - target) * _clamped_log1m(input)
    return _reduce(loss if weight is None else loss * _weight(weight, loss.shape), reduction)


def binary_cross_entropy_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    r"""Gradient of `binary_cross_entropy` with respect to `input`.

    :math:`(p - t) / (p (1 - p))` times `dy`, the denominator clamped at 1e-12 as in torch.

    Parameters
    ----------
    input, target, weight, reduction
        As in `binary_cross_entropy`.
    dy : cotangent of the loss: a number, or an array for "none"

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> binary_cross_entropy_vjp(np.array([0.5]), np.array([1.0]))
    array([-2.])
    """
    input, target = _operands(input, target)
    _probability(input, "input")
    _probability(target, "target")
    variance = input * (1 - input)
    variance = np.where(variance.real > 1e-12, variance, variance.real.dtype.type(1e-12))
    gradient = (input - target) / variance * _spread(dy, input, input.shape, reduction)
    return gradient if weight is None else gradient * _weight(weight, input.shape)


def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    reduction: Reduction = "mean",
    pos_weight: Array | None = None,
) -> Array:
    r"""Binary cross-entropy of scores x, with p = sigmoid(x).

    .. math:: \ell = w \left(c\, t \log(1 + e^{-x}) + (1 - t) \log(1 + e^{x})\right)

    Parameters
    ----------
    input : ndarray, real or complex
        Scores (logits).
    target : ndarray of floats of the shape of `input`
    weight : ndarray that broadcasts to the shape of `input`, optional
    reduction : {"none", "mean", "sum"}
    pos_weight : ndarray that broadcasts to the shape of `input`, optional
        The factor c of the positive examples, often one per column.

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Raises
    ------
    ValueError
        If shapes differ.

    Notes
    -----
    Both logarithms are positive and computed without overflow, so nothing cancels: a score of 50
    for a positive example costs 2e-22, where clipped probabilities give 0.

    Examples
    --------
    >>> float(binary_cross_entropy_with_logits(np.array([50.0]), np.array([0.0])))
    50.0
    >>> float(binary_cross_entropy_with_logits(np.array([50.0]), np.array([1.0])))
    1.92874984796391...e-22
    """
    input, target = _operands(input, target)
    positive = target if pos_weight is None else target * _pos_weight(pos_weight, input)
    loss = _times(positive, _softplus(-input)) + _times(1 - target, _softplus(input))
    return _reduce(loss if weight is None else loss * _weight(weight, loss.shape), reduction)


def _pos_weight(pos_weight: Array, input: Array) -> Array:
    return _weight(pos_weight, input.shape, "pos_weight")


def _times(factor: Array, value: Array) -> Array:
    """Return factor * value, with 0 * inf = 0."""
    return factor * np.where(factor == 0, 0, value)


def binary_cross_entropy_with_logits_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    weight: Array | None = None,
    reduction: Reduction = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` with respect to `input`.

    ``sigmoid(input) - target`` for weights of 1.

    Parameters
    ----------
    input, target, weight, reduction, pos_weight
        As in `binary_cross_entropy_with_logits`.
    dy : cotangent of the loss: a number, or an array for "none"

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> binary_cross_entropy_with_logits_vjp(np.array([0.0]), np.array([1.0]))
    array([-0.5])
    """
    input, target = _operands(input, target)
    positive = target if pos_weight is None else target * _pos_weight(pos_weight, input)
    slope = (1 - target) * sigmoid(input) - positive * sigmoid(-input)
    gradient = slope * _spread(dy, input, input.shape, reduction)
    return gradient if weight is None else gradient * _weight(weight, input.shape)


def kl_div(
    input: Array,
    target: Array,
    reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    r"""Pointwise Kullback–Leibler divergence :math:`p (\log p - \log q)`, from :math:`\log q`.

    Parameters
    ----------
    input : ndarray, real or complex
        Log-probabilities, log q.
    target : ndarray of floats of the shape of `input`
        Probabilities p, or their logarithms if `log_target`.
    reduction : {"none", "mean", "sum", "batchmean"}
        Only "batchmean" (the sum, divided by the length of the first axis) and "sum" are
        divergences; "mean", the default as in torch, divides by the number of classes too.
    log_target : bool

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Raises
    ------
    ValueError
        If shapes differ.

    Notes
    -----
    p = 0 adds 0 even where log q is :math:`-\infty`; torch answers NaN there.

    Examples
    --------
    >>> p, q = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
    >>> float(kl_div(np.log(q), p, reduction="batchmean"))
    0.6931471805599453
    """
    input, target = _operands(input, target)
    if log_target:
        p, log_p = np.exp(target), target
    else:
        p, log_p = target, np.log(np.where(target == 0, 1, target))
    empty = p == 0
    loss = p * (np.where(empty, 0, log_p) - np.where(empty, 0, input))
    if reduction == "batchmean":
        return loss.sum() / _batch(input)
    return _reduce(loss, reduction)


def _batch(input: Array) -> int:
    return input.shape[0] if input.ndim else 1


def kl_div_vjp(
    input: Array,
    target: Array,
    dy: Array | float = 1.0,
    reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    """Gradient of `kl_div` with respect to `input`, the log-probabilities: -p times `dy`.

    Parameters
    ----------
    input, target, reduction, log_target
        As in `kl_div`.
    dy : cotangent of the loss: a number, or an array for "none"

    Returns
    -------
    ndarray of the shape of `input`

    Examples
    --------
    >>> kl_div_vjp(np.log([[0.5, 0.5]]), np.array([[0.25, 0.75]]), reduction="sum")
    array([[-0.25, -0.75]])
    """
    input, target = _operands(input, target)
    p = np.exp(target) if log_target else target
    if reduction == "batchmean":
        dy = _spread(dy, input, input.shape, "mean", _batch(input))
    else:
        dy = _spread(dy, input, input.shape, reduction)
    gradient = -p * dy
    return gradient.astype(np.result_type(input, gradient), copy=False)


def _variance(var: Any, input: Array, eps: float) -> tuple[Array, Array]:
    """Return the variance as given and, clamped at `eps`, in a shape that fits `input`.

    The clamp moves the value and not the slope (torch clamps outside the graph), so the excess is
    added as a real constant.
    """
    var = at_precision_of(input, inexact(var, "var"))
    shape = input.shape
    fits = var.shape in ((), shape, shape[:-1]) or var.shape == (*shape[:-1], 1)
    if not fits:
        raise ValueError(
            f"var must have shape {shape}, {shape[:-1]}, {(*shape[:-1], 1)} or (), got {var.shape}"
        )
    if np.any(var.real < 0):
        raise ValueError("var must not be negative")
    clamped = var + np.maximum(eps - var.real, 0)
    one_per_row = var.ndim > 0 and var.shape == shape[:-1]
    return var, clamped[..., None] if one_per_row else clamped


def gaussian_nll_loss(
    input: Array,
    target: Array,
    var: Array | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Array:
    r"""Negative log-likelihood of a normal distribution, mean `input` and variance `var`.

    .. math:: \tfrac12 \left(\log v + \frac{(x - t)^2}{v}\right) \left[+ \tfrac12 \log 2\pi\right],
              \qquad v = \max(\mathrm{var}, \varepsilon)

    Parameters
    ----------
    input, target : ndarray of one shape, real or complex
        The means, and what was observed.
    var : ndarray or float
        Variances: of the shape of `input`, or without its last axis or with 1 there (one variance
        for each row), or a single number.
    full : bool
        Whether to add the constant.
    eps : float
        Floor of the variance. As in torch, only the value is clamped: the slope with respect to
        `var` is that of the unclamped formula at the clamped value.
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    scalar, or ndarray of the shape of `input` for "none"

    Raises
    ------
    ValueError
        If shapes do not fit, a variance is negative, or `eps` is not positive.

    References
    ----------
    Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", 1994.

    Examples
    --------
    >>> float(gaussian_nll_loss(np.array([1.0]), np.array([3.0]), 4.0, full=True))
    2.11208571376461...
    """
    input, target = _operands(input, target)
    _positive_eps(eps)
    _, v = _variance(var, input, eps)
    difference = input - target
    loss = (np.log(v) + difference * difference / v) / 2
    return _reduce(loss + math.log(2 * math.pi) / 2 if full else loss, reduction)


def _positive_eps(eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")


def gaussian_nll_loss_vjp(
    input: Array,
    target: Array,
    var: Array | float,
    dy: Array | float = 1.0,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> tuple[Array, Array]:
    """Gradients of `gaussian_nll_loss` with respect to `input` and `var`.

    Parameters
    ----------
    input, target, var, full, eps, reduction
        As in `gaussian_nll_loss`; `full` changes nothing here.
    dy : cotangent of the loss: a number, or an array for "none"

    Returns
    -------
    dinput : ndarray of the shape of `input`; with respect to `target` it is the opposite
    dvar : ndarray of the shape of `var`

    Examples
    --------
    >>> dinput, dvar = gaussian_nll_loss_vjp(np.array([1.0]), np.array([3.0]), np.array([4.0]))
    >>> dinput, dvar
    (array([-0.5]), array([0.]))
    """
    input, target = _operands(input, target)
    _positive_eps(eps)
    given, v = _variance(var, input, eps)
    dy = _spread(dy, input, input.shape, reduction)
    pull = (input - target) / v
    dv = np.broadcast_to((1 / v - pull * pull) / 2 * dy, input.shape)
    if given.ndim == 0:
        dv = dv.sum()
    elif given.shape != input.shape:
        dv = dv.sum(axis=-1).reshape(given.shape)
    return pull * dy, dv[()]

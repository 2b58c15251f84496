"""Planted gradient bugs: each the backward pass that somebody wrote, beside the right one.

A :class:`Bug` is a function `f`, its right vector-Jacobian product, and a wrong one that runs,
usually has the right shapes, and often trains. Its `diagnosis` is the phrase that
`mathdl.checks.check_vjp` must say when it refuses the wrong one.

:func:`detection_table` tells which method of checking catches which bug. Inputs are drawn in one
of two initialisations, because some methods depend on the scale: ``"he"`` (weights of standard
deviation √(2/fan_in), random biases) and ``"small"`` (weights of 0.01, biases zero).

Examples
--------
>>> import numpy as np
>>> bug = find("linear-weight-transposed")
>>> bug.imitates
'Layout (in, out) of another book: xᵀ dy where the weight is (out, in).'
>>> x, weight, bias = bug.make_inputs(np.random.default_rng(0), "he")
>>> dy = np.ones_like(bug.f(x, weight, bias))
>>> right, wrong = bug.right(x, weight, bias, dy), bug.wrong(x, weight, bias, dy)
>>> [bool(np.allclose(r, w)) for r, w in zip(right, wrong)]
[True, False, True]
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mathdl import activations, attention, checks, gradcheck, layers, losses
from mathdl._arrays import unbroadcast
from mathdl._records import quiet, verdict_only
from mathdl.mlp import MLP

__all__ = [
    "BESTIARY",
    "GRADIENT_BUGS",
    "INITS",
    "METHODS",
    "SHARED_BUGS",
    "Bug",
    "SharedBug",
    "accepts_absolute",
    "accepts_check",
    "accepts_gradcheck",
    "accepts_one_direction",
    "accepts_relative",
    "detection_table",
    "find",
]

Array = np.ndarray
Inputs = tuple[Array, ...]

INITS = ("he", "small")


@dataclass(frozen=True)
class Bug:
    """One planted mistake.

    Attributes
    ----------
    name : str
        Such as ``"linear-weight-transposed"``.
    imitates : str
        One sentence: the mistake, as it is made.
    f : callable
        ``f(*inputs)`` -> array or scalar.
    right, wrong : callable
        ``vjp(*inputs, dy)`` -> a gradient for each input: a tuple, or one array.
    make_inputs : callable
        ``make_inputs(rng, init)`` -> tuple of float64 arrays; `init` is one of `INITS`.
    diagnosis : str
        What the check must say of it.
    """

    name: str
    imitates: str
    f: Callable[..., Array]
    right: Callable[..., Any]
    wrong: Callable[..., Any]
    make_inputs: Callable[[np.random.Generator, str], Inputs]
    diagnosis: str


# What the bugs are planted in -------------------------------------------------------------------


@dataclass(frozen=True)
class _Subject:
    f: Callable[..., Array]
    vjp: Callable[..., Any]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]

    def make_inputs(self, rng: np.random.Generator, init: str) -> Inputs:
        """Draw every input by its kind: data, weight, bias, gain, or pre(-activation)."""
        if init not in INITS:
            raise ValueError(f"init must be one of {INITS}, got {init!r}")
        he = init == "he"
        drawn = []
        for kind, shape in self.inputs:
            noise = rng.standard_normal(shape)
            if kind == "weight":
                noise *= math.sqrt(2.0 / math.prod(shape[1:])) if he else 0.01
            elif kind == "bias":
                noise *= 0.1 if he else 0.0
            elif kind == "gain":
                noise = (1.0 + 0.2 * noise) * (1.0 if he else 0.1)
            elif kind == "pre":
                noise *= 1.5 if he else 0.01
            elif kind == "extreme":  # some logits are far out, however the network began
                noise *= 1.5 if he else 0.01
                noise.flat[::3] += 20.0 * np.sign(noise.flat[::3])
            drawn.append(noise)
        return tuple(drawn)


def _layer(forward: Callable, backward: Callable, *inputs: tuple[str, tuple[int, ...]]) -> _Subject:
    """Make a subject of a pair that hands a cache from forward to backward."""

    @functools.wraps(forward)  # keeps the names of the inputs, which a diagnosis speaks of
    def f(*arrays: Array) -> Array:
        return forward(*arrays)[0]

    def vjp(*arrays_and_dy: Array) -> Any:
        *arrays, dy = arrays_and_dy
        gradients = backward(dy, forward(*arrays)[1])
        if isinstance(gradients, tuple):  # leave out those of an absent bias
            gradients = tuple(g for g in gradients if g is not None)
        return gradients

    return _Subject(f, vjp, inputs)


_ROWS = 6
_CONSTANTS = np.random.default_rng(2026)
_TARGET = 2.0 * _CONSTANTS.standard_normal((_ROWS, 3))
_LABELS = np.array([2, 0, 1, 1, 0, 2])
_TRUE = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]] * 2)
_KEPT = _CONSTANTS.random((_ROWS, 5)) < 0.6
_TOKENS = np.array([[3, 1, 3, 0], [1, 3, 4, 0]])
_DATA = _CONSTANTS.standard_normal((_ROWS, 4))


_linear = _layer(
    layers.linear_forward,
    layers.linear_backward,
    ("data", (_ROWS, 4)),
    ("weight", (3, 4)),
    ("bias", (3,)),
)
# Where every size is the same, no mistake of axes is caught by a shape.
_square = _layer(
    layers.linear_forward,
    layers.linear_backward,
    ("data", (5, 5)),
    ("weight", (5, 5)),
    ("bias", (5,)),
)
# z = W x + b with a batch of columns.
_columns = _Subject(
    lambda weight, x, bias: weight @ x + bias[:, None],
    lambda weight, x, bias, dy: (dy @ x.T, weight.T @ dy, dy.sum(axis=1)),
    (("weight", (4, 3)), ("data", (3, 4)), ("bias", (4,))),
)
_one_sample = _Subject(
    lambda weight, x, bias: weight @ x + bias,
    lambda weight, x, bias, dy: (np.outer(dy, x), weight.T @ dy, dy),
    (("weight", (4, 4)), ("data", (4,)), ("bias", (4,))),
)


def _elementwise(f: Callable, vjp: Callable, kind: str = "pre") -> _Subject:
    return _Subject(f, vjp, ((kind, (_ROWS, 5)),))


_relu = _elementwise(activations.relu, activations.relu_vjp)
_leaky = _elementwise(
    lambda x: activations.leaky_relu(x), lambda x, dy: activations.leaky_relu_vjp(x, dy)
)
_gelu = _elementwise(lambda x: activations.gelu(x), lambda x, dy: activations.gelu_vjp(x, dy))
_sigmoid = _elementwise(activations.sigmoid, activations.sigmoid_vjp)
_tanh = _elementwise(activations.tanh, activations.tanh_vjp)
_softmax = _elementwise(
    lambda x: activations.softmax(x), lambda x, dy: activations.softmax_vjp(x, dy)
)
_log_softmax = _elementwise(
    lambda x: activations.log_softmax(x), lambda x, dy: activations.log_softmax_vjp(x, dy)
)
_dropout = _layer(
    lambda x: layers.dropout_forward(x, 0.4, mask=_KEPT),
    layers.dropout_backward,
    ("pre", (_ROWS, 5)),
)


def _scalar(loss: Callable, vjp: Callable, target: Array, kind: str = "pre") -> _Subject:
    return _Subject(
        lambda x: loss(x, target),
        lambda x, dy: vjp(x, target, dy),
        ((kind, (_ROWS, 3)),),
    )


_mse = _scalar(losses.mse_loss, losses.mse_loss_vjp, _TARGET)
_huber = _scalar(losses.huber_loss, losses.huber_loss_vjp, _TARGET)
_cross_entropy = _scalar(losses.cross_entropy, losses.cross_entropy_vjp, _LABELS)
_bce = _scalar(
    losses.binary_cross_entropy_with_logits, losses.binary_cross_entropy_with_logits_vjp, _TRUE
)
_bce_far = _Subject(_bce.f, _bce.vjp, (("extreme", (_ROWS, 3)),))
_weight_penalty = _Subject(
    lambda weight: 0.5 * (weight * weight).sum(),
    lambda weight, dy: dy * weight,
    (("weight", (3, 4)),),
)

_layer_norm = _layer(
    lambda x, gamma, beta: layers.layer_norm_forward(x, 5, gamma, beta),
    layers.layer_norm_backward,
    ("pre", (_ROWS, 5)),
    ("gain", (5,)),
    ("bias", (5,)),
)
_batch_norm = _layer(
    lambda x, gamma, beta: layers.batch_norm_forward(x, None, None, gamma, beta, training=True),
    layers.batch_norm_backward,
    ("pre", (_ROWS, 5)),
    ("gain", (5,)),
    ("bias", (5,)),
)
_batch_norm_images = _layer(
    lambda x, gamma, beta: layers.batch_norm_forward(x, None, None, gamma, beta, training=True),
    layers.batch_norm_backward,
    ("pre", (3, 2, 2, 3)),
    ("gain", (2,)),
    ("bias", (2,)),
)

_conv = _layer(
    lambda x, weight, bias: layers.conv2d_forward(x, weight, bias, padding=1),
    layers.conv2d_backward,
    ("data", (2, 2, 4, 4)),
    ("weight", (2, 2, 3, 3)),
    ("bias", (2,)),
)
_conv_strided = _layer(
    lambda x, weight: layers.conv2d_forward(x, weight, stride=2),
    layers.conv2d_backward,
    ("data", (2, 2, 5, 5)),
    ("weight", (3, 2, 3, 3)),
)
_max_pool = _layer(
    lambda x: layers.max_pool2d_forward(x, 2), layers.max_pool2d_backward, ("pre", (2, 4, 4))
)
_max_pool_overlapping = _layer(
    lambda x: layers.max_pool2d_forward(x, 3, 1), layers.max_pool2d_backward, ("pre", (4, 5, 5))
)
_avg_pool = _layer(
    lambda x: layers.avg_pool2d_forward(x, 2), layers.avg_pool2d_backward, ("pre", (2, 4, 4))
)
_embedding = _layer(
    lambda weight: layers.embedding_forward(_TOKENS, weight),
    layers.embedding_backward,
    ("weight", (5, 3)),
)

_attention = _layer(
    attention.scaled_dot_product_attention_forward,
    attention.scaled_dot_product_attention_backward,
    ("pre", (2, 4, 4)),
    ("pre", (2, 4, 4)),
    ("data", (2, 4, 4)),
)
_causal_attention = _layer(
    lambda query, key, value: attention.scaled_dot_product_attention_forward(
        query, key, value, is_causal=True
    ),
    attention.scaled_dot_product_attention_backward,
    ("pre", (2, 4, 4)),
    ("pre", (2, 4, 4)),
    ("data", (2, 4, 4)),
)
_heads = _layer(
    lambda query, key, value, in_weight, out_weight: attention.multi_head_attention_forward(
        query, key, value, 2, in_weight, None, out_weight, None
    ),
    attention.multi_head_attention_backward,
    ("data", (3, 4)),
    ("data", (3, 4)),
    ("data", (3, 4)),
    ("weight", (12, 4)),
    ("weight", (4, 4)),
)


def _net(x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array) -> Array:
    return np.tanh(x @ weight_1.T + bias_1) @ weight_2.T + bias_2


def _net_vjp(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    a = np.tanh(x @ weight_1.T + bias_1)
    dz = (dy @ weight_2) * (1.0 - a * a)
    return dz @ weight_1, dz.T @ x, dz.sum(axis=0), dy.T @ a, dy.sum(axis=0)


_mlp = _Subject(
    _net,
    _net_vjp,
    (("data", (_ROWS, 4)), ("weight", (5, 4)), ("bias", (5,)), ("weight", (3, 5)), ("bias", (3,))),
)
_residual = _Subject(
    lambda x, weight: x + np.tanh(x @ weight.T),
    lambda x, weight, dy: _residual_vjp(x, weight, dy),
    (("data", (_ROWS, 4)), ("weight", (4, 4))),
)


def _residual_vjp(x: Array, weight: Array, dy: Array) -> Inputs:
    a = np.tanh(x @ weight.T)
    dz = dy * (1.0 - a * a)
    return dy + dz @ weight, dz.T @ x


def _tied_vjp(x: Array, weight: Array, dy: Array) -> Inputs:
    a = np.tanh(x @ weight.T)
    dz = (dy @ weight.T) * (1.0 - a * a)
    return dz @ weight, dz.T @ x + a.T @ dy  # the encoder's use and the decoder's


_tied = _Subject(
    lambda x, weight: np.tanh(x @ weight.T) @ weight,
    _tied_vjp,
    (("data", (_ROWS, 4)), ("weight", (3, 4))),
)
_scaled = _Subject(
    lambda x, gain: x * gain,
    lambda x, gain, dy: (dy * gain, (dy * x).sum(axis=0)),
    (("data", (_ROWS, 4)), ("gain", (4,))),
)
# A layer kept as its singular value decomposition: y = x W^T with W = U diag(s) V^T.
_factored = _Subject(
    lambda u, s, vt: _DATA @ ((u * s) @ vt).T,
    lambda u, s, vt, dy: _factored_vjp(u, s, vt, dy),
    (("weight", (4, 4)), ("gain", (4,)), ("weight", (4, 4))),
)


def _factored_vjp(u: Array, s: Array, vt: Array, dy: Array) -> Inputs:
    dweight = dy.T @ _DATA
    return dweight @ (s[:, None] * vt).T, ((u.T @ dweight) * vt).sum(axis=1), (u * s).T @ dweight


def _recurrent_states(x: Array, weight: Array, recurrent: Array) -> list[Array]:
    states = [np.zeros(weight.shape[0])]
    for row in x:  # each row is one moment
        states.append(np.tanh(weight @ row + recurrent @ states[-1]))
    return states


def _recurrent_vjp(
    x: Array, weight: Array, recurrent: Array, dy: Array, steps: int | None = None
) -> Inputs:
    """Backpropagate through time, through the last `steps` moments (all by default)."""
    states = _recurrent_states(x, weight, recurrent)
    dx, dweight, drecurrent = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(recurrent)
    for t in range(len(x) - 1, -1 if steps is None else len(x) - 1 - steps, -1):
        dz = dy * (1.0 - states[t + 1] ** 2)
        dx[t] = weight.T @ dz
        dweight += np.outer(dz, x[t])
        drecurrent += np.outer(dz, states[t])
        dy = recurrent.T @ dz
    return dx, dweight, drecurrent


_recurrent = _Subject(
    lambda x, weight, recurrent: _recurrent_states(x, weight, recurrent)[-1],
    _recurrent_vjp,
    (("data", (5, 3)), ("weight", (4, 3)), ("weight", (4, 4))),
)

_DEEP = MLP((4, 5, 5, 5, 3), "tanh")


def _deep_loss(**params: Array) -> Array:
    return losses.cross_entropy(_DEEP.forward(params, _DATA)[0], _LABELS)


def _deep_vjp(params: Mapping[str, Array], dy: Array) -> dict[str, Array]:
    y, cache = _DEEP.forward(params, _DATA)
    return _DEEP.backward(losses.cross_entropy_vjp(y, _LABELS, dy), cache)[1]


def _deep_signals(params: Mapping[str, Array], dy: Array) -> tuple[list[Array], Array]:
    """Return the activations, input first, and the gradient at the logits."""
    a = [_DATA]
    for layer in (1, 2, 3):
        a.append(np.tanh(a[-1] @ params[f"weight_{layer}"].T + params[f"bias_{layer}"]))
    logits = a[-1] @ params["weight_4"].T + params["bias_4"]
    return a, losses.cross_entropy_vjp(logits, _LABELS, dy)


# Four layers and a loss: at small weights the first layer's gradient is a millionth of the last's.
_deep = _Subject(
    lambda weight_1, bias_1, weight_2, bias_2, weight_3, bias_3, weight_4, bias_4: _deep_loss(
        weight_1=weight_1,
        bias_1=bias_1,
        weight_2=weight_2,
        bias_2=bias_2,
        weight_3=weight_3,
        bias_3=bias_3,
        weight_4=weight_4,
        bias_4=bias_4,
    ),
    lambda *arrays: tuple(
        _deep_vjp(dict(zip(_DEEP.shapes, arrays, strict=False)), arrays[-1]).values()
    ),
    tuple((name.partition("_")[0], shape) for name, shape in _DEEP.shapes.items()),
)

_REMEMBERED: dict[str, Array] = {}


def _remembering(x: Array, weight: Array) -> Array:
    """Keep the activation of the last forward pass, as a layer with `self.a` does."""
    a = np.tanh(x @ weight.T)
    _REMEMBERED["a"] = a.real
    return a


_stateful = _Subject(
    _remembering,
    lambda x, weight, dy: _saturation(np.tanh(x @ weight.T), x, weight, dy),
    (("data", (_ROWS, 4)), ("weight", (3, 4))),
)


def _saturation(a: Array, x: Array, weight: Array, dy: Array) -> Inputs:
    dz = dy * (1.0 - a * a)
    return dz @ weight, dz.T @ x


# The bugs -----------------------------------------------------------------------------------------

_planted: list[Bug] = []


def _plant(subject: _Subject, diagnosis: str, imitates: str) -> Callable[[Callable], Callable]:
    """Register a wrong vjp under its own name."""

    def register(wrong: Callable) -> Callable:
        name = wrong.__name__.strip("_").replace("_", "-")
        _planted.append(
            Bug(name, imitates, subject.f, subject.vjp, wrong, subject.make_inputs, diagnosis)
        )
        return wrong

    return register


# Shapes and reductions


@_plant(
    _square,
    "weight: equals the transpose",
    "Layout (in, out) of another book: xᵀ dy where the weight is (out, in).",
)
def _linear_weight_transposed(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, x.T @ dy, dy.sum(axis=0)


@_plant(
    _square,
    "x: wrong in every entry",
    "The input's gradient by dy Wᵀ, the forward pass again, where it is dy W.",
)
def _linear_input_through_transpose(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight.T, dy.T @ x, dy.sum(axis=0)


@_plant(
    _linear,
    "bias has shape (6, 3), wanted (3,): not summed over the leading axis",
    "The bias keeps one gradient per row: the sum over the batch is forgotten.",
)
def _linear_bias_not_summed(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, dy.T @ x, dy


@_plant(
    _linear,
    "bias: 6.00× too small everywhere",
    "The bias averages over the batch that the loss has averaged already.",
)
def _linear_bias_averaged(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, dy.T @ x, dy.mean(axis=0)


@_plant(
    _linear,
    "weight: 6.00× too small everywhere",
    "The weight's gradient is divided by the batch's size a second time.",
)
def _linear_weight_averaged(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, dy.T @ x / len(x), dy.sum(axis=0)


@_plant(
    _square,
    "bias: looks summed over features",
    "The bias sums over features instead of rows, and the sizes happen to agree.",
)
def _linear_bias_summed_over_features(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, dy.T @ x, dy.sum(axis=1)


@_plant(
    _linear,
    "all zero: the gradient with respect to bias",
    "The bias was added later, and its gradient stayed at the zeros it was made of.",
)
def _linear_bias_forgotten(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, dy.T @ x, np.zeros_like(bias)


@_plant(
    _linear,
    "weight: sign flipped",
    "The minus of the descent step was put into the gradient already.",
)
def _linear_weight_ascending(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ weight, -(dy.T @ x), dy.sum(axis=0)


@_plant(
    _columns,
    "bias: looks summed over axis 0 of dy",
    "With W x + b and a batch of columns, `sum(axis=0)`: the rule for a batch of rows.",
)
def _columns_bias_by_the_rule_for_rows(weight: Array, x: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ x.T, weight.T @ dy, dy.sum(axis=0)


@_plant(
    _one_sample,
    "weight has shape (), wanted (4, 4)",
    "`dz @ x.T` for one sample: of 1-D arrays that is an inner product, not an outer one.",
)
def _one_sample_inner_product(weight: Array, x: Array, bias: Array, dy: Array) -> Inputs:
    return dy @ x.T, weight.T @ dy, dy


@_plant(
    _one_sample, "weight: equals the transpose", "`np.outer(x, dz)` where the weight is (out, in)."
)
def _one_sample_outer_reversed(weight: Array, x: Array, bias: Array, dy: Array) -> Inputs:
    return np.outer(x, dy), weight.T @ dy, dy


@_plant(
    _one_sample,
    "bias has shape (), wanted (4,)",
    "The bias sums over a batch where there is only one sample.",
)
def _one_sample_bias_summed(weight: Array, x: Array, bias: Array, dy: Array) -> Inputs:
    return np.outer(dy, x), weight.T @ dy, dy.sum(axis=0)


@_plant(
    _scaled,
    "gain has shape (6, 4), wanted (4,): not summed over the leading axis",
    "A factor that was broadcast over rows gets a gradient for every row.",
)
def _broadcast_not_summed(x: Array, gain: Array, dy: Array) -> Inputs:
    return dy * gain, dy * x


@_plant(
    _factored,
    "vt: equals the transpose",
    "`np.linalg.svd` returns Vᵀ; the gradient is written for V.",
)
def _svd_v_for_its_transpose(u: Array, s: Array, vt: Array, dy: Array) -> Inputs:
    du, ds, dvt = _factored_vjp(u, s, vt, dy)
    return du, ds, dvt.T


@_plant(
    _factored,
    "s has shape (4, 4), wanted (4,)",
    "NumPy's 1-D singular values are taken for the diagonal matrix of the formula.",
)
def _svd_singular_values_as_a_matrix(u: Array, s: Array, vt: Array, dy: Array) -> Inputs:
    du, _, dvt = _factored_vjp(u, s, vt, dy)
    return du, u.T @ (dy.T @ _DATA) @ vt.T, dvt


# Losses


@_plant(
    _mse,
    "2.00× too small everywhere",
    "(ŷ − y)/n: the gradient of half the mean squared error.",
)
def _mse_two_forgotten(x: Array, dy: Array) -> Array:
    return dy * (x - _TARGET) / x.size


@_plant(
    _mse,
    "3.00× too large everywhere",
    "2(ŷ − y)/n with n the rows, while the loss averages all entries.",
)
def _mse_divided_by_rows(x: Array, dy: Array) -> Array:
    return 2.0 * dy * (x - _TARGET) / len(x)


@_plant(_mse, "sign flipped", "y − ŷ instead of ŷ − y.")
def _mse_residual_reversed(x: Array, dy: Array) -> Array:
    return 2.0 * dy * (_TARGET - x) / x.size


@_plant(
    _huber, "wrong only where |", "The quadratic branch everywhere: outliers pull without bound."
)
def _huber_never_linear(x: Array, dy: Array) -> Array:
    return dy * (x - _TARGET) / x.size


@_plant(_bce, "18.00× too large everywhere", "p − y beside a loss that is a mean.")
def _bce_not_averaged(x: Array, dy: Array) -> Array:
    return dy * (activations.sigmoid(x) - _TRUE)


@_plant(
    _bce,
    "wrong in every entry",
    "(p − y) p (1 − p): the sigmoid's slope once more, as for the mean squared error.",
)
def _bce_through_the_sigmoid_twice(x: Array, dy: Array) -> Array:
    p = activations.sigmoid(x)
    return dy * (p - _TRUE) * p * (1.0 - p) / x.size


@_plant(
    _bce_far,
    "where it is zero",
    "Probabilities clipped to [1e-7, 1 − 1e-7]: no gradient where the network is surest.",
)
def _bce_of_clipped_probabilities(x: Array, dy: Array) -> Array:
    p = activations.sigmoid(x)
    inside = (p > 1e-7) & (p < 1.0 - 1e-7)
    return dy * np.where(inside, p - _TRUE, 0.0) / x.size


@_plant(
    _cross_entropy,
    "6.00× too large everywhere",
    "p − onehot of a sum beside a loss that is a mean.",
)
def _cross_entropy_not_averaged(x: Array, dy: Array) -> Array:
    return dy * (activations.softmax(x) - np.eye(3)[_LABELS])


@_plant(
    _cross_entropy,
    "wrong only in the entry that target names in each row",
    "The softmax without its −1 at the target.",
)
def _cross_entropy_target_forgotten(x: Array, dy: Array) -> Array:
    return dy * activations.softmax(x) / len(x)


@_plant(
    _cross_entropy,
    "wrong in every entry",
    "The softmax in the backward pass runs over axis 0, the batch.",
)
def _cross_entropy_over_the_batch(x: Array, dy: Array) -> Array:
    return dy * (activations.softmax(x, axis=0) - np.eye(3)[_LABELS]) / len(x)


@_plant(_weight_penalty, "2.00× too large everywhere", "2 W for a penalty that is defined with ½.")
def _weight_penalty_without_half(weight: Array, dy: Array) -> Array:
    return 2.0 * dy * weight


# Activations


@_plant(
    _relu,
    "equals dy itself: the local derivative is missing",
    "Mask `a >= 0` taken from the output, which is never negative: all passes.",
)
def _relu_mask_of_the_output(x: Array, dy: Array) -> Array:
    return dy * (np.maximum(x, 0.0) >= 0.0)


@_plant(
    _relu,
    "has the slope [x < 0], where relu' at x is right",
    "`dx[x > 0] = 0`: the mask of the other side.",
)
def _relu_mask_reversed(x: Array, dy: Array) -> Array:
    return dy * (x < 0.0)


@_plant(
    _relu,
    "zero where dy ≤ 0",
    "Negative gradients are dropped as well: guided backpropagation left switched on.",
)
def _relu_mask_of_the_gradient(x: Array, dy: Array) -> Array:
    return dy * (x > 0.0) * (dy > 0.0)


@_plant(
    _leaky,
    "has the slope relu' at x, where leaky_relu' at x is right",
    "ReLU's mask where the activation leaks.",
)
def _leaky_relu_without_its_leak(x: Array, dy: Array) -> Array:
    return dy * (x > 0.0)


@_plant(
    _leaky,
    "wrong only where x ≤ 0, there 10.00× too large",
    "Slope 0.1 backward, 0.01 forward: two defaults.",
)
def _leaky_relu_of_another_slope(x: Array, dy: Array) -> Array:
    return dy * np.where(x > 0.0, 1.0, 0.1)


@_plant(_gelu, "has the slope Φ", "Φ(x) alone: the product rule's second term x φ(x) is missing.")
def _gelu_density_forgotten(x: Array, dy: Array) -> Array:
    return dy * activations.gelu(x) / x


@_plant(
    _gelu,
    "has the slope gelu'(approximate='tanh') at x",
    "The exact function forward, the slope of its tanh approximation backward.",
)
def _gelu_slope_of_the_approximation(x: Array, dy: Array) -> Array:
    return activations.gelu_vjp(x, dy, "tanh")


@_plant(_sigmoid, "has the slope y, where sigmoid' at x is right", "σ where the slope is σ(1 − σ).")
def _sigmoid_factor_forgotten(x: Array, dy: Array) -> Array:
    return dy * activations.sigmoid(x)


@_plant(
    _sigmoid,
    "has the slope sigmoid' at y",
    "A function `sigmoid_prime(x)` is handed the output instead of the input.",
)
def _sigmoid_of_the_sigmoid(x: Array, dy: Array) -> Array:
    s = activations.sigmoid(activations.sigmoid(x))
    return dy * s * (1.0 - s)


@_plant(_tanh, "has the slope 1 − y, where tanh' at x is right", "1 − a where the slope is 1 − a².")
def _tanh_not_squared(x: Array, dy: Array) -> Array:
    return dy * (1.0 - np.tanh(x))


@_plant(
    _tanh,
    "has the slope 1 − x², where tanh' at x is right",
    "1 − x²: the formula for the output, given the input.",
)
def _tanh_slope_at_the_input(x: Array, dy: Array) -> Array:
    return dy * (1.0 - x * x)


@_plant(
    _softmax,
    "the softmax's other entries are left out",
    "p(1 − p) as if each probability depended on its own logit alone.",
)
def _softmax_diagonal_alone(x: Array, dy: Array) -> Array:
    p = activations.softmax(x)
    return dy * p * (1.0 - p)


@_plant(
    _softmax,
    "the softmax's sum runs over axis 0, where axis 1 is right",
    "The correction Σ p dy is summed over axis 0.",
)
def _softmax_summed_over_the_batch(x: Array, dy: Array) -> Array:
    p = activations.softmax(x)
    return p * (dy - (p * dy).sum(axis=0, keepdims=True))


@_plant(
    _log_softmax,
    "off by exp(x) times a number constant along axis 1",
    "dy − p, right only where the incoming gradient sums to one.",
)
def _log_softmax_sum_forgotten(x: Array, dy: Array) -> Array:
    return dy - activations.softmax(x)


@_plant(
    _dropout,
    "1.67× too small everywhere",
    "The mask without the factor 1/(1 − p) that the forward pass has.",
)
def _dropout_not_rescaled(x: Array, dy: Array) -> Array:
    return dy * _KEPT


@_plant(_dropout, "wrong in 12 of 30 entries", "The backward pass draws a mask of its own.")
def _dropout_mask_drawn_again(x: Array, dy: Array) -> Array:
    return dy * (np.random.default_rng(1).random(x.shape) < 0.6) / 0.6


# Normalisation


def _normalized(x: Array, axis: int, eps: float = 1e-5) -> tuple[Array, Array]:
    inverse = 1.0 / np.sqrt(x.var(axis=axis, keepdims=True) + eps)
    return (x - x.mean(axis=axis, keepdims=True)) * inverse, inverse


@_plant(
    _layer_norm, "x: wrong in every entry", "Mean and variance are treated as constants: dy γ / σ."
)
def _layer_norm_statistics_as_constants(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, -1)
    return dy * gamma * inverse, (dy * normal).sum(axis=0), dy.sum(axis=0)


@_plant(
    _layer_norm,
    "x: off by an amount that is constant along axis 1: a missing mean",
    "The path through the mean is missing.",
)
def _layer_norm_mean_forgotten(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, -1)
    g = dy * gamma
    dx = inverse * (g - normal * (g * normal).mean(axis=-1, keepdims=True))
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


@_plant(_layer_norm, "x: wrong in every entry", "The path through the variance is missing.")
def _layer_norm_variance_forgotten(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, -1)
    g = dy * gamma
    dx = inverse * (g - g.mean(axis=-1, keepdims=True))
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


@_plant(
    _layer_norm, "x: wrong in every entry", "n − 1 in the backward pass, n in the forward pass."
)
def _layer_norm_unbiased_backward(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, -1)
    g = dy * gamma
    along = (g * normal).sum(axis=-1, keepdims=True) / (x.shape[-1] - 1)
    dx = inverse * (g - g.mean(axis=-1, keepdims=True) - normal * along)
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


@_plant(
    _layer_norm,
    "x: wrong in every entry",
    "ε in the forward pass only: an error of ε/σ², invisible where σ is large.",
)
def _layer_norm_epsilon_forgotten(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, -1, eps=0.0)
    g = dy * gamma
    along = (g * normal).mean(axis=-1, keepdims=True)
    dx = inverse * (g - g.mean(axis=-1, keepdims=True) - normal * along)
    right = _layer_norm.vjp(x, gamma, beta, dy)
    return dx, *right[1:]


@_plant(
    _layer_norm,
    "gamma: wrong in every entry",
    "The scale's gradient Σ dy x uses the raw input instead of the normalised one.",
)
def _layer_norm_scale_by_the_input(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    dx, _, dbeta = _layer_norm.vjp(x, gamma, beta, dy)
    return dx, (dy * x).sum(axis=0), dbeta


@_plant(
    _batch_norm, "x: wrong in every entry", "The backward pass of evaluation, used in training."
)
def _batch_norm_statistics_as_constants(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    normal, inverse = _normalized(x, 0)
    return dy * gamma * inverse, (dy * normal).sum(axis=0), dy.sum(axis=0)


@_plant(
    _batch_norm,
    "gamma: 6.00× too small everywhere",
    "Mean instead of sum over the batch in the scale's gradient.",
)
def _batch_norm_scale_averaged(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    dx, dgamma, dbeta = _batch_norm.vjp(x, gamma, beta, dy)
    return dx, dgamma / len(x), dbeta


@_plant(
    _batch_norm_images,
    "beta: wrong in every entry",
    "On images the shift's gradient sums over the batch but only over the first pixel.",
)
def _batch_norm_shift_of_one_pixel(x: Array, gamma: Array, beta: Array, dy: Array) -> Inputs:
    dx, dgamma, _ = _batch_norm_images.vjp(x, gamma, beta, dy)
    return dx, dgamma, dy[:, :, 0, 0].sum(axis=0)


# Convolution, pooling, embedding


@_plant(
    _conv,
    "x: wrong in every entry",
    "The input's gradient convolves dy with the kernel as it is, not turned by 180°.",
)
def _conv_kernel_not_turned(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    _, dweight, dbias = _conv.vjp(x, weight, bias, dy)
    return layers.conv2d_forward(dy, weight.swapaxes(0, 1), padding=1)[0], dweight, dbias


@_plant(
    _conv,
    "weight: flipped along the last two axes",
    "The kernel's gradient of a true convolution, beside a cross-correlation.",
)
def _conv_kernel_turned(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    dx, dweight, dbias = _conv.vjp(x, weight, bias, dy)
    return dx, dweight[..., ::-1, ::-1], dbias


@_plant(
    _conv,
    "weight: axes 0 and 1 are swapped",
    "Channels in and out exchanged in the kernel's gradient; their numbers agree.",
)
def _conv_channels_exchanged(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    dx, dweight, dbias = _conv.vjp(x, weight, bias, dy)
    return dx, dweight.swapaxes(0, 1), dbias


@_plant(
    _conv,
    "bias: 16.00× too small everywhere",
    "The bias averages over pixels and sums over images.",
)
def _conv_bias_averaged_over_pixels(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    dx, dweight, _ = _conv.vjp(x, weight, bias, dy)
    return dx, dweight, dy.mean(axis=(2, 3)).sum(axis=0)


@_plant(
    _conv,
    "x: wrong in every entry",
    "The padding of the gradient is cut off at the end, two pixels, instead of at both sides.",
)
def _conv_padding_cut_at_one_side(x: Array, weight: Array, bias: Array, dy: Array) -> Inputs:
    _, dweight, dbias = _conv.vjp(x, weight, bias, dy)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dpadded, _, _ = layers.conv2d_backward(dy, layers.conv2d_forward(padded, weight, bias)[1])
    return dpadded[:, :, :-2, :-2], dweight, dbias


@_plant(
    _conv_strided,
    "x: wrong in 36 of 100 entries",
    "Where windows overlap, `=` instead of `+=`: the last one wins.",
)
def _conv_windows_overwrite(x: Array, weight: Array, dy: Array) -> Inputs:
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape[-2:]):
        window = np.einsum("no,ockl->nckl", dy[:, :, i, j], weight)
        dx[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = window
    return dx, _conv_strided.vjp(x, weight, dy)[1]


@_plant(
    _max_pool, "4.00× too small everywhere", "The winner gets a share 1/k², as in average pooling."
)
def _max_pool_shared_out(x: Array, dy: Array) -> Array:
    return _max_pool.vjp(x, dy) / 4.0


@_plant(
    _max_pool_overlapping,
    "of 100 entries",
    "A pixel that wins several windows keeps the gradient of the last.",
)
def _max_pool_windows_overwrite(x: Array, dy: Array) -> Array:
    dx = np.zeros_like(x)
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i : i + 3, j : j + 3]
        k, l = np.unravel_index(window.argmax(), window.shape)
        dx[c, i + k, j + l] = dy[c, i, j]
    return dx


@_plant(
    _avg_pool,
    "4.00× too large everywhere",
    "Each pixel gets the whole gradient, not its share 1/k².",
)
def _avg_pool_not_divided(x: Array, dy: Array) -> Array:
    return dy.repeat(2, axis=-1).repeat(2, axis=-2)


@_plant(
    _embedding,
    "overwritten instead of accumulated",
    "`dweight[tokens] += dy` keeps one of several equal tokens.",
)
def _embedding_repeats_lost(weight: Array, dy: Array) -> Array:
    dweight = np.zeros_like(weight)
    dweight[_TOKENS] += dy
    return dweight


@_plant(
    _embedding,
    "shifted by one along axis 0: off by one?",
    "Tokens counted from 1 in the backward pass: each row's gradient goes to the one before.",
)
def _embedding_counted_from_one(weight: Array, dy: Array) -> Array:
    dweight = np.zeros_like(weight)
    np.add.at(dweight, _TOKENS - 1, dy)
    return dweight


# Attention


@_plant(_attention, "query, key: 2.00× too large everywhere", "1/√d forward but not backward.")
def _attention_scale_forgotten(query: Array, key: Array, value: Array, dy: Array) -> Inputs:
    dquery, dkey, dvalue = _attention.vjp(query, key, value, dy)
    return dquery * math.sqrt(query.shape[-1]), dkey * math.sqrt(query.shape[-1]), dvalue


def _attention_parts(query: Array, key: Array, value: Array, dy: Array) -> tuple[Array, Array]:
    weights = activations.softmax(query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1]))
    return weights, dy @ value.swapaxes(-1, -2)


@_plant(
    _attention,
    "key: wrong in every entry",
    "dS Q where the keys' gradient is dSᵀ Q; lengths agree in self-attention.",
)
def _attention_key_by_rows(query: Array, key: Array, value: Array, dy: Array) -> Inputs:
    weights, dweights = _attention_parts(query, key, value, dy)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))
    dquery, _, dvalue = _attention.vjp(query, key, value, dy)
    return dquery, dscores @ query / math.sqrt(query.shape[-1]), dvalue


@_plant(
    _attention,
    "query: wrong in every entry",
    "A ⊙ dA: the row sums of the softmax's gradient are missing.",
)
def _attention_softmax_as_elementwise(query: Array, key: Array, value: Array, dy: Array) -> Inputs:
    weights, dweights = _attention_parts(query, key, value, dy)
    dscores = weights * dweights / math.sqrt(query.shape[-1])
    dvalue = weights.swapaxes(-1, -2) @ dy
    return dscores @ key, dscores.swapaxes(-1, -2) @ query, dvalue


@_plant(_attention, "value: wrong in every entry", "A dY where the values' gradient is Aᵀ dY.")
def _attention_value_by_rows(query: Array, key: Array, value: Array, dy: Array) -> Inputs:
    weights, _ = _attention_parts(query, key, value, dy)
    dquery, dkey, _ = _attention.vjp(query, key, value, dy)
    return dquery, dkey, weights @ dy


@_plant(
    _causal_attention,
    "query: wrong everywhere but in axis 1 at 3",
    "The weights are computed again for the backward pass, without the causal mask.",
)
def _attention_mask_forgotten(query: Array, key: Array, value: Array, dy: Array) -> Inputs:
    return _attention.vjp(query, key, value, dy)


@_plant(
    _heads,
    "out_weight: wrong in every entry",
    "Heads joined by `reshape` alone, which mixes positions with heads.",
)
def _heads_joined_without_transposing(
    query: Array, key: Array, value: Array, in_weight: Array, out_weight: Array, dy: Array
) -> Inputs:
    _, cache = attention.multi_head_attention_forward(
        query, key, value, 2, in_weight, None, out_weight, None
    )
    attended = cache.weights @ cache.attention.value  # (heads, L, E / heads)
    *right, _ = _heads.vjp(query, key, value, in_weight, out_weight, dy)
    return *right, dy.T @ attended.reshape(query.shape)


@_plant(
    _heads,
    "query, key: 1.41× too large everywhere",
    "Each head is scaled by 1/√d forward but not backward.",
)
def _heads_scale_forgotten(
    query: Array, key: Array, value: Array, in_weight: Array, out_weight: Array, dy: Array
) -> Inputs:
    grads = _heads.vjp(query, key, value, in_weight, out_weight, dy)
    root = math.sqrt(query.shape[-1] / 2)
    scales = np.repeat([root, root, 1.0], query.shape[-1])[:, None]  # rows of query, key, value
    return grads[0] * root, grads[1] * root, grads[2], grads[3] * scales, grads[4]


# Networks


@_plant(
    _deep,
    "right: weight_3, bias_3, weight_4, bias_4",
    "In one hidden layer dz Wᵀ instead of dz W; the widths are equal.",
)
def _deep_layer_through_transpose(*params_and_dy: Array) -> Inputs:
    params = dict(zip(_DEEP.shapes, params_and_dy, strict=False))
    a, dz = _deep_signals(params, params_and_dy[-1])
    grads = {}
    for layer in (4, 3, 2, 1):
        grads |= {f"weight_{layer}": dz.T @ a[layer - 1], f"bias_{layer}": dz.sum(axis=0)}
        weight = params[f"weight_{layer}"]
        dz = (dz @ (weight.T if layer == 3 else weight)) * (1.0 - a[layer - 1] ** 2)
    return tuple(grads[name] for name in _DEEP.shapes)


@_plant(
    _deep,
    "bias_1: wrong in every entry",
    "The slope of a layer is taken at the activation of the layer above.",
)
def _deep_slope_of_the_next_layer(*params_and_dy: Array) -> Inputs:
    params = dict(zip(_DEEP.shapes, params_and_dy, strict=False))
    a, dz = _deep_signals(params, params_and_dy[-1])
    grads = {}
    for layer in (4, 3, 2, 1):
        grads |= {f"weight_{layer}": dz.T @ a[layer - 1], f"bias_{layer}": dz.sum(axis=0)}
        dz = dz @ params[f"weight_{layer}"]
        if layer > 1:
            dz = dz * (1.0 - a[min(layer, 3)] ** 2)
    return tuple(grads[name] for name in _DEEP.shapes)


@_plant(
    _deep,
    "weight_1: 2.00× too large everywhere",
    "A learning rate for the first layer, twice the others', inside its gradient.",
)
def _deep_first_layer_doubled(*params_and_dy: Array) -> Inputs:
    first, *others = _deep.vjp(*params_and_dy)
    return 2.0 * first, *others


@_plant(
    _deep,
    "bias_1: 6.00× too small everywhere",
    "The first layer's bias averages over the batch; the others sum.",
)
def _deep_first_bias_averaged(*params_and_dy: Array) -> Inputs:
    first, bias, *others = _deep.vjp(*params_and_dy)
    return first, bias / len(_DATA), *others


@_plant(
    _recurrent,
    "x: wrong only up to row 2: right from row 3 on, where it is zero",
    "Backpropagation through time stops after two moments.",
)
def _recurrent_truncated(x: Array, weight: Array, recurrent: Array, dy: Array) -> Inputs:
    return _recurrent_vjp(x, weight, recurrent, dy, steps=2)


@_plant(
    _recurrent,
    "weight: wrong in every entry",
    "Each moment assigns the weight's gradient, so the first one's remains.",
)
def _recurrent_assigned(x: Array, weight: Array, recurrent: Array, dy: Array) -> Inputs:
    states = _recurrent_states(x, weight, recurrent)
    dx, dweight, drecurrent = _recurrent_vjp(x, weight, recurrent, dy)
    for t in range(len(x) - 1, -1, -1):
        dz = dy * (1.0 - states[t + 1] ** 2)
        dweight = np.outer(dz, x[t])
        dy = recurrent.T @ dz
    return dx, dweight, drecurrent


@_plant(
    _mlp,
    "wrong: x, weight_1, bias_1; right: weight_2, bias_2",
    "1 − tanh²(a), with the activation a where the pre-activation belongs.",
)
def _mlp_slope_at_the_output(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    a = np.tanh(x @ weight_1.T + bias_1)
    dz = (dy @ weight_2) * (1.0 - np.tanh(a) ** 2)
    return dz @ weight_1, dz.T @ x, dz.sum(axis=0), dy.T @ a, dy.sum(axis=0)


@_plant(
    _mlp,
    "wrong: x, weight_1, bias_1; right: weight_2, bias_2",
    "The last layer takes its step before its weights carry the gradient further down.",
)
def _mlp_weight_updated_first(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    a = np.tanh(x @ weight_1.T + bias_1)
    dweight_2 = dy.T @ a
    dz = (dy @ (weight_2 - 1e-3 * dweight_2)) * (1.0 - a * a)
    return dz @ weight_1, dz.T @ x, dz.sum(axis=0), dweight_2, dy.sum(axis=0)


@_plant(
    _mlp,
    "all zero: the gradient with respect to x",
    "A `.detach()` left in: nothing below the hidden layer learns.",
)
def _mlp_first_layer_detached(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    *_, dweight_2, dbias_2 = _net_vjp(x, weight_1, bias_1, weight_2, bias_2, dy)
    return np.zeros_like(x), np.zeros_like(weight_1), np.zeros_like(bias_1), dweight_2, dbias_2


@_plant(
    _mlp,
    "weight_1: the term 0.0001·weight_1 is too much",
    "Weight decay of 1e-4 is added to a gradient whose loss has no penalty.",
)
def _mlp_decay_in_the_gradient(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    dx, dw_1, db_1, dw_2, db_2 = _net_vjp(x, weight_1, bias_1, weight_2, bias_2, dy)
    return dx, dw_1 + 1e-4 * weight_1, db_1, dw_2 + 1e-4 * weight_2, db_2


@_plant(
    _mlp,
    "the size of float32's rounding",
    "A buffer of float32 in the middle of a float64 backward pass.",
)
def _mlp_backward_in_single_precision(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    a = np.tanh(x @ weight_1.T + bias_1)
    dz = ((dy @ weight_2).astype(np.float32) * (1.0 - a * a).astype(np.float32)).astype(float)
    return dz @ weight_1, dz.T @ x, dz.sum(axis=0), dy.T @ a, dy.sum(axis=0)


@_plant(
    _mlp, "weight_2: clipped to ±", "Clipping to ±c was left inside the gradient that is checked."
)
def _mlp_gradient_clipped(
    x: Array, weight_1: Array, bias_1: Array, weight_2: Array, bias_2: Array, dy: Array
) -> Inputs:
    grads = _net_vjp(x, weight_1, bias_1, weight_2, bias_2, dy)
    limit = 0.3 * np.abs(grads[3]).max()
    return *grads[:3], np.clip(grads[3], -limit, limit), grads[4]


@_plant(
    _residual,
    "x: the term dy is missing",
    "The gradient goes through the branch and not along the skip connection.",
)
def _residual_skip_forgotten(x: Array, weight: Array, dy: Array) -> Inputs:
    dx, dweight = _residual_vjp(x, weight, dy)
    return dx - dy, dweight


@_plant(
    _residual,
    "x: wrong in every entry",
    "`dz = dy; dz *= slope` changes dy itself, which the skip connection still needs.",
)
def _residual_changed_in_place(x: Array, weight: Array, dy: Array) -> Inputs:
    a = np.tanh(x @ weight.T)
    dy = dy.copy()  # the caller's own array is left alone; the mistake stays inside
    dz = dy
    dz *= 1.0 - a * a
    return dy + dz @ weight, dz.T @ x


@_plant(
    _tied,
    "weight: wrong in every entry",
    "A weight used twice gets the gradient of its last use: assigned, not accumulated.",
)
def _tied_weights_counted_once(x: Array, weight: Array, dy: Array) -> Inputs:
    a = np.tanh(x @ weight.T)
    return _tied_vjp(x, weight, dy)[0], a.T @ dy


@_plant(
    _stateful,
    "a stale cache: at the same point the gradient is another",
    "The activation of the last forward pass, which was of another batch.",
)
def _stale_cache(x: Array, weight: Array, dy: Array) -> Inputs:
    a = _REMEMBERED.get("a", np.tanh(x @ weight.T))
    return _saturation(a, x, weight, dy)


GRADIENT_BUGS: tuple[Bug, ...] = tuple(_planted)
"""Every planted gradient bug."""


def find(name: str) -> Bug:
    """Return the planted gradient bug of this name.

    Raises
    ------
    KeyError
        There is none; the message lists the names.

    Examples
    --------
    >>> find("mse-two-forgotten").imitates
    '(ŷ − y)/n: the gradient of half the mean squared error.'
    """
    for bug in GRADIENT_BUGS:
        if bug.name == name:
            return bug
    raise KeyError(
        f"no gradient bug {name!r}; there are {', '.join(b.name for b in GRADIENT_BUGS)}"
    )


BESTIARY: tuple[Bug, ...] = tuple(
    find(name)
    for name in (
        "linear-weight-transposed",
        "columns-bias-by-the-rule-for-rows",
        "broadcast-not-summed",
        "mse-divided-by-rows",
        "bce-of-clipped-probabilities",
        "cross-entropy-target-forgotten",
        "relu-mask-of-the-output",
        "relu-mask-of-the-gradient",
        "gelu-slope-of-the-approximation",
        "tanh-slope-at-the-input",
        "softmax-diagonal-alone",
        "layer-norm-mean-forgotten",
        "layer-norm-epsilon-forgotten",
        "conv-kernel-turned",
        "embedding-repeats-lost",
        "heads-scale-forgotten",
        "deep-layer-through-transpose",
        "mlp-decay-in-the-gradient",
        "mlp-backward-in-single-precision",
        "stale-cache",
    )
)
"""Twenty of them, one of a kind each, for the chapter on gradient checking."""


# A mistake that forward and backward share ------------------------------------------------------


@dataclass(frozen=True)
class SharedBug:
    """A wrong function with its *right* gradient: no comparison of the two can see it.

    Attributes
    ----------
    name, imitates : str
        As in :class:`Bug`.
    f, vjp : callable
        The wrong function and its own, consistent, vector-Jacobian product.
    intended : callable
        What `f` was meant to compute: the referee from outside.
    make_inputs : callable
        As in :class:`Bug`.
    """

    name: str
    imitates: str
    f: Callable[..., Array]
    vjp: Callable[..., Any]
    intended: Callable[..., Array]
    make_inputs: Callable[[np.random.Generator, str], Inputs]


_unscaled_attention = _layer(
    lambda query, key, value: attention.scaled_dot_product_attention_forward(
        query, key, value, scale=1.0
    ),
    attention.scaled_dot_product_attention_backward,
    *_attention.inputs,
)
_mixing_softmax = _elementwise(
    lambda x: activations.softmax(x, axis=0), lambda x, dy: activations.softmax_vjp(x, dy, axis=0)
)
_summed_cross_entropy = _Subject(
    lambda x: losses.cross_entropy(x, _LABELS, reduction="sum"),
    lambda x, dy: losses.cross_entropy_vjp(x, _LABELS, dy, reduction="sum"),
    _cross_entropy.inputs,
)
_unscaled_dropout = _Subject(lambda x: x * _KEPT, lambda x, dy: dy * _KEPT, _dropout.inputs)

SHARED_BUGS: tuple[SharedBug, ...] = tuple(
    SharedBug(name, imitates, wrong.f, wrong.vjp, intended.f, wrong.make_inputs)
    for name, imitates, wrong, intended in (
        (
            "attention-never-scaled",
            "The factor 1/√d is missing in the forward pass, and so in the backward pass.",
            _unscaled_attention,
            _attention,
        ),
        (
            "softmax-over-the-batch",
            "The softmax runs over axis 0: examples compete with each other, consistently.",
            _mixing_softmax,
            _softmax,
        ),
        (
            "cross-entropy-summed",
            "The loss is a sum where the text says mean: the learning rate is multiplied.",
            _summed_cross_entropy,
            _cross_entropy,
        ),
        (
            "dropout-never-rescaled",
            "No factor 1/(1 − p) in either pass: evaluation sees larger activations.",
            _unscaled_dropout,
            _dropout,
        ),
    )
)
"""What a gradient check cannot see: only a referee from outside (the torch route) does."""


# Methods of checking, and what each catches -----------------------------------------------------


def _gradients(vjp: Callable[..., Any], inputs: Inputs, dy: Array) -> Inputs:
    found = vjp(*inputs, dy)
    return found if isinstance(found, tuple) else (found,)


def _cotangents(seed: int) -> np.random.Generator:
    # Not `seed` itself: inputs drawn from it would be the cotangents too, and xᵀdy symmetric.
    return np.random.default_rng([seed, 1])


def _loss(f: Callable[..., Array], inputs: Inputs, rng: np.random.Generator) -> tuple[Any, Array]:
    """Return the scalar function <dy, f(inputs)> for a random dy, and this dy."""
    value = np.asarray(f(*inputs))
    dy = rng.standard_normal(value.shape)[()]
    return lambda arrays: (dy * f(*arrays)).sum(), dy


def accepts_absolute(
    f: Callable[..., Array], vjp: Callable[..., Any], inputs: Inputs, seed: int = 0
) -> bool:
    """Decide by ``abs(analytic - numerical).max() < 1e-5``, entry by entry, central differences.

    As it is usually written: nothing is scaled, and shapes that broadcast are not compared.

    Parameters
    ----------
    f, vjp : callable
        ``f(*inputs)`` and ``vjp(*inputs, dy)``.
    inputs : tuple of float64 arrays
    seed : int
        Of the random cotangent dy.

    Returns
    -------
    bool
        Whether the gradient is accepted.
    """
    loss, dy = _loss(f, inputs, _cotangents(seed))
    analytic = _gradients(vjp, inputs, dy)
    numerical = gradcheck.numerical_gradient(loss, inputs, "central", h=1e-5)
    return all(np.abs(a - n).max() < 1e-5 for a, n in zip(analytic, numerical, strict=True))


def accepts_relative(
    f: Callable[..., Array], vjp: Callable[..., Any], inputs: Inputs, seed: int = 0
) -> bool:
    """Decide by ``norm(analytic - numerical) / (norm(analytic) + norm(numerical)) < 1e-5``.

    Over all inputs together, as one long vector; central differences with h = 1e-5. Parameters
    and result are those of :func:`accepts_absolute`.
    """
    loss, dy = _loss(f, inputs, _cotangents(seed))
    analytic = np.concatenate([np.ravel(a) for a in _gradients(vjp, inputs, dy)])
    numerical = gradcheck.numerical_gradient(loss, inputs, "central", h=1e-5)
    numerical = np.concatenate([n.ravel() for n in numerical])
    norm = np.linalg.norm
    return bool(norm(analytic - numerical) < 1e-5 * (norm(analytic) + norm(numerical)))


def accepts_gradcheck(
    f: Callable[..., Array], vjp: Callable[..., Any], inputs: Inputs, seed: int = 0
) -> bool:
    """Decide as `torch.autograd.gradcheck` does: the whole Jacobian, entry by entry.

    ``abs(analytic - numerical) <= 1e-5 + 1e-3 * abs(numerical)`` with central differences of step
    1e-6, its defaults, and a zero cotangent must give zeros. As in torch, a gradient of the shape
    that broadcasting gave its input is summed back by the machinery, so that a forgotten sum goes
    unseen; other wrong shapes are refused. Parameters and result are those of
    :func:`accepts_absolute`; nothing is random.
    """
    numerical = gradcheck.numerical_jacobian(lambda x: f(*x), inputs, "central", h=1e-6)
    value = np.asarray(f(*inputs))
    if any(np.any(a) for a in _summed_back(vjp, inputs, np.zeros(value.shape)[()])):
        return False
    for index in np.ndindex(value.shape):
        dy = np.zeros(value.shape)
        dy[index] = 1.0
        for a, jacobian in zip(_summed_back(vjp, inputs, dy[()]), numerical, strict=True):
            right = jacobian[index]
            if not np.all(np.abs(a - right) <= 1e-5 + 1e-3 * np.abs(right)):
                return False
    return True


def _summed_back(vjp: Callable[..., Any], inputs: Inputs, dy: Array) -> Inputs:
    """Return the gradients as torch's engine hands them on: summed over broadcast axes."""
    summed = []
    for gradient, x in zip(_gradients(vjp, inputs, dy), inputs, strict=True):
        if np.broadcast_shapes(np.shape(gradient), x.shape) != np.shape(gradient):
            raise ValueError(f"a gradient must have shape {x.shape}, got {np.shape(gradient)}")
        summed.append(unbroadcast(np.asarray(gradient), x.shape))
    return tuple(summed)


def accepts_one_direction(
    f: Callable[..., Array], vjp: Callable[..., Any], inputs: Inputs, seed: int = 0
) -> bool:
    """Decide along one random ±1 direction through all inputs, by the complex step.

    One forward and one backward pass: the directional derivatives must agree to 1e-10 of the
    gradient's norm. Parameters and result are those of :func:`accepts_absolute`.
    """
    rng = _cotangents(seed)
    loss, dy = _loss(f, inputs, rng)
    analytic = _gradients(vjp, inputs, dy)
    signs = [rng.choice([-1.0, 1.0], size=x.shape) for x in inputs]
    # A product of unequal shapes would be a direction through something else.
    if any(np.shape(a) != x.shape for a, x in zip(analytic, inputs, strict=True)):
        return False
    slope = sum((a * u).sum() for a, u in zip(analytic, signs, strict=True))
    right = loss([x + 1e-30j * u for x, u in zip(inputs, signs, strict=True)]).imag / 1e-30
    norm = math.sqrt(sum((a * a).sum() for a in analytic))
    return bool(abs(slope - right) <= 1e-10 * norm)


def accepts_check(
    f: Callable[..., Array], vjp: Callable[..., Any], inputs: Inputs, seed: int = 0
) -> bool:
    """Decide by :func:`mathdl.checks.check_vjp`, whose record is not published.

    Several directions through parameters and inputs, each tensor at its own scale, after a visit
    to another point. Parameters and result are those of :func:`accepts_absolute`.
    """
    tokens = quiet.set(True), verdict_only.set(True)
    try:
        checks.check_vjp(f, vjp, *inputs, seed=seed)
    except checks.CheckFailed:
        return False
    finally:
        quiet.reset(tokens[0])
        verdict_only.reset(tokens[1])
    return True


METHODS: dict[str, Callable[..., bool]] = {
    "max |a − n| < 1e-5": accepts_absolute,
    "relative norm < 1e-5": accepts_relative,
    "gradcheck": accepts_gradcheck,
    "one complex direction": accepts_one_direction,
    "mathdl.checks": accepts_check,
}
"""Methods by name: ``method(f, vjp, inputs, seed)`` says whether it accepts the gradient."""


def detection_table(
    bugs: Sequence[Bug] = GRADIENT_BUGS,
    *,
    inits: Sequence[str] = INITS,
    methods: Mapping[str, Callable[..., bool]] = METHODS,
    seed: int = 0,
    right: bool = False,
) -> dict[str, dict[str, dict[str, bool]]]:
    """Tell which method catches which bug, in which initialisation.

    Parameters
    ----------
    bugs : sequence of Bug
    inits : sequence of str
    methods : mapping of names to methods, as in `METHODS`
    seed : int
        Of inputs and directions.
    right : bool
        Give the methods the right gradients: what they "catch" then are false alarms.

    Returns
    -------
    dict
        ``table[bug.name][init][method]`` is True where the method refuses the gradient. A method
        that stops with an error, because shapes do not fit, has caught the bug as well.

    Examples
    --------
    >>> table = detection_table([find("mlp-backward-in-single-precision")], inits=["he"])
    >>> for method, caught in table["mlp-backward-in-single-precision"]["he"].items():
    ...     print(f"{method}: {'caught' if caught else 'missed'}")
    max |a − n| < 1e-5: missed
    relative norm < 1e-5: missed
    gradcheck: missed
    one complex direction: caught
    mathdl.checks: caught
    """
    table: dict[str, dict[str, dict[str, bool]]] = {}
    for bug in bugs:
        vjp = bug.right if right else bug.wrong
        table[bug.name] = {}
        for init in inits:
            inputs = bug.make_inputs(np.random.default_rng(seed), init)
            caught = table[bug.name][init] = {}
            for name, accepts in methods.items():
                try:
                    caught[name] = not accepts(bug.f, vjp, inputs, seed)
                except (ValueError, TypeError):
                    caught[name] = True
    return table

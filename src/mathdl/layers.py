"""Layers of a network as pairs of functions: forward keeps a cache, backward spends it.

A layer is ``f_forward(x, ...) -> (y, cache)`` and ``f_backward(dy, cache) -> gradients``, where
``dy`` is the gradient of a scalar loss with respect to ``y`` and every gradient has the shape of
its variable. Absent parameters (``bias=None``) have the gradient ``None``.

Names, argument order and defaults are those of `torch.nn.functional`. Everything acts on trailing
axes, keeps the dtype that it is given, and is analytic in its complex extension (no ``conj``,
no ``abs``), so that a complex step through forward *or* backward gives derivatives to rounding.

Parameters of `linear` and `layer_norm` may carry leading axes of their own: a grid of networks.
With ``weight`` of shape ``(G, out, in)``, ``x`` is ``(N, in)``, shared by the grid, or
``(G, N, in)``, and the output is ``(G, N, out)``.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mathdl._arrays import inexact, same_shape, unbroadcast

__all__ = [
    "BatchNormCache",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "conv2d_backward",
    "conv2d_forward",
    "dropout_backward",
    "dropout_forward",
    "embedding_backward",
    "embedding_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
]

Array = np.ndarray
Cache = Any


def _cotangent(dy: Any, shape: tuple[int, ...]) -> Array:
    """Return `dy` as an array after checking that it has the shape of the layer's output."""
    dy = inexact(dy, "dy")
    if dy.shape != shape:
        raise ValueError(f"dy must have the shape of the output {shape}, got {dy.shape}")
    return dy


def _grid(*named: tuple[str, tuple[int, ...]]) -> None:
    """Refuse leading axes of a grid of networks that do not belong together."""
    try:
        np.broadcast_shapes(*(shape for _, shape in named))
    except ValueError:
        listed = ", ".join(f"{name} has {shape}" for name, shape in named)
        raise ValueError(f"leading axes do not belong to one grid of networks: {listed}") from None


def _along_rows(parameter: Array) -> Array:
    """Give a parameter of a grid, ``(G, n)``, the axis of the rows of the batch: ``(G, 1, n)``."""
    return parameter if parameter.ndim == 1 else parameter[..., None, :]


def _product(a: Array, b: Array) -> Array:
    """Multiply matrices; one real factor is not widened to complex, which would double the work.

    A complex step through the weights meets it in the first layer, whose input is real.
    """
    if a.dtype.kind == b.dtype.kind:
        return a @ b
    if a.dtype.kind == "c":
        return _product(b.swapaxes(-1, -2), a.swapaxes(-1, -2)).swapaxes(-1, -2)
    pairs = np.ascontiguousarray(b).view(b.real.dtype)
    y = a @ pairs  # (..., N, K) @ (..., K, 2 M) -> (..., N, 2 M)
    return y.view(np.result_type(y, np.complex64))


# Linear ---------------------------------------------------------------------------------------


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Cache]:
    r"""Apply the affine map :math:`y = x W^{\mathsf T} + b` to each row of `x`.

    Parameters
    ----------
    x : array, shape (..., in)
    weight : array, shape (out, in), or (G..., out, in) for a grid of networks
        With leading axes `x` needs an axis of rows: ``(N, in)`` or ``(G..., N, in)``.
    bias : array, shape (out,), or (G..., out), optional

    Returns
    -------
    y : array, shape (..., out)
    cache : what `linear_backward` needs

    Raises
    ------
    TypeError
        An argument holds integers or booleans.
    ValueError
        Shapes do not fit, or fit only by stretching an axis of length one.

    Examples
    --------
    >>> import numpy as np
    >>> x, weight = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    >>> y, cache = linear_forward(x, weight, np.array([0.1, 0.2, 0.3]))
    >>> y
    array([[11.1, 17.2, 23.3]])
    """
    x, weight = inexact(x, "x"), inexact(weight, "weight")
    if weight.ndim < 2:
        raise ValueError(f"weight must have shape (out, in), got {weight.shape}")
    if x.ndim < 1 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"x must have shape (..., {weight.shape[-1]}), the in of weight "
            f"{weight.shape}, got {x.shape}"
        )
    grids = [("weight", weight.shape[:-2])]
    if bias is not None:
        bias = inexact(bias, "bias")
        if bias.ndim < 1 or bias.shape[-1] != weight.shape[-2]:
            raise ValueError(
                f"bias must have shape ({weight.shape[-2]},), the out of weight "
                f"{weight.shape}, got {bias.shape}"
            )
        grids.append(("bias", bias.shape[:-1]))
    if any(shape for _, shape in grids):
        if x.ndim < 2:
            raise ValueError(f"a grid of networks needs x of shape (..., N, in), got {x.shape}")
        _grid(("x", x.shape[:-2]), *grids)
    y = _product(x, weight.swapaxes(-1, -2))  # (..., in) @ (in, out) -> (..., out)
    if bias is not None:
        y = y + _along_rows(bias)
    return y, (x, weight, bias, y.shape)


def linear_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array | None]:
    r"""Propagate a gradient through :math:`y = x W^{\mathsf T} + b`.

    Parameters
    ----------
    dy : array, shape (..., out)
    cache : from `linear_forward`

    Returns
    -------
    dx : array, shape of x
        :math:`\mathrm{d}x = \mathrm{d}y\, W`.
    dweight : array, shape of weight
        :math:`\mathrm{d}W = \mathrm{d}y^{\mathsf T} x`, summed over all rows.
    dbias : array, shape of bias, or None
        The sum of `dy` over all rows: over everything but the features.

    Examples
    --------
    >>> import numpy as np
    >>> x, weight = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    >>> y, cache = linear_forward(x, weight, np.zeros(3))
    >>> dx, dweight, dbias = linear_backward(np.array([[1.0, 0.0, -1.0]]), cache)
    >>> dx
    array([[-4., -4.]])
    >>> dweight
    array([[ 1.,  2.],
           [ 0.,  0.],
           [-1., -2.]])
    """
    x, weight, bias, shape = cache
    dy = _cotangent(dy, shape)
    if weight.ndim == 2 and (bias is None or bias.ndim == 1):
        count = math.prod(shape[:-1])
        rows, inputs = dy.reshape(count, shape[-1]), x.reshape(count, x.shape[-1])
        dx = dy @ weight  # (..., out) @ (out, in) -> (..., in)
        dweight = _product(rows.T, inputs)  # (out, N) @ (N, in) -> (out, in)
        return dx, dweight, None if bias is None else rows.sum(axis=0)
    dx = unbroadcast(dy @ weight, x.shape)
    # (G, out, N) @ (G, N, in) -> (G, out, in)
    dweight = unbroadcast(dy.swapaxes(-1, -2) @ x, weight.shape)
    dbias = None if bias is None else unbroadcast(dy.sum(axis=-2), bias.shape)
    return dx, dweight, dbias


# Normalisation --------------------------------------------------------------------------------


def _normalize(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array, Array]:
    """Return (x - mean) / sqrt(var + eps) over `axes`, with 1/sqrt(var + eps), mean and var."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    # Not `abs(centred)**2`: the variance must stay analytic under a complex step.
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    inverse = 1.0 / np.sqrt(variance + eps)
    return centred * inverse, inverse, mean, variance


def _normalize_backward(
    dnormal: Array, normal: Array, inverse: Array, axes: tuple[int, ...]
) -> Array:
    """Propagate a gradient through `_normalize`, whose mean and variance depend on x too."""
    mean = dnormal.mean(axis=axes, keepdims=True)
    along = (dnormal * normal).mean(axis=axes, keepdims=True)
    return inverse * (dnormal - mean - normal * along)


def layer_norm_forward(
    x: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Cache]:
    r"""Normalise each example over its trailing axes, then scale and shift.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot \gamma + \beta

    with mean and (biased) variance over the axes of `normalized_shape`.

    Parameters
    ----------
    x : array, shape (..., *normalized_shape)
    normalized_shape : int or tuple of int
    weight, bias : array, shape normalized_shape, optional
        The scale γ and the shift β; with one normalised axis also ``(G..., n)`` for a grid.
    eps : float

    Returns
    -------
    y : array, shape of x
    cache : what `layer_norm_backward` needs

    Raises
    ------
    TypeError
        An argument holds integers or booleans.
    ValueError
        The trailing axes of x, or weight or bias, are not of `normalized_shape`.

    References
    ----------
    Ba, Kiros and Hinton (2016), "Layer Normalization", equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = layer_norm_forward(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 3.0]]), 3, eps=0.0)
    >>> y.round(3)
    array([[-1.225,  0.   ,  1.225],
           [-0.707, -0.707,  1.414]])
    """
    x = inexact(x, "x")
    shape = (normalized_shape,) if np.ndim(normalized_shape) == 0 else normalized_shape
    shape = tuple(operator.index(n) for n in shape)
    if not shape or x.shape[-len(shape) :] != shape or x.ndim < len(shape):
        raise ValueError(f"x must have shape (..., {', '.join(map(str, shape))}), got {x.shape}")
    given = {"weight": weight, "bias": bias}
    for name, parameter in given.items():
        if parameter is None:
            continue
        given[name] = parameter = inexact(parameter, name)
        leading = parameter.ndim > 1 and len(shape) == 1  # a grid of networks
        if not leading:
            same_shape(parameter, shape, name)
        else:
            if parameter.shape[-1:] != shape:
                raise ValueError(f"{name} must have shape (..., {shape[0]}), got {parameter.shape}")
            if x.ndim < 2:
                raise ValueError(f"a grid of networks needs x of shape (..., N, n), got {x.shape}")
            _grid(("x", x.shape[:-2]), (name, parameter.shape[:-1]))
    weight, bias = given["weight"], given["bias"]
    axes = tuple(range(-len(shape), 0))
    normal, inverse, _, _ = _normalize(x, axes, eps)
    y = normal
    if weight is not None:
        y = y * (_along_rows(weight) if len(shape) == 1 else weight)
    if bias is not None:
        y = y + (_along_rows(bias) if len(shape) == 1 else bias)
    return y, (normal, inverse, weight, bias, axes, y.shape)


def layer_norm_backward(dy: Array, cache: Cache) -> tuple[Array, Array | None, Array | None]:
    r"""Propagate a gradient through layer normalisation.

    With :math:`\hat x` the normalised input, :math:`g = \mathrm{d}y \odot \gamma` and bars for
    means over the normalised axes,
    :math:`\mathrm{d}x = (g - \bar g - \hat x\, \overline{g \hat x}) / \sqrt{\sigma^2+\varepsilon}`.

    Parameters
    ----------
    dy : array, shape of the output
    cache : from `layer_norm_forward`

    Returns
    -------
    dx, dweight, dbias : arrays of the shapes of x, weight, bias; None for an absent parameter

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = layer_norm_forward(np.array([[1.0, 2.0, 4.0]]), 3, np.ones(3), np.zeros(3))
    >>> dx, dweight, dbias = layer_norm_backward(np.array([[1.0, 0.0, 0.0]]), cache)
    >>> bool(abs(dx.sum()) < 1e-15)  # a shift of x changes nothing
    True
    >>> dbias
    array([1., 0., 0.])
    """
    normal, inverse, weight, bias, axes, shape = cache
    dy = _cotangent(dy, shape)
    rowwise = len(axes) == 1
    dnormal = dy
    if weight is not None:
        dnormal = dy * (_along_rows(weight) if rowwise else weight)
    dnormal = unbroadcast(dnormal, normal.shape)  # one x shared by a grid of networks
    dx = _normalize_backward(dnormal, normal, inverse, axes)

    def summed(gradient: Array, parameter: Array | None) -> Array | None:
        if parameter is None:
            return None
        if rowwise and parameter.ndim > 1:
            return unbroadcast(gradient.sum(axis=-2), parameter.shape)
        return unbroadcast(gradient, parameter.shape)

    return dx, summed(dy * normal, weight), summed(dy, bias)


class BatchNormCache(NamedTuple):
    """What `batch_norm_backward` needs, and the running statistics after the batch.

    Attributes
    ----------
    normal : array, shape (N, C) or (N, C, ...)
        The input, normalised; before `weight` and `bias`.
    inverse : array, one number per channel
        What the centred input was multiplied by, shaped to meet it.
    weight, bias : array, shape (C,), or None
        As they were given.
    training : bool
        Whether mean and variance are the batch's.
    running_mean, running_var : array, shape (C,), or None
        After this batch.
    """

    normal: Array
    inverse: Array
    weight: Array | None
    bias: Array | None
    training: bool
    running_mean: Array | None
    running_var: Array | None


def batch_norm_forward(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, BatchNormCache]:
    r"""Normalise each channel over the batch (training) or by running statistics (evaluation).

    Parameters
    ----------
    x : array, shape (N, C) or (N, C, ...)
    running_mean, running_var : array, shape (C,)
        Required in evaluation, optional in training.
    weight, bias : array, shape (C,), optional
        The scale γ and the shift β.
    training : bool
        Use the batch's own mean and *biased* variance, and update the running statistics.
    momentum : float
        ``running = (1 - momentum) * running + momentum * batch``, where the batch's variance is
        the *unbiased* one, as in torch.
    eps : float

    Returns
    -------
    y : array, shape of x
    cache : BatchNormCache
        ``cache.running_mean`` and ``cache.running_var`` are the statistics after this batch: the
        function returns them instead of changing its arguments, as torch does.

    Raises
    ------
    TypeError
        An argument holds integers or booleans.
    ValueError
        Shapes do not fit; one value per channel in training; no running statistics in evaluation.

    References
    ----------
    Ioffe and Szegedy (2015), "Batch Normalization", algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, cache = batch_norm_forward(x, np.zeros(2), np.ones(2), training=True, eps=0.0)
    >>> y
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> cache.running_mean, cache.running_var
    (array([0.2, 2. ]), array([ 1.1, 20.9]))
    """
    x = inexact(x, "x")
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, C) or (N, C, ...), got {x.shape}")
    channels = x.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var}
    given |= {"weight": weight, "bias": bias}
    for name, parameter in given.items():
        if parameter is not None:
            given[name] = inexact(parameter, name)
            same_shape(given[name], (channels,), name)
    running_mean, running_var, weight, bias = given.values()
    axes = (0, *range(2, x.ndim))
    column = (channels,) + (1,) * (x.ndim - 2)  # how a (C,) parameter meets x
    if training:
        count = x.size // channels if channels else 0
        if count < 2:
            raise ValueError(f"training needs at least two values per channel, x has {x.shape}")
        normal, inverse, mean, variance = _normalize(x, axes, eps)
        unbiased = variance.reshape(channels) * (count / (count - 1))
        if running_mean is not None:
            running_mean = (1 - momentum) * running_mean + momentum * mean.reshape(channels)
        if running_var is not None:
            running_var = (1 - momentum) * running_var + momentum * unbiased
    else:
        if running_mean is None or running_var is None:
            raise ValueError("evaluation (training=False) needs running_mean and running_var")
        inverse = 1.0 / np.sqrt(running_var + eps).reshape(column)
        normal = (x - running_mean.reshape(column)) * inverse
    y = normal
    if weight is not None:
        y = y * weight.reshape(column)
    if bias is not None:
        y = y + bias.reshape(column)
    return y, BatchNormCache(normal, inverse, weight, bias, training, running_mean, running_var)


def batch_norm_backward(
    dy: Array, cache: BatchNormCache
) -> tuple[Array, Array | None, Array | None]:
    """Propagate a gradient through batch normalisation.

    In training the batch's mean and variance depend on every row, so `dx` does too; in
    evaluation the layer is one affine map per channel.

    Parameters
    ----------
    dy : array, shape (N, C) or (N, C, ...)
    cache : from `batch_norm_forward`

    Returns
    -------
    dx, dweight, dbias : arrays of the shapes of x, weight, bias; None for an absent parameter

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [2.0], [4.0]])
    >>> y, cache = batch_norm_forward(x, weight=np.ones(1), bias=np.zeros(1), training=True)
    >>> dx, dweight, dbias = batch_norm_backward(np.array([[1.0], [0.0], [0.0]]), cache)
    >>> bool(abs(dx.sum()) < 1e-15)  # a shift of the whole batch changes nothing
    True
    """
    normal, inverse, weight, bias, training, _, _ = cache
    dy = _cotangent(dy, normal.shape)
    axes = (0, *range(2, normal.ndim))
    column = (normal.shape[1],) + (1,) * (normal.ndim - 2)
    dnormal = dy if weight is None else dy * weight.reshape(column)
    dx = _normalize_backward(dnormal, normal, inverse, axes) if training else dnormal * inverse
    dweight = None if weight is None else (dy * normal).sum(axis=axes)
    dbias = None if bias is None else dy.sum(axis=axes)
    return dx, dweight, dbias


# Convolution and pooling ----------------------------------------------------------------------


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """Return an int or a pair of ints as a pair of ints of at least `least`."""
    pair = (value, value) if np.ndim(value) == 0 else tuple(value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be an int or a pair of ints, got {value!r}")
    pair = operator.index(pair[0]), operator.index(pair[1])
    if min(pair) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return pair


def _images(x: Any) -> Array:
    x = inexact(x, "x")
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., C, H, W), got {x.shape}")
    return x


def _padded(x: Array, pads: tuple[tuple[int, int], tuple[int, int]], value: float = 0.0) -> Array:
    if pads == ((0, 0), (0, 0)):
        return x
    return np.pad(x, ((0, 0),) * (x.ndim - 2) + pads, constant_values=value)


def _windows(
    x: Array, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Array:
    """View padded images (..., H, W) as their windows (..., OH, OW, KH, KW)."""
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if x.shape[-2] < extent[0] or x.shape[-1] < extent[1]:
        raise ValueError(
            f"the window {extent} (kernel {kernel}, dilation {dilation}) is larger than the "
            f"padded image {x.shape[-2:]}"
        )
    view = sliding_window_view(x, extent, axis=(-2, -1))
    return view[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _fold(
    dwindows: list[list[Array]],
    image: tuple[int, ...],
    pads: tuple[tuple[int, int], tuple[int, int]],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Array:
    """Add the gradients of windows back onto the pixels they came from: `_windows` transposed.

    ``dwindows[i][j]``, of shape (..., OH, OW), belongs to row i and column j of each window.
    """
    (top, bottom), (left, right) = pads
    height, width = image[-2] + top + bottom, image[-1] + left + right
    rows, columns = dwindows[0][0].shape[-2:]
    padded = np.zeros((*image[:-2], height, width), dtype=dwindows[0][0].dtype)
    for i, line in enumerate(dwindows):
        down = slice(i * dilation[0], i * dilation[0] + stride[0] * (rows - 1) + 1, stride[0])
        for j, part in enumerate(line):
            across = j * dilation[1]
            across = slice(across, across + stride[1] * (columns - 1) + 1, stride[1])
            padded[..., down, across] += part
    return padded[..., top : height - bottom, left : width - right]


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> tuple[Array, Cache]:
    r"""Slide a stack of kernels over images and take inner products (cross-correlation).

    .. math::
        y_{o,i,j} = b_o + \sum_{c,k,l} W_{o,c,k,l}\, x_{c,\, s i + d k - p,\, s j + d l - p}

    Parameters
    ----------
    x : array, shape (..., C, H, W)
    weight : array, shape (O, C / groups, KH, KW)
    bias : array, shape (O,), optional
    stride, dilation : int or pair
    padding : int, pair, "valid" or "same"
        Zeros around the image; "same" keeps its size (stride 1 only; an odd one is put at the
        bottom and the right, as in torch).
    groups : int
        Split channels into blocks that do not mix.

    Returns
    -------
    y : array, shape (..., O, OH, OW)
        With OH = ⌊(H + 2p − d(KH − 1) − 1)/s⌋ + 1.
    cache : what `conv2d_backward` needs

    Raises
    ------
    TypeError
        An argument holds integers or booleans.
    ValueError
        Shapes do not fit, or the window is larger than the padded image.

    References
    ----------
    Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning".

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(9.0).reshape(1, 3, 3)
    >>> y, cache = conv2d_forward(image, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))
    >>> y
    array([[[-4., -4.],
            [-4., -4.]]])
    """
    x, weight = _images(x), inexact(weight, "weight")
    groups = operator.index(groups)
    channels = x.shape[-3]
    if weight.ndim != 4:
        raise ValueError(f"weight must have shape (O, C/groups, KH, KW), got {weight.shape}")
    outputs, kernel = weight.shape[0], weight.shape[2:]
    if groups < 1 or channels % groups or outputs % groups:
        raise ValueError(f"groups={groups} must divide C={channels} and O={outputs}")
    same_shape(weight, (outputs, channels // groups, *kernel), "weight")
    if min(kernel) < 1:
        raise ValueError(f"weight must have a kernel of at least one pixel, got {weight.shape}")
    if bias is not None:
        bias = inexact(bias, "bias")
        same_shape(bias, (outputs,), "bias")
    stride, dilation = _pair("stride", stride, 1), _pair("dilation", dilation, 1)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f'padding="same" needs stride 1, got {stride}')
        total = tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        pads = tuple((t // 2, t - t // 2) for t in total)
    elif isinstance(padding, str) and padding != "valid":
        raise ValueError(f'padding must be numbers, "valid" or "same", got {padding!r}')
    else:
        pads = tuple((p, p) for p in _pair("padding", 0 if padding == "valid" else padding, 0))
    windows = _windows(_padded(x, pads), kernel, stride, dilation)  # (..., C, OH, OW, KH, KW)
    leading, size = x.shape[:-3], windows.shape[-4:-2]
    # im2col: (..., C, OH, OW, KH, KW) -> (..., groups, C/groups * KH * KW, OH * OW)
    columns = np.moveaxis(windows, (-2, -1), (-4, -3))
    depth, places = weight[0].size, size[0] * size[1]
    columns = columns.reshape(*leading, groups, depth, places)
    filters = weight.reshape(groups, outputs // groups, depth)
    y = (filters @ columns).reshape(*leading, outputs, *size)
    if bias is not None:
        y = y + bias[:, None, None]
    return y, (columns, weight, bias, x.shape, pads, stride, dilation, groups, y.shape)


def conv2d_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array | None]:
    """Propagate a gradient through a convolution.

    Every window's gradient is added back onto the pixels the window saw (the transposed
    convolution), and the kernel's gradient sums over all windows of all images.

    Parameters
    ----------
    dy : array, shape (..., O, OH, OW)
    cache : from `conv2d_forward`

    Returns
    -------
    dx : array, shape (..., C, H, W)
    dweight : array, shape (O, C / groups, KH, KW)
    dbias : array, shape (O,), or None

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(9.0).reshape(1, 3, 3)
    >>> y, cache = conv2d_forward(image, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))
    >>> dx, dweight, dbias = conv2d_backward(np.ones_like(y), cache)
    >>> dx
    array([[[ 1.,  1.,  0.],
            [ 1.,  0., -1.],
            [ 0., -1., -1.]]])
    >>> dweight
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    columns, weight, bias, image, pads, stride, dilation, groups, shape = cache
    dy = _cotangent(dy, shape)
    outputs, kernel, size = weight.shape[0], weight.shape[2:], shape[-2:]
    places, depth, leading = size[0] * size[1], weight[0].size, shape[:-3]
    dout = dy.reshape(*leading, groups, outputs // groups, places)
    # (..., g, O/g, L) @ (..., g, L, depth) -> (..., g, O/g, depth), then the sum over images
    dfilters = dout @ columns.swapaxes(-1, -2)
    dweight = dfilters.sum(axis=tuple(range(len(leading)))).reshape(weight.shape)
    filters = weight.reshape(groups, outputs // groups, depth)
    dcolumns = filters.swapaxes(-1, -2) @ dout  # (..., g, depth, L)
    dcolumns = dcolumns.reshape(*leading, image[-3], *kernel, *size)
    parts = [[dcolumns[..., i, j, :, :] for j in range(kernel[1])] for i in range(kernel[0])]
    dx = _fold(parts, image, pads, stride, dilation)
    dbias = None
    if bias is not None:
        dbias = dy.sum(axis=(*range(len(leading)), -2, -1))  # all but the channels
    return dx, dweight, dbias


def _pooling(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: int | tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    """Read the arguments that both kinds of pooling share: kernel, stride, padding."""
    kernel = _pair("kernel_size", kernel_size, 1)
    stride = kernel if stride is None else _pair("stride", stride, 1)
    pads = _pair("padding", padding, 0)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(f"padding must be at most half of kernel_size {kernel}, got {padding!r}")
    return kernel, stride, tuple((p, p) for p in pads)


def max_pool2d_forward(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> tuple[Array, Cache]:
    """Keep the largest value in each window of each channel.

    Parameters
    ----------
    x : array, shape (..., C, H, W)
    kernel_size, dilation : int or pair
    stride : int or pair, optional
        `kernel_size` if not given: windows that touch and do not overlap.
    padding : int or pair
        Places around the image that never win; at most half of `kernel_size`.

    Returns
    -------
    y : array, shape (..., C, OH, OW)
    cache : what `max_pool2d_backward` needs

    Raises
    ------
    TypeError
        x holds integers or booleans.
    ValueError
        The window is larger than the padded image, or the padding than half a window.

    Notes
    -----
    Of equal values the first in reading order wins, as in torch. A complex input is compared by
    its real part.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = max_pool2d_forward(np.array([[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]), 2)
    >>> y
    array([[[5., 2.]]])
    """
    x = _images(x)
    kernel, stride, pads = _pooling(x, kernel_size, stride, padding)
    dilation = _pair("dilation", dilation, 1)
    windows = _windows(_padded(x, pads, -np.inf), kernel, stride, dilation)
    flat = windows.reshape(*windows.shape[:-2], kernel[0] * kernel[1])
    winner = flat.real.argmax(axis=-1)[..., None]
    y = np.take_along_axis(flat, winner, axis=-1)[..., 0]
    return y, (winner[..., 0], x.shape, kernel, pads, stride, dilation)


def max_pool2d_backward(dy: Array, cache: Cache) -> Array:
    """Send each window's gradient to the pixel that won it.

    Parameters
    ----------
    dy : array, shape (..., C, OH, OW)
    cache : from `max_pool2d_forward`

    Returns
    -------
    dx : array, shape (..., C, H, W)
        A pixel that wins several overlapping windows receives the sum.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = max_pool2d_forward(np.array([[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]), 2)
    >>> max_pool2d_backward(np.array([[[10.0, 20.0]]]), cache)
    array([[[ 0., 10., 20.,  0.],
            [ 0.,  0.,  0.,  0.]]])
    """
    winner, image, kernel, pads, stride, dilation = cache
    dy = _cotangent(dy, winner.shape)
    zero = np.zeros((), dtype=dy.dtype)
    parts = [
        [np.where(winner == i * kernel[1] + j, dy, zero) for j in range(kernel[1])]
        for i in range(kernel[0])
    ]
    return _fold(parts, image, pads, stride, dilation)


def avg_pool2d_forward(
    x: Array,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    count_include_pad: bool = True,
) -> tuple[Array, Cache]:
    """Average each window of each channel.

    Parameters
    ----------
    x : array, shape (..., C, H, W)
    kernel_size : int or pair
    stride : int or pair, optional
        `kernel_size` if not given: windows that touch and do not overlap.
    padding : int or pair
        Zeros around the image; at most half of `kernel_size`.
    count_include_pad : bool
        Divide by the window's size; if False, by the number of its pixels inside the image.

    Returns
    -------
    y : array, shape (..., C, OH, OW)
    cache : what `avg_pool2d_backward` needs

    Raises
    ------
    TypeError
        x holds integers or booleans.
    ValueError
        The window is larger than the padded image, or the padding than half a window.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = avg_pool2d_forward(np.array([[[1.0, 5.0, 2.0, 2.0], [3.0, 3.0, 0.0, 2.0]]]), 2)
    >>> y
    array([[[3. , 1.5]]])
    """
    x = _images(x)
    kernel, stride, pads = _pooling(x, kernel_size, stride, padding)
    windows = _windows(_padded(x, pads), kernel, stride, (1, 1))
    real = x.real.dtype
    if count_include_pad:
        count = np.full(windows.shape[-4:-2], kernel[0] * kernel[1], dtype=real)
    else:
        inside = _padded(np.ones(x.shape[-2:], dtype=real), pads)
        count = _windows(inside, kernel, stride, (1, 1)).sum(axis=(-2, -1))
    y = windows.sum(axis=(-2, -1)) / count
    return y, (count, y.shape, x.shape, kernel, pads, stride)


def avg_pool2d_backward(dy: Array, cache: Cache) -> Array:
    """Share each window's gradient out equally among its pixels.

    Parameters
    ----------
    dy : array, shape (..., C, OH, OW)
    cache : from `avg_pool2d_forward`

    Returns
    -------
    dx : array, shape (..., C, H, W)

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = avg_pool2d_forward(np.array([[[1.0, 5.0, 2.0, 2.0], [3.0, 3.0, 0.0, 2.0]]]), 2)
    >>> avg_pool2d_backward(np.array([[[4.0, 8.0]]]), cache)
    array([[[1., 1., 2., 2.],
            [1., 1., 2., 2.]]])
    """
    count, shape, image, kernel, pads, stride = cache
    share = _cotangent(dy, shape) / count
    return _fold([[share] * kernel[1]] * kernel[0], image, pads, stride, (1, 1))


# Embedding and dropout ------------------------------------------------------------------------


def embedding_forward(
    input: Array, weight: Array, padding_idx: int | None = None
) -> tuple[Array, Cache]:
    """Look up a row of a table for each index.

    Parameters
    ----------
    input : array of integers, any shape
    weight : array, shape (V, D)
    padding_idx : int, optional
        A row that receives no gradient; negative values count from the end.

    Returns
    -------
    y : array, shape (*input.shape, D)
    cache : what `embedding_backward` needs

    Raises
    ------
    TypeError
        `input` does not hold integers, or `weight` does.
    ValueError
        `weight` is not a table, or `padding_idx` is no row of it.
    IndexError
        An index is negative or not below V.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> y, cache = embedding_forward(np.array([2, 0]), table)
    >>> y
    array([[4., 5.],
           [0., 1.]])
    """
    input, weight = np.asarray(input), inexact(weight, "weight")
    if not np.issubdtype(input.dtype, np.integer):
        raise TypeError(f"input must hold integers (they are indices), got {input.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"weight must have shape (V, D), got {weight.shape}")
    rows = len(weight)
    if input.size and not 0 <= input.min() <= input.max() < rows:
        raise IndexError(
            f"indices must lie in 0..{rows - 1}, got values in {input.min()}..{input.max()}"
        )
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ValueError(
                f"padding_idx must be a row of weight {weight.shape}, got {padding_idx}"
            )
        padding_idx %= rows
    y = weight[input]
    return y, (input, weight.shape, padding_idx, y.shape)


def embedding_backward(dy: Array, cache: Cache) -> Array:
    """Add up, for each row of the table, the gradients of all places that looked it up.

    Parameters
    ----------
    dy : array, shape (*input.shape, D)
    cache : from `embedding_forward`

    Returns
    -------
    dweight : array, shape (V, D)
        Zero in rows that were not used, and in the row `padding_idx`.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = embedding_forward(np.array([2, 0, 2]), np.ones((3, 1)))
    >>> embedding_backward(np.array([[1.0], [2.0], [3.0]]), cache)
    array([[2.],
           [0.],
           [4.]])
    """
    input, table, padding_idx, shape = cache
    dy = _cotangent(dy, shape)
    dweight = np.zeros(table, dtype=dy.dtype)
    np.add.at(dweight, input, dy)  # `dweight[input] += dy` would keep one of each repeated index
    if padding_idx is not None:
        dweight[padding_idx] = 0.0
    return dweight


def dropout_forward(
    x: Array,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Cache]:
    """Zero each entry with probability `p` and scale the others by 1/(1 − p).

    Parameters
    ----------
    x : array, any shape
    p : float
        Probability of zeroing, 0 ≤ p ≤ 1.
    training : bool
        If False, return x unchanged.
    rng : numpy.random.Generator, optional
        Draws the mask. Required in training unless `mask` is given: there is no hidden state.
    mask : array of bool, shape of x, optional
        True where an entry is kept; makes the function deterministic, so that it can be checked.

    Returns
    -------
    y : array, shape of x
        Its expectation over masks is x.
    cache : what `dropout_backward` needs

    Raises
    ------
    TypeError
        x holds integers or booleans, or the mask does not hold booleans.
    ValueError
        p outside [0, 1], a mask of another shape, or neither `rng` nor `mask` in training.

    References
    ----------
    Srivastava et al. (2014), "Dropout", section 10 (the scaling in training).

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = dropout_forward(np.ones(4), 0.5, mask=np.array([True, False, True, True]))
    >>> y
    array([2., 0., 2., 2.])
    """
    x = inexact(x, "x")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be a probability in [0, 1], got {p!r}")
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise TypeError(f"mask must hold booleans (True = kept), got {mask.dtype}")
        same_shape(mask, x.shape, "mask")
    if not training:
        return x, (None, x.shape)
    if mask is None:
        if rng is None:
            raise ValueError("training needs rng= (to draw the mask) or mask=")
        mask = rng.random(x.shape) >= p
    # At p = 1 nothing is kept, whatever the mask says: 1/(1 - p) must not turn it into NaN.
    scale = mask.astype(x.real.dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0)
    return x * scale, (scale, x.shape)


def dropout_backward(dy: Array, cache: Cache) -> Array:
    """Send the gradient through the entries that were kept, with the same scale.

    Parameters
    ----------
    dy : array, shape of x
    cache : from `dropout_forward`

    Returns
    -------
    dx : array, shape of x

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = dropout_forward(np.ones(4), 0.5, mask=np.array([True, False, True, True]))
    >>> dropout_backward(np.array([1.0, 2.0, 3.0, 4.0]), cache)
    array([2., 0., 6., 8.])
    """
    scale, shape = cache
    dy = _cotangent(dy, shape)
    return dy if scale is None else dy * scale

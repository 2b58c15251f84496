r"""A multilayer perceptron of any depth: forward, backward and what happens in each layer.

The network owns no arrays. Its parameters are a dict, ``{"weight_1": ..., "bias_1": ..., ...}``,
so that an optimizer, a check or a page can hold, perturb and replace them. Layer ℓ computes

.. math:: z_ℓ = a_{ℓ-1} W_ℓ^{\mathsf T} + b_ℓ, \qquad a_ℓ = φ(z_ℓ) \text{ or }
    φ(\operatorname{LayerNorm}(z_ℓ)),

and the last layer is affine: its output goes to a loss, which knows what to do with it.
Parameters may have leading axes, a grid of networks that are evaluated at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mathdl import activations
from mathdl.layers import (
    _cotangent,
    layer_norm_backward,
    layer_norm_forward,
    linear_backward,
    linear_forward,
)

__all__ = ["ACTIVATIONS", "MLP", "LayerStatistics", "MLPCache"]

Array = np.ndarray
Params = dict[str, Array]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid")
"""Activations by name; ``"identity"`` makes a deep linear network."""


class LayerStatistics(NamedTuple):
    """What flows through one layer; means and deviations are over rows and features.

    With a grid of networks every entry but `layer` has the grid's shape.

    Attributes
    ----------
    layer : int
        Counted from 1.
    pre_mean, pre_std : array
        Of the pre-activation ``z``; after LayerNorm, if there is one.
    mean, std : array
        Of the activation ``a``.
    dead : array
        Share of the features that are zero in every row.
    gradient_rms : array
        Root mean square of the loss's gradient with respect to ``z``.
    weight_gradient_norm : array
        Frobenius norm of its gradient with respect to the weights.
    """

    layer: int
    pre_mean: Array
    pre_std: Array
    mean: Array
    std: Array
    dead: Array
    gradient_rms: Array
    weight_gradient_norm: Array


class _LayerCache(NamedTuple):
    linear: Any
    norm: Any  # None without LayerNorm and in the last layer
    pre: Array  # what the activation was applied to


class MLPCache(NamedTuple):
    """What the backward pass needs.

    Attributes
    ----------
    layers : tuple
        What each layer keeps, from the first.
    shape : tuple of int
        Of the output.
    """

    layers: tuple[_LayerCache, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron; its parameters live outside it, in a dict of arrays.

    Parameters
    ----------
    sizes : tuple of int
        Features in, widths of the hidden layers, features out: at least two numbers.
    activation : str
        One of `ACTIVATIONS`, or ``"identity"``.
    layer_norm : bool
        Normalise each hidden pre-activation, with scale ``norm_weight_ℓ`` and shift
        ``norm_bias_ℓ``.
    bias : bool
        Give linear layers (not LayerNorm) a bias.
    eps : float
        LayerNorm's ε.

    Raises
    ------
    ValueError
        Fewer than two sizes, a size below one, or an unknown activation.

    Examples
    --------
    >>> import numpy as np
    >>> net = MLP((2, 8, 1), activation="tanh")
    >>> params = net.init(np.random.default_rng(0))
    >>> {name: p.shape for name, p in params.items()}
    {'weight_1': (8, 2), 'bias_1': (8,), 'weight_2': (1, 8), 'bias_2': (1,)}
    >>> y, cache = net.forward(params, np.ones((5, 2)))
    >>> dx, grads = net.backward(np.ones_like(y), cache)
    >>> y.shape, grads["weight_1"].shape, net.count
    ((5, 1), (8, 2), 33)
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    layer_norm: bool = False
    bias: bool = True
    eps: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(n) for n in self.sizes))
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes must be at least two positive numbers, got {self.sizes}")
        if self.activation not in (*ACTIVATIONS, "identity"):
            known = ", ".join((*ACTIVATIONS, "identity"))
            raise ValueError(f"activation must be one of {known}; got {self.activation!r}")

    @property
    def depth(self) -> int:
        """The number of linear layers."""
        return len(self.sizes) - 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter of one network, in order from input to output."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(1, self.depth + 1):
            inputs, outputs = self.sizes[layer - 1], self.sizes[layer]
            shapes[f"weight_{layer}"] = (outputs, inputs)
            if self.bias:
                shapes[f"bias_{layer}"] = (outputs,)
            if self.layer_norm and layer < self.depth:
                shapes[f"norm_weight_{layer}"] = (outputs,)
                shapes[f"norm_bias_{layer}"] = (outputs,)
        return shapes

    @property
    def count(self) -> int:
        """The number of parameters of one network."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def init(
        self,
        rng: np.random.Generator,
        gain: float | None = None,
        *,
        grid: tuple[int, ...] = (),
        dtype: Any = np.float64,
    ) -> Params:
        r"""Draw weights with standard deviation gain/√fan_in; biases 0, LayerNorm's scale 1.

        Parameters
        ----------
        rng : numpy.random.Generator
        gain : float, optional
            √2 for the ReLU family (He et al. 2015), 1 otherwise (LeCun et al. 1998).
        grid : tuple of int
            Leading axes: that many networks at once.
        dtype : dtype

        Returns
        -------
        params : dict of arrays

        Examples
        --------
        >>> import numpy as np
        >>> params = MLP((3, 4, 2)).init(np.random.default_rng(0), grid=(5,))
        >>> params["weight_1"].shape, params["bias_1"].shape
        ((5, 4, 3), (5, 4))
        """
        if gain is None:
            rectified = self.activation in ("relu", "leaky_relu", "elu", "gelu", "silu")
            gain = math.sqrt(2.0) if rectified else 1.0
        params: Params = {}
        for name, shape in self.shapes.items():
            if name.startswith("weight"):
                draw = rng.standard_normal((*grid, *shape)) * (gain / math.sqrt(shape[-1]))
                params[name] = draw.astype(dtype)
            else:
                fill = 1.0 if name.startswith("norm_weight") else 0.0
                params[name] = np.full((*grid, *shape), fill, dtype=dtype)
        return params

    def flatten(self, params: Mapping[str, Array]) -> Array:
        """Lay the parameters end to end: shape (..., count), with the grid's axes in front.

        Examples
        --------
        >>> import numpy as np
        >>> net = MLP((2, 3, 1))
        >>> params = net.init(np.random.default_rng(0))
        >>> vector = net.flatten(params)
        >>> again = net.unflatten(vector)
        >>> vector.shape, all((again[name] == params[name]).all() for name in params)
        ((13,), True)
        """
        self._demand_parameters(params)
        parts = []
        for name, shape in self.shapes.items():
            array = np.asarray(params[name])
            parts.append(array.reshape(*array.shape[: array.ndim - len(shape)], -1))
        return np.concatenate(parts, axis=-1)

    def unflatten(self, vector: Array) -> Params:
        """Cut a vector of shape (..., count) into parameters: the inverse of `flatten`.

        The arrays are views of `vector`.
        """
        vector = np.asarray(vector)
        if vector.ndim < 1 or vector.shape[-1] != self.count:
            raise ValueError(f"vector must have shape (..., {self.count}), got {vector.shape}")
        params, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            params[name] = vector[..., start:stop].reshape(*vector.shape[:-1], *shape)
            start = stop
        return params

    def forward(self, params: Mapping[str, Array], x: Array) -> tuple[Array, MLPCache]:
        """Compute the output for each row of `x`.

        Parameters
        ----------
        params : dict of arrays
            With the names and shapes of `shapes`, or with the same leading axes in front of all.
        x : array, shape (..., sizes[0])
            With a grid of networks, ``(N, sizes[0])``, shared, or ``(G..., N, sizes[0])``.

        Returns
        -------
        y : array, shape (..., sizes[-1])
        cache : MLPCache

        Raises
        ------
        TypeError
            Integers where floats are needed.
        ValueError
            Parameters missing or unknown, or of another shape.
        """
        self._demand_parameters(params)
        layers, a = [], x
        for layer in range(1, self.depth + 1):
            # (..., sizes[layer - 1]) -> (..., sizes[layer])
            z, linear = linear_forward(a, params[f"weight_{layer}"], params.get(f"bias_{layer}"))
            norm = None
            if self.layer_norm and layer < self.depth:
                scale, shift = params[f"norm_weight_{layer}"], params[f"norm_bias_{layer}"]
                z, norm = layer_norm_forward(z, self.sizes[layer], scale, shift, self.eps)
            layers.append(_LayerCache(linear, norm, z))
            a = self._activate(z) if layer < self.depth else z
        return a, MLPCache(tuple(layers), a.shape)

    def backward(self, dy: Array, cache: MLPCache) -> tuple[Array, Params]:
        """Propagate a gradient from the output to the input and to every parameter.

        Parameters
        ----------
        dy : array, shape of the output
        cache : from `forward`

        Returns
        -------
        dx : array, shape of x
        grads : dict of arrays, with the names and shapes of the parameters
        """
        dx, grads, _ = self._backward(dy, cache)
        return dx, grads

    def statistics(self, dy: Array, cache: MLPCache) -> list[LayerStatistics]:
        """Measure the signal in each layer, forward and backward.

        Parameters
        ----------
        dy : array, shape of the output
            The loss's gradient with respect to the output.
        cache : from `forward`, of an input with at least one axis of rows

        Returns
        -------
        statistics : list of LayerStatistics, one for each linear layer

        Examples
        --------
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> net = MLP((50,) * 21, activation="tanh")
        >>> y, cache = net.forward(net.init(rng, gain=0.5), rng.standard_normal((64, 50)))
        >>> stats = net.statistics(np.ones_like(y), cache)
        >>> bool(stats[-1].std < 1e-5 * stats[0].std)  # the signal dies on its way up
        True
        >>> bool(stats[0].gradient_rms < 1e-5 * stats[-1].gradient_rms)  # and on its way down
        True
        """
        if len(cache.shape) < 2:
            raise ValueError(f"statistics need an axis of rows, the output has {cache.shape}")
        _, grads, dpres = self._backward(dy, cache)
        both = (-2, -1)
        table = []
        for layer, (entry, dpre) in enumerate(zip(cache.layers, dpres, strict=True), start=1):
            a = self._activate(entry.pre) if layer < self.depth else entry.pre
            dweight = grads[f"weight_{layer}"]
            table.append(
                LayerStatistics(
                    layer,
                    entry.pre.mean(axis=both),
                    entry.pre.std(axis=both),
                    a.mean(axis=both),
                    a.std(axis=both),
                    (a == 0).all(axis=-2).mean(axis=-1),
                    np.sqrt((dpre * dpre).mean(axis=both)),
                    np.sqrt((dweight * dweight).sum(axis=both)),
                )
            )
        return table

    def _backward(self, dy: Array, cache: MLPCache) -> tuple[Array, Params, list[Array]]:
        """Return dx, the parameters' gradients, and the gradient at each pre-activation."""
        grads: Params = {}
        dpres = []
        da = _cotangent(dy, cache.shape)
        for layer in range(self.depth, 0, -1):
            entry = cache.layers[layer - 1]
            dz = self._activate_vjp(entry.pre, da) if layer < self.depth else da
            dpres.append(dz)
            if entry.norm is not None:
                dz, grads[f"norm_weight_{layer}"], grads[f"norm_bias_{layer}"] = (
                    layer_norm_backward(dz, entry.norm)
                )
            da, grads[f"weight_{layer}"], dbias = linear_backward(dz, entry.linear)
            if dbias is not None:
                grads[f"bias_{layer}"] = dbias
        return da, {name: grads[name] for name in self.shapes}, dpres[::-1]

    def _activate(self, z: Array) -> Array:
        return z if self.activation == "identity" else getattr(activations, self.activation)(z)

    def _activate_vjp(self, z: Array, da: Array) -> Array:
        if self.activation == "identity":
            return da
        return getattr(activations, f"{self.activation}_vjp")(z, da)

    def _demand_parameters(self, params: Mapping[str, Array]) -> None:
        shapes = self.shapes
        if set(params) != set(shapes):
            missing = ", ".join(sorted(set(shapes) - set(params))) or "none"
            unknown = ", ".join(sorted(set(params) - set(shapes))) or "none"
            raise ValueError(
                f"params must hold {', '.join(shapes)}; missing: {missing}; unknown: {unknown}"
            )
        for name, shape in shapes.items():
            got = np.shape(params[name])
            if got[max(len(got) - len(shape), 0) :] != shape:
                raise ValueError(
                    f"{name} must have shape {shape} (or (..., *{shape}) for a grid "
                    f"of networks), got {got}"
                )

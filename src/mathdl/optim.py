r"""Gradient-based optimizers, built and stepped as in :mod:`torch.optim`.

``Adam(params, lr=1e-3, betas=(0.9, 0.999))`` takes one array, or a dict or list of arrays, and
``step(grads)`` changes them in place from gradients in the same structure. Keyword names, defaults
and the order of operations are torch's.

State lives in flat arrays, so that a step is a dozen passes over memory whatever the number of
parameters; :func:`arena` lays the parameters out flat as well and saves two copies a step.
Leading axes batch for free: parameters of shape ``(1000, 2)`` are a thousand starts in the plane.
The learning rate may change between steps (``optimizer.lr = …``), and every hyperparameter may be
an array that broadcasts against the parameter, for a sweep over step sizes in one run.

Complex parameters are treated as analytic, unlike torch's pairs of reals, so that a complex step
differentiates through a whole trajectory (Shampoo, which needs eigenvalues, is real).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mathdl._arrays import inexact
from mathdl.linalg import newton_schulz

# Bytes of one array handled at a time: Adam's five such pieces fit a one-megabyte cache.
_PIECE = 200_000


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [(repr(key), value) for key, value in tree.items()]
    if isinstance(tree, list | tuple):
        return [(f"[{i}]", value) for i, value in enumerate(tree)]
    return [("", tree)]


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: function(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [function(value) for value in tree]
    return function(tree)


def _aligned(size: int, dtype: np.dtype) -> NDArray:
    """Zeros that start on a 64-byte boundary: vector loads then never straddle a cache line."""
    raw = np.zeros(size * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * dtype.itemsize].view(dtype)


def _flat_view(arrays: list[NDArray]) -> NDArray | None:
    """Return one flat view of `arrays` if they lie one behind the other in memory, else None."""
    if not all(a.flags.c_contiguous for a in arrays):
        return None
    if len(arrays) == 1:
        return arrays[0].reshape(-1)
    bases, address = [], arrays[0].ctypes.data
    for a in arrays:
        if a.ctypes.data != address:
            return None
        address += a.nbytes
        while isinstance(a.base, np.ndarray):
            a = a.base
        bases.append(a)
    base = bases[0]
    if any(b is not base for b in bases) or not base.flags.c_contiguous:
        return None
    start = arrays[0].ctypes.data - base.ctypes.data
    memory = base.reshape(-1).view(np.uint8)
    return memory[start : start + sum(a.nbytes for a in arrays)].view(arrays[0].dtype)


def arena(params: Any) -> Any:
    """Copy parameters into one block of memory and return views of it, in the same structure.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Arrays of one floating dtype.

    Returns
    -------
    array, or dict or list of arrays
        The same values; an optimizer given these works on the block without copying.

    Examples
    --------
    >>> p = arena({"weight": np.ones((2, 3)), "bias": np.zeros(2)})
    >>> SGD(p, lr=0.5).step({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    >>> p["weight"].tolist(), p["bias"].tolist()
    ([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], [-0.5, -0.5])
    """
    arrays = [_parameter(name, value) for name, value in _leaves(params)]
    flat = _aligned(sum(a.size for a in arrays), arrays[0].dtype)
    views = iter(_split(flat, [a.shape for a in arrays]))

    def place(value: NDArray) -> NDArray:
        view = next(views)
        view[...] = value
        return view

    return _map(place, params)


def _split(flat: NDArray, shapes: list[tuple[int, ...]]) -> list[NDArray]:
    ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
    starts = [0, *ends[:-1]]
    pieces = zip(starts, ends, shapes, strict=True)
    return [flat[start:end].reshape(shape) for start, end, shape in pieces]


def _parameter(name: str, value: Any) -> NDArray:
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"parameter {name} must be a NumPy array, to be changed in place, "
            f"got {type(value).__name__}"
        )
    return inexact(value, f"parameter {name}".rstrip())


def _in_range(name: str, value: Any, high: float = math.inf) -> Any:
    """Return a hyperparameter that is at least 0 and below `high`; arrays entry by entry."""
    real = np.real(value)
    if not (np.all(real >= 0) and np.all(real < high)):
        raise ValueError(f"{name} must be in [0, {high:g}), got {value}")
    return value


def _pair(betas: Any) -> tuple[Any, Any]:
    beta1, beta2 = betas
    return _in_range("betas[0]", beta1, 1.0), _in_range("betas[1]", beta2, 1.0)


def _positive(value: Any) -> bool:
    """Whether a hyperparameter is switched on anywhere (an array may be zero in places)."""
    return value != 0 if isinstance(value, float | int) else bool(np.any(value != 0))


def _lerp(start: NDArray, end: NDArray, weight: NDArray, out: NDArray, scratch: NDArray) -> None:
    """``start + weight·(end − start)`` in the form torch uses for this weight."""
    np.subtract(end, start, scratch)
    if (weight.real < 0.5).all() if weight.ndim else weight.item().real < 0.5:
        np.multiply(scratch, weight, scratch)
        np.add(start, scratch, out)
    else:
        np.multiply(scratch, 1 - weight, scratch)
        np.subtract(end, scratch, out)


def clip_grad_norm(
    grads: Any, max_norm: float, norm_type: float = 2.0, *, batch_ndim: int = 0
) -> tuple[Any, NDArray]:
    r"""Scale gradients down to a common norm of at most `max_norm`.

    All gradients are multiplied by
    :math:`\min(1, \text{max\_norm} / (\lVert g\rVert_p + 10^{-6}))`, where the norm is that of
    all of them strung together.

    Parameters
    ----------
    grads : array, or dict or list of arrays
        Gradients; left unchanged, unlike by torch's function.
    max_norm : float
        Largest norm allowed.
    norm_type : float
        The order p of the norm; ``math.inf`` for the largest entry.
    batch_ndim : int
        Number of leading axes that only number independent copies, each with a norm of its own.

    Returns
    -------
    clipped : array, or dict or list of arrays
        The scaled gradients, in the structure given.
    total_norm : ndarray
        The norm before clipping: a scalar, or of the shape of the leading axes.

    References
    ----------
    Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks* (2013),
    Algorithm 1; ``torch.nn.utils.clip_grad_norm_``.

    Examples
    --------
    >>> clipped, norm = clip_grad_norm(np.array([3.0, 4.0]), max_norm=1.0)
    >>> clipped.round(6).tolist(), float(norm)
    ([0.6, 0.8], 5.0)
    """
    arrays = [inexact(value, f"gradient {name}".rstrip()) for name, value in _leaves(grads)]
    rows = [a.reshape(*a.shape[:batch_ndim], -1) for a in arrays]
    sizes = [np.where(np.real(r) < 0, -r, r) for r in rows]
    if norm_type == math.inf:
        peaks = [np.max(s, axis=-1, initial=0) for s in sizes]
        total = np.max(np.stack(peaks), axis=0)
    elif norm_type == 2:
        total = np.sqrt(sum(np.sum(s * s, axis=-1) for s in sizes))
    elif norm_type > 0:
        total = sum(np.sum(s**norm_type, axis=-1) for s in sizes) ** (1 / norm_type)
    else:
        raise ValueError(f"norm_type must be positive, got {norm_type}")
    factor = np.asarray(max_norm / (total + 1e-6))
    factor = np.where(np.real(factor) > 1, 1, factor).astype(total.dtype)

    def scale(gradient: Any) -> NDArray:
        g = np.asarray(gradient)
        return g * factor.reshape(factor.shape + (1,) * (g.ndim - batch_ndim))

    return _map(scale, grads), np.asarray(total)


def trajectory(
    factory: Callable[[Any], Any],
    x0: Any,
    grads: Any,
    lrs: Any = None,
    *,
    steps: int | None = None,
    hold: int = 1,
) -> Any:
    """Run an optimizer and return every point it visits.

    Compare the trajectories of two optimizers with :func:`mathdl.checks.check_equal`: where an
    optimizer ends says little about whether it is the one intended.

    Parameters
    ----------
    factory : callable
        Makes an optimizer from the parameters, such as ``lambda x: Adam(x, lr=0.01)``. It needs
        a method ``step(grads)`` that changes them in place, and an attribute ``lr`` if `lrs` is
        given.
    x0 : array, or dict or list of arrays
        The start; copied.
    grads : callable or array (steps, ...), or dict or list of those arrays
        The gradient as a function of the parameters, or the gradients of all steps.
    lrs : array_like (steps,), optional
        The learning rate of each step.
    steps : int, optional
        Number of steps; needed if neither `lrs` nor an array of gradients says it.
    hold : int
        Each gradient is shown for so many steps, in one buffer that is filled anew only then. With
        ``hold=2`` an optimizer that writes into its gradients, or keeps them, goes astray.

    Returns
    -------
    array (steps, ...), or dict or list of them
        The parameters after each step.

    Examples
    --------
    >>> path = trajectory(lambda x: SGD(x, lr=0.25), np.array([1.0]), lambda x: 2 * x, steps=3)
    >>> path.ravel().tolist()
    [0.5, 0.25, 0.125]
    """
    x = _map(np.array, x0)
    optimizer = factory(x)
    points = [value for _, value in _leaves(x)]
    if callable(grads):
        given = None
    else:
        given = [np.asarray(value) for _, value in _leaves(grads)]
        lengths = {len(g) * hold for g in given} | ({len(lrs)} if lrs is not None else set())
        if len(lengths) > 1:
            raise ValueError(f"grads and lrs must have one entry per step, got {sorted(lengths)}")
        steps = lengths.pop() if steps is None else steps
    if steps is None:
        if lrs is None:
            raise ValueError("say how many steps: grads is a function and lrs is not given")
        steps = len(lrs)
    buffer = _map(np.zeros_like, x)
    path = [np.empty((steps, *p.shape), p.dtype) for p in points]
    for t in range(steps):
        if t % hold == 0:
            now = grads(x) if given is None else [g[t // hold] for g in given]
            if given is None:
                now = [value for _, value in _leaves(now)]
            for (_, held), value in zip(_leaves(buffer), now, strict=True):
                held[...] = value
        if lrs is not None:
            optimizer.lr = lrs[t]
        optimizer.step(buffer)
        for record, point in zip(path, points, strict=True):
            record[t] = point
    whole = iter(path)
    return _map(lambda _: next(whole), x)


class Optimizer:
    """What all optimizers share: parameters, flat state, and the walk over them.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place by :meth:`step`; all of one floating dtype.
    lr : float or array
        Learning rate; may be changed between steps.
    maximize : bool
        Ascend instead of descending.
    """

    #: Names of the flat state arrays, each as long as all parameters together.
    state_names: tuple[str, ...] = ()

    def __init__(self, params: Any, lr: Any, maximize: bool = False) -> None:
        named = [(name, _parameter(name, value)) for name, value in _leaves(params)]
        if not named:
            raise ValueError("params is empty")
        self._names = [name for name, _ in named]
        self._arrays = [array for _, array in named]
        self._check_arrays()
        self.params = params
        self.lr = _in_range("lr", lr)
        self.maximize = maximize
        self.t = 0
        self._dtype = self._arrays[0].dtype
        self._real = np.zeros(0, self._dtype).real.dtype
        self._shapes = [a.shape for a in self._arrays]
        size = sum(a.size for a in self._arrays)
        flat = _flat_view(self._arrays)
        self._copied = flat is None
        self._flat = _aligned(size, self._dtype) if flat is None else flat
        self._views = _split(self._flat, self._shapes) if self._copied else self._arrays
        self._gathered: NDArray | None = None
        self.state = {name: _aligned(size, self._dtype) for name in self.state_names}
        self._pieces = list(self._cut(size))
        self._scalars: list[tuple[Any, NDArray]] = []

    def _check_arrays(self) -> None:
        dtypes = {a.dtype for a in self._arrays}
        if len(dtypes) > 1:
            raise TypeError(f"all parameters must have one dtype, got {sorted(map(str, dtypes))}")
        for i, a in enumerate(self._arrays):
            if not a.flags.writeable:
                which = f"parameter {self._names[i]}".rstrip()
                raise ValueError(f"{which} is read-only")
            for j in range(i):
                if np.shares_memory(a, self._arrays[j]):
                    raise ValueError(
                        f"parameters {self._names[j]} and {self._names[i]} share memory: "
                        "each would be stepped twice"
                    )

    def _cut(self, size: int) -> Iterator[tuple[slice, list[NDArray]]]:
        """Cut parameters and state into pieces that fit the cache, with scratch for each."""
        count = max(1, round(size * self._dtype.itemsize / _PIECE))
        length = -(-size // count) if size else 0
        length += -length % 16
        scratch = [_aligned(length, self._dtype) for _ in range(2)]
        for start in range(0, size, max(length, 1)):
            piece = slice(start, min(start + length, size))
            work = [s[: piece.stop - start] for s in scratch]
            yield piece, [self._flat[piece], *(s[piece] for s in self.state.values()), *work]

    def step(self, grads: Any) -> None:
        """Change the parameters in place by one step.

        Parameters
        ----------
        grads : array, or dict or list of arrays
            The gradients, in the structure, shapes and dtype of the parameters; left unchanged.

        Raises
        ------
        ValueError, TypeError
            If a gradient is missing, or its shape or dtype differs from its parameter's.
        """
        gradient = self._gather(grads)
        if self._copied:
            for view, array in zip(self._views, self._arrays, strict=True):
                view[...] = array
        self.t += 1
        self._advance(gradient)
        if self._copied:
            for view, array in zip(self._views, self._arrays, strict=True):
                array[...] = view

    def _gather(self, grads: Any) -> NDArray:
        """Check the gradients and return them flat, without a copy where they lie that way."""
        if isinstance(grads, np.ndarray) and isinstance(self.params, np.ndarray):
            named = [("", grads)]
        else:
            named = self._named(grads)
        arrays = []
        for (name, value), shape in zip(named, self._shapes, strict=True):
            g = np.asarray(value)
            if g.shape != shape:
                which = f"gradient {name}".rstrip()
                raise ValueError(f"{which} must have shape {shape}, got {g.shape}")
            if g.dtype != self._dtype:
                which = f"gradient {name}".rstrip()
                raise TypeError(f"{which} must have dtype {self._dtype}, got {g.dtype}")
            arrays.append(g)
        flat = _flat_view(arrays)
        # the gradient of ½x² may be x itself, which must not change under the step
        if flat is not None and not np.may_share_memory(flat, self._flat):
            return flat
        if self._gathered is None:
            self._gathered = _aligned(self._flat.size, self._dtype)
            self._gathered_views = _split(self._gathered, self._shapes)
        for view, g in zip(self._gathered_views, arrays, strict=True):
            view[...] = g
        return self._gathered

    def _named(self, grads: Any) -> list[tuple[str, Any]]:
        """Pair the gradients with the parameters' names, in their order."""
        named = dict(_leaves(grads))
        if named.keys() != set(self._names):
            raise ValueError(
                f"grads must hold {', '.join(self._names) or 'one array'}, "
                f"got {', '.join(named) or 'one array'}"
            )
        return [(name, named[name]) for name in self._names]

    def _advance(self, gradient: NDArray) -> None:
        """Update every piece; the coefficients of a step are made once for all of them."""
        coefficients = self._coefficients()
        if any(isinstance(c, np.ndarray) and c.ndim for c in coefficients):
            self._advance_swept(gradient, coefficients)
            return
        cast = self._cast(coefficients)
        for piece, arrays in self._pieces:
            self._update(gradient[piece], *arrays, *cast)

    def _cast(self, coefficients: tuple[Any, ...]) -> list[NDArray]:
        """Return the coefficients as 0-d arrays, anew only where one has changed."""
        if len(self._scalars) != len(coefficients):
            self._scalars = [(c, self._scalar(c)) for c in coefficients]
        for i, c in enumerate(coefficients):
            # an array may have been changed in place, so that it equals itself
            if type(c) not in (float, int) or c != self._scalars[i][0]:
                self._scalars[i] = c, self._scalar(c)
        return [scalar for _, scalar in self._scalars]

    def _advance_swept(self, gradient: NDArray, coefficients: tuple[Any, ...]) -> None:
        if len(self._shapes) > 1:
            raise ValueError("hyperparameters may be arrays only for a single parameter array")
        shape = self._shapes[0]
        spread = [
            np.broadcast_to(c, shape).astype(self._scalar_dtype(c)).reshape(-1)
            if np.ndim(c)
            else self._scalar(c)
            for c in coefficients
        ]
        for piece, arrays in self._pieces:
            cast = [c[piece] if c.ndim else c for c in spread]
            self._update(gradient[piece], *arrays, *cast)

    def _scalar_dtype(self, value: Any) -> np.dtype:
        return self._dtype if np.iscomplexobj(value) else self._real

    def _scalar(self, value: Any) -> NDArray:
        """Return a number as a 0-d array of the parameters' precision: fastest for ufuncs."""
        return np.array(value, self._real if type(value) is float else self._scalar_dtype(value))

    def _coefficients(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _update(self, g: NDArray, p: NDArray, *rest: NDArray) -> None:
        raise NotImplementedError

    def _regularised(
        self, g: NDArray, p: NDArray, decay: NDArray | None, scratch: NDArray
    ) -> NDArray:
        """Return the gradient of what is minimised: sign turned for `maximize`, plus λθ."""
        if self.maximize:
            g = np.negative(g, scratch)
        if decay is not None:
            # g may lie in the scratch already, so the product needs a place of its own
            g = np.add(g, p * decay, scratch)
        return g


class SGD(Optimizer):
    r"""Gradient descent with momentum.

    .. math::
        g_t \leftarrow g_t + \lambda\theta_{t-1},\qquad
        b_t = \mu b_{t-1} + (1-\tau) g_t\quad(b_1 = g_1),\qquad
        \theta_t = \theta_{t-1} - \gamma b_t

    and with Nesterov's momentum :math:`\theta_t = \theta_{t-1} - \gamma (g_t + \mu b_t)`.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ.
    momentum : float
        μ; the buffer is in units of the gradient, and the learning rate multiplies it afterwards.
    dampening : float
        τ; not applied at the first step.
    weight_decay : float
        λ, as an L2 penalty in the gradient.
    nesterov : bool
        Nesterov's momentum; needs ``momentum > 0`` and ``dampening == 0``.
    maximize : bool
        Ascend.

    References
    ----------
    Sutskever et al., *On the importance of initialization and momentum in deep learning* (2013);
    ``torch.optim.SGD``.

    Examples
    --------
    >>> x = np.array([1.0, -2.0])
    >>> optimizer = SGD(x, lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.step(2 * x)
    >>> x.round(6).tolist()
    [0.46, -0.92]
    """

    state_names = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: Any = 0,
        dampening: Any = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        self.momentum = _in_range("momentum", momentum)
        self.dampening = dampening
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.nesterov = nesterov
        if nesterov and (not _positive(momentum) or _positive(dampening)):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _coefficients(self) -> tuple[Any, ...]:
        return -self.lr, self.momentum, 1 - self.dampening, self.weight_decay

    def _update(
        self,
        g: NDArray,
        p: NDArray,
        buf: NDArray,
        t1: NDArray,
        t2: NDArray,
        minus_lr: NDArray,
        momentum: NDArray,
        undamped: NDArray,
        decay: NDArray,
    ) -> None:
        g = self._regularised(g, p, decay if _positive(self.weight_decay) else None, t2)
        if _positive(self.momentum):
            if self.t == 1:
                buf[...] = g
            else:
                np.multiply(buf, momentum, buf)
                np.add(buf, np.multiply(g, undamped, t1) if _positive(self.dampening) else g, buf)
            g = np.add(g, np.multiply(buf, momentum, t1), t2) if self.nesterov else buf
        np.add(p, np.multiply(g, minus_lr, t1), p)


class Adagrad(Optimizer):
    r"""Steps divided by the root of the sum of all squared gradients.

    .. math::
        s_t = s_{t-1} + g_t^2,\qquad
        \theta_t = \theta_{t-1}
        - \frac{\gamma}{1+(t-1)\eta}\,\frac{g_t}{\sqrt{s_t}+\varepsilon}

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ.
    lr_decay : float
        η.
    weight_decay : float
        L2 penalty in the gradient.
    initial_accumulator_value : float
        Start of s.
    eps : float
        ε, outside the root.
    maximize : bool
        Ascend.

    References
    ----------
    Duchi, Hazan and Singer, *Adaptive subgradient methods* (2011), section 1.1, diagonal form;
    ``torch.optim.Adagrad``.

    Examples
    --------
    >>> x = np.array([1.0])
    >>> Adagrad(x, lr=0.1).step(np.array([123.0]))
    >>> x.round(6).tolist()
    [0.9]
    """

    state_names = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: Any = 0,
        weight_decay: Any = 0,
        initial_accumulator_value: float = 0,
        eps: Any = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        self.lr_decay = _in_range("lr_decay", lr_decay)
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.eps = _in_range("eps", eps)
        self.state["sum"].fill(_in_range("initial_accumulator_value", initial_accumulator_value))

    def _coefficients(self) -> tuple[Any, ...]:
        return -(self.lr / (1 + (self.t - 1) * self.lr_decay)), self.eps, self.weight_decay

    def _update(
        self,
        g: NDArray,
        p: NDArray,
        total: NDArray,
        t1: NDArray,
        t2: NDArray,
        minus_lr: NDArray,
        eps: NDArray,
        decay: NDArray,
    ) -> None:
        g = self._regularised(g, p, decay if _positive(self.weight_decay) else None, t2)
        np.add(total, np.multiply(g, g, t1), total)
        np.add(np.sqrt(total, t1), eps, t1)
        np.add(p, np.divide(np.multiply(g, minus_lr, t2), t1, t1), p)


class RMSprop(Optimizer):
    r"""Steps divided by the root of a running mean of squared gradients.

    .. math::
        v_t = \alpha v_{t-1} + (1-\alpha) g_t^2,\qquad
        \theta_t = \theta_{t-1} - \gamma\,\frac{g_t}{\sqrt{v_t}+\varepsilon}

    Centred, :math:`v_t` is replaced by :math:`v_t - \bar g_t^2`; with momentum the quotient is
    collected in a buffer :math:`b_t = \mu b_{t-1} + g_t/(\sqrt{v_t}+\varepsilon)` first.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ.
    alpha : float
        Decay α of the running mean.
    eps : float
        ε, outside the root.
    weight_decay : float
        L2 penalty in the gradient.
    momentum : float
        μ.
    centered : bool
        Divide by the root of the variance instead of the uncentred second moment.
    maximize : bool
        Ascend.

    References
    ----------
    Tieleman and Hinton, *Lecture 6.5* (2012); Graves, *Generating sequences with recurrent neural
    networks* (2013), equations 38-41, centred; ``torch.optim.RMSprop``.

    Examples
    --------
    >>> x = np.array([1.0])
    >>> RMSprop(x, lr=0.1).step(np.array([5.0]))
    >>> x.round(6).tolist()
    [0.0]
    """

    state_names = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: Any = 0.99,
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        momentum: Any = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        self.alpha = _in_range("alpha", alpha)
        self.eps = _in_range("eps", eps)
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.momentum = _in_range("momentum", momentum)
        self.centered = centered

    def _coefficients(self) -> tuple[Any, ...]:
        return -self.lr, self.alpha, 1 - self.alpha, self.eps, self.momentum, self.weight_decay

    def _update(
        self,
        g: NDArray,
        p: NDArray,
        v: NDArray,
        mean: NDArray,
        buf: NDArray,
        t1: NDArray,
        t2: NDArray,
        minus_lr: NDArray,
        alpha: NDArray,
        rest: NDArray,
        eps: NDArray,
        momentum: NDArray,
        decay: NDArray,
    ) -> None:
        g = self._regularised(g, p, decay if _positive(self.weight_decay) else None, t2)
        np.multiply(v, alpha, v)
        np.add(v, np.multiply(np.multiply(g, rest, t1), g, t1), v)
        if self.centered:
            _lerp(mean, g, rest, mean, t1)
            np.sqrt(np.subtract(v, np.multiply(mean, mean, t1), t1), t1)
        else:
            np.sqrt(v, t1)
        np.add(t1, eps, t1)
        if _positive(self.momentum):
            np.multiply(buf, momentum, buf)
            np.add(buf, np.divide(g, t1, t1), buf)
            np.add(p, np.multiply(buf, minus_lr, t1), p)
        else:
            np.add(p, np.divide(np.multiply(g, minus_lr, t2), t1, t1), p)


class Adam(Optimizer):
    r"""Adaptive moments: running means of the gradient and of its square, corrected for bias.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t,\qquad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2,\qquad
        \theta_t = \theta_{t-1} - \gamma\,
        \frac{m_t/(1-\beta_1^t)}{\sqrt{v_t/(1-\beta_2^t)}+\varepsilon}

    with t counted from 1. :math:`v_t` is the *uncentred* second moment, not a variance. The step
    is taken in the paper's form, which corrects γ and ε once instead of every entry,

    .. math::
        \theta_t = \theta_{t-1} - \gamma\,\frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t}\,
        \frac{m_t}{\sqrt{v_t}+\varepsilon\sqrt{1-\beta_2^t}}.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ.
    betas : tuple of two floats
        :math:`\beta_1, \beta_2`.
    eps : float
        ε, outside the root and added after the correction.
    weight_decay : float
        λ: added to the gradient as λθ, or decoupled (see :class:`AdamW`).
    amsgrad : bool
        Divide by the root of the largest :math:`v` so far (the uncorrected one).
    maximize : bool
        Ascend.
    decoupled_weight_decay : bool
        Multiply θ by 1 − γλ before the step instead of adding λθ to the gradient.

    References
    ----------
    Kingma and Ba, *Adam: A method for stochastic optimization* (2015), Algorithm 1 and the end of
    section 2; Reddi, Kale and Kumar, *On the convergence of Adam and beyond* (2018), Algorithm 2;
    ``torch.optim.Adam``.

    Examples
    --------
    The first step has the length of the learning rate, whatever the gradient's scale:

    >>> x = np.array([1.0, 1.0])
    >>> Adam(x, lr=0.1).step(np.array([1e-3, -1e3]))
    >>> x.round(4).tolist()
    [0.9, 1.1]
    """

    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if amsgrad:
            self.state_names = (*self.state_names, "max_exp_avg_sq")
        super().__init__(params, lr, maximize)
        self.betas = _pair(betas)
        self.eps = _in_range("eps", eps)
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.amsgrad = amsgrad
        self.decoupled_weight_decay = decoupled_weight_decay

    def _coefficients(self) -> tuple[Any, ...]:
        beta1, beta2 = self.betas
        root = (1 - beta2**self.t) ** 0.5
        step_size = self.lr * root / (1 - beta1**self.t)
        shrink = 1 - self.lr * self.weight_decay
        decay = shrink if self.decoupled_weight_decay else self.weight_decay
        return -step_size, 1 - beta1, beta2, 1 - beta2, self.eps * root, decay

    def _update(self, g: NDArray, p: NDArray, m: NDArray, v: NDArray, *rest: NDArray) -> None:
        largest, rest = (rest[0], rest[1:]) if self.amsgrad else (v, rest)
        t1, t2, minus_step, weight1, beta2, weight2, eps, decay = rest
        decays = _positive(self.weight_decay)
        if decays and self.decoupled_weight_decay:
            np.multiply(p, decay, p)
            decays = False
        g = self._regularised(g, p, decay if decays else None, t2)
        _lerp(m, g, weight1, m, t1)
        np.multiply(v, beta2, v)
        np.add(v, np.multiply(np.multiply(g, weight2, t1), g, t1), v)
        if self.amsgrad:
            np.copyto(largest, v, where=np.real(v) > np.real(largest))
        np.add(np.sqrt(largest, t1), eps, t1)
        np.multiply(np.divide(m, t1, t1), minus_step, t1)
        np.add(p, t1, p)


class AdamW(Adam):
    r"""Adam with decoupled weight decay: :math:`\theta \leftarrow (1-\gamma\lambda)\,\theta` first.

    The decay acts on the old parameters, scaled by the learning rate and not by the moments.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr, betas, eps, amsgrad, maximize
        As for :class:`Adam`.
    weight_decay : float
        λ.

    References
    ----------
    Loshchilov and Hutter, *Decoupled weight decay regularization* (2019), Algorithm 2;
    ``torch.optim.AdamW``.

    Examples
    --------
    >>> x = np.array([1.0])
    >>> AdamW(x, lr=0.1, weight_decay=0.5).step(np.array([0.0]))
    >>> x.tolist()
    [0.95]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )


class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum.

    .. math::
        \mu_t = \beta_1\bigl(1 - \tfrac12 0.96^{t\psi}\bigr),\qquad
        \theta_t = \theta_{t-1} - \gamma\,\frac{
        \frac{1-\mu_t}{1-\prod_{i\le t}\mu_i}\,g_t
        + \frac{\mu_{t+1}}{1-\prod_{i\le t+1}\mu_i}\,m_t}
        {\sqrt{v_t/(1-\beta_2^t)}+\varepsilon}

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ.
    betas : tuple of two floats
        :math:`\beta_1, \beta_2`.
    eps : float
        ε.
    weight_decay : float
        L2 penalty in the gradient, or decoupled.
    momentum_decay : float
        ψ.
    decoupled_weight_decay : bool
        Decay as in :class:`AdamW`.
    maximize : bool
        Ascend.

    References
    ----------
    Dozat, *Incorporating Nesterov momentum into Adam* (2016), Algorithm 2; ``torch.optim.NAdam``.

    Examples
    --------
    >>> x = np.array([1.0])
    >>> NAdam(x, lr=0.1).step(np.array([7.0]))
    >>> x.round(4).tolist()
    [0.8944]
    """

    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        momentum_decay: Any = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        self.betas = _pair(betas)
        self.eps = _in_range("eps", eps)
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.momentum_decay = _in_range("momentum_decay", momentum_decay)
        self.decoupled_weight_decay = decoupled_weight_decay
        self.mu_product: Any = 1.0

    def _coefficients(self) -> tuple[Any, ...]:
        beta1, beta2 = self.betas
        mu = beta1 * (1 - 0.5 * 0.96 ** (self.t * self.momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((self.t + 1) * self.momentum_decay))
        self.mu_product = self.mu_product * mu
        of_gradient = -self.lr * (1 - mu) / (1 - self.mu_product)
        of_moment = -self.lr * mu_next / (1 - self.mu_product * mu_next)
        shrink = 1 - self.lr * self.weight_decay
        decay = shrink if self.decoupled_weight_decay else self.weight_decay
        correction = 1 - beta2**self.t
        return of_gradient, of_moment, 1 - beta1, beta2, 1 - beta2, correction, self.eps, decay

    def _update(
        self,
        g: NDArray,
        p: NDArray,
        m: NDArray,
        v: NDArray,
        t1: NDArray,
        t2: NDArray,
        of_gradient: NDArray,
        of_moment: NDArray,
        weight1: NDArray,
        beta2: NDArray,
        weight2: NDArray,
        correction: NDArray,
        eps: NDArray,
        decay: NDArray,
    ) -> None:
        decays = _positive(self.weight_decay)
        if decays and self.decoupled_weight_decay:
            np.multiply(p, decay, p)
            decays = False
        g = self._regularised(g, p, decay if decays else None, t2)
        _lerp(m, g, weight1, m, t1)
        np.multiply(v, beta2, v)
        np.add(v, np.multiply(np.multiply(g, weight2, t1), g, t1), v)
        np.add(np.sqrt(np.divide(v, correction, t1), t1), eps, t1)
        np.add(p, np.divide(np.multiply(g, of_gradient, t2), t1, t2), p)
        np.add(p, np.divide(np.multiply(m, of_moment, t2), t1, t2), p)


class Lion(Optimizer):
    r"""The sign of an interpolated momentum.

    .. math::
        c_t = \beta_1 m_{t-1} + (1-\beta_1) g_t,\qquad
        \theta_t = (1-\gamma\lambda)\,\theta_{t-1} - \gamma\operatorname{sign}(c_t),\qquad
        m_t = \beta_2 m_{t-1} + (1-\beta_2) g_t

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place.
    lr : float
        Learning rate γ: every entry moves by exactly this much.
    betas : tuple of two floats
        :math:`\beta_1` of the direction and :math:`\beta_2` of the momentum that is kept.
    weight_decay : float
        λ, decoupled.
    maximize : bool
        Ascend.

    References
    ----------
    Chen et al., *Symbolic discovery of optimization algorithms* (2023), Algorithm 2.

    Examples
    --------
    >>> x = np.array([1.0, 1.0])
    >>> Lion(x, lr=0.25).step(np.array([1e-9, -1e9]))
    >>> x.tolist()
    [0.75, 1.25]
    """

    state_names = ("exp_avg",)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: tuple[Any, Any] = (0.9, 0.99),
        weight_decay: Any = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        self.betas = _pair(betas)
        self.weight_decay = _in_range("weight_decay", weight_decay)

    def _coefficients(self) -> tuple[Any, ...]:
        beta1, beta2 = self.betas
        shrink = 1 - self.lr * self.weight_decay
        return -self.lr, beta1, 1 - beta1, beta2, 1 - beta2, shrink

    def _update(
        self,
        g: NDArray,
        p: NDArray,
        m: NDArray,
        t1: NDArray,
        t2: NDArray,
        minus_lr: NDArray,
        beta1: NDArray,
        weight1: NDArray,
        beta2: NDArray,
        weight2: NDArray,
        shrink: NDArray,
    ) -> None:
        g = self._regularised(g, p, None, t2)
        if _positive(self.weight_decay):
            np.multiply(p, shrink, p)
        np.multiply(m, beta1, t1)
        t1 += g * weight1
        # the sign of the real part: locally constant, as the complex step needs it
        t1[...] = np.sign(t1.real)
        np.add(p, np.multiply(t1, minus_lr, t1), p)
        np.multiply(m, beta2, m)
        np.add(m, np.multiply(g, weight2, t1), m)


class Muon(Optimizer):
    r"""Momentum whose matrix is replaced by the nearest orthogonal one, roughly.

    .. math::
        b_t = \mu b_{t-1} + (1-\mu) g_t,\qquad
        \theta_t = (1-\gamma\lambda)\,\theta_{t-1}
        - \gamma\, r\, \mathrm{NS}_k\bigl((1-\mu) g_t + \mu b_t\bigr)

    where NS is `ns_steps` steps of :func:`mathdl.linalg.newton_schulz` and r adjusts for the shape.
    Matrices are the last two axes of each parameter; leading axes are a batch of them.
    The iteration runs in the parameters' own dtype; torch runs it in bfloat16.

    Parameters
    ----------
    params : array (..., m, n), or dict or list of them
        Changed in place.
    lr : float
        Learning rate γ.
    weight_decay : float
        λ, decoupled.
    momentum : float
        μ.
    nesterov : bool
        Use :math:`(1-\mu) g_t + \mu b_t` instead of :math:`b_t`.
    ns_coefficients : tuple of three floats
        Coefficients of the Newton–Schulz polynomial.
    eps : float
        Smallest norm divided by.
    ns_steps : int
        Number of Newton–Schulz steps.
    adjust_lr_fn : {None, "original", "match_rms_adamw"}
        r is :math:`\sqrt{\max(1, m/n)}` (None, "original") or :math:`0.2\sqrt{\max(m, n)}`.

    References
    ----------
    Jordan et al., *Muon: An optimizer for hidden layers in neural networks* (2024); Liu et al.,
    *Muon is scalable for LLM training* (2025), equation 4; ``torch.optim.Muon``.

    Examples
    --------
    >>> w = np.zeros((2, 3))
    >>> Muon(w, lr=0.1).step(np.ones((2, 3)))
    >>> bool(np.allclose(w, w[0, 0]) and -0.06 < w[0, 0] < -0.02)
    True
    """

    state_names = ("momentum_buffer",)
    _rates: ClassVar[dict[str | None, Callable[[int, int], float]]] = {
        None: lambda m, n: math.sqrt(max(1, m / n)),
        "original": lambda m, n: math.sqrt(max(1, m / n)),
        "match_rms_adamw": lambda m, n: 0.2 * math.sqrt(max(m, n)),
    }

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: Any = 0.1,
        momentum: Any = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(params, lr)
        for name, shape in zip(self._names, self._shapes, strict=True):
            if len(shape) < 2:
                raise ValueError(f"Muon needs matrices: parameter {name} has shape {shape}")
        if adjust_lr_fn not in self._rates:
            raise ValueError(f"adjust_lr_fn must be one of {list(self._rates)}, got {adjust_lr_fn}")
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.momentum = _in_range("momentum", momentum)
        self.nesterov = nesterov
        self.ns_coefficients = ns_coefficients
        self.eps = eps
        self.ns_steps = ns_steps
        self.adjust_lr_fn = adjust_lr_fn

    def _advance(self, gradient: NDArray) -> None:
        buffer = self.state["momentum_buffer"]
        scratch = np.empty_like(buffer)
        _lerp(buffer, gradient, self._scalar(1 - self.momentum), buffer, scratch)
        update = np.copy(buffer)
        if self.nesterov:
            _lerp(gradient, buffer, self._scalar(self.momentum), update, scratch)
        for p, matrix in zip(self._views, _split(update, self._shapes), strict=True):
            direction = newton_schulz(
                matrix, self.ns_steps, coefficients=self.ns_coefficients, eps=self.eps
            )
            rate = self._rates[self.adjust_lr_fn](*p.shape[-2:])
            p *= self._scalar(1 - self.lr * self.weight_decay)
            p += direction * self._scalar(-self.lr * rate)


class Shampoo(Optimizer):
    r"""Preconditioning each axis of a matrix or tensor by its own second-moment matrix.

    For a matrix, with :math:`L_0 = \varepsilon I` and :math:`R_0 = \varepsilon I`,

    .. math::
        L_t = L_{t-1} + G_t G_t^\top,\qquad R_t = R_{t-1} + G_t^\top G_t,\qquad
        W_t = W_{t-1} - \gamma\, L_t^{-1/4} G_t R_t^{-1/4}

    and for a tensor of order k, every axis with the power :math:`-1/(2k)`. A vector gets the
    full-matrix Adagrad.

    Parameters
    ----------
    params : array, or dict or list of arrays
        Changed in place; real.
    lr : float
        Learning rate γ.
    weight_decay : float
        L2 penalty in the gradient.
    preconditioning_compute_steps : int
        The roots are computed at the first step and then every so many steps.
    matrix_eps : float
        ε.
    batch_ndim : int
        Number of leading axes that only number independent copies.
    maximize : bool
        Ascend.

    Notes
    -----
    Implementations in wide use take the power −1/k instead, and collect the statistics of the later
    axes from the gradient that the earlier ones have preconditioned already; names and defaults are
    those of the package ``pytorch-optimizer`` 4.1, which does neither.

    References
    ----------
    Gupta, Koren and Singer, *Shampoo: Preconditioned stochastic tensor optimization* (2018),
    Algorithms 1 and 2.

    Examples
    --------
    >>> w = np.zeros((2, 2))
    >>> Shampoo(w, lr=0.1, matrix_eps=0.0).step(np.diag([4.0, 25.0]))
    >>> w.round(6).tolist()
    [[-0.1, 0.0], [0.0, -0.1]]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: Any = 0.0,
        preconditioning_compute_steps: int = 1,
        matrix_eps: float = 1e-6,
        *,
        batch_ndim: int = 0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, maximize)
        if self._dtype.kind == "c":
            raise TypeError(f"Shampoo needs real parameters, got dtype {self._dtype}")
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self.matrix_eps = _in_range("matrix_eps", matrix_eps)
        if preconditioning_compute_steps < 1:
            raise ValueError(
                "preconditioning_compute_steps must be at least 1, "
                f"got {preconditioning_compute_steps}"
            )
        self.preconditioning_compute_steps = preconditioning_compute_steps
        self.batch_ndim = batch_ndim
        self.preconditioners: list[list[NDArray]] = []
        for name, shape in zip(self._names, self._shapes, strict=True):
            if len(shape) <= batch_ndim:
                raise ValueError(
                    f"parameter {name} must have more than {batch_ndim} axes, got shape {shape}"
                )
            eyes = [matrix_eps * np.eye(d, dtype=self._dtype) for d in shape[batch_ndim:]]
            lead = shape[:batch_ndim]
            self.preconditioners.append([np.tile(eye, (*lead, 1, 1)) for eye in eyes])
        self._roots = [[np.empty_like(h) for h in hs] for hs in self.preconditioners]

    def _advance(self, gradient: NDArray) -> None:
        renew = self.t == 1 or self.t % self.preconditioning_compute_steps == 0
        grads = _split(gradient, self._shapes)
        states = zip(self._views, grads, self.preconditioners, self._roots, strict=True)
        for p, g, preconditioners, roots in states:
            g = -g if self.maximize else g
            if _positive(self.weight_decay):
                g = g + p * self._scalar(self.weight_decay)
            order = g.ndim - self.batch_ndim
            direction = g
            for i, (h, root) in enumerate(zip(preconditioners, roots, strict=True)):
                axis = self.batch_ndim + i
                rows = self._unfold(g, axis)  # (..., d_i, everything else)
                h += rows @ np.swapaxes(rows, -1, -2)
                if renew:
                    root[...] = _inverse_root(h, 2 * order, self.matrix_eps)
                moved = np.moveaxis(direction, axis, self.batch_ndim)
                turned = root @ self._unfold(direction, axis)
                direction = np.moveaxis(turned.reshape(moved.shape), self.batch_ndim, axis)
            p += direction * self._scalar(-self.lr)

    def _unfold(self, g: NDArray, axis: int) -> NDArray:
        moved = np.moveaxis(g, axis, self.batch_ndim)
        return moved.reshape(*moved.shape[: self.batch_ndim + 1], -1)


def _inverse_root(h: NDArray, power: int, smallest: float) -> NDArray:
    """Return ``h ** (-1 / power)`` of symmetric matrices (..., d, d), eigenvalues ≥ `smallest`."""
    values, vectors = np.linalg.eigh(h)  # (..., d), (..., d, d)
    values = np.maximum(values, smallest)  # rounding may put one below, even below zero
    scaled = vectors * values[..., None, :] ** (-1 / power)
    return scaled @ np.swapaxes(vectors, -1, -2)

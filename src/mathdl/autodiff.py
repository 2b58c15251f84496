r"""Reverse-mode automatic differentiation for arrays, and forward mode by dual numbers.

A function written in NumPy runs unchanged on a :class:`Node`: each operation looks up its
vector-Jacobian products in :data:`VJP`, does its work, and remembers its parents. The backward
pass visits the nodes once each, children before parents, and adds up what flows along every
edge: the chain rule, as a sum over paths.

The rules are complex-safe, so a complex step through a gradient gives Hessian-vector products
to rounding (:func:`hvp`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl import _arrays, activations
from mathdl._operators import Operators, Parents, getitem
from mathdl.gradcheck import leaves, rebuild
from mathdl.hessian import dense_hessian
from mathdl.hessian import hvp as product

# --- the engine: a node, the table of VJPs, and the pass backwards ------------------------------

_tick = itertools.count().__next__


class Node(Operators):
    """An array in a computational graph.

    Parameters
    ----------
    value : array_like
        The array, real or complex floats.
    name : str
        What a drawing calls it.

    Attributes
    ----------
    value : ndarray
        The array.
    grad : ndarray or None
        For a leaf, the sum of all gradients that ``backward`` has brought.

    Raises
    ------
    TypeError
        If the value holds integers or objects.

    Examples
    --------
    >>> x = Node(np.array([1.0, 2.0]))
    >>> y = np.sum(x * x + np.sin(x))
    >>> y.backward()
    >>> bool(np.allclose(x.grad, 2 * x.value + np.cos(x.value)))
    True
    """

    __slots__ = ("args", "grad", "kwargs", "links", "name", "op", "parents", "time", "value")

    def __init__(self, value: ArrayLike, name: str = ""):
        self.value = np.asarray(value)
        if self.value.dtype.kind not in "fc":
            raise TypeError(f"a node must hold floats, got dtype {self.value.dtype}")
        self.op, self.args, self.kwargs, self.parents = None, (), {}, ()
        self.grad, self.name, self.links, self.time = None, name, 0, _tick()

    def __repr__(self) -> str:
        return f"Node({self.value!r})"

    def backward(self, cotangent: ArrayLike | None = None) -> None:
        r"""Add the gradients of this node to every leaf's ``grad``; calling it again adds again.

        Parameters
        ----------
        cotangent : array_like, shape of the node, optional
            What the gradient is taken of, :math:`\langle u, y\rangle`; 1 for a scalar node.

        Raises
        ------
        ValueError
            If it is missing for an array, or has another shape.
        """
        for leaf, gradient in _pull_back(self, cotangent).items():
            gradient = _owned(gradient, leaf.value)
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient


def _apply(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Run one operation; record it if a node takes part in it."""
    values, parents, links = list(args), [], 1
    for i, a in enumerate(args):
        if type(a) is Node:
            values[i] = a.value
            parents.append((i, a))
            links = links if links > a.links else a.links + 1
    if op not in VJP:
        if op in UNDIFFERENTIATED:
            return op(*values, **kwargs)
        known = ", ".join(sorted(f.__name__ for f in VJP))
        raise NotImplementedError(f"no VJP for {getattr(op, '__name__', op)}; there are: {known}")
    value = FORWARD.get(op, op)(*values, **kwargs)
    if type(value) is tuple:  # a layer: its cache goes to its rule
        value, kwargs["cache"] = value
    node = object.__new__(Node)
    node.value = value if type(value) is np.ndarray else np.asarray(value)
    node.op, node.args, node.kwargs, node.grad, node.name = op, values, kwargs, None, ""
    # Of links that Python frees one within the other there are never many in a row.
    node.parents, node.links, node.time = parents, links, _tick()
    if links > 200:
        node.parents, node.links = Parents(parents), 0
    return node


Node._run = staticmethod(_apply)


def _pull_back(output: Node, cotangent: Any = None) -> dict[Node, NDArray]:
    """Return the gradient of every leaf below ``output``; nothing is kept in the graph."""
    if cotangent is None:
        if output.value.size != 1:
            raise ValueError(f"a node of shape {output.shape} needs a cotangent of that shape")
        cotangent = np.ones_like(output.value)
    cotangent = np.asarray(cotangent)
    if cotangent.shape != output.shape:
        raise ValueError(f"the cotangent must have shape {output.shape}, got {cotangent.shape}")
    flow, result = {output: cotangent}, {}
    # A node is younger than its parents: youngest first is a topological order, without recursion.
    pending = [(-output.time, output)]
    while pending:
        node = heappop(pending)[1]
        g = flow.pop(node)
        if node.op is None:
            result[node] = g
            continue
        rules = VJP[node.op]
        joint = callable(rules)  # one rule for any number of arguments returns all gradients
        parts = rules(g, node.value, *node.args, **node.kwargs) if joint else None
        for i, parent in node.parents:
            part = parts[i] if joint else rules[i](g, node.value, *node.args, **node.kwargs)
            if part.shape != parent.value.shape:
                part = unbroadcast(part, parent.value.shape)
            if parent in flow:
                flow[parent] = flow[parent] + part
            else:
                flow[parent] = part
                heappush(pending, (-parent.time, parent))
    return result


def unbroadcast(g: NDArray, shape: tuple[int, ...]) -> NDArray:
    """Sum over the axes that broadcasting made: the adjoint of ``np.broadcast_to``.

    Parameters
    ----------
    g : ndarray
        A gradient in the broadcast shape.
    shape : tuple of int
        The shape before.

    Returns
    -------
    ndarray, shape ``shape``
        The gradient of what was broadcast.

    Examples
    --------
    >>> unbroadcast(np.ones((4, 3, 2)), (3, 1)).tolist()
    [[8.0], [8.0], [8.0]]
    """
    return _arrays.unbroadcast(g, shape)


def _getitem_vjp(g, y, x, index):
    dx = np.zeros(x.shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, np.ndarray | list) for part in parts):
        np.add.at(dx, index, g)  # an entry picked twice receives twice
    else:
        dx[index] = g
    return dx


def _absolute(x: NDArray) -> NDArray:
    return np.where(x.real < 0, -x, x)  # the branch of |x|, without the modulus of a complex step


def _greater(a: NDArray, b: NDArray) -> NDArray:
    """Share of the gradient that the larger of two receives; a tie is split, as in torch."""
    a, b = getattr(a, "real", a), getattr(b, "real", b)
    return (a > b) + 0.5 * (a == b)


def _nonzero(b: Any) -> Any:
    return np.where(b == 0, 1, b) if isinstance(b, np.ndarray) else b or 1


def _grown(g: NDArray, x: NDArray, axis: Any, keepdims: bool) -> NDArray:
    """Put back the axes that a reduction removed."""
    if keepdims or axis is None:
        return g.reshape((1,) * x.ndim) if axis is None else g
    return np.expand_dims(g, axis)


def _sum_vjp(g, y, x, axis=None, keepdims=False):
    return np.broadcast_to(_grown(g, x, axis, keepdims), x.shape)


def _mean_vjp(g, y, x, axis=None, keepdims=False):
    return _sum_vjp(g * (y.size / x.size), y, x, axis, keepdims)


def _max_vjp(g, y, x, axis=None, keepdims=False):
    hit = np.real(x) == np.real(_grown(y, x, axis, keepdims))  # ties share, as in torch.amax
    return _grown(g, x, axis, keepdims) * (hit / np.sum(hit, axis=axis, keepdims=True))


def _matmul_left(g, y, a, b):
    if a.ndim == b.ndim == 2:
        return g @ b.T
    if b.ndim == 1:
        return g[..., None] * b
    row = g[..., None, :] if a.ndim == 1 else g  # a vector on the left is one row
    da = row @ b.swapaxes(-1, -2)  # (..., m, n) @ (..., n, k) -> (..., m, k)
    return da[..., 0, :] if a.ndim == 1 else da


def _matmul_right(g, y, a, b):
    if a.ndim == b.ndim == 2:
        return a.T @ g
    if a.ndim == 1:
        return g * a if b.ndim == 1 else a[:, None] * g[..., None, :]
    column = g[..., None] if b.ndim == 1 else g  # a vector on the right is one column
    db = a.swapaxes(-1, -2) @ column  # (..., k, m) @ (..., m, n) -> (..., k, n)
    return db[..., 0] if b.ndim == 1 else db


def _joined_vjp(g, y, *parts, axis=0):
    cuts = np.cumsum([part.shape[axis] for part in parts[:-1]])
    return np.split(g, cuts, axis=axis)


def _einsum_vjp(g, y, spec, *operands):
    inputs, arrow, output = spec.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow or "." in spec or any(len(set(t)) < len(t) for t in terms):
        raise NotImplementedError(f"einsum {spec!r}: write the output, no ellipsis, no diagonal")
    parts = [None]  # the specification itself
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        others = [(t, o) for j, (t, o) in enumerate(zip(terms, operands, strict=True)) if j != i]
        have = set(output).union(*(t for t, _ in others))
        alone = "".join(c for c in term if c not in have)  # summed in this operand only
        kept = "".join(c for c in term if c in have)
        given = ",".join([output, *(t for t, _ in others)])
        back = np.einsum(f"{given}->{kept}", g, *(o for _, o in others))
        grown = np.expand_dims(back, tuple(n for n, c in enumerate(term) if c in alone))
        parts.append(np.broadcast_to(grown, x.shape))
    return parts


FORWARD: dict[Any, Callable] = {
    np.absolute: _absolute,
    np.concatenate: lambda *parts, **kwargs: np.concatenate(parts, **kwargs),
    np.stack: lambda *parts, **kwargs: np.stack(parts, **kwargs),
}
"""What is called in place of operations that are not complex-safe or take a sequence."""

UNDIFFERENTIATED = {
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isfinite),
    *(np.shape, np.ndim, np.size, np.argmax, np.argmin, np.sign, np.zeros_like, np.ones_like),
    *(np.isnan, np.floor, np.ceil),
}
"""Operations whose result is a plain array: constant almost everywhere."""

VJP: dict[Any, Any] = {
    np.add: (lambda g, y, a, b: g, lambda g, y, a, b: g),
    np.subtract: (lambda g, y, a, b: g, lambda g, y, a, b: -g),
    np.multiply: (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    np.divide: (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    np.power: (
        lambda g, y, a, b: g * b * np.power(a, _nonzero(b) - 1),
        lambda g, y, a, b: g * y * np.log(_nonzero(np.asarray(a, y.dtype))),
    ),
    np.negative: (lambda g, y, x: -g,),
    np.reciprocal: (lambda g, y, x: -g * y * y,),
    np.square: (lambda g, y, x: 2 * g * x,),
    np.sqrt: (lambda g, y, x: g / (2 * y),),
    np.exp: (lambda g, y, x: g * y,),
    np.expm1: (lambda g, y, x: g * (y + 1),),
    np.log: (lambda g, y, x: g / x,),
    np.log1p: (lambda g, y, x: g / (1 + x),),
    np.sin: (lambda g, y, x: g * np.cos(x),),
    np.cos: (lambda g, y, x: -g * np.sin(x),),
    np.tanh: (lambda g, y, x: g * (1 - y * y),),
    np.absolute: (lambda g, y, x: g * np.sign(np.real(x)),),
    np.maximum: (lambda g, y, a, b: g * _greater(a, b), lambda g, y, a, b: g * _greater(b, a)),
    np.minimum: (lambda g, y, a, b: g * _greater(b, a), lambda g, y, a, b: g * _greater(a, b)),
    np.where: (
        None,
        lambda g, y, c, a, b: np.where(c, g, 0),
        lambda g, y, c, a, b: np.where(c, 0, g),
    ),
    np.matmul: (_matmul_left, _matmul_right),
    np.sum: (_sum_vjp,),
    np.mean: (_mean_vjp,),
    np.max: (_max_vjp,),
    np.reshape: (lambda g, y, x, shape: g.reshape(x.shape),),
    np.ravel: (lambda g, y, x: g.reshape(x.shape),),
    np.transpose: (
        lambda g, y, x, axes=None: g.T if axes is None else np.transpose(g, np.argsort(axes)),
    ),
    np.swapaxes: (lambda g, y, x, i, j: np.swapaxes(g, i, j),),
    np.expand_dims: (lambda g, y, x, axis: g.reshape(x.shape),),
    np.squeeze: (lambda g, y, x, axis=None: g.reshape(x.shape),),
    np.broadcast_to: (lambda g, y, x, shape: unbroadcast(g, x.shape),),
    np.concatenate: _joined_vjp,
    np.stack: lambda g, y, *parts, axis=0: [np.take(g, i, axis) for i in range(len(parts))],
    np.einsum: _einsum_vjp,
    getitem: (_getitem_vjp,),
}
"""Operation → one rule per argument: ``rule(g, y, *args)`` is its gradient, given ``y``'s.

A single rule serves operations of any number of arguments and returns all gradients. Results are
summed down to the argument's shape.
"""


# --- functions of functions ---------------------------------------------------------------------


def primitive(function: Callable, *rules: Callable) -> Callable:
    """Let a function with a VJP of its own take part in graphs, as one operation.

    Parameters
    ----------
    function : callable
        From arrays to an array.
    *rules : callable
        One per argument, ``rule(g, y, *args)``: the gradient of that argument.

    Returns
    -------
    callable
        The function, for arrays and for nodes.

    Examples
    --------
    >>> from mathdl.activations import relu, relu_vjp
    >>> node_relu = primitive(relu, lambda g, y, x: relu_vjp(x, g))
    >>> grad(lambda x: np.sum(node_relu(x)))(np.array([-1.0, 2.0]))
    array([0., 1.])
    """
    VJP[function] = rules

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            if type(a) is Node:
                return _apply(function, *args, **kwargs)
        return function(*args, **kwargs)

    return call


def layer(forward: Callable, backward: Callable) -> Callable:
    """Let a forward and its backward, such as those of `mathdl.layers`, be one operation.

    Parameters
    ----------
    forward : callable
        From arrays to ``(y, cache)``.
    backward : callable
        ``backward(dy, cache)``, which returns the gradients of the float arguments in their
        order (None for an absent one), or the only gradient; it must leave the cache as it is.

    Returns
    -------
    callable
        From arrays to ``y``, and from nodes to a node.

    Examples
    --------
    >>> from mathdl.layers import layer_norm_backward, layer_norm_forward
    >>> normalize = layer(layer_norm_forward, layer_norm_backward)
    >>> dx = grad(lambda x: np.sum(normalize(x, 3) ** 2))(np.array([1.0, 2.0, 4.0]))
    >>> bool(np.allclose(dx, 0, atol=1e-4))  # the norm of the output does not depend on x
    True
    """

    def rule(g: NDArray, y: NDArray, *args: Any, cache: Any, **kwargs: Any) -> Any:
        parts = backward(g, cache)
        parts = iter(parts if isinstance(parts, tuple) else (parts,))
        # Sizes, flags and labels are no float arrays: they have no gradient in the list.
        takes = (a is None or (isinstance(a, np.ndarray) and a.dtype.kind in "fc") for a in args)
        return [next(parts, None) if taken else None for taken in takes]

    run = primitive(forward)
    VJP[forward] = rule

    @functools.wraps(forward)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = run(*args, **kwargs)
        return result[0] if isinstance(result, tuple) else result

    return call


def relu(x: Any) -> Any:
    """Rectified linear unit, for nodes and arrays; its derivative at 0 is 0, as in torch.

    Parameters
    ----------
    x : Node or ndarray
        Anything.

    Returns
    -------
    Node or ndarray
        Of the same shape.

    Examples
    --------
    >>> grad(lambda x: np.sum(relu(x)))(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    return activations.relu(x)


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """Affine map of the rows of ``x``, as one operation.

    Parameters
    ----------
    x : Node or ndarray, shape (..., in)
        Rows.
    weight, bias : Node or ndarray, shapes (out, in), (out,)
        As in `mathdl.layers.linear_forward`.

    Returns
    -------
    Node or ndarray, shape (..., out)
        ``x @ weight.T + bias``.

    Examples
    --------
    >>> grad(lambda w: np.sum(linear(np.array([[1.0, 2.0]]), w, np.zeros(1))))(np.ones((1, 2)))
    array([[1., 2.]])
    """
    return x @ weight.T + bias


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    r"""Mean cross-entropy of logits with labels, as one operation.

    The gradient :math:`(\operatorname{softmax}(z) - \text{one-hot})/N` is at hand after the
    forward pass.

    Parameters
    ----------
    logits : Node or ndarray, shape (N, C)
        Scores.
    labels : ndarray of integers, shape (N,)
        Classes, from 0 to C - 1.

    Returns
    -------
    Node or float
        The loss.

    Raises
    ------
    ValueError
        If the labels are not one for each row.
    IndexError
        If a label names no class.

    Examples
    --------
    >>> grad(lambda z: softmax_cross_entropy(z, np.array([0])))(np.zeros((1, 2)))
    array([[-0.5,  0.5]])
    """
    count, classes = logits.shape
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels must have shape ({count},), got {labels.shape}")
    if np.maximum.reduce(labels.astype(np.uintp), initial=0) >= classes:  # a negative one wraps
        raise IndexError(f"labels must lie in 0..{classes - 1}, got {np.unique(labels)}")
    # Indices of the flat array are faster than two indices, a largest entry over the first axis
    # than over the last, and a sum as a product with ones.
    picked = np.arange(0, logits.size, classes) + labels
    p = logits - np.maximum.reduce(logits.real.T.copy())[:, None]
    score = np.add.reduce(p.ravel()[picked])
    np.exp(p, out=p)
    total = p @ _ones(classes, p.dtype)
    loss = (np.add.reduce(np.log(total)) - score) / count
    total *= count
    p /= total[:, None]
    p.ravel()[picked] -= 1 / count
    return loss, p


def _rows(a: NDArray) -> NDArray:
    return a if a.ndim == 2 else a.reshape(-1, a.shape[-1])


def _over_rows(g: NDArray) -> NDArray:
    """Sum the rows as a product with ones: half the time of a sum along the first axis."""
    rows = _rows(g)
    return _ones(len(rows), g.dtype) @ rows


@functools.lru_cache(maxsize=32)
def _ones(count: int, dtype: np.dtype) -> NDArray:
    ones = np.ones(count, dtype)
    ones.flags.writeable = False
    return ones


relu = primitive(relu, lambda g, y, x: g * (y.real != 0))
linear = primitive(
    linear,
    lambda g, y, x, weight, bias: g @ weight,
    lambda g, y, x, weight, bias: _rows(g).T @ _rows(x),
    lambda g, y, x, weight, bias: _over_rows(g),
)
softmax_cross_entropy = layer(softmax_cross_entropy, lambda dy, cache: dy * cache)


def vjp(f: Callable, x: Any) -> tuple[NDArray, Callable]:
    r"""Evaluate ``f`` and return with its value the map :math:`u \mapsto J^\top u`.

    Parameters
    ----------
    f : callable
        From ``x`` to an array.
    x : array, dict or tuple of arrays
        The point.

    Returns
    -------
    value : ndarray
        ``f(x)``.
    pull_back : callable
        From a cotangent of the shape of the value to the structure of ``x``.

    Raises
    ------
    TypeError
        If ``x`` holds no floats.

    Examples
    --------
    >>> value, pull_back = vjp(lambda x: x**2, np.array([1.0, 3.0]))
    >>> value.tolist(), pull_back(np.array([1.0, 10.0])).tolist()
    ([1.0, 9.0], [2.0, 60.0])
    """
    nodes: list[Node] = []

    def lift(array: NDArray) -> Node:
        nodes.append(Node(array))
        return nodes[-1]

    output = f(_lifted(x, lift))

    def pull_back(cotangent: ArrayLike) -> Any:
        flow = _pull_back(output, cotangent) if isinstance(output, Node) else {}
        parts = [flow[n] if n in flow else np.zeros_like(n.value) for n in nodes]
        return rebuild(x, [_owned(g, n.value) for g, n in zip(parts, nodes, strict=True)])

    return (output.value if isinstance(output, Node) else np.asarray(output)), pull_back


def _owned(g: NDArray, x: NDArray) -> NDArray:
    """Copy a gradient, which an addition hands to both of its arguments, in the precision of x."""
    if g.dtype is x.dtype:
        return g.copy()
    if g.dtype.kind == "c" and x.dtype.kind == "f":  # a complex step in a constant
        return g.astype(np.result_type(x.dtype, np.complex64))
    return g.astype(x.dtype)


def _lifted(x: Any, lift: Callable) -> Any:
    """Replace every array of a structure by what ``lift`` makes of it, in the order of `leaves`."""
    if isinstance(x, dict):
        return {key: _lifted(part, lift) for key, part in x.items()}
    if isinstance(x, tuple):
        return tuple(_lifted(part, lift) for part in x)
    return lift(np.asarray(x))


def value_and_grad(f: Callable) -> Callable:
    """Return the function ``x -> (f(x), gradient at x)`` of a scalar function.

    Parameters
    ----------
    f : callable
        From ``x`` (array, dict or tuple of arrays) to a scalar.

    Returns
    -------
    callable
        Its value and its gradient, in the structure of ``x``; further arguments are constants.

    Raises
    ------
    ValueError
        When called, if ``f`` returns anything but a scalar.

    Examples
    --------
    >>> value_and_grad(lambda p, x: np.sum(p["w"] * x))({"w": np.ones(2)}, np.array([2.0, 3.0]))
    (5.0, {'w': array([2., 3.])})
    """

    def both(x: Any, *constants: Any) -> tuple[float, Any]:
        value, pull_back = vjp(lambda z: f(z, *constants), x)
        if value.shape != ():
            raise ValueError(f"a gradient is of a scalar; f returned shape {value.shape}: sum it?")
        return value.item(), pull_back(np.ones((), value.dtype))

    return both


def grad(f: Callable) -> Callable:
    """Return the gradient of a scalar function, as a function of the same arguments.

    Parameters
    ----------
    f : callable
        As for :func:`value_and_grad`.

    Returns
    -------
    callable
        From ``x`` to its gradient, in the structure of ``x``.

    Examples
    --------
    >>> grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    both = value_and_grad(f)
    return lambda x, *constants: both(x, *constants)[1]


class Dual(Operators):
    r"""A dual number :math:`a + \dot a\varepsilon` with :math:`\varepsilon^2 = 0`: forward mode.

    An elementwise rule of :data:`VJP` is a diagonal matrix, which is its own transpose, so the
    same table serves both directions; linear operations act on the tangent as on the value.

    Parameters
    ----------
    value, tangent : array_like, one shape
        The number and its derivative along a direction.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> np.sin(Dual(0.0, 1.0)).tangent.item()
    1.0
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value: ArrayLike, tangent: ArrayLike):
        self.value, self.tangent = np.asarray(value), np.asarray(tangent)
        if self.value.shape != self.tangent.shape:
            raise ValueError(
                f"a tangent has its value's shape {self.value.shape}, got {self.tangent.shape}"
            )

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, {self.tangent!r})"

    @staticmethod
    def _run(op: Any, *args: Any, **kwargs: Any) -> Any:
        values = [a.value if isinstance(a, Dual) else a for a in args]
        value = FORWARD.get(op, op)(*values, **kwargs)
        if op in UNDIFFERENTIATED:
            return value
        moving = [i for i, a in enumerate(args) if isinstance(a, Dual)]
        if op in _REARRANGING:
            parts = [a.tangent if isinstance(a, Dual) else a for a in args]
            if op in (np.concatenate, np.stack, np.where):
                still = set(range(op is np.where, len(args))) - set(moving)
                parts = [np.zeros_like(a) if i in still else a for i, a in enumerate(parts)]
            return Dual(value, FORWARD.get(op, op)(*parts, **kwargs))
        if op in (np.matmul, np.einsum):  # linear in each argument: the product rule
            terms = [op(*values[:i], args[i].tangent, *values[i + 1 :]) for i in moving]
        elif op is np.max:
            share = _max_vjp(np.ones_like(value), value, *values, **kwargs)
            terms = [np.sum(share * args[0].tangent, *args[1:], **kwargs)]
        elif isinstance(op, np.ufunc) and op in VJP:
            terms = [VJP[op][i](args[i].tangent, value, *values) for i in moving]
        else:
            raise NotImplementedError(f"no forward rule for {getattr(op, '__name__', op)}")
        return Dual(value, np.broadcast_to(sum(terms), np.shape(value)))


_REARRANGING = {np.sum, np.mean, np.reshape, np.ravel, np.transpose, np.swapaxes, np.expand_dims}
_REARRANGING |= {np.squeeze, np.broadcast_to, np.concatenate, np.stack, np.where, getitem}


def jvp(f: Callable, x: Any, v: Any) -> tuple[NDArray, NDArray]:
    r"""Return ``f(x)`` and the derivative :math:`Jv` in one forward pass of dual numbers.

    Parameters
    ----------
    f : callable
        From ``x`` to an array.
    x, v : array, dict or tuple of arrays
        The point, and a direction of the same structure.

    Returns
    -------
    value, tangent : ndarray
        Both of the shape of ``f(x)``.

    Raises
    ------
    ValueError
        If ``v`` does not have the shapes of ``x``.

    Examples
    --------
    >>> value, tangent = jvp(lambda x: x**2, np.array([1.0, 3.0]), np.array([1.0, 10.0]))
    >>> tangent.tolist()
    [2.0, 60.0]
    """
    directions = iter([array for _, array in leaves(v)])
    output = f(_lifted(x, lambda array: Dual(array, next(directions))))
    if isinstance(output, Dual):
        return output.value, output.tangent
    return np.asarray(output), np.zeros(np.shape(output))


def jacobian(f: Callable, x: ArrayLike, mode: str | None = None) -> NDArray:
    r"""Return :math:`J_{ij} = \partial f_i/\partial x_j`, by rows or by columns.

    Parameters
    ----------
    f : callable
        From an array to an array.
    x : array_like
        The point.
    mode : {"reverse", "forward"}, optional
        One backward pass per output, or one forward pass per input; the cheaper by default.

    Returns
    -------
    ndarray, shape ``f(x).shape + x.shape``
        The Jacobian.

    Raises
    ------
    ValueError
        If the mode is unknown.

    Examples
    --------
    >>> jacobian(lambda x: np.stack([x[0] * x[1], np.sin(x[0])]), np.array([0.0, 2.0]))
    array([[2., 0.],
           [1., 0.]])
    """
    x = np.asarray(x)
    value, pull_back = vjp(f, x)
    if mode is None:
        mode = "reverse" if value.size <= x.size else "forward"
    if mode == "reverse":
        rows = np.eye(value.size, dtype=value.dtype).reshape(-1, *value.shape)
        parts = [pull_back(row) for row in rows]
        return np.array(parts, dtype=x.dtype).reshape(value.shape + x.shape)
    if mode == "forward":
        columns = np.eye(x.size, dtype=x.dtype).reshape(-1, *x.shape)
        parts = [jvp(f, x, column)[1] for column in columns]
        return np.moveaxis(np.array(parts), 0, -1).reshape(value.shape + x.shape)
    raise ValueError(f'mode must be "reverse" or "forward", got {mode!r}')


def hvp(f: Callable, x: Any, v: Any) -> Any:
    """Multiply the Hessian of a scalar function by a vector: a complex step through the gradient.

    Parameters
    ----------
    f : callable
        From ``x`` to a scalar.
    x, v : array, dict or tuple of arrays
        The point, and a direction of the same structure.

    Returns
    -------
    like ``x``
        The product.

    Examples
    --------
    >>> hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    return product(grad(f), x, v)


def hessian(f: Callable, x: ArrayLike) -> NDArray:
    """Return all second derivatives of a scalar function, one Hessian-vector product a column.

    Parameters
    ----------
    f : callable
        From an array to a scalar.
    x : array_like
        The point.

    Returns
    -------
    ndarray, shape ``x.shape + x.shape``
        The Hessian, not symmetrised.

    Examples
    --------
    >>> hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    x = np.asarray(x)
    return dense_hessian(grad(f), x).reshape(x.shape + x.shape)


def _reach(output: Node) -> set[Node]:
    reached, stack = {output}, [output]
    while stack:
        for _, parent in stack.pop().parents:
            if parent not in reached:
                reached.add(parent)
                stack.append(parent)
    return reached


class Graph(NamedTuple):
    """A graph to draw.

    Attributes
    ----------
    labels : list of str
        What each node computes, parents before children.
    shapes : list of tuple of int
        Shape of each node's array.
    layers : list of int
        Longest distance from a leaf.
    edges : list of (int, int)
        From parent to child.
    """

    labels: list[str]
    shapes: list[tuple[int, ...]]
    layers: list[int]
    edges: list[tuple[int, int]]


def graph(output: Node) -> Graph:
    """Return the graph below a node, ready to be drawn.

    Parameters
    ----------
    output : Node
        The last node.

    Returns
    -------
    Graph
        Labels, shapes, layers and edges.

    Examples
    --------
    >>> x, y = Node(1.0, "x"), Node(2.0, "y")
    >>> drawing = graph(np.exp(x * y))
    >>> drawing.labels, drawing.layers, drawing.edges
    (['x', 'y', 'multiply', 'exp'], [0, 0, 1, 2], [(0, 2), (1, 2), (2, 3)])
    """
    nodes = sorted(_reach(output), key=lambda node: node.time)
    place = {node: i for i, node in enumerate(nodes)}
    layers: list[int] = []
    for node in nodes:
        layers.append(max((layers[place[parent]] + 1 for _, parent in node.parents), default=0))
    labels = [
        node.name or (node.op.__name__ if node.op else f"leaf {place[node]}") for node in nodes
    ]
    edges = [(place[parent], place[node]) for node in nodes for _, parent in node.parents]
    return Graph(labels, [node.shape for node in nodes], layers, edges)

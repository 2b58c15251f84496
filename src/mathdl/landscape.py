r"""Loss landscapes: slices, planes through a trajectory, paths between minima, critical points.

A direction has the structure of the parameters, a dictionary of arrays. A picture in two
dimensions hides the others: the functions here give what keeps it honest beside it, the
random-walk null of an explained variance, the eigenvalues at a critical point, and the
reparametrisation that changes sharpness without changing the function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl import activations
from mathdl.layers import layer_norm_forward
from mathdl.linalg import pca
from mathdl.mlp import MLP

Params = dict[str, NDArray]


class Plane(NamedTuple):
    """A plane in parameter space with a trajectory in its coordinates.

    Attributes
    ----------
    origin : ndarray, shape (P,)
        The point at (0, 0), where a surface over the plane is centred too.
    directions : ndarray, shape (2, P)
        Orthonormal.
    coordinates : ndarray, shape (T, 2)
        The trajectory, projected about the origin.
    explained : ndarray, shape (2,)
        Share of the trajectory's variance along each direction; compare `random_walk_fractions`.
    """

    origin: NDArray
    directions: NDArray
    coordinates: NDArray
    explained: NDArray


class CriticalPoint(NamedTuple):
    """What the derivatives say of a point.

    Attributes
    ----------
    kind : str
        ``"minimum"``, ``"maximum"``, ``"saddle"``, ``"degenerate"`` (an eigenvalue is zero and the
        others do not make it a saddle), or ``"not critical"``.
    index : int
        Number of negative eigenvalues.
    zero : int
        Number of eigenvalues that are zero within the tolerance.
    gradient_norm : float
        Euclidean norm of the gradient.
    """

    kind: str
    index: int
    zero: int
    gradient_norm: float


def random_direction(params: Mapping[str, NDArray], rng: np.random.Generator) -> Params:
    """Draw a direction with independent standard normal entries.

    Parameters
    ----------
    params : mapping of str to ndarray
        Whose structure and dtypes are imitated.
    rng : numpy.random.Generator
        Source of the entries.

    Returns
    -------
    dict
        The direction.

    Examples
    --------
    >>> direction = random_direction({"weight": np.zeros((2, 3))}, np.random.default_rng(0))
    >>> direction["weight"].shape
    (2, 3)
    """
    return {name: rng.standard_normal(p.shape).astype(p.dtype) for name, p in params.items()}


def filter_normalize(direction: Mapping[str, NDArray], params: Mapping[str, NDArray]) -> Params:
    r"""Give every filter of a direction the norm of that filter in the parameters.

    A filter is what feeds one output: a row of a weight ``(out, in)``, or ``w[i]`` of a convolution
    ``(out, in, height, width)``. Biases and normalisation parameters, which have one axis, do not
    move. Slices of a ReLU network are then unchanged by rescaling its layers.

    Parameters
    ----------
    direction, params : mapping of str to ndarray
        One structure.

    Returns
    -------
    dict
        The normalised direction.

    Raises
    ------
    ValueError
        If the structures differ, or a filter of the direction is zero where the weight's is not.

    References
    ----------
    Li et al., *Visualizing the Loss Landscape of Neural Nets* (2018), arXiv:1712.09913, section 4.

    Examples
    --------
    >>> params = {"weight": np.array([[3.0, 4.0], [0.0, 1.0]]), "bias": np.ones(2)}
    >>> direction = {"weight": np.array([[1.0, 0.0], [0.0, 2.0]]), "bias": np.ones(2)}
    >>> {name: d.tolist() for name, d in filter_normalize(direction, params).items()}
    {'weight': [[5.0, 0.0], [0.0, 1.0]], 'bias': [0.0, 0.0]}
    """
    _demand_structure(direction, params)
    result = {}
    for name, p in params.items():
        d = direction[name]
        if p.ndim < 2:
            result[name] = np.zeros_like(d)
            continue
        axes = tuple(range(1, p.ndim))
        wanted = np.sqrt(np.sum(p * p, axis=axes, keepdims=True))
        norm = np.sqrt(np.sum(d * d, axis=axes, keepdims=True))
        if np.any((norm == 0) & (wanted != 0)):
            raise ValueError(f"a filter of the direction {name} is zero: it cannot be normalised")
        result[name] = d * (wanted / np.where(norm == 0, 1, norm))
    return result


def _demand_structure(direction: Mapping[str, NDArray], params: Mapping[str, NDArray]) -> None:
    shapes = [{name: a.shape for name, a in point.items()} for point in (direction, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"a direction has the shapes of the parameters {shapes[1]}, got {shapes[0]}"
        )


def moved(params: Mapping[str, NDArray], *steps: tuple[ArrayLike, Mapping[str, NDArray]]) -> Params:
    r"""Return :math:`\theta + \sum_k a_k d_k`.

    Parameters
    ----------
    params : mapping of str to ndarray
        The point.
    *steps : (step, direction)
        Steps are numbers, or arrays ``(G,)`` that make a leading axis of ``G`` points.

    Returns
    -------
    dict
        The moved parameters, in their own dtypes.

    Examples
    --------
    >>> moved({"w": np.ones(2)}, (2.0, {"w": np.array([1.0, 0.0])}))
    {'w': array([3., 1.])}
    """
    result = {}
    for name, p in params.items():
        total = p
        for step, direction in steps:
            step = np.asarray(step, dtype=p.dtype)
            total = total + step.reshape(step.shape + (1,) * p.ndim) * direction[name]
        result[name] = total
    return result


def line_slice(
    loss: Callable,
    params: Mapping[str, NDArray],
    direction: Mapping[str, NDArray],
    steps: ArrayLike,
) -> NDArray:
    """Evaluate a loss along a line through the parameters.

    Parameters
    ----------
    loss : callable
        From parameters to a scalar.
    params, direction : mapping of str to ndarray
        Point at step 0, and direction.
    steps : array_like, shape (A,)
        Where to evaluate.

    Returns
    -------
    ndarray, shape (A,)
        The losses.

    Examples
    --------
    >>> w = {"w": np.array([1.0])}
    >>> line_slice(lambda p: float(p["w"][0] ** 2), w, w, [-1.0, 0.0, 1.0]).tolist()
    [0.0, 1.0, 4.0]
    """
    _demand_structure(direction, params)
    return np.array([loss(moved(params, (a, direction))) for a in np.asarray(steps)])


def plane_slice(
    loss: Callable,
    params: Mapping[str, NDArray],
    first: Mapping[str, NDArray],
    second: Mapping[str, NDArray],
    alphas: ArrayLike,
    betas: ArrayLike,
) -> NDArray:
    """Evaluate a loss on a grid of the plane through the parameters.

    Parameters
    ----------
    loss : callable
        From parameters to a scalar.
    params, first, second : mapping of str to ndarray
        Point at (0, 0), and the two directions.
    alphas, betas : array_like, shapes (A,), (B,)
        Steps along the first and the second direction.

    Returns
    -------
    ndarray, shape (A, B)
        The losses; :func:`mlp_plane_slice` is much faster for a multilayer perceptron.

    Examples
    --------
    >>> w, d, e = ({"w": np.array(v)} for v in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]))
    >>> plane_slice(lambda p: float(p["w"] @ p["w"]), w, d, e, [0.0, 1.0], [0.0, 2.0]).tolist()
    [[0.0, 4.0], [1.0, 5.0]]
    """
    _demand_structure(first, params)
    _demand_structure(second, params)
    alphas, betas = np.asarray(alphas), np.asarray(betas)
    rows = [[loss(moved(params, (a, first), (b, second))) for b in betas] for a in alphas]
    return np.array(rows)


def mlp_plane_slice(
    net: MLP,
    params: Mapping[str, NDArray],
    first: Mapping[str, NDArray],
    second: Mapping[str, NDArray],
    alphas: ArrayLike,
    betas: ArrayLike,
    x: NDArray,
    loss: Callable,
    *,
    chunk_bytes: int = 1 << 20,
) -> NDArray:
    r"""Evaluate a multilayer perceptron's loss on a grid, sharing the first layer's work.

    The first pre-activation is affine in the coordinates,
    :math:`z_1(\alpha, \beta) = z_1(\theta) + \alpha\,z_1(d_1) + \beta\,z_1(d_2)`, so that three
    matrix products serve the whole grid; the later layers run in chunks that fit the cache, in
    buffers that serve all chunks.

    Parameters
    ----------
    net : MLP
        The network.
    params, first, second : mapping of str to ndarray
        Its parameters at (0, 0), and the two directions.
    alphas, betas : array_like, shapes (A,), (B,)
        Steps along the first and the second direction.
    x : ndarray, shape (N, in)
        The data.
    loss : callable
        From outputs ``(..., N, out)`` to losses ``(...)``.
    chunk_bytes : int
        Size of the largest intermediate array.

    Returns
    -------
    ndarray, shape (A, B)
        The losses.

    Raises
    ------
    ValueError
        If the structures differ.

    Examples
    --------
    >>> net = MLP((2, 3, 1))
    >>> rng = np.random.default_rng(0)
    >>> params, x = net.init(rng), rng.standard_normal((5, 2))
    >>> d, e = random_direction(params, rng), random_direction(params, rng)
    >>> grid = mlp_plane_slice(net, params, d, e, [0.0], [0.0], x, lambda y: np.mean(y, (-2, -1)))
    >>> bool(np.isclose(grid[0, 0], net.forward(params, x)[0].mean()))
    True
    """
    for direction in (first, second):
        _demand_structure(direction, params)
    dtype = np.result_type(x, *params.values())
    alphas, betas = (np.asarray(steps, dtype=dtype) for steps in (alphas, betas))
    a, b = (grid.ravel() for grid in np.meshgrid(alphas, betas, indexing="ij"))
    coefficients = np.stack([np.ones_like(a), a, b], axis=1)  # (A·B, 3)
    shared = np.stack([_first_layer(net, p, x) for p in (params, first, second)])  # (3, N, H)
    size = max(1, int(chunk_bytes // shared[0].nbytes))
    outputs = [
        np.empty((min(size, len(a)), len(x), width), dtype=shared.dtype) for width in net.sizes[1:]
    ]
    corners = np.stack([net.flatten(p) for p in (params, first, second)])  # (3, P)
    points = np.empty((min(size, len(a)), net.count), dtype=shared.dtype)
    later = params["weight_1"].size + net.bias * net.sizes[1]
    losses = []
    for start in range(0, len(a), size):
        part = coefficients[start : start + size]
        buffers = [output[: len(part)] for output in outputs]
        point = points[: len(part)]
        # (G, 3) @ (3, N·H) -> (G, N·H)
        np.matmul(part, shared.reshape(3, -1), out=buffers[0].reshape(len(part), -1))
        np.matmul(part, corners[:, later:], out=point[:, later:])
        # A copy: a loss may return a view of the buffers.
        losses.append(np.array(loss(_later_layers(net, net.unflatten(point), buffers))))
    return np.concatenate(losses).reshape(len(alphas), len(betas))


def _first_layer(net: MLP, params: Mapping[str, NDArray], x: NDArray) -> NDArray:
    z = x @ params["weight_1"].T  # (N, in) @ (in, H)
    return z + params["bias_1"] if net.bias else z


def _later_layers(net: MLP, params: Mapping[str, NDArray], outputs: list[NDArray]) -> NDArray:
    """Continue from the first pre-activation ``(G, N, H)``; parameters have a leading ``G``.

    Each layer writes into its own output: fresh memory costs more than the arithmetic.
    """
    z = outputs[0]
    for layer, output in enumerate(outputs[1:], start=1):
        if net.layer_norm:
            z = layer_norm_forward(z, net.sizes[layer], eps=net.eps)[0]
            scale, shift = params[f"norm_weight_{layer}"], params[f"norm_bias_{layer}"]
            z = z * scale[:, None] + shift[:, None]
        if net.activation == "relu" and z.dtype.kind == "f":
            # Between two arrays it is vectorised, beside a scalar it is not.
            np.maximum(z, np.zeros(z.shape[1:], z.dtype), out=z)
        elif net.activation != "identity":
            z = getattr(activations, net.activation)(z)
        # (G, N, in) @ (G, in, out) -> (G, N, out)
        z = np.matmul(z, params[f"weight_{layer + 1}"].swapaxes(-1, -2), out=output)
        if net.bias:
            z += params[f"bias_{layer + 1}"][:, None]
    return z


def pca_plane(trajectory: ArrayLike, origin: ArrayLike | None = None) -> Plane:
    """Return the plane of a trajectory's two principal directions, registered at a point.

    The trajectory is projected about the same point at which a surface over the plane is centred,
    so that the curve lies on the surface where it can: at the origin it does exactly.

    Parameters
    ----------
    trajectory : array_like, shape (T, P)
        Flattened parameters along training, at least three of them.
    origin : array_like, shape (P,), optional
        Point at (0, 0); the last one of the trajectory by default.

    Returns
    -------
    Plane
        Origin, directions, coordinates and explained variance.

    Raises
    ------
    ValueError
        If there are fewer than three points, or the origin does not fit.

    Examples
    --------
    >>> path = np.array([[3.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    >>> plane = pca_plane(path)
    >>> plane.coordinates[-1].tolist(), round(float(plane.explained.sum()), 12)
    ([0.0, 0.0], 1.0)
    """
    points = np.asarray(trajectory)
    if points.ndim != 2 or len(points) < 3 or points.shape[1] < 2:
        raise ValueError(f"a trajectory is (points ≥ 3, parameters ≥ 2), got {points.shape}")
    origin = points[-1] if origin is None else np.asarray(origin)
    if origin.shape != points.shape[1:]:
        raise ValueError(f"the origin must have shape {points.shape[1:]}, got {origin.shape}")
    found = pca(points, 2)
    coordinates = (points - origin) @ found.components.T  # (T, P) @ (P, 2)
    return Plane(origin, found.components, coordinates, found.ratios)


def random_walk_fractions(
    steps: int, dimension: int, *, rng: np.random.Generator, repeats: int = 20, components: int = 2
) -> NDArray:
    r"""Return how much variance a few principal components explain of walks that go nowhere.

    It is the null beside "so and so much of the trajectory lies in a plane". In high dimension
    the share of component ``k`` tends to :math:`6/(\pi k)^2`: two explain 76 % of pure noise.

    Parameters
    ----------
    steps, dimension : int
        Points of a walk and its dimension; take those of the trajectory in question.
    rng : numpy.random.Generator
        Source of the steps.
    repeats : int
        Number of walks.
    components : int
        How many leading components are summed.

    Returns
    -------
    ndarray, shape (repeats,)
        Explained fractions.

    References
    ----------
    Antognini and Sohl-Dickstein, *PCA of high dimensional random walks with comparison to neural
    network training* (2018), arXiv:1806.08805.

    Examples
    --------
    >>> bool(random_walk_fractions(100, 2000, rng=np.random.default_rng(0)).mean() > 0.7)
    True
    """
    fractions = []
    for _ in range(repeats):
        walk = np.cumsum(rng.standard_normal((steps, dimension)), axis=0)
        walk -= walk.mean(axis=0)
        gram = walk @ walk.T if steps <= dimension else walk.T @ walk  # the smaller of the two
        values = np.linalg.eigvalsh(gram)
        fractions.append(values[-components:].sum() / values.sum())
    return np.array(fractions)


def random_walk_limit(components: int = 2) -> float:
    r"""Return :math:`\sum_{k \le K} 6/(\pi k)^2`, the limit of :func:`random_walk_fractions`.

    Parameters
    ----------
    components : int
        ``K``.

    Returns
    -------
    float
        The fraction, for long walks in high dimension.

    Examples
    --------
    >>> round(random_walk_limit(2), 4)
    0.7599
    """
    return float(np.sum(6 / (np.pi * np.arange(1, components + 1)) ** 2))


def bezier(start: ArrayLike, control: ArrayLike, end: ArrayLike, t: ArrayLike) -> NDArray:
    r"""Return points of a quadratic curve from one point to another.

    The curve is :math:`(1-t)^2\theta_0 + 2t(1-t)\theta_c + t^2\theta_1`.

    Parameters
    ----------
    start, control, end : array_like, shape (P,)
        Ends, and the point that the curve bends towards.
    t : array_like, shape (T,)
        From 0 to 1.

    Returns
    -------
    ndarray, shape (T, P)
        The points.

    Examples
    --------
    >>> bezier([0.0], [2.0], [0.0], [0.0, 0.5, 1.0]).ravel().tolist()
    [0.0, 1.0, 0.0]
    """
    t = np.asarray(t, dtype=float)[:, None]
    ends = (1 - t) ** 2 * np.asarray(start) + t**2 * np.asarray(end)
    return ends + 2 * t * (1 - t) * np.asarray(control)


def connect(
    grad: Callable,
    start: NDArray,
    end: NDArray,
    *,
    steps: int,
    lr: float,
    rng: np.random.Generator,
    samples: int = 4,
) -> NDArray:
    r"""Bend a curve between two minima until the loss along it is low.

    Descends the mean loss over the curve in its control point, whose gradient at ``t`` is
    :math:`2t(1-t)\nabla L(\theta(t))`, with random ``t``.

    Parameters
    ----------
    grad : callable
        Gradient of the loss, from ``(P,)`` to ``(P,)``.
    start, end : ndarray, shape (P,)
        The two minima.
    steps : int
        Steps of descent.
    lr : float
        Step size.
    rng : numpy.random.Generator
        Source of the ``t``.
    samples : int
        Values of ``t`` per step.

    Returns
    -------
    ndarray, shape (P,)
        The control point, for :func:`bezier`.

    References
    ----------
    Garipov et al., *Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs* (2018),
    arXiv:1802.10026.

    Examples
    --------
    >>> def grad(p):  # of (|p|² - 1)²: the minima form a circle
    ...     return 4 * (p @ p - 1) * p
    >>> start, end = np.array([-1.0, 0.1]), np.array([1.0, 0.1])
    >>> control = connect(grad, start, end, steps=300, lr=0.1, rng=np.random.default_rng(0))
    >>> middle = bezier(start, control, end, [0.5])[0]
    >>> bool(abs(middle @ middle - 1) < 0.3)
    True
    """
    control = (start + end) / 2
    for _ in range(steps):
        t = rng.random(samples)
        points = bezier(start, control, end, t)
        slopes = np.stack([grad(point) for point in points])  # (samples, P)
        control = control - lr * np.mean(2 * (t * (1 - t))[:, None] * slopes, axis=0)
    return control


def barrier(losses: ArrayLike) -> float:
    """Return how far a path rises above the straight line between the losses at its ends.

    Parameters
    ----------
    losses : array_like, shape (T,)
        Losses at even steps along the path.

    Returns
    -------
    float
        The barrier; 0 or rounding where the ends are connected.

    Raises
    ------
    ValueError
        If there are fewer than three losses.

    References
    ----------
    Frankle et al., *Linear Mode Connectivity and the Lottery Ticket Hypothesis* (2020),
    arXiv:1912.05671.

    Examples
    --------
    >>> barrier([1.0, 5.0, 3.0])
    3.0
    """
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 1 or len(losses) < 3:
        raise ValueError(f"losses must be at least three along a path, got shape {losses.shape}")
    return float(np.max(losses - np.linspace(losses[0], losses[-1], len(losses))))


def classify(
    gradient: ArrayLike,
    eigenvalues: ArrayLike,
    *,
    gradient_tol: float = 1e-6,
    zero_tol: float = 1e-8,
) -> CriticalPoint:
    """Name a point by its gradient and the eigenvalues of its Hessian, not by eye.

    Parameters
    ----------
    gradient : array_like
        Gradient at the point.
    eigenvalues : array_like, shape (n,)
        All eigenvalues of the Hessian there, or at least the extreme ones.
    gradient_tol : float
        Norm below which the gradient counts as zero.
    zero_tol : float
        Eigenvalues below this share of the largest magnitude count as zero.

    Returns
    -------
    CriticalPoint
        Kind, index, number of zero eigenvalues and the gradient's norm.

    Raises
    ------
    ValueError
        If there are no eigenvalues, or they are not finite.

    Examples
    --------
    >>> classify(np.zeros(2), [-1.0, 2.0]).kind, classify(np.zeros(2), [0.0, 2.0]).kind
    ('saddle', 'degenerate')
    """
    values = np.asarray(eigenvalues, dtype=float)
    if values.size == 0 or not np.all(np.isfinite(values)):
        raise ValueError("eigenvalues must be finite, and at least one")
    norm = float(np.linalg.norm(np.ravel(gradient)))
    small = zero_tol * np.max(np.abs(values))
    negative, positive = int(np.sum(values < -small)), int(np.sum(values > small))
    zero = values.size - negative - positive
    if norm > gradient_tol:
        kind = "not critical"
    elif negative and positive:
        kind = "saddle"
    elif zero:
        kind = "degenerate"
    else:
        kind = "maximum" if negative else "minimum"
    return CriticalPoint(kind, negative, zero, norm)


def rescale_layers(params: Mapping[str, NDArray], layer: int, factor: float) -> dict[str, Any]:
    r"""Scale one layer of a ReLU network and unscale the next: other numbers, the same function.

    Since :math:`\max(0, az) = a\max(0, z)` for :math:`a > 0`, the network computes what it did,
    while the eigenvalues of its Hessian change without bound: no sharpness that this changes can
    explain generalisation.

    Parameters
    ----------
    params : mapping of str to ndarray
        Parameters of an :class:`mathdl.mlp.MLP` with ReLU and without LayerNorm.
    layer : int
        The layer to scale, counted from 1; not the last.
    factor : float
        Positive.

    Returns
    -------
    dict
        The rescaled parameters.

    Raises
    ------
    ValueError
        If the layer does not exist or is the last, or the factor is not positive.

    References
    ----------
    Dinh et al., *Sharp Minima Can Generalize For Deep Nets* (2017), arXiv:1703.04933.

    Examples
    --------
    >>> params = {"weight_1": np.ones((1, 1)), "bias_1": np.ones(1), "weight_2": np.ones((1, 1))}
    >>> {name: p.item() for name, p in rescale_layers(params, 1, 4.0).items()}
    {'weight_1': 4.0, 'bias_1': 4.0, 'weight_2': 0.25}
    """
    if f"weight_{layer}" not in params or f"weight_{layer + 1}" not in params:
        raise ValueError(f"layer {layer} must have a layer after it; there are {', '.join(params)}")
    if factor <= 0:
        raise ValueError(f"factor must be positive, or the ReLU sees other signs; got {factor}")
    scales = {f"weight_{layer}": factor, f"bias_{layer}": factor, f"weight_{layer + 1}": 1 / factor}
    return {name: p * scales[name] if name in scales else p for name, p in params.items()}

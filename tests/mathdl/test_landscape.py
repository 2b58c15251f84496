"""`mathdl.landscape`: slices against plain loops, geometry against theory."""

import numpy as np
import pytest

from mathdl import landscape
from mathdl.hessian import dense_hessian
from mathdl.losses import mse_loss, mse_loss_vjp
from mathdl.mlp import MLP

RNG = np.random.default_rng(0)


def network(activation="relu", layer_norm=False, sizes=(3, 5, 4, 2), bias=True):
    net = MLP(sizes, activation, layer_norm=layer_norm, bias=bias)
    rng = np.random.default_rng(1)
    params = {name: p + 0.1 * rng.standard_normal(p.shape) for name, p in net.init(rng).items()}
    return net, params, rng.standard_normal((7, sizes[0])), rng.standard_normal((7, sizes[-1]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "gelu", "layer_norm": True},
        {"bias": False, "activation": "tanh"},
        {"sizes": (3, 2)},
        {"activation": "identity"},
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_the_fast_grid_is_the_plain_loop(options, chunk_bytes):
    net, params, x, target = network(**options)
    first, second = (landscape.random_direction(params, RNG) for _ in range(2))
    alphas, betas = np.linspace(-1, 1, 4), np.linspace(-0.5, 2, 5)

    def loss(y):
        return np.mean((y - target) ** 2, axis=(-2, -1))

    fast = landscape.mlp_plane_slice(
        net, params, first, second, alphas, betas, x, loss, chunk_bytes=chunk_bytes
    )
    slow = landscape.plane_slice(
        lambda p: loss(net.forward(p, x)[0]), params, first, second, alphas, betas
    )
    np.testing.assert_allclose(fast, slow, rtol=1e-13)


def test_the_fast_grid_keeps_float32():
    net, params, x, target = network()
    small = {name: p.astype(np.float32) for name, p in params.items()}
    first, second = (landscape.random_direction(small, RNG) for _ in range(2))
    grid = landscape.mlp_plane_slice(
        net,
        small,
        first,
        second,
        [0.0, 0.5],
        [0.0],
        x.astype(np.float32),
        lambda y: np.mean((y - target.astype(np.float32)) ** 2, (-2, -1)),
    )
    assert grid.dtype == np.float32


def test_a_line_passes_through_the_point_itself():
    net, params, x, target = network()
    direction = landscape.random_direction(params, RNG)

    def loss(p):
        return float(mse_loss(net.forward(p, x)[0], target))

    values = landscape.line_slice(loss, params, direction, [-1.0, 0.0, 1.0])
    assert values[1] == loss(params) and values[0] != values[2]


def test_normalisation_is_per_filter_and_leaves_single_axes_still():
    params = {"w": RNG.standard_normal((4, 3, 2, 2)), "b": RNG.standard_normal(4)}
    params["w"][2] = 0
    direction = landscape.random_direction(params, RNG)
    result = landscape.filter_normalize(direction, params)
    norms = np.linalg.norm(params["w"].reshape(4, -1), axis=1)
    np.testing.assert_allclose(np.linalg.norm(result["w"].reshape(4, -1), axis=1), norms)
    cosines = np.sum(result["w"] * direction["w"], axis=(1, 2, 3))
    assert np.all(cosines[norms > 0] > 0)
    assert not result["b"].any()


def test_filter_normalised_slices_do_not_see_a_rescaling_of_layers():
    net, params, x, target = network()
    for name in params:  # what is not normalised must not scale either
        if name.startswith("bias"):
            params[name][:] = 0
    rescaled = landscape.rescale_layers(params, 1, 10.0)
    direction = landscape.random_direction(params, RNG)

    def profile(p, normalise):
        d = landscape.filter_normalize(direction, p) if normalise else direction
        loss = lambda q: float(mse_loss(net.forward(q, x)[0], target))  # noqa: E731
        return landscape.line_slice(loss, p, d, np.linspace(-1, 1, 9))

    np.testing.assert_allclose(profile(params, True), profile(rescaled, True), rtol=1e-10)
    assert not np.allclose(profile(params, False), profile(rescaled, False), rtol=0.1)


def test_rescaling_keeps_the_function_and_breaks_the_naive_sharpness():
    net, params, x, target = network()
    rescaled = landscape.rescale_layers(params, 2, 20.0)
    np.testing.assert_allclose(net.forward(rescaled, x)[0], net.forward(params, x)[0], rtol=1e-12)

    def sharpness(p):
        def grad(q):
            y, cache = net.forward(q, x)
            return net.backward(mse_loss_vjp(y, target), cache)[1]

        return np.linalg.eigvalsh(dense_hessian(grad, p))[-1]

    assert sharpness(rescaled) > 20 * sharpness(params)


def test_the_plane_is_registered_where_the_surface_is():
    path = np.cumsum(RNG.standard_normal((30, 12)) + 0.3, axis=0)
    plane = landscape.pca_plane(path)
    np.testing.assert_array_equal(plane.coordinates[-1], [0, 0])
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)

    def loss(p):
        return float(np.sum(p**2))

    # The surface at the origin is the loss at the last point, exactly.
    at = plane.origin + plane.coordinates[-1] @ plane.directions
    assert loss(at) == loss(path[-1])
    elsewhere = landscape.pca_plane(path, origin=path.mean(axis=0))
    np.testing.assert_allclose(elsewhere.coordinates.mean(axis=0), 0, atol=1e-10)


def test_a_trajectory_in_a_plane_is_explained_by_it():
    basis = np.linalg.qr(RNG.standard_normal((20, 2)))[0].T
    path = RNG.standard_normal((15, 2)) @ basis + 3.0
    plane = landscape.pca_plane(path)
    assert plane.explained.sum() == pytest.approx(1)
    lifted = plane.origin + plane.coordinates @ plane.directions
    np.testing.assert_allclose(lifted, path, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_random_walks_explain_as_much_as_the_theory_says(seed):
    rng = np.random.default_rng(seed)
    fractions = landscape.random_walk_fractions(200, 4000, rng=rng, repeats=10)
    error = fractions.std(ddof=1) / np.sqrt(10)
    # A finite dimension adds a little order of 1/dimension·steps to the limit.
    assert abs(fractions.mean() - landscape.random_walk_limit(2)) < 5 * error + 0.01
    assert np.all(landscape.random_walk_fractions(50, 3, rng=rng, components=3) > 1 - 1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_connects_what_a_line_does_not(seed):
    rng = np.random.default_rng(seed)

    def loss(p):
        return (p @ p - 1) ** 2

    def grad(p):
        return 4 * (p @ p - 1) * p

    angle = rng.uniform(0, 2 * np.pi)
    start = np.array([np.cos(angle), np.sin(angle)])
    end = np.array([np.cos(angle + 2.5), np.sin(angle + 2.5)])
    t = np.linspace(0, 1, 101)
    straight = landscape.bezier(start, (start + end) / 2, end, t)
    control = landscape.connect(grad, start, end, steps=500, lr=0.1, rng=rng)
    bent = landscape.bezier(start, control, end, t)
    high = landscape.barrier([loss(p) for p in straight])
    low = landscape.barrier([loss(p) for p in bent])
    assert high > 0.5 and low < 0.1 * high
    np.testing.assert_allclose(bent[[0, -1]], [start, end])


@pytest.mark.parametrize(
    ("gradient", "eigenvalues", "kind", "index", "zero"),
    [
        ([0, 0], [1, 2], "minimum", 0, 0),
        ([0, 0], [-1, -2], "maximum", 2, 0),
        ([0, 0], [-1e-3, 2], "saddle", 1, 0),
        ([0, 0], [1e-12, 2], "degenerate", 0, 1),
        ([0, 0, 0], [-1e-3, 0, 2], "saddle", 1, 1),
        ([0, 0], [0, 0], "degenerate", 0, 2),
        ([1e-3, 0], [1, 2], "not critical", 0, 0),
    ],
)
def test_points_are_named_by_their_derivatives(gradient, eigenvalues, kind, index, zero):
    found = landscape.classify(gradient, eigenvalues)
    assert (found.kind, found.index, found.zero) == (kind, index, zero)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: landscape.filter_normalize({"w": np.zeros((2, 2))}, {"w": np.ones((2, 2))}),
            "cannot be normalised",
        ),
        (
            lambda: landscape.filter_normalize({"w": np.ones((2, 1))}, {"w": np.ones((2, 2))}),
            r"\(2, 1\)",
        ),
        (lambda: landscape.pca_plane(np.ones((2, 5))), "points ≥ 3"),
        (lambda: landscape.pca_plane(np.ones((4, 5)), np.ones(4)), r"\(5,\)"),
        (lambda: landscape.barrier([1.0, 2.0]), "three"),
        (lambda: landscape.classify([0.0], []), "at least one"),
        (lambda: landscape.rescale_layers(network()[1], 3, 2.0), "layer after it"),
        (lambda: landscape.rescale_layers(network()[1], 1, -2.0), "positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

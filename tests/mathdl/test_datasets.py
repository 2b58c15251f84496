"""Data sets by their geometry (scikit-learn's where it has one), surfaces by their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import sklearn.datasets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mathdl import datasets
from mathdl.checks import CheckFailed, check_gradient

SURFACES = ["rosenbrock", "beale", "himmelblau", "saddle", "ravine"]


def surface(name):
    return getattr(datasets, name), getattr(datasets, name + "_grad")


def rosenbrock_torch(t):
    x, y = t[..., 0], t[..., 1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale_torch(t):
    x, y = t[..., 0], t[..., 1]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def himmelblau_torch(t):
    x, y = t[..., 0], t[..., 1]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


TORCH = {
    "rosenbrock": rosenbrock_torch,
    "beale": beale_torch,
    "himmelblau": himmelblau_torch,
    "saddle": lambda t: (t[..., 0] ** 2 - t[..., 1] ** 2) / 2,
    "ravine": lambda t: (t[..., 0] ** 2 + 100 * t[..., 1] ** 2) / 2,
}


@pytest.mark.parametrize("name", SURFACES)
def test_surface_and_gradient_equal_torch(name):
    f, grad = surface(name)
    x = np.random.default_rng(0).normal(size=(4, 6, 2)) * 2
    t = torch.tensor(x, requires_grad=True)
    heights = TORCH[name](t)
    heights.sum().backward()
    want, slope = heights.detach().numpy(), t.grad.numpy()
    assert f(x).shape == (4, 6) and grad(x).shape == x.shape
    assert np.abs(f(x) - want).max() <= 1e-13 * np.abs(want).max()
    assert np.abs(grad(x) - slope).max() <= 1e-13 * np.abs(slope).max()


@pytest.mark.parametrize("name", SURFACES)
def test_gradient_passes_the_check_by_three_routes(name):
    f, grad = surface(name)
    points = list(np.random.default_rng(1).normal(size=(3, 2)) * 2)
    result = check_gradient(f, grad, points, torch=TORCH[name])
    assert result.passed and len(result.record()["routes"]) == 3
    with pytest.raises(CheckFailed):
        check_gradient(f, lambda x: grad(x) * 1.001, points)


def test_rosenbrock_equals_scipy():
    x = np.random.default_rng(2).normal(size=(50, 2))
    f, grad = surface("rosenbrock")
    np.testing.assert_allclose(f(x), scipy.optimize.rosen(x.T), rtol=1e-13)
    for point in x:
        np.testing.assert_allclose(grad(point), scipy.optimize.rosen_der(point), rtol=1e-12)


def hessian(grad, x):
    """Columns by complex step through the gradient."""
    return np.stack([grad(x + 1e-30j * e).imag / 1e-30 for e in np.eye(2)], axis=-1)


@pytest.mark.parametrize("name", SURFACES)
def test_critical_points_are_what_they_are_called(name):
    f, grad = surface(name)
    for kind, point in datasets.CRITICAL_POINTS[name]:
        x = np.array(point)
        curvature = np.linalg.eigvalsh(hessian(grad, x))
        # Half an ulp of the point moves the gradient by this much.
        assert np.abs(grad(x)).max() <= 4e-15 * max(1, np.abs(curvature).max())
        assert kind == {0: "minimum", 1: "saddle", 2: "maximum"}[int(np.sum(curvature < 0))]
        if kind == "minimum":
            assert f(x) <= 1e-28


def test_all_critical_points_of_himmelblau_are_listed():
    """Morse: minima - saddles + maxima = 1 on a plane whose rim goes up."""
    kinds = [kind for kind, _ in datasets.CRITICAL_POINTS["himmelblau"]]
    assert (kinds.count("minimum"), kinds.count("saddle"), kinds.count("maximum")) == (4, 4, 1)


def test_ravine_has_the_condition_number_that_was_asked_for():
    assert np.linalg.cond(hessian(datasets.ravine_grad, np.ones(2))) == pytest.approx(100)
    x = np.random.default_rng(3).normal(size=(5, 2))
    steep = hessian(lambda z: datasets.ravine_grad(z, 7.0), x[0])
    np.testing.assert_allclose(steep, np.diag([1.0, 7.0]))
    result = check_gradient(
        lambda z: datasets.ravine(z, 7.0), lambda z: datasets.ravine_grad(z, 7.0), list(x)
    )
    assert result.passed


@settings(max_examples=25, deadline=None)
@given(
    hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
    st.sampled_from([np.float32, np.float64, np.complex64, np.complex128]),
    st.sampled_from(SURFACES),
)
def test_surfaces_keep_leading_axes_and_dtype(shape, dtype, name):
    f, grad = surface(name)
    x = np.full((*shape, 2), 0.5, dtype)
    assert np.shape(f(x)) == shape and grad(x).shape == x.shape
    assert f(x).dtype == dtype and grad(x).dtype == dtype


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_refuse_integers_and_other_dimensions(name):
    for g in surface(name):
        with pytest.raises(TypeError, match="x must hold real or complex floats"):
            g(np.ones(2, int))
        with pytest.raises(ValueError, match=r"x must have shape \(..., 2\), got \(3,\)"):
            g(np.ones(3))
        with pytest.raises(ValueError, match=r"got \(\)"):
            g(np.float64(1.0))


def test_xor():
    x, y = datasets.xor()
    assert x.dtype == np.float64 and y.dtype.kind == "i"
    np.testing.assert_array_equal(y, (x[:, 0] != x[:, 1]).astype(int))
    assert sorted(map(tuple, x)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    many, labels = datasets.xor(1000, noise=0.1, rng=np.random.default_rng(0), dtype=np.float32)
    assert many.dtype == np.float32 and np.bincount(labels).tolist() == [500, 500]
    residual = many - datasets.xor(1000)[0]
    assert abs(residual.std() - 0.1) < 5 * 0.1 / np.sqrt(4000)
    with pytest.raises(ValueError, match="noise needs a generator"):
        datasets.xor(noise=0.1)


@pytest.mark.parametrize("n", [100, 7, 1, 0])
def test_two_moons_are_those_of_scikit_learn(n):
    x, y = datasets.two_moons(n, np.random.default_rng(0), noise=0.0)
    assert x.shape == (n, 2) and y.shape == (n,)
    if n:
        sklearn_x, sklearn_y = sklearn.datasets.make_moons(n, shuffle=False)
        order, theirs = np.lexsort((*x.T, y)), np.lexsort((*sklearn_x.T, sklearn_y))
        np.testing.assert_array_equal(y[order], sklearn_y[theirs])
        np.testing.assert_allclose(x[order], sklearn_x[theirs], atol=1e-15)


def test_moons_are_shuffled_and_noisy():
    x, y = datasets.two_moons(400, np.random.default_rng(1), noise=0.2)
    assert 50 < np.count_nonzero(np.diff(y)) < 350
    upper = x[y == 0]
    radius = np.hypot(*upper.T)
    assert abs(radius.mean() - 1) < 0.1 and 0.15 < radius.std() < 0.25


def test_spirals():
    x, y = datasets.spirals(301, np.random.default_rng(2), classes=3, turns=1.5, noise=0.0)
    assert sorted(np.bincount(y)) == [100, 100, 101]
    radius = np.hypot(*x.T)
    assert radius.min() == pytest.approx(0.1) and radius.max() == pytest.approx(1.0)
    # Unwound, every point of an arm lies at its own class's angle.
    angle = np.angle((x[:, 0] + 1j * x[:, 1]) * np.exp(-2j * np.pi * (1.5 * radius + y / 3)))
    np.testing.assert_allclose(angle, 0, atol=1e-12)


def test_blobs():
    centers = np.array([[0.0, 0.0, 5.0], [4.0, -4.0, 0.0]])
    x, y = datasets.blobs(2001, np.random.default_rng(3), centers=centers, std=0.5)
    assert x.shape == (2001, 3) and sorted(np.bincount(y)) == [1000, 1001]
    for label in (0, 1):
        cloud = x[y == label]
        assert np.abs(cloud.mean(axis=0) - centers[label]).max() < 5 * 0.5 / np.sqrt(1000)
        assert np.abs(cloud.std(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(2000)
    x, y = datasets.blobs(10, np.random.default_rng(3), centers=5, features=4)
    assert x.shape == (10, 4) and np.bincount(y).tolist() == [2] * 5


def test_linear_regression_recovers_its_weight():
    x, y = datasets.linear_regression(4000, np.random.default_rng(4), [2.0, -3.0], 0.5, 0.1)
    design = np.column_stack([x, np.ones(len(x))])
    fitted, residual, *_ = np.linalg.lstsq(design, y)
    assert np.abs(fitted - [2.0, -3.0, 0.5]).max() < 5 * 0.1 / np.sqrt(4000)
    assert abs(np.sqrt(residual[0] / 4000) - 0.1) < 5 * 0.1 / np.sqrt(8000)


@pytest.mark.parametrize(
    "make",
    [
        datasets.two_moons,
        datasets.spirals,
        datasets.blobs,
        datasets.linear_regression,
        lambda n, rng, dtype=np.float64: datasets.xor(n, 0.1, rng, dtype),
    ],
)
def test_seeds_and_precision(make):
    x, y = make(20, np.random.default_rng(5))
    again, y_again = make(20, np.random.default_rng(5))
    np.testing.assert_array_equal(x, again)
    np.testing.assert_array_equal(y, y_again)
    narrow, _ = make(20, np.random.default_rng(5), dtype=np.float32)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, x.astype(np.float32))
    assert not np.array_equal(x, make(20, np.random.default_rng(6))[0])

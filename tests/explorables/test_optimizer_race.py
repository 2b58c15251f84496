"""optimizer-race against `mathdl.optim` and `mathdl.datasets`."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl import datasets, optim

NAME = "optimizer-race"
TILT = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
SURFACES = {
    "rosenbrock": (datasets.rosenbrock, datasets.rosenbrock_grad, [-1.0, 1.2]),
    "beale": (datasets.beale, datasets.beale_grad, [1.0, 1.1]),
    "ravine": (datasets.ravine, datasets.ravine_grad, [2.0, 1.0]),
    "tilted": (
        lambda x: datasets.ravine(x @ TILT),
        lambda x: datasets.ravine_grad(x @ TILT) @ TILT.T,
        [0.7, 2.1],
    ),
    "saddle": (datasets.saddle, datasets.saddle_grad, [1.2, 1e-3]),
}
RIVALS = {
    "descent": (optim.SGD, {}),
    "momentum": (optim.SGD, {"momentum": 0.9}),
    "rmsprop": (optim.RMSprop, {}),
    "adam": (optim.Adam, {}),
    "lion": (optim.Lion, {"weight_decay": 0.0}),
}


@pytest.mark.parametrize("surface", SURFACES)
def test_surfaces_and_their_gradients_are_the_librarys(call, surface: str) -> None:
    f, grad, _ = SURFACES[surface]
    for x in np.random.default_rng(0).uniform(-2, 2, size=(30, 2)):
        assert call(NAME, "value", surface, x.tolist()) == pytest.approx(float(f(x)), rel=1e-9)
        slope = call(NAME, "gradient", surface, x.tolist())
        np.testing.assert_allclose(slope, grad(x), rtol=1e-9, atol=1e-9)


def trajectory(surface: str, rival: str, lr: float, steps: int) -> np.ndarray:
    _, grad, start = SURFACES[surface]
    cls, options = RIVALS[rival]
    x = np.array(start)
    optimizer = cls([x], lr=lr, **options)
    points = [x.copy()]
    for _ in range(steps):
        optimizer.step([grad(x)])
        points.append(x.copy())
    return np.array(points)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("rival", RIVALS)
def test_each_path_is_the_librarys(call, surface: str, rival: str) -> None:
    for lr in (1e-4, 1e-3, 0.013 if rival in ("adam", "rmsprop", "lion") else 2e-3):
        mine = np.array(call(NAME, "run", surface, rival, lr, SURFACES[surface][2], 200), float)
        np.testing.assert_allclose(mine, trajectory(surface, rival, lr, 200), atol=1e-9)


@pytest.mark.parametrize("rival", RIVALS)
def test_the_tuned_step_size_is_the_best_of_the_sixteen(call, rival: str) -> None:
    rates = np.geomspace(1e-4, 10, 16)
    for surface in ("ravine", "beale"):
        f, _, start = SURFACES[surface]
        found = call(NAME, "tune", surface, rival, start, 200)
        needed = []
        for lr in rates:
            points = np.array(call(NAME, "run", surface, rival, lr, start, 200), float)
            with np.errstate(all="ignore"):
                arrived = f(points) <= 0.01
            needed.append(int(arrived.argmax()) if arrived.any() else np.inf)
        for guess in (1e-4, 10 ** (-4 + 8 / 3), 10, 0.02):  # the last is none of the sixteen
            assert call(NAME, "tune", surface, rival, start, 200, guess) == found
        best = int(np.argmin(needed))
        assert float(found["needed"]) == needed[best]
        if needed[best] == np.inf:
            continue  # then the lowest end decides
        assert found["lr"] == pytest.approx(rates[best], rel=1e-9)


@pytest.mark.parametrize("rival", RIVALS)
def test_none_leaves_a_place_without_a_slope(call, rival: str) -> None:
    assert call(NAME, "run", "beale", rival, 0.1, [0.0, 1.0], 50) == [[0, 1]] * 51
    assert call(NAME, "run", "rosenbrock", rival, 0.1, [1.0, 1.0], 50, True) == [[1, 1]] * 2
    assert float(call(NAME, "tune", "beale", rival, [0.0, 1.0], 50)["needed"]) == np.inf


def test_what_the_page_says_of_ravines_is_so(call) -> None:
    straight = {r: call(NAME, "tune", "ravine", r, [2.0, 1.0], 300)["needed"] for r in RIVALS}
    across = np.array([2.0, 1.0]) @ TILT.T
    turned = {r: call(NAME, "tune", "tilted", r, across.tolist(), 300)["needed"] for r in RIVALS}
    assert straight["rmsprop"] < 10 < turned["rmsprop"] / 3
    assert call(NAME, "tune", "tilted", "rmsprop", [0.71, 1.5], 300)["needed"] > 30
    for rival in ("descent", "momentum"):
        assert turned[rival] == straight[rival]

"""The pure part of landscape-3d against NumPy and SciPy, and its rasteriser against geometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from mathdl.explorables import Surface, landscape_3d
from mathdl.landscape import mlp_plane_slice, moved, random_direction
from mathdl.losses import mse_loss
from mathdl.mlp import MLP

NAME = "landscape-3d"


def test_what_a_cell_publishes_is_the_loss_itself() -> None:
    rng = np.random.default_rng(0)
    net, x, y = MLP((2, 5, 1), "tanh"), rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    params = net.init(rng)
    d, e = random_direction(params, rng), random_direction(params, rng)
    a, b = np.linspace(-1, 1, 7), np.linspace(-2, 2, 5)
    losses = mlp_plane_slice(
        net, params, d, e, a, b, x, lambda out: ((out - y) ** 2).mean((-2, -1))
    )
    [shown] = landscape_3d({"net": Surface(a, b, losses)})["surfaces"]
    for i, j in [(0, 0), (3, 2), (6, 4), (1, 3)]:
        there = moved(params, (shown["alphas"][i], d), (shown["betas"][j], e))
        loss = float(mse_loss(net.forward(there, x)[0], y))
        assert shown["losses"][i][j] == pytest.approx(loss, rel=2e-3)


def test_between_grid_points_the_surface_is_bilinear(call) -> None:
    rng = np.random.default_rng(1)
    a, b = np.sort(rng.normal(size=9)), np.sort(rng.normal(size=6))
    values = rng.normal(size=(9, 6))
    exact = RegularGridInterpolator((a, b), values)
    for p, q in np.column_stack([rng.uniform(a[0], a[-1], 60), rng.uniform(b[0], b[-1], 60)]):
        mine = call(NAME, "bilinear", a.tolist(), b.tolist(), values.tolist(), p, q)
        assert mine == pytest.approx(float(exact((p, q))), abs=1e-9)
    outside = call(NAME, "bilinear", a.tolist(), b.tolist(), values.tolist(), 99.0, -99.0)
    assert outside == values[-1, 0]


@pytest.mark.parametrize("log", [True, False])
def test_heights_run_from_zero_to_one_on_either_scale(call, node, log: bool) -> None:
    losses = np.exp(np.random.default_rng(2).normal(size=(4, 5)))
    f = np.log if log else np.asarray
    expected = (f(losses) - f(losses.min())) / np.ptp(f(losses))
    for loss, height in zip(losses.ravel(), expected.ravel(), strict=True):
        assert node(NAME, HEIGHT, losses.tolist(), log, loss) == pytest.approx(height, abs=1e-9)
    found = call(NAME, "levels", float(losses.min()), float(losses.max()), log)
    assert 4 <= len(found) <= 12 and found == sorted(set(found))
    assert losses.min() < found[0] and found[-1] < losses.max()


def test_the_camera_is_a_rotation_and_a_division(node) -> None:
    rng = np.random.default_rng(3)
    for turn, tilt in [(0, 0.0), (30, 38), (-120, 90), (77, 5)]:
        t, e = np.deg2rad([turn, tilt])
        about = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
        down = np.array([[1, 0, 0], [0, np.sin(e), np.cos(e)], [0, -np.cos(e), np.sin(e)]])
        for point in rng.uniform(-1, 1, size=(5, 3)):
            x, y, near = down @ about @ point
            expected = [x * 6 / (6 - near), y * 6 / (6 - near), near]
            assert node(NAME, CAMERA, turn, tilt, *point) == pytest.approx(expected, abs=1e-9)


def test_the_rasteriser_hides_what_is_behind_and_misses_no_pixel(node) -> None:
    seen = node(NAME, RASTER)
    # A flat mesh over all pixels leaves none out; a nearer one replaces it, a farther one does not.
    assert seen["empty"] == 0
    assert seen["first"] == seen["last"] != seen["nearer"]
    # The contour at height one half of a ramp is the middle column.
    assert seen["line"] == [4]
    assert seen["visible"] == [True, False]


def test_heights_between_the_corners_are_linear_in_the_picture(node) -> None:
    assert node(NAME, RAMP) == pytest.approx(
        [1 + 4095 * (k + 0.5) / 8 for k in range(8)], abs=1.001
    )


CAMERA = """
const [turn, tilt, x, y, z] = given;
return m.camera(turn, tilt, 6).project(x, y, z);
"""
HEIGHT = """
const scale = m.heights(given[0], given[1]);
if (Math.abs(scale.back(scale.at(given[2])) - given[2]) > 1e-12 * given[2]) return "no inverse";
return scale.at(given[2]);
"""
RASTER = """
const { buffers, paint, contours, visible } = await load("raster.js");
const palette = Uint32Array.from({ length: 32 * 256 }, (_, k) => k + 1);
const mesh = (heights) => ({
  rows: 2, columns: 2, height: Float32Array.from(heights), light: new Float32Array(4),
});
const square = (near) => Float32Array.from([0, 0, near, 0, 8, near, 8, 0, near, 8, 8, near]);
const b = buffers(8, 8);
paint(b, mesh([0, 0, 0, 0]), square(1), palette);
const empty = b.level.filter((v) => v === 0).length;
const first = b.color[20];
paint(b, mesh([1, 1, 1, 1]), square(0), palette);
const last = b.color[20];
paint(b, mesh([1, 1, 1, 1]), square(2), palette);
const nearer = b.color[20];
const ramp = buffers(9, 9);
const wide = Float32Array.from([0, 0, 0, 0, 9, 0, 9, 0, 0, 9, 9, 0]);
paint(ramp, mesh([0, 0, 1, 1]), wide, palette);
const before = ramp.color.slice();
contours(ramp, [0.55], 1);
const line = [...new Set([...ramp.color.keys()].filter((k) => ramp.color[k] !== before[k])
  .map((k) => k % 9))];
return { empty, first, last, nearer, line,
  visible: [visible(b, 3, 3, 2.0, 0), visible(b, 3, 3, 1.9, 0.05)] };
"""
RAMP = """
const { buffers, paint } = await load("raster.js");
const b = buffers(8, 8);
const mesh = { rows: 2, columns: 2, height: Float32Array.from([0, 0, 1, 1]),
  light: new Float32Array(4) };
paint(b, mesh, Float32Array.from([0, 0, 0, 0, 8, 0, 8, 0, 0, 8, 8, 0]), new Uint32Array(8192));
return [...b.level.slice(24, 32)];
"""

"""Speed of `mathdl.optim` beside torch.optim, one thread, interleaved: ratios in one run.

    OMP_NUM_THREADS=1 python benchmarks/optim.py

Prints microseconds and ratios; equality of the trajectories is asserted before anything is timed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from timing import interleaved, report

# isort: split
import numpy as np
import torch

from mathdl import optim


def large(size: int = 100_000) -> None:
    """Step Adam at 10⁵ float32 parameters, against torch's fused kernel."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(np.float32)
    gradient = rng.standard_normal(size).astype(np.float32)

    def ours(x: np.ndarray, g: np.ndarray) -> Callable[[], object]:
        optimizer = optim.Adam(x)
        return lambda: optimizer.step(g)

    def theirs(x: np.ndarray, **kwargs: bool) -> Callable[[], object]:
        parameter = torch.nn.Parameter(torch.from_numpy(x))
        parameter.grad = torch.from_numpy(gradient.copy())
        return torch.optim.Adam([parameter], **kwargs).step

    x, y = optim.arena(start), start.copy()
    contenders = {"mathdl": ours(x, optim.arena(gradient)), "torch fused": theirs(y, fused=True)}
    for _ in range(100):
        for call in contenders.values():
            call()
    np.testing.assert_allclose(x, y, rtol=0, atol=100 * 2.0**-24 * np.abs(y).max())
    split = np.array_split(start.copy(), 10)
    listed = optim.Adam(split)
    parts = np.array_split(gradient.copy(), 10)
    contenders |= {
        "mathdl, ten separate arrays": lambda: listed.step(parts),
        "torch for-loop": theirs(start.copy(), foreach=False),
        "torch foreach": theirs(start.copy(), foreach=True),
        "np.sqrt and one division": heavy(size),
    }
    report(f"Adam, {size} float32 parameters", interleaved(contenders), "torch fused")


def heavy(size: int) -> Callable[[], object]:
    """Return the part of Adam's step that no order of passes avoids."""
    v, out = np.ones(size, np.float32), np.empty(size, np.float32)

    def call() -> None:
        np.sqrt(v, out)
        np.divide(v, out, out)

    return call


def batch(starts: int = 1000) -> None:
    """Step a thousand starts in the plane at once, against one torch optimizer for each."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((starts, 2)), rng.standard_normal((starts, 2))
    for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "NAdam"):
        ours = getattr(optim, name)(x.copy())
        parameter = torch.nn.Parameter(torch.from_numpy(x[0].copy()))
        parameter.grad = torch.from_numpy(g[0].copy())
        theirs = getattr(torch.optim, name)([parameter])
        times = interleaved({"mathdl": lambda ours=ours: ours.step(g), "torch": theirs.step})
        each = statistics.median(times["mathdl"]) / starts
        eager = statistics.median(times["torch"])
        factor = statistics.median(
            b / (a / starts) for a, b in zip(times["mathdl"], times["torch"], strict=True)
        )
        print(
            f"  {name:8s} {each:8.4f} µs per trajectory-step, torch eager {eager:6.1f} µs:"
            f" {factor:7.0f} × fewer"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    large()
    print("Batch of 1000 starts in 2-D")
    batch()

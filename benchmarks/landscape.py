"""A loss surface on a grid, beside the loop over torch modules that most people write.

Run ``python benchmarks/landscape.py``. One thread, runs interleaved, median of the rounds' ratios.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time

import numpy as np
import torch

from mathdl import landscape
from mathdl.mlp import MLP

SIDE, SAMPLES, ROUNDS = 51, 512, 5


def cross_entropy(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean cross-entropy over rows, for outputs with leading grid axes."""
    scores = np.ascontiguousarray(np.moveaxis(y, -1, 0))  # ten classes first: long inner loops
    scores -= scores.max(axis=0)
    picked = scores[labels, ..., np.arange(len(labels))]  # (N, G)
    return np.log(np.exp(scores).sum(axis=0)).mean(axis=-1) - picked.mean(axis=0)


def main() -> None:
    """Print the agreement in float64 and the ratio in float32."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    net = MLP((784, 128, 64, 10))
    params64 = net.init(rng)
    x64, labels = rng.standard_normal((SAMPLES, 784)), rng.integers(0, 10, SAMPLES)
    directions64 = [
        landscape.filter_normalize(landscape.random_direction(params64, rng), params64)
        for _ in range(2)
    ]
    steps = np.linspace(-1, 1, SIDE)

    def ours(dtype: type, side: np.ndarray) -> np.ndarray:
        point, first, second = (
            {name: p.astype(dtype) for name, p in d.items()} for d in (params64, *directions64)
        )
        return landscape.mlp_plane_slice(
            net,
            point,
            first,
            second,
            side,
            side,
            x64.astype(dtype),
            lambda y: cross_entropy(y, labels),
        )

    def theirs(dtype: torch.dtype, side: np.ndarray) -> np.ndarray:
        layers = [torch.nn.Linear(784, 128), torch.nn.Linear(128, 64), torch.nn.Linear(64, 10)]
        model = torch.nn.Sequential(
            layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2]
        ).to(dtype)
        point, first, second = (
            {name: torch.tensor(p, dtype=dtype) for name, p in d.items()}
            for d in (params64, *directions64)
        )
        x, target = torch.tensor(x64, dtype=dtype), torch.tensor(labels)
        grid = np.empty((len(side), len(side)))
        with torch.no_grad():
            for i, a in enumerate(side):
                for j, b in enumerate(side):
                    for k, layer in enumerate(layers, 1):
                        for kind in ("weight", "bias"):
                            name = f"{kind}_{k}"
                            value = point[name] + float(a) * first[name] + float(b) * second[name]
                            getattr(layer, kind).copy_(value)
                    grid[i, j] = torch.nn.functional.cross_entropy(model(x), target).item()
        return grid

    few = steps[::10]
    difference = np.abs(ours(np.float64, few) / theirs(torch.float64, few) - 1).max()
    times: dict[str, list[float]] = {"ours": [], "torch loop": []}
    for _ in range(ROUNDS):
        # Seconds of this thread: other programs of the machine do not count.
        start = time.thread_time()
        ours(np.float32, steps)
        middle = time.thread_time()
        theirs(torch.float32, steps)
        times["ours"].append(middle - start)
        times["torch loop"].append(time.thread_time() - middle)
    ratio = statistics.median(b / a for a, b in zip(*times.values(), strict=True))
    print(f"{SIDE}×{SIDE} grid, 784-128-64-10, {SAMPLES} samples, float32, one thread")
    for name, values in times.items():
        print(f"  {name:<10} {statistics.median(values):7.3f} s")
    print(f"  ratio      {ratio:7.2f} × faster")
    print(f"  float64 agreement {difference:.1e}")


if __name__ == "__main__":
    main()

"""The array engine beside backpropagation written by hand and beside torch, on a small network.

Run ``python benchmarks/autodiff.py``. 20-32-32-10, batch of 128, float64, one thread; all three
return the gradients of all parameters, which are compared before anything is timed.
"""

from __future__ import annotations

import time

from timing import interleaved, report

# isort: split
import numpy as np
import torch

from mathdl import autodiff
from mathdl.mlp import MLP

BATCH = 128


def by_hand(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> tuple:
    """Return the gradients: plain NumPy, every product written out, nothing checked."""
    w1, b1, w2, b2, w3, b3 = weights
    rows = np.arange(len(x))
    z1 = x @ w1.T + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ w2.T + b2
    a2 = np.maximum(z2, 0)
    z3 = a2 @ w3.T + b3
    z3 -= z3.max(axis=1, keepdims=True)
    p = np.exp(z3)
    total = p.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - z3[rows, labels])
    p /= total
    p[rows, labels] -= 1
    p /= len(x)
    dz2 = (p @ w3) * (z2 > 0)
    dz1 = (dz2 @ w2) * (z1 > 0)
    gradients = dz1.T @ x, dz1.sum(axis=0), dz2.T @ a1, dz2.sum(axis=0), p.T @ a2, p.sum(axis=0)
    return loss, gradients


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    params = MLP((20, 32, 32, 10)).init(rng)
    x, labels = rng.standard_normal((BATCH, 20)), rng.integers(0, 10, BATCH)

    def loss(p: dict) -> autodiff.Node:
        h = x
        for layer in (1, 2):
            h = autodiff.relu(autodiff.linear(h, p[f"weight_{layer}"], p[f"bias_{layer}"]))
        z = autodiff.linear(h, p["weight_3"], p["bias_3"])
        return autodiff.softmax_cross_entropy(z, labels)

    def operators(p: dict) -> autodiff.Node:
        h = x
        for layer in (1, 2):
            h = np.maximum(h @ p[f"weight_{layer}"].T + p[f"bias_{layer}"], 0.0)
        z = h @ p["weight_3"].T + p["bias_3"]
        z = z - z.value.max(axis=1, keepdims=True)
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(BATCH), labels])

    tensors = [torch.tensor(p, requires_grad=True) for p in params.values()]
    tx, target = torch.tensor(x), torch.tensor(labels)

    def eager() -> tuple:
        h = tx
        for weight, bias in (tensors[:2], tensors[2:4]):
            h = torch.relu(torch.nn.functional.linear(h, weight, bias))
        z = torch.nn.functional.linear(h, *tensors[4:])
        return torch.autograd.grad(torch.nn.functional.cross_entropy(z, target), tensors)

    weights = list(params.values())
    engine, spelled = autodiff.value_and_grad(loss), autodiff.value_and_grad(operators)
    wanted = by_hand(x, labels, weights)[1]
    for gradients in (engine(params)[1].values(), spelled(params)[1].values(), eager()):
        for got, want in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-15 * np.abs(want).max() * 10)
    contenders = {
        "by hand": lambda: by_hand(x, labels, weights),
        "engine": lambda: engine(params),
        "engine, NumPy operators only": lambda: spelled(params),
        "torch eager": eager,
    }
    times = interleaved(contenders, rounds=100)
    report("Gradients of 20-32-32-10, batch 128, float64", times, "by hand")

    x0 = autodiff.Node(1.0)
    y = x0
    for _ in range(100_000):
        y = y * 1.0
    start = time.thread_time()
    y.backward()
    print(f"A chain of 100,000 operations: backward in {time.thread_time() - start:.2f} s")


if __name__ == "__main__":
    main()

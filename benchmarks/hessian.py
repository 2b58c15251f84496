"""A Hessian-vector product by complex step, in gradients: how many it costs.

Run ``python benchmarks/hessian.py``. One thread, float64.
"""

from __future__ import annotations

from timing import interleaved, report

# isort: split
import numpy as np

from mathdl import hessian, losses
from mathdl.mlp import MLP


def product(sizes: tuple[int, ...], activation: str, rounds: int, rows: int = 128) -> None:
    """Print the cost for a network of the sizes, and its agreement with central differences."""
    rng = np.random.default_rng(0)
    net = MLP(sizes, activation)
    x, labels = rng.standard_normal((rows, sizes[0])), rng.integers(0, sizes[-1], rows)
    params = net.init(rng)
    v = {name: rng.standard_normal(p.shape) for name, p in params.items()}

    def grad(p: dict) -> dict:
        y, cache = net.forward(p, x)
        return net.backward(losses.cross_entropy_vjp(y, labels), cache)[1]

    by_complex, by_central = (
        net.flatten(hessian.hvp(grad, params, v, method=method))
        for method in ("complex", "central")
    )
    difference = np.abs(by_complex - by_central).max() / np.abs(by_complex).max()
    contenders = {
        "gradient": lambda: grad(params),
        "product, complex step": lambda: hessian.hvp(grad, params, v),
        "product, central differences": lambda: hessian.hvp(grad, params, v, method="central"),
    }
    times = interleaved(contenders, rounds=rounds, per_round=max(1, 40_000 // net.count))
    title = (
        f"{net.count} parameters, {activation}, batch of {rows}; routes differ by {difference:.0e}"
    )
    report(title, times, "gradient")


if __name__ == "__main__":
    for activation in ("relu", "tanh"):
        product((20, 32, 32, 8), activation, rounds=60)
        product((100, 250, 250, 40), activation, rounds=40)

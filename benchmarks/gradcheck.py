"""One directional derivative beside the loop over entries, and one wrong entry found among 9,000.

Run ``python benchmarks/gradcheck.py``. One thread, float64; the network has about 2,000 parameters.
"""

from __future__ import annotations

import statistics

from timing import interleaved, ratio

# isort: split
import numpy as np

from mathdl import gradcheck, losses
from mathdl.checks import check_gradient
from mathdl.mlp import MLP


def network(sizes: tuple[int, ...], rows: int = 32) -> tuple:
    """Return a loss, its gradient and a point."""
    rng = np.random.default_rng(0)
    net = MLP(sizes, activation="tanh")
    x, labels = rng.standard_normal((rows, sizes[0])), rng.integers(0, sizes[-1], rows)

    def loss(params: dict) -> np.ndarray:
        return losses.cross_entropy(net.forward(params, x)[0], labels)

    def grad(params: dict) -> dict:
        y, cache = net.forward(params, x)
        return net.backward(losses.cross_entropy_vjp(y, labels), cache)[1]

    return loss, grad, net.init(rng), net.count


def directional() -> None:
    loss, grad, params, count = network((20, 32, 32, 8))
    rng = np.random.default_rng(1)

    def one_direction() -> None:
        u = {name: gradcheck.random_signs(rng, p.shape) for name, p in params.items()}
        slope = gradcheck.directional_derivative(loss, params, u)
        gradient = grad(params)
        inner = sum(float(np.vdot(u[name], gradient[name])) for name in params)
        assert abs(slope - inner) < 1e-12 * count**0.5

    def every_entry() -> None:
        numerical = gradcheck.numerical_gradient(loss, params, method="central")
        for name, gradient in grad(params).items():
            assert np.abs(numerical[name] - gradient).max() < 1e-8

    fast = {
        "one direction, complex step": one_direction,
        "check_gradient, two routes": lambda: check_gradient(loss, grad, params),
    }
    times: dict[str, list[float]] = {name: [] for name in (*fast, "every entry")}
    for _ in range(5):
        for name, samples in interleaved(fast, rounds=1, per_round=10).items():
            times[name] += samples
        slow = interleaved({"every entry": every_entry}, rounds=1, per_round=1)
        times["every entry"] += slow["every entry"]
    print(f"A network of {count} parameters, batch of 32")
    for name, samples in times.items():
        print(
            f"  {name:30s} {statistics.median(samples) / 1e3:9.2f} ms"
            f"   every entry takes {ratio(times, 'every entry', name):6.0f} × as long"
        )


def located() -> None:
    loss, grad, params, count = network((30, 64, 64, 44))
    rng = np.random.default_rng(2)
    used = []
    for _ in range(20):
        wrong = {name: g.copy() for name, g in grad(params).items()}
        name = str(rng.choice(list(wrong)))
        index = tuple(int(rng.integers(n)) for n in wrong[name].shape)
        wrong[name][index] += 0.1
        found = gradcheck.locate(loss, wrong, params)
        assert found is not None and found.index == index and name in found.tensor
        used.append(found.evaluations)
    print(f"One wrong entry of {count}, twenty times: named in {max(used)} forward passes at most")


if __name__ == "__main__":
    directional()
    located()

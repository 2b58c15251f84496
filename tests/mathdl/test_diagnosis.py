"""Each mistake is planted where it is usually made, and must be named."""

import numpy as np
import pytest

from mathdl.checks import CheckFailed, check_equal, check_gradient, check_hessian, check_vjp
from mathdl.diagnosis import diagnose, diagnose_shape, nonfinite

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 4))
SQUARE = RNG.normal(size=(4, 4))
V = RNG.normal(size=5)
WEIGHT = RNG.normal(size=(3, 4))
BIAS = RNG.normal(size=3)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_vjp(x, dy):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def layer_norm_vjp(x, dy, mean=1, projection=1, scale=1):
    y = layer_norm(x)
    sigma = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    inner = mean * dy.mean(-1, keepdims=True) + projection * y * (dy * y).mean(-1, keepdims=True)
    return (dy - inner) / (sigma if scale else 1)


def relu(x):
    return np.where(x.real > 0, x, 0)


def linear(x, weight, bias):
    return x @ weight.T + bias


def linear_vjp(x, weight, bias, dy):
    return dy @ weight, dy.T @ x, dy.sum(0)


def refusal(check, *args, **options):
    with pytest.raises(CheckFailed) as failure:
        check(*args, **options)
    return str(failure.value)


def cubes(x):
    return (x**3).sum()


GRADIENTS = {
    "factor 3": (cubes, lambda x: 9 * x**2, X, "3.00× too large everywhere: a missing 1/3?"),
    "factor 1/2": (cubes, lambda x: 1.5 * x**2, V, "2.00× too small everywhere: a missing fact"),
    "factor 2/3": (cubes, lambda x: 2 * x**2, V, "1.50× too small everywhere: a factor 2/3?"),
    "sign": (cubes, lambda x: -3 * x**2, X, "sign flipped"),
    "sign and factor": (cubes, lambda x: -6 * x**2, X, "sign flipped, and 2.00× too large"),
    "not averaged": (lambda x: (x**3).mean(), lambda x: 3 * x**2, X, "a missing 1/24"),
    "averaged": (cubes, lambda x: 3 * x**2 / 6, X, "averaged instead of summed, with n = 6"),
    "rows for entries": (
        lambda x: (x**3).mean(),
        lambda x: 3 * x**2 / len(x),
        X,
        "a missing 1/n with n = 4 (axis 1 of x)",
    ),
    "Bessel": (
        lambda x: x.var(ddof=1),
        lambda x: 2 * (x - x.mean()) / 5,
        V,
        "n and n − 1 confused, with n = 5",
    ),
    "logarithm's base": (
        lambda x: np.log2(np.exp(x).sum()),
        lambda x: softmax(x),
        V,
        "a missing factor 1/ln 2",
    ),
    "zero": (cubes, lambda x: 0 * x, X, "all zero"),
    "transposed": (
        lambda x: cubes(SQUARE @ x),
        lambda x: (3 * (SQUARE @ x) ** 2).T @ SQUARE,
        SQUARE,
        "equals the transpose",
    ),
    "squared": (cubes, lambda x: (3 * x**2) ** 2, V, "squared"),
    "root": (cubes, lambda x: np.sqrt(3 * x**2), V, "the square root is taken"),
    "sign lost": (lambda x: (x**2).sum(), lambda x: np.abs(2 * x), V, "the sign is lost"),
    "one entry": (
        cubes,
        lambda x: 3 * x**2 + np.eye(6, 4) * np.eye(6, 4)[2],
        X,
        "wrong only in entry [2, 2]",
    ),
    "last row": (
        cubes,
        lambda x: np.concatenate([3 * x[:-1] ** 2, 0 * x[-1:]]),
        X,
        "wrong only in the last row (5), where it is zero",
    ),
    "first column": (
        cubes,
        lambda x: np.concatenate([6 * x[:, :1] ** 2, 3 * x[:, 1:] ** 2], 1),
        X,
        "wrong only in the first column (0), there 2.00× too large",
    ),
    "shifted": (cubes, lambda x: np.roll(3 * x**2, 1), V, "shifted by one: off by one?"),
    "shifted rows": (cubes, lambda x: np.roll(3 * x**2, -1, 0), X, "shifted by one along axis 0"),
    "reversed": (cubes, lambda x: 3 * x[::-1] ** 2, V, "reversed"),
    "reordered": (cubes, lambda x: 3 * np.sort(x) ** 2, V, "the right values in another order"),
    "column-major": (
        cubes,
        lambda x: (3 * x**2).ravel(order="F").reshape(x.shape),
        X,
        "column-major",
    ),
    "forgotten factor": (cubes, lambda x: 3 * x, X, "a missing factor x"),
    "factor twice": (cubes, lambda x: 3 * x**3, X, "the factor x once too often"),
    "penalty forgotten": (
        lambda x: np.sin(x).sum() + 0.05 * (x**2).sum(),
        lambda x: np.cos(x),
        X,
        "the term 0.1·x is missing (weight decay, an L2 penalty?)",
    ),
    "constant": (cubes, lambda x: 3 * x**2 + 0.5, X, "off by the same number everywhere: +0.5"),
    "length 1": (
        cubes,
        lambda x: 3 * x**2 / np.linalg.norm(3 * x**2),
        X,
        "normalised to length 1: right direction, wrong length",
    ),
    "wrong length": (cubes, lambda x: 1.2345 * 3 * x**2, X, "right direction, wrong length"),
    "float32": (
        cubes,
        lambda x: (3 * x**2).astype(np.float32).astype(float),
        X,
        "computed in float32",
    ),
    "difference": (
        cubes,
        lambda x: 3 * x**2 * (1 + 1e-8 * np.sin(100 * x)),
        X,
        "the size of float32's rounding",
    ),
    "rows normalised": (
        cubes,
        lambda x: 3 * x**2 / np.linalg.norm(3 * x**2, axis=1, keepdims=True),
        X,
        "each row has a factor of its own",
    ),
    "unrecognised": (cubes, lambda x: 3 * x**2 + np.sin(9 * x), X, "wrong in every entry"),
    "not a number": (cubes, lambda x: np.where(x > 1, np.nan, x), X, "not finite: nan or inf in"),
    "column for vector": (cubes, lambda x: (3 * x**2)[:, None], V, "wanted (5,)"),
    "broadcast": (cubes, lambda x: (3 * x**2)[None], V, "wanted (5,)"),
    "number": (cubes, lambda x: (3 * x**2).sum(), V, "a single number, summed over every axis?"),
    "integers": (cubes, lambda x: (3 * x**2).astype(int), V, "wrong dtype"),
    "narrow": (cubes, lambda x: (3 * x**2).astype("f4"), V, "wrong dtype: the gradient is float32"),
    "nothing": (cubes, lambda x: None, V, "is None"),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_planted_gradient_bug_is_named(name):
    f, wrong, x, phrase = GRADIENTS[name]
    for seed in range(3):
        assert phrase in refusal(check_gradient, f, wrong, x.copy(), seed=seed)


VJPS = {
    "kink side": (
        relu,
        lambda x, dy: dy * np.where(x > 0, 1, 0.1),
        (X,),
        "wrong only where x ≤ 0, where zero is right",
    ),
    "positive side": (
        lambda x: np.where(x.real > 0, np.exp(x), 1 + x),
        lambda x, dy: dy,
        (X,),
        "wrong only where x > 0",
    ),
    "saturated": (
        np.tanh,
        lambda x, dy: np.where(np.abs(x) > 1.2, 0, dy * (1 - np.tanh(x) ** 2)),
        (X,),
        "wrong only where |x| ≥ 1.",
    ),
    "activation's derivative": (
        sigmoid,
        lambda x, dy: dy,
        (X,),
        "equals dy itself: the local derivative is missing",
    ),
    "cotangent": (
        np.tanh,
        lambda x, dy: 1 - np.tanh(x) ** 2,
        (X,),
        "dy ignored, as if it were 1",
    ),
    "input for output": (
        sigmoid,
        lambda x, dy: dy * x * (1 - x),
        (X,),
        "has the slope x(1 − x), where sigmoid' at x is right",
    ),
    "half a derivative": (
        sigmoid,
        lambda x, dy: dy * sigmoid(x),
        (X,),
        "has the slope y, where sigmoid' at x",
    ),
    "other input": (
        lambda a, b: a * b,
        lambda a, b, dy: (dy, dy * a),
        (X, RNG.normal(size=X.shape)),
        "a: equals dy itself: the local derivative is missing",
    ),
    "softmax's sum": (
        softmax,
        lambda x, dy: softmax(x) * dy,
        (X,),
        "off by y times a number constant along axis 1",
    ),
    "log-softmax's sum": (
        lambda x: np.log(softmax(x)),
        lambda x, dy: dy,
        (X,),
        "equals dy itself: the local derivative is missing",
    ),
    "layer norm's mean": (
        layer_norm,
        lambda x, dy: layer_norm_vjp(x, dy, mean=0),
        (X,),
        "off by an amount that is constant along axis 1",
    ),
    "layer norm's projection": (
        layer_norm,
        lambda x, dy: layer_norm_vjp(x, dy, projection=0),
        (X,),
        "off by y times a number constant along axis 1",
    ),
    "layer norm's scale": (
        layer_norm,
        lambda x, dy: layer_norm_vjp(x, dy, scale=0),
        (X,),
        "each row has a factor of its own",
    ),
    "skip connection": (
        lambda x: x + np.sin(x),
        lambda x, dy: dy * np.cos(x),
        (X,),
        "the term dy is missing (the path of the skip connection not added?)",
    ),
    "overwritten": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, np.outer(dy[-1], x[-1]), dy.sum(0)),
        (X, WEIGHT, BIAS),
        "weight: equals what you get with: only the last sample of dy: overwritten",
    ),
    "bias over features": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, dy.T @ x, dy.sum(1)),
        (X, WEIGHT, BIAS),
        "bias has shape (6,), wanted (3,): 6 is axis 0 of dy: looks summed over features",
    ),
    "bias over features, square": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, dy.T @ x, dy.sum(1)),
        (X[:3], WEIGHT, BIAS),
        "bias: looks summed over features (the last axis of dy), not over the batch",
    ),
    "bias not summed": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, dy.T @ x, dy),
        (X, WEIGHT, BIAS),
        "not summed over the leading axis",
    ),
    "bias averaged": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, dy.T @ x, dy.mean(0)),
        (X, WEIGHT, BIAS),
        "bias: 6.00× too small everywhere: a missing factor 6? (averaged instead of summed",
    ),
    "weight transposed": (
        linear,
        lambda x, weight, bias, dy: (dy @ weight, x.T @ dy, dy.sum(0)),
        (X, WEIGHT, BIAS),
        "shape (4, 3), wanted (3, 4): equals the transpose",
    ),
    "swapped": (
        lambda a, b: a * np.exp(b),
        lambda a, b, dy: (dy * a * np.exp(b), dy * np.exp(b)),
        (X, RNG.normal(size=X.shape)),
        "a: equals the gradient of b: swapped?",
    ),
    "scores not scaled": (
        lambda q, k: q @ k.T / 2,
        lambda q, k, dy: (dy @ k, dy.T @ q),
        (X, RNG.normal(size=(3, 4))),
        "q, k: 2.00× too large everywhere",
    ),
    "masked output": (
        lambda x: np.sin(x) * np.tri(4),
        lambda x, dy: dy * np.cos(x),
        (SQUARE,),
        "wrong only where y = 0, where zero is right",
    ),
    "too few": (
        linear,
        lambda x, w, b, dy: (dy @ w, dy.T @ x),
        (X, WEIGHT, BIAS),
        "2 gradients, wanted 3",
    ),
    "one None": (
        linear,
        lambda x, w, b, dy: (dy @ w, None, dy.sum(0)),
        (X, WEIGHT, BIAS),
        "with respect to weight is None",
    ),
}


@pytest.mark.parametrize("name", VJPS)
def test_a_planted_vjp_bug_is_named(name):
    f, wrong, inputs, phrase = VJPS[name]
    for seed in range(3):
        assert phrase in refusal(check_vjp, f, wrong, *inputs, seed=seed)


def test_the_right_ones_are_not_refused():
    assert check_vjp(softmax, softmax_vjp, X).passed
    assert check_vjp(layer_norm, layer_norm_vjp, X).passed
    assert check_vjp(linear, linear_vjp, X, WEIGHT, BIAS).passed
    assert check_vjp(sigmoid, lambda x, dy: dy * sigmoid(x) * (1 - sigmoid(x)), X).passed


class Layer:
    """tanh(x w) with the mistakes that only memory makes."""

    def __init__(self, fault):
        self.fault, self.seen, self.total = fault, None, 0.0

    def forward(self, w):
        if self.fault != "first" or self.seen is None:
            self.seen = w
        return np.tanh(X[:, :3] @ w).sum()

    def grad(self, w):
        if self.fault in ("first", "last"):
            if self.seen is None:
                self.forward(w)
            w = self.seen
        g = X[:, :3].T @ (1 - np.tanh(X[:, :3] @ w) ** 2)
        if self.fault == "sum":
            self.total = self.total + g
            return self.total
        return g


@pytest.mark.parametrize(
    ("fault", "phrase"),
    [
        ("first", "a stale cache"),
        ("last", "a stale cache"),
        ("sum", "accumulated: every call adds"),
    ],
)
def test_what_is_remembered_from_another_point_is_named(fault, phrase):
    layer = Layer(fault)
    layer_right = Layer(None)
    w = np.array([0.3, -0.2, 0.5])
    assert phrase in refusal(check_gradient, layer.forward, layer.grad, w)
    assert check_gradient(layer_right.forward, layer_right.grad, w).passed


def test_chance_and_side_effects_are_named():
    rng = np.random.default_rng(0)
    dropout = lambda x: (x**2 * rng.integers(0, 2, x.shape)).sum()  # noqa: E731
    assert "f is random" in refusal(check_gradient, dropout, lambda x: 2 * x, X)

    def in_place(x):
        x *= 2
        return x

    assert "grad changes its argument x in place" in refusal(
        check_gradient, lambda x: (x**2).sum(), in_place, X.copy()
    )


def test_tensors_are_told_apart():
    params = {"W1": WEIGHT, "b1": BIAS, "W2": RNG.normal(size=(2, 3)), "b2": RNG.normal(size=2)}
    target = RNG.normal(size=(6, 2))

    def forward(p):
        a = np.tanh(X @ p["W1"].T + p["b1"])
        return a, a @ p["W2"].T + p["b2"]

    def grad(p, n=12):
        a, y = forward(p)
        dy = 2 * (y - target) / n
        dz = dy @ p["W2"] * (1 - a**2)
        return {"W1": dz.T @ X, "b1": dz.sum(0), "W2": dy.T @ a, "b2": dy.sum(0)}

    def loss(p):
        return ((forward(p)[1] - target) ** 2).mean()

    assert check_gradient(loss, grad, params).passed
    text = refusal(check_gradient, loss, lambda p: {**grad(p), "W1": 2 * grad(p)["W1"]}, params)
    assert "W1: 2.00× too large everywhere" in text
    assert "wrong: W1; right: b1, W2, b2" in text
    # The batch's size is found in the closure: rows taken for entries, and no average at all.
    text = refusal(check_gradient, loss, lambda p: grad(p, 6), params)
    assert "W1, b1, W2, b2: 2.00× too large everywhere: a missing 1/2?" in text
    text = refusal(check_gradient, loss, lambda p: grad(p, 1), params)
    assert "a missing 1/n with n = 12 (the number of entries of target)" in text


def test_an_index_used_twice_is_overwritten():
    tokens = np.array([0, 2, 2, 4, 0])

    def wrong(table, tokens, dy):
        out = np.zeros_like(table)
        out[tokens] += dy
        return out

    def right(table, tokens, dy):
        out = np.zeros_like(table)
        np.add.at(out, tokens, dy)
        return out

    table = RNG.normal(size=(6, 3))
    assert check_vjp(lambda table, tokens: table[tokens], right, table, tokens).passed
    text = refusal(check_vjp, lambda table, tokens: table[tokens], wrong, table, tokens)
    assert "wrong only in the rows that tokens names more than once" in text


def test_worst_entry_both_values_and_route_are_always_said():
    text = refusal(check_gradient, cubes, GRADIENTS["last row"][1], X)
    j = int(np.argmax(X[5] ** 2))
    assert f"worst at x[5, {j}]: got 0, the complex step says {3 * X[5, j] ** 2:.6g}" in text
    assert "tolerance 2.3e-13" in text


def test_other_mistakes_can_be_supplied():
    def momentum(lr, steps=20, dampened=False):
        x, v, out = np.array([1.0, -2.0]), np.zeros(2), []
        for _ in range(steps):
            v = 0.9 * v + (0.1 if dampened else 1.0) * x
            x = x - lr * v
            out.append(x)
        return np.array(out)

    text = refusal(
        check_equal,
        momentum(0.1, dampened=True),
        momentum(0.1),
        hypotheses={
            "twice the step": lambda: momentum(0.2),
            "dampening left in": lambda: momentum(0.1, dampened=True),
        },
    )
    assert text.startswith("equals what you get with: dampening left in\nworst at")
    text = refusal(
        check_gradient,
        cubes,
        lambda x: 3 * x**2 + np.cos(x),
        X,
        hypotheses={"a cosine added": lambda x: 3 * x**2 + np.cos(x)},
    )
    assert "equals what you get with: a cosine added" in text
    text = refusal(
        check_vjp,
        np.sin,
        lambda x, dy: dy * np.cosh(x),
        X,
        hypotheses={"cosh for cos": lambda x, dy: dy * np.cosh(x)},
    )
    assert "equals what you get with: cosh for cos" in text


def test_a_trajectory_says_from_where_on_it_is_wrong():
    right = RNG.normal(size=(10, 3)).cumsum(0)
    wrong = right.copy()
    wrong[4:] += RNG.normal(size=(6, 3))
    assert "wrong only from row 4 on: right up to row 3" in refusal(check_equal, wrong, right)


def test_hessians():
    def f(x):
        return (x[0] ** 2 * x[1] + np.exp(x[1] * x[2])).sum()

    def hessian(x):
        e = np.exp(x[1] * x[2])
        return np.array(
            [
                [2 * x[1], 2 * x[0], 0],
                [2 * x[0], x[2] ** 2 * e, e * (1 + x[1] * x[2])],
                [0, e * (1 + x[1] * x[2]), x[1] ** 2 * e],
            ]
        )

    x = np.array([0.5, -1.2, 0.7])
    assert check_hessian(f, hessian, x).passed
    assert "2.00× too large" in refusal(check_hessian, f, lambda x: 2 * hessian(x), x)
    text = refusal(check_hessian, f, lambda x: np.triu(hessian(x)), x)
    assert "not symmetric" in text
    assert "wrong only in entries [1, 0], [2, 1]" in text


def test_shapes_and_places_of_what_is_not_finite():
    assert nonfinite(np.array(np.inf)).endswith("the only one (inf)")
    text = nonfinite(np.array([1.0, np.nan]), {"x": np.array([2.0, -1000.0])})
    assert text == "not finite: nan or inf in 1 of 2 entries, first at [1] (nan), where x = -1000"
    assert "in another shape" in diagnose_shape(np.ones((2, 6)), (3, 4))
    assert diagnose_shape(np.ones((2, 5)), (3, 4)) == "shape (2, 5), wanted (3, 4)"
    assert "summed over every axis" in diagnose_shape(np.ones(()), (3,))


def test_a_mask_that_repeats_is_not_shifted():
    """Of [0, 1, 0, 1] and [1, 1, 0, 1] two pairs fit by chance."""
    x = np.array([0, 1, -2, 0.5])
    said = refusal(check_equal, (x >= 0) * 1.0, (x > 0) * 1.0)
    assert "shifted" not in said
    assert "wrong only in entry [0]" in said


def test_a_hypothesis_must_explain_the_error_and_not_just_be_near():
    right = RNG.normal(size=(5, 5))
    # The transpose is within 1e-7, but the error of 1e-9 is another.
    symmetric = right + right.T
    wrong = symmetric.copy()
    wrong[1, 2] += 1e-9
    assert diagnose(wrong, symmetric, noise=1e-14) == ["wrong only in entry [1, 2]"]
    assert diagnose(symmetric, symmetric) == []
    with pytest.raises(ValueError, match="differ"):
        diagnose(right, right[0])


def test_random_errors_are_not_explained_by_mistakes():
    """Over seeds, noise of any size is called noise: no hypothesis fits by chance."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        right = rng.normal(size=(4, 3))
        wrong = right + 10.0 ** rng.integers(-3, 1) * rng.normal(size=(4, 3))
        related = {name: rng.normal(size=(4, 3)) for name in ("x", "dy", "y")}
        (text,) = diagnose(wrong, right, related=related)
        assert text.startswith("wrong in every entry")


def test_a_large_network_is_diagnosed_from_a_sample(monkeypatch):
    """Where not every entry can be differentiated, a bisection finds the one that is wrong."""
    monkeypatch.setattr("mathdl._compare.PATIENCE", 0.0)
    x = {"W": RNG.normal(size=(90, 100)), "b": RNG.normal(size=50)}

    def f(p):
        return cubes(p["W"]) + cubes(p["b"])

    def grad(p):
        return {name: 3 * a**2 for name, a in p.items()}

    def one(p):
        g = grad(p)
        g["W"][17, 5] += 1.0
        return g

    text = refusal(check_gradient, f, one, x)
    assert "W: wrong only in entry [17, 5] of those tried" in text
    assert f"worst at W[17, 5]: got {3 * x['W'][17, 5] ** 2 + 1:.6g}" in text
    text = refusal(check_gradient, f, lambda p: {**grad(p), "W": 6 * p["W"] ** 2}, x)
    assert "W: 2.00× too large everywhere" in text
    text = refusal(check_gradient, f, lambda p: {**grad(p), "W": 3 * p["W"] * abs(p["W"])}, x)
    assert "W: wrong only where W ≤ 0, there sign flipped" in text

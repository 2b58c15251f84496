"""The contract of a check: routes, non-vacuity, records, publishing, and what surrounds it."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from mathdl import checks
from mathdl.checks import (
    CHECK_MIME,
    CheckFailed,
    check_bound,
    check_elementwise,
    check_equal,
    check_gradient,
    check_hessian,
    check_jacobian,
    check_rate,
    check_statistic,
    check_vjp,
    rejects,
    self_check,
)

torch = pytest.importorskip("torch")
X = np.random.default_rng(3).normal(size=(5, 4))


def cubes(x):
    return (x**3).sum()


def refusal(check, *args, **options):
    with pytest.raises(CheckFailed) as failure:
        check(*args, **options)
    result = failure.value.result
    assert result.passed is False and result.message == str(failure.value)
    json.dumps(result.record(), allow_nan=False)
    return str(failure.value)


# --- routes -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_three_routes_agree(dtype):
    x = {"a": X.astype(dtype), "b": X[0].astype(dtype)}
    result = check_gradient(
        lambda p: np.sin(p["a"] * p["b"]).sum(),
        lambda p: {
            "a": np.cos(p["a"] * p["b"]) * p["b"],
            "b": (np.cos(p["a"] * p["b"]) * p["a"]).sum(0),
        },
        x,
        torch=lambda p: torch.sin(p["a"] * p["b"]).sum(),
        claim="eq-chain-rule",
    )
    assert [r.name for r in result.routes] == [
        "complex step",
        "central differences",
        "autograd on cpu",
    ]
    assert [r.points for r in result.routes] == [4, 2, 24]
    assert result.dtype == np.dtype(dtype).name and result.device == "cpu"
    assert result.versions["torch"] == torch.__version__
    exact = result.routes[0]
    assert exact.worst_error < exact.tolerance / 10 < 1e-3
    assert exact.tolerance == pytest.approx(1024 * np.finfo(dtype).eps * 24**0.5)


def test_record_is_schema_one():
    record = check_gradient(cubes, lambda x: 3 * x**2, X, claim="eq-cube").record()
    keys = {"schema", "claim", "kind", "passed", "worst_error", "tolerance", "points", "scale"}
    assert set(record) == keys | {
        "routes",
        "device",
        "dtype",
        "duration",
        "versions",
        "message",
    }
    assert record["schema"] == 1 and record["claim"] == "eq-cube" and record["kind"] == "gradient"
    assert record["passed"] is True and record["message"] is None
    assert record["points"] == sum(route["points"] for route in record["routes"]) == 6
    assert record["scale"] == pytest.approx((3 * X**2).max())
    assert set(record["routes"][0]) == {"name", "worst_error", "tolerance", "points", "skipped"}
    assert set(record["versions"]) == {"python", "numpy"}
    # The route nearest to its tolerance stands for all.
    nearest = max(record["routes"], key=lambda r: r["worst_error"] / r["tolerance"])
    assert record["worst_error"] == nearest["worst_error"]
    json.dumps(record, allow_nan=False)
    with pytest.raises(ValueError, match="claim must be a label"):
        check_gradient(cubes, lambda x: 3 * x**2, X, claim="Eq 3")


def test_few_entries_are_tried_one_by_one_and_points_are_listed():
    result = check_gradient(lambda x: x**3, lambda x: 3 * x**2, [0.5, -1.0, 2.0])
    assert [r.points for r in result.routes] == [3, 3]
    # Two errors that cancel along half of the random signs.
    wrong = lambda x: 3 * x**2 + 1e-8 * np.array([1, -1])  # noqa: E731
    for seed in range(20):
        refusal(check_gradient, cubes, wrong, np.array([1.0, 2.0]), seed=seed)


def test_an_antisymmetric_error_does_not_cancel_along_any_direction():
    wrong = 3 * X**2
    wrong[0, 1] += 1e-7
    wrong[1, 0] -= 1e-7
    for seed in range(50):
        refusal(check_gradient, cubes, wrong, X, seed=seed, directions=1, routes=("complex",))


def test_a_small_tensor_is_seen_beside_a_large_one():
    x = {"large": X, "small": X[0]}
    f = lambda p: cubes(p["large"]) + 1e-8 * cubes(p["small"])  # noqa: E731
    right = lambda p: {"large": 3 * p["large"] ** 2, "small": 3e-8 * p["small"] ** 2}  # noqa: E731
    wrong = lambda p: {**right(p), "small": 6e-8 * p["small"] ** 2}  # noqa: E731
    assert check_gradient(f, right, x).passed
    assert "small: 2.00× too large" in refusal(check_gradient, f, wrong, x)


def test_the_cost_is_a_few_forward_passes():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return np.sin(x).sum()

    check_gradient(f, np.cos, np.random.default_rng(0).normal(size=(40, 50)))
    assert calls <= 9
    calls = 0
    check_gradient(f, np.cos, np.ones(2000), routes=("complex",), directions=1)
    assert calls <= 2


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (np.abs(x) ** 3).sum(),
        lambda x: float((x * x * np.abs(x)).real.sum()),
        lambda x: (np.linalg.norm(x, axis=0) ** 0 * np.abs(x) ** 3).sum() + 0 * x.sum(),
        lambda x: (x * x * np.where(x.real > 0, x.real, -x.real)).sum(),
        lambda x: np.sum([abs(v) ** 3 for v in x.ravel()]),
    ],
)
def test_a_function_that_is_not_complex_safe_is_named_and_differences_decide(f):
    right = lambda x: 3 * x * np.abs(x)  # noqa: E731
    result = check_gradient(f, right, X)
    assert "the function is not complex-safe" in result.text
    assert [r.name for r in result.routes] == ["central differences"]
    text = refusal(check_gradient, f, lambda x: 2 * right(x), X)
    assert "2.00× too large" in text and "not complex-safe" in text


def relu_loss(bias):
    data = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    weight = np.array([[1.0, -1.0], [-1.0, 1.0]])

    def loss(b):
        z = data @ weight + b
        return (np.where(z.real > 0, z, 0) ** 1).sum() + (b**2).sum()

    def grad(b):
        return ((data @ weight + b) > 0).sum(0).astype(float) + 2 * b

    return loss, grad, np.full(2, bias)


def test_a_point_on_a_kink_is_redrawn_and_reported():
    """XOR with zero bias: agreement there shows only the same convention."""
    loss, grad, b = relu_loss(0.0)
    result = check_gradient(loss, grad, b)
    assert "a point on a kink was redrawn beside it" in result.text
    central = result.routes[1]
    assert central.points and central.skipped
    assert "kinks" in result.text
    # Beside the kink nothing is redrawn, and a wrong gradient is refused at the kink as well.
    assert "redrawn" not in check_gradient(*relu_loss(0.25)).text
    refusal(check_gradient, loss, lambda b: 2 * grad(b) + 1, b)
    # With a value alone there is no other point: the complex step decides.
    assert check_gradient(loss, grad(b), b).routes[1].points == 0


def test_a_kink_within_the_step_is_skipped_not_refused():
    x = np.random.default_rng(0).normal(size=200)
    x[::4] *= 1e-7  # within the step of 6e-6
    result = check_gradient(
        lambda x: np.where(x.real > 0, x, 0.1 * x).sum(), lambda x: np.where(x > 0, 1, 0.1), x
    )
    assert result.passed and result.routes[1].points


def test_a_stationary_point_is_no_alarm():
    f = lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2  # noqa: E731

    def grad(x):
        a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
        return np.array([4 * a * x[0] + 2 * b, 2 * a + 4 * b * x[1]])

    minimum = np.array([-2.805118086952745, 3.131312518250573])
    assert check_gradient(f, grad, minimum).passed
    assert check_gradient(f, grad, [minimum, np.array([1.0, 2.0])]).passed
    refusal(check_gradient, f, lambda x: 1.1 * grad(x), [minimum, np.array([1.0, 2.0])])


def test_a_forward_bug_that_backward_shares_is_seen_by_torch():
    f, grad = lambda x: (x**3).sum() / 2, lambda x: 1.5 * x**2
    assert check_gradient(f, grad, X).passed
    text = refusal(check_gradient, f, grad, X, torch=lambda x: (x**3).sum())
    assert "2.00× too small" in text
    assert "f and its torch version differ" in text and "autograd on cpu says" in text


def test_vjp_reads_inputs_of_every_sort():
    index, table = np.array([0, 2, 2]), np.random.default_rng(0).normal(size=(4, 3))

    def embed(table, index, scale, mode):
        return table[index] * scale

    def vjp(table, index, scale, mode, dy):
        out = np.zeros_like(table)
        np.add.at(out, index, dy * scale)
        return out, None, (dy * table[index]).sum(), None

    assert check_vjp(embed, vjp, table, index, 0.5, "sum").passed
    only = lambda *a: vjp(*a)[0]  # noqa: E731
    assert check_vjp(embed, only, table, index, 0.5, "sum", wrt=0).passed
    assert "one array, wanted 2 gradients: table, scale" in refusal(
        check_vjp, embed, only, table, index, 0.5, "sum"
    )
    with pytest.raises(TypeError, match="a derivative needs a float32 or float64 input"):
        check_vjp(lambda i: i, lambda i, dy: dy, index)
    assert "wrap it" in refusal(check_vjp, lambda x: (x, None), lambda x, dy: dy, X)


def test_vjp_with_a_dict_of_parameters_and_torch():
    params = {"W": X, "b": X[:, 0]}
    result = check_vjp(
        lambda p, x: x @ p["W"].T + p["b"],
        lambda p, x, dy: ({"W": dy.T @ x, "b": dy.sum(0)}, dy @ p["W"]),
        params,
        X[:2],
        torch=lambda p, x: x @ p["W"].T + p["b"],
    )
    assert len(result.routes) == 3


def test_jacobian_and_its_transpose():
    A = np.random.default_rng(1).normal(size=(3, 3))
    f = lambda x: np.tanh(A @ x)  # noqa: E731
    jac = lambda x: (1 - np.tanh(A @ x) ** 2)[:, None] * A  # noqa: E731
    result = check_jacobian(
        f, jac, X[0, :3], torch=lambda x: torch.tanh(torch.as_tensor(A) @ x), claim="eq-jacobian"
    )
    assert result.kind == "jacobian" and len(result.routes) == 3
    assert check_jacobian(f, jac, [X[0, :3], X[1, :3]]).points == 2 * result.points - 2 * 9
    assert "equals the transpose" in refusal(check_jacobian, f, lambda x: jac(x).T, X[0, :3])
    assert "shape (3, 3), wanted (2, 3)" in refusal(
        check_jacobian, lambda x: f(x)[:2], jac, X[0, :3]
    )
    # Many outputs of a matrix, at random cotangents.
    B = np.random.default_rng(2).normal(size=(20, 5, 4))
    assert check_jacobian(lambda x: np.tensordot(B, x, 2), lambda x: B, X).passed


def test_hessian_by_every_route():
    A = X.T @ X

    def f(x):
        return np.cos(x).sum() + x @ A @ x / 2

    def grad(x):
        return -np.sin(x) + A @ x

    def hess(x):
        return A - np.diag(np.cos(x))

    x = X[0]
    result = check_hessian(
        f,
        hess,
        x,
        grad=grad,
        torch=lambda x: torch.cos(x).sum() + x @ torch.as_tensor(A) @ x / 2,
        claim="eq-hessian",
    )
    assert [r.name for r in result.routes] == [
        "complex step of the gradient",
        "central differences of the complex step",
        "autograd on cpu",
    ]
    assert check_hessian(f, lambda x, v: hess(x) @ v, x, grad=grad, hvp=True).passed
    assert "2.00× too large" in refusal(check_hessian, f, lambda x, v: 2 * hess(x) @ v, x, hvp=True)
    # A gradient that shares the Hessian's mistake does not hide it.
    refusal(check_hessian, f, lambda x: 2 * hess(x), x, grad=lambda x: 2 * grad(x))
    rough = check_hessian(lambda x: float(f(x).real), hess, x)
    assert [r.name for r in rough.routes] == ["second central differences"]
    refusal(check_hessian, lambda x: float(f(x).real), lambda x: 1.01 * hess(x), x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementwise_over_twelve_orders_of_magnitude(dtype):
    softsign = lambda x: x / (1 + np.where(x.real > 0, x, -x))  # noqa: E731
    vjp = lambda x, dy: dy / (1 + np.abs(x)) ** 2  # noqa: E731
    result = check_elementwise(
        softsign, vjp, checks.grid(dtype=dtype), torch=torch.nn.functional.softsign
    )
    assert [r.points for r in result.routes] == [24, 24, 24]
    tail = lambda x, dy: np.where(np.abs(x) > 500, 0, vjp(x, dy)).astype(x.dtype)  # noqa: E731
    assert "wrong only where |x| ≥ 1e+03" in refusal(
        check_elementwise, softsign, tail, checks.grid(dtype=dtype)
    )


def test_the_kink_has_a_convention():
    relu = lambda x: np.where(x.real > 0, x, 0)  # noqa: E731
    options = {"kinks": {0.0: 0.0}, "torch": torch.relu}
    result = check_elementwise(relu, lambda x, dy: dy * (x > 0), **options)
    assert result.routes[-1].name == "value at the kink"
    assert "wrong only at the kink x = 0: got 1, the convention says 0" in refusal(
        check_elementwise, relu, lambda x, dy: dy * (x >= 0), **options
    )


# --- equal, bound, rate, statistic --------------------------------------------------------


def test_equal():
    assert check_equal(X, X * (1 + 1e-15)).passed
    assert check_equal([X, 1.0], [X, 1.0]).points == 21
    assert check_equal(3, 3).passed
    assert check_equal(np.exp(1j * X), np.cos(X) + 1j * np.sin(X)).passed
    assert check_equal(X.astype(np.float32), X).tolerance == 1024 * 2.0**-23
    assert "1.25× too large" in refusal(check_equal, 5, 4)
    assert "shape (3, 1), wanted (3,): it would fit only by broadcasting, to (3, 3)" in refusal(
        check_equal, np.ones((3, 1)), np.ones(3)
    )
    refusal(check_equal, 1e-8, -1e-8)
    refusal(check_equal, [1.0, 2.0], [1.0])
    # Relative to the largest entry, and entry by entry in units of the last place.
    a = np.array([1.0, 1e-8])
    assert check_equal(a * [1, 1 + 1e-9], a).passed
    refusal(check_equal, a * [1, 1 + 1e-9], a, ulps=4)
    assert check_equal(np.nextafter(a, 2), a, ulps=1).passed
    refusal(check_equal, np.nextafter(np.nextafter(a, 2), 2), a, ulps=1)


def test_nothing_is_compared_with_nothing():
    zero = np.zeros(3)
    for text, check, args in (
        ("all zero", check_equal, (zero, zero)),
        ("all zero", check_bound, (zero, zero)),
        ("all zero", check_gradient, (lambda x: 0 * x.sum(), lambda x: 0 * x, np.ones(3))),
        ("all zero", check_jacobian, (lambda x: 0 * x, lambda x: np.zeros((3, 3)), np.ones(3))),
        ("all zero", check_hessian, (lambda x: x.sum(), lambda x: np.zeros((3, 3)), np.ones(3))),
        ("empty", check_equal, (np.ones(0), np.ones(0))),
        ("empty", check_bound, (np.ones(0), 1.0)),
        ("empty", check_gradient, (cubes, lambda x: 3 * x**2, np.ones(0))),
        ("empty", check_gradient, (cubes, lambda x: 3 * x**2, [])),
        ("not finite", check_equal, (np.array([np.nan]), np.array([np.nan]))),
        ("not finite", check_bound, (0.0, np.inf)),
        ("not finite", check_gradient, (cubes, lambda x: x / 0 * np.inf, np.ones(3))),
        ("not finite", check_gradient, (cubes, lambda x: x, np.array([np.inf]))),
        ("do not vary", check_statistic, (np.ones(100), 1.0)),
        ("all x are equal", check_rate, (np.ones(5), np.ones(5), 0.0)),
    ):
        options = {"tol": 0.1} if check is check_rate else {}
        with np.errstate(all="ignore"):
            assert text in refusal(check, *args, **options)


def test_what_is_claimed_to_be_zero_gives_its_scale():
    assert check_equal(np.full(3, 1e-17), np.zeros(3), scale=1.0).passed
    assert check_gradient(lambda x: 0 * x.sum(), lambda x: 0 * x, np.ones(3), scale=1.0).passed
    assert "0" in refusal(check_gradient, cubes, lambda x: 0 * x, X, scale=1.0)
    with pytest.raises(ValueError, match="scale must be a positive number"):
        check_equal(X, X, scale=0.0)
    # One tensor of several whose gradient vanishes: LoRA's A at B = 0.
    lora = {"A": X, "B": np.zeros((3, 5))}
    f = lambda p: np.sin(p["B"] @ p["A"]).sum()  # noqa: E731

    def grad(p):
        c = np.cos(p["B"] @ p["A"])
        return {"A": p["B"].T @ c, "B": c @ p["A"].T}

    assert "with respect to A is zero in every entry and rightly so" in refusal(
        check_gradient, f, grad, lora
    )
    assert check_gradient(f, grad, {**lora, "B": X[:3, [0, 1, 2, 3, 0]]}).passed


def test_bound():
    x = np.linspace(-3, 3, 101)
    assert check_bound(1 + x, np.exp(x), attained=True, claim="eq-tangent").kind == "bound"
    assert check_bound(0.0, np.exp(x)).points == 101
    assert "broken at 50 of 101 points" in refusal(check_bound, 1 + x, np.exp(np.minimum(x, 0)))
    assert "not attained" in refusal(check_bound, x, np.exp(x), attained=True)
    assert "differ" in refusal(check_bound, x[:, None], np.exp(x))
    assert check_bound(1 + x + 1e-3, np.exp(x) + 1e-3 - 1e-4, slack=1e-4).passed


def test_rate():
    h = 2.0 ** -np.arange(1, 9)
    error = (np.exp(h) - np.exp(-h)) / (2 * h) - 1
    assert check_rate(h, error, 2, tol=0.05).passed
    assert "the exponent is 2, not 1 within 0.05" in refusal(check_rate, h, error, 1, tol=0.05)
    k = np.arange(20)
    assert check_rate(k, 3 * 0.9**k, 0.9, tol=1e-12, kind="geometric").passed
    assert "factor per step is 0.9" in refusal(
        check_rate, k, 0.9**k, 0.8, tol=0.01, kind="geometric"
    )
    assert "at least 3 points" in refusal(check_rate, h[:2], error[:2], 2, tol=0.1)
    assert "positive" in refusal(check_rate, h, -error, 2, tol=0.1)
    with pytest.raises(TypeError, match="tol"):
        check_rate(h, error, 2)


def test_statistic_rarely_errs_and_sees_a_tenth():
    rng = np.random.default_rng(0)
    for _ in range(200):
        samples = rng.exponential(size=(2000, 3))
        assert check_statistic(samples, 1.0).passed
        assert check_statistic(samples.T, np.ones(3), kind="variance", axis=1).passed
    assert "standard errors away, 5 allowed" in refusal(check_statistic, samples, 1.2)
    assert "the variance of 2000 samples" in refusal(
        check_statistic, rng.normal(size=2000), 1.3, kind="variance"
    )
    assert "at least 30" in refusal(check_statistic, samples[:20], 1.0)
    assert "expected has shape" in refusal(check_statistic, samples, np.ones(2))


@pytest.mark.parametrize("x", [2, np.arange(3), np.ones(3, np.float16), 1j * np.ones(2)])
def test_integers_have_no_derivative(x):
    with pytest.raises(TypeError, match="a derivative needs float32 or float64"):
        check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, x)


def test_options_that_make_no_sense_are_refused():
    for options, text in (
        ({"routes": ("magic",)}, "routes are"),
        ({"routes": ()}, "routes must name"),
        ({"directions": 0}, "directions must be"),
        ({"scale": -1.0}, "scale must be"),
    ):
        with pytest.raises(ValueError, match=text):
            check_gradient(cubes, lambda x: 3 * x**2, X, **options)


def test_the_device_comes_from_the_environment(monkeypatch):
    assert checks.device() == "cpu"
    for name in ("cuda", "cuda:1", "mps"):
        monkeypatch.setenv("MATHDL_DEVICE", name)
        assert checks.device() == name
    monkeypatch.setenv("MATHDL_DEVICE", "tpu")
    with pytest.raises(ValueError, match="MATHDL_DEVICE must be cpu, cuda, cuda:N or mps"):
        checks.device()


# --- publishing ---------------------------------------------------------------------------


@pytest.fixture
def shell():
    """A real IPython, whose display data are caught."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.published = []

    def publish(data, metadata=None, **_):
        shell.published.append((data, metadata))

    shell.display_pub.publish = publish
    shell.displayhook.write_format_data = lambda data, metadata=None: publish(data, metadata)
    shell.run_cell("import numpy as np\nfrom mathdl.checks import *", store_history=False)
    yield shell
    InteractiveShell.clear_instance()


def records(shell):
    return [data[CHECK_MIME] for data, _ in shell.published if CHECK_MIME in data]


PASSING = "check_equal(np.ones(2), np.ones(2), claim='eq-one')"
FAILING = "check_equal(np.ones(2), -np.ones(2), claim='eq-one')"


def test_a_passing_check_is_published_once_even_as_the_last_expression(shell):
    assert shell.run_cell(PASSING).success
    (record,) = records(shell)
    assert record["passed"] and record["claim"] == "eq-one"
    data = shell.published[0][0]
    assert set(data) == {CHECK_MIME, "text/plain", "text/html"}
    assert data["text/plain"].startswith("✓ eq-one · worst error 0.0e+00 ≤ 2.3e-13")
    shell.run_cell(f"result = {PASSING}\nresult")
    shell.run_cell("result")
    assert len(records(shell)) == 2
    assert len(shell.published) == 2


@pytest.mark.parametrize(
    "cell",
    [
        FAILING,
        f"try:\n    {FAILING}\nexcept Exception:\n    pass",
        f"import threading\nt = threading.Thread(target=lambda: {FAILING})\n"
        "t._invoke_excepthook = lambda *a: None\nt.start()\nt.join()",
        "try:\n    check_gradient(lambda x: x.sum(), lambda x: 1 / 0, np.ones(2), claim='eq-one')\n"
        "except ZeroDivisionError:\n    pass",
        "try:\n    check_gradient(np.sum, np.ones_like, np.arange(2), claim='eq-one')\n"
        "except TypeError:\n    pass",
    ],
    ids=["bare", "swallowed", "thread", "an error in the page's code", "integers"],
)
def test_a_failing_check_leaves_its_record_whatever_happens(shell, cell):
    shell.run_cell(cell)
    (record,) = records(shell)
    assert record["passed"] is False and record["claim"] == "eq-one" and record["message"]
    json.dumps(record, allow_nan=False)


def test_rejects_publishes_nothing_and_demands_its_phrase(shell, capsys):
    shell.run_cell(f"with rejects('sign flipped'):\n    {FAILING}")
    assert records(shell) == []
    with rejects("sign flipped"):
        check_equal(-X, X)
    assert capsys.readouterr().out.count("sign flipped\nworst at") == 2
    with (
        pytest.raises(AssertionError, match="expected to contain 'transpose'"),
        rejects("transpose"),
    ):
        check_equal(-X, X)
    with pytest.raises(AssertionError, match="nothing failed"), rejects("transpose"):
        check_equal(X, X)
    with pytest.raises(ZeroDivisionError), rejects("transpose"):
        raise ZeroDivisionError
    # Afterwards checks are published again.
    shell.run_cell(PASSING)
    assert len(records(shell)) == 1


def test_self_check_tells_the_reader_and_publishes_no_record(shell, capsys):
    def unfinished(x): ...

    def later(x):
        raise NotImplementedError

    def broken(x):
        return x + "1"

    def half(x):
        return x

    args = (lambda x: (x**2).sum(), X)
    assert self_check(check_gradient, args[0], lambda x: 2 * x, args[1]) is True
    assert "✓ gradient" in shell.published[-1][0]["text/html"]
    assert self_check(check_gradient, args[0], half, args[1]) is False
    assert "2.00× too small" in shell.published[-1][0]["text/plain"]
    capsys.readouterr()
    for answer, text in (
        (unfinished, "not attempted yet: `unfinished` returns None\n"),
        (later, "not attempted yet: `later` raises NotImplementedError\n"),
        (broken, "your code raised UFuncTypeError"),
    ):
        assert self_check(check_gradient, args[0], answer, args[1]) is False
        assert capsys.readouterr().out.startswith(text)
    assert self_check(check_equal, unfinished(1), 3.0) is False
    assert capsys.readouterr().out == "not attempted yet: `actual` returns None\n"
    assert self_check(check_gradient, unfinished, lambda x: 2 * x, X) is False
    assert records(shell) == []


def test_glue_is_read_by_the_book(shell):
    import nbformat
    from myst_nb.ext.glue import extract_glue_data_cell

    checks.glue(page_slope=np.float64(1.25), page_count=3, page_name="Adam")
    outputs = [
        nbformat.v4.new_output("display_data", data, metadata=metadata)
        for data, metadata in shell.published
    ]
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    found = {key: out["data"]["text/plain"] for key, out in extract_glue_data_cell(cell)}
    assert found == {"page_slope": "1.25", "page_count": "3", "page_name": "'Adam'"}
    assert cell.outputs == []
    with pytest.raises(TypeError, match="page_x must be a number or a string"):
        checks.glue(page_x=[1])


def test_outside_a_notebook_nothing_is_printed(capsys):
    result = check_equal(X, X)
    checks.glue(page_slope=1.0)
    assert capsys.readouterr().out == ""
    assert "mathdl-check--pass" in result._repr_html_()
    assert str(result) == result.text and "\n" not in result.text


def test_checks_need_neither_torch_nor_ipython():
    """As in the reader's browser."""
    code = (
        "import sys\nfor name in ('torch', 'IPython', 'scipy', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np\nfrom mathdl import checks\n"
        "checks.glue(a_b=1.0)\n"
        "r = checks.check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, np.ones(3))\n"
        "assert checks.self_check(checks.check_equal, np.ones(2), np.ones(2))\n"
        "with checks.rejects('sign flipped'):\n"
        "    checks.check_vjp(np.sin, lambda x, dy: -dy * np.cos(x), np.arange(3.0))\n"
        "print(r.passed)\n"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines()[-1] == "True"


def test_checks_hold_under_python_optimize():
    code = (
        "import numpy as np\nfrom mathdl.checks import *\n"
        "try:\n    check_equal(np.ones(2), -np.ones(2))\n"
        "except CheckFailed:\n    print('refused')\n"
    )
    out = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert out.stdout == "refused\n", out.stderr


def test_checks_run_in_threads():
    results, failures = [], []

    def work(seed):
        try:
            results.append(check_gradient(cubes, lambda x: 3 * x**2, X, seed=seed))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(results) == 8


@pytest.mark.parametrize("rounding", [-1e-15, 0.0, 1e-15])
def test_of_two_errors_alike_the_first_is_named_on_every_machine(rounding):
    got = np.array([[1.0, 3.0], [3.0 + rounding, 1.0]])
    with pytest.raises(CheckFailed, match=r"worst at \[0, 1\]"):
        check_equal(got, np.ones((2, 2)))

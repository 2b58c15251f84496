"""What the check of a lab's step says, and that nothing wrong passes it."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl import _records
from mathdl.checks import check_equal, check_vjp
from mathdl.labs import StepFailed, check_step, expect
from mathdl.layers import linear_forward


def refused(check) -> str:
    """Return what the check of a step says."""
    with pytest.raises(StepFailed) as caught:
        check_step("step-a", check)
    assert caught.value.step == "step-a"
    assert str(caught.value) == f"step-a: {caught.value.message}"
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert caught.value.__suppress_context__
    return caught.value.message


def test_the_unwritten_function_is_named_however_deep_it_is_called() -> None:
    def unwritten(x):
        raise NotImplementedError("write unwritten")

    def given(x):
        return unwritten(x) + 1

    assert refused(lambda: check_equal(given(1.0), 2.0)) == "still to be written: `unwritten`"
    by_the_library = refused(lambda: check_vjp(given, lambda x, dy: dy, np.ones(2)))
    assert by_the_library == "still to be written: `unwritten`"


def test_a_missing_name_is_named() -> None:
    message = refused(lambda: check_equal(never_defined, 2.0))  # noqa: F821
    assert message.startswith("`never_defined` does not exist yet: write and run the cell")


def test_an_error_of_the_readers_is_told_with_its_line() -> None:
    def forward(x):
        return x @ np.ones(3)

    message = refused(lambda: check_equal(forward(np.ones(2)), 2.0))
    assert message.startswith("`forward` raised ValueError, at `return x @ np.ones(3)`: matmul")

    def layer(x):
        return linear_forward(x, np.ones((3, 2)), np.ones(4))

    assert "`layer` raised ValueError, at `return linear_forward(" in refused(
        lambda: check_equal(layer(np.ones((1, 2)))[0], 2.0)
    )


def test_a_wrong_answer_gets_the_diagnosis_or_the_labs_own_words() -> None:
    x = np.array([1.0, -2.0])
    assert refused(lambda: check_equal(-x, x)).startswith("sign flipped")

    def summed_over_features():
        db = np.ones((2, 3)).sum(axis=1)
        expect(db.shape == (3,), f"your db has shape {db.shape}, expected (3,)")
        return check_equal(db, x)

    assert refused(summed_over_features) == "your db has shape (2,), expected (3,)"


def test_expect_takes_what_holds() -> None:
    expect(True, "never said")
    expect(np.bool_(True), "never said")
    with pytest.raises(AssertionError, match="no rows"):
        expect([], "no rows")


@pytest.mark.parametrize("result", [None, True, [], (), [None], "checked", 1.0])
def test_a_check_that_checks_nothing_is_no_check(result) -> None:
    with pytest.raises(TypeError, match="step-a: "):
        check_step("step-a", lambda: result)


@pytest.fixture
def shown(monkeypatch):
    """Collect what is put into the notebook."""
    monkeypatch.setattr(_records, "shell", lambda: object())
    bundles: list[dict] = []
    monkeypatch.setattr(_records, "show", bundles.append)
    return bundles


def test_results_are_published_once_all_have_passed(shown) -> None:
    x = np.array([1.0, -2.0])
    check_step("step-a", lambda: check_equal(x, x.copy()))
    assert [bundle[_records.CHECK_MIME]["passed"] for bundle in shown] == [True]
    check_step("step-a", lambda: (check_equal(x, x.copy()), check_equal(2 * x, x + x)))
    assert len(shown) == 3


def test_nothing_is_published_of_a_step_that_fails(shown) -> None:
    x = np.array([1.0, -2.0])
    refused(lambda: (check_equal(x, x.copy()), check_equal(-x, x)))
    assert shown == []
    check_equal(x, x.copy())  # a check outside publishes again
    assert len(shown) == 1

"""The steps of the labs: a check of the reader's work that ends in one helpful message."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from mathdl._records import CheckFailed, CheckResult, publish, quiet

__all__ = ["StepFailed", "check_step", "expect"]

OWN = ("mathdl", "numpy", "torch")


class StepFailed(AssertionError):
    """A step that is not right yet; a notebook shows its text alone, without a traceback.

    Attributes
    ----------
    step : str
        Label of the step.
    message : str
        What is wrong.
    """

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step
        self.message = message

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def expect(condition: object, message: str) -> None:
    """Refuse a step's answer with a message of the lab's own.

    Parameters
    ----------
    condition : bool
        What must hold.
    message : str
        What is wrong where it does not, in the terms of the lab, and what to look at.

    Raises
    ------
    AssertionError
        With the message.

    Examples
    --------
    >>> expect((4,) == (3,), "your db has shape (4,), expected (3,): sum over the rows")
    Traceback (most recent call last):
    AssertionError: your db has shape (4,), expected (3,): sum over the rows
    """
    if not condition:
        raise AssertionError(message)


def check_step(step: str, check: Callable[[], CheckResult | Sequence[CheckResult]]) -> None:
    """Check a step of a lab, and say in one message what is missing or wrong.

    Parameters
    ----------
    step : str
        Label of the step, such as ``"step-neuron"``.
    check : callable
        Takes nothing; makes the step's checks and returns the result of one, or of several in a
        sequence. These are published once all have passed.

    Raises
    ------
    StepFailed
        If the step is still to be written, needs a cell that has not been run, raises an error
        of its own, or is wrong: then with the diagnosis of the check that failed.
    TypeError
        If ``check`` returns no check's result, so that nothing would have been checked.

    Examples
    --------
    >>> from mathdl.checks import check_equal
    >>> def double(x):
    ...     raise NotImplementedError("your turn")
    >>> check_step("step-double", lambda: check_equal(double(2.0), 4.0))
    Traceback (most recent call last):
    mathdl.labs.StepFailed: step-double: still to be written: `double`
    >>> def double(x):
    ...     return -2.0 * x
    >>> check_step("step-double", lambda: check_equal(double(2.0), 4.0))
    Traceback (most recent call last):
    mathdl.labs.StepFailed: step-double: sign flipped
    worst: got -4, expected 4 (error 2.0e+00, tolerance 2.3e-13)
    """
    token = quiet.set(True)
    try:
        results = check()
    except CheckFailed as failure:
        problem = str(failure)
    except NotImplementedError as error:
        problem = f"still to be written: `{_place(error).name}`"
    except NameError as error:
        problem = (
            f"`{error.name}` does not exist yet: write and run the cell that makes it, "
            "in this step or one above"
        )
    except Exception as error:
        own = isinstance(error, AssertionError) and str(error)  # the lab's words, or the reader's
        problem = own or _raised(error)
    else:
        problem = None
    finally:
        quiet.reset(token)
    if problem is not None:
        raise StepFailed(step, problem) from None
    results = [results] if isinstance(results, CheckResult) else results
    if not isinstance(results, list | tuple) or not results:
        raise TypeError(f"{step}: the check must return the result of a check_*, or several")
    for result in results:
        if not isinstance(result, CheckResult):
            raise TypeError(f"{step}: {type(result).__name__} is no check's result")
        publish(result)


def _raised(error: Exception) -> str:
    place = _place(error)
    at = f", at `{place.line}`" if place.line else ""
    return f"`{place.name}` raised {type(error).__name__}{at}: {error}".rstrip(": ")


def _place(error: BaseException) -> Any:
    """Return the innermost frame of the reader's own code in which an error arose."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in OWN
    ]
    inner = frames[-1:] or list(traceback.walk_tb(error.__traceback__))[-1:]
    return traceback.StackSummary.extract(inner)[0]

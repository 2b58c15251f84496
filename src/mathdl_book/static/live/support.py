"""What runs the reader's cells: one namespace, displays as in a notebook, short tracebacks.

Loaded once into the browser's Python. ``mathdl_live_host`` is the worker's side: ``display`` takes
a MIME bundle as JSON.
"""

import ast
import base64
import functools
import io
import json
import linecache
import os
import re
import sys
import traceback
import types

import mathdl_live_host as host
from mathdl_live_pretty import pretty  # what a notebook prints for a value
from pyodide.code import eval_code_async

import __main__

CELL = re.compile(r"<cell (\d+)>")
os.environ["MPLBACKEND"] = "module://mathdl_live_figures"


# --- displays -----------------------------------------------------------------------------------


def display(*values, raw=False, metadata=None, **_):
    """Show values below the cell, each in the richest way that it knows."""
    for value in values:
        bundle = value if raw else bundle_of(value)
        if bundle:
            host.display(json.dumps(bundle))


def bundle_of(value):
    """Return a value's MIME bundle, None if it has shown itself."""
    if isinstance(value, type):
        return {"text/plain": pretty(value)}
    if hasattr(value, "_ipython_display_"):
        value._ipython_display_()
        return None
    if type(value).__module__ == "matplotlib.figure":
        return picture(value)
    if hasattr(value, "_repr_mimebundle_"):
        return value._repr_mimebundle_()
    bundle = {"text/plain": pretty(value)}
    if hasattr(value, "_repr_html_") and (page := value._repr_html_()):
        bundle["text/html"] = page
    return bundle


class HTML:
    """Text that is shown as HTML."""

    def __init__(self, data):
        self.data = data

    def _repr_html_(self):
        return self.data


class Shell:
    """As much of IPython as libraries ask for."""

    display_formatter = None
    events = types.SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)

    def enable_gui(self, gui=None):
        """Do nothing: there are no windows."""


def stand_in():
    """Make `IPython` and `IPython.display` importable."""
    shell = Shell()
    ipython = types.ModuleType("IPython")
    ipython.version_info = (9, 0, 0)
    ipython.get_ipython = lambda: shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    ipython.display.HTML = HTML
    sys.modules["IPython"] = ipython
    sys.modules["IPython.display"] = ipython.display


# --- figures ------------------------------------------------------------------------------------


def show_figures():
    """Show the figures that are open, in the order in which they were made, and close them."""
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return
    try:
        for number in plt.get_fignums():
            host.display(json.dumps(picture(plt.figure(number))))
    finally:
        plt.close("all")


def picture(figure):
    """Return a figure as a MIME bundle, with a text that says what is in it."""
    plots = sys.modules.get("mathdl.plots")
    bundle = {"text/plain": described(figure)}
    if plots is not None and figure.get_facecolor()[3] == 0:  # in the house style
        return bundle | {"image/svg+xml": plots.figure_svg(figure)}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return bundle | {"image/png": base64.b64encode(buffer.getvalue()).decode()}


def described(figure):
    """Return what can be said of a figure without seeing it: axes, their labels, their lines."""
    parts = []
    for axes in figure.axes:
        said = [axes.get_title()]
        labels = [text for text in (axes.get_xlabel(), axes.get_ylabel()) if text]
        said += [f"axes {' and '.join(labels)}"] if labels else []
        named = [str(line.get_label()) for line in axes.lines]
        named = [name for name in named if not name.startswith("_")]
        said += [f"lines {', '.join(named)}"] if named else []
        parts.append("; ".join(filter(None, said)))
    return "Figure. " + ". ".join(filter(None, parts))


# --- NumPy ----------------------------------------------------------------------------------------


def mend_numpy():
    """Have NumPy's linear algebra raise as it does elsewhere.

    It learns of a singular matrix from the processor's floating-point flags, which WebAssembly
    does not have, and would return nan.
    """
    import numpy as np

    for name, message in REFUSALS.items():
        function = raising(getattr(np.linalg, name), message)
        for module in (np.linalg, sys.modules["numpy.linalg._linalg"]):
            setattr(module, name, function)


REFUSALS = {
    "inv": "Singular matrix",
    "solve": "Singular matrix",
    "cholesky": "Matrix is not positive definite",
}


def raising(function, message):
    """Return a function that raises LinAlgError where finite arguments give nan."""
    import numpy as np

    @functools.wraps(function)
    def wrapped(*args, **options):
        result = function(*args, **options)
        if np.isnan(result).any() and all(np.isfinite(argument).all() for argument in args):
            raise np.linalg.LinAlgError(message)
        return result

    return wrapped


# --- running ------------------------------------------------------------------------------------


def packages(code, known):
    """Return the packages that a cell imports, out of a mapping from modules to packages."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    if "mathdl.plots" in modules:  # it imports Matplotlib where it needs it
        modules.add("matplotlib")
    tops = {name.partition(".")[0] for name in modules}
    return sorted({known[name] for name in tops if name in known})


async def run_cell(code, number):
    """Run a cell; return None, or its error as JSON with ``name``, ``text`` and ``step``."""
    name = f"<cell {number}>"
    lines = code.splitlines(keepends=True)
    linecache.cache[name] = (len(code), None, lines, name)
    try:
        value = await eval_code_async(
            code, __main__.__dict__, filename=name, quiet_trailing_semicolon=True
        )
        if value is not None:
            display(value)
            __main__.__dict__["_"] = value
    except BaseException as error:
        show_figures()
        return json.dumps(failure(error, number))
    show_figures()
    return None


def failure(error, number):
    """Return what to show of an error: the reader's own lines."""
    short = getattr(error, "_render_traceback_", None)
    step = type(error).__name__ == "StepFailed"
    text = "\n".join(short()) if short else "".join(own_lines(error, number))
    return {"name": type(error).__name__, "text": text.rstrip(), "step": step}


def own_lines(error, number):
    """Yield an error's traceback, with those of what caused it, without the libraries' lines."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from own_lines(cause, number)
        yield "\nand then:\n\n"
    for frame in traceback.extract_tb(error.__traceback__):
        if found := CELL.fullmatch(frame.filename):
            there = "" if int(found[1]) == number else f"cell {found[1]}, "
            inside = "" if frame.name == "<module>" else f", in {frame.name}"
            yield f"{there}line {frame.lineno}{inside}\n    {frame.line}\n"
    last = traceback.TracebackException(type(error), error, None)
    for line in last.format_exception_only():
        yield re.sub(r'  File "<cell \d+>", line', "line", line)


stand_in()

"""`mathdl`'s own tests and doctests in the Python that the browser has, with the shipped wheel."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from IPython.lib import pretty

from mathdl_book import live, pyodide
from mathdl_book.typesetting import node_binary

from .conftest import skip_without

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# What pytest and the tests need, all of it Python alone.
PURE = ("pytest", "_pytest", "pluggy", "iniconfig", "pygments", "mpmath", "sortedcontainers")
# Hypothesis as it was before it had a compiled part, of which there is no build for browsers.
HYPOTHESIS = (
    "hypothesis-6.155.7-py3-none-any.whl",
    "9f634bdb1f9e9b8ab6ba09431cf2deedb750c96978125a6fb3c5a0f6c6db4131",
)
START = """
import os, sys
sys.path[:0] = ["/pure"]
os.chdir("/")
os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MPLBACKEND": "agg"}
import mathdl_live  # as a page's cells have it
mathdl_live.mend_numpy()
import hypothesis, mathdl, pytest
hypothesis.settings.register_profile("browser", max_examples=20, deadline=None, database=None)
hypothesis.settings.load_profile("browser")
assert os.path.dirname(mathdl.__file__).endswith("site-packages/mathdl")
options = ["-q", "-p", "absent", "-p", "no:cacheprovider", "-p", "no:faulthandler",
    "--import-mode=importlib", "--doctest-modules", "-c", "/pytest.ini", "--tb=short"]
int(pytest.main([*options, *CHOSEN]))
"""
INI = """
[pytest]
doctest_optionflags = NORMALIZE_WHITESPACE ELLIPSIS
filterwarnings =
    error
    ignore::pytest.PytestCollectionWarning
"""


def hypothesis_wheel() -> bytes:
    """Return the wheel from PyPI, by pip itself."""
    name = HYPOTHESIS[0]
    _, version, *_ = name.split("-")
    cache = pyodide.cache_folder(pyodide.pins()["version"])
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version=3.14", "--platform=any"]
    command = [sys.executable, "-m", "pip", "download", "-q", *wanted, f"hypothesis=={version}"]
    run = subprocess.run([*command, "-d", str(cache)], capture_output=True, text=True)
    if run.returncode:
        raise OSError(run.stderr)
    return (cache / name).read_bytes()


def run_in_pyodide(folder: Path, chosen: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests and doctests there.

    Parameters
    ----------
    folder : Path
        Gets what that takes.
    chosen : list of str
        Arguments for pytest.
    """
    kept = pyodide.cache_folder(pyodide.pins()["version"])
    sources = pyodide.sources_here() or pyodide.Sources(None, kept)
    manifest = pyodide.install(folder / "site", sources)
    skip_without(manifest)
    runtime = folder / "runtime"
    runtime.mkdir()
    for name, data in sources.core(pyodide.pins()).items():
        (runtime / name).write_bytes(data)
    for name in manifest["packages"]:
        (runtime / name).write_bytes((folder / "site" / name).read_bytes())
    wheel = sources.find(*HYPOTHESIS, hypothesis_wheel)
    if wheel is None:
        assert "CI" not in os.environ
        pytest.skip(f"{HYPOTHESIS[0]} is not to be had here")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        archive.extractall(folder / "wheel")
    mounts = {f"/{name}": ROOT / name for name in ("book", "src")}
    mounts |= {"/tests/mathdl": ROOT / "tests" / "mathdl"}
    mounts |= {"/pure/hypothesis": folder / "wheel" / "hypothesis"}
    for name in PURE:
        mounts[f"/pure/{name}"] = Path(find_spec(name).origin).parent
    files = {
        "/pytest.ini": INI,
        "/pure/absent.py": (HERE / "absent.py").read_text(encoding="utf-8"),
        "/pure/_hypothesis_globals.py": (folder / "wheel" / "_hypothesis_globals.py").read_text(),
        "/pure/py.py": Path(find_spec("py").origin).read_text(encoding="utf-8"),
        "/pure/mathdl_live.py": (live.STATIC / "support.py").read_text(encoding="utf-8"),
        "/pure/mathdl_live_pretty.py": Path(pretty.__file__).read_text(encoding="utf-8"),
    }
    settings: dict[str, Any] = {
        "folder": f"{runtime}/",
        "lock": manifest["lock"],
        "mounts": {path: str(there) for path, there in mounts.items()},
        "files": files,
        "start": START.replace("CHOSEN", repr(chosen)),
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return subprocess.run(
        [node_binary(), str(HERE / "library.mjs"), str(folder / "settings.json")],
        capture_output=True,
        text=True,
        timeout=1500,
    )


# The longest file by itself, so that it can run beside the others.
LONGEST = "/tests/mathdl/test_bugs_optimizers.py"


@pytest.mark.parametrize(
    ("chosen", "least"),
    [(["/tests/mathdl", "--pyargs", "mathdl", f"--ignore={LONGEST}"], 100), ([LONGEST], 80)],
    ids=["all-others", "planted-bugs"],
)
def test_the_library_passes_its_tests_in_pyodide(tmp_path, chosen, least):
    run = run_in_pyodide(tmp_path, chosen)
    found = re.search(r"COUNTS (.*)", run.stdout)
    assert found and run.returncode == 0, (run.stdout + run.stderr)[-6000:]
    counts, reasons = json.loads(found[1])
    print(f"in Pyodide: {counts}; skipped: {reasons}")
    assert counts["passed"] > least

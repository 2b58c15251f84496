"""Kernels: what they are given, how they end, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from zmq.utils.garbage import GarbageCollector

from mathdl_book import kernels, running
from mathdl_book.kernels import can_fork, open_kernels, preloads
from mathdl_book.running import run_page

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by signal")
forked_or_spawned = pytest.mark.parametrize("fork", [True, False], ids=["forked", "spawned"])


def run(root, *pages, fork=None, limit=30.0, packages=("numpy", "matplotlib")):
    """Run pages, each a tuple of cells, one after the other; return their runs."""

    async def all_pages():
        (root / "book").mkdir(exist_ok=True)
        runs = []
        async with open_kernels(packages, root, fork=fork) as opened:
            for cells in pages:
                notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
                where = {"cwd": root / "book", "root": root}
                runs.append(await run_page(notebook, opened, **where, limit=limit))
        return runs

    if fork and not can_fork():
        pytest.skip("no safe fork here")
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(all_pages())


def text(one, number=1):
    """Return what a cell printed or returned."""
    outputs = one.notebook.cells[number - 1].outputs
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


SURROUNDINGS = """
import os, sys, tempfile
import numpy as np
print(os.getcwd(), os.getpgid(0) == os.getpid(), os.environ["OMP_NUM_THREADS"])
print("" in sys.path, len(sys.argv), tempfile.mkdtemp())
print(np.random.rand())
"""


@forked_or_spawned
def test_a_kernel_has_its_folder_group_and_seed(tmp_path, fork):
    first, second = run(tmp_path, (SURROUNDINGS,), (SURROUNDINGS,), fork=fork)
    cwd, leads, threads, found, arguments, temporary, drawn = text(first).split()
    assert (cwd, leads, threads) == (str(tmp_path / "book"), "True", "1")
    assert (found, arguments) == ("True", "1")
    assert not os.path.exists(temporary), "what a page leaves behind goes with its kernel"
    assert drawn != text(second).split()[-1], "children of one parent must not draw the same"
    assert first.failure is None and first.peak_bytes > 20e6 and 0 < first.duration < 30
    assert 0 < first.seconds[1] <= first.duration


@forked_or_spawned
def test_figures_are_drawn_inline_from_the_first_cell_on(tmp_path, fork):
    cells = ("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", "plt.plot([2, 1]);")
    (drawn,) = run(tmp_path, cells, fork=fork)
    for cell in drawn.notebook.cells:
        assert [list(output.data) for output in cell.outputs] == [["text/plain", "image/png"]]


def test_the_parent_has_no_thread_and_no_cuda_context(tmp_path):
    cell = (
        "import os, sys\n"
        "server = os.getppid()\n"
        "print(len(os.listdir(f'/proc/{server}/task')), 'torch' in sys.modules)\n"
        "maps = open(f'/proc/{server}/maps').read()\n"
        "print('nvidia' in maps and 'libcuda.so' in maps)"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    (asked,) = run(tmp_path, (cell,), fork=True, packages=("numpy", "torch"))
    assert text(asked).split() == ["1", "True", "False"]


DEATHS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "killed (signal 9), usually for mem",
    "import ctypes; ctypes.string_at(0)": "signal 11 (SIGSEGV)",
    "import os; os._exit(3)": "ended by itself with status 3",
}


@forked_or_spawned
def test_a_kernel_that_dies_is_reported_at_its_cell(tmp_path, fork):
    ends = run(tmp_path, *[("1", death, "3") for death in DEATHS], fork=fork)
    for one, said in zip(ends, DEATHS.values(), strict=True):
        number, message = one.failure
        assert number == 2 and said in message
        assert text(one, 1) == "1" and not one.notebook.cells[2].outputs
    assert "its peak was 0." in ends[0].failure[1]


STUBBORN = """
import time
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""


@forked_or_spawned
def test_a_cell_that_hangs_is_interrupted_and_then_killed(tmp_path, fork, monkeypatch):
    monkeypatch.setattr(running, "GRACE", 4)  # enough for an interrupt on a loaded machine
    slept, stubborn = run(
        tmp_path, ("import time\ntime.sleep(60)", "2"), (STUBBORN,), fork=fork, limit=0.7
    )
    number, message = slept.failure
    assert number == 1 and "did not finish within 0.7 s and was interrupted" in message
    assert "----> 2 time.sleep(60)" in message and "execution_timeout" in message
    assert [output.ename for output in slept.notebook.cells[0].outputs] == ["KeyboardInterrupt"]
    assert not slept.notebook.cells[1].outputs
    number, message = stubborn.failure
    assert number == 1 and "nor 4 s after it was interrupted, and was killed" in message
    assert [output.output_type for output in stubborn.notebook.cells[0].outputs] == ["error"]


def test_an_error_stops_the_page_and_shows_where(tmp_path):
    (failed,) = run(
        tmp_path, ("def f(x):\n    return 1 / x", "y = 1\nf(0)", "print('not reached')")
    )
    number, message = failed.failure
    assert number == 2
    assert message.splitlines() == [
        "----> 2 f(0)",
        "----> 2     return 1 / x",
        "ZeroDivisionError: division by zero",
    ]
    assert "\x1b" not in message and not failed.notebook.cells[2].outputs


def test_outputs_do_not_depend_on_when_they_were_sent(tmp_path):
    cell = (
        "import sys, time\nfrom IPython.display import display\n"
        "print(1)\ntime.sleep(0.4)\nprint(2)\nshown = display(3, display_id=True)\nprint(4)"
    )
    (one,) = run(tmp_path, (cell, "shown.update(5)"))
    outputs = one.notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["stream", "display_data", "stream"]
    assert text(one) == "1\n2\n54\n"


def test_what_a_thread_says_after_the_last_cell_is_kept(tmp_path):
    cell = (
        "import threading, time\n"
        "def late():\n    time.sleep(0.4)\n    print('late')\n    1 / 0\n"
        "threading.Thread(target=late).start()"
    )
    (one,) = run(tmp_path, (cell, "2"))
    assert text(one, 2).startswith("2")
    assert "late" in text(one, 2) and "ZeroDivisionError" in text(one, 2)


def test_the_thread_that_sends_large_outputs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_before", set(threading.enumerate()))
    collector = GarbageCollector()
    collector.start()
    try:
        assert collector.is_alive()
        began = time.monotonic()
        kernels.files_read(str(tmp_path), wait=60.0)
        assert time.monotonic() - began < 30.0
    finally:
        collector.stop()


@forked_or_spawned
def test_what_was_read_is_known(tmp_path, fork):
    (tmp_path / "book").mkdir()
    for name in ("book/local.py", "book/data.csv", "book/unread.csv", ".venv/in_venv.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n")
    cells = (
        "import local\nfrom mathdl import checks\nopen('data.csv').read()",
        "open('../.venv/in_venv.txt').read()",
        "open('made.txt', 'w').write('1')\nopen('made.txt').read()",
    )
    # The second time the module comes from its bytecode.
    for one in run(tmp_path, cells, cells, fork=fork):
        inside = [path for path in one.files if path.startswith(str(tmp_path))]
        assert inside == [str(tmp_path / "book/data.csv"), str(tmp_path / "book/local.py")]
        assert any(path.endswith("src/mathdl/checks/__init__.py") for path in one.files) or any(
            path.endswith("src/mathdl/checks.py") for path in one.files
        )
        assert not any("mathdl_book" in path for path in one.files)


def test_kernels_end_with_a_builder_that_is_killed(tmp_path):
    script = f"""
import asyncio, pathlib, psutil
from mathdl_book.kernels import open_kernels
async def main():
    root = pathlib.Path({str(tmp_path)!r})
    async with open_kernels(["numpy"], root) as opened:
        await opened.start(root)
        kernel = await opened.start(root)
        family = psutil.Process().children(recursive=True)
        print(kernel.log.parent, *[child.pid for child in family], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    builder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with builder.stdout:
        folder, *numbers = builder.stdout.readline().split()
        pids = [int(number) for number in numbers]
        assert len(pids) == (3 if can_fork() else 2)
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))
    assert not can_fork() or not os.path.exists(folder)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_kernel_is_killed_with_its_group_and_before_it_has_one(tmp_path, grouped):
    sleeping = subprocess.Popen(["sleep", "60"], start_new_session=grouped)
    with asyncio.Runner() as runner:
        exited = runner.get_loop().create_future()
        kernels.Kernel(sleeping.pid, tmp_path / "1.json", tmp_path / "1.log", exited).kill()
    assert sleeping.wait(timeout=10) == -signal.SIGKILL


def test_a_package_that_crashes_the_parent_falls_back_to_spawning(tmp_path, monkeypatch):
    (tmp_path / "crash_on_import.py").write_text("import os; os._exit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(kernels.PRELOADS, "numpy", ("crash_on_import",))
    (one,) = run(tmp_path, ("1 + 1",), packages=["numpy"])
    assert text(one) == "2"


@pytest.mark.parametrize(("early", "used"), [(["numpy", "scipy"], True), ([], False)])
def test_a_parent_started_early_is_used_if_it_imports_enough(tmp_path, early, used):
    if not can_fork():
        pytest.skip("no safe fork here")
    kernels.start_early(early)
    ((_, process),) = kernels._early
    cell = "import os, sys\nprint(os.getppid(), 'numpy' in sys.modules)"
    (one,) = run(tmp_path, (cell,), packages=["numpy"])
    parent, imported = text(one).split()
    assert (int(parent) == process.pid) == used and imported == "True"
    assert not kernels._early and process.wait(5) == 0


@pytest.mark.parametrize(
    ("code", "packages"),
    [
        ("x = 1", []),
        ("from mathdl import optim", ["numpy"]),
        ("import sklearn.datasets, scipy", ["scipy", "sklearn"]),
    ],
)
def test_preloads_are_what_the_pages_mention(code, packages):
    assert preloads(code) == packages

"""Execute the pages ahead of Sphinx, in parallel, and hand myst-nb what came of it.

At ``builder-inited`` every page is read as myst-nb reads it. Pages whose result is kept and still
good (`results`) are taken as they are; the others run, the longest first, each in its own kernel
(`kernels`, `running`). myst-nb then asks for the outputs of a page and gets them from here: it
never starts a kernel. It is not given them through a jupyter-cache, because on a hit there it
writes the *unexecuted* notebook to ``_build/jupyter_execute``, where the gates look for proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import myst_nb.sphinx_
from docutils import nodes
from myst_nb.core.execute import NotebookClientBase
from myst_nb.core.execute import create_client as create_nb_client
from myst_nb.core.read import create_nb_reader
from nbformat import NotebookNode
from sphinx.errors import ExtensionError

from . import results
from .findings import Finding, findings_of
from .kernels import open_kernels, preloads
from .pages import toc_docnames
from .parallel import cores
from .results import Measured, Result, Store
from .running import Failure, Run, code_cells, run_page, runs

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

LIMIT = 120.0  # seconds a cell may take unless the configuration or the header allows more

_silent = logging.getLogger(f"{__name__}.silent")
_silent.disabled = True

# By absolute path of the source: the result that myst-nb gets instead of executing the page.
# None stands for a page that could not be run at all.
_ahead: dict[Path, Result | None] = {}


@dataclass(frozen=True)
class Task:
    """A page to execute.

    Parameters
    ----------
    docname : str
        The page.
    path : Path
        Its source.
    notebook : NotebookNode
        What myst-nb reads from it.
    key : str
        See `results.key`.
    limit : float
        Seconds that one of its cells may take.
    """

    docname: str
    path: Path
    notebook: NotebookNode
    key: str
    limit: float = LIMIT


def jobs(configured: int = 0) -> int:
    """Return how many pages run at a time: ``MATHDL_JOBS``, the configuration, or the cores.

    On a GPU one page runs at a time: they would share its memory and its clock.
    """
    if device() != "cpu":
        return 1
    return max(1, int(os.environ.get("MATHDL_JOBS") or 0) or configured or cores())


def device() -> str:
    """Return the device that checks use: ``cpu``, ``cuda`` or ``mps``."""
    return os.environ.get("MATHDL_DEVICE") or "cpu"


@cache
def describe_device(name: str) -> str:
    """Return the exact device behind ``cuda`` or ``mps``.

    Parameters
    ----------
    name : str
        Value of ``MATHDL_DEVICE``.

    Raises
    ------
    RuntimeError
        If there is no such device, in one line that says why.
    """
    if name == "cpu":
        return "cpu"
    if name not in ("cuda", "mps"):
        raise RuntimeError(f"MATHDL_DEVICE={name}: the devices are cpu, cuda and mps")
    # In a process of its own: this one must stay free of torch and of CUDA.
    code = (
        "import torch\n"
        f"found = torch.{'cuda' if name == 'cuda' else 'backends.mps'}.is_available()\n"
        "assert found, f'torch {torch.__version__} finds none'\n"
        f"print(torch.cuda.get_device_name() if {name == 'cuda'} else 'mps')\n"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if asked.returncode != 0:
        reason = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        reason = reason.removeprefix("AssertionError: ")
        raise RuntimeError(f"DEVICE={name}, but there is no {name} device: {reason}")
    return f"{name} {asked.stdout.strip()}"


def measured(root: Path) -> dict[str, Measured]:
    """Return seconds and memory of each page of the book when it was last executed.

    Parameters
    ----------
    root : Path
        Folder that holds ``_toc.yml`` and ``_build``.
    """
    store = Store(root / "_build", root)
    found = {docname: store.measured(docname) for docname in toc_docnames(root)}
    return {docname: value for docname, value in found.items() if value is not None}


# ---- executing -----------------------------------------------------------------------------


def bring_up_to_date(
    tasks: Sequence[Task],
    store: Store,
    *,
    workers: int,
    anew: bool = False,
    stream: TextIO | None = None,
) -> dict[str, tuple[Result, Failure | None]]:
    """Return the result of every page: the one that is kept if it is still good, or a new one.

    Parameters
    ----------
    tasks : sequence of Task
        The pages.
    store : Store
        Where results are kept.
    workers : int
        How many pages run at a time.
    anew : bool
        Run them all, whatever is kept.
    stream : file, optional
        Where progress is shown.

    Returns
    -------
    dict
        For each docname its result, and where and why it stopped if it did.
    """
    done: dict[str, tuple[Result, Failure | None]] = {}
    needed = []
    for task in tasks:
        kept = None if anew else store.load(task.docname, task.key)
        if kept is None and not any(map(runs, code_cells(task.notebook))):  # text only
            kept = store.keep(task.docname, task.key, Run(task.notebook))
        if kept is None:
            needed.append(task)
        else:
            done[task.docname] = kept, None
    return done | execute(needed, store, workers=workers, stream=stream)


def execute(
    tasks: Sequence[Task], store: Store, *, workers: int, stream: TextIO | None = None
) -> dict[str, tuple[Result, Failure | None]]:
    """Execute pages, the longest first, and keep their results.

    Parameters
    ----------
    tasks : sequence of Task
        The pages to run.
    store : Store
        Where their results go, and where it says how long they took before.
    workers : int
        How many run at a time.
    stream : file, optional
        Where progress is shown.

    Returns
    -------
    dict
        For each docname its result, and where and why it stopped if it did.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        After SIGINT or SIGTERM; every kernel has been killed by then.
    """
    if not tasks:
        return {}

    def expected(task: Task) -> float:
        before = store.measured(task.docname)
        return before.seconds if before else math.inf  # a new page may be the longest

    order = sorted(tasks, key=expected, reverse=True)
    progress = Progress(len(order), stream or sys.stdout)
    terminated: list[int] = []
    try:
        # pyzmq needs this kind of loop on Windows too.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(_execute(order, store, workers, progress, terminated))
    except asyncio.CancelledError:
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        progress.close()


async def _execute(
    order: Sequence[Task],
    store: Store,
    workers: int,
    progress: Progress,
    terminated: list[int],
) -> dict[str, tuple[Result, Failure | None]]:
    queue = list(reversed(order))
    done: dict[str, tuple[Result, Failure | None]] = {}
    code = "\n".join(cell.source for task in order for cell in code_cells(task.notebook))
    progress.show()
    with _terminable(terminated):
        async with open_kernels(preloads(code), store.root) as kernels:

            async def work() -> None:
                while queue:
                    task = queue.pop()
                    progress.start(task.docname)
                    run = await run_page(
                        task.notebook,
                        kernels,
                        cwd=task.path.parent,
                        root=store.root,
                        limit=task.limit,
                    )
                    done[task.docname] = store.keep(task.docname, task.key, run), run.failure
                    progress.finish(task.docname, run)

            async with asyncio.TaskGroup() as group:
                for _ in range(min(workers, len(order))):
                    group.create_task(work())
                ticker = asyncio.create_task(progress.tick())
            ticker.cancel()
    return done


@contextlib.contextmanager
def _terminable(received: list[int]) -> Iterator[None]:
    """Let SIGTERM cancel the task that runs, as asyncio lets SIGINT do."""
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    task = asyncio.current_task()
    before = signal.getsignal(signal.SIGTERM)

    def cancel() -> None:
        received.append(signal.SIGTERM)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


class Progress:
    """Pages done, pages running and the time: one living line on a terminal, else a line a page."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._live = stream.isatty()
        self._began = time.monotonic()
        self._running: dict[str, float] = {}
        self._done = 0
        if not self._live:
            self._print(f"executing {total} page{'s' if total > 1 else ''}")

    def start(self, docname: str) -> None:
        """Note that a page starts."""
        self._running[docname] = time.monotonic()
        self.show()

    def finish(self, docname: str, run: Run) -> None:
        """Note that a page has ended and say how."""
        self._running.pop(docname)
        self._done += 1
        outcome = f"FAILED in cell {run.failure[0]}" if run.failure else "executed"
        count = f"{self._done:{len(str(self._total))}}/{self._total}"
        self._print(f"[{count}] {docname}: {outcome}, {run.duration:.1f} s")
        self.show()

    def show(self) -> None:
        """Redraw the living line."""
        if not self._live:
            return
        now = time.monotonic()
        running = ", ".join(f"{name} {now - since:.0f} s" for name, since in self._running.items())
        line = f"[{self._done}/{self._total}] {now - self._began:.0f} s: {running or 'starting'}"
        width = shutil.get_terminal_size().columns
        self._stream.write(f"\r\x1b[K{line[: width - 1]}")
        self._stream.flush()

    async def tick(self) -> None:
        """Keep the times of the living line running."""
        while True:
            self.show()
            await asyncio.sleep(0.5)

    def close(self) -> None:
        """Remove the living line."""
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _print(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}\n" if self._live else f"{line}\n")
        self._stream.flush()


# ---- Sphinx --------------------------------------------------------------------------------


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks with Sphinx."""
    app.add_config_value("mathdl_execute_ahead", True, "", types=(bool,))
    app.add_config_value("mathdl_jobs", 0, "", types=(int,))
    myst_nb.sphinx_.create_client = create_client
    # After myst-parser and myst-nb have made the configurations that the reader needs.
    app.connect("builder-inited", _execute_ahead, priority=900)
    app.connect("env-get-outdated", _outdated)
    app.connect("source-read", _remember_read)
    app.connect("doctree-read", _own_nodes)
    app.connect("env-updated", _write_in_parallel)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def create_client(
    notebook: NotebookNode, source: str, nb_config: Any, logger: Any, read_fmt: Any = None
) -> NotebookClientBase:
    """Give myst-nb the page as executed ahead; stands in for its own function of this name."""
    client = create_nb_client(notebook, source, nb_config, logger, read_fmt)
    path = Path(source)
    # A client of the base class executes nothing: the page says so in its header, or it is
    # excluded. Then it has no outputs here either, and the gates object.
    if path not in _ahead or type(client) is NotebookClientBase:
        return client
    return AheadClient(notebook, path, nb_config, logger)


class AheadClient(NotebookClientBase):
    """What myst-nb sees of a page that was executed ahead."""

    def start_client(self) -> None:
        """Put the outputs into the notebook."""
        result = _ahead[self.path]
        if result is None:
            return
        # In place: myst-nb writes this very object to `_build/jupyter_execute`.
        for cell, executed in zip(
            code_cells(self.notebook), code_cells(result.notebook), strict=True
        ):
            cell.source = executed.source  # where solutions are left out it is not what was read
            cell.outputs = executed.outputs
            cell.execution_count = executed.execution_count
        language = result.notebook.metadata.get("language_info")
        if language:
            self.notebook.metadata["language_info"] = language
        self.exec_metadata = {
            "mtime": time.time(),
            "runtime": result.duration,
            "method": "ahead",
            "succeeded": True,  # failures are findings: all are told, none twice
            "error": None,
            "traceback": None,
        }


def _execute_ahead(app: Sphinx) -> None:
    _ahead.clear()
    if not app.config.mathdl_execute_ahead:
        return
    root, build = Path(app.srcdir), Path(app.outdir).parent
    try:
        surroundings = results.environment(root, describe_device(device()))
    except RuntimeError as error:
        raise ExtensionError(str(error)) from error
    store = Store(build, root)
    docnames = toc_docnames(root)
    store.tidy(docnames)
    tasks = list(_tasks(app, root, docnames, surroundings))
    done = bring_up_to_date(
        tasks,
        store,
        workers=jobs(app.config.mathdl_jobs),
        anew=app.env.mystnb_config.execution_mode == "force",
    )
    for task in tasks:
        result, failure = done[task.docname]
        _ahead[task.path] = result
        if failure is not None:
            findings_of(app).append(_finding(task, failure))
    app._mathdl_digests = {name: result.digest for name, (result, _) in done.items()}


def _tasks(
    app: Sphinx, root: Path, docnames: Sequence[str], surroundings: dict[str, str]
) -> Iterator[Task]:
    """Yield the pages that myst-nb would execute; a page that cannot be read is a finding."""
    env = app.env
    for docname in docnames:
        path = root / f"{docname}.md"
        if not path.is_file():
            continue  # Sphinx says so
        try:
            text = path.read_text(encoding="utf-8")
            reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)
            if reader is None:  # no notebook: text only, or its header is missing (a gate)
                continue
            notebook = reader.read(text)
            config = _page_config(env, notebook)
            client = create_nb_client(notebook, str(path), config, _silent, reader.read_fmt)
        except Exception as error:
            message = f"cannot be read as a notebook: {error}"
            findings_of(app).append(Finding("execution", docname, "", message))
            _ahead[path] = None
            continue
        if type(client) is NotebookClientBase:
            continue
        own = (notebook.metadata.get(config.metadata_key) or {}).get("execution_timeout")
        limit = float(own or max(LIMIT, config.execution_timeout or 0))
        yield Task(docname, path, notebook, results.key(notebook, docname, surroundings), limit)


def _page_config(env: BuildEnvironment, notebook: NotebookNode) -> Any:
    """Return myst-nb's configuration as the page's header changes it."""
    overrides = notebook.metadata.get(env.mystnb_config.metadata_key) or {}
    if not isinstance(overrides, Mapping):
        return env.mystnb_config
    try:
        return env.mystnb_config.copy(**dict(overrides))
    except Exception:  # myst-nb warns of this when it parses the page
        return env.mystnb_config


def _finding(task: Task, failure: Failure) -> Finding:
    number, message = failure
    cells = code_cells(task.notebook)
    if number == 0:
        return Finding("execution", task.docname, "", message)
    line = _line(task.notebook, cells[number - 1])
    where = f"cell {number}" + (f" (line {line})" if line else "")
    left = len(cells) - number
    if left:
        message += f"\n({left} cell{'s' if left > 1 else ''} after it did not run)"
    return Finding("execution", task.docname, where, message)


def _line(notebook: NotebookNode, cell: NotebookNode) -> int | None:
    lines = notebook.metadata.get("source_map")
    index = next(i for i, other in enumerate(notebook.cells) if other is cell)
    return lines[index] + 1 if lines else None  # of the first line inside the fence


def _outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Have Sphinx read again the pages whose outputs are not those it has read."""
    seen = getattr(env, "mathdl_digests", {})
    current = getattr(app, "_mathdl_digests", {})
    return [
        name
        for name in env.found_docs - added
        if name in env.all_docs and seen.get(name) != current.get(name)
    ]


def _remember_read(app: Sphinx, docname: str, source: list[str]) -> None:
    if not hasattr(app.env, "mathdl_digests"):
        app.env.mathdl_digests = {}
    app.env.mathdl_digests[docname] = getattr(app, "_mathdl_digests", {}).get(docname)


def _own_nodes(app: Sphinx, doctree: nodes.document) -> None:
    """Give the doctree all its nodes, those of embedded reST too.

    They carry a document of their own and with it Sphinx's whole environment, which would be
    kept in, and loaded from, the doctree of every page of the API: most of a build of no change.
    """
    for node in doctree.findall():
        if node.document is not doctree:
            node.document = doctree


def _write_in_parallel(app: Sphinx, env: BuildEnvironment) -> None:
    """Have Sphinx write the pages on all cores.

    Not before it has read them: some extensions cannot read in parallel, and Sphinx would warn.
    """
    if app.config.mathdl_execute_ahead and cores() > 1:
        app.parallel = max(app.parallel, cores() + 1)  # this process only hands the pages out

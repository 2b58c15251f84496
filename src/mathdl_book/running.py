"""Run one page's cells in one kernel, whatever they do."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient.client import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode
from nbformat.v4 import new_output

from .kernels import Exit, Kernel, Kernels

START_LIMIT = 60.0  # seconds for a kernel to answer first
GRACE = 5.0  # seconds between interrupting a cell and killing its kernel
ALLOW = "(to allow a page's cells more, its header says: mystnb: {execution_timeout: SECONDS})"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ARROW = re.compile(r"^-+> ?\d*\s*\S")


Failure = tuple[int, str]


class KernelDied(RuntimeError):
    """The kernel ended while it was needed."""


@dataclass
class Run:
    """What came of running a page.

    Parameters
    ----------
    notebook : NotebookNode
        The page with the outputs of the cells that ran.
    seconds : dict of int to float
        Wall time of each cell that ran, by its number.
    failure : Failure or None
        Number of the code cell at which the page stopped (from 1; 0: before the first), and why.
    files : list of str
        Absolute paths of what the kernel had read, see `kernels.files_read`.
    started : float
        When it began, in seconds since the epoch.
    duration : float
        Seconds from starting the kernel to its end.
    peak_bytes : int
        Largest resident memory of the kernel.
    """

    notebook: NotebookNode
    seconds: dict[int, float] = field(default_factory=dict)
    failure: Failure | None = None
    files: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    duration: float = 0.0
    peak_bytes: int = 0


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells; cell N of a message is number N in this list, from 1."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags") or [])


def runs(cell: NotebookNode) -> bool:
    """Say whether a code cell runs at all: the rule of nbclient, and so of a build without us."""
    return bool(cell.source.strip()) and "skip-execution" not in tags(cell)


async def run_page(
    notebook: NotebookNode, kernels: Kernels, *, cwd: Path, root: Path, limit: float
) -> Run:
    """Run the cells of a notebook, in place, until one fails.

    Parameters
    ----------
    notebook : NotebookNode
        The page; its code cells get their outputs.
    kernels : Kernels
        Where to get a kernel.
    cwd, root : Path
        The page's folder and the book's.
    limit : float
        Seconds that one cell may take.
    """
    run = Run(notebook)
    start = time.monotonic()
    try:
        kernel = await kernels.start(cwd)
    except Exception as error:
        run.failure = (0, f"no kernel could be started: {error}")
        return run
    number = 0
    session: Session | None = None
    try:
        session = Session(kernel, notebook)
        notebook.metadata["language_info"] = await session.open()
        for number, cell in enumerate(code_cells(notebook), start=1):
            if not runs(cell):
                continue
            began = time.monotonic()
            failed = await session.execute(cell, limit)
            run.seconds[number] = time.monotonic() - began
            if failed is not None:
                run.failure = (number, failed)
                break
        else:
            run.files = await session.files_read(root)
    except KernelDied:
        ended = await kernel.exited
        run.failure = (number, _describe(ended, kernel.last_words()))
    finally:
        # Killed, not shut down: an orderly end of ipykernel at times takes ten seconds, and what
        # a page leaves in the folder for temporary files goes with the kernel's own.
        kernel.kill()
        if session is not None:
            session.close()
        for cell in code_cells(notebook):
            cell.outputs = merge_streams(cell.outputs)
    run.peak_bytes = (await kernel.exited).peak_bytes
    run.duration = time.monotonic() - start
    return run


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what a cell printed in one go: how it was cut depends on when it was sent.

    Examples
    --------
    >>> from nbformat.v4 import new_output
    >>> parts = [new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    >>> [output.text for output in merge_streams(parts)]
    ['ab']
    """
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


class Session:
    """The conversation with one kernel about one notebook."""

    def __init__(self, kernel: Kernel, notebook: NotebookNode) -> None:
        self._kernel = kernel
        # nbclient's part is to turn messages into outputs; the waiting is ours, because a death
        # should be seen when it happens and a hang should end in two steps.
        self._outputs = NotebookClient(notebook, record_timing=False)
        self._outputs.clear_before_next_output = False
        self._client = AsyncKernelClient()
        self._client.load_connection_file(str(kernel.connection_file))
        self._cells: dict[str, tuple[NotebookNode, int]] = {}
        self._idle: dict[str, asyncio.Event] = {}
        self._listener: asyncio.Task[None] | None = None
        self._index = {id(cell): i for i, cell in enumerate(notebook.cells)}

    async def open(self) -> dict[str, Any]:
        """Wait for the kernel to answer and return its ``language_info``."""
        self._client.start_channels(hb=False, stdin=False)
        deadline = time.monotonic() + START_LIMIT
        self._listener = asyncio.create_task(self._listen())
        while time.monotonic() < deadline:
            # Asked again until the answer is seen on both channels: a subscription takes a moment.
            request = self._client.kernel_info()
            self._idle[request] = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                reply = await self._unless_dead(self._answer(request), 1.0)
                await self._unless_dead(self._idle[request].wait(), 0.2)
                return reply["content"]["language_info"]
        self._kernel.kill()
        raise KernelDied

    async def execute(self, cell: NotebookNode, limit: float) -> str | None:
        """Run one cell; return why the page cannot go on, or None."""
        cell.outputs = []
        request = self._client.execute(cell.source, allow_stdin=False, stop_on_error=False)
        self._cells[request] = (cell, self._index[id(cell)])
        self._idle[request] = asyncio.Event()
        done = asyncio.ensure_future(self._finish(request))
        try:
            reply = await self._unless_dead(asyncio.shield(done), limit)
        except TimeoutError:
            return await self._stop(done, cell, limit)
        except KernelDied:
            done.cancel()
            raise
        content = reply["content"]
        if content["status"] == "ok":
            return None
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if not errors:  # whatever the cell did to its own outputs, the error stays
            keys = ("ename", "evalue", "traceback")
            errors = [new_output("error", **{k: content.get(k, "") for k in keys})]
            cell.outputs += errors
        return None if "raises-exception" in tags(cell) else diagnosis(errors[-1])

    async def files_read(self, root: Path) -> list[str]:
        """Ask the kernel which files it has read, see `kernels.files_read`."""
        call = f"__import__('mathdl_book.kernels').kernels.files_read({str(root)!r})"
        request = self._client.execute("", silent=True, user_expressions={"files": call})
        self._idle[request] = asyncio.Event()
        if self._cells:  # what its threads say until they end counts as said by the last cell
            self._cells[request] = list(self._cells.values())[-1]
        reply = await self._unless_dead(self._finish(request), START_LIMIT)
        found = reply["content"]["user_expressions"]["files"]
        if found["status"] != "ok":
            raise RuntimeError(f"the kernel cannot say what it has read: {found}")
        return json.loads(ast.literal_eval(found["data"]["text/plain"]))

    def close(self) -> None:
        """Close the channels."""
        if self._listener is not None:
            self._listener.cancel()
        self._client.stop_channels()

    async def _stop(self, done: asyncio.Future[Any], cell: NotebookNode, limit: float) -> str:
        message = f"did not finish within {limit:g} s"
        self._kernel.interrupt()
        try:
            await self._unless_dead(asyncio.shield(done), GRACE)
        except (TimeoutError, KernelDied):
            done.cancel()
            self._kernel.kill()
            message += f", nor {GRACE:g} s after it was interrupted, and was killed"
        else:
            message += " and was interrupted"
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            message += "\n" + diagnosis(errors[-1])
        else:
            cell.outputs.append(
                new_output("error", ename="TimeoutError", evalue=message, traceback=[message])
            )
        return f"{message}\n{ALLOW}"

    async def _unless_dead(self, waiting: Any, limit: float) -> Any:
        """Await something, but no longer than the kernel lives or `limit` seconds."""
        task = asyncio.ensure_future(waiting)
        try:
            ends = {task, self._kernel.exited, self._listener}
            await asyncio.wait(ends, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._listener.done():
                self._listener.result()  # raises what it died of
            if self._kernel.exited.done():
                raise KernelDied
            raise TimeoutError
        finally:
            task.cancel()

    async def _finish(self, request: str) -> dict[str, Any]:
        reply, _ = await asyncio.gather(self._answer(request), self._idle[request].wait())
        return reply

    async def _answer(self, request: str) -> dict[str, Any]:
        while True:
            message = await self._client.get_shell_msg()
            if message["parent_header"].get("msg_id") == request:
                return message

    async def _listen(self) -> None:
        """Take in outputs, also those that come after their cell has ended."""
        while True:
            message = await self._client.get_iopub_msg()
            request = message["parent_header"].get("msg_id")
            if request in self._cells:
                with contextlib.suppress(CellExecutionComplete):
                    self._outputs.process_message(message, *self._cells[request])
            idle = message["content"].get("execution_state") == "idle"
            if idle and request in self._idle:
                self._idle[request].set()


def diagnosis(error: NotebookNode) -> str:
    """Return what matters of an error output: the failing lines of the page, and the message.

    Examples
    --------
    >>> from nbformat.v4 import new_output
    >>> print(diagnosis(new_output("error", ename="E", evalue="bad", traceback=["----> 1 f()"])))
    ----> 1 f()
    E: bad
    """
    lines = [ANSI.sub("", line) for part in error.traceback for line in part.splitlines()]
    arrows = [line.rstrip() for line in lines if ARROW.match(line)]
    ends = arrows[:1] + arrows[1:][-1:]  # in the page, and where it was raised
    return "\n".join([*ends, f"{error.ename}: {ANSI.sub('', error.evalue)}"])


def _describe(ended: Exit, last_words: str) -> str:
    if ended.status == -getattr(signal, "SIGKILL", 9):
        peak = f"; its peak was {ended.peak_bytes / 1e9:.2f} GB" if ended.peak_bytes else ""
        message = f"the kernel was killed (signal 9), usually for memory{peak}"
    elif ended.status < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-ended.status).name
            return f"the kernel died of signal {-ended.status} ({name})\n{last_words}".rstrip()
        message = f"the kernel died of signal {-ended.status}"
    else:
        message = f"the kernel ended by itself with status {ended.status}"
    return f"{message}\n{last_words}".rstrip()

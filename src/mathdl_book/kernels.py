"""Kernels that start quickly: forked from a clean parent that has imported the slow packages.

`open_kernels` gives an object with one method, ``start``. Where the platform can fork safely
(Linux), a server process imports NumPy, Matplotlib, torch, … once, and only imports: no thread,
no CUDA context and no ZeroMQ context exists in it when it forks a kernel. Elsewhere every kernel
is a new interpreter. Either way a kernel leads its own process group, its working directory is
the page's folder, and it ends when the process that asked for it ends, however that comes about.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any, Protocol

# What the parent imports for a package that pages mention: what a first use would import.
PRELOADS = {
    "numpy": ("numpy", "numpy.random"),
    "matplotlib": ("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    "scipy": ("scipy.special", "scipy.optimize"),
    "sklearn": ("sklearn.utils",),
    "torch": ("torch",),
}

# One thread each: as many kernels run as there are cores, and sums do not depend on the machine.
THREADS = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
INLINE = "module://matplotlib_inline.backend_inline"


class KernelError(RuntimeError):
    """A kernel, or the process that starts kernels, could not be started."""


@dataclass(frozen=True)
class Exit:
    """How a kernel ended.

    Parameters
    ----------
    status : int
        Exit status, or minus the number of the signal that killed it.
    peak_bytes : int
        Largest resident memory that it had; 0 where the platform does not tell.
    """

    status: int
    peak_bytes: int


@dataclass(eq=False)
class Kernel:
    """A running kernel.

    Parameters
    ----------
    pid : int
        Its process, which leads a process group.
    connection_file : Path
        Where to reach it.
    log : Path
        What it wrote to its own standard output and error (not the cells' output).
    exited : asyncio.Future
        Done, with an `Exit`, when the process has ended.
    """

    pid: int
    connection_file: Path
    log: Path
    exited: asyncio.Future[Exit]

    def interrupt(self) -> None:
        """Interrupt the cell that runs, as Ctrl-C would."""
        if os.name == "posix":
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and what it started, at once."""
        if os.name == "posix":
            self._signal(signal.SIGKILL)
        else:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)

    def last_words(self, lines: int = 8) -> str:
        """Return the end of the kernel's own log, where a crash in compiled code leaves a note."""
        with contextlib.suppress(OSError):
            text = self.log.read_text(encoding="utf-8", errors="replace")
            return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
        return ""

    def _signal(self, number: int) -> None:
        if self.exited.done():
            return
        _signal_group(self.pid, number)


class Kernels(Protocol):
    """What `open_kernels` gives."""

    async def start(self, cwd: Path) -> Kernel:
        """Start a kernel in the folder `cwd`."""
        ...


def can_fork() -> bool:
    """Say whether forking a process that has imported these packages is safe here.

    On macOS it is not: Accelerate and Metal do not survive it.
    """
    wanted = os.environ.get("MATHDL_KERNELS", "")
    return hasattr(os, "fork") and sys.platform != "darwin" and wanted != "spawn"


def preloads(code: str) -> list[str]:
    """Return which packages of `PRELOADS` the source code mentions, itself or through `mathdl`.

    Examples
    --------
    >>> preloads("from mathdl import plots")
    ['numpy', 'matplotlib']
    >>> preloads("import torch")
    ['torch']
    """
    hints = {"numpy": ("numpy", "mathdl"), "matplotlib": ("matplotlib", "plots")}
    return [name for name in PRELOADS if any(hint in code for hint in hints.get(name, (name,)))]


@contextlib.asynccontextmanager
async def open_kernels(
    packages: Iterable[str], root: Path, *, fork: bool | None = None
) -> AsyncIterator[Kernels]:
    """Give the means to start kernels; on leaving, every kernel is killed.

    Parameters
    ----------
    packages : iterable of str
        Names of `PRELOADS` to import once for all kernels.
    root : Path
        The book's folder: files below it that a kernel reads are remembered (`files_read`).
    fork : bool, optional
        Fork or spawn; by default what `can_fork` says.
    """
    # Sockets have short names: a path below the book may exceed what a socket's address can hold.
    folder = Path(tempfile.mkdtemp(prefix="mathdl-"))
    opened: ForkServer | Spawner | None = None
    try:
        if can_fork() if fork is None else fork:
            opened = ForkServer(folder, root, _modules(packages))
            if not await opened.ready():  # a package has started a thread, or crashes on import
                await opened.close()
                opened = None
        if opened is None:
            opened = Spawner(folder, root)
        yield opened
    finally:
        if opened is not None:
            await opened.close()
        shutil.rmtree(folder, ignore_errors=True)


# The server that `start_early` has started, with what it imports, until someone takes it.
_early: list[tuple[set[str], subprocess.Popen[bytes]]] = []


def start_early(packages: Iterable[str]) -> None:
    """Start importing for kernels that will be wanted soon, while this process still starts up.

    Parameters
    ----------
    packages : iterable of str
        Names of `PRELOADS`.
    """
    if can_fork() and not _early:
        modules = _modules(packages)
        _early.append((set(modules), _launch(modules)))


def _modules(packages: Iterable[str]) -> list[str]:
    return [module for package in packages for module in PRELOADS[package]]


def _launch(modules: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mathdl_book.kernels", "serve", *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tempfile.gettempdir(),
        env=_environment(),
        # Ctrl-C in the terminal is for the builder alone, which then ends this process.
        start_new_session=True,
    )


class ForkServer:
    """The parent process of forked kernels, seen from the process that asks for them."""

    def __init__(self, folder: Path, root: Path, modules: Sequence[str]) -> None:
        self._folder = folder
        self._root = root
        self._count = 0
        self._kernels: dict[int, Kernel] = {}
        self._started: dict[int, asyncio.Future[Kernel]] = {}
        loop = asyncio.get_running_loop()
        self._hello: asyncio.Future[bool] = loop.create_future()
        imported, early = _early.pop() if _early else (set(), None)
        if early is not None and not imported.issuperset(modules):
            early.communicate()  # closes its input, which ends it
            early = None
        self._process = early or _launch(modules)
        self._reader = asyncio.create_task(self._read())

    async def ready(self) -> bool:
        """Wait until the packages are imported; say whether forking is safe after that."""
        try:
            return await self._hello
        except KernelError:
            return False

    async def start(self, cwd: Path) -> Kernel:
        """Fork a kernel in the folder `cwd`."""
        self._count += 1
        spec = _specification(self._folder, self._count, cwd, self._root)
        started = self._started[self._count] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps(spec).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise KernelError(f"the process that forks kernels has ended: {error}") from error
        return await started

    async def close(self) -> None:
        """End every kernel and the server."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # Without its standard input the server kills its kernels and ends.
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self._reader), 5)
        if not self._reader.done():
            self._reader.cancel()
            for kernel in self._kernels.values():
                kernel.kill()
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream),
            os.fdopen(os.dup(self._process.stdout.fileno()), "rb"),
        )
        try:
            while line := await stream.readline():
                self._take(json.loads(line))
        finally:
            transport.close()
            gone = KernelError("the process that forks kernels has ended unexpectedly")
            for future in (self._hello, *self._started.values()):
                if not future.done():
                    future.set_exception(gone)
                    future.exception()  # whoever waits gets it; nobody may be waiting
            for kernel in self._kernels.values():
                if not kernel.exited.done():
                    kernel.exited.set_result(Exit(-signal.SIGKILL, 0))

    def _take(self, message: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        match message:
            case {"ready": bool(safe)}:
                self._hello.set_result(safe)
            case {"started": int(number), "pid": int(pid)}:
                spec = _names(self._folder, number)
                kernel = Kernel(pid, spec["connection_file"], spec["log"], loop.create_future())
                self._kernels[pid] = kernel
                future = self._started.pop(number)
                if not future.done():
                    future.set_result(kernel)
            case {"exited": int(pid), "status": int(status), "peak_bytes": int(peak)}:
                self._kernels.pop(pid).exited.set_result(Exit(status, peak))


class Spawner:
    """Kernels as new interpreters, for platforms where forking is not safe."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root
        self._count = 0
        self._watchers: dict[asyncio.Task[None], Kernel] = {}

    async def start(self, cwd: Path) -> Kernel:
        """Start a kernel in the folder `cwd`."""
        from jupyter_client.launcher import launch_kernel

        self._count += 1
        spec = _specification(self._folder, self._count, cwd, self._root)
        log = Path(spec["log"])
        with log.open("wb") as output:
            process = launch_kernel(
                [sys.executable, "-m", "mathdl_book.kernels", "run", json.dumps(spec)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=str(self._folder),
                env=_environment(),
            )
        exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        kernel = Kernel(process.pid, Path(spec["connection_file"]), log, exited)
        self._watchers[asyncio.create_task(self._watch(process, exited))] = kernel
        return kernel

    async def close(self) -> None:
        """End every kernel."""
        for kernel in self._watchers.values():
            kernel.kill()
        await asyncio.gather(*self._watchers)

    @staticmethod
    async def _watch(process: subprocess.Popen[bytes], exited: asyncio.Future[Exit]) -> None:
        import psutil

        peak = 0
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                memory = psutil.Process(process.pid).memory_info()
                peak = max(peak, getattr(memory, "peak_wset", memory.rss))
            await asyncio.sleep(0.1)
        exited.set_result(Exit(process.returncode, peak))


def _signal_group(pid: int, number: int) -> None:
    """Signal a kernel and what it has started, or it alone while it has no group of its own yet."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, number)
            return


def _environment() -> dict[str, str]:
    ours = {**THREADS, "MPLBACKEND": INLINE, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    # Startup files and safe paths would change what a page sees; IPython puts its folder first.
    return {
        k: v for k, v in os.environ.items() if k not in ("PYTHONSTARTUP", "PYTHONSAFEPATH")
    } | ours


def _names(folder: Path, number: int) -> dict[str, Path]:
    return {"connection_file": folder / f"{number}.json", "log": folder / f"{number}.log"}


def _specification(folder: Path, number: int, cwd: Path, root: Path) -> dict[str, Any]:
    from jupyter_client.connect import write_connection_file

    names = _names(folder, number)
    ports = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
    where: dict[str, Any] = {"ip": "127.0.0.1", "transport": "tcp"}  # free ports are found
    if os.name == "posix":  # sockets that are files: no port to race for, no other user
        where = {"ip": str(folder / str(number)), "transport": "ipc"}
        where |= {port: i for i, port in enumerate(ports, start=1)}
    write_connection_file(
        str(names["connection_file"]), key=secrets.token_hex(16).encode(), **where
    )
    paths = {key: str(value) for key, value in names.items()}
    return {"number": number, "cwd": str(cwd), "root": str(root), **paths}


# ---- in the process that forks -------------------------------------------------------------


def serve(modules: Iterable[str]) -> dict[str, Any] | None:
    """Import the modules, then fork a kernel for every line on standard input.

    Returns
    -------
    dict or None
        In each forked child the line that asked for it; in the server None, once standard
        input has closed and every kernel has been killed.
    """
    for module in modules:
        with contextlib.suppress(ImportError):  # the page that needs it will say so
            import_module(module)
    import_module("ipykernel.kernelapp")
    import_module("ipykernel.ipkernel")
    gc.collect()
    gc.freeze()  # what is imported stays shared between the kernels

    wake, wakener = os.pipe()
    for end in (wake, wakener):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakener)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    children: set[int] = set()
    folders: set[str] = set()
    _say({"ready": _thread_count() == 1})
    try:
        for line in _requests(wake, children):
            spec = json.loads(line)
            folders.add(os.path.dirname(spec["log"]))
            pid = os.fork()
            if pid == 0:
                children.clear()
                folders.clear()
                _become_child(spec, wake, wakener)
                return spec
            children.add(pid)
            _say({"started": spec["number"], "pid": pid})
    except BrokenPipeError:  # the builder is gone
        pass
    finally:
        for pid in children:
            _signal_group(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError, BrokenPipeError):
                _say(_reaped(*os.wait4(pid, 0)))
        for folder in folders:  # the builder does so too, unless it was killed
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _requests(wake: int, children: set[int]) -> Iterator[bytes]:
    """Yield the lines of standard input; meanwhile report the children that end."""
    pending = b""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            for pid in list(children):
                ended = os.wait4(pid, os.WNOHANG)
                if ended[0]:
                    children.discard(pid)
                    _say(_reaped(*ended))
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from lines


def _reaped(pid: int, status: int, usage: Any) -> dict[str, int]:
    unit = 1 if sys.platform == "darwin" else 1024
    code = os.waitstatus_to_exitcode(status)
    return {"exited": pid, "status": code, "peak_bytes": usage.ru_maxrss * unit}


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _thread_count() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def _become_child(spec: dict[str, Any], wake: int, wakener: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for descriptor in (nothing, log, wake, wakener):
        os.close(descriptor)
    spec["parent"] = os.getppid()
    if "numpy" in sys.modules:  # every child would draw the same "random" numbers otherwise
        sys.modules["numpy"].random.seed()


# ---- in the kernel -------------------------------------------------------------------------

_read: set[str] = set()
_written: set[str] = set()
_before: set[threading.Thread] = set()


def run_kernel(spec: dict[str, Any]) -> None:
    """Turn this process into the kernel that `spec` describes; return when it is shut down."""
    from ipykernel.kernelapp import IPKernelApp

    os.chdir(spec["cwd"])
    sys.argv = ["ipykernel"]
    # The reader's own IPython profile and startup files have no say in what the book computes.
    os.environ["IPYTHONDIR"] = spec["log"] + ".ipython"
    os.environ["TMPDIR"] = tempfile.tempdir = spec["log"] + ".tmp"
    os.mkdir(tempfile.tempdir)
    _remember_files(Path(spec["root"]))
    settings = {"parent_handle": spec["parent"]} if "parent" in spec else {}
    app = IPKernelApp.instance(connection_file=spec["connection_file"], **settings)
    app.initialize(["--HistoryManager.enabled=False"])
    app.shell.display_pub._flush_streams = _flush_what_waits
    _before.update(threading.enumerate())
    _before.add(app.poller)  # starts with the app
    app.start()


def _flush_what_waits() -> None:
    """Send what was printed before a display; an empty stream costs two waits for a thread."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "_flush_pending", True):
            stream.flush()


def _remember_files(root: Path) -> None:
    """Note from now on which files below `root` are opened, and which of them for writing."""
    outside = tuple(os.path.join(root, name) + os.sep for name in (".git", ".venv", "_build"))
    outside += (os.path.join(sys.prefix, ""),)
    inside = os.path.join(root, "")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        path = os.path.abspath(arguments[0])
        if not path.startswith(inside) or path.startswith(outside):
            return
        mode, flags = arguments[1], arguments[2]
        writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        writes = writes or bool(flags & (os.O_WRONLY | os.O_RDWR))
        (_written if writes else _read).add(path)

    sys.addaudithook(hook)


def files_read(root: str, wait: float = 2.0) -> str:
    """Return what the kernel has read, as JSON; called in the kernel at the end of its page.

    Parameters
    ----------
    root : str
        The book's folder.
    wait : float
        Seconds to wait for threads that the page has started, whose output would be lost.

    Returns
    -------
    str
        JSON list of absolute paths: sources of imported modules that lie below `root` or belong
        to `mathdl`, and other files below `root` that were opened for reading.
    """
    deadline = time.monotonic() + wait
    for thread in set(threading.enumerate()) - _before:
        # pyzmq starts one to send large outputs; it ends with the kernel only.
        zmq = type(thread).__module__.partition(".")[0] == "zmq"
        if not (zmq or isinstance(thread, threading._DummyThread)):
            thread.join(max(0.0, deadline - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    paths = set()
    for path in _read - _written:
        with contextlib.suppress(ValueError, NotImplementedError):
            path = source_from_cache(path)
        paths.add(path)
    inside, own = os.path.join(root, ""), os.path.join(sys.prefix, "")
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and (
            name.partition(".")[0] == "mathdl"
            or (path.startswith(inside) and not path.startswith(own))
        ):
            paths.add(os.path.abspath(path))
    machinery = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
    return json.dumps(sorted(p for p in paths if not p.startswith(machinery) and os.path.isfile(p)))


def main(arguments: list[str]) -> None:
    """Run as a process: ``serve MODULE …`` or ``run SPECIFICATION``."""
    command, *rest = arguments
    spec = serve(rest) if command == "serve" else json.loads(rest[0])
    if spec is not None:
        run_kernel(spec)


if __name__ == "__main__":
    sys.path.remove(os.getcwd())  # put there by -m; IPython adds the page's folder
    # Under its own name: the kernel's pages ask this module, not `__main__`, what was read.
    import_module("mathdl_book.kernels").main(sys.argv[1:])

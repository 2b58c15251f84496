"""Executing pages ahead: in parallel, only when needed, all failures told, nothing left behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mathdl_book import execution, results
from mathdl_book.execution import Task, bring_up_to_date, describe_device, jobs, measured
from mathdl_book.results import Store


class Pages:
    """A folder of pages, executed without Sphinx."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "book").mkdir()
        self.device = "cpu"
        self.said = ""
        self._tasks: dict[str, Task] = {}

    def write(self, name: str, text: str, age: float = 10.0) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() - age,) * 2)
        return path

    def page(self, name: str, *cells: str, tags: tuple[str, ...] = (), prose: str = "") -> None:
        notebook = new_notebook(cells=[new_markdown_cell(prose)])
        notebook.cells += [new_code_cell(cell, metadata={"tags": list(tags)}) for cell in cells]
        path = self.root / f"book/{name}.md"
        self._tasks[name] = Task(f"book/{name}", path, notebook, key="")

    @property
    def store(self) -> Store:
        return Store(self.root / "_build", self.root)

    def tasks(self) -> list[Task]:
        surroundings = results.environment(self.root, self.device)
        for task in self._tasks.values():
            for cell in task.notebook.cells[1:]:
                cell.outputs, cell.execution_count = [], None
            yield replace(task, key=results.key(task.notebook, task.docname, surroundings))

    def build(self, workers: int = 2) -> list[str]:
        """Return the names of the pages that ran, in the order in which they ended."""
        stream = io.StringIO()
        self.done = bring_up_to_date(list(self.tasks()), self.store, workers=workers, stream=stream)
        self.said = stream.getvalue()
        return re.findall(r"^\[.*\] book/(\w+): ", self.said, flags=re.MULTILINE)

    def output(self, name: str) -> str:
        result, _ = self.done[f"book/{name}"]
        outputs = [output for cell in result.notebook.cells[1:] for output in cell.outputs]
        return "".join(output.get("text", "") for output in outputs)


@pytest.fixture
def pages(tmp_path):
    return Pages(tmp_path)


MEET = """
import pathlib, time
pathlib.Path({own!r}).touch()
while not pathlib.Path({other!r}).exists():
    time.sleep(0.01)
print("met")
"""


def test_pages_run_at_the_same_time(pages):
    pages.page("a", MEET.format(own="a.here", other="b.here"))
    pages.page("b", MEET.format(own="b.here", other="a.here"))
    assert sorted(pages.build(workers=2)) == ["a", "b"]
    assert pages.output("a") == pages.output("b") == "met\n"
    lines = pages.said.splitlines()
    assert lines[0] == "executing 2 pages" and re.match(r"\[1/2\] book/\w: executed, \d", lines[1])


def test_the_longest_page_of_last_time_runs_first(pages):
    least = {"a": 0.05, "b": 0.6, "c": 0.3}
    for name, seconds in least.items():
        pages.page(name, f"import time; time.sleep({seconds})")
    pages.build(workers=1)
    taken = measured_seconds(pages)
    assert all(taken[f"book/{name}"] > seconds for name, seconds in least.items())
    pages.device = "another"
    pages.page("new", "1")
    # On a busy machine it need not be the one that sleeps longest.
    order = sorted(least, key=lambda name: -taken[f"book/{name}"])
    assert pages.build(workers=1) == ["new", *order]


def measured_seconds(pages):
    pages.write(
        "_toc.yml", "format: jb-book\nroot: book/a\nchapters:\n- file: book/b\n- file: book/c\n"
    )
    found = measured(pages.root)
    assert all(value.peak_bytes > 20e6 for value in found.values())
    return {name: value.seconds for name, value in found.items()}


@pytest.fixture
def reader_of_everything(pages):
    """A page that depends on a module of `mathdl`, one beside it, and a file."""
    pages.write("book/beside.py", "import sys\nVALUE = 1\n")
    pages.write("book/data.txt", "1")
    pages.write("requirements.txt", "numpy==1\n")
    pages.write("src/helper.py", "VALUE = 1\n")
    reads = (
        "import sys\nsys.path.insert(0, '../src')\nimport helper\n"
        "import beside\nprint(beside.VALUE, helper.VALUE, open('data.txt').read())"
    )
    pages.page("reader", reads, "print(2)")
    pages.page("other", "print(1)")
    assert sorted(pages.build()) == ["other", "reader"]
    assert pages.output("reader") == "1 1 1\n2\n"
    return pages


def test_nothing_changed_starts_no_kernel(reader_of_everything, monkeypatch):
    monkeypatch.setattr(execution, "open_kernels", None)
    assert reader_of_everything.build() == [] and reader_of_everything.said == ""
    assert reader_of_everything.output("reader") == "1 1 1\n2\n"


def test_what_does_not_matter_runs_nothing(reader_of_everything, monkeypatch):
    pages = reader_of_everything
    monkeypatch.setattr(execution, "open_kernels", None)
    source = pages._tasks["reader"].notebook.cells
    pages.page("reader", *[c.source for c in source[1:]], tags=("hide-input",), prose="New words.")
    pages.write("book/unread.txt", "new")
    pages.write("book/data.txt", "1", age=0)  # the same bytes, written just now
    assert pages.build() == []


@pytest.mark.parametrize(
    ("name", "text", "output"),
    [
        ("book/beside.py", "VALUE = 7\n", "7 1 1\n2\n"),
        ("src/helper.py", "VALUE = 8\n", "1 8 1\n2\n"),
        ("book/data.txt", "9", "1 1 9\n2\n"),
    ],
)
def test_a_changed_file_runs_the_pages_that_read_it(reader_of_everything, name, text, output):
    reader_of_everything.write(name, text)
    assert reader_of_everything.build() == ["reader"]
    assert reader_of_everything.output("reader") == output
    assert reader_of_everything.build() == []


def test_a_removed_file_runs_the_pages_that_read_it(reader_of_everything):
    (reader_of_everything.root / "book/data.txt").unlink()
    assert reader_of_everything.build() == ["reader"]
    assert reader_of_everything.done["book/reader"][1] is not None


def test_a_changed_lock_device_or_python_runs_everything(reader_of_everything, monkeypatch):
    pages = reader_of_everything
    pages.write("requirements.txt", "numpy==2\n")
    assert sorted(pages.build()) == ["other", "reader"]
    pages.device = "cuda NVIDIA H200"
    assert sorted(pages.build()) == ["other", "reader"]
    monkeypatch.setattr(sys, "version", "3.99")
    assert sorted(pages.build()) == ["other", "reader"]
    monkeypatch.setattr(results, "version", lambda name: "0.0")
    assert sorted(pages.build()) == ["other", "reader"]
    assert pages.build() == []


def test_a_changed_cell_or_tag_runs_its_page(reader_of_everything):
    pages = reader_of_everything
    pages.page("other", "print(3)")
    assert pages.build() == ["other"] and pages.output("other") == "3\n"
    pages.page("other", "print(3)", tags=("raises-exception",))
    assert pages.build() == ["other"]


def test_a_module_of_the_book_counts_wherever_it_lies(pages, tmp_path_factory, monkeypatch):
    package = tmp_path_factory.mktemp("elsewhere") / "mathdl"
    for name in ("__init__", "used", "unused"):
        path = package / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("VALUE = 1\n")
        os.utime(path, (time.time() - 10,) * 2)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    pages.page("a", "from mathdl import used\nprint(used.VALUE)")
    pages.page("b", "import mathdl")
    assert sorted(pages.build()) == ["a", "b"]
    (package / "unused.py").write_text("VALUE = 2\n")
    assert pages.build() == []
    (package / "used.py").write_text("VALUE = 12\n")
    assert pages.build() == ["a"] and pages.output("a") == "12\n"


def test_a_module_that_changed_while_its_page_ran_is_not_trusted(pages):
    module = pages.write("book/beside.py", "VALUE = 1\n")
    change = f"import time; time.sleep(0.02); open({str(module)!r}, 'w').write('VALUE = 22')"
    pages.page(
        "a",
        "import beside",
        f"import subprocess\nsubprocess.run(['{sys.executable}', '-c', {change!r}])",
    )
    assert pages.build() == ["a"]
    pages.page(
        "a",
        "import beside",
        f"import subprocess\nsubprocess.run(['{sys.executable}', '-c', {change!r}])",
    )
    assert pages.build() == ["a"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def forge(path):
    path.write_text(path.read_text().replace("1", "2"))


def garble(path):
    path.write_bytes(b"\xff\xfe")


def nothing_in_it(path):
    path.write_text("[]")


@pytest.mark.parametrize("damage", [cut, forge, garble, nothing_in_it, Path.unlink])
@pytest.mark.parametrize("suffix", [".ipynb", ".json"])
def test_a_damaged_entry_is_made_again(pages, damage, suffix):
    pages.page("a", "print(111)")
    pages.build()
    damage(pages.root / f"_build/execution/book/a{suffix}")
    assert pages.build() == ["a"] and pages.output("a") == "111\n"
    assert pages.build() == []


def test_every_failure_of_every_page_is_told_and_none_is_kept(pages):
    pages.page("a", "print(1)", "1 / 0", "print(3)")
    pages.page("b", "import no_such_module")
    pages.page("c", "print(1)")
    assert sorted(pages.build()) == ["a", "b", "c"]
    (_, first), (_, second), (_, third) = (pages.done[f"book/{name}"] for name in "abc")
    assert first == (2, "----> 1 1 / 0\nZeroDivisionError: division by zero")
    assert second[0] == 1 and "No module named 'no_such_module'" in second[1]
    assert third is None
    assert pages.output("a") == "1\n", "what ran before the failure is there, nothing after it"
    assert "book/a: FAILED in cell 2" in pages.said
    assert sorted(pages.build()) == ["a", "b"], "failures run again, even if nothing changed"


def test_an_error_shown_on_purpose_does_not_stop_the_page(pages):
    pages.page("a", "1 / 0", "print(2)", tags=("raises-exception",))
    pages.build()
    result, failure = pages.done["book/a"]
    assert failure is None and pages.output("a") == "2\n"
    assert result.notebook.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert pages.build() == []


def test_a_page_without_cells_needs_no_kernel(pages, monkeypatch):
    monkeypatch.setattr(execution, "open_kernels", None)
    pages.page("a")
    assert pages.build() == [] and pages.done["book/a"][0].notebook.cells


def test_results_of_pages_that_are_gone_are_removed(pages):
    pages.page("a")
    pages.page("b")
    pages.build()
    leftover = pages.write("_build/execution/book/.a.json.x7k", "half")
    pages.store.tidy(["book/a"])
    assert not leftover.exists()
    assert {path.name for path in pages.store.folder.rglob("*.*")} == {"a.ipynb", "a.json"}


INTERRUPTED = """
import sys
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
from mathdl_book.execution import Task, execute
from mathdl_book.results import Store

root = Path.cwd()
cell = "import subprocess, sys, time\\n"
cell += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\\n"
cell += "open('running%s', 'w')\\ntime.sleep(300)"
tasks = [
    Task(name, root / f"{name}.md", new_notebook(cells=[new_code_cell(cell % name)]), "key")
    for name in "ab"
]
quick = Task("quick", root / "quick.md", new_notebook(cells=[new_code_cell("1")]), "key")
execute([quick], Store(root / "_build", root), workers=1)
execute(tasks, Store(root / "_build", root), workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_interrupting_leaves_no_process_and_no_half_result(tmp_path, number, status, wait_for):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    with process.stderr:
        try:
            wait_for(lambda: {"runninga", "runningb"} <= set(os.listdir(tmp_path)))
            family = psutil.Process(process.pid).children(recursive=True)
            assert len(family) >= 4, "two kernels and what each has started"
            process.send_signal(number)
            errors = process.stderr.read()
            assert process.wait(120) == status, errors
        finally:
            process.kill()
            process.wait()
    wait_for(lambda: not any(child.is_running() for child in family))
    left = sorted(path.name for path in (tmp_path / "_build").rglob("*") if path.is_file())
    assert left == ["quick.ipynb", "quick.json"], "what was finished stays, nothing else"
    json.loads((tmp_path / "_build/execution/quick.json").read_text())


def test_a_terminal_gets_one_living_line():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = execution.Progress(2, stream)
    progress.start("book/a")
    progress.start("book/b")
    assert stream.getvalue().endswith("[0/2] 0 s: book/a 0 s, book/b 0 s")
    progress.close()
    assert "\n" not in stream.getvalue()


def test_how_many_pages_run_at_a_time(monkeypatch):
    for name in ("MATHDL_JOBS", "MATHDL_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(execution, "cores", lambda: 6)
    assert jobs() == 6 and jobs(3) == 3
    monkeypatch.setenv("MATHDL_JOBS", "5")
    assert jobs(3) == 5
    monkeypatch.setenv("MATHDL_DEVICE", "cuda")
    assert jobs(3) == 1, "one kernel at a time on a GPU"


def test_a_device_that_is_not_there_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    describe_device.cache_clear()
    with pytest.raises(RuntimeError, match=r"^DEVICE=cuda, but there is no cuda device: torch \d"):
        describe_device("cuda")
    with pytest.raises(RuntimeError, match="the devices are cpu, cuda and mps"):
        describe_device("tpu")
    describe_device.cache_clear()


# ---- through Sphinx ------------------------------------------------------------------------


def executed(book, name):
    """Return what myst-nb wrote of a page, and all text that its cells put out."""
    path = book.root / f"_build/jupyter_execute/book/{name}.ipynb"
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [o["output_type"] for o in outputs], "".join("".join(o.get("text", "")) for o in outputs)


def test_jupyter_book_executes_through_us(tiny_book):
    off = "---\nmystnb: {execution_mode: 'off'}"
    force = "---\nmystnb: {execution_mode: force}"
    header = tiny_book.page("index").read_text().split("\n# ")[0]
    count = "with open('{0}.ran', 'a') as stream:\n    stream.write('x')\nprint('{0}')"
    tiny_book.write("src/steps.py", "VALUE = 'before'\n")
    tiny_book.page("good", "import steps", "print(steps.VALUE)")
    tiny_book.page("bad", "print('one')", "1 / 0", "print('three')")
    tiny_book.page("worse", "raise ValueError('no good')")
    tiny_book.page("off", count.format("off"), header=header.replace("---", off, 1))
    tiny_book.page("forced", count.format("forced"), header=header.replace("---", force, 1))
    tiny_book.page("excluded", count.format("excluded"))
    config = (tiny_book.root / "_config.yml").read_text()
    tiny_book.write(
        "_config.yml", config.replace("{execute_", "{exclude_patterns: ['*excl*'], execute_")
    )

    for ran in ("executing 4 pages", "executing 2 pages"):  # the failing two run again
        built = tiny_book.jupyter_book()
        assert ran in built.stdout, built.stdout + built.stderr
        first, second = tiny_book.findings().split("\n[")
        assert first.splitlines() == [
            "[execution] book/bad, cell 2 (line 15): ----> 1 1 / 0",
            "ZeroDivisionError: division by zero",
            "(1 cell after it did not run)",
        ]
        assert second.startswith("execution] book/worse, cell 1 (line 11): ----> 1 raise ValueEr")
        # Also on the second build, when nothing is executed, the proof is there for the gates.
        assert executed(tiny_book, "good") == (["stream"], "before\n")
        assert executed(tiny_book, "bad") == (["stream", "error"], "one\n")
        assert executed(tiny_book, "forced") == (["stream"], "forced\n")
        assert executed(tiny_book, "off") == executed(tiny_book, "excluded") == ([], "")
        ran_files = {path.name: path.read_text() for path in tiny_book.root.rglob("*.ran")}
        assert ran_files == {"forced.ran": "x"}

    # A module changes: its page runs and is set again, although its source is as it was.
    tiny_book.write("src/steps.py", "VALUE = 'after!'\n")
    tiny_book.page("bad", "print('mended')")
    tiny_book.page("worse", "print('mended')", text="With a [broken link](#nowhere).")
    built = tiny_book.jupyter_book()
    assert "executing 3 pages" in built.stdout and tiny_book.findings() == ""
    assert executed(tiny_book, "good") == (["stream"], "after!\n")
    assert "after!" in (tiny_book.root / "_build/html/book/good.html").read_text()
    assert built.returncode == 1 and "nowhere" in built.stderr


def test_without_us_myst_nb_executes(tiny_book):
    tiny_book.page("index", "print('by myst-nb')")
    config = (tiny_book.root / "_config.yml").read_text()
    tiny_book.write("_config.yml", f"{config}  config: {{mathdl_execute_ahead: false}}\n")
    built = tiny_book.jupyter_book()
    assert "executing" not in built.stdout and not (tiny_book.root / "_build/execution").exists()
    assert "by myst-nb" in (tiny_book.root / "_build/html/book/index.html").read_text()


def test_execution_that_is_off_for_the_book_stays_off(tiny_book):
    tiny_book.page("index", "print('never')")
    config = (tiny_book.root / "_config.yml").read_text()
    tiny_book.write("_config.yml", config.replace("cache", "'off'"))
    built = tiny_book.jupyter_book()
    assert "executing" not in built.stdout
    assert executed(tiny_book, "index") == ([], "")

"""The builder's promises: one last line, no green leftovers, devices that were really used."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from mathdl_book import builder, execution

ROOT = Path(__file__).parents[2]
COUNTED = {"pages": 3, "claims": 4, "claims_checked": 4, "checks": 9, "worst_error": 3.21e-12}


@pytest.fixture
def quiet_build(tmp_path, monkeypatch):
    """Return a function that builds with a given ledger instead of a book."""

    def run(ledger, device="cpu", status=0):
        def pages(root, html):
            html.mkdir(parents=True, exist_ok=True)
            (html / "ledger.json").write_text(json.dumps(ledger))
            return status

        monkeypatch.setattr(builder, "_jupyter_book", pages)
        monkeypatch.setattr(execution, "describe_device", lambda name: f"{name} of a test")
        monkeypatch.setenv("MATHDL_DEVICE", "cpu")  # restored afterwards
        return builder.build(tmp_path, device=device)

    return run


def test_it_ends_with_the_page_to_open_and_the_totals(quiet_build, tmp_path, capsys):
    assert quiet_build({"totals": COUNTED}) == 0
    opened, summed = capsys.readouterr().out.splitlines()
    assert opened == f"Open {tmp_path / '_build/html/index.html'}"
    assert re.fullmatch(
        r"3 pages, 4 of 4 claims checked, 9 checks, "
        r"worst error of a derivative 3\.2e-12, \d+\.\d s",
        summed,
    )


def test_a_gpu_that_no_check_used_fails_the_build(quiet_build, tmp_path, capsys):
    assert quiet_build({"totals": COUNTED, "checks": [{"device": "cpu"}]}, "cuda") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: DEVICE=cuda, but the ledger has no check that ran on")
    assert "Open" not in captured.out and not (tmp_path / "_build/html").exists()
    checks = {"eq-a": {"checks": [{"device": "cuda:0"}, {"device": "cpu"}]}}
    assert quiet_build({"totals": COUNTED, "claims": checks}, "cuda") == 0
    assert not (tmp_path / "_build/failed").exists(), "what failed before is out of date"


def test_what_is_started_early_knows_the_device_and_the_pages(quiet_build, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        builder, "start_early", lambda names: seen.append((os.environ["MATHDL_DEVICE"], names))
    )
    (tmp_path / "book/part").mkdir(parents=True)
    (tmp_path / "book/part/page.md").write_text("import torch")
    quiet_build({"checks": [{"device": "cuda"}]}, "cuda")
    assert seen == [("cuda", ["torch"])]
    (tmp_path / "_build/execution").mkdir()
    quiet_build({}, status=1)
    assert len(seen) == 1, "with results at hand perhaps nothing runs"


def test_a_failed_build_is_set_aside(quiet_build, tmp_path, capsys):
    assert quiet_build({"totals": COUNTED}, status=1) == 1
    assert (tmp_path / "_build/failed/ledger.json").exists()
    assert not (tmp_path / "_build/html").exists()
    captured = capsys.readouterr()
    assert captured.out == "" and str(tmp_path / "_build/failed") in captured.err


def test_a_device_that_is_not_there_fails_before_anything_is_built(tiny_book):
    tiny_book.page("index", "print(1)")
    failed = tiny_book.run(
        "-m", "mathdl_book", "build", "--device", "cuda", env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert failed.returncode == 1 and failed.stdout == ""
    assert re.fullmatch(
        r"error: DEVICE=cuda, but there is no cuda device: torch .*\n", failed.stderr
    )
    assert not (tiny_book.root / "_build").exists()


def test_a_folder_that_is_no_book(tmp_path, capsys):
    assert builder.main(["build", "--root", str(tmp_path)]) == 1
    assert "holds no _config.yml" in capsys.readouterr().err


def test_build_fail_mend_and_clean(tiny_book):
    tiny_book.page("index", "print('executed')", text="With a [broken link](#nowhere).")
    failed = tiny_book.run("-m", "mathdl_book", "build", "--jobs", "1")
    assert failed.returncode == 1
    assert "index.md:8: WARNING: 'myst' cross-reference target not found" in failed.stderr
    assert "\x1b" not in failed.stderr
    assert failed.stdout.splitlines()[0] == "executing 1 page" and "Open" not in failed.stdout
    html, aside = tiny_book.root / "_build/html", tiny_book.root / "_build/failed"
    assert not html.exists() and (aside / "book/index.html").is_file()

    tiny_book.page("index", "print('executed')")
    mended = tiny_book.run("-m", "mathdl_book", "build")
    assert mended.returncode == 0 and mended.stderr == ""
    assert mended.stdout.splitlines()[0] == f"Open {html}/index.html", "nothing ran again"
    assert (html / "book/index.html").is_file() and not aside.exists()

    assert tiny_book.run("-m", "mathdl_book", "clean").returncode == 0
    assert not (tiny_book.root / "_build").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_leaves_no_kernel_and_no_pages(tiny_book, number, status, wait_for):
    tiny_book.page("index", "open('running', 'w'); import time; time.sleep(300)")
    (tiny_book.root / "_build/html").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "mathdl_book", "build"],
        cwd=tiny_book.root,
        env=tiny_book.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: (tiny_book.root / "book/running").exists())
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert family and process.wait(120) == status
    assert not any(child.is_running() for child in family)
    assert not (tiny_book.root / "_build/html").exists()


def test_serving_builds_again_when_a_page_changes(tiny_book, wait_for):
    tiny_book.page("index", "print('first')")
    with socket_free() as port:
        address = f"http://127.0.0.1:{port}/book/index.html"
    process = subprocess.Popen(
        [sys.executable, "-m", "mathdl_book", "serve", "--port", str(port)],
        cwd=tiny_book.root,
        env=tiny_book.environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: "first" in fetched(address))
        assert "websocket-reload" in fetched(address), "browsers are told to reload"
        tiny_book.page("index", "print('second')")
        wait_for(lambda: "second" in fetched(address))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0


def socket_free():
    import contextlib
    import socket

    @contextlib.contextmanager
    def port():
        with socket.socket() as opened:
            opened.bind(("127.0.0.1", 0))
            yield opened.getsockname()[1]

    return port()


def fetched(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, http.client.HTTPException):  # the page may be being written
        return ""


def test_what_this_python_lacks_is_named(tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = ['numpy>=2']\n[project.optional-dependencies]\n"
        "book = ['sphinx', 'no-such-package>=1,<2']\n"
    )
    assert builder.main(["needs", "--root", str(tmp_path), "--groups", "book"]) == 1
    assert capsys.readouterr().err.endswith("pip install 'no-such-package>=1,<2'\n")
    assert builder.main(["needs", "--root", str(ROOT)]) == 0


# ---- make ----------------------------------------------------------------------------------

FAKE_PYTHON = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";; esac
"""


@pytest.fixture
def make(tmp_path):
    """Return a function that runs our Makefile with a Python that only notes its arguments."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / "fake-python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    log = tmp_path / "log"

    def run(*arguments):
        log.write_text("")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "VENV"))}
        subprocess.run(
            ["make", "-s", *arguments, f"PYTHON={python}"],
            cwd=tmp_path,
            env=kept | {"LOG": str(log)},
            check=True,
            capture_output=True,
        )
        return [line for line in log.read_text().splitlines() if not line.startswith("-c ")]

    return run


def test_make_book_installs_once(make, tmp_path):
    first = make("book", "TORCH_INDEX=https://torch.example/cpu")
    assert first[0] == "-m venv .venv"
    assert re.fullmatch(
        r"-m pip install .*-r requirements\.txt --extra-index-url https://torch\.example/cpu",
        first[1],
    )
    build = "-m mathdl_book build --device cpu --jobs 0"
    assert first[2:] == [build]
    assert make("book") == [build], "a second call installs nothing"
    stamp = tmp_path / ".venv/.installed"
    os.utime(stamp, (0, 0))
    assert make("book") == [build], "nor does a new time stamp"
    assert stamp.stat().st_mtime > 0
    os.utime(stamp, (0, 0))
    with (tmp_path / "requirements.txt").open("a") as pins:
        pins.write("# changed\n")
    again = make("book", "DEVICE=cuda", "JOBS=3")
    assert len(again) == 2 and "pip install" in again[0]
    assert again[1] == "-m mathdl_book build --device cuda --jobs 3"


def test_make_with_the_python_at_hand_installs_nothing(make, tmp_path):
    assert make("book", "VENV=none") == [
        "-m mathdl_book needs --groups plots,referees,book",
        "-m mathdl_book build --device cpu --jobs 0",
    ]
    assert not (tmp_path / ".venv").exists()


def test_make_test_runs_everything_in_order(make):
    ran = make("test", "VENV=none")
    assert ran[0] == "-m mathdl_book needs --groups plots,referees,book,test"
    kinds = ["ruff check", "ruff format --check", "pytest", "pytest", "mathdl_book build"]
    assert len(ran) == 6
    assert all(line.startswith(f"-m {kind}") for line, kind in zip(ran[1:], kinds, strict=True))


def test_make_knows_what_it_offers():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    offered = set(re.findall(r"^make (\w+)", said.stdout, flags=re.MULTILINE))
    assert offered == {
        *("book", "test", "live", "site", "serve", "lab"),
        *("permalinks", "bench", "lock", "clean"),
        *("edition", "lighthouse", "notebooks", "pdf", "epub", "offline", "assignments"),
    }

"""Python for the browser as a build gets it: every file held to its digest, wherever from."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from browsing import served
from mathdl_book import pyodide

PINS = pyodide.pins()
SIX = PINS["packages"]["six"]


def refuse_network(*_: object) -> bytes:
    raise OSError("no network")


def sources(tmp_path: Path, folder: Path | None = None) -> pyodide.Sources:
    return pyodide.Sources(folder, tmp_path / "cache", npm=refuse_network)


def test_pins_are_those_of_pyodide_s_own_lock_file(tmp_path):
    try:
        archive = pyodide.npm_pack(f"pyodide@{PINS['version']}", tmp_path)
    except OSError as error:
        pytest.skip(f"npm's registry cannot be reached: {error}")
    pyodide.held(archive, PINS["npm"]["sha512"], "the archive")
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        lock = json.loads(files.extractfile("package/pyodide-lock.json").read())
        assert lock["info"] == PINS["info"]
        for name, about in PINS["core"].items():
            data = files.extractfile(f"package/{name}").read()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (about["sha256"], about["size"])
    for name, package in PINS["packages"].items():
        assert {**lock["packages"][name], "size": package["size"]} == package
    needed = {name for p in PINS["packages"].values() for name in p["depends"]}
    assert needed < set(PINS["packages"])


def test_a_file_comes_from_the_folder_then_the_cache_then_the_network(tmp_path):
    data = b"the bytes"
    digest = hashlib.sha256(data).hexdigest()
    given = sources(tmp_path, tmp_path / "folder")
    assert given.find("f", digest, lambda: data) == data
    assert (given.cache / "f").read_bytes() == data
    assert given.find("f", digest, refuse_network) == data
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "f").write_bytes(data)
    (given.cache / "f").unlink()
    assert given.find("f", digest, refuse_network) == data


def test_other_bytes_are_refused_from_folder_and_network_and_replaced_in_the_cache(tmp_path):
    data = b"the bytes"
    digest = hashlib.sha256(data).hexdigest()
    given = sources(tmp_path, tmp_path / "folder")
    with pytest.raises(pyodide.Tampered, match="f is refused"):
        given.find("f", digest, lambda: b"others")
    assert not (given.cache / "f").exists()
    given.cache.mkdir()
    (given.cache / "f").write_bytes(b"others")
    assert given.find("f", digest, lambda: data) == data
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / SIX["file_name"]).write_bytes(b"others")
    with pytest.raises(pyodide.Tampered, match="six"):
        pyodide.install(tmp_path / "site", given)


def test_a_host_that_does_not_answer_is_asked_once(tmp_path):
    asked = []
    given = sources(tmp_path)

    def ask() -> bytes:
        asked.append(1)
        raise OSError

    assert given.find("a", SIX["sha256"], ask) is None
    assert given.find("b", SIX["sha256"], ask) is None
    assert len(asked) == 1


def test_what_cannot_be_had_is_left_to_the_browser_under_the_same_digests(tmp_path):
    manifest = pyodide.install(tmp_path / "site", sources(tmp_path))
    names = {p["file_name"] for p in PINS["packages"].values()}
    assert set(pyodide.elsewhere(manifest)) == set(PINS["core"]) | names
    entry = manifest["packages"][SIX["file_name"]]
    assert entry["sha256"] == SIX["sha256"]
    assert entry["url"].startswith(f"https://cdn.jsdelivr.net/pyodide/v{PINS['version']}/full/six-")
    written = {path.name for path in (tmp_path / "site").iterdir()}
    assert written == {"LICENSES.txt", "manifest.json", "mathdl-0-py3-none-any.whl"}
    assert json.loads((tmp_path / "site" / "manifest.json").read_text()) == manifest
    # What an earlier build left goes away.
    (tmp_path / "site" / "old.whl").write_bytes(b"")
    pyodide.install(tmp_path / "site", None)
    assert not (tmp_path / "site" / "old.whl").exists()


def test_what_a_host_would_give_is_told_from_what_none_gives(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"")
    with served(tmp_path) as site:
        manifest = {"core": {"a": {"url": "a"}}, "packages": {"b": {"url": f"{site.url}/a.whl"}}}
        assert pyodide.within_reach(manifest)
        gone = {"b": {"url": f"{site.url}/b.whl"}}
        assert not pyodide.within_reach({"core": {}, "packages": gone})
    assert not pyodide.within_reach(manifest)  # nobody listens any more
    assert not pyodide.within_reach({"core": manifest["core"], "packages": {}})


def test_the_library_s_wheel_is_the_same_each_time_and_installs(tmp_path):
    name, data = pyodide.library_wheel("0")
    assert pyodide.library_wheel("0") == (name, data)
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        names = wheel.namelist()
        recorded = wheel.read("mathdl-0.dist-info/RECORD").decode().splitlines()
        wheel.extractall(tmp_path)
    assert [line.split(",")[0] for line in recorded] == names
    assert not [n for n in names if not n.startswith("mathdl")] and "mathdl/checks.py" in names
    code = "import mathdl.checks, sys; print(mathdl.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
    )
    assert run.stdout.strip() == str(tmp_path / "mathdl" / "__init__.py"), run.stderr


def test_licences_of_what_is_shipped_are_shipped(tmp_path):
    pyodide.install(tmp_path, None)
    text = (tmp_path / "LICENSES.txt").read_text(encoding="utf-8")
    for phrase in ("Mozilla Public License", "PYTHON SOFTWARE FOUNDATION", "Marijn", "IPython"):
        assert phrase in text
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as wheel:
        wheel.writestr("x-1.dist-info/LICENSE", "Do as you like.")
        wheel.writestr("x/licenses.py", "LICENSE = 1")
    text = pyodide.licenses_text({"x-1-py3-none-any.whl": buffer.getvalue()})
    assert "x-1.dist-info/LICENSE\n\nDo as you like." in text and "LICENSE = 1" not in text

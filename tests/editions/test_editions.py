"""Editions beside each other: what a new one replaces, where the root leads, what the list says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from checkouts import git
from mathdl_book import editions

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(
    (ROOT / "src/mathdl_book/static/schemas/editions.schema.json").read_text(encoding="utf-8")
)


def edition(folder: Path, name: str, date: str, page: str = "a") -> Path:
    """Return a built edition of one page."""
    site = folder / f"built-{name}-{page}"
    (site / "book").mkdir(parents=True)
    (site / "book" / f"{page}.html").write_text(f"{name} {date} {page}")
    (site / "objects.inv").write_text(name)
    (site / "404.html").write_text(name)
    (site / editions.ABOUT).write_text(json.dumps(editions.described(name, date)))
    return site


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def listed(folder: Path) -> list[dict[str, str]]:
    found = json.loads((folder / editions.LIST).read_text(encoding="utf-8"))
    checker = jsonschema.FormatChecker()
    jsonschema.validate(found, SCHEMA, format_checker=checker)
    return found


# ---- the folder of the whole site ----------------------------------------------------------


def test_a_new_edition_stands_beside_the_others(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    editions.assemble(edition(tmp_path, "2026.1", "2026-02-01"), whole)
    assert [one["name"] for one in listed(whole)] == ["2026.1"]
    # Without a latest one the root leads to the newest.
    assert 'href="2026.1/"' in (whole / "index.html").read_text()
    editions.assemble(edition(tmp_path, "latest", "2026-03-01"), whole)
    editions.assemble(edition(tmp_path, "2026.2", "2026-03-01"), whole, "2026.2")
    assert [one["name"] for one in listed(whole)] == ["latest", "2026.2", "2026.1"]
    assert listed(whole)[1] == {
        "name": "2026.2",
        "title": "Edition 2026.2",
        "date": "2026-03-01",
        "url": "2026.2/",
    }
    assert 'href="latest/"' in (whole / "index.html").read_text()
    # What Pages and other books ask for at the root is the newest edition's.
    assert (whole / "404.html").read_text() == (whole / "objects.inv").read_text() == "latest"
    assert (whole / ".nojekyll").is_file()


def test_publishing_an_edition_again_replaces_it_alone(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    for name, date in (
        ("2026.1", "2026-02-01"),
        ("2026.2", "2026-03-01"),
        ("latest", "2026-03-02"),
    ):
        editions.assemble(edition(tmp_path, name, date), whole)
    (whole / "CNAME").write_text("math.example.org")
    before = contents(whole)
    editions.assemble(edition(tmp_path, "2026.1", "2026-02-09", "b"), whole)
    after = contents(whole)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {
        "editions.json",
        "2026.1/edition.json",
        "2026.1/book/a.html",
        "2026.1/book/b.html",
    }
    assert not (whole / "2026.1/book/a.html").exists()
    assert [one["date"] for one in listed(whole)] == ["2026-03-02", "2026-03-01", "2026-02-09"]


def test_addresses_at_the_root_follow_the_newest_edition(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    editions.assemble(edition(tmp_path, "latest", "2026-02-01"), whole)
    editions.assemble(edition(tmp_path, "latest", "2026-02-02", "b"), whole)
    assert [path.name for path in (whole / "book").iterdir()] == ["b.html"]
    assert '"../latest/book/b.html"' in (whole / "book" / "b.html").read_text()


def test_an_edition_taken_out_by_hand_is_no_longer_listed(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    editions.assemble(edition(tmp_path, "2026.1", "2026-02-01"), whole)
    (whole / "2026.1").rename(tmp_path / "elsewhere")
    editions.assemble(edition(tmp_path, "latest", "2026-02-02"), whole)
    assert [one["name"] for one in listed(whole)] == ["latest"]


def test_what_is_no_edition_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole = tmp_path / "whole"
    site = edition(tmp_path, "2026.1", "2026-02-01")
    command = ["assemble", str(site), "--into", str(whole), "--edition"]
    assert editions.main([*command, "2026.2"]) == 1
    assert "MATHDL_EDITION=2026.2" in capsys.readouterr().err
    (site / editions.ABOUT).unlink()
    assert editions.main([*command, "2026.1"]) == 1
    assert "is no edition" in capsys.readouterr().err
    assert not whole.exists()


@pytest.mark.parametrize("name", ["v1", "book", "2026.", "../2026", "2026/1", "20260", "Latest"])
def test_a_name_that_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="MATHDL_EDITION"):
        editions.edition_named(name)


def test_the_schema_refuses() -> None:
    good = editions.described("2026.1", "2026-02-01")
    jsonschema.validate([good], SCHEMA)
    for wrong in ({**good, "url": "https://e.org/"}, {**good, "name": "x"}, {"name": "latest"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([wrong], SCHEMA)


# ---- the branch that Pages serves ----------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a remote."""
    git(tmp_path, "init", "--quiet", "--bare", "remote")
    git(tmp_path, "init", "--quiet", "-b", "main", "checkout")
    folder = tmp_path / "checkout"
    (folder / "README.md").write_text("The book")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Begin")
    git(folder, "remote", "add", "origin", str(tmp_path / "remote"))
    git(folder, "push", "--quiet", "origin", "main")
    return folder


def published(checkout: Path, into: Path) -> Path:
    """Return what the branch holds."""
    git(checkout, "fetch", "--quiet", "origin", "+gh-pages:refs/seen")
    into.mkdir()
    archive = subprocess.run(
        ["git", "archive", "refs/seen"], cwd=checkout, capture_output=True, check=True
    )
    subprocess.run(["tar", "x"], cwd=into, input=archive.stdout, check=True)
    return into


def test_older_editions_stay_in_the_branch(checkout: Path, tmp_path: Path) -> None:
    for name, date in (
        ("2026.1", "2026-02-01"),
        ("latest", "2026-03-01"),
        ("latest", "2026-03-02"),
    ):
        site = edition(tmp_path, name, date, f"of-{date}")
        editions.publish(site, checkout)
    seen = published(checkout, tmp_path / "seen")
    assert [one["name"] for one in listed(seen)] == ["latest", "2026.1"]
    assert (seen / "2026.1/book/of-2026-02-01.html").is_file()
    assert [path.name for path in (seen / "latest/book").iterdir()] == ["of-2026-03-02.html"]
    assert (seen / ".nojekyll").is_file()
    # One commit, so that the branch does not grow; the checkout is as it was.
    assert git(checkout, "rev-list", "--count", "refs/seen") == "1"
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "rev-parse", "main") == git(checkout, "rev-parse", "origin/main")


def test_two_jobs_at_once_lose_nothing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editions.publish(edition(tmp_path, "2026.1", "2026-02-01"), checkout)
    first, second = (edition(tmp_path, n, "2026-03-01") for n in ("latest", "2026.2"))
    plain, faster = editions.assemble, [second]

    def slow(*given: Any) -> Any:
        if faster:
            editions.publish(faster.pop(), checkout)
        return plain(*given)

    monkeypatch.setattr(editions, "assemble", slow)
    editions.publish(first, checkout)
    seen = published(checkout, tmp_path / "seen")
    assert [one["name"] for one in listed(seen)] == ["latest", "2026.2", "2026.1"]
    assert all((seen / one["url"] / "book/a.html").is_file() for one in listed(seen))


def test_a_remote_that_cannot_be_read_is_not_taken_for_an_empty_one(
    checkout: Path, tmp_path: Path
) -> None:
    git(checkout, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="ls-remote"):
        editions.publish(edition(tmp_path, "latest", "2026-02-01"), checkout)


def test_a_site_too_large_for_pages_is_told(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(editions, "LARGEST", 100)
    editions.publish(edition(tmp_path, "latest", "2026-02-01"), checkout)
    assert "Pages takes 1" in capsys.readouterr().out


def test_publishing_needs_nothing_installed(checkout: Path, tmp_path: Path) -> None:
    """As in the job that may write to the repository: Python without any package, and git."""
    site = edition(tmp_path, "latest", "2026-02-01")
    command = [sys.executable, "-S", "-m", "mathdl_book.editions", "publish", str(site)]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "editions: latest\n"


# ---- what a build says of its edition ------------------------------------------------------

BASE = "https://mathematics-for-deep-learning.github.io/book/"


@pytest.mark.parametrize("name", ["latest", "2026.1"])
def test_an_edition_has_its_own_address_and_names_the_latest_to_search_engines(
    two: Path, name: str
) -> None:
    page = (two / name / "book/whole.html").read_text()
    assert f'<link rel="canonical" href="{BASE}latest/book/whole.html"' in page
    assert f'<meta property="og:url" content="{BASE}{name}/book/whole.html"' in page
    assert f"url = {{{BASE}{name}/book/whole.html}}" in page
    assert ("edition = {2026.1}" in page) == (name == "2026.1")
    assert f'<base href="/book/{name}/">' in (two / name / "404.html").read_text()


def test_only_a_tagged_edition_looks_for_a_newer_one(two: Path) -> None:
    pattern = r'<script [^>]*src="[^"]*_static/editions\.js[^>]*>'
    old = re.findall(pattern, (two / "2026.1/book/whole.html").read_text())
    assert len(old) == 1 and "defer" in old[0] and 'data-edition="2026.1"' in old[0]
    assert not re.findall(pattern, (two / "latest/book/whole.html").read_text())


def test_a_tagged_edition_is_not_edited(two: Path) -> None:
    assert "/edit/" not in (two / "2026.1/book/whole.html").read_text()
    assert "/edit/main/book/whole.md" in (two / "latest/book/whole.html").read_text()


def test_the_list_has_the_days_of_the_last_changes(two: Path) -> None:
    assert [(one["name"], one["date"]) for one in listed(two)] == [
        ("latest", "2026-05-06"),
        ("2026.1", "2026-02-03"),
    ]


def test_a_build_that_is_no_edition_says_nothing_of_one(sample_book: Any) -> None:
    assert not (sample_book.html / editions.ABOUT).exists()
    page = sample_book.page("chapter")
    assert f'<link rel="canonical" href="{BASE}book/chapter.html"' in page
    assert "editions.js" not in page

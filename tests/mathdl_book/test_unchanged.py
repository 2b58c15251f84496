"""A build is skipped only where it would make again exactly what is there."""

import os

import pytest

from mathdl_book import unchanged


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text("title: A\n")
    (tmp_path / "book" / "a.md").write_text("# A\n")
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "a.html").write_text("<p>A</p>")
    return tmp_path


def good_build(root):
    unchanged.remember(root, unchanged.inputs(root))


def is_unchanged(root):
    return unchanged.is_unchanged(root, unchanged.inputs(root))


def test_without_a_good_build_nothing_is_known(book):
    assert not is_unchanged(book)
    good_build(book)
    assert is_unchanged(book)
    unchanged.forget(book)
    assert not is_unchanged(book)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "book" / "a.md").write_text("# B\n"),
        lambda root: (root / "book" / "b.md").write_text("# B\n"),
        lambda root: (root / "book" / "a.md").rename(root / "book" / "b.md"),
        lambda root: (root / "_config.yml").unlink(),
        lambda root: (root / "_build" / "html" / "a.html").unlink(),
        lambda root: (root / "_build" / "html" / "a.html").write_text("<p>B</p>"),
        lambda root: os.utime(root / "_build" / "html" / "a.html", (1, 1)),
        lambda root: (root / "_build" / "html" / "b.html").write_text("<p>B</p>"),
    ],
)
def test_any_change_of_a_source_or_an_output_is_seen(book, change):
    good_build(book)
    change(book)
    assert not is_unchanged(book)


def test_the_environment_counts(book, monkeypatch):
    good_build(book)
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/book")
    assert not is_unchanged(book)


def test_what_changes_during_a_build_is_not_taken_for_built(book):
    given = unchanged.inputs(book)
    (book / "book" / "a.md").write_text("# changed while building\n")
    unchanged.remember(book, given)
    assert not is_unchanged(book)


def test_caches_and_environments_do_not_count(book):
    good_build(book)
    (book / "env").mkdir()
    (book / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (book / "book" / "__pycache__").mkdir()
    (book / "book" / "__pycache__" / "a.pyc").write_bytes(b"\0")
    assert is_unchanged(book)

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from checkouts import git
from mathdl_book import repository


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "remote", "add", "origin", "git@github.com:fork/own-book.git")
    return tmp_path


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/a/b", "https://github.com/a/b"),
        ("https://github.com/a/b.git/", "https://github.com/a/b"),
        ("http://example.org:8080/a/b.git", "https://example.org/a/b"),
        ("git@gitlab.com:group/sub/book.git", "https://gitlab.com/group/sub/book"),
        ("ssh://git@github.com:22/a/b.git", "https://github.com/a/b"),
        ("git://github.com/a/b.git", "https://github.com/a/b"),
        ("https://user:token@github.com/a/b.git", "https://github.com/a/b"),
        ("../elsewhere", None),
        ("/srv/git/book.git", None),
        ("file:///srv/git/book.git", None),
        ("", None),
    ],
)
def test_the_web_address_of_every_form_of_remote(remote: str, address: str | None) -> None:
    assert repository.web_address(remote) == address


def test_ci_states_address_and_branch() -> None:
    github = {
        "GITHUB_SERVER_URL": "https://ghe.example.org",
        "GITHUB_REPOSITORY": "fork/own-book",
        "GITHUB_REF_NAME": "release",
    }
    assert repository.from_environment(github) == (
        "https://ghe.example.org/fork/own-book",
        "release",
    )
    gitlab = {"CI_PROJECT_URL": "https://gitlab.com/a/b", "CI_COMMIT_REF_NAME": "dev"}
    assert repository.from_environment(gitlab) == ("https://gitlab.com/a/b", "dev")
    assert repository.from_environment({}) is None


def test_a_pull_request_points_at_the_branch_it_goes_into() -> None:
    environ = {
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_REF_NAME": "12/merge",
        "GITHUB_BASE_REF": "main",
    }
    assert repository.from_environment(environ) == ("https://github.com/a/b", "main")


def test_git_knows_remote_and_branch(checkout: Path) -> None:
    assert repository.from_git(checkout) == ("https://github.com/fork/own-book", "trunk")


def test_the_branch_has_its_own_remote(checkout: Path) -> None:
    git(checkout, "remote", "add", "upstream", "https://github.com/main/book")
    git(checkout, "config", "branch.trunk.remote", "upstream")
    assert repository.from_git(checkout) == ("https://github.com/main/book", "trunk")


def test_a_book_inside_another_checkout_is_not_that_one(checkout: Path) -> None:
    (checkout / "inside").mkdir()
    assert repository.from_git(checkout / "inside") is None


def test_without_a_remote_on_the_web_git_says_nothing(checkout: Path) -> None:
    git(checkout, "remote", "set-url", "origin", str(checkout))
    assert repository.from_git(checkout) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GITHUB_REPOSITORY": "ci/b", "GITHUB_REF_NAME": "x"}, ("https://github.com/ci/b", "x")),
        ({}, ("https://github.com/fork/own-book", "trunk")),
    ],
)
def test_ci_goes_before_git_and_git_before_the_configuration(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    expected: tuple[str, str],
) -> None:
    for name in ("GITHUB_REPOSITORY", "GITHUB_REF_NAME", "GITHUB_BASE_REF", "CI_PROJECT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    options = {"repository_url": "https://github.com/config/b", "repository_branch": "main"}
    config = SimpleNamespace(html_theme_options=options, myst_substitutions={"kept": "yes"})
    repository.configure(SimpleNamespace(srcdir=checkout), config)
    assert (options["repository_url"], options["repository_branch"]) == expected
    assert config.myst_substitutions == {
        "kept": "yes",
        "repository": expected[0],
        "branch": expected[1],
    }


def test_the_configuration_serves_where_nothing_else_speaks(sample_book) -> None:
    page = sample_book.page("chapter")
    assert "https://github.com/mathematics-for-deep-learning/book/edit/main/book/chapter.md" in page
    assert (
        "mybinder.org/v2/gh/mathematics-for-deep-learning/book/notebooks?urlpath=lab/tree" in page
    )
    assert "github.com/mathematics-for-deep-learning/book" in sample_book.page("index")

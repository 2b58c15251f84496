"""A built site in Chromium: the sample book's, or the one that MATHDL_SITE names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from browsing import served


@dataclass
class Opened:
    """A page in the browser, with what it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def html(request: pytest.FixtureRequest) -> Path:
    """The folder of the built site."""
    if named := os.environ.get("MATHDL_SITE"):
        return Path(named).resolve()
    return request.getfixturevalue("sample_book").html


@pytest.fixture(scope="session")
def site(html: Path) -> Iterator[str]:
    """Where a local server shows the site: below a folder, as Pages does."""
    with served(html) as site:
        yield site.url


@pytest.fixture(scope="session")
def far(html: Path) -> Iterator[str]:
    """Where a server some way off shows the same."""
    with served(html, far=True) as site:
        yield site.url


@pytest.fixture
def visit(browser: Any, site: str, far: str) -> Iterator[Any]:
    """Open a page: `visit("book/index.html", width=412, scheme="dark", away=True)`."""
    contexts = []

    def visit(
        name: str, *, width: int = 1350, scheme: str = "light", away: bool = False, **given: Any
    ) -> Opened:
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", **given
        )
        contexts.append(context)
        page = context.new_page()
        opened = Opened(page)
        page.on("console", lambda message: opened.said.append(message.text))
        page.on("pageerror", lambda error: opened.said.append(str(error)))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(name if "://" in name else f"{far if away else site}/{name}", wait_until="load")
        return opened

    yield visit
    for context in contexts:
        context.close()

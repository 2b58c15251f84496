"""Decks: the sample book's with an explorable in its chapter, or of the site in MATHDL_SITE."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import Site, served

ROOT = Path(__file__).parents[2]
EXPLORABLE = """\
(sec-sample-hand)=
### By hand

```{explorable} gaussian-kl
:beside: fig-sample-bowl
:caption: Drag the peak.

- {try}`Cover both <mu=-0.4&sigma=2>`, and look.
```

(sec-sample-exercises)=
## Exercises
"""


@pytest.fixture(scope="session")
def deck_site(sample_book_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built site whose chapter has an explorable, too."""
    book = sample_book_type(tmp_path_factory.mktemp("slides"))
    shutil.copytree(ROOT / "explorables", book.root / "explorables")
    book.edit("chapter", "(sec-sample-exercises)=\n## Exercises\n", EXPLORABLE)
    result = book.build()
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return book.html


@pytest.fixture(scope="session")
def site(deck_site: Path) -> Iterator[Site]:
    """The same on a server."""
    with served(deck_site) as site:
        yield site


@pytest.fixture(scope="session")
def all_decks(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The site whose every deck is looked at."""
    named = os.environ.get("MATHDL_SITE")
    if named is None:
        yield request.getfixturevalue("site")
        return
    with served(Path(named).resolve()) as site:
        yield site


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open a deck and wait for it; `page.said` is what its console said."""
    contexts = []

    def visit(address: str, **given: Any) -> Any:
        size = {"width": 1280, "height": 720}
        context = browser.new_context(**{"viewport": size, **given})
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        page.wait_for_selector("html.deck-ready")
        return page

    yield visit
    for context in contexts:
        context.close()

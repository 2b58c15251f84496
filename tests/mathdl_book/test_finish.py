from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from PIL import Image

from mathdl_book import finish

PHONE = 320


@pytest.mark.parametrize(
    ("svg", "size"),
    [
        ('<?xml version="1.0"?>\n<svg width="100" height="50px">', (100, 50)),
        ('<svg width="1in" height="2.54cm">', (96, 96)),
        ('<svg width="100%" height="100%" viewBox="-5 -5 40 30">', (40, 30)),
        ('<svg stroke-width="3" viewBox="0 0 7 9">', (7, 9)),
        ("<svg>", None),
        ("no image", None),
    ],
)
def test_the_size_of_an_svg(svg: str, size: tuple[int, int] | None) -> None:
    assert finish.svg_size(svg) == size


def test_images_get_their_sizes(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.svg").write_text('<svg width="40" height="50"><style id="mathdl-theme"></style>')
    paths = {name: tmp_path / name for name in ("a.png", "b.svg", "gone.png")}
    body = (
        '<img alt="A" src="../_images/a.png" /><img alt="B" class="c" src="../_images/b.svg" />'
        '<img alt="C" src="../_images/gone.png" /><img alt="D" width="5" src="_images/a.png" />'
    )
    first, second, third, fourth = re.findall(r"<img[^>]*>", finish.with_sizes(body, paths))
    assert 'width="30" height="20"' in first and "dark-light" not in first
    assert 'width="40" height="50"' in second and 'class="dark-light c"' in second
    assert third == '<img alt="C" src="../_images/gone.png" />'
    assert fourth == '<img alt="D" width="5" src="_images/a.png" />'


def test_thebe_leaves_nothing() -> None:
    context = {
        "script_files": [
            SimpleNamespace(filename="sphinx-thebe.js", attributes={}),
            SimpleNamespace(filename=None, attributes={"body": 'const THEBE_JS_URL = "https://x"'}),
            SimpleNamespace(filename="site.js", attributes={}),
            "_static/plain.js",
        ],
        "css_files": [SimpleNamespace(filename="sphinx-thebe.css", attributes={})],
    }
    finish.without_thebe(context)
    assert [getattr(s, "filename", s) for s in context["script_files"]] == [
        "site.js",
        "_static/plain.js",
    ]
    assert context["css_files"] == []

    configuration = '<script type="text/x-thebe-config">{}</script>'
    doctree = nodes.section(
        "",
        nodes.raw("", configuration, format="html"),
        nodes.raw("", "<script>kernelName = 'python3'</script>", format="html"),
        nodes.raw("", "<b>kept</b>", format="html"),
    )
    finish.drop_thebe_nodes(None, doctree, "page")
    assert [node.astext() for node in doctree] == ["<b>kept</b>"]


def test_only_labelled_boxes_get_a_link() -> None:
    body = (
        '<div class="proof theorem admonition" id="thm-a">\n<p class="admonition-title">T</p></div>'
        '<div class="note admonition" id="x">\n<p class="admonition-title">N</p></div>'
    )
    html = finish.with_permalinks(body)
    assert html.count('class="headerlink"') == 1
    assert 'T<a class="headerlink" href="#thm-a"' in html


def test_a_folded_cell_is_called_what_it_says(sample_book) -> None:
    page = sample_book.page("chapter")
    assert "Show code cell source" in page
    assert "Toggle hidden content" not in page


def test_the_front_door_is_a_page_and_opens_at_once(sample_book) -> None:
    html = (sample_book.html / "index.html").read_text()
    assert '<meta http-equiv="refresh" content="0; url=book/index.html">' in html
    assert '<a href="book/index.html">Mathematics for Deep Learning</a>' in html
    assert '<html lang="en">' in html and "<title>" in html


def test_no_page_takes_anything_from_elsewhere(sample_book) -> None:
    tags = r'(?:script|img|iframe|source|link(?! rel="canonical"))'
    loads = rf'<{tags}\b[^>]*?\s(?:src|href)="(https?:)?//[^"]*"'
    for path in sample_book.html.rglob("*.html"):
        text = path.read_text()
        assert not re.search(loads, text), path
        for name in ("thebe", "fontawesome.js", "mathjax@", "unpkg.com", "cdn."):
            assert name not in text, (path, name)
    assert not list(sample_book.html.rglob("fontawesome.js"))
    css = "".join(path.read_text() for path in sample_book.html.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//", css)
    assert not re.search(r"@import\s+(url\()?['\"]?(https?:)?//", css)


def test_figures_have_sizes_and_follow_the_theme(sample_book) -> None:
    images = re.findall(r"<img[^>]*_images[^>]*>", sample_book.page("chapter"))
    assert len(images) == 2
    for image in images:
        assert re.search(r'width="\d+" height="\d+"', image)
        assert 'class="dark-light"' in image
        assert re.search(r'alt="[^"]{20,}"', image)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1350])
def test_in_a_browser_every_page_is_whole(browser, sample_book, scheme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "requestfailed",
        lambda request: (
            request.failure != "net::ERR_ABORTED"  # by the way to the next page
            and trouble.append(f"failed: {request.url}")
        ),
    )
    page.on("console", lambda m: m.type in {"error", "warning"} and trouble.append(m.text))
    page.on(
        "request",
        lambda request: (
            not request.url.startswith(("file:", "data:"))
            and trouble.append(f"foreign: {request.url}")
        ),
    )
    for name in ("index", "chapter", "ledger", "bibliography"):
        page.goto((sample_book.html / "book" / f"{name}.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert trouble == []
    context.close()


def test_in_a_browser_a_figure_has_the_colours_of_the_theme(browser, sample_book) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto((sample_book.html / "book" / "chapter.html").as_uri())
    figure = page.locator("figure img").first
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # it is decoded beside the page

    def darkest_and_lightest() -> tuple[int, int]:
        return Image.open(io.BytesIO(figure.screenshot())).convert("L").getextrema()

    darkest, lightest = darkest_and_lightest()
    assert darkest < 70 and lightest > 245
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(200)
    darkest, lightest = darkest_and_lightest()
    assert darkest < 40 and 200 < lightest < 245
    page.close()


def test_in_a_browser_a_link_into_a_closed_solution_opens_it(browser, sample_book) -> None:
    page = browser.new_page()
    page.goto((sample_book.html / "book/chapter.html").as_uri() + "#check-eq-sample-chain-3")
    page.wait_for_timeout(200)
    assert page.evaluate("document.getElementById('sol-sample-code').open") is True
    assert page.evaluate("document.getElementById('sol-sample-hand').open") is False
    page.close()

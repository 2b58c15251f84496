"""What was published stays or leads on."""

from __future__ import annotations

import json
import subprocess

import pytest

from mathdl_book import permalinks
from mathdl_book.facts import Facts
from mathdl_book.permalinks import Permalinks, add_aliases, permalink_findings, redirect_page
from mathdl_book.typesetting import node_binary

# The book as it is now: two pages.
DOCNAMES = {"book/a", "book/b"}
PAGES = {
    "book/a.html": Facts({"sec-a", "equation-eq-a"}),
    "book/b.html": Facts({"sec-b", "sec-moved"}),
}


def judged(pages: dict, redirects: dict | None = None) -> list[tuple[str, str, str]]:
    found = permalink_findings(Permalinks(pages, redirects or {}), DOCNAMES, PAGES)
    return [(finding.page, finding.where, finding.message) for finding in found]


def test_what_is_still_there():
    assert judged({"book/a": ["sec-a", "equation-eq-a"], "book/b": []}) == []


def test_a_page_that_is_gone():
    ((page, _, message),) = judged({"book/old": ["sec-old"]})
    assert page == "book/old"
    assert "'book/old: <its new document name>'" in message
    # A redirect of the page keeps the ids that the new page has, and asks for the others.
    pages = {"book/old": ["sec-b", "sec-old"]}
    ((page, where, message),) = judged(pages, {"book/old": "book/b"})
    assert (page, where) == ("book/old", "#sec-old")
    assert "'book/old#sec-old: <document>#<its new id>'" in message
    redirects = {"book/old": "book/b", "book/old#sec-old": "book/a#sec-a"}
    assert judged(pages, redirects) == []


def test_an_id_that_is_gone():
    ((page, where, _),) = judged({"book/a": ["sec-moved"]})
    assert (page, where) == ("book/a", "#sec-moved")
    assert judged({"book/a": ["sec-moved"]}, {"book/a#sec-moved": "book/b#sec-moved"}) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("book/a", "book/b", "redirects a page that exists"),
        ("book/old", "book/gone", "leads to book/gone, which does not exist"),
        ("book/a#sec-old", "book/a#sec-gone", "which does not exist"),
        ("book/a#sec-old", "book/b", "an id leads to an id"),
    ],
)
def test_a_redirect_that_is_refused(old, new, told):
    ((page, where, message),) = judged({}, {old: new})
    assert (page, where) == ("book/permalinks.yml", old)
    assert told in message


def test_a_page_that_sphinx_no_longer_builds_is_gone_though_its_file_is_there():
    links = Permalinks({"book/a": []})
    assert permalink_findings(links, set(), PAGES)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<h2 id="sec-b">B</h2>', '<span id="sec-old"></span><h2 id="sec-b">B</h2>'),
        (
            '<dt class="x" id="sec-b">B</dt>',
            '<dt class="x" id="sec-b"><span id="sec-old"></span>B</dt>',
        ),
        ('<td id="sec-b">B</td>', '<td id="sec-b"><span id="sec-old"></span>B</td>'),
        ('<p id="sec-bb">B</p>', '<p id="sec-bb">B</p>'),
    ],
)
def test_an_alias_stands_at_the_new_place(body, expected):
    redirects = {"book/a#sec-old": "book/a#sec-b", "book/c#sec-x": "book/c#sec-b"}
    assert add_aliases(body, "book/a", redirects) == expected


def test_a_page_without_redirects_is_left_alone():
    assert add_aliases("<p>", "book/a", {"book/b#sec-x": "book/a#sec-y"}) == "<p>"


def followed(script: str, query: str, fragment: str) -> list[str]:
    """Where a script leads a browser to."""
    location = f"{{search: {json.dumps(query)}, hash: {json.dumps(fragment)}, replace: go_to}}"
    program = (
        "const led = []; const go_to = (to) => led.push(to);"
        f"const location = {location}; const addEventListener = () => {{}};"
        f"{script}; console.log(JSON.stringify(led))"
    )
    run = subprocess.run(
        [node_binary(), "-e", program], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(run.stdout)


def script_of(html: str) -> str:
    return html.partition("<script>")[2].partition("</script>")[0]


def test_a_moved_page_keeps_query_and_fragment():
    fragments = {"sec-split": "book/part/b#sec-c"}
    html = redirect_page("book/old", "book/part/a", fragments)
    script = script_of(html)
    assert followed(script, "?q=1", "#sec-x") == ["part/a.html?q=1#sec-x"]
    assert followed(script, "", "") == ["part/a.html"]
    assert followed(script, "?q=1", "#sec-split") == ["part/b.html?q=1#sec-c"]
    # Without JavaScript a refresh and a link lead there.
    assert '<noscript><meta http-equiv="refresh" content="0; url=part/a.html"></noscript>' in html
    assert '<a href="part/a.html">' in html


def test_a_moved_section_is_led_to_the_other_page():
    html = add_aliases("<p>", "book/part/a", {"book/part/a#sec-old": "book/b#sec-new"})
    assert '<span id="sec-old"></span>' in html
    script = script_of(html)
    assert followed(script, "?q=1", "#sec-old") == ["../b.html?q=1#sec-new"]
    assert followed(script, "", "#sec-a") == []


def test_nothing_in_a_script_ends_it():
    assert "</script>" not in script_of(
        redirect_page("book/a", "book/b", {"</script>": "book/c#x"})
    )


def test_redirect_pages_are_written_and_old_pages_removed(tmp_path):
    for name in ("book/a.html", "book/part/gone.html", "genindex.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    links = Permalinks({}, {"book/part/old": "book/a", "book/part/old#x": "book/a#y"})
    permalinks.write_redirects(tmp_path, links, {"book/a"})
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html"))
    assert names == ["book/a.html", "book/part/old.html", "genindex.html"]
    assert '["../a.html", "#y"]' in (tmp_path / "book/part/old.html").read_text()


@pytest.mark.parametrize(
    "text", ["[1]", "links: {}", "redirects: {'http://e.org': book/a}", "pages: {A b: []}"]
)
def test_a_file_that_is_refused(tmp_path, text):
    (tmp_path / "book").mkdir()
    (tmp_path / permalinks.FILE).write_text(text)
    with pytest.raises(ValueError, match=r"permalinks\.yml"):
        permalinks.load(tmp_path)


def test_publishing(tmp_path, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/a\nchapters: [{file: book/b}]\n")
    assert permalinks.main(["publish", str(tmp_path)]) == 1
    assert "build the book first" in capsys.readouterr().err
    html = tmp_path / "_build" / "html" / "book"
    html.mkdir(parents=True)
    (html / "a.html").write_text(
        '<h1 id="sec-a"><p id="equation-eq-a"></p><dt id="mathdl.losses.mse_loss"></dt>'
        '<a id="id1"></a><i id="search-input"></i><i id="sec-former"></i>'
    )
    (html / "b.html").write_text('<h1 id="sec-b">')
    file = tmp_path / permalinks.FILE
    file.write_text("redirects: {book/a#sec-former: book/a#sec-a}\npages: {book/c: [sec-c]}\n")
    assert permalinks.main(["check", str(tmp_path)]) == 1
    assert permalinks.main(["publish", str(tmp_path)]) == 0
    links = permalinks.load(tmp_path)
    assert links.pages == {
        "book/a": ["equation-eq-a", "mathdl.losses.mse_loss", "sec-a"],
        "book/b": ["sec-b"],
        "book/c": ["sec-c"],  # what was published once stays in the list
    }
    assert links.redirects == {"book/a#sec-former": "book/a#sec-a"}
    written = file.read_text()
    assert permalinks.main(["check", str(tmp_path)]) == 0
    assert permalinks.main(["publish", str(tmp_path)]) == 0
    assert file.read_text() == written
    assert "0 links added, 8 in all" in capsys.readouterr().out

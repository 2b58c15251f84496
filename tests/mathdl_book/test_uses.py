"""The way back from the API to the chapters."""

from __future__ import annotations

from types import SimpleNamespace

from docutils import nodes
from docutils.utils import new_document
from sphinx import addnodes

from mathdl_book import uses


def chapter() -> nodes.document:
    """A page with two sections: the second has the label, a cell in each, and one API link."""
    page = new_document("page")
    for number, (ids, code) in enumerate(
        [
            (
                ["first", "sec-first"],
                "from mathdl import losses, optim as o\nlosses.mse_loss(x, y)",
            ),
            (["second", "sec-second"], "o.Adam(1e-3).step(x)\nlosses.l1_loss(x, y)\nother.f()"),
        ]
    ):
        section = nodes.section(ids=ids)
        if number:
            section += addnodes.pending_xref("", refdomain="py", reftarget="mathdl.losses.mse_loss")
            section += addnodes.pending_xref("", refdomain="py", reftarget="numpy.dot")
            solution = nodes.section(ids=["solution-content"])
            solution += addnodes.pending_xref("", refdomain="py", reftarget="mathdl.optim.SGD")
            section += solution
        cell = nodes.container(nb_element="cell_code")
        cell += nodes.container("", nodes.literal_block(code, code), classes=["cell_input"])
        section += cell
        page += section
    return page


def test_text_goes_before_code_and_the_label_before_the_title():
    assert uses.uses_in(chapter()) == {
        "mathdl.losses.mse_loss": "sec-second",
        "mathdl.optim.SGD": "sec-second",
        "mathdl.optim.Adam": "sec-second",
        "mathdl.losses.l1_loss": "sec-second",
    }


def test_code_that_is_none_and_other_packages_use_nothing():
    assert uses.names_used("%timeit f(", {}) == []
    assert uses.names_used("import numpy as np\nfrom . import mathdl\nnp.dot(mathdl.a.b)", {}) == []
    assert uses.names_used("import mathdl.optim\nmathdl.optim.SGD()", {}) == ["mathdl.optim.SGD"]
    assert uses.names_used("import mathdl.optim as o\no.SGD()", {}) == ["mathdl.optim.SGD"]


def test_the_list_stands_below_the_object_and_follows_the_chapters(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: book/index\nchapters: [{file: book/a}]\n")
    title = nodes.title("", "Chapter A")
    env = SimpleNamespace(
        docname="book/a",
        titles={"book/a": title},
        domaindata={"py": {"objects": {"mathdl.x.f": SimpleNamespace(docname="book/api/x")}}},
        mathdl_uses={"book/a": {"mathdl.x.f": "sec-a"}},
    )
    builder = SimpleNamespace(get_relative_uri=lambda page, target: f"../{target}.html")
    app = SimpleNamespace(env=env, srcdir=tmp_path, builder=builder)
    assert uses._rewritten(app, env) == ["book/api/x"]
    assert uses._rewritten(app, env) == []

    page = new_document("book/api/x")
    signature = addnodes.desc_signature(ids=["mathdl.x.f"])
    page += addnodes.desc("", signature, addnodes.desc_content(), domain="py")
    uses._show(app, page, "book/api/x")
    (link,) = page.findall(nodes.reference)
    assert link["refuri"] == "../book/a.html#sec-a"
    assert page.astext().strip() == "Used in Chapter A"

    title[0] = nodes.Text("Another name")
    assert uses._rewritten(app, env) == ["book/api/x"]
    uses.Uses().clear_doc(app, env, "book/a")
    assert uses._rewritten(app, env) == ["book/api/x"]
    assert app._mathdl_used_in == {}

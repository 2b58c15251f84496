"""Every page of a built site holds the HTML standard."""

from __future__ import annotations

import os
import subprocess

import pytest

from node_tools import installed, invalid


@pytest.fixture(scope="module", autouse=True)
def _validator():
    try:
        installed()
    except (OSError, subprocess.CalledProcessError) as error:
        if "CI" in os.environ:  # which looks at the pages
            raise
        pytest.skip(f"npm cannot install what looks at the pages: {error}")


def test_every_page_holds_the_standard(html):
    pages = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]
    assert len(pages) > 5
    found = invalid(pages)
    assert not found, "\n".join(found[:40])


def test_a_mistake_is_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<!DOCTYPE html><html lang="en"><head><title>a</title></head><body>'
        "<details><summary><p>a</p></summary></details></body></html>",
        encoding="utf-8",
    )
    assert "element-permitted-content" in invalid([page])[0]

"""Formulas with fewer boxes: every sign stands where KaTeX puts it, in a browser."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mathdl_book.typesetting import NODE, STATIC, node_binary, read_macros

ROOT = Path(__file__).parents[2]
SIZE = 100  # CSS pixels an em, before KaTeX's own 1.21: nothing hides in a rounded pixel
BOTH = r"""
const katex = require(process.argv[1] + "/katex.min.js");
const { render } = require(process.argv[1] + "/slim.js");
const { macros, formulas } = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
const drawn = (html) => html.replace(/<span class="katex-mathml">.*?<\/math><\/span>/s, "");
const both = formulas.flatMap(([tex, displayMode]) => {
  const options = () => ({ displayMode, macros: { ...macros }, strict: "ignore" });
  try {
    return [[tex, drawn(katex.renderToString(tex, options())), drawn(render(tex, options()))]];
  } catch (error) {
    if (error instanceof katex.ParseError) return []; // dollars around something else
    throw error;
  }
});
process.stdout.write(JSON.stringify(both));
"""
# Where each sign, rule and drawing of both forms is, from the beginning of its line: how far
# apart at most.
APART = r"""(pairs) => {
  const box = document.querySelector("div");
  const signs = (html) => {
    box.innerHTML = `<i></i>${html}`;
    const origin = box.firstChild.getBoundingClientRect();
    const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node; (node = walker.nextNode()); ) {
      for (const [at, sign] of [...node.data].entries()) {
        if (sign === "\u200b") continue;
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        const { left, right, top } = range.getBoundingClientRect();
        found.push([sign, left - origin.left, right - origin.left, top - origin.bottom]);
      }
    }
    for (const shape of box.querySelectorAll("svg, [class*=-line], .katex-rule, .katex-fbox")) {
      const { left, right, top } = shape.getBoundingClientRect();
      found.push([`<${shape.getAttribute("class") ?? "svg"}>`, left - origin.left,
        right - origin.left, top - origin.bottom]);
    }
    return { found, height: box.getBoundingClientRect().height };
  };
  const ours = document.querySelector("style:last-of-type").sheet;
  const forms = [1, 2].map((form) => {
    ours.disabled = form === 1;
    return pairs.map((pair) => signs(pair[form]));
  });
  return pairs.map(([tex], at) => {
    const [plain, slim] = forms.map((form) => form[at]);
    const text = ({ found }) => found.map(([sign]) => sign).join("");
    if (text(plain) !== text(slim)) return [tex, text(plain), text(slim)];
    const moved = plain.found.flatMap((sign, i) =>
      [1, 2, 3].map((k) => Math.abs(sign[k] - slim.found[i][k])));
    return [tex, Math.max(0, Math.abs(plain.height - slim.height), ...moved)];
  });
}"""
MORE = [
    (r"x^{\frac{a}{b}}_{n_j} + e^{-x^2/2}", False),
    (r"\left(\sum_{i=1}^{n} \hat{x}_i^2\right)^{1/2}", True),
    (r"\underset{x \in \R^n}{\operatorname{argmin}}\; f(x)^{\displaystyle k}", True),
    (r"f''(x)\quad\text{if } a_{\text{old}} \neq b\,\mathrm{d}x", False),
    (r"\begin{pmatrix} a_1 & b^2 \\ \sqrt[3]{c} & \overline{d_4} \end{pmatrix}^{\!\top}", True),
    (r"\textstyle\sum_i {\Large x}_{\Large i}", False),
    (r"\boxed{\underline{x} = \frac{\overbrace{a + b}^{n}}{\cancel{c}}} \rule{1em}{2em}", True),
    (r"\xrightarrow{f} \widehat{abc} \sqrt{\Bigl(\tfrac12\Bigr)} \oiint_{S} \mathop{\int}", True),
    (r"a_{\color{red} b} = \mathbf{A}^{-1}_{(k+1)}{}^{2}", False),
]


def formulas() -> list[tuple[str, bool]]:
    """Return some formulas of every page, without those that are written alike."""
    found: dict[tuple[str, bool], None] = dict.fromkeys(MORE)
    for path in sorted((ROOT / "book").rglob("*.md")):
        text = re.sub(r"^```\{code-cell\}.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
        displayed = re.findall(r"\$\$(.+?)\$\$", text, re.S)
        inline = re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text)
        found |= dict.fromkeys([(one, True) for one in displayed[::4]])
        found |= dict.fromkeys([(one, False) for one in inline[::8]])
    return list(found)


@pytest.fixture(scope="module")
def pairs() -> list[list[str]]:
    """Formulas as KaTeX sets them, and as the book does."""
    given = {"macros": read_macros(ROOT / "book" / "macros.yml"), "formulas": formulas()}
    command = [node_binary(), "-e", BOTH, str(NODE)]
    ran = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_every_sign_stays_where_it_was(browser: Any, pairs: list[list[str]]) -> None:
    style = (STATIC / "site" / "mathdl.css").read_text(encoding="utf-8")
    ours = "".join(re.findall(r"^\.katex [.i][^{]*\{[^}]*\}$", style, re.M))
    assert "mraised" in ours and "vlist" in ours
    context = browser.new_context()
    page = context.new_page()
    page.goto((STATIC / "site" / "katex" / "LICENSE").as_uri())  # so that its fonts can be had
    css = (STATIC / "site" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    folder = (STATIC / "site" / "katex" / "fonts").as_uri()
    page.set_content(
        f"<!doctype html><style>{css.replace('url(fonts/', f'url({folder}/')}"
        f"div {{ width: 200000px; font-size: {SIZE}px; line-height: 1.6 }}</style>"
        f"<style>{ours}</style><div></div>"
    )
    loaded = page.evaluate(
        "Promise.all([...document.fonts].map((one) => one.load())).then((all) => all.length)"
    )
    assert loaded > 10
    apart = page.evaluate(APART, pairs)
    context.close()
    assert [one for one in apart if len(one) > 2] == []
    assert len(apart) > 800
    far = [(tex, distance) for tex, distance in apart if distance > 0.003 * SIZE]
    assert far == []


def test_there_are_fewer_boxes_and_bytes(pairs: list[list[str]]) -> None:
    plain, slim = ("".join(one[k] for one in pairs) for k in (1, 2))
    boxes = [len(re.findall("<(?:span|i)\\b", html)) for html in (plain, slim)]
    assert boxes[1] < 0.52 * boxes[0]
    assert len(slim) < 0.52 * len(plain)

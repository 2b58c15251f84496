"""Formulas as one line of Unicode, for where no formula can be set: titles, search, previews.

What stands for a formula there is read off the MathML that KaTeX makes of it, in which the book's
own commands are already replaced: letters with raised and lowered digits, ``a/b``, ``√x``.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from docutils import nodes

from .typesetting import FormulaError, display_source

if TYPE_CHECKING:
    from .typesetting import Typesetter

RAISED = str.maketrans(
    "0123456789+−=().abcdefghijklmnoprstuvwxyzT′∗⋆⊤",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾·ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ′*⋆ᵀ",
)
LOWERED = str.maketrans(
    "0123456789+−=()aehijklmnoprstuvxβγρφχ",
    "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ",
)
ACCENTS = {"^": "\u0302", "~": "\u0303", "ˉ": "\u0304", "‾": "\u0305", "˙": "\u0307", "¨": "\u0308"}
SPACED = set("=+−<>≤≥≈≠∼≡∝→←↦⟶⟹⟺⪯≪≫≲∈×⊗⊙±∓÷⊥⋅∣")
OPENING = set("([{⟨⌊⌈∥")
SIGNS = OPENING | SPACED - {"∣"}
AFTER = {",": ", ", ";": "; "}
# What does not join with its neighbours: the name of a function, a fraction.
WORD = re.compile(r"[A-Za-z]{2,}|[\w.]+/[\w.]+$")


def in_words(html: str) -> str:
    r"""Return a formula that KaTeX has set as one line of text.

    Parameters
    ----------
    html : str
        What `Typesetter.render` returns.

    Examples
    --------
    >>> from mathdl_book.typesetting import Typesetter
    >>> with Typesetter({"\\T": r"^{\mathsf T}"}) as typesetter:
    ...     for tex in (r"f(g(x))", r"x_{k+1} = x_k - \alpha\,g", r"\frac{1}{2} a\T b", r"\cos x"):
    ...         print(in_words(typesetter.render(tex, display=False)))
    f(g(x))
    xₖ₊₁ = xₖ − α g
    1/2 aᵀb
    cos x
    """
    found = re.search(r"<math\b.*?</math>", html, re.DOTALL)
    text = _of(ElementTree.fromstring(found[0])) if found else ""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return re.sub(r"\s+([,;)\]}⟩])", r"\1", text)


def _of(element: ElementTree.Element) -> str:
    kind = element.tag.rpartition("}")[2]
    children = list(element)
    if kind == "semantics":  # what follows its first child is the source
        return _of(children[0])
    if kind == "mphantom":
        return ""
    if kind == "mspace":
        return " "
    if kind in ("mi", "mn", "mtext"):
        return (element.text or "").replace("\xa0", " ")
    if kind == "mo":
        return element.text or ""
    if kind == "mfrac":
        over, below = (_grouped(_of(child)) for child in children)
        return f"{over}/{below}"
    if kind == "msqrt":
        return "√" + _grouped("".join(map(_of, children)))
    if kind in ("msub", "munder"):
        return _of(children[0]) + _moved(_of(children[1]), LOWERED, "_")
    if kind == "msup":
        return _of(children[0]) + _moved(_of(children[1]), RAISED, "^")
    if kind in ("msubsup", "munderover"):
        base, low, high = map(_of, children)
        return base + _moved(low, LOWERED, "_") + _moved(high, RAISED, "^")
    if kind == "mover":
        base, mark = map(_of, children)
        if mark in ACCENTS:
            return base + ACCENTS[mark] if len(base) == 1 else f"{_grouped(base)}{ACCENTS[mark]}"
        return base + _moved(mark, RAISED, "^")
    if kind == "mtr":
        return " ".join(filter(None, map(_of, children)))
    if kind == "mtable":
        return "; ".join(filter(None, map(_of, children)))
    return _row(children)


def _row(children: list[ElementTree.Element]) -> str:
    said, before = "", ""
    for child in children:
        kind = child.tag.rpartition("}")[2]
        text = _of(child)
        if kind == "mo" and text == "\u2061":  # a function is applied
            continue
        if kind == "mo" and text in SPACED and not child.get("fence"):
            signs = (
                said.strip()
            )  # a sign after another, or at the beginning, belongs to what follows
            text = f" {text} " if signs and signs[-1] not in SIGNS else text
        elif kind == "mo":
            text = AFTER.get(text, text)
        elif (WORD.match(text) or WORD.match(before)) and re.match(r"\w", text):
            text = f" {text}"
        said += text
        before = text.strip() if kind != "mo" else ""
    return said


def _grouped(text: str) -> str:
    text = text.strip()
    whole = re.fullmatch(r"[d∂∇]?([\d.]+|\w[\u0300-\u036f]*[′⁰-₟ᵀᵃ-ᵿⁱⁿ²³¹]*)|\([^()]*\)", text)
    return text if whole else f"({text})"


def _moved(text: str, letters: dict[int, int], mark: str) -> str:
    text = text.strip()
    packed = text.replace(" ", "")
    if packed and all(ord(letter) in letters for letter in packed):
        return packed.translate(letters)
    return f"{mark}{text}" if len(text) < 2 or text.isalnum() else f"{mark}({text})"


def text_of(node: nodes.Node, typesetter: Typesetter | None) -> str:
    """Return what a node says, its formulas as text.

    Parameters
    ----------
    node : Node
        Part of a page.
    typesetter : Typesetter or None
        What sets the page's formulas; without it they stay as they were written.
    """
    if typesetter is not None and isinstance(node, nodes.math | nodes.math_block):
        display = isinstance(node, nodes.math_block)
        tex = node.astext().strip()
        if display:
            tex = display_source(tex, environment=bool(node.get("nowrap")))
        try:
            return in_words(typesetter.render(tex, display=display))
        except FormulaError:  # the page itself says so
            return tex
    if isinstance(node, nodes.TextElement) and node.children:
        return node.child_text_separator.join(text_of(child, typesetter) for child in node.children)
    return node.astext()


def line_of(text: str, typesetter: Typesetter | None) -> str:
    """Return a line of Markdown, such as an objective in a page's header, as text.

    Parameters
    ----------
    text : str
        With formulas between dollars.
    typesetter : Typesetter or None
        See `text_of`.
    """

    def worded(found: re.Match[str]) -> str:
        if typesetter is None:
            return found[1]
        try:
            return in_words(typesetter.render(found[1], display=False))
        except FormulaError:
            return found[1]

    return re.sub(r"\$([^$]+)\$", worded, text).replace("`", "")

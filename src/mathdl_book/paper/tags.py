"""The tags of a PDF: what tells a screen reader what is a heading, a table, a formula.

Chromium tags what it prints, a formula as a picture with a text; the tags of several prints, each
with its own numbers and names, become those of one document.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, NameTree, String

FORMULA = "\u2063"  # begins the text of a formula: see page.js
GROUPS = (Name.Document, Name.Art, Name.Sect, Name.Part, Name.Div)  # hold no text of their own


def elements(tree: pikepdf.Object) -> Iterator[Dictionary]:
    """Yield the elements of a tree of tags.

    Parameters
    ----------
    tree : pikepdf.Object
        An element, or the root.
    """
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if isinstance(element, Array):
            waiting.extend(element)
        elif isinstance(element, Dictionary):
            if "/S" in element:
                yield element
            if "/K" in element:
                waiting.append(element.K)


def tidied(given: bytes, name: str) -> bytes:
    """Return a print with formulas tagged as such and names that are no other print's.

    Parameters
    ----------
    given : bytes
        A PDF as Chromium makes it.
    name : str
        Begins the name of every element that has one.
    """
    with pikepdf.open(io.BytesIO(given)) as pdf:
        _thinned(pdf.Root.StructTreeRoot)
        for element in elements(pdf.Root.StructTreeRoot):
            if "/Alt" in element and str(element.Alt).startswith(FORMULA):
                element.S = Name.Formula
                element.Alt = String(str(element.Alt).removeprefix(FORMULA))
            if "/ID" in element:
                element.ID = String(f"{name}-{element.ID}")
            for about in _listed(element.get("/A")):
                if "/Headers" in about:
                    about.Headers = Array([String(f"{name}-{one}") for one in about.Headers])
        if "/IDTree" in pdf.Root.StructTreeRoot:
            del pdf.Root.StructTreeRoot.IDTree
        return saved(pdf)


def _thinned(root: pikepdf.Object) -> None:
    """Dissolve the elements that say nothing: one for each letter of a formula, word of code."""
    numbers = root.ParentTree.Nums
    owners = {int(numbers[place]): numbers[place + 1] for place in range(0, len(numbers), 2)}

    def fill(element: Dictionary, kids: list[tuple[Any, Any]]) -> None:
        """Give an element what is left in it: elements, and marks with the pages they are on."""
        own = element.get("/Pg") or next((page for _, page in kids if page is not None), None)
        filled = []
        for kid, page in kids:
            if page is None:
                kid.P = element
                filled.append(kid)
                continue
            if "/Obj" in _dictionary(kid):
                owners_of(kid.Obj.StructParent, element)
            else:
                mark = kid.MCID if isinstance(kid, Dictionary) else kid
                owners[int(page.StructParents)][int(mark)] = element
                here = page.objgen == own.objgen
                kid = mark if here else Dictionary(Type=Name.MCR, Pg=page, MCID=mark)
            filled.append(kid)
        if own is not None:
            element.Pg = own
        element.K = Array(filled)

    def owners_of(number: Any, element: Dictionary) -> None:
        numbers[numbered[int(number)]] = element

    def left(element: Dictionary, above: Any) -> list[tuple[Any, Any]]:
        """Return what is left in an element once what is below it has been thinned."""
        page = element.get("/Pg", above)
        kept: list[tuple[Any, Any]] = []
        for kid in _listed(element.get("/K")):
            if "/S" not in _dictionary(kid):
                kept.append((kid, _dictionary(kid).get("/Pg", page)))
                continue
            inside = left(kid, page)
            whole = all(mark_page is not None for _, mark_page in inside)
            says = kid["/S"] != Name.NonStruct or {"/Alt", "/Lang", "/A"} & set(kid.keys())
            if whole and not says and element.S not in GROUPS:
                kept += inside
            else:
                fill(kid, inside)
                kept.append((kid, None))
        return kept

    numbered = {int(numbers[place]): place + 1 for place in range(0, len(numbers), 2)}
    for kid in _listed(root.K):
        fill(kid, left(kid, None))


def _dictionary(value: Any) -> Any:
    return value if isinstance(value, Dictionary) else {}


def _listed(value: pikepdf.Object | None) -> list[pikepdf.Object]:
    if value is None:
        return []
    return list(value) if isinstance(value, Array) else [value]


def saved(pdf: pikepdf.Pdf) -> bytes:
    """Return a PDF as small as it gets without loss, the same for the same content."""
    out = io.BytesIO()
    pdf.save(
        out,
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
        compress_streams=True,
        recompress_flate=False,
        deterministic_id=True,
    )
    return out.getvalue()


class Joined:
    """The tags of a document that is put together.

    Parameters
    ----------
    pdf : Pdf
        The document; it has no tags yet.
    language, title : str
        Of the document.
    """

    def __init__(self, pdf: pikepdf.Pdf, language: str, title: str) -> None:
        self.pdf = pdf
        self.root = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
        self.document = pdf.make_indirect(
            Dictionary(
                Type=Name.StructElem,
                S=Name.Document,
                P=self.root,
                Lang=String(language),
                T=String(title),
                K=Array(),
            )
        )
        self.root.K = self.document
        # Chromium uses two types that only PDF 2.0 knows.
        self.root.RoleMap = Dictionary(Em=Name.Span, Strong=Name.Span)
        self._numbers = Array()
        self._next = 0

    def add(self, source: pikepdf.Pdf, pages: range) -> None:
        """Take over the tags of a print whose pages have been taken over.

        Parameters
        ----------
        source : Pdf
            The print.
        pages : range
            Where its pages stand now.
        """
        tree = source.Root.StructTreeRoot
        for kid in _listed(tree.K):
            copy = self.pdf.copy_foreign(kid)
            copy.S, copy.P = Name.Part, self.document
            self.document.K.append(copy)
        numbers = source.Root.StructTreeRoot.ParentTree.Nums
        for place in range(0, len(numbers), 2):
            self._numbers.append(int(numbers[place]) + self._next)
            value = numbers[place + 1]
            if isinstance(value, Array):
                value = source.make_indirect(value)
            self._numbers.append(self.pdf.copy_foreign(value))
        for place in pages:
            page = self.pdf.pages[place]
            if "/StructParents" in page.obj:
                page.obj.StructParents = int(page.obj.StructParents) + self._next
            for note in page.obj.get("/Annots", ()):
                if "/StructParent" in note:
                    note.StructParent = int(note.StructParent) + self._next
        self._next += int(tree.ParentTreeNextKey)

    def finish(self) -> None:
        """Make them the document's."""
        self.root.ParentTree = self.pdf.make_indirect(Dictionary(Nums=self._numbers))
        self.root.ParentTreeNextKey = self._next
        tree = NameTree.new(self.pdf)
        for element in elements(self.root):
            if "/ID" in element:
                tree[str(element.ID)] = element
        self.root.IDTree = tree.obj
        self.pdf.Root.StructTreeRoot = self.root
        self.pdf.Root.MarkInfo = Dictionary(Marked=True)

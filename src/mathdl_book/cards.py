"""The picture beside a link to a page where links are shared: its title, in the book's look.

Pictures are kept under what is on them, so that a title is drawn once in its life.
"""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH, HEIGHT = 1200, 630
MARGIN = 96
PAPER, INK, MUTED, ACCENT, LINK = "#fffefc", "#22272e", "#59616b", "#a8641b", "#17598a"
NABLA = (  # of 32 by 32, as in favicon.svg
    (PAPER, ((5.5, 7.5), (26.5, 7.5), (16, 26.5))),
    (LINK, ((10.2, 10.2), (21.8, 10.2), (16, 21))),
)
FACES = {"regular": "STIXGeneral.ttf", "bold": "STIXGeneralBol.ttf"}
# Of a title the sizes of its letters, each with the most lines; the first in which it has room.
SIZES = {92: 2, 80: 2, 70: 3, 60: 3, 52: 3}


@cache
def _face(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = Path(get_data_path()) / "fonts" / "ttf" / FACES[name]
    return ImageFont.truetype(str(path), size)


def wrapped(title: str, room: int, size: int) -> list[str]:
    """Return a title in lines that have room.

    Parameters
    ----------
    title : str
        The title.
    room : int
        Width in pixels.
    size : int
        Size of the letters in pixels.

    Examples
    --------
    >>> wrapped("Gradients of matrices", 500, 80)
    ['Gradients of', 'matrices']
    """
    face = _face("bold", size)
    lines: list[str] = []
    for word in title.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def card(title: str, above: str, below: str) -> bytes:
    """Return a page's picture as PNG, 1200 by 630 pixels.

    Parameters
    ----------
    title : str
        What it is called.
    above : str
        Part of the book, or empty.
    below : str
        The book.
    """
    room = WIDTH - 2 * MARGIN
    for size, most in SIZES.items():
        lines = wrapped(title, room, size)
        if len(lines) <= most and max(map(_face("bold", size).getlength, lines)) <= room:
            break
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 18, HEIGHT), fill=LINK)
    draw.text((MARGIN, 82), above, font=_face("regular", 38), fill=ACCENT)
    step = round(size * 1.16)
    top = (HEIGHT - step * len(lines[:most])) / 2 - 6
    for line in lines[:most]:
        draw.text((MARGIN, top), line, font=_face("bold", size), fill=INK)
        top += step
    # The mark of the book, as on the tab of the browser.
    x, y, side = MARGIN, HEIGHT - 128, 52
    draw.rounded_rectangle((x, y, x + side, y + side), radius=10, fill=LINK)
    for fill, corners in NABLA:
        draw.polygon([(x + side * a / 32, y + side * b / 32) for a, b in corners], fill=fill)
    at = (x + side + 22, y + side / 2)
    draw.text(at, below, font=_face("regular", 38), fill=MUTED, anchor="lm")
    out = io.BytesIO()
    # A few shades are enough for letters on paper, and a quarter of the bytes.
    picture.quantize(40, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def write_cards(wanted: Iterable[tuple[Path, tuple[str, str, str]]], memory: Path) -> int:
    """Write pictures, drawing those that have not been drawn before.

    Parameters
    ----------
    wanted : iterable of tuple
        Where each one belongs, and what `card` is given for it.
    memory : Path
        Folder that keeps pictures under what is on them.

    Returns
    -------
    int
        How many had to be drawn.
    """
    look = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    drawn = 0
    for path, said in wanted:
        name = hashlib.sha256("\0".join((look, *said)).encode()).hexdigest()[:24]
        known = memory / f"{name}.png"
        if not known.is_file():
            drawn += 1
            memory.mkdir(parents=True, exist_ok=True)
            known.write_bytes(card(*said))
        data = known.read_bytes()
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return drawn

"""Which face draws what: the style each serves, the characters it has, what stands in for a missing one.

The catalogue is pure: the faces are given, and so is the function that opens a face at a size. Finding and opening font
files is the work of resources/fonts.py; an opened face (FreeType's) is a table of outlines and widths, always the same
for the same file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from PIL import ImageFont

from stages.values import FontFace, FontStyle, StageError

INSTALL_HINT = "install a Hangul font (Debian: fonts-nanum) and add its folder to the font folders"
PROBE_PX = 40
"""Size at which it is tested whether a face has a glyph."""

_OFL = "SIL Open Font License 1.1"
_NOT_A_CHARACTER = "\U000f1234"
_HANGUL_AND_LATIN = "가힘는뷰9Aa"
_BOLD, _REGULAR, _BOLD_FROM = 700, 400, 600

_KNOWN: dict[str, tuple[FontStyle, str]] = {
    "Pretendard": ("sans", _OFL),
    "NanumSquare": ("sans", _OFL),
    "Noto Sans CJK KR": ("sans", _OFL),
    "NanumBarunGothic": ("sans", _OFL),
    "NanumGothic": ("sans", _OFL),
    "NanumSquareRound": ("rounded", _OFL),
    "NanumMyeongjo": ("serif", _OFL),
    "Noto Serif CJK KR": ("serif", _OFL),
    "Black Han Sans": ("display", _OFL),
    "Do Hyeon": ("display", _OFL),
    "Jua": ("display", _OFL),
    "DejaVu Sans": ("sans", "Bitstream Vera and Arev licence"),
    "DejaVu Serif": ("serif", "Bitstream Vera and Arev licence"),
}
"""By family, better ones first: style and licence."""

_WEIGHTS = {
    "thin": 100, "extralight": 200, "ultralight": 200, "light": 300, "medium": 500, "semibold": 600,
    "demibold": 600, "extrabold": 800, "ultrabold": 800, "bold": 700, "black": 900, "heavy": 900,
}  # fmt: skip
_INSTEAD: dict[FontStyle, tuple[FontStyle, ...]] = {
    "sans": ("sans", "rounded", "display", "serif"),
    "rounded": ("rounded", "sans", "display", "serif"),
    "serif": ("serif", "sans", "rounded", "display"),
    "display": ("display", "rounded", "sans", "serif"),
}
"""By wanted style, the styles that serve it, best first."""

OpenFace = Callable[[FontFace, int], ImageFont.FreeTypeFont]
"""The face at a size in px. Raises StageError when its file is missing."""


class Typeface(NamedTuple):
    """One installed face; `licence` is a note for people, "not recorded" for a family that is not known here.

    `regular_cut` is false for slanted, condensed and monospaced faces: no ad is set in them by choice.
    """

    face: FontFace
    weight: int
    style: FontStyle
    licence: str
    regular_cut: bool
    hangul: bool


def typeface(file: str, index: int, opened: ImageFont.FreeTypeFont) -> Typeface:
    """What a face is, from the names and glyphs in its file. `file` is its path, `index` its place in a collection."""
    family, cut = opened.getname()
    stem = file.rpartition("/")[2].rpartition(".")[0]
    weight = _weight(f"{cut or ''} {stem}")
    face = FontFace(family=family or stem, file=file, index=index, bold=weight >= _BOLD_FROM)
    style, licence = _KNOWN.get(face.family, (_guessed_style(face.family), "not recorded"))
    special_cut = re.search(r"italic|oblique|condensed|mono|coding", f"{family} {cut} {stem}", re.IGNORECASE)
    hangul = all(has_glyph(opened, character) for character in _HANGUL_AND_LATIN)
    return Typeface(face, weight, style, licence, special_cut is None, hangul)


class Fonts:
    """A catalogue of faces, of which at least one has Hangul and Latin."""

    def __init__(self, faces: Iterable[Typeface], open_face: OpenFace) -> None:
        self.faces: tuple[Typeface, ...] = tuple(sorted(faces, key=_rank))
        self._open = open_face

    def choose(self, style: FontStyle, *, bold: bool = True) -> FontFace:
        """The face with Hangul and Latin that serves the style best, in the nearest weight."""
        candidates = [face for face in self.faces if face.hangul and face.regular_cut]
        candidates = candidates or [face for face in self.faces if face.hangul]
        order, aim = _INSTEAD[style], _BOLD if bold else _REGULAR
        # The catalogue's order (better families first) decides between equals, for min() keeps the first.
        family = min(candidates, key=lambda face: order.index(face.style)).face.family
        return min((f for f in candidates if f.face.family == family), key=lambda f: abs(f.weight - aim)).face

    def load(self, face: FontFace, size_px: int) -> ImageFont.FreeTypeFont:
        """The face at a size. Raises StageError when its file is missing."""
        return self._open(face, size_px)

    def missing(self, face: FontFace, text: str) -> str:
        """The characters of the text the face has no glyph for, each once, in order; spaces need none."""
        opened = self._open(face, PROBE_PX)
        return "".join(dict.fromkeys(c for c in text if not c.isspace() and not has_glyph(opened, c)))

    def runs(self, text: str, face: FontFace) -> tuple[tuple[str, FontFace], ...]:
        """The text as stretches with the face that draws each: `face`, or a stand-in for the glyphs it lacks.

        Raises StageError naming the character when no face can draw it: nothing is ever drawn as tofu.
        """
        lacking = {*self.missing(face, text), *filter(_needs_shaping, text)}
        faces = [self._stand_in(c, face) if c in lacking else face for c in text]
        pairs = groupby(zip(text, faces, strict=True), key=lambda pair: pair[1])
        return tuple(("".join(c for c, _ in stretch), drawn_in) for drawn_in, stretch in pairs)

    def _stand_in(self, character: str, instead_of: FontFace) -> FontFace:
        candidates = [face for face in self.faces if face.regular_cut and not _needs_shaping(character)]
        for other in sorted(candidates, key=lambda face: face.face.bold != instead_of.bold):
            if not self.missing(other.face, character):
                return other.face
        name = unicodedata.name(character, "a character without a name")
        raise StageError(
            f"no installed font can draw {character!r} (U+{ord(character):04X} {name}); "
            "remove it from the copy or install a font that has it"
        )


@lru_cache(maxsize=8192)
def has_glyph(opened: ImageFont.FreeTypeFont, character: str) -> bool:
    """A glyph is missing when it draws nothing, or the same as a code point that no font assigns."""
    drawn, tofu = opened.getmask(character), opened.getmask(_NOT_A_CHARACTER)
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (tofu.size, bytes(tofu))


def _weight(name: str) -> int:
    words = re.sub(r"[^a-z]", "", name.lower())
    return next(
        (weight for word, weight in _WEIGHTS.items() if word in words), _BOLD if name.endswith("B") else _REGULAR
    )


def _needs_shaping(character: str) -> bool:
    """Right-to-left scripts and combining marks come out wrong from the basic layout engine."""
    return unicodedata.bidirectional(character) in ("R", "AL") or unicodedata.category(character).startswith("M")


def _guessed_style(family: str) -> FontStyle:
    name = family.lower()
    if any(word in name for word in ("serif", "myeongjo", "batang", "myungjo")) and "sans" not in name:
        return "serif"
    return "rounded" if "round" in name else "sans"


def _rank(face: Typeface) -> tuple[int, str, int, int]:
    known = list(_KNOWN)
    place = known.index(face.face.family) if face.face.family in known else len(known)
    return place, face.face.file.rpartition("/")[2], face.face.index, face.weight

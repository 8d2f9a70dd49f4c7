"""The installed faces: the style each serves, the characters it has, what stands in for a missing one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

from stages.values import FontFace, FontStyle, StageError

FONT_SUFFIXES = frozenset((".ttf", ".otf", ".ttc"))
INSTALL_HINT = "install a Hangul font (Debian: fonts-nanum) and add its folder to the font folders"
_OFL = "SIL Open Font License 1.1"
_NOT_A_CHARACTER = "\U000f1234"
_PROBE = "가힘는뷰9Aa"
_PROBE_PX = 40

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


class Typeface(NamedTuple):
    """One installed face; `licence` is a note for people, "not recorded" outside the catalogue.

    `regular_cut` is false for slanted, condensed and monospaced faces: no ad is set in them by choice.
    """

    face: FontFace
    weight: int
    style: FontStyle
    licence: str
    regular_cut: bool
    hangul: bool


class Fonts:
    """A catalogue of the faces found in files and folders (searched at any depth), read when it is made.

    Raises StageError for a path that does not exist, a file that is no font, and when no face has
    Hangul and Latin.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.unreadable: dict[str, str] = {}
        found = (face for path in self.paths for file in _font_files(path) for face in self._read(file))
        self.faces: tuple[Typeface, ...] = tuple(sorted(found, key=_rank))
        if not any(face.hangul for face in self.faces):
            listed = ", ".join(map(str, self.paths)) or "no path"
            refused = "".join(f"; {file}: {why}" for file, why in self.unreadable.items())
            raise StageError(f"no font with Hangul and Latin among {listed}{refused}; {INSTALL_HINT}")

    def _read(self, file: Path) -> Iterator[Typeface]:
        try:
            yield from _typefaces(file)
        except OSError as error:
            if file in self.paths:
                raise StageError(f"font file {file} cannot be read ({error}); replace or remove it") from error
            self.unreadable[str(file)] = str(error)

    def choose(self, style: FontStyle, *, bold: bool = True) -> FontFace:
        """The face with Hangul and Latin that serves the style best, in the nearest weight."""
        candidates = [face for face in self.faces if face.hangul and face.regular_cut]
        candidates = candidates or [face for face in self.faces if face.hangul]
        order, aim = _INSTEAD[style], 700 if bold else 400
        # The catalogue's order (better families first) decides between equals, for min() keeps the first.
        family = min(candidates, key=lambda face: order.index(face.style)).face.family
        return min((f for f in candidates if f.face.family == family), key=lambda f: abs(f.weight - aim)).face

    def named(self, family: str, *, bold: bool = True) -> FontFace:
        """The face of a family by name; StageError lists the others when it is unknown or has no Hangul."""
        faces = [face for face in self.faces if face.face.family == family]
        usable = sorted({face.face.family for face in self.faces if face.hangul})
        if not faces:
            raise StageError(f"no font family {family!r} is installed; there are {', '.join(usable)}")
        if not any(face.hangul for face in faces):
            raise StageError(f"font family {family!r} has no Hangul; take one of {', '.join(usable)}")
        return min(faces, key=lambda face: abs(face.weight - (700 if bold else 400))).face

    def load(self, face: FontFace, size_px: int) -> ImageFont.FreeTypeFont:
        """The face at a size, in the basic layout engine so that every machine measures and draws alike."""
        return _load(self._present(face), face.index, size_px)

    def _present(self, face: FontFace) -> str:
        if Path(face.file).is_file():
            return face.file
        for other in self.faces:
            if Path(other.face.file).name == Path(face.file).name and other.face.index == face.index:
                return other.face.file
        raise StageError(f"font file {face.file} ({face.family}) is missing; {INSTALL_HINT}")

    def missing(self, face: FontFace, text: str) -> str:
        """The characters of the text the face has no glyph for, each once, in order; spaces need none."""
        file = self._present(face)
        return "".join(dict.fromkeys(c for c in text if not c.isspace() and not _has_glyph(file, face.index, c)))

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


def _font_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in FONT_SUFFIXES)
    if path.is_file():
        return [path]
    raise StageError(f"font path {path} does not exist; {INSTALL_HINT}")


def _typefaces(file: Path) -> Iterator[Typeface]:
    for index in range(_face_count(file)):
        family, cut = _load(str(file), index, _PROBE_PX).getname()
        weight = _weight(f"{cut or ''} {file.stem}")
        face = FontFace(family=family or file.stem, file=str(file), index=index, bold=weight >= 600)
        style, licence = _KNOWN.get(face.family, (_guessed_style(face.family), "not recorded"))
        special_cut = re.search(r"italic|oblique|condensed|mono|coding", f"{family} {cut} {file.stem}", re.IGNORECASE)
        hangul = all(_has_glyph(str(file), index, c) for c in _PROBE)
        yield Typeface(face, weight, style, licence, special_cut is None, hangul)


def _face_count(file: Path) -> int:
    with file.open("rb") as font:
        head = font.read(12)
    return int.from_bytes(head[8:12]) if head[:4] == b"ttcf" else 1


def _weight(name: str) -> int:
    words = re.sub(r"[^a-z]", "", name.lower())
    return next((weight for word, weight in _WEIGHTS.items() if word in words), 700 if name.endswith("B") else 400)


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
    return place, Path(face.face.file).name, face.face.index, face.weight


@lru_cache(maxsize=256)
def _load(file: str, index: int, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size_px, index=index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def _has_glyph(file: str, index: int, character: str) -> bool:
    """A glyph is missing when it draws nothing, or the same as a code point that no font assigns."""
    font = _load(file, index, _PROBE_PX)
    drawn, tofu = font.getmask(character), font.getmask(_NOT_A_CHARACTER)
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (tofu.size, bytes(tofu))

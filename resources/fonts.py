"""The installed fonts: files that are found in folders, read once, and opened at the sizes that stages ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from stages.type.fonts import INSTALL_HINT, PROBE_PX, Fonts, Typeface, typeface
from stages.values import FontFace, StageError

_SUFFIXES = frozenset((".ttf", ".otf", ".ttc"))


def installed_fonts(paths: Sequence[str | Path]) -> Fonts:
    """The catalogue of the faces in these files and folders, searched at any depth.

    Raises StageError for a path that does not exist, a file that is no font, and when no face has Hangul and Latin.
    """
    return FontFiles(paths).catalogue


class FontFiles:
    """The font files below some paths. `unreadable` says for each damaged file in a folder why it is left out."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = tuple(Path(path) for path in paths)
        self.unreadable: dict[str, str] = {}
        found = [face for path in self._paths for file in _font_files(path) for face in self._read(file)]
        self.catalogue = Fonts(found, self.open)
        if not any(face.hangul for face in found):
            listed = ", ".join(map(str, self._paths)) or "no path"
            refused = "".join(f"; {file}: {why}" for file, why in self.unreadable.items())
            raise StageError(f"no font with Hangul and Latin among {listed}{refused}; {INSTALL_HINT}")

    def open(self, face: FontFace, size_px: int) -> ImageFont.FreeTypeFont:
        """The face at a size. Where its file is gone, as in a layout from another machine, one of the same name serves.

        Raises StageError when there is none.
        """
        return _open(self._present(face), face.index, size_px)

    def _present(self, face: FontFace) -> str:
        if Path(face.file).is_file():
            return face.file
        for other in self.catalogue.faces:
            if Path(other.face.file).name == Path(face.file).name and other.face.index == face.index:
                return other.face.file
        raise StageError(f"font file {face.file} ({face.family}) is missing; {INSTALL_HINT}")

    def _read(self, file: Path) -> Iterator[Typeface]:
        try:
            for index in range(_face_count(file)):
                yield typeface(str(file), index, _open(str(file), index, PROBE_PX))
        except OSError as error:
            if file in self._paths:
                raise StageError(f"font file {file} cannot be read ({error}); replace or remove it") from error
            self.unreadable[str(file)] = str(error)


def _font_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if path.is_file():
        return [path]
    raise StageError(f"font path {path} does not exist; {INSTALL_HINT}")


def _face_count(file: Path) -> int:
    with file.open("rb") as font:
        head = font.read(12)
    return int.from_bytes(head[8:12]) if head[:4] == b"ttcf" else 1


@lru_cache(maxsize=256)
def _open(file: str, index: int, size_px: int) -> ImageFont.FreeTypeFont:
    """In the basic layout engine, so that every machine measures and draws alike."""
    return ImageFont.truetype(file, size_px, index=index, layout_engine=ImageFont.Layout.BASIC)

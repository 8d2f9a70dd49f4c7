"""The ad copy as it will be drawn: normalised, split into headline and secondary text, its width estimated."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from variant_assets.stages.values import StageError

LONGEST_HEADLINE = 28
"""Characters; a longer first sentence reads as running text and is set in one size with the rest."""

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n+")
_IGNORABLE = {"Cc", "Cf"}


class Parts(NamedTuple):
    """`secondary` is empty when the copy is one sentence or its first one is too long for a headline."""

    headline: str
    secondary: str


def normalise_copy(copy: str) -> str:
    """NFC, invisible characters dropped, white space collapsed; line ends of the writer are kept.

    Raises StageError when nothing is left to draw.
    """
    text = unicodedata.normalize("NFC", copy.replace("\r\n", "\n").replace("\r", "\n"))
    lines = (" ".join(_visible(line).split()) for line in text.split("\n"))
    kept = "\n".join(line for line in lines if line)
    if not kept:
        raise StageError(f"no ad copy: {copy!r} has no visible character; write a copy for the job and run again")
    return kept


def _visible(line: str) -> str:
    # Variation selectors only pick a glyph form; alone they would draw as tofu.
    return "".join(
        " " if c == "\t" else c
        for c in line
        if c == "\t" or (unicodedata.category(c) not in _IGNORABLE and not 0xFE00 <= ord(c) <= 0xFE0F)
    )


def split_copy(text: str) -> Parts:
    """The first sentence, or first line, of a normalised copy is its headline when it is short enough."""
    end = _SENTENCE_END.search(text)
    if end is None or end.start() > LONGEST_HEADLINE:
        return Parts(text.replace("\n", " "), "")
    closing = end.group().rstrip()
    return Parts(text[: end.start()] + closing, text[end.end() :].replace("\n", " "))


def estimated_width_em(character: str) -> float:
    """A cautious advance width, in em, of a bold sans face; for planning before a font is chosen."""
    if character == " ":
        return 0.32
    if unicodedata.east_asian_width(character) in "WF":
        return 0.97
    if character in "iIjl.,:;'|!()[]":
        return 0.38
    if character in "MWmw@%&—":
        return 0.98
    return 0.66 if character.isupper() or character.isdigit() else 0.6

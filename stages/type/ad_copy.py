"""The ad copy as it will be drawn: normalised, split into headline and secondary text."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from stages.values import StageError
from stages.wording import shown

LONGEST_COPY = 1_000
"""Characters; no readable ad holds more, and placing them takes longer the more there are."""

LONGEST_BRIEF = 4_000
"""Characters of what the shop wrote about the ad, which a model reads."""

LONGEST_HEADLINE = 28
"""Characters; a longer first sentence reads as running text and is set in one size with the rest."""

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n+")
_IGNORABLE = {"Cc", "Cf"}
_BLANKS = frozenset("\t\u115f\u1160\u3164\uffa0")
"""Tab and the Hangul fillers: letters by category, blanks to the eye."""


class Parts(NamedTuple):
    """`secondary` is empty when the copy is a single sentence, or when its first one is too long for a headline."""

    headline: str
    secondary: str

    @property
    def as_one(self) -> Parts:
        """Headline and secondary text as one text, in one size."""
        return Parts(f"{self.headline} {self.secondary}".strip(), "")


def require_copy(copy: str | None, job_id: str) -> str:
    """The copy without white space around it; StageError when the job has none, only white space, or too much."""
    text = (copy or "").strip()
    if not text:
        raise StageError(
            f"no ad copy for job {job_id}: write it to txt_ad_copy_generations (status done) or job_inputs, "
            "then run the variant again"
        )
    require_length(text, LONGEST_COPY, "ad copy", job_id)
    return text


def require_length(text: str, most: int, what: str, job_id: str) -> None:
    """Raises StageError for a text of more than `most` characters."""
    if len(text) > most:
        raise StageError(
            f"the {what} of job {job_id} has {len(text):,} characters, more than {most:,}; shorten it, then run the"
            " variant again"
        )


def normalise_copy(copy: str) -> str:
    """In NFC, without invisible characters, white space collapsed; the writer's line ends are kept.

    Raises StageError when nothing is left to draw.
    """
    text = unicodedata.normalize("NFC", copy.replace("\r\n", "\n").replace("\r", "\n"))
    lines = (" ".join(_visible(line).split()) for line in text.split("\n"))
    kept = "\n".join(line for line in lines if line)
    if not kept:
        raise StageError(f"no ad copy: {shown(copy)} has no visible character; write a copy for the job and run again")
    return kept


def _visible(line: str) -> str:
    return "".join(" " if c in _BLANKS else c for c in line if c in _BLANKS or not _invisible(c))


def _invisible(character: str) -> bool:
    # Variation selectors only choose a form of the glyph before them; drawn alone they would be empty boxes.
    return unicodedata.category(character) in _IGNORABLE or 0xFE00 <= ord(character) <= 0xFE0F


def split_copy(text: str) -> Parts:
    """The first sentence, or first line, of a normalised copy is its headline when it is short enough."""
    end = _SENTENCE_END.search(text)
    if end is None or end.start() > LONGEST_HEADLINE:
        return Parts(text.replace("\n", " "), "")
    closing = end.group().rstrip()
    return Parts(text[: end.start()] + closing, text[end.end() :].replace("\n", " "))


def estimated_width_em(character: str) -> float:
    """An advance width in em, rather too large, of a bold sans face; for planning, before a font is chosen."""
    if character == " ":
        return 0.32
    if unicodedata.east_asian_width(character) in "WF":
        return 0.97
    if character in "iIjl.,:;'|!()[]":
        return 0.38
    if character in "MWmw@%&—":
        return 0.98
    return 0.66 if character.isupper() or character.isdigit() else 0.6

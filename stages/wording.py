"""Texts of others in our messages: short, and without characters that nobody sees."""

from __future__ import annotations

MOST_VALUE = 200
"""Characters of a value inside a message."""

MOST_MESSAGE = 2_000

_KEPT = frozenset("\n\t")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the order in which a text is shown, so that it reads as another one."""


def shown(value: object) -> str:
    """A value in quotes, cut at 200 characters; what nobody sees of it is written as an escape."""
    text = str(value)
    quoted = repr(text[:MOST_VALUE])
    if len(text) <= MOST_VALUE and len(quoted) <= MOST_VALUE:
        return quoted
    return f"{quoted[:MOST_VALUE]}… ({len(text):,} characters)"


def message_text(text: str) -> str:
    """A message as it is stored and printed: at most 2,000 characters, each of them visible."""
    visible = "".join(map(_visible, text[:MOST_MESSAGE]))
    if len(text) <= MOST_MESSAGE and len(visible) <= MOST_MESSAGE:
        return visible
    end = f"… ({len(text):,} characters)"
    return visible[: MOST_MESSAGE - len(end)] + end


def harmless(text: str) -> str:
    """The text without control characters, without marks of direction and without invisible tags."""
    return "".join(character for character in text if not _is_harmful(character))


def harmful_count(text: str) -> int:
    """How many characters `harmless` leaves out."""
    return sum(map(_is_harmful, text))


def _visible(character: str) -> str:
    is_seen = character.isprintable() or character in _KEPT
    return character if is_seen else character.encode("unicode_escape").decode()


def _is_harmful(character: str) -> bool:
    if character in _KEPT:
        return False
    code = ord(character)
    return code < 0x20 or 0x7F <= code <= 0x9F or character in _DIRECTIONS or 0xE0000 <= code <= 0xE007F

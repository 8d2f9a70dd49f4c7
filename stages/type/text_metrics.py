"""How far a reading is from the text that was drawn: CER, WER, and the tokens that must be exact."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence

from rapidfuzz.distance import Editop, Levenshtein

PHONE = r"\d{2,4}-\d{3,4}-\d{4}|1\d{3}-\d{4}"
DATE = (
    r"\d{4}\s?년(?:\s?\d{1,2}\s?월(?:\s?\d{1,2}\s?일)?)?|\d{1,2}\s?월\s?\d{1,2}\s?일"
    r"|\d{4}[./-]\s?\d{1,2}[./-]\s?\d{1,2}|\d{1,2}/\d{1,2}(?!\d)"
)
AMOUNT = r"\d+(?:,\d{3})*(?:\.\d+)?"
PERCENT = AMOUNT + r"\s?%"
PRICE = rf"[₩$€£¥]\s?{AMOUNT}원?|{AMOUNT}\s?(?:[십백천만억]\s?)*(?:{AMOUNT}\s?[십백천]\s?)?원"
_CRITICAL = re.compile("|".join((PHONE, DATE, PERCENT, PRICE)))


def normalised(text: str) -> str:
    """NFC, then NFKC (９，９００ → 9,900, ￦ → ₩), every run of white space one space."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFC", text)).split())


def without_spaces(text: str) -> str:
    return "".join(text.split())


def edits(reference: Sequence[str], reading: Sequence[str], unreadable: Container[str] = ()) -> int:
    """S + D + I of a shortest alignment (Levenshtein), over characters, or over words when given lists of words.

    Left out are the substitutions and deletions of items that cannot be read, and the insertions beside them: one
    character that cannot be read may be read as two.
    """

    def excused(edit: Editop) -> bool:
        first = max(0, edit.src_pos - 1) if edit.tag == "insert" else edit.src_pos
        return any(item in unreadable for item in reference[first : edit.src_pos + 1])

    return sum(not excused(edit) for edit in Levenshtein.editops(reference, reading))


def readable_length(reference: Sequence[str], unreadable: Container[str] = ()) -> int:
    """N: how many characters or words of the reference can be read."""
    return sum(item not in unreadable for item in reference)


def rate(edits: int, reference_length: int) -> float:
    """edits / N, may exceed 1. An empty reference gives 0 for an empty reading, else 1."""
    if reference_length:
        return edits / reference_length
    return float(edits > 0)


def word_error_rate(reference: str, reading: str, unreadable: Container[str] = ()) -> float:
    """WER: word edits / words of the reference, words with a character that cannot be read left out."""
    a, b = normalised(reference).split(), normalised(reading).split()
    left_out = {word for word in a if any(character in unreadable for character in word)}
    return rate(edits(a, b, left_out), readable_length(a, left_out))


def critical_tokens(text: str) -> tuple[str, ...]:
    """Prices, dates, phone numbers and percentages in reading order, normalised and without spaces."""
    return tuple(without_spaces(match.group()) for match in _CRITICAL.finditer(normalised(text)))


def critical_tokens_missed(reference: str, reading: str, unreadable: Container[str] = ()) -> tuple[str, ...]:
    """The critical tokens of the reference that the reading lacks; each is exact or wrong.

    Spacing makes no difference, nor does what stands in the place of a character that cannot be read.
    """
    read = Counter(critical_tokens(reading))
    compact = without_spaces(normalised(reading))
    missed: list[str] = []
    for token, count in Counter(critical_tokens(reference)).items():
        found = max(read[token], len(_alone(token, unreadable).findall(compact)))
        missed.extend([token] * max(0, count - found))
    return tuple(missed)


def _alone(token: str, unreadable: Container[str]) -> re.Pattern[str]:
    """The token where it is not part of a longer number."""
    before = r"(?<![\d,.-])" if token[0].isdigit() else ""
    after = r"(?![,.-]?\d)" if token[-1].isdigit() else ""
    return re.compile(before + "".join(".?" if c in unreadable else re.escape(c) for c in token) + after)

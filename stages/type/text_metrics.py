"""How far a reading is from the text that was drawn: CER, WER, and the tokens that must be exact."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

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


def edit_distance(reference: Sequence[str], reading: Sequence[str]) -> int:
    """Levenshtein distance S + D + I over characters, or over words when given lists of words."""
    row = list(range(len(reading) + 1))
    for i, expected in enumerate(reference, start=1):
        previous, row[0] = row[0], i
        for j, read in enumerate(reading, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (expected != read))
    return row[-1]


def rate(edits: int, reference_length: int) -> float:
    """edits / N, may exceed 1. An empty reference gives 0 for an empty reading, else 1."""
    if reference_length:
        return edits / reference_length
    return float(edits > 0)


def character_error_rate(references: Sequence[str], readings: Sequence[str]) -> float:
    """CER over many lines: Σ edits / Σ N, not a mean of means; both sides normalised."""
    pairs = [(normalised(a), normalised(b)) for a, b in zip(references, readings, strict=True)]
    return rate(sum(edit_distance(a, b) for a, b in pairs), sum(len(a) for a, _ in pairs))


def character_error_rate_ignoring_spaces(references: Sequence[str], readings: Sequence[str]) -> float:
    """CER where spacing alone is no error, the figure to judge Korean by."""
    return character_error_rate([*map(without_spaces, references)], [*map(without_spaces, readings)])


def jamo_error_rate(reference: str, reading: str) -> float:
    """CER over jamo: a wrong final consonant costs one of three, not a whole syllable."""
    a, b = (unicodedata.normalize("NFD", normalised(text)) for text in (reference, reading))
    return rate(edit_distance(a, b), len(a))


def word_error_rate(reference: str, reading: str) -> float:
    """WER: word edits / words of the reference."""
    a, b = normalised(reference).split(), normalised(reading).split()
    return rate(edit_distance(a, b), len(a))


def critical_tokens(text: str) -> tuple[str, ...]:
    """Prices, dates, phone numbers and percentages in reading order, normalised and without spaces."""
    return tuple(without_spaces(match.group()) for match in _CRITICAL.finditer(normalised(text)))


def critical_tokens_missed(reference: str, reading: str) -> tuple[str, ...]:
    """The critical tokens of the reference that the reading lacks; each is exact or wrong, spacing apart."""
    read = Counter(critical_tokens(reading))
    compact = without_spaces(normalised(reading))
    missed: list[str] = []
    for token, count in Counter(critical_tokens(reference)).items():
        found = max(read[token], len(_alone(token).findall(compact)))
        missed.extend([token] * max(0, count - found))
    return tuple(missed)


def _alone(token: str) -> re.Pattern[str]:
    """The token where it is not part of a longer number."""
    before = r"(?<![\d,.-])" if token[0].isdigit() else ""
    after = r"(?![,.-]?\d)" if token[-1].isdigit() else ""
    return re.compile(before + re.escape(token) + after)

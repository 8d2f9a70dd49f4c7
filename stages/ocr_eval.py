"""What a recogniser read of the finished ad, against the text that was drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from stages.imaging.geometry import outer_corners
from stages.type.text_metrics import (
    critical_tokens_missed,
    edit_distance,
    normalised,
    rate,
    without_spaces,
    word_error_rate,
)
from stages.values import (
    Layout,
    LineRead,
    LineRecognition,
    LineToRead,
    ModelInfo,
    Recognition,
    Rect,
    Script,
    TextLine,
)


def lines_to_read(layout: Layout) -> tuple[LineToRead, ...]:
    """The drawn lines in order: their ink with a little room around it, their script, their colour."""
    return tuple(
        LineToRead(box=_box(line, layout), script=_script(line.text), fill=layout.fill) for line in layout.lines
    )


def _box(line: TextLine, layout: Layout) -> Rect:
    # Recognisers lose strokes that touch the border of their crop.
    room_px = max(4, round(0.15 * layout.font_size_of(line)))
    return Rect.from_corners_px(*outer_corners(line.ink, layout.size, room_px), layout.size)


def _script(text: str) -> Script:
    return "hangul" if any(unicodedata.name(c, "").startswith("HANGUL") for c in text) else "latin"


def score(layout: Layout, reads: Sequence[LineRead], model: ModelInfo) -> Recognition:
    """Σ edits / Σ N over all lines, raw and with spaces ignored; both sides NFC, then NFKC.

    Text that could not be read is a high error rate. ValueError when the engine returned another number of
    lines than it was asked for: that is a failed engine, not a bad reading.
    """
    if len(reads) != len(layout.lines):
        raise ValueError(
            f"the recogniser returned {len(reads)} lines for {len(layout.lines)}; it must return one for each"
        )
    lines = tuple(_compared(line.text, read) for line, read in zip(layout.lines, reads, strict=True))
    expected, recognized = (" ".join(texts) for texts in zip(*((_.expected, _.recognized) for _ in lines), strict=True))
    characters, solid = (len(expected) - len(lines) + 1, len(without_spaces(expected)))
    edits = sum(line.edits for line in lines)
    missed = critical_tokens_missed(expected, recognized)
    return Recognition(
        recognized_text="\n".join(line.recognized for line in lines),
        confidence=sum(line.confidence * len(line.expected) for line in lines) / characters,
        cer=rate(edits, characters),
        cer_ignoring_spaces=rate(sum(line.edits_ignoring_spaces for line in lines), solid),
        wer=word_error_rate(expected, recognized),
        edit_distance=edits,
        critical_tokens_missed=missed,
        lines=lines,
        reason=_reason(lines, missed),
        model=model,
    )


def _compared(drawn: str, read: LineRead) -> LineRecognition:
    expected, recognized = normalised(drawn), normalised(read.text)
    return LineRecognition(
        expected=expected,
        recognized=recognized,
        confidence=read.confidence,
        edits=edit_distance(expected, recognized),
        edits_ignoring_spaces=edit_distance(without_spaces(expected), without_spaces(recognized)),
    )


def _reason(lines: Sequence[LineRecognition], missed: Sequence[str]) -> str:
    worst = max(lines, key=lambda line: line.edits_ignoring_spaces)
    if missed:
        return f"{', '.join(missed)} was not read exactly: {worst.expected!r} was read as {worst.recognized!r}"
    if worst.edits_ignoring_spaces == 0:
        return f"all {len(lines)} lines were read exactly" + (", spacing apart" if any(_.edits for _ in lines) else "")
    wrong = sum(line.edits_ignoring_spaces > 0 for line in lines)
    return f"{wrong} of {len(lines)} lines differ, most of all {worst.expected!r}, read as {worst.recognized!r}"

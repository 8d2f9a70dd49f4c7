"""What a recogniser read of the finished ad, against the text that was drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from stages.imaging.geometry import outer_corners
from stages.type.text_metrics import (
    critical_tokens_missed,
    edits,
    normalised,
    rate,
    readable_length,
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


def score(
    layout: Layout, reads: Sequence[LineRead], model: ModelInfo, knows: Callable[[str, Script], bool]
) -> Recognition:
    """Σ edits / Σ N over all lines, raw and with spaces ignored; both sides NFC, then NFKC.

    Text that could not be read is a high error rate. Characters that the recogniser cannot read in any picture
    (`knows` is false for them in a line of that script) say nothing of the ad and are left out of both sums.
    ValueError when the engine returned another number of lines than it was asked for: that is a failed engine, not a
    bad reading.
    """
    if len(reads) != len(layout.lines):
        raise ValueError(
            f"the recogniser returned {len(reads)} lines for {len(layout.lines)}; it must return one for each"
        )
    lines = tuple(_compared(line.text, read, knows) for line, read in zip(layout.lines, reads, strict=True))
    expected, recognized = (" ".join(texts) for texts in zip(*((_.expected, _.recognized) for _ in lines), strict=True))
    unreadable = tuple(dict.fromkeys(character for line in lines for character in line.unreadable_by_reader))
    characters = [readable_length(line.expected, line.unreadable_by_reader) for line in lines]
    solid = [readable_length(without_spaces(line.expected), line.unreadable_by_reader) for line in lines]
    total_edits = sum(line.edits for line in lines)
    missed = critical_tokens_missed(expected, recognized, unreadable)
    return Recognition(
        recognized_text="\n".join(line.recognized for line in lines),
        confidence=sum(line.confidence * len(line.expected) for line in lines) / sum(len(_.expected) for _ in lines),
        cer=rate(total_edits, sum(characters)),
        cer_ignoring_spaces=rate(sum(line.edits_ignoring_spaces for line in lines), sum(solid)),
        wer=word_error_rate(expected, recognized, unreadable),
        edit_distance=total_edits,
        critical_tokens_missed=missed,
        lines=lines,
        unreadable_by_reader=unreadable,
        reason=_reason(lines, missed, unreadable),
        model=model,
    )


def _compared(drawn: str, read: LineRead, knows: Callable[[str, Script], bool]) -> LineRecognition:
    expected, recognized = normalised(drawn), normalised(read.text)
    script = _script(drawn)
    solid = without_spaces(expected)
    unreadable = tuple(dict.fromkeys(character for character in solid if not knows(character, script)))
    return LineRecognition(
        expected=expected,
        recognized=recognized,
        confidence=read.confidence,
        edits=edits(expected, recognized, unreadable),
        edits_ignoring_spaces=edits(solid, without_spaces(recognized), unreadable),
        unreadable_by_reader=unreadable,
    )


def _reason(lines: Sequence[LineRecognition], missed: Sequence[str], unreadable: Sequence[str]) -> str:
    unknown = f"; the recogniser does not know {', '.join(unreadable)}" if unreadable else ""
    return _difference(lines, missed) + unknown


def _difference(lines: Sequence[LineRecognition], missed: Sequence[str]) -> str:
    worst = max(lines, key=lambda line: line.edits_ignoring_spaces)
    if missed:
        return f"{', '.join(missed)} was not read exactly: {worst.expected!r} was read as {worst.recognized!r}"
    if worst.edits_ignoring_spaces == 0:
        return f"all {len(lines)} lines were read exactly" + (", spacing apart" if any(_.edits for _ in lines) else "")
    wrong = sum(line.edits_ignoring_spaces > 0 for line in lines)
    return f"{wrong} of {len(lines)} lines differ, most of all {worst.expected!r}, read as {worst.recognized!r}"

"""How a picture file is built, read before it is decoded: what would take very long to decode is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

MOST_SCANS = 64
"""Of a JPEG; each goes over the whole picture. Cameras and programs write at most twelve."""

MOST_SCANNED_PIXELS = 200_000_000
"""Of all scans together: twelve over 16 million pixels."""

MOST_CHUNKS = 2_000
"""Chunks of a PNG that are not its pixels, or segments and bytes of filling before the data of a JPEG."""

MOST_DATA_CHUNKS = 20_000
"""Chunks of pixels of a PNG; most programs write 8 KB or more into each."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_START_OF_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = (0x01, 0xD8)


def structure_fault(content: bytes) -> str | None:
    """Why decoding this file would take too long; None for all others, damaged ones too."""
    if content.startswith(_PNG):
        return _png_fault(content)
    return _jpeg_fault(content) if content.startswith(_JPEG) else None


def scanned_too_often(content: bytes, pixels: int) -> bool:
    """Whether a JPEG of so many pixels has so many scans that decoding it takes seconds."""
    return content.startswith(_JPEG) and _scans(content) * pixels > MOST_SCANNED_PIXELS


def _png_fault(content: bytes) -> str | None:
    position, data, others = len(_PNG), 0, 0
    while position + 8 <= len(content):
        if content[position + 4 : position + 8] == b"IDAT":
            data += 1
        else:
            others += 1
        if others > MOST_CHUNKS or data > MOST_DATA_CHUNKS:
            return f"is a PNG of more than {MOST_CHUNKS:,} chunks, or {MOST_DATA_CHUNKS:,} with pixels"
        position += 12 + int.from_bytes(content[position : position + 4])
    return None


def _jpeg_fault(content: bytes) -> str | None:
    before = 0
    for kind, gap in _segments(content):
        before += 1 + gap
        if before > MOST_CHUNKS:
            return f"is a JPEG of more than {MOST_CHUNKS:,} segments or bytes of filling before its pixels"
        if kind == _START_OF_SCAN:
            break
    return f"is a JPEG of more than {MOST_SCANS} scans" if _scans(content) > MOST_SCANS else None


def _scans(content: bytes) -> int:
    scans = (kind for kind, _ in _segments(content) if kind == _START_OF_SCAN)
    return sum(1 for _ in itertools.islice(scans, MOST_SCANS + 1))


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """The kind of each segment of a JPEG, and how many bytes lie before it: filling, or pixels after a scan."""
    position = len(_JPEG)
    while marker := _MARKER.search(content, position):
        kind, end = content[marker.end() - 1], marker.end()
        if kind == _END:
            return
        yield kind, end - 2 - position
        position = end if kind in _WITHOUT_LENGTH else end + int.from_bytes(content[end : end + 2])

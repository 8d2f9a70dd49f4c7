"""A picture made small enough for an event log."""

from __future__ import annotations

import io

from PIL import Image as Pillow

from stages.imaging.arrays import Picture
from stages.values import StageError

_LONG_SIDES_PX = (320, 240, 160, 96)
_QUALITIES = (60, 40, 25)


def thumbnail(image: Picture, max_bytes: int = 4_000) -> bytes:
    """A WebP of at most `max_bytes`, as large and good as they allow; StageError when none is so small."""
    small = Pillow.fromarray(image)
    for long_side_px in _LONG_SIDES_PX:
        small.thumbnail((long_side_px, long_side_px), Pillow.Resampling.LANCZOS)
        for quality in _QUALITIES:
            encoded = io.BytesIO()
            small.save(encoded, "WEBP", quality=quality)
            if encoded.tell() <= max_bytes:
                return encoded.getvalue()
    raise StageError(f"no WebP of this picture has at most {max_bytes} bytes; allow more")

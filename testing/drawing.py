"""Lines of text drawn in installed fonts, for tests that read them back."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.imaging.arrays import Picture
from stages.values import LineToRead, Rect, Rgb, Script, Size

NANUM = Path("/usr/share/fonts/truetype/nanum")


def drawn_line(
    text: str,
    *,
    script: Script = "hangul",
    size_px: int = 40,
    font: str = "NanumSquareB.ttf",
    fill: Rgb = (255, 255, 255),
    background: Rgb = (40, 40, 60),
) -> tuple[Picture, LineToRead]:
    """A picture with the line on a plain background, and where its ink is."""
    face = ImageFont.truetype(str(NANUM / font), size_px)
    left, top, right, bottom = face.getbbox(text)
    size = Size(width_px=int(right - left) + 80, height_px=int(bottom - top) + 80)
    image = Image.new("RGB", (size.width_px, size.height_px), background)
    ImageDraw.Draw(image).text((40 - left, 40 - top), text, font=face, fill=fill)
    box = Rect.from_corners_px(40, 40, 40 + right - left, 40 + bottom - top, size)
    return np.asarray(image), LineToRead(box=box, script=script, fill=fill)

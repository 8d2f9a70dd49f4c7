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
    """A picture with the line on a plain background, and where its ink is, with the room that ocr_eval leaves it."""
    face = ImageFont.truetype(str(NANUM / font), size_px)
    left, top, right, bottom = face.getbbox(text)
    size = Size(width_px=int(right - left) + 80, height_px=int(bottom - top) + 80)
    image = Image.new("RGB", (size.width_px, size.height_px), background)
    ImageDraw.Draw(image).text((40 - left, 40 - top), text, font=face, fill=fill)
    room_px = max(4, round(0.15 * size_px))
    corners = (40 - room_px, 40 - room_px, 40 + right - left + room_px, 40 + bottom - top + room_px)
    return np.asarray(image), LineToRead(box=Rect.from_corners_px(*corners, size), script=script, fill=fill)


def stacked(*drawings: tuple[Picture, LineToRead]) -> tuple[Picture, tuple[LineToRead, ...]]:
    """Drawn lines one below the other in one picture."""
    size = Size(
        width_px=max(image.shape[1] for image, _ in drawings), height_px=sum(image.shape[0] for image, _ in drawings)
    )
    whole = np.zeros((size.height_px, size.width_px, 3), np.uint8)
    lines, top = [], 0
    for image, line in drawings:
        height, width = image.shape[:2]
        whole[top : top + height, :width] = image
        left, above, right, below = line.box.corners_px(Size(width_px=width, height_px=height))
        box = Rect.from_corners_px(left, top + above, right, top + below, size)
        lines.append(line.model_copy(update={"box": box}))
        top += height
    return whole, tuple(lines)

"""Defects of the picture: the record of what was drawn is right, and the ad is something else."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow

from stages.imaging.arrays import Picture
from stages.imaging.geometry import Corners, outer_corners
from stages.type.glyphs import draw_layout, glyph_mask, with_glyphs, without_glyphs
from testing.defects.perturb import DrawnAd, defect, em_px, in_box, ink_px, mean_colour, moved, respelled


def _on_text(name: str, work: Callable[[Picture, int], Picture]) -> None:
    """Works on the pixels of the text; the number is the em in px."""
    defect(name)(lambda good: in_box(good.image, ink_px(good.layout), lambda box: work(box, em_px(good.layout))))


def _on_all(name: str, work: Callable[[Picture], Picture]) -> None:
    defect(name)(lambda good: np.ascontiguousarray(work(good.image)))


def _blurred(image: Picture, sigma_px: float) -> Picture:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)


def _scaled(image: Picture, across: float, down: float) -> Picture:
    """Smaller and back to its size."""
    import cv2

    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, round(width * across)), max(1, round(height * down))))
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _squeezed(image: Picture, _: int) -> Picture:
    import cv2

    height, width = image.shape[:2]
    result = np.empty_like(image)
    result[:] = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    result[:, : max(1, width // 2)] = cv2.resize(image, (max(1, width // 2), height))
    return result


def _jpeg(image: Picture, quality: int) -> Picture:
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(io.BytesIO(buffer.getvalue())).convert("RGB"))


def _noisy(image: Picture, levels: float) -> Picture:
    noise = np.random.default_rng(1).normal(0.0, levels, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255).astype(np.uint8))


def _half_grey(image: Picture) -> Picture:
    result = image.copy()
    result[image.shape[0] // 2 :] = 128
    return result


_on_text("blurred text", lambda box, em: _blurred(box, em / 10))
_on_text("text in coarse pixels", lambda box, em: _scaled(box, 6 / em, 6 / em))
_on_text("text squeezed", _squeezed)
_on_text("noise over the text", lambda box, _: _noisy(box, 60.0))
_on_text("text mirrored", lambda box, _: box[:, ::-1])
_on_text("text upside down", lambda box, _: box[::-1, ::-1])
_on_all("the whole ad blurred", lambda image: _blurred(image, max(image.shape) / 200))
_on_all("the whole ad dark", lambda image: (image * 0.25).astype(np.uint8))
_on_all("the whole ad inverted", lambda image: 255 - image)
_on_all("red and blue exchanged", lambda image: image[..., ::-1])
_on_all("the whole ad mirrored", lambda image: image[:, ::-1])
_on_all("a JPEG of the lowest quality", lambda image: _jpeg(image, 2))
_on_all("half of the picture lost", _half_grey)


@defect("no text at all")
def _untouched(good: DrawnAd) -> Picture:
    return good.scene.image.copy()


@defect("text elsewhere than laid out")
def _elsewhere(good: DrawnAd) -> Picture:
    panel = good.layout.panel
    shifted = moved(good.layout, 0.4 * em_px(good.layout), 0.4 * em_px(good.layout))
    return draw_layout(good.scene.image, shifted.model_copy(update={"panel": panel}), good.fonts)


@defect("text drawn twice")
def _ghost(good: DrawnAd) -> Picture | None:
    shifted = moved(good.layout, 0.12 * em_px(good.layout), 0.08 * em_px(good.layout))
    return with_glyphs(good.image, glyph_mask(shifted, good.fonts), good.layout.fill)


@defect("a second text over the first")
def _second_text(good: DrawnAd) -> Picture | None:
    other = respelled(moved(good.layout, 0.3 * em_px(good.layout), 0.5 * em_px(good.layout)), lambda text: text[::-1])
    return with_glyphs(good.image, glyph_mask(other, good.fonts), good.layout.fill) if other else None


@defect("a second text elsewhere")
def _watermark(good: DrawnAd) -> Picture:
    ink = good.layout.ink
    down = 0.5 if ink.y + ink.height / 2 < 0.5 else -0.5
    shifted = moved(good.layout, 0.0, down * good.layout.size.height_px)
    return with_glyphs(good.image, glyph_mask(shifted, good.fonts), good.layout.fill)


@defect("a line erased")
def _line_erased(good: DrawnAd) -> Picture:
    left, top, right, bottom = outer_corners(good.layout.lines[0].ink, good.layout.size, 2)
    result = good.image.copy()
    result[top:bottom, left:right] = without_glyphs(good.scene.image, good.layout)[top:bottom, left:right]
    return result


def _part_of_line(good: DrawnAd, start: float, end: float) -> Corners:
    """A stretch of the first line, in fractions of its width."""
    left, top, right, bottom = outer_corners(good.layout.lines[0].ink, good.layout.size, 2)
    width = right - left
    return left + round(start * width), top, left + max(2, round(end * width)), bottom


@defect("a glyph or two erased")
def _glyph_erased(good: DrawnAd) -> Picture:
    ground = without_glyphs(good.scene.image, good.layout)
    line = good.layout.lines[0]
    share = min(1.0, 1.5 / max(1, len(line.text)))
    left, top, right, bottom = _part_of_line(good, 0.0, share)
    return in_box(good.image, (left, top, right, bottom), lambda _: ground[top:bottom, left:right])


@defect("the foot of a line erased")
def _foot_erased(good: DrawnAd) -> Picture:
    ground = without_glyphs(good.scene.image, good.layout)
    left, top, right, bottom = outer_corners(good.layout.lines[0].ink, good.layout.size)
    top += round(0.6 * (bottom - top))
    return in_box(good.image, (left, top, right, bottom), lambda _: ground[top:bottom, left:right])


@defect("a sticker on the text")
def _sticker(good: DrawnAd) -> Picture:
    box = _part_of_line(good, 0.3, 0.6)
    return in_box(good.image, box, lambda pixels: np.full_like(pixels, (230, 40, 40)))


@defect("text crossed out")
def _crossed_out(good: DrawnAd) -> Picture:
    left, top, right, bottom = _part_of_line(good, 0.0, 1.0)
    middle, half_px = (top + bottom) // 2, max(2, em_px(good.layout) // 20)
    color = mean_colour(good.scene.image, (left, top, right, bottom))
    return in_box(good.image, (left, middle - half_px, right, middle + half_px), lambda box: np.full_like(box, color))


@defect("a wrong digit in the picture only")
def _wrong_digit(good: DrawnAd) -> Picture | None:
    digits = str.maketrans("0123456789", "8967012345")
    changed = respelled(good.layout, lambda text: text.translate(digits))
    return draw_layout(good.scene.image, changed, good.fonts) if changed else None


@defect("a wrong letter in the picture only")
def _wrong_letter(good: DrawnAd) -> Picture:
    letters = [letter for letter in good.layout.lines[0].text if letter.isalnum()]
    other = "뷁" if letters[0] >= "가" else "#"
    changed = respelled(good.layout, lambda text: text.replace(letters[0], other, 1))
    return draw_layout(good.scene.image, changed or good.layout, good.fonts)


@defect("the text pale in the picture only")
def _pale(good: DrawnAd) -> Picture:
    ground = without_glyphs(good.scene.image, good.layout)
    return np.asarray(np.rint(ground + (good.image.astype(np.float32) - ground) * 0.15).astype(np.uint8))


@defect("its panel missing in the picture only")
def _no_panel(good: DrawnAd) -> Picture | None:
    panel = good.layout.panel
    if panel is None or panel.opacity < 0.3:
        return None
    return draw_layout(good.scene.image, good.layout.model_copy(update={"panel": None}), good.fonts)

"""Each figure of the proof, on an ad in which exactly that is changed by a known amount."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from stages.fidelity import DIFFERS, fidelity
from stages.imaging.arrays import Picture
from stages.imaging.morphology import bounds
from stages.type.fonts import Fonts
from stages.type.glyphs import draw_layout, glyph_mask
from stages.values import Fidelity, GlyphRun, Layout, Rect, Size, TextLine
from testing.pictures import banner_ad, flat

COPY = "커피 5€! 오늘만 만 원"
WIDTH_PX, HEIGHT_PX = 500, 300
SIZE = Size(width_px=WIDTH_PX, height_px=HEIGHT_PX)


class Ad(NamedTuple):
    """An ad of two lines; the first consists of several runs, for its € comes from another face."""

    picture: Picture
    layout: Layout
    fonts: Fonts

    def found(self, layout: Layout | None = None, image: Picture | None = None, copy: str = COPY) -> Fidelity:
        """Of this layout, drawn as it says unless another image is given."""
        laid_out = layout or self.layout
        shown = draw_layout(self.picture, laid_out, self.fonts) if image is None else image
        return fidelity(self.picture, shown, laid_out, copy, self.fonts)


@pytest.fixture(scope="module")
def ad(fonts: Fonts) -> Ad:
    picture = flat(WIDTH_PX, HEIGHT_PX)
    layout, _ = banner_ad(picture, COPY, fonts)
    assert len(layout.lines) == 2
    assert len(layout.lines[0].runs) > 1
    return Ad(picture, layout, fonts)


def moved(line: TextLine, right_px: float = 0.0, down_px: float = 0.0, *, runs: slice = slice(None)) -> TextLine:
    def at(run: GlyphRun) -> GlyphRun:
        return run.model_copy(
            update={"origin_x_px": run.origin_x_px + right_px, "origin_y_px": run.origin_y_px + down_px}
        )

    chosen = set(range(len(line.runs))[runs])
    changed = tuple(at(run) if number in chosen else run for number, run in enumerate(line.runs))
    return line.model_copy(update={"runs": changed})


def with_lines(ad: Ad, *lines: TextLine, **more: Any) -> Layout:
    return ad.layout.model_copy(update={"lines": lines, **more})


def test_sizes_are_shares_of_the_short_side(ad: Ad) -> None:
    smallest_px = min(ad.layout.font_size_of(line) for line in ad.layout.lines)
    assert ad.found().smallest_text_share == pytest.approx(smallest_px / HEIGHT_PX)


def test_the_margin_is_the_distance_of_the_ink_from_the_nearest_border(ad: Ad) -> None:
    ink = bounds(glyph_mask(ad.layout, ad.fonts))
    assert ink is not None
    left, top, right, bottom = ink
    for right_px, down_px in [
        (7 - left, 0),
        (WIDTH_PX - 7 - right, 0),
        (0, 7 - top),
        (0, HEIGHT_PX - 7 - bottom),
    ]:
        placed = with_lines(ad, *(moved(line, right_px, down_px) for line in ad.layout.lines))
        assert ad.found(placed).least_margin_share == pytest.approx(7 / HEIGHT_PX)


def test_the_nearest_border_counts_not_the_first_line(ad: Ad) -> None:
    below = with_lines(ad, ad.layout.lines[0], moved(ad.layout.lines[1], down_px=HEIGHT_PX))
    assert ad.found(below).least_margin_share < 0


def test_lines_overlap_by_the_share_of_the_smaller_ink(ad: Ad) -> None:
    upper, lower = ad.layout.lines
    tops, bottoms = [], []
    for line in (upper, lower):
        _, top, _, bottom = line.ink.corners_px(SIZE)
        tops.append(round(top))
        bottoms.append(round(bottom))
    assert ad.found().lines_overlap == 0.0
    by_px = 5
    risen = moved(lower, down_px=bottoms[0] - tops[1] - by_px)
    narrower = min(upper.ink.width, lower.ink.width)
    smaller = min(upper.ink.area, lower.ink.area)
    expected = narrower * (by_px / HEIGHT_PX) / smaller
    assert ad.found(with_lines(ad, upper, risen)).lines_overlap == pytest.approx(expected, rel=0.01)


def test_lines_are_in_order_only_while_each_is_below_the_one_before(ad: Ad) -> None:
    upper, lower = ad.layout.lines
    assert ad.found().lines_in_order
    assert not ad.found(with_lines(ad, lower, upper)).lines_in_order
    assert not ad.found(with_lines(ad, upper, upper)).lines_in_order


@pytest.mark.parametrize(("right", "down", "expected"), [(0.5, 0, 0.5), (-0.5, 0, 0.5), (0, 0.25, 0.25), (0, -2, 2.0)])
def test_letters_are_displaced_by_as_many_em_as_they_are_moved(
    ad: Ad, right: float, down: float, expected: float
) -> None:
    line, *others = ad.layout.lines
    em_px = ad.layout.font_size_of(line)
    spoilt = moved(line, right * em_px, down * em_px, runs=slice(1, None))
    assert ad.found(with_lines(ad, spoilt, *others)).displaced_em == pytest.approx(expected)


def test_a_difference_counts_from_the_first_level_that_the_eye_sees(ad: Ad) -> None:
    shown = draw_layout(ad.picture, ad.layout, ad.fonts)
    for levels, seen in ((DIFFERS, False), (DIFFERS + 1, True)):
        changed = shown.copy()
        changed[250:260, 30:50, 1] += np.uint8(levels)
        found = ad.found(image=changed)
        assert (found.differs_at is not None) is seen
        assert (found.largest_difference_em2 > 0) is seen


def test_the_largest_difference_is_measured_in_squares_of_the_smallest_type_and_located(ad: Ad) -> None:
    changed = draw_layout(ad.picture, ad.layout, ad.fonts)
    changed[200:210, 20:30] ^= 0x80
    changed[250:260, 300:320] ^= 0x80
    found = ad.found(image=changed)
    em_px = min(ad.layout.font_size_of(line) for line in ad.layout.lines)
    assert found.largest_difference_em2 == pytest.approx(200 / em_px**2)
    assert found.differs_at == Rect.from_corners_px(300, 250, 320, 260, SIZE)
    assert "around 60%, 83% of the picture" in found.reason


def test_the_reason_says_what_is_wrong_first_the_words(ad: Ad) -> None:
    assert ad.found().reason == "the ad is what its layout says, pixel by pixel, and says what was ordered"
    assert "is not the copy that was ordered" in ad.found(copy="다른 문구").reason
    spoilt = draw_layout(ad.picture, ad.layout, ad.fonts)
    spoilt[200:210] ^= 0x80
    assert "is not the copy that was ordered" in ad.found(image=spoilt, copy="다른 문구").reason


@pytest.mark.parametrize("where", ["layout", "line", "glyphs"])
def test_the_words_are_compared_in_the_layout_its_lines_and_its_glyphs(ad: Ad, where: str) -> None:
    line, *others = ad.layout.lines
    if where == "layout":
        layout = with_lines(ad, *ad.layout.lines, text=f"{ad.layout.text}!")
    elif where == "line":
        layout = with_lines(ad, line.model_copy(update={"text": f"{line.text}!"}), *others)
    else:
        last = line.runs[-1].model_copy(update={"text": f"{line.runs[-1].text}?"})
        layout = with_lines(ad, line.model_copy(update={"runs": (*line.runs[:-1], last)}), *others)
    assert not ad.found(layout).text_as_ordered


def test_each_glyph_that_a_face_lacks_counts(ad: Ad) -> None:
    line, *others = ad.layout.lines
    face = line.runs[0].face
    lacking = line.model_copy(update={"runs": (line.runs[0].model_copy(update={"text": "a漢b字", "face": face}),)})
    assert ad.found(with_lines(ad, lacking, *others)).missing_glyphs == len(ad.fonts.missing(face, "a漢b字")) > 0

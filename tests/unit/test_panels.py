"""Where a scrim or a plate is put under the text."""

import pytest

from stages.imaging.geometry import inner_corners
from stages.imaging.morphology import ring
from stages.overlay import alignment, render
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.type.glyphs import glyph_mask
from stages.values import Layout, Plan, Proposal, Rect
from testing.pictures import analysis, checkerboard, flat, one_region, size_of

LONG, SHORT = "갓 구운 크루아상과 커피 한 잔", "커피"
SIDE_PX = 600
PICTURE = checkerboard(SIDE_PX, SIDE_PX)


def laid_out(fonts: Fonts, region: Rect, copy: str, *, covers: bool = False) -> Layout:
    """On a picture on which no colour can be read without a panel."""
    layout, _ = render(PICTURE, one_region(PICTURE, region, occlusion=0.5 if covers else 0.0), copy, fonts, analysis())
    assert layout.panel is not None
    return layout


def panel(fonts: Fonts, region: Rect, copy: str, *, covers: bool = False) -> tuple[Rect, float, float]:
    """Its rectangle, radius and feather."""
    found = laid_out(fonts, region, copy, covers=covers).panel
    assert found is not None
    return found.rect, found.radius_px, found.feather_px


TOP, MIDDLE, BOTTOM = (Rect(x=0.05, y=y, width=0.9, height=0.15) for y in (0.06, 0.42, 0.79))


def test_wide_text_near_the_top_has_a_scrim_from_the_upper_edge_over_the_whole_width(fonts: Fonts) -> None:
    layout = laid_out(fonts, TOP, LONG)
    rect, radius_px, feather_px = panel(fonts, TOP, LONG)
    assert (rect.x, rect.y, rect.right) == (0.0, 0.0, 1.0)
    assert layout.ink.bottom < rect.bottom < 0.42
    assert radius_px == 0.0
    assert feather_px == round(1.4 * layout.font_size_px)


def test_wide_text_near_the_bottom_has_a_scrim_to_the_lower_edge_over_the_whole_width(fonts: Fonts) -> None:
    layout = laid_out(fonts, BOTTOM, LONG)
    rect, radius_px, _ = panel(fonts, BOTTOM, LONG)
    assert (rect.x, rect.right, rect.bottom) == (0.0, 1.0, 1.0)
    assert 0.58 < rect.y < layout.ink.y
    assert radius_px == 0.0


@pytest.mark.parametrize(
    ("region", "copy"),
    [
        (MIDDLE, LONG),
        (MIDDLE, SHORT),
        (MIDDLE, "할인"),
        (MIDDLE, "커피 한 잔"),
        (Rect(x=0.64, y=0.06, width=0.3, height=0.15), SHORT),
        (Rect(x=0.06, y=0.06, width=0.3, height=0.15), SHORT),
        (Rect(x=0.64, y=0.8, width=0.3, height=0.14), SHORT),
    ],
)
def test_text_in_the_middle_and_narrow_text_have_a_scrim_around_them_only(
    fonts: Fonts, region: Rect, copy: str
) -> None:
    layout = laid_out(fonts, region, copy)
    rect, radius_px, feather_px = panel(fonts, region, copy)
    room_px = round(0.35 * layout.font_size_px)
    left, top, right, bottom = (round(side) for side in layout.ink.corners_px(layout.size))
    around = (left - room_px, top - room_px, right + room_px, bottom + room_px)
    assert inner_corners(rect, layout.size) == tuple(min(max(side, 0), SIDE_PX) for side in around)
    assert (radius_px > 0, feather_px > 0) == (rect.width < 1.0, True)


def test_a_plate_stays_inside_its_region_with_room_around_the_text(fonts: Fonts) -> None:
    region = Rect(x=0.2, y=0.3, width=0.6, height=0.3)
    layout = laid_out(fonts, region, SHORT, covers=True)
    rect, radius_px, feather_px = panel(fonts, region, SHORT, covers=True)
    assert region.x <= rect.x < layout.ink.x
    assert region.y <= rect.y < layout.ink.y
    assert layout.ink.right < rect.right <= region.right + 1e-9
    assert layout.ink.bottom < rect.bottom <= region.bottom + 1e-9
    assert radius_px == round(0.3 * layout.font_size_px)
    assert feather_px == 0.0


@pytest.mark.parametrize("width", [0.15, 0.3, 0.5])
def test_a_plate_reaches_past_every_pixel_that_is_measured_even_where_the_text_fills_its_region(
    fonts: Fonts, width: float
) -> None:
    layout = laid_out(fonts, Rect(x=0.2, y=0.3, width=width, height=0.06), SHORT, covers=True)
    assert layout.panel is not None
    left, top, right, bottom = (round(side) for side in layout.ink.corners_px(layout.size))
    plate = [round(side) for side in layout.panel.rect.corners_px(layout.size)]
    assert plate[0] <= left - 4
    assert plate[1] <= top - 4
    assert plate[2] >= right + 4
    assert plate[3] >= bottom + 4


def test_the_colour_is_chosen_for_what_lies_beside_the_letters(fonts: Fonts) -> None:
    """White suits this black picture everywhere but on the few pixels around the letters, which are white."""
    black = flat(SIDE_PX, SIDE_PX, (0, 0, 0))
    layout, _ = render(black, one_region(black, MIDDLE), SHORT, fonts, analysis())
    assert (layout.fill, layout.panel) == ((255, 255, 255), None)
    haloed = black.copy()
    haloed[ring(glyph_mask(layout, fonts) > 0, 3)] = 255
    again, ad = render(haloed, one_region(haloed, MIDDLE), SHORT, fonts, analysis())
    assert again.lines == layout.lines
    assert again.fill != (255, 255, 255) or again.panel is not None
    assert measure(haloed, ad, again, fonts).passes_aa


@pytest.mark.parametrize(
    ("region", "side"),
    [
        (Rect(x=0.0, y=0.3, width=0.4, height=0.3), "left"),
        (Rect(x=0.6, y=0.3, width=0.4, height=0.3), "right"),
        (Rect(x=0.2, y=0.0, width=0.6, height=0.2), "top"),
        (Rect(x=0.2, y=0.8, width=0.6, height=0.2), "bottom"),
    ],
)
def test_a_plate_that_reaches_an_edge_of_the_picture_has_no_round_corners_there(
    fonts: Fonts, region: Rect, side: str
) -> None:
    rect, radius_px, _ = panel(fonts, region, SHORT, covers=True)
    reached = {"left": rect.x == 0, "top": rect.y == 0, "right": rect.right == 1, "bottom": rect.bottom == 1}
    assert [name for name, touches in reached.items() if touches] == [side]
    assert radius_px == 0.0


@pytest.mark.parametrize(
    ("x", "width", "side"),
    [
        (0.1, 0.8, "center"),
        (0.15, 0.8, "center"),
        (0.17, 0.8, "right"),
        (0.05, 0.8, "center"),
        (0.03, 0.8, "left"),
        (0.0, 0.3, "left"),
        (0.7, 0.3, "right"),
    ],
)
def test_text_is_centred_in_a_central_region_and_flush_with_the_nearer_side_else(
    x: float, width: float, side: str
) -> None:
    assert alignment(Rect(x=x, y=0.1, width=width, height=0.2)) == side


@pytest.mark.parametrize("x", [0.12, 0.16])
def test_in_a_nearly_central_region_the_text_stands_on_the_middle_of_the_picture(fonts: Fonts, x: float) -> None:
    region = Rect(x=x, y=0.3, width=0.72, height=0.3)
    ink = laid_out(fonts, region, LONG).ink
    assert ink.x + ink.width / 2 == pytest.approx(0.5, abs=1.5 / SIDE_PX)
    assert region.x <= ink.x
    assert ink.right <= region.right


@pytest.mark.parametrize("inset", [0.0, 0.05])
def test_text_keeps_the_inset_from_every_side_of_its_region(fonts: Fonts, inset: float) -> None:
    region = Rect(x=0.05, y=0.2, width=0.4, height=0.2)
    proposal = Proposal(region=region, score=1.0, occlusion=0.0, source="test", words="given", inset=inset)
    plan = Plan(proposals=(proposal,), size=size_of(PICTURE))
    ink = render(PICTURE, plan, "겨울 딸기 케이크 예약", fonts, analysis())[0].ink
    assert ink.x - region.x == pytest.approx(inset, abs=1.5 / SIDE_PX)
    assert min(region.right - ink.right, ink.y - region.y, region.bottom - ink.bottom) >= inset - 1.5 / SIDE_PX


def test_the_copy_goes_into_the_chosen_region_and_else_into_the_first_that_holds_it(fonts: Fonts) -> None:
    tiny, wide, other = Rect(x=0.05, y=0.05, width=0.05, height=0.03), MIDDLE, BOTTOM
    proposals = tuple(
        Proposal(region=region, score=1.0, occlusion=0.0, source="test", words=name)
        for region, name in ((wide, "wide"), (other, "other"), (tiny, "tiny"))
    )
    chosen = Plan(proposals=proposals, chosen=1, size=size_of(PICTURE))
    layout, _ = render(PICTURE, chosen, LONG, fonts, analysis())
    assert (layout.proposal, layout.region, layout.warnings) == (1, other, ())
    too_small = chosen.model_copy(update={"chosen": 2})
    layout, _ = render(PICTURE, too_small, LONG, fonts, analysis())
    assert (layout.proposal, layout.region) == (0, wide)
    assert layout.warnings == ("the copy did not fit in region 2; region 0 was taken: wide",)

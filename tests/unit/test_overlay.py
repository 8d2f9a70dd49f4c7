import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.arrays import Picture
from stages.imaging.contrast import needed
from stages.imaging.geometry import inner_corners, overlap_area
from stages.imaging.morphology import bounds
from stages.overlay import render
from stages.readability_eval import measure
from stages.type.ad_copy import normalise_copy
from stages.type.fonts import Fonts
from stages.type.glyphs import glyph_mask, without_glyphs
from stages.type.setting import type_size_range
from stages.values import Layout, Plan, Rect, Size, StageError
from testing.pictures import (
    COPY,
    analysis,
    banner_ad,
    checkerboard,
    flat,
    noise,
    one_region,
    planned,
    size_of,
    solid,
    thing,
)

NARROW = Rect(x=0.06, y=0.1, width=0.15, height=0.12)
TOKEN = "가나다라마바사아자차카타파하거"
words = st.text(alphabet="가나다라마바힣 abCW1,.!?%₩(-", min_size=1, max_size=80).filter(lambda text: text.strip())


def assert_whole(layout: Layout, fonts: Fonts, copy: str) -> None:
    """Every character is drawn, and every touched pixel lies in the recorded ink, region and picture."""
    assert solid("".join(line.text for line in layout.lines)) == solid(normalise_copy(copy))
    drawn = bounds(glyph_mask(layout, fonts))
    assert drawn is not None
    assert drawn == inner_corners(layout.ink, layout.size)
    region = layout.region.corners_px(layout.size)
    assert drawn[0] >= region[0] - 1e-6
    assert drawn[1] >= region[1] - 1e-6
    assert drawn[2] <= region[2] + 1e-6
    assert drawn[3] <= region[3] + 1e-6
    assert layout.region.right <= 1.0 + 1e-9
    assert layout.region.bottom <= 1.0 + 1e-9


def drawn_unless_too_long(image: Picture, plan: Plan, copy: str, fonts: Fonts) -> Layout | None:
    try:
        return render(image, plan, copy, fonts, analysis())[0]
    except StageError as refusal:
        if "fits in none" in str(refusal):
            return None
        raise


def at_1080(image: Picture, copy: str, fonts: Fonts) -> Layout:
    layout, ad = render(image, planned(image, copy=copy), copy, fonts, analysis())
    assert_whole(layout, fonts, copy)
    assert ad.shape == image.shape
    return layout


@pytest.mark.parametrize(
    "copy",
    [
        "할인",
        COPY,
        TOKEN,
        "Supercalifragilisticexpialidocious",
        "신메뉴 출시! 한정 수량 9,900원, 지금 바로 만나보세요.",
        "첫 줄입니다\n둘째 줄은 조금 더 깁니다",
        "매일 아침 갓 구운 빵과 신선한 재료로 만든 샌드위치, 그리고 향긋한 커피 한 잔으로 하루를 시작하세요. "
        "지금 예약하시면 모든 메뉴를 30% 할인해 드립니다. 전화 02-123-4567, 매장 방문도 환영합니다!",
        "가나다라 마바사 " * 33,
    ],
)
def test_copy_of_any_length_is_drawn_whole(copy: str, fonts: Fonts) -> None:
    layout = at_1080(flat(1080, 1080), copy, fonts)
    sizes = [layout.font_size_of(line) for line in layout.lines]
    assert 28 <= min(sizes) <= max(sizes) <= 96


def test_short_copy_is_set_large_and_long_copy_smaller(fonts: Fonts) -> None:
    image = flat(1080, 1080)
    assert at_1080(image, "오늘 반값", fonts).font_size_px == 96
    assert at_1080(image, "가나다라 마바사 " * 33, fonts).font_size_px < 60


def test_the_recommended_size_category_is_an_upper_limit(fonts: Fonts) -> None:
    image = flat(1080, 1080)
    layout, _ = render(image, planned(image, copy="반값"), "반값", fonts, analysis(category="small"))
    assert layout.font_size_px <= 64


def test_type_sizes_scale_with_the_shorter_side() -> None:
    assert type_size_range(Size(width_px=1080, height_px=1920), "large") == (28, 96)
    assert type_size_range(Size(width_px=2160, height_px=2160), "large") == (56, 192)
    assert type_size_range(Size(width_px=512, height_px=512), "large") == (14, 46)
    assert type_size_range(Size(width_px=64, height_px=64), "large").smallest_px == 14


def test_a_28_character_copy_in_a_narrow_region_takes_the_next_region(fonts: Fonts) -> None:
    image, copy = flat(1080, 1080), "따뜻한 겨울을 위한 특별한 커피 세트 예약을 받습니다"
    narrow, wide = one_region(image, NARROW).proposals[0], one_region(image).proposals[0]
    layout, _ = render(image, Plan(proposals=(narrow, wide), size=size_of(image)), copy, fonts, analysis())
    assert layout.proposal == 1
    assert "did not fit in region 0" in layout.warnings[0]
    assert_whole(layout, fonts, copy)


def test_a_narrow_region_that_is_high_enough_holds_it_in_many_lines(fonts: Fonts) -> None:
    image, copy = flat(1080, 1080), "따뜻한 겨울을 위한 특별한 커피 세트 예약을 받습니다"
    plan = one_region(image, Rect(x=0.06, y=0.1, width=0.15, height=0.6))
    layout, _ = render(image, plan, copy, fonts, analysis())
    assert len(layout.lines) >= 4
    assert_whole(layout, fonts, copy)


def test_copy_that_fits_nowhere_is_refused_with_the_reason(fonts: Fonts) -> None:
    image = flat(1080, 1080)
    with pytest.raises(StageError, match=r"300 characters fits in none of 1 planned regions at 28 px.*shorten"):
        render(image, one_region(image, NARROW), "가" * 300, fonts, analysis())


def test_a_token_wider_than_its_region_is_parted_at_syllables(fonts: Fonts) -> None:
    image = flat(1080, 1080)
    layout, _ = render(image, one_region(image, Rect(x=0.1, y=0.1, width=0.25, height=0.3)), TOKEN, fonts, analysis())
    assert len(layout.lines) > 1
    assert_whole(layout, fonts, TOKEN)


def test_a_price_is_never_split_over_lines(fonts: Fonts) -> None:
    image, copy = flat(1080, 1080), "아메리카노와 케이크 세트를 단돈 12,900원 오늘 하루만"
    layout, _ = render(image, one_region(image, Rect(x=0.1, y=0.1, width=0.25, height=0.5)), copy, fonts, analysis())
    assert any("12,900원" in line.text for line in layout.lines)


def test_no_copy_is_refused(fonts: Fonts) -> None:
    with pytest.raises(StageError, match="no ad copy"):
        banner_ad(flat(400, 400), " \n ", fonts)


def test_a_plan_for_another_picture_is_refused(fonts: Fonts) -> None:
    with pytest.raises(StageError, match="the plan is for 512 × 512 px, the picture has 400 × 300 px"):
        render(flat(400, 300), one_region(flat(512, 512)), COPY, fonts, analysis())


def test_a_character_no_font_has_is_refused_before_anything_is_drawn(fonts: Fonts) -> None:
    with pytest.raises(StageError, match=r"U\+1F525 FIRE"):
        banner_ad(flat(800, 800), "따뜻한 🔥 커피", fonts)


def test_a_single_glyph_from_another_face_sits_on_the_same_baseline(fonts: Fonts) -> None:
    layout, _ = banner_ad(flat(1080, 1080), "커피 5€!", fonts)
    runs = layout.lines[0].runs
    assert len({run.face.family for run in runs}) == 2
    assert len({run.origin_y_px for run in runs}) == 1


def test_two_sentences_are_set_as_headline_and_smaller_secondary_text(fonts: Fonts) -> None:
    copy = "신메뉴 출시! 지금 매장에서 만나보세요."
    layout = at_1080(flat(1080, 1080), copy, fonts)
    assert layout.lines[0].text == "신메뉴 출시!"
    assert (layout.lines[-1].font_size_px or 0) < layout.font_size_px
    assert layout.face.bold


def test_centred_text_is_centred_on_the_picture(fonts: Fonts) -> None:
    layout, _ = banner_ad(flat(1080, 1080), "오늘의 커피", fonts)
    assert layout.ink.x + layout.ink.width / 2 == pytest.approx(0.5, abs=1.5 / 1080)


def test_text_in_a_side_column_is_flush_with_its_side(fonts: Fonts) -> None:
    image = flat(1080, 1080)
    left, right = Rect(x=0.06, y=0.2, width=0.3, height=0.5), Rect(x=0.64, y=0.2, width=0.3, height=0.5)
    copy = "겨울 딸기 케이크 예약 시작"
    on_left, _ = render(image, one_region(image, left), copy, fonts, analysis())
    on_right, _ = render(image, one_region(image, right), copy, fonts, analysis())
    assert len({line.ink.x for line in on_left.lines}) == 1
    assert max(line.ink.right for line in on_right.lines) - min(line.ink.right for line in on_right.lines) < 1e-9


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (200, 30, 30), (120, 90, 60)])
@pytest.mark.parametrize(
    "image",
    [
        flat(700, 700),
        flat(700, 700, (255, 255, 255)),
        flat(700, 700, (0, 0, 0)),
        noise(700, 700),
        checkerboard(700, 700),
    ],
)
def test_the_measured_contrast_passes_on_any_ground_with_any_recommendation(
    image: Picture, color: tuple[int, int, int], fonts: Fonts
) -> None:
    layout, ad = banner_ad(image, COPY, fonts, color)
    measured = measure(image, ad, layout, fonts)
    assert measured.passes_aa
    assert layout.contrast_p1 >= needed(measured.large_text).aa


def test_a_recommended_colour_with_enough_contrast_is_drawn_without_a_panel(fonts: Fonts) -> None:
    layout, _ = banner_ad(flat(800, 800, (10, 20, 40)), COPY, fonts, (255, 220, 60))
    assert (layout.fill, layout.panel) == ((255, 220, 60), None)


def test_white_on_a_white_plate_is_never_drawn(fonts: Fonts) -> None:
    layout, _ = banner_ad(flat(800, 800, (255, 255, 255)), COPY, fonts, (255, 255, 255))
    assert max(layout.fill) < 60
    assert layout.panel is None


def test_text_over_an_object_gets_a_plate_and_a_warning(fonts: Fonts) -> None:
    image = noise(900, 900)
    plan = planned(image, [thing(0.01, 0.01, 0.98, 0.98)])
    layout, _ = render(image, plan, COPY, fonts, analysis())
    assert layout.panel is not None
    assert layout.panel.opacity >= 0.78
    assert "forbidden" in layout.warnings[0]


def test_a_plate_at_the_edge_reaches_it_and_its_text_keeps_away(fonts: Fonts) -> None:
    image = noise(900, 900)
    plan = planned(image, [thing(0.06, 0.06, 0.88, 0.88)], "겨울 딸기")
    region, layout = plan.region, render(image, plan, "겨울 딸기", fonts, analysis())[0]
    assert layout.panel is not None
    plate, ink = layout.panel.rect, layout.ink
    for at_the_edge, plate_side, text_side in (
        (region.x == 0.0, plate.x, ink.x),
        (region.y == 0.0, plate.y, ink.y),
        (region.right >= 1.0, 1.0 - plate.right, 1.0 - ink.right),
        (region.bottom >= 1.0, 1.0 - plate.bottom, 1.0 - ink.bottom),
    ):
        assert text_side >= 0.02
        if at_the_edge:
            assert plate_side == pytest.approx(0.0)
    assert overlap_area(plate.corners, region.corners) == pytest.approx(plate.area)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 0.8), st.floats(0.08, 0.3))
def test_a_plate_proves_its_contrast_even_where_the_text_fills_its_region(
    fonts: Fonts, width: float, height: float
) -> None:
    image = checkerboard(600, 600)
    plan = one_region(image, Rect(x=0.1, y=0.1, width=width, height=height), occlusion=0.5)
    layout = drawn_unless_too_long(image, plan, "갓 구운 크루아상", fonts)
    if layout is not None:
        ad = render(image, plan, "갓 구운 크루아상", fonts, analysis())[1]
        assert measure(image, ad, layout, fonts).passes_aa


def test_nothing_but_panel_and_glyphs_changes_the_picture(fonts: Fonts) -> None:
    image = noise(800, 800)
    layout, ad = banner_ad(image, COPY, fonts)
    untouched = glyph_mask(layout, fonts) == 0
    assert (ad[untouched] == without_glyphs(image, layout)[untouched]).all()


def test_the_given_picture_is_not_changed(fonts: Fonts) -> None:
    image = noise(800, 800)
    before = image.copy()
    banner_ad(image, COPY, fonts)
    assert (image == before).all()


def test_the_same_input_gives_the_same_bytes(fonts: Fonts) -> None:
    first, second = (banner_ad(noise(640, 640), COPY, fonts) for _ in range(2))
    assert first[0].model_dump_json() == second[0].model_dump_json()
    assert first[1].tobytes() == second[1].tobytes()


def test_a_layout_survives_being_stored(fonts: Fonts) -> None:
    layout, _ = banner_ad(noise(640, 640), COPY, fonts)
    stored = Layout.model_validate_json(layout.model_dump_json())
    assert (glyph_mask(stored, fonts) == glyph_mask(layout, fonts)).all()


@pytest.mark.parametrize("shape", [(512, 512), (1080, 1920), (1920, 1080), (1080, 1350), (320, 320)])
def test_pictures_of_any_usual_shape_get_their_ad(shape: tuple[int, int], fonts: Fonts) -> None:
    image = noise(*shape)
    layout, ad = render(image, planned(image, [thing(0.3, 0.4, 0.4, 0.4)]), COPY, fonts, analysis())
    assert ad.shape == image.shape
    assert_whole(layout, fonts, COPY)


@settings(max_examples=40, deadline=None)
@given(words, st.floats(0.12, 0.88), st.floats(0.06, 0.8))
def test_any_text_in_any_region_is_drawn_whole_or_refused(fonts: Fonts, copy: str, width: float, height: float) -> None:
    image = flat(600, 500)
    plan = one_region(image, Rect(x=0.06, y=0.1, width=width, height=height))
    layout = drawn_unless_too_long(image, plan, copy, fonts)
    if layout is not None:
        assert_whole(layout, fonts, copy)


def test_the_panel_reaches_past_every_pixel_that_is_measured(fonts: Fonts) -> None:
    image = checkerboard(900, 900)
    layout, ad = banner_ad(image, COPY, fonts)
    assert layout.panel is not None
    changed = bounds(np.any(ad != image, axis=2))
    assert changed is not None
    assert changed[1] < layout.ink.y * 900 - 3


def test_the_layout_says_what_was_left_out_of_the_copy(fonts: Fonts) -> None:
    image = flat(480, 480)
    clean, _ = render(image, planned(image), COPY, fonts, analysis())
    hidden, ad = render(image, planned(image), f"\x07{COPY}\u202e", fonts, analysis())
    assert hidden.warnings == ("2 control characters or marks of direction were left out of the copy",)
    assert hidden.model_copy(update={"warnings": ()}) == clean
    assert (ad == render(image, planned(image), COPY, fonts, analysis())[1]).all()

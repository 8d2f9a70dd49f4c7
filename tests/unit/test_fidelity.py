"""Is an ad what its layout says? Of an untouched one always, of one with anything changed never."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.fonts import installed_fonts
from resources.settings import Settings
from resources.vlm.measured import MeasuredVision
from service.demo import generated_images
from stages.fidelity import fidelity
from stages.imaging.arrays import Picture
from stages.overlay import render
from stages.planner import plan
from stages.type.glyphs import draw_layout
from stages.values import Detections, Fidelity, Layout, ModelInfo, Size

COPY = "오늘 볶은 원두 커피. Americano 3,900원, 10% 할인"


class Ad:
    """One ad of the demo's picture, and what is found when something is changed."""

    def __init__(self) -> None:
        self.fonts = installed_fonts(Settings().font_folders)
        self.original: Picture = next(generated_images())
        height_px, width_px = self.original.shape[:2]
        nothing = Detections(
            objects=(),
            size=Size(width_px=width_px, height_px=height_px),
            forbidden_share=0.0,
            model=ModelInfo(provider="test", model="test", revision="1"),
        )
        analysis = MeasuredVision().analyze(self.original, COPY)
        mask = np.zeros((height_px, width_px), np.uint8)
        planned = plan(self.original, nothing, mask, analysis, COPY)
        self.layout, self.image = render(self.original, planned, COPY, self.fonts, analysis)

    def found(self, *, layout: Layout | None = None, image: Picture | None = None, copy: str = COPY) -> Fidelity:
        return fidelity(self.original, self.image if image is None else image, layout or self.layout, copy, self.fonts)

    def redrawn(self, layout: Layout) -> Fidelity:
        return self.found(layout=layout, image=draw_layout(self.original, layout, self.fonts))


@pytest.fixture(scope="module")
def ad() -> Ad:
    return Ad()


def test_an_untouched_ad_is_what_its_layout_says(ad: Ad) -> None:
    found = ad.found()
    assert found.largest_difference_em2 == 0.0
    assert found.differs_at is None
    assert found.text_as_ordered
    assert found.missing_glyphs == 0
    assert found.least_margin_share > 0.04
    assert found.lines_overlap == 0.0
    assert found.lines_in_order
    assert found.displaced_em == 0.0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_patch_put_on_the_ad_is_found_where_it_is(ad: Ad, data: st.DataObject) -> None:
    height_px, width_px = ad.image.shape[:2]
    side_px = data.draw(st.integers(8, 60))
    x_px = data.draw(st.integers(0, width_px - side_px))
    y_px = data.draw(st.integers(0, height_px - side_px))
    changed = ad.image.copy()
    # As far from each pixel as there are levels.
    changed[y_px : y_px + side_px, x_px : x_px + side_px] ^= 0x80
    found = ad.found(image=changed)
    em_px = min(ad.layout.font_size_of(line) for line in ad.layout.lines)
    assert found.largest_difference_em2 == pytest.approx(side_px**2 / em_px**2)
    assert found.differs_at is not None
    assert found.differs_at.x * width_px == pytest.approx(x_px)
    assert found.differs_at.y * height_px == pytest.approx(y_px)


@pytest.mark.parametrize("digit", [0, 1, 2, 4, 5, 6, 7, 8, 9])
def test_each_other_digit_in_the_price_is_a_difference(ad: Ad, digit: int) -> None:
    lines = tuple(
        line.model_copy(
            update={
                "runs": tuple(
                    run.model_copy(update={"text": run.text.replace("3,9", f"{digit},9")}) for run in line.runs
                )
            }
        )
        for line in ad.layout.lines
    )
    wrong = ad.layout.model_copy(update={"lines": lines})
    assert ad.found(image=draw_layout(ad.original, wrong, ad.fonts)).largest_difference_em2 > 0.01
    assert not ad.redrawn(wrong).text_as_ordered


def test_what_was_ordered_is_compared_without_its_spaces_and_with_all_its_signs(ad: Ad) -> None:
    assert ad.found(copy=COPY.replace(" ", "  ")).text_as_ordered
    assert not ad.found(copy=COPY.replace("%", "")).text_as_ordered
    assert not ad.found(copy=COPY + "!").text_as_ordered


def test_ink_beyond_the_border_counts_though_the_picture_does_not_show_it(ad: Ad) -> None:
    line = ad.layout.lines[0]
    runs = tuple(run.model_copy(update={"origin_x_px": run.origin_x_px - 500}) for run in line.runs)
    layout = ad.layout.model_copy(update={"lines": (line.model_copy(update={"runs": runs}), *ad.layout.lines[1:])})
    assert ad.redrawn(layout).least_margin_share < -0.2


def test_the_quality_that_pictures_are_published_with_is_no_difference(ad: Ad) -> None:
    import cv2

    _, encoded = cv2.imencode(".jpg", ad.image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    assert ad.found(image=decoded).largest_difference_em2 < 0.01

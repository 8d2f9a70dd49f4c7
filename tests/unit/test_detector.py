"""The detector without weights."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.detector.saliency import SaliencyDetector
from stages.imaging.arrays import Picture
from stages.imaging.geometry import iou, overlap_area
from stages.values import Rect

DETECTOR = SaliencyDetector()


def scene(*discs: tuple[int, int, int], side_px: int = 400, background: int = 210) -> Picture:
    """Red discs (x, y, radius in px) on a plain table."""
    picture = np.full((side_px, side_px, 3), background, dtype=np.uint8)
    y, x = np.mgrid[:side_px, :side_px]
    for left, top, radius in discs:
        picture[(x - left) ** 2 + (y - top) ** 2 <= radius**2] = (180, 30, 30)
    return picture


def disc_box(x: int, y: int, radius: int, side_px: int = 400) -> Rect:
    scale = 1 / side_px
    return Rect(x=(x - radius) * scale, y=(y - radius) * scale, width=2 * radius * scale, height=2 * radius * scale)


def inside_best(picture: Picture, thing: Rect) -> float:
    """The share of the thing that lies in the box that holds most of it."""
    return max(
        float(overlap_area(each.box.corners, thing.corners)) / thing.area for each in DETECTOR.detect(picture).objects
    )


@pytest.mark.parametrize(
    "discs", [[(200, 200, 80)], [(100, 100, 50), (300, 290, 60)], [(60, 340, 45), (200, 80, 40), (330, 330, 50)]]
)
def test_each_object_on_a_plain_table_is_found(discs: list[tuple[int, int, int]]) -> None:
    found = DETECTOR.detect(scene(*discs)).objects
    assert len(found) == len(discs)
    for disc in discs:
        assert max(iou(each.box.corners, disc_box(*disc).corners) for each in found) > 0.6


def test_two_things_with_no_room_for_text_between_them_are_one() -> None:
    found = DETECTOR.detect(scene((200, 120, 60), (200, 265, 60))).objects
    assert len(found) == 1
    assert found[0].box.height > 0.6


def test_the_part_of_a_thing_that_has_nearly_the_table_s_colour_belongs_to_it() -> None:
    picture = scene()
    picture[220:300, 140:260] = (170, 175, 185)
    picture[140:220, 140:260] = (200, 20, 60)
    assert inside_best(picture, Rect(x=0.35, y=0.35, width=0.3, height=0.4)) > 0.95


def test_of_what_reaches_every_edge_the_most_prominent_part_is_kept_clear() -> None:
    picture = scene()
    picture[185:215] = picture[:, 185:215] = (170, 70, 90)
    picture[120:280, 120:280] = (200, 20, 60)
    assert inside_best(picture, Rect(x=0.3, y=0.3, width=0.4, height=0.4)) > 0.95
    assert max(found.box.area for found in DETECTOR.detect(picture).objects) < 0.5


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_plain_picture_has_no_object(value: int) -> None:
    assert DETECTOR.detect(np.full((300, 500, 3), value, dtype=np.uint8)).objects == ()


def test_a_gradient_has_no_object() -> None:
    ramp = np.tile(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], (300, 1, 3))
    assert DETECTOR.detect(ramp).objects == ()


def test_noise_has_no_object() -> None:
    assert DETECTOR.detect(np.random.default_rng(0).integers(90, 160, (300, 300, 3), dtype=np.uint8)).objects == ()


def test_the_cup_on_the_coffee_photograph_is_found() -> None:
    from skimage import data

    cup = Rect(x=0.29, y=0.04, width=0.38, height=0.78)
    assert inside_best(data.coffee(), cup) > 0.9


def test_the_whole_cup_the_whole_saucer_and_little_else_is_kept_clear() -> None:
    from skimage import data

    saucer = Rect(x=0.13, y=0.03, width=0.67, height=0.95)
    best = max(DETECTOR.detect(data.coffee()).objects, key=lambda each: float(iou(each.box.corners, saucer.corners)))
    assert iou(best.box.corners, saucer.corners) > 0.75


def test_the_astronaut_s_face_is_kept_clear() -> None:
    from skimage import data

    face = Rect(x=0.36, y=0.14, width=0.16, height=0.16)
    assert inside_best(data.astronaut(), face) > 0.95


def test_with_the_face_goes_the_body() -> None:
    from skimage import data

    chest = Rect(x=0.25, y=0.5, width=0.35, height=0.35)
    assert inside_best(data.astronaut(), chest) > 0.95


def test_a_man_in_a_coat_as_dark_as_the_border_is_kept_clear() -> None:
    from skimage import data

    man = Rect(x=0.15, y=0.1, width=0.35, height=0.8)
    assert inside_best(np.repeat(data.camera()[..., None], 3, axis=2), man) > 0.95


def test_what_is_in_focus_is_kept_clear_although_the_border_cuts_it_and_shares_its_colours() -> None:
    import cv2

    random = np.random.default_rng(3)
    ground = cv2.GaussianBlur(random.normal(128, 900, (400, 400, 3)), (0, 0), 16).clip(60, 200)
    fur = cv2.GaussianBlur(random.normal(128, 120, (400, 400, 3)), (0, 0), 1).clip(60, 200)
    picture = ground.astype(np.uint8)
    picture[60:360, :230] = fur[60:360, :230]
    cat = Rect(x=0.0, y=0.15, width=0.57, height=0.75)
    assert inside_best(picture, cat) > 0.85


def test_several_threads_find_the_same() -> None:
    from skimage import data

    pictures = [data.coffee(), data.astronaut(), data.chelsea(), data.rocket()]
    one_by_one = [DETECTOR.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(DETECTOR.detect, pictures * 2)) == one_by_one * 2


@settings(deadline=None, max_examples=30)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(0, 2**32 - 1))
def test_any_picture_gives_boxes_inside_it_and_the_same_ones_again(width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    found = DETECTOR.detect(picture)
    assert found == DETECTOR.detect(picture)
    for each in found.objects:
        assert each.box.right <= 1.0 + 1e-9
        assert each.box.bottom <= 1.0 + 1e-9

import numpy as np
import pytest

from stages.values import (
    StageError,
)
from stages.yolo_detect import detections_with_mask
from testing.pictures import MODEL, SIZE, flat, found_in, thing


def test_boxes_are_clipped_dropped_and_sorted() -> None:
    outside, empty, sure = (
        thing(0.9, 0.9, 0.4, 0.4, score=0.5),
        thing(0.5, 0.5, 0.0, 0.2),
        thing(0, 0, 0.1, 0.1, score=0.8),
    )
    detections, mask = detections_with_mask([outside, empty, sure], SIZE, MODEL)
    assert [found.score for found in detections.objects] == [0.8, 0.5]
    assert detections.objects[1].box.right == 1.0
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert detections.forbidden_share == pytest.approx(float((mask == 255).mean()))


def test_the_order_of_the_detector_does_not_matter() -> None:
    a, b, c = thing(0.1, 0.1, 0.2, 0.2), thing(0.5, 0.1, 0.2, 0.2), thing(0.1, 0.5, 0.2, 0.2, label="bowl")
    first, second = detections_with_mask([a, b, c], SIZE, MODEL), detections_with_mask([c, b, a], SIZE, MODEL)
    assert first[0] == second[0]
    assert (first[1] == second[1]).all()


def test_the_mask_keeps_a_margin_around_each_box() -> None:
    _, mask = found_in(flat(500, 500), [thing(0.4, 0.4, 0.2, 0.2)])
    assert mask[195, 250] == 255
    assert mask[190, 250] == 0


def test_the_shape_of_an_object_is_kept_clear_instead_of_its_box() -> None:
    shape = np.zeros((100, 100), dtype=np.uint8)
    shape[40:60, 40:60] = 1
    box = thing(0.3, 0.3, 0.4, 0.4)
    _, mask = detections_with_mask([box], SIZE, MODEL, [shape])
    assert mask[50, 50] == mask[39, 50] == 255
    assert mask[32, 32] == 0


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(StageError, match="mask has shape"):
        detections_with_mask([thing(0, 0, 0.5, 0.5)], SIZE, MODEL, [np.zeros((50, 50), dtype=np.uint8)])


def test_masks_must_match_the_objects() -> None:
    with pytest.raises(StageError, match="0 masks for 1 objects"):
        detections_with_mask([thing(0, 0, 0.5, 0.5)], SIZE, MODEL, [])


def test_nothing_found_forbids_nothing() -> None:
    detections, mask = found_in(flat(50, 40))
    assert not detections.objects
    assert detections.forbidden_share == 0.0
    assert not mask.any()
    assert mask.shape == (40, 50)

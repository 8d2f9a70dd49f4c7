"""ultralytics with weights trained here: `.pt` and `.onnx`, labels, safety, threads."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from resources.detector.yolo import YoloDetector, YoloSettings
from resources.weights import sha256
from tests.models.support.shapes import LABELS, table
from variant_assets.stages.geometry import size_of
from variant_assets.stages.values import Rect, StageError
from variant_assets.stages.yolo_detect import forbid

BOTH = {"pizza": 1.0, "cup": 0.5}


def detector(weights: Path, trusted: Sequence[str] = (), **labels: float) -> YoloDetector:
    return YoloDetector(
        YoloSettings(
            weights,
            confidence=0.25,
            nms_iou=0.45,
            labels=labels or BOTH,
            trusted_sha256=tuple(trusted),
            image_size_px=128,
        )
    )


def iou(one: Rect, other: Rect) -> float:
    common = one.intersection_area(other)
    return common / (one.area + other.area - common)


@pytest.mark.parametrize("kind", ["pt", "onnx"])
def test_the_shapes_are_found_where_they_are(kind: str, request: pytest.FixtureRequest) -> None:
    weights: Path = request.getfixturevalue("shapes_weights" if kind == "pt" else "shapes_onnx")
    yolo = detector(weights)
    hits = 0
    for seed in range(2000, 2010):
        image, shapes = table(seed)
        found = yolo.detect(image).objects
        for label, corners in shapes:
            box = Rect.from_corners_px(corners[0], corners[1], corners[2], corners[3], size_of(image))
            hits += any(each.label == LABELS[label] and iou(each.box, box) > 0.5 for each in found)
    assert hits >= 18
    assert yolo.info.revision.startswith("sha256:")


def test_a_label_of_weight_nought_is_ignored_and_others_carry_their_weight(shapes_weights: Path) -> None:
    image, _ = table(2000)
    assert {each.label for each in detector(shapes_weights, pizza=1.0, cup=0.0).detect(image).objects} == {"pizza"}
    assert {each.weight for each in detector(shapes_weights).detect(image).objects} == {1.0, 0.5}


def test_what_is_found_is_kept_clear(shapes_weights: Path) -> None:
    image, shapes = table(2001)
    yolo = detector(shapes_weights)
    found = yolo.detect(image)
    _, mask = forbid(found.objects, size_of(image), yolo.info, found.masks)
    for _, (left, top, right, bottom) in shapes:
        assert mask[int((top + bottom) / 2), int((left + right) / 2)] == 255


def test_a_pickle_that_does_more_than_hold_weights_is_refused_and_does_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "yolo.pt"
    proof = tmp_path / "it-ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(proof)!r}, 'w').close()",)

    trap.write_bytes(pickle.dumps({"model": Trap()}))
    with pytest.raises(StageError, match=r"does not load in safe mode.*format=onnx.*DETECTOR_TRUSTED_SHA256") as error:
        detector(trap).detect(np.zeros((64, 64, 3), np.uint8))
    assert sha256(trap) in str(error.value)
    assert not proof.exists()


def test_missing_weights_are_named_and_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"DETECTOR_WEIGHTS=.*yolov8x-seg\.pt does not exist"):
        detector(tmp_path / "yolov8x-seg.pt").detect(np.zeros((64, 64, 3), np.uint8))


def test_eight_threads_load_the_weights_once_and_find_the_same(
    shapes_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["resources.detector.yolo"]
    loads = []
    real = module._load

    def counted(weights: Path, *, safe_only: bool) -> object:
        loads.append(weights)
        return real(weights, safe_only=safe_only)

    monkeypatch.setattr(module, "_load", counted)
    yolo = detector(shapes_weights)
    image, _ = table(2002)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(yolo.detect, [image] * 24))
    assert len(loads) == 1
    assert all(each.objects == found[0].objects for each in found)

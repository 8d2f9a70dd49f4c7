"""ultralytics with weights trained here: `.pt` and `.onnx`, labels, safety, threads."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from resources.detector.yolo import YoloDetector, YoloSettings
from resources.images import ImageStore
from resources.loading.weights import sha256
from stages.imaging.geometry import iou, size_of
from stages.values import Rect, StageError
from stages.yolo_detect import detections_with_mask
from testing.models.shapes import LABELS, table

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
            hits += any(each.label == LABELS[label] and iou(each.box.corners, box.corners) > 0.5 for each in found)
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
    _, mask = detections_with_mask(found.objects, size_of(image), yolo.info, found.masks)
    for _, (left, top, right, bottom) in shapes:
        assert mask[int((top + bottom) / 2), int((left + right) / 2)] == 255


def test_a_model_that_segments_keeps_the_dish_clear_and_not_the_corners_of_its_box(outlines_weights: Path) -> None:
    yolo = detector(outlines_weights)
    dishes = 0
    for seed in range(2000, 2006):
        image, shapes = table(seed, side_px=480)
        found = yolo.detect(image)
        assert found.masks is not None
        assert all(mask.shape == image.shape[:2] for mask in found.masks)
        _, mask = detections_with_mask(found.objects, size_of(image), yolo.info, found.masks)
        [(left, top, right, bottom)] = [corners for label, corners in shapes if LABELS[label] == "pizza"]
        if not any(each.label == "pizza" for each in found.objects):
            continue
        dishes += 1
        assert mask[int((top + bottom) / 2), int((left + right) / 2)] == 255
        inset = (right - left) * 0.02
        in_corners = [
            mask[int(y), int(x)] for x in (left + inset, right - inset) for y in (top + inset, bottom - inset)
        ]
        assert in_corners.count(0) >= 2
    assert dishes >= 4


def trap(path: Path, proof: Path) -> Path:
    """A pickle that writes the file `proof` when it is loaded as a program."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(proof)!r}, 'w').close()",)

    path.write_bytes(pickle.dumps({"model": Trap()}))
    return path


# In any form but exactly `.onnx`: ultralytics would read several of these as programs.
@pytest.mark.parametrize(
    "name", ["yolo.pt", "evil.PT", "evil.pth", "evil.onnx.pt", "evil.torchscript", "evil.yaml", "evil"]
)
def test_a_pickle_that_does_more_than_hold_weights_is_refused_and_does_nothing(tmp_path: Path, name: str) -> None:
    weights = trap(tmp_path / name, tmp_path / "it-ran")
    with pytest.raises(StageError, match=r"does not load in safe mode.*format=onnx.*DETECTOR_TRUSTED_SHA256") as error:
        detector(weights).detect(np.zeros((64, 64, 3), np.uint8))
    assert sha256(weights) in str(error.value)
    assert not (tmp_path / "it-ran").exists()


def test_a_pickle_called_onnx_does_nothing(tmp_path: Path) -> None:
    weights = trap(tmp_path / "evil.onnx", tmp_path / "it-ran")
    with pytest.raises(Exception, match=r"(?i)onnx|protobuf"):
        detector(weights).detect(np.zeros((64, 64, 3), np.uint8))
    assert not (tmp_path / "it-ran").exists()


def test_the_file_whose_digest_is_trusted_cannot_be_exchanged_before_it_is_loaded(
    tmp_path: Path, shapes_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "shapes.pt"
    weights.write_bytes(shapes_weights.read_bytes())
    trusted = sha256(weights)

    def exchange(path: Path) -> str:
        digest = sha256(path)
        trap(weights, tmp_path / "it-ran")
        return digest

    monkeypatch.setattr("resources.detector.yolo.sha256", exchange)
    yolo = detector(weights, [trusted])
    yolo.load()
    assert yolo.info.revision == f"sha256:{trusted[:16]}"
    assert not (tmp_path / "it-ran").exists()


def test_nothing_of_the_weights_is_left_behind(
    shapes_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    detector(shapes_weights).load()
    assert list(tmp_path.glob("weights-*")) == []


def test_missing_weights_are_named_and_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"DETECTOR_WEIGHTS=.*yolov8x-seg\.pt does not exist"):
        detector(tmp_path / "yolov8x-seg.pt").detect(np.zeros((64, 64, 3), np.uint8))


def test_a_file_that_is_no_image_is_still_named_when_ultralytics_is_loaded(libraries: None, tmp_path: Path) -> None:
    import ultralytics  # noqa: F401

    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(StageError, match="is not an image"):
        ImageStore(tmp_path).load("/assets/x.png")

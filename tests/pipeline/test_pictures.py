"""How often the stages of a run decode pictures."""

import io
from typing import Any

import pytest
from PIL import Image

from resources import images
from resources.images import ImageStore
from stages.pipeline import STAGE_NAMES
from testing.pipeline import Pipeline
from testing.studio import Studio, photograph


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The content of each file that is decoded, in order."""
    contents: list[bytes] = []
    opened = images._open_image

    def counted(content: io.BytesIO, **options: Any) -> Any:
        contents.append(content.getvalue())
        return opened(content, **options)

    monkeypatch.setattr(images, "_open_image", counted)
    return contents


def test_a_whole_run_decodes_the_generated_image_once_and_nothing_else(
    studio: Studio, pipeline: Pipeline, decoded: list[bytes]
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    assert pipeline.run(variant, images=ImageStore(studio.asset_root)).success
    assert len(decoded) == 1


@pytest.mark.parametrize(("first", "pictures"), [(2, 2), (4, 2), (5, 2), (7, 0)])
def test_a_run_from_a_later_stage_decodes_each_picture_it_needs_once(
    studio: Studio, pipeline: Pipeline, decoded: list[bytes], first: int, pictures: int
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    assert pipeline.run(variant, images=ImageStore(studio.asset_root)).success
    decoded.clear()
    assert pipeline.run(variant, *STAGE_NAMES[first:], images=ImageStore(studio.asset_root)).success
    assert len(decoded) == len(set(decoded)) == pictures


def test_an_image_that_was_replaced_between_two_runs_is_seen(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    store = ImageStore(studio.asset_root)
    assert pipeline.run(variant, images=store).success
    before = studio.result(variant, "yolo_detect")["objects"]
    url = studio.row(
        "SELECT image_url FROM image_assets a JOIN jobs_variants v ON v.img_asset_id = a.image_asset_id"
        " WHERE v.job_variants_id = :v", v=variant,
    )[0]  # fmt: skip
    path = studio.asset_root / url.removeprefix("/assets/")
    Image.fromarray(photograph()[:, ::-1]).save(path)
    assert pipeline.run(variant, images=store).success
    assert studio.result(variant, "yolo_detect")["objects"] != before

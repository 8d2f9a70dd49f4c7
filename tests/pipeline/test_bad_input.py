"""Bad input: the variant fails with a message that names thing, value and way out; its siblings finish."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from PIL import Image

from resources.wiring import FontsResource
from testing.pipeline import Pipeline
from testing.studio import Studio, photograph


def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png() -> bytes:
    """A PNG whose header claims 60,000 × 60,000 px."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"0" * 64)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def failed(studio: Studio, pipeline: Pipeline, variant: UUID, stage: str) -> str:
    """Runs the variant and a healthy sibling of the same job; returns the recorded error."""
    job = studio.row("SELECT job_id FROM jobs_variants WHERE job_variants_id = :v", v=variant)[0]
    assert not pipeline.run(variant).success
    assert studio.state_of(variant) == (stage, "failed")
    assert studio.job_state(job)[1] == "failed"
    error = studio.error(variant)
    assert error
    return error


IMAGES = {
    "missing on disk": (None, r"\.png.* (missing|does not exist|not there|no file)"),
    "of 0 bytes": (b"", r"\.png.*(0 bytes|empty)"),
    "truncated": (encoded(photograph())[:5000], r"\.png.*(truncated|incomplete|cut off)"),
    "not an image": (b"this is a text and no image at all", r"\.png.*not an image|cannot identify"),
    "over the pixel limit": (huge_png(), r"60000.*60000|3,?600,?000,?000"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_unusable_image_fails_its_variant_and_names_the_file(studio: Studio, pipeline: Pipeline, kind: str) -> None:
    import re

    # Where nothing at all is stored, the store is not mounted.
    studio.ready_variant(studio.job(), photograph())
    content, message = IMAGES[kind]
    error = failed(studio, pipeline, studio.ready_variant(studio.job(), content), "vlm_analyze")
    assert re.search(message, error), error


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (os.mkfifo, "is a pipe"),
        (lambda path: path.write_bytes(encoded(photograph()[:1, :1])), "1 × 1 px"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    ],
)
def test_what_is_no_usable_file_fails_its_variant_at_once_and_is_not_tried_again(
    studio: Studio, pipeline: Pipeline, plant: Callable[[Path], object], message: str
) -> None:
    variant = studio.ready_variant(studio.job(), b"replaced")
    [file] = studio.asset_root.rglob("*.png")
    file.unlink()
    plant(file)
    result = pipeline.run(variant)
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)
    assert studio.state_of(variant) == ("vlm_analyze", "failed")
    assert message in (studio.error(variant) or "")


@pytest.mark.parametrize("url", ["/assets/../../etc/passwd", "/assets/%2e%2e/secret.png", "/etc/passwd"])
def test_a_path_outside_the_asset_root_is_refused(studio: Studio, pipeline: Pipeline, url: str) -> None:
    error = failed(studio, pipeline, studio.variant(studio.job(), image_url=url), "vlm_analyze")
    assert url in error


def test_a_tenant_that_is_a_path_is_refused(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(tenant="../x"), photograph())
    assert "../x" in failed(studio, pipeline, variant, "vlm_analyze")
    assert not (studio.asset_root.parent / "x").exists()


def test_a_variant_without_image_row_says_so(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    studio.execute("UPDATE jobs_variants SET img_asset_id = NULL")
    assert "img_asset_id" in failed(studio, pipeline, variant, "vlm_analyze")


@pytest.mark.parametrize("copy", ["", "   "])
def test_no_copy_at_all_fails_the_variant_by_name(studio: Studio, pipeline: Pipeline, copy: str) -> None:
    job = studio.job(copy=copy)
    studio.execute("UPDATE job_inputs SET desc_eng = NULL")
    error = failed(studio, pipeline, studio.ready_variant(job, photograph()), "vlm_analyze")
    assert f"no ad copy for job {job}" in error


@pytest.mark.parametrize(
    ("column", "message"),
    [("desc_kor", "ad copy"), ("desc_eng", "brief")],
)
def test_a_text_that_is_too_long_is_refused_at_the_first_stage(
    studio: Studio, pipeline: Pipeline, column: str, message: str
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    studio.execute(f"UPDATE job_inputs SET {column} = repeat('가', 5000)")
    studio.execute(
        "INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_eng, status)"
        " SELECT job_id, 'ad_copy_eng', 'A cup of coffee', 'done' FROM job_inputs"
    )
    error = failed(studio, pipeline, variant, "vlm_analyze")
    assert f"the {message} of job" in error
    assert "has 5,000 characters" in error


@pytest.mark.parametrize(
    "copy",
    [
        "오늘의 커피",
        "가나다라마바사아자차카타파하거",
        "신선한 원두를 매일 아침 직접 볶아 내리는 우리 동네 카페, 아메리카노 4,500원부터! 예약 02-1234-5678",
    ],
)
def test_copy_of_any_usual_length_is_drawn_whole(studio: Studio, pipeline: Pipeline, copy: str) -> None:
    variant = studio.ready_variant(studio.job(copy=copy), photograph())
    assert pipeline.run(variant).success
    drawn = "".join(line["text"] for line in studio.result(variant, "overlay")["lines"])
    assert drawn.replace(" ", "") == copy.replace(" ", "")


def test_copy_of_300_characters_is_drawn_whole_or_refused_with_a_reason(studio: Studio, pipeline: Pipeline) -> None:
    copy = "매일 아침 볶는 신선한 원두 " * 19
    variant = studio.ready_variant(studio.job(copy=copy[:300]), photograph())
    if pipeline.run(variant).success:
        drawn = "".join(line["text"] for line in studio.result(variant, "overlay")["lines"])
        assert drawn.replace(" ", "") == copy[:300].replace(" ", "")
    else:
        assert studio.state_of(variant) in {("planner", "failed"), ("overlay", "failed")}
        assert "characters" in str(studio.error(variant))


@pytest.mark.parametrize(("copy", "named"), [("커피 ☕🥐 할인", "U+"), ("ยินดีต้อนรับ", "U+0E")])
def test_a_script_no_font_covers_is_refused_by_character(
    studio: Studio, pipeline: Pipeline, copy: str, named: str
) -> None:
    variant = studio.ready_variant(studio.job(copy=copy), photograph())
    assert named in failed(studio, pipeline, variant, "overlay")


def test_one_failed_variant_of_three_leaves_two_finished_ads(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    variants = [
        studio.ready_variant(job, photograph()),
        studio.ready_variant(job, b"broken"),
        studio.ready_variant(job, photograph(100)),
    ]
    assert [pipeline.run(variant).success for variant in variants] == [True, False, True]
    assert [studio.state_of(variant)[1] for variant in variants] == ["done", "failed", "done"]
    assert studio.job_state(job)[1] == "failed"


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "L", "I;16"])
def test_every_usual_kind_of_picture_goes_through(studio: Studio, pipeline: Pipeline, mode: str) -> None:
    picture = Image.fromarray(photograph())
    buffer = io.BytesIO()
    if mode == "I;16":
        Image.fromarray(np.asarray(picture.convert("L"), dtype=np.uint16) * 257).save(buffer, "PNG")
    else:
        picture.convert(mode).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    variant = studio.ready_variant(studio.job(), buffer.getvalue())
    assert pipeline.run(variant, "vlm_analyze", "yolo_detect", "planner", "overlay").success


def test_a_machine_that_has_lost_its_fonts_fails_the_variant_once_with_the_reason(
    studio: Studio, pipeline: Pipeline, tmp_path: Path
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    assert not pipeline.run(variant, fonts=FontsResource(folders=[str(tmp_path / "unmounted")])).success
    assert studio.state_of(variant) == ("overlay", "failed")
    assert "unmounted does not exist; install a Hangul font" in str(studio.error(variant))
    assert pipeline.run(variant).success

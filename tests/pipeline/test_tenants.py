"""Picture, folder and job of a variant belong to one tenant: nothing of one shop reaches another."""

from uuid import UUID

import pytest

from resources.postgres.database import Database
from service.shop import image_url, store
from stages.pipeline import STAGE_NAMES
from testing.pipeline import Pipeline, failure_text
from testing.shop import work_through
from testing.studio import Studio, encoded_photograph


def refused(studio: Studio, pipeline: Pipeline, variant: UUID, *stages: str) -> str:
    """The error of a variant that ends at the first of these stages and is not tried again."""
    result = pipeline.run(variant, *stages)
    assert not result.success
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)
    assert studio.state_of(variant)[1] == "failed"
    error = studio.error(variant)
    assert error
    assert error in failure_text(result)
    return error


@pytest.fixture
def theirs(studio: Studio) -> str:
    """The URL of a picture of the shop `bakery`."""
    studio.add_tenant("bakery")
    url = image_url("bakery")
    store(studio.asset_root, url, encoded_photograph())
    return url


def test_a_variant_does_not_draw_the_picture_of_another_shop(studio: Studio, pipeline: Pipeline, theirs: str) -> None:
    job = studio.job()
    [variant] = studio.add_variants(job, [studio.add_image(theirs, tenant="bakery")], step="img_gen", status="done")
    assert "not in the folder of its job's tenant 'cafe'" in refused(studio, pipeline, variant)


def test_the_folder_decides_when_the_row_says_otherwise(studio: Studio, pipeline: Pipeline, theirs: str) -> None:
    variant = studio.variant(studio.job(), image_url=theirs)
    assert "not in the folder of its job's tenant 'cafe'" in refused(studio, pipeline, variant)


@pytest.mark.parametrize(("owner", "named"), [("bakery", "'bakery'"), (None, "'None'")])
def test_the_row_decides_when_the_folder_says_otherwise(
    studio: Studio, pipeline: Pipeline, owner: str | None, named: str
) -> None:
    studio.add_tenant("bakery")
    variant = studio.ready_variant(studio.job(), encoded_photograph())
    studio.execute("UPDATE image_assets SET tenant_id = :t", t=owner)
    assert f"belongs to tenant {named}, its job to 'cafe'" in refused(studio, pipeline, variant)


def test_a_job_without_tenant_makes_nothing(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), encoded_photograph())
    studio.execute("UPDATE jobs SET tenant_id = NULL")
    assert "no tenant (jobs.tenant_id)" in refused(studio, pipeline, variant)
    assert not (studio.asset_root / "yh").exists()


def test_a_mask_of_another_shop_is_not_used(studio: Studio, pipeline: Pipeline, theirs: str) -> None:
    variant = studio.ready_variant(studio.job(), encoded_photograph())
    assert pipeline.run(variant, *STAGE_NAMES[:2]).success
    studio.execute("UPDATE yolo_runs SET forbidden_mask_url = :url", url=theirs)
    assert "forbidden mask (yolo_detect)" in refused(studio, pipeline, variant, "planner")


@pytest.mark.parametrize("kind", ["overlaid", "generated"])
def test_the_ad_never_overwrites_a_row_of_somebody_else(studio: Studio, db: Database, theirs: str, kind: str) -> None:
    variant = studio.variant(studio.job())
    other = studio.add_image(theirs, tenant="bakery")
    studio.execute("UPDATE image_assets SET image_type = :kind WHERE image_asset_id = :i", kind=kind, i=other)
    studio.execute("UPDATE jobs_variants SET overlaid_img_asset_id = :i", i=other)
    work_through(db, variant, "run", last="overlay")
    rows = studio.table(
        "SELECT tenant_id, image_url FROM image_assets WHERE image_type <> 'generated' OR tenant_id = 'bakery'"
    )
    assert rows == {"bakery": theirs, "cafe": "/assets/yh/overlay.png"}


def test_the_ad_never_overwrites_the_ad_of_a_sibling(studio: Studio, db: Database) -> None:
    job = studio.job()
    first, second = studio.variant(job), studio.variant(job)
    work_through(db, first, "run", last="overlay")
    studio.execute("UPDATE jobs_variants SET overlaid_img_asset_id = (SELECT image_asset_id FROM image_assets"
                   " WHERE image_type = 'overlaid')")  # fmt: skip
    work_through(db, second, "run", last="overlay")
    ads = studio.table("SELECT CAST(job_variants_id AS text), overlaid_img_asset_id FROM jobs_variants")
    assert len(set(ads.values())) == 2


def test_a_variant_that_is_drawn_again_keeps_the_row_of_its_ad(studio: Studio, db: Database) -> None:
    variant = studio.variant(studio.job())
    work_through(db, variant, "run", last="overlay")
    [before] = studio.row("SELECT overlaid_img_asset_id FROM jobs_variants")
    studio.set_state(variant, "img_gen", "done")
    work_through(db, variant, "run", last="overlay")
    assert studio.row("SELECT overlaid_img_asset_id FROM jobs_variants")[0] == before

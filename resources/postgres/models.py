"""SQLAlchemy models of the tables that the three teams share, for Python code of any team.

js writes the text, ye the images, yh is this project. Importing this module needs SQLAlchemy only. A test compares the
models with a migrated database: tables, columns, types, defaults, keys and indexes. The CHECK constraints and triggers
are in sql/schema.sql and hold for these models as for every other writer. This project itself uses the named queries of
sql/queries.sql.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, FetchedValue, ForeignKey, Index, Numeric, String, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """`Base.metadata` holds the tables below."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads the class attribute)
        str: String(),
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        Decimal: Numeric(),
    }


class _Stamped:
    """A serial number and two times, which every shared table has."""

    pk: Mapped[int] = mapped_column(server_default=FetchedValue())
    created_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime | None] = mapped_column(server_default=func.now())


def _own_key() -> Mapped[UUID]:
    return mapped_column(primary_key=True, server_default=func.gen_random_uuid())


def _ratio() -> Mapped[Decimal | None]:
    return mapped_column(Numeric(5, 4))


def _of_variant() -> Mapped[UUID | None]:
    return mapped_column(ForeignKey("jobs_variants.job_variants_id", ondelete="CASCADE"))


def _is_current() -> Mapped[bool]:
    return mapped_column(server_default=text("false"))


class Tenant(_Stamped, Base):
    """A shop. js writes it."""

    __tablename__ = "tenants"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str | None]
    uid: Mapped[str | None]


class ImageAsset(_Stamped, Base):
    """A picture below the asset root. js writes uploads, ye generated images, yh finished ads (type `overlaid`).

    yh reads the size of a picture from its file, never from `width` and `height`.
    """

    __tablename__ = "image_assets"
    __table_args__ = (
        Index("idx_image_assets_image_url", "image_url", postgresql_using="hash"),
        Index(
            "idx_image_assets_mask_url",
            "mask_url",
            postgresql_using="hash",
            postgresql_where=text("mask_url IS NOT NULL"),
        ),
        Index("idx_image_assets_job_id", "job_id"),
        Index("idx_image_assets_tenant_id", "tenant_id"),
    )

    image_asset_id: Mapped[UUID] = _own_key()
    image_type: Mapped[str | None]
    image_url: Mapped[str] = mapped_column(Text)
    mask_url: Mapped[str | None] = mapped_column(Text)
    width: Mapped[int | None]
    height: Mapped[int | None]
    creator_id: Mapped[str | None]
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.tenant_id"))
    job_id: Mapped[UUID | None]


class Job(_Stamped, Base):
    """An order of ads. js inserts it; ye hands it over by `current_step='vlm_analyze', status='running'`.

    After the hand-over yh sets it to `done` at `iou_eval` when all its variants are complete, or to `failed` when all
    have ended and at least one has failed.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "idx_jobs_with_variants_in_work",
            "pk",
            postgresql_where=text("is_in_our_hands(current_step, status)"),
        ),
        Index("idx_jobs_tenant_id", "tenant_id"),
    )

    job_id: Mapped[UUID] = _own_key()
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.tenant_id"))
    store_id: Mapped[UUID | None]
    status: Mapped[str | None] = mapped_column(server_default="queued")
    current_step: Mapped[str | None]
    version: Mapped[str | None]
    retry_count: Mapped[int | None] = mapped_column(server_default="0")

    variants: Mapped[list[JobVariant]] = relationship(
        back_populates="job", order_by="JobVariant.creation_order", passive_deletes=True
    )


class JobInput(_Stamped, Base):
    """What the shop wrote for a job, in Korean and English. js writes it."""

    __tablename__ = "job_inputs"
    __table_args__ = (Index("idx_job_inputs_img_asset_id", "img_asset_id"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True)
    img_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("image_assets.image_asset_id"))
    tone_style_id: Mapped[UUID | None]
    desc_kor: Mapped[str | None] = mapped_column(Text)
    desc_eng: Mapped[str | None] = mapped_column(Text)


class TxtAdCopyGeneration(_Stamped, Base):
    """A generated ad copy. js writes it.

    yh draws the newest row with generation_stage `ad_copy_kor` and status `done`, and shows `ad_copy_eng` to the VLM.
    """

    __tablename__ = "txt_ad_copy_generations"
    __table_args__ = (Index("idx_txt_ad_copy_generations_job_id", "job_id"),)

    ad_copy_gen_id: Mapped[UUID] = _own_key()
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    generation_stage: Mapped[str | None]
    ad_copy_kor: Mapped[str | None] = mapped_column(Text)
    ad_copy_eng: Mapped[str | None] = mapped_column(Text)
    refined_ad_copy_eng: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None]


class JobVariant(_Stamped, Base):
    """One of the images of a job, on its way to a finished ad. Its state is (`current_step`, `status`).

    ye inserts the row as (img_gen, queued) and sets `status='done'` when the image is there; a row inserted as
    (img_gen, done) or (vlm_analyze, queued) is started as well. From then on yh writes the state. An operator may set
    (S, done) for any step S; yh goes on with the stage after S. js writes `selected`.

    The database sets `updated_at` at every write, and a new `state_revision` at every write of the state.
    """

    __tablename__ = "jobs_variants"
    __table_args__ = (
        Index("idx_jobs_variants_status", "status"),
        Index("idx_jobs_variants_current_step", "current_step"),
        Index("idx_jobs_variants_job_id_status", "job_id", "status"),
        Index(
            "idx_jobs_variants_startable",
            "state_revision",
            postgresql_where=text("is_startable(current_step, status) AND old_work IS NULL"),
        ),
        Index(
            "idx_jobs_variants_running",
            "state_revision",
            postgresql_where=text("is_at_work(current_step, status) AND old_work IS NULL"),
        ),
        Index("idx_jobs_variants_released", "state_revision", postgresql_where=text("old_work = 'released'")),
        Index("idx_jobs_variants_img_asset_id", "img_asset_id"),
        Index("idx_jobs_variants_overlaid_img_asset_id", "overlaid_img_asset_id"),
    )

    job_variants_id: Mapped[UUID] = _own_key()
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    img_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("image_assets.image_asset_id"))
    creation_order: Mapped[int]
    selected: Mapped[bool | None] = mapped_column(server_default=text("false"))
    #: queued, running, done or failed
    status: Mapped[str] = mapped_column(server_default="queued")
    #: img_gen, or the stage that the variant is at
    current_step: Mapped[str] = mapped_column(server_default="img_gen")
    updated_at: Mapped[datetime | None] = mapped_column(server_default=func.now(), server_onupdate=FetchedValue())
    #: restarts of the current stage after a crash
    retry_count: Mapped[int] = mapped_column(server_default="0")
    #: the finished ad; yh writes it
    overlaid_img_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("image_assets.image_asset_id"))
    #: the Dagster run that works on the variant; yh writes it
    claimed_by: Mapped[str | None] = mapped_column(Text)
    claim_revision: Mapped[int | None] = mapped_column(BigInteger, server_onupdate=FetchedValue())
    state_revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), server_onupdate=FetchedValue())
    #: why the variant failed, or why a stage is being tried again; yh writes it
    error: Mapped[str | None] = mapped_column(Text)
    #: pass, warn or fail, with reasons and a score; yh writes it with the last stage
    verdict: Mapped[dict[str, Any] | None]
    #: `held` or `released`: older than this project, and nobody has written its state since
    old_work: Mapped[str | None] = mapped_column(server_onupdate=FetchedValue())

    job: Mapped[Job] = relationship(back_populates="variants")
    image: Mapped[ImageAsset | None] = relationship(foreign_keys=[img_asset_id])
    finished_ad: Mapped[ImageAsset | None] = relationship(foreign_keys=[overlaid_img_asset_id])


class VlmTrace(_Stamped, Base):
    """A question to a vision-language model and its answer.

    yh writes one current row per variant for `analyze` and one for `judge`. ye writes rows of its own, which have no
    revision and are not current.
    """

    __tablename__ = "vlm_traces"
    __table_args__ = (
        Index(
            "one_current_vlm_trace",
            "job_variants_id",
            "operation_type",
            unique=True,
            postgresql_where=text("is_current"),
        ),
        Index("idx_vlm_traces_job_variants_id", "job_variants_id"),
    )

    vlm_trace_id: Mapped[UUID] = _own_key()
    job_id: Mapped[UUID | None]
    job_variants_id: Mapped[UUID | None] = _of_variant()
    provider: Mapped[str | None]
    operation_type: Mapped[str | None]
    request: Mapped[dict[str, Any] | None]
    response: Mapped[dict[str, Any] | None]
    latency_ms: Mapped[Decimal | None]
    is_current: Mapped[bool] = _is_current()
    revision: Mapped[int | None] = mapped_column(BigInteger)


class Detection(_Stamped, Base):
    """An object found in a variant's image; `box` is [left, top, right, bottom] in px. yh writes it."""

    __tablename__ = "detections"
    __table_args__ = (Index("idx_detections_job_variants_id", "job_variants_id"),)

    detection_id: Mapped[UUID] = _own_key()
    image_asset_id: Mapped[UUID | None]
    model_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None]
    box: Mapped[list[float] | None] = mapped_column(JSONB)
    label: Mapped[str | None]
    score: Mapped[Decimal | None] = _ratio()
    job_variants_id: Mapped[UUID | None] = _of_variant()


class YoloRun(_Stamped, Base):
    """The detection of a variant and its mask (255 = keep clear). yh writes one current row per variant."""

    __tablename__ = "yolo_runs"
    __table_args__ = (
        Index("one_current_yolo_run", "job_variants_id", unique=True, postgresql_where=text("is_current")),
        Index("idx_yolo_runs_job_variants_id", "job_variants_id"),
        Index("idx_yolo_runs_forbidden_mask_url", "forbidden_mask_url", postgresql_using="hash"),
    )

    yolo_run_id: Mapped[UUID] = _own_key()
    job_id: Mapped[UUID | None]
    image_asset_id: Mapped[UUID | None]
    forbidden_mask_url: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str | None]
    detection_count: Mapped[int | None]
    latency_ms: Mapped[Decimal | None]
    job_variants_id: Mapped[UUID | None] = _of_variant()
    is_current: Mapped[bool] = _is_current()
    revision: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[dict[str, Any] | None]


class PlannerProposal(_Stamped, Base):
    """Where the copy may go: ranked regions and a picture of them. yh writes one current row per variant."""

    __tablename__ = "planner_proposals"
    __table_args__ = (
        Index("one_current_planner_proposal", "job_variants_id", unique=True, postgresql_where=text("is_current")),
        Index("idx_planner_proposals_job_variants_id", "job_variants_id"),
        Index("idx_planner_proposals_picture_url", "picture_url", postgresql_using="hash"),
    )

    proposal_id: Mapped[UUID] = _own_key()
    image_asset_id: Mapped[UUID | None]
    prompt: Mapped[str | None] = mapped_column(Text)
    layout: Mapped[dict[str, Any] | None]
    latency_ms: Mapped[Decimal | None]
    job_variants_id: Mapped[UUID | None] = _of_variant()
    is_current: Mapped[bool] = _is_current()
    revision: Mapped[int | None] = mapped_column(BigInteger)
    picture_url: Mapped[str | None] = mapped_column(Text)


class OverlayLayout(_Stamped, Base):
    """The text as drawn. The ratios bound its pixels, as shares of the image. yh writes one current row per variant."""

    __tablename__ = "overlay_layouts"
    __table_args__ = (
        Index("one_current_overlay_layout", "job_variants_id", unique=True, postgresql_where=text("is_current")),
        Index("idx_overlay_layouts_job_variants_id", "job_variants_id"),
        Index("idx_overlay_layouts_proposal_id", "proposal_id"),
    )

    overlay_id: Mapped[UUID] = _own_key()
    proposal_id: Mapped[UUID | None] = mapped_column(ForeignKey("planner_proposals.proposal_id"))
    job_variants_id: Mapped[UUID | None] = _of_variant()
    layout: Mapped[dict[str, Any] | None]
    x_ratio: Mapped[Decimal | None] = _ratio()
    y_ratio: Mapped[Decimal | None] = _ratio()
    width_ratio: Mapped[Decimal | None] = _ratio()
    height_ratio: Mapped[Decimal | None] = _ratio()
    text_margin: Mapped[str | None]
    latency_ms: Mapped[Decimal | None]
    is_current: Mapped[bool] = _is_current()
    revision: Mapped[int | None] = mapped_column(BigInteger)


class Evaluation(_Stamped, Base):
    """A measurement of a finished ad: `ocr`, `readability`, `iou` or `llava_judge`.

    yh writes one current row per variant and evaluation type.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        Index(
            "one_current_evaluation",
            "job_variants_id",
            "evaluation_type",
            unique=True,
            postgresql_where=text("is_current"),
        ),
        Index("idx_evaluations_job_variants_id", "job_variants_id"),
        Index("idx_evaluations_overlay_id", "overlay_id"),
    )

    evaluation_id: Mapped[UUID] = _own_key()
    job_id: Mapped[UUID | None]
    overlay_id: Mapped[UUID | None] = mapped_column(ForeignKey("overlay_layouts.overlay_id"))
    evaluation_type: Mapped[str | None]
    metrics: Mapped[dict[str, Any] | None]
    job_variants_id: Mapped[UUID | None] = _of_variant()
    is_current: Mapped[bool] = _is_current()
    revision: Mapped[int | None] = mapped_column(BigInteger)
    latency_ms: Mapped[Decimal | None]

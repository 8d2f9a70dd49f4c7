"""The check that makes a variant, and with the last one its job, complete."""

import warnings

import dagster as dg

from resources.postgres.database import Database
from resources.postgres.errors import StageRefused
from resources.postgres.values import variant_id
from variant_assets.assets import iou_eval
from variant_assets.completion import CHECK
from variant_assets.partitions import job_variants
from variant_assets.stage_run import RETRIES

# A check with partitions is a preview in Dagster; its version is pinned, so it cannot change under us.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)

    # Completing a variant again changes nothing, so a connection that is lost meanwhile need not fail the run.
    @dg.asset_check(name=CHECK, asset=iou_eval, partitions_def=job_variants, retry_policy=RETRIES)
    def job_completion(context: dg.AssetCheckExecutionContext, db: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        """All eight results are there and fresh: the variant is complete, and with the last one its job."""
        try:
            progress = db.claims.complete(variant_id(context.partition_key))
        except StageRefused as refusal:
            raise dg.Failure(str(refusal), allow_retries=False) from refusal
        return dg.AssetCheckResult(
            passed=True,
            description=f"{progress.complete} of {progress.total} variants complete, {progress.failed} failed;"
            f" the job is {progress.job_status}",
            metadata={
                "complete": progress.complete,
                "failed": progress.failed,
                "total": progress.total,
                "job_status": progress.job_status or "gone",
            },
        )

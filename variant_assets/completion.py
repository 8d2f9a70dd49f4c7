"""What people see of the check job_completion where a variant fails before it: why it is not complete."""

from __future__ import annotations

import dagster as dg

CHECK = "job_completion"
LAST_STAGE = dg.AssetKey("iou_eval")


def report_not_complete(context: dg.AssetExecutionContext, stage: str, why: str) -> None:
    """Says at the check, for this variant, where and why it failed. Else Dagster shows the check itself as failed."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=LAST_STAGE,
        check_name=CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"not complete: failed at {stage}: {why}",
        metadata={},
        partition=context.partition_key,
    )
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, context.run.job_name, event_specific_data=evaluation
    )
    context.instance.report_dagster_event(event, context.run.run_id)

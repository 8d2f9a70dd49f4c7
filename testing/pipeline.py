"""The job of the eight stages, run in the process of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dagster as dg

from stages.pipeline import STAGE_NAMES


@dataclass
class Pipeline:
    """Runs the job in this process, as a run worker does."""

    instance: dg.DagsterInstance
    resources: dict[str, Any]

    def run(
        self, variant: UUID | str, *stages: str, tags: dict[str, str] | None = None, **resources: Any
    ) -> dg.ExecuteInProcessResult:
        """All stages, or the given ones; a resource given by name replaces the real one."""
        from variant_assets.assets import STAGES as ASSETS
        from variant_assets.checks import job_completion
        from variant_assets.job import variant_pipeline
        from variant_assets.partitions import job_variants

        self.instance.add_dynamic_partitions(str(job_variants.name), [str(variant)])
        definitions = dg.Definitions(
            assets=ASSETS,
            asset_checks=[job_completion],
            jobs=[variant_pipeline],
            resources={**self.resources, **resources},
            executor=dg.in_process_executor,
        )
        return definitions.resolve_job_def("variant_pipeline").execute_in_process(
            partition_key=str(variant),
            instance=self.instance,
            asset_selection=[dg.AssetKey(stage) for stage in stages or STAGE_NAMES],
            tags=tags,
            raise_on_error=False,
        )


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """What an operator reads on the failed step."""
    [failed] = result.filter_events(lambda event: event.is_step_failure)
    error = failed.step_failure_data.user_failure_data or failed.step_failure_data.error
    return str(error)

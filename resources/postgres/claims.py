"""What a run does with a variant: claim it, read it, store a result or an error, complete it. The rules are in sql/."""

from __future__ import annotations

import json
from uuid import UUID

from resources.postgres.queries import named
from resources.postgres.transactions import Transactions
from resources.postgres.values import JobProgress, StageOutput, Variant

# The query that saves the result of each stage.
SAVE_QUERIES = {
    "vlm_analyze": "save_vlm_analyze",
    "yolo_detect": "save_yolo_detect",
    "planner": "save_planner",
    "overlay": "save_overlay",
    "vlm_judge": "save_vlm_judge",
    "ocr_eval": "save_evaluation",
    "readability_eval": "save_evaluation",
    "iou_eval": "save_evaluation",
}


class Claims:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def begin(
        self,
        variant: UUID,
        stage: str,
        run_id: str,
        *,
        ended_run: str | None = None,
        asked_revision: int | None = None,
    ) -> str | None:
        """Claims the variant for the run and commits `running`; or returns the run that holds the claim.

        A caller who knows that this other run has ended passes it as `ended_run` and takes the claim over.
        `asked_revision` is the state_revision that the run was requested for; when the run comes to the variant for the
        first time and finds another, it is refused. A run that a person started has none.
        Raises UnknownVariant, NotReady or ClaimLost.
        """
        holder = self._transactions.one(
            "begin_stage",
            variant=str(variant),
            stage=stage,
            run=run_id,
            ended_run=ended_run,
            asked_revision=asked_revision,
        )[0]
        return None if holder is None else str(holder)

    def load(self, variant: UUID) -> Variant:
        return Variant(**self._transactions.one("load_variant", variant=str(variant))._mapping)

    def finish(self, variant: Variant, stage: str, run_id: str, output: StageOutput) -> None:
        """Stores the result and `done` in one transaction. Raises ClaimLost when the run no longer holds the stage."""
        key = str(variant.job_variants_id)
        with self._transactions.begin() as connection:
            revision = connection.execute(
                named("finish_stage"), {"variant": key, "stage": stage, "run": run_id}
            ).scalar_one()
            connection.execute(
                named(SAVE_QUERIES[stage]),
                {
                    "variant": key,
                    "job": str(variant.job_id),
                    "image": None if variant.img_asset_id is None else str(variant.img_asset_id),
                    "stage": stage,
                    "result": output.value.model_dump_json(),
                    "artifact_url": output.artifact_url,
                    "request": json.dumps(output.request),
                    "latency_ms": round(output.latency_ms, 1),
                    "revision": revision,
                },
            )
            if output.verdict is not None:
                written = {"variant": key, "verdict": output.verdict.model_dump_json()}
                connection.execute(named("save_verdict"), written)

    def fail(self, variant: UUID, stage: str, run_id: str, message: str, *, final: bool) -> bool:
        """Records the error; a final error ends the variant. False when the run no longer holds the stage."""
        parameters = {"variant": str(variant), "stage": stage, "run": run_id, "message": message, "final": final}
        return bool(self._transactions.one("fail_stage", **parameters)[0])

    def give_back(self, variant: UUID, stage: str, run_id: str, message: str) -> bool:
        """Lets the variant wait at the stage before, with the message. False when the run no longer holds the stage."""
        parameters = {"variant": str(variant), "stage": stage, "run": run_id, "message": message}
        return bool(self._transactions.one("give_back_stage", **parameters)[0])

    def complete(self, variant: UUID) -> JobProgress:
        """Verifies the variant and marks it complete, and its job too if it was the last. Doing it twice is no error.

        Raises UnknownVariant, NotReady or ClaimLost.
        """
        return JobProgress(**self._transactions.one("complete_variant", variant=str(variant))._mapping)

    def recover(self, variant: UUID, ended_run: str | None) -> str:
        """Repairs what an ended run left running. Returns 'completed', 'restarted', 'failed' or 'moved on'."""
        return str(self._transactions.one("recover_stage", variant=str(variant), ended_run=ended_run)[0])

    def end_terminated(self, variant: UUID, ended_run: str, *, asked_revision: int | None = None) -> bool:
        """Fails a variant whose run an operator terminated. False when somebody has moved the variant since.

        A run that never began counts when it was requested for the state that the variant is still in:
        `asked_revision`, the state_revision of that state.
        """
        parameters = {"variant": str(variant), "ended_run": ended_run, "asked_revision": asked_revision}
        return bool(self._transactions.one("end_terminated_stage", **parameters)[0])

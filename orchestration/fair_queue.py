"""In which order the queue takes the runs of several tenants: each tenant's next run is one place after its last.

Start-time fair queuing: the place of a run is the later of where the queue is now and its tenant's last place, plus
one. A tenant with a hundred jobs has a hundred places one after another; another tenant's first run stands beside the
next of them. Places only grow while anything waits, so nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import dagster as dg

PLACE_TAG = "job_variants/place"
TENANT_TAG = "job_variants/tenant_id"
PRIORITY_TAG = "dagster/priority"
_WAITING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED}


@dataclass
class FairQueue:
    """Where the queue is, and each tenant's last place in it."""

    now: int = 0
    last: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, unfinished: Collection[dg.DagsterRun]) -> FairQueue:
        """As the tags of the unfinished runs tell it. Runs that people started have no place and go first."""
        placed = [run for run in unfinished if run.tags.get(PLACE_TAG, "").isdecimal()]
        begun = [_place(run) for run in placed if run.status not in _WAITING]
        waiting = [_place(run) for run in placed if run.status in _WAITING]
        last: dict[str, int] = {}
        for run in placed:
            tenant = run.tags.get(TENANT_TAG, "none")
            last[tenant] = max(_place(run), last.get(tenant, 0))
        return cls(max(begun) if begun else min(waiting, default=1) - 1, last)

    def tags_of_next(self, tenant: str) -> dict[str, str]:
        """The tenant's next place; Dagster's queue takes higher priorities first."""
        place = max(self.now, self.last.get(tenant, 0)) + 1
        self.last[tenant] = place
        return {PLACE_TAG: str(place), PRIORITY_TAG: str(-place)}


def _place(run: dg.DagsterRun) -> int:
    return int(run.tags[PLACE_TAG])

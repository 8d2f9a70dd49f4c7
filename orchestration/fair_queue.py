"""In which order the queue takes the runs of several groups, tenants for example: they take turns.

Start-time fair queuing: the place of a run is one more than the later of where the queue is now and its group's last
place. A group with a hundred runs has a hundred places one after another; the first run of another group stands beside
the next of them. Places only grow while any run waits, so no run waits for ever.

Dagster's queue takes runs with a higher `dagster/priority` first, so a run's priority is its place with a minus.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import dagster as dg

from orchestration._dagster import PRIORITY_TAG

_WAITING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED}


@dataclass
class FairQueue:
    """Where the queue is, and each group's last place in it. The tag `group_tag` of a run names its group."""

    group_tag: str
    now: int = 0
    last: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, group_tag: str, unfinished: Collection[dg.DagsterRun]) -> FairQueue:
        """Read from the tags of the unfinished runs. A run without a group or a place, as people start them, does not
        count: its priority 0 is before all places.
        """
        places = [(run, place) for run in unfinished if (place := _place(run)) is not None and group_tag in run.tags]
        started = [place for run, place in places if run.status not in _WAITING]
        waiting = [place for run, place in places if run.status in _WAITING]
        last: dict[str, int] = {}
        for run, place in places:
            group = run.tags[group_tag]
            last[group] = max(place, last.get(group, 0))
        return cls(group_tag, max(started) if started else min(waiting, default=1) - 1, last)

    def tags_of_next(self, group: str) -> dict[str, str]:
        """The tags of the group's next run: its group, and its priority, which is its place."""
        place = max(self.now, self.last.get(group, 0)) + 1
        self.last[group] = place
        return {self.group_tag: group, PRIORITY_TAG: str(-place)}


def _place(run: dg.DagsterRun) -> int | None:
    priority = run.tags.get(PRIORITY_TAG, "")
    return -int(priority) if re.fullmatch(r"-\d+", priority) else None

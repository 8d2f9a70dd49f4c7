"""The short form of `make chaos`: a few kills and faults, on one service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.chaos.happenings import lost_notification, pictures_away
from testing.chaos.kills import matrix
from testing.chaos.victim import Victim, victim


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with victim(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.mark.parametrize(
    ("kill", "step", "status"),
    [
        ("worker", "planner", "running"),
        ("daemon", "img_gen", "done"),
        ("all connections", "iou_eval", "running"),
        ("power cut", "overlay", "running"),
    ],
)
def test_what_is_killed_at_a_bad_moment_loses_nothing_and_does_nothing_twice(
    service: Victim, kill: str, step: str, status: str
) -> None:
    [cell] = matrix(service, [((step, status), kill)])
    assert cell.fault is None, cell


def test_a_variant_that_nobody_is_told_of_begins_all_the_same(service: Victim) -> None:
    assert lost_notification(service) < 30


def test_a_variant_whose_pictures_are_away_for_a_moment_is_done(service: Victim) -> None:
    pictures_away(service, 1.0)

"""Two services on one database: the second one is refused, and one that has died hinders nobody."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from resources.postgres.database import Database
from resources.postgres.lease import NEVER_RENEWED
from service import lease as lease_module
from service.lease import AnotherServiceError, Holder, KeptLease, renewals_of_free_lease, renewals_without_other_service
from service.state import Process
from testing.waiting import until

FOLDER = Path("/srv/shop/.service")


@pytest.fixture
def service() -> Holder:
    return Holder.of_this_process(FOLDER, "http://127.0.0.1:3000", os.getpid())


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_WATCHED_S", 0.6)
    monkeypatch.setattr(lease_module, "_LOOKS_EVERY_S", 0.05)
    monkeypatch.setattr(lease_module, "_RENEWED_EVERY_S", 0.1)


def ended(service: Holder, **other: str) -> Holder:
    """A service whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    gone = replace(service, supervisor=Process.of("supervisor", process.pid), **other)
    process.wait()
    return gone


def test_a_second_service_is_refused_with_the_name_of_the_first(
    db: Database, database_url: str, service: Holder
) -> None:
    kept = KeptLease(db.lease, service, lost=lambda: None)
    kept.take(NEVER_RENEWED)
    with pytest.raises(AnotherServiceError, match=r"the service in /srv/shop/\.service on .* works on this database"):
        renewals_without_other_service(database_url, Path("/home/me/.service"))
    kept.release()
    renewals_without_other_service(database_url, Path("/home/me/.service"))


def test_a_service_that_was_killed_on_this_machine_is_succeeded_at_once(db: Database, service: Holder) -> None:
    assert db.lease.take(ended(service).values, NEVER_RENEWED)
    began_s = time.monotonic()
    seen = renewals_of_free_lease(db.lease, Path("/home/me/.service"))
    KeptLease(db.lease, service, lost=lambda: None).take(seen)
    assert time.monotonic() - began_s < 0.3


def test_a_service_of_this_folder_from_before_a_power_cut_is_succeeded_at_once(db: Database, service: Holder) -> None:
    before = replace(service, supervisor=replace(service.supervisor, boot="before pid:[1]"))
    assert db.lease.take(before.values, NEVER_RENEWED)
    assert before.has_surely_ended(FOLDER)
    assert not before.has_surely_ended(Path("/home/me/.service"))


def test_a_service_on_another_machine_is_watched_before_it_is_succeeded(db: Database, service: Holder) -> None:
    assert db.lease.take(ended(service, host="another").values, NEVER_RENEWED)
    began_s = time.monotonic()
    seen = renewals_of_free_lease(db.lease, FOLDER)
    assert time.monotonic() - began_s >= 0.6
    assert db.lease.take(service.values, seen)


def test_of_two_services_that_start_at_the_same_moment_one_gets_the_lease(db: Database, service: Holder) -> None:
    seen = renewals_of_free_lease(db.lease, FOLDER)
    other = replace(service, host="another")
    assert [db.lease.take(holder.values, seen) for holder in (service, other)] == [True, False]


def test_a_service_that_lost_its_lease_is_told(db: Database, service: Holder) -> None:
    lost: list[str] = []
    KeptLease(db.lease, service, lost=lambda: lost.append("lost")).take(NEVER_RENEWED)
    held = db.lease.read()
    assert held is not None
    assert db.lease.take(replace(service, host="another").values, held.renewals)
    until("it is told", lambda: lost == ["lost"], within_s=5)

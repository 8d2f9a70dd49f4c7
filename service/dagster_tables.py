"""`python -m service.dagster_tables`: makes Dagster's schema and tables, for which running has no rights."""

from __future__ import annotations

import sys

from orchestration.storage import PooledEventLogStorage, PooledRunStorage, PooledScheduleStorage, close_connections
from resources.settings import Settings
from service.commands import run_command
from service.database import prepare_database


def make_tables(settings: Settings) -> None:
    """Makes what is missing. Where everything is there it changes nothing and needs no right to create."""
    prepare_database(settings.require_database_url(), settings.dagster_url)
    for storage in (PooledRunStorage, PooledEventLogStorage, PooledScheduleStorage):
        storage(settings.dagster_url)
    close_connections()


def main() -> int:
    make_tables(Settings())
    print("Dagster's tables are there")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

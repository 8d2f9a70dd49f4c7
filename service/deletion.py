"""`python -m service delete-job`: deletes jobs with everything that exists of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from uuid import UUID

from resources.images import ImageStore
from resources.postgres.database import Database
from resources.settings import Settings


def delete_jobs(jobs: Sequence[UUID], variables: Mapping[str, str]) -> int:
    """Deletes these jobs in the service with this environment, says what was deleted, and returns an exit status."""
    # Dagster takes seconds to import, and reads where its instance is from the environment.
    import dagster as dg

    from variant_assets.deletion import delete_job

    os.environ.update(variables)
    settings = Settings.from_environment(variables)
    database, images = Database(settings.require_database_url()), ImageStore(settings.asset_root)
    with dg.DagsterInstance.get() as instance:
        deleted = {job: delete_job(instance, database, images, job) for job in jobs}
    database.close()
    for job, deletion in deleted.items():
        if deletion is None:
            print(f"There is no job {job}.")
            continue
        print(f"Job {job} is deleted: {deletion.variants} variants, {deletion.pictures} pictures, and their runs.")
        for url in deletion.of_other_parts:
            print(f"  {url} is a file of another team, which alone may remove it.")
    return int(None in deleted.values())

"""What `make delete-job` says, and the status it returns."""

from pathlib import Path
from uuid import uuid4

import pytest

from orchestration.storage import pooled_engine
from resources.settings import Settings
from service.database import prepare_database
from service.deletion import delete_jobs
from service.running import environment
from testing.studio import Studio, photograph


@pytest.fixture
def variables(studio: Studio, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    settings = Settings(database_url=database_url, state_folder=tmp_path / "state", asset_root=studio.asset_root)
    prepare_database(database_url)
    found = environment(settings)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def test_it_says_what_was_deleted_which_files_only_others_may_remove_and_which_job_there_is_not(
    studio: Studio, variables: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    job, unknown = studio.job(), uuid4()
    studio.ready_variant(job, photograph())
    [theirs] = studio.row("SELECT image_url FROM image_assets WHERE job_id = :j", j=job)
    assert delete_jobs([job, unknown], variables) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"Job {job} is deleted: 1 variants, 0 pictures, and their runs.",
        f"  {theirs} is a file of another team, which alone may remove it.",
        f"There is no job {unknown}.",
    ]
    assert studio.row("SELECT count(*) FROM jobs_variants") == (0,)
    pooled_engine(variables["DAGSTER_DATABASE_URL"]).dispose()

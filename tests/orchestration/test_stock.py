"""The setting that returns to Dagster's own storage."""

from pathlib import Path

import yaml

from resources.settings import PROJECT, Settings
from service.running import environment


def test_stock_differs_from_ours_in_its_classes_only(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(state_folder=tmp_path, database_url=postgres_url, orchestration="stock")
    home = Path(environment(settings)["DAGSTER_HOME"])
    stock = yaml.safe_load((home / "dagster.yaml").read_text())
    ours = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    assert stock.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_DATABASE_URL"}}}
    assert ours.pop("run_launcher")["module"] == "orchestration.fork_launcher"
    coordinators = [configuration.pop("run_coordinator") for configuration in (stock, ours)]
    assert [coordinator.pop("class") for coordinator in coordinators] == [
        "QueuedRunCoordinator",
        "PromptRunCoordinator",
    ]
    assert coordinators[0]["config"] == coordinators[1]["config"]
    logs = [configuration["compute_logs"].pop("class") for configuration in (stock, ours)]
    assert logs == ["LocalComputeLogManager", "FileComputeLogManager"]
    assert ours["compute_logs"]["config"].pop("enabled") == {"env": "DAGSTER_COMPUTE_LOGS"}
    for configuration in (stock, ours):
        del configuration["compute_logs"]["module"]
    pooled = [ours.pop(kind) for kind in ("run_storage", "event_log_storage", "schedule_storage")]
    assert {storage["module"] for storage in pooled} == {"orchestration.storage"}
    assert stock == ours


def test_the_pooled_storage_is_what_runs_when_nothing_is_set(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(state_folder=tmp_path, database_url=postgres_url)
    assert environment(settings)["DAGSTER_HOME"] == str(PROJECT)

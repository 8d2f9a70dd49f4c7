"""What the library's README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

from orchestration.compute_logs import FileComputeLogManager
from orchestration.coordinator import PromptRunCoordinator
from orchestration.fork_launcher import ForkRunLauncher
from orchestration.processes import PROCESS_VARIABLE
from orchestration.storage import PooledEventLogStorage, PooledRunStorage, PooledScheduleStorage
from resources.settings import PROJECT

README = (PROJECT / "orchestration" / "README.md").read_text()


def test_its_configuration_loads_with_every_class(
    dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [configuration] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "dagster.yaml").write_text(configuration)
    monkeypatch.setenv("DAGSTER_DATABASE_URL", dagster_url)
    monkeypatch.setenv("DAGSTER_LOCAL_DIR", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        made = (
            *(instance.run_storage, instance.event_log_storage, instance.schedule_storage),
            *(instance.run_launcher, instance.run_coordinator, instance.compute_log_manager),
        )
    assert [type(each) for each in made] == [
        *(PooledRunStorage, PooledEventLogStorage, PooledScheduleStorage),
        *(ForkRunLauncher, PromptRunCoordinator, FileComputeLogManager),
    ]


def test_every_field_of_the_launcher_is_shown_but_the_one_for_upgrades() -> None:
    shown = {name for name in ForkRunLauncher.config_type() if f"    {name}: " in README}
    assert ForkRunLauncher.config_type().keys() - shown == {"former_worker_tags"}


def test_what_it_names_exists() -> None:
    for module, name in re.findall(r"`(\w+)\.(\w+)(?:\(instance\))?`", README):
        path = PROJECT / "orchestration" / f"{module}.py"
        if path.exists() and name != "py":
            assert re.search(rf"^(class|def) {name}\b", path.read_text(), re.MULTILINE), name
    for path in re.findall(r"`(tests/[\w/.]+)`", README):
        assert (PROJECT / path).exists(), path
    assert f"`{PROCESS_VARIABLE}=daemon`" in README

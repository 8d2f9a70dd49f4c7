"""A run ends alike whether Dagster's launcher starts its process or ours forks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from orchestration.fork_launcher import ForkRunLauncher
from resources.settings import PROJECT
from testing.databases import new_database
from testing.forking._dagster import BaseWorkspaceRequestContext
from testing.forking.runs import Runs, code_server, fork_launcher, forking_instance
from testing.waiting import until

CANCELED, FAILURE, SUCCESS = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@dataclass
class Launches(Runs):
    """Launches runs that both launchers can start."""

    workspace: BaseWorkspaceRequestContext

    def start(self, job: str, **more: object) -> str:
        run = self.create_in(self.workspace, job, **more)
        self.instance.launch_run(run.run_id, self.workspace)
        return run.run_id

    def events(self, run_id: str) -> list[str]:
        """The events of Dagster's own, without those about processes."""
        entries = self.instance.all_logs(run_id)
        types = [entry.dagster_event.event_type_value for entry in entries if entry.dagster_event is not None]
        return [each for each in types if each not in ("ENGINE_EVENT", "LOGS_CAPTURED")]


@pytest.fixture(scope="module", params=[dg.DefaultRunLauncher, ForkRunLauncher])
def launches(
    request: pytest.FixtureRequest, postgres_url: str, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launches]:
    folder = tmp_path_factory.mktemp("launches")
    config = fork_launcher(folder) if request.param is ForkRunLauncher else {}
    with (
        pytest.MonkeyPatch.context() as patch,
        new_database(postgres_url, template=dagster_template) as url,
    ):
        patch.setenv("PYTHONPATH", str(PROJECT))
        with forking_instance(url, folder, config) as instance, code_server(instance) as context:
            assert type(instance.run_launcher) is request.param
            yield Launches(instance, context.create_request_context())


def test_a_run_succeeds_with_the_same_events(launches: Launches) -> None:
    run_id = launches.start("quick_job", tags={"kept": "yes"})
    launches.until(run_id, SUCCESS)
    launches.until_said(run_id, "Started process for run (pid: ")
    launches.until_said(run_id, "Process for run exited (pid: ")
    assert launches.events(run_id) == [
        "PIPELINE_STARTING",
        "PIPELINE_START",
        "STEP_START",
        "STEP_SUCCESS",
        "PIPELINE_SUCCESS",
    ]
    assert launches.get(run_id).tags["kept"] == "yes"


def test_a_run_whose_op_fails_fails_with_its_error(launches: Launches) -> None:
    run_id = launches.start("failed_job")
    launches.until(run_id, FAILURE)
    assert launches.events(run_id)[-2:] == ["STEP_FAILURE", "PIPELINE_FAILURE"]
    errors = [str(entry.dagster_event) for entry in launches.instance.all_logs(run_id) if entry.is_dagster_event]
    assert any("ValueError: on purpose" in error for error in errors)


def test_a_run_is_given_its_config_and_terminated_on_request_once(launches: Launches, tmp_path: Path) -> None:
    config = {"ops": {"waits_for_file": {"config": {"file": str(tmp_path / "never")}}}}
    run_id = launches.start("waits_for_file_job", run_config=config)
    until("the step has started", lambda: "STEP_START" in launches.events(run_id))
    assert launches.instance.run_launcher.terminate(run_id)
    launches.until(run_id, CANCELED)
    assert launches.events(run_id)[-2:] == ["STEP_FAILURE", "PIPELINE_CANCELED"]
    assert not launches.instance.run_launcher.terminate(run_id)


def test_a_run_that_has_ended_or_does_not_exist_is_not_terminated(launches: Launches) -> None:
    ended = launches.create("quick_job", status=SUCCESS)
    assert not launches.instance.run_launcher.terminate(ended.run_id)
    assert launches.get(ended.run_id).status == SUCCESS
    assert not launches.instance.run_launcher.terminate("00000000-0000-0000-0000-000000000000")

"""The whole service, as its users have it: real database, webserver, daemon and code server, driven from outside."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from resources.settings import Settings
from service import postgres
from service.__main__ import main
from service.running import environment, start, stop
from service.state import State
from service.ui import Ui
from stages.pipeline import STAGE_NAMES
from testing.processes import fork_servers
from testing.studio import Studio, photograph
from testing.waiting import until

LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on InvalidSubsetError { message } } }
"""
BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
RUN = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { status eventConnection { events {
  ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } } } } } } }
"""
MESSAGES = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events {
  ... on MessageEvent { message } } } } } }
"""
RUNS_BY_TAG = """
query($key: String!, $value: String!) { runsOrError(filter: {tags: [{key: $key, value: $value}]}) {
  ... on Runs { results { runId status tags { key value } } } } }
"""
CHECKS = """
query($limit: Int!) { assetCheckExecutions(assetKey: {path: ["iou_eval"]}, checkName: "job_completion", limit: $limit) {
  status evaluation { partition success description } } }
"""
RESOURCES = """
query($where: RepositorySelector!) { allTopLevelResourceDetailsOrError(repositorySelector: $where) {
  ... on ResourceDetailsList { results { name resourceType configuredValues { key value type } } } } }
"""
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""


@dataclass
class Live(Studio):
    """A running service and the shop that uses it."""

    ui: Ui = field(default_factory=lambda: Ui(""))
    state: State = field(default_factory=lambda: State(Path()))

    def materialize(self, variant: UUID | str, *stages: str) -> str:
        """What the button in the UI does; returns the run's id."""
        answer = self.ui.query(
            LAUNCH,
            params={
                "selector": {
                    "repositoryLocationName": "job_variants",
                    "repositoryName": "__repository__",
                    "jobName": "__ASSET_JOB",
                    "assetSelection": [{"path": [stage]} for stage in stages],
                },
                "runConfigData": {},
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(variant)}]},
            },
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def run_status(self, run_id: str) -> str:
        return str(self.ui.query(RUN, id=run_id)["runOrError"]["status"])

    def runs_of(self, variant: UUID) -> list[dict[str, Any]]:
        answer = self.ui.query(RUNS_BY_TAG, key="dagster/partition", value=str(variant))
        runs: list[dict[str, Any]] = answer["runsOrError"]["results"]
        return runs

    def messages(self, run_id: str) -> str:
        events = self.ui.query(MESSAGES, id=run_id)["runOrError"]["eventConnection"]["events"]
        return "\n".join(event["message"] for event in events if "message" in event)

    def workers(self) -> list[psutil.Process]:
        """The run workers: what the daemon's fork server has forked."""
        servers = fork_servers(psutil.Process(self.process("daemon")))
        return [child for server in servers for child in server.children()]

    def process(self, name: str) -> int:
        """The id of one of the service's processes."""
        record = self.state.record()
        assert record is not None
        [found] = [process.pid for process in record.processes if process.name == name]
        return found

    def until(self, awaited: str, happened: Callable[[], bool], *, within_s: float = 90.0) -> None:
        until(awaited, happened, within_s=within_s, every_s=0.05, details=self.state.log_tails)

    def until_done(self, job: UUID, *, within_s: float = 90.0) -> None:
        self.until("the job is done", lambda: self.job_state(job) == ("iou_eval", "done"), within_s=within_s)

    def until_at_work(self, variant: UUID) -> None:
        """In the middle of a stage; which, is a matter of milliseconds."""
        self.until("a stage is at work", lambda: self.state_of(variant)[1] == "running")

    def all_runs_ended(self, variant: UUID) -> bool:
        return all(run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} for run in self.runs_of(variant))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("service") / "state"
    # A busy machine must not lower the limit that a test sets.
    settings = Settings(
        database_url=None, state_folder=folder, asset_root=folder / "assets", webserver_port=3900, throttle="off"
    )
    record = start(settings)
    try:
        engine = create_engine(environment(settings)["DATABASE_URL"], poolclass=NullPool)
        yield Live(engine, folder / "assets", Ui(record.url), State(folder))
    finally:
        stop(State(folder))


def test_the_ui_shows_what_each_resource_is_and_its_configuration_without_secrets(live: Live) -> None:
    where = {"repositoryLocationName": "job_variants", "repositoryName": "__repository__"}
    results = live.ui.query(RESOURCES, where=where)["allTopLevelResourceDetailsOrError"]["results"]
    types = {each["name"]: each["resourceType"] for each in results}
    assert types["vision"] == "resources.wiring.MeasuredVisionResource"
    assert types["detector"] == "resources.wiring.SaliencyDetectorResource"
    values = {each["name"]: {one["key"]: one["value"] for one in each["configuredValues"]} for each in results}
    assert values["images"]["asset_root"] == f'"{live.asset_root}"'
    assert values["vision"]["backend"] == '"embedded"'
    assert values["db"] == {"url": "DATABASE_URL"}
    assert (live.state.postgres / "password").read_text() not in str(results)


def test_no_env_file_can_replace_the_settings_of_the_processes(live: Live) -> None:
    """Dagster reads `.env` in the folder where a process starts, and for it the file wins over the environment."""
    folders = {name: Path(psutil.Process(live.process(name)).cwd()) for name in ("code-server", "daemon", "webserver")}
    assert set(folders.values()) == {live.state.logs}


@pytest.fixture(scope="module")
def finished(live: Live) -> tuple[UUID, list[UUID]]:
    """A job as ye orders it: variants inserted one after another, done one after another, then handed over."""
    job = live.job(step="img_gen", tenant=f"cafe-{uuid4().hex[:6]}")
    variants = []
    for left_px in (0, 100, 200):
        variant = live.ready_variant(job, photograph(left_px), step="img_gen", status="queued")
        live.set_state(variant, "img_gen", "done")
        variants.append(variant)
    live.hand_over(job)
    live.until_done(job)
    live.until("all runs have ended", lambda: all(live.all_runs_ended(variant) for variant in variants))
    return job, variants


def test_three_variants_complete_their_job_with_one_run_each(live: Live, finished: tuple[UUID, list[UUID]]) -> None:
    job, variants = finished
    assert {live.state_of(variant) for variant in variants} == {("iou_eval", "done")}
    runs = live.ui.query(RUNS_BY_TAG, key="job_variants/job_id", value=str(job))["runsOrError"]["results"]
    assert len(runs) == 3
    checks = live.ui.query(CHECKS, limit=20)["assetCheckExecutions"]
    mine = [check for check in checks if check["evaluation"]["partition"] in {str(variant) for variant in variants}]
    assert len(mine) == 3
    assert any("3 of 3 variants complete" in check["evaluation"]["description"] for check in mine)


def test_a_job_handed_over_after_its_variants_finished_becomes_done(live: Live) -> None:
    job = live.job(step="img_gen", status="done")
    variant = live.ready_variant(job, photograph())
    live.until("the variant is done", lambda: live.state_of(variant) == ("iou_eval", "done"))
    assert live.job_state(job) == ("img_gen", "done")
    live.hand_over(job)
    live.until_done(job, within_s=30)


def test_one_stage_run_again_from_the_ui_refreshes_the_stages_after_it(
    live: Live, finished: tuple[UUID, list[UUID]]
) -> None:
    job, (variant, *_) = finished
    revisions = "SELECT stage, revision FROM variant_results WHERE job_variants_id = :v"
    before = live.table(revisions, v=variant)
    live.materialize(variant, "overlay")
    jobs_seen = set()

    def refreshed() -> bool:
        jobs_seen.add(live.job_state(job))
        now = live.table(revisions, v=variant)
        later = all(now[stage] > before[stage] for stage in STAGE_NAMES[3:])
        return later and live.state_of(variant) == ("iou_eval", "done")

    live.until("the later stages are refreshed", refreshed)
    after = live.table(revisions, v=variant)
    assert [stage for stage in STAGE_NAMES if after[stage] == before[stage]] == list(STAGE_NAMES[:3])
    assert jobs_seen == {("iou_eval", "done")}


def test_a_backfill_of_several_partitions_runs_each_once(live: Live, finished: tuple[UUID, list[UUID]]) -> None:
    job, (_, *variants) = finished
    before = {variant: len(live.runs_of(variant)) for variant in variants}
    answer = live.ui.query(
        BACKFILL,
        params={
            "assetSelection": [{"path": [stage]} for stage in STAGE_NAMES],
            "partitionNames": [str(variant) for variant in variants],
        },
    )["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    live.until(
        "the backfill has started its runs",
        lambda: all(len(live.runs_of(variant)) > before[variant] for variant in variants),
    )
    live.until("all runs have ended", lambda: all(live.all_runs_ended(variant) for variant in variants))
    assert {live.state_of(variant) for variant in variants} == {("iou_eval", "done")}
    assert {variant: len(live.runs_of(variant)) for variant in variants} == {v: n + 1 for v, n in before.items()}
    assert live.job_state(job) == ("iou_eval", "done")


def test_an_unknown_key_materialized_from_the_ui_fails_with_its_name(live: Live) -> None:
    key = str(uuid4())
    live.ui.query(
        "mutation($selector: RepositorySelector!, $key: String!) { addDynamicPartition(repositorySelector: $selector,"
        ' partitionsDefName: "job_variants_id", partitionKey: $key) { __typename } }',
        selector={"repositoryLocationName": "job_variants", "repositoryName": "__repository__"},
        key=key,
    )
    run = live.materialize(key, "vlm_analyze")
    live.until("the run has failed", lambda: live.run_status(run) == "FAILURE")
    assert f"no variant {key}" in str(live.ui.query(RUN, id=run))


def test_a_worker_killed_in_the_middle_of_a_stage_is_replaced_without_anybody_doing_anything(live: Live) -> None:
    job = live.job()
    variant = live.ready_variant(job, photograph())
    live.until_at_work(variant)
    for worker in live.workers():
        worker.kill()
    live.until_done(job, within_s=120)
    assert live.row("SELECT count(*) FROM variant_results WHERE job_variants_id = :v", v=variant)[0] == 8


def test_a_run_that_is_terminated_ends_its_variant_visibly_and_can_be_run_again(live: Live) -> None:
    job = live.job()
    variant = live.ready_variant(job, photograph())
    live.until_at_work(variant)
    [run] = [run["runId"] for run in live.runs_of(variant) if run["status"] == "STARTED"]
    answer = live.ui.query(TERMINATE, id=run)["terminateRun"]
    assert answer["__typename"] == "TerminateRunSuccess", answer
    live.until("the variant has failed", lambda: live.state_of(variant)[1] == "failed", within_s=40)
    assert "was terminated at stage" in str(live.error(variant))
    assert live.job_state(job)[1] == "failed"
    live.materialize(variant, *STAGE_NAMES)
    live.until_done(job)


def test_a_run_whose_worker_is_killed_fails_at_once_and_says_how(live: Live) -> None:
    job = live.job()
    variant = live.ready_variant(job, photograph())
    live.until_at_work(variant)
    [run] = [run["runId"] for run in live.runs_of(variant) if run["status"] == "STARTED"]
    for worker in live.workers():
        worker.kill()
    live.until("the run has failed", lambda: live.run_status(run) == "FAILURE", within_s=3)
    assert "was ended by SIGKILL" in live.messages(run)
    live.until_done(job, within_s=120)


def test_the_daemon_is_killed_during_a_run_and_the_run_goes_on_and_is_watched_again(live: Live) -> None:
    job = live.job()
    variant = live.ready_variant(job, photograph())
    live.until_at_work(variant)
    daemon = live.process("daemon")
    psutil.Process(daemon).kill()
    live.until_done(job, within_s=60)
    assert len(live.runs_of(variant)) == 1
    live.until("the daemon is started again", lambda: live.process("daemon") != daemon)
    later = live.job()
    live.ready_variant(later, photograph())
    live.until_done(later)


def test_the_database_restarts_during_a_run_and_the_job_is_done(live: Live) -> None:
    job = live.job()
    variant = live.ready_variant(job, photograph())
    live.until_at_work(variant)
    postgres.kill(live.state.postgres)

    def done() -> bool:
        try:
            return live.job_state(job) == ("iou_eval", "done")
        except OperationalError:
            return False

    live.until("the job is done", done, within_s=180)


def test_a_killed_code_server_comes_back_and_variants_go_on(live: Live) -> None:
    psutil.Process(live.process("code-server")).kill()
    job = live.job()
    live.ready_variant(job, photograph())
    live.until_done(job, within_s=180)


@pytest.mark.usefixtures("finished")
def test_other_users_can_read_nothing_of_the_service_but_the_pictures(live: Live) -> None:
    state = live.state.folder
    assert stat.S_IMODE(state.stat().st_mode) & 0o007 == 0
    written = [path for path in state.rglob("*") if not path.is_symlink()]
    own, pictures = (
        {path for path in written if path.is_relative_to(live.asset_root) == shared} for shared in (False, True)
    )
    assert own
    assert [path for path in own if stat.S_IMODE(path.stat().st_mode) & 0o007] == []
    assert [path for path in pictures if "yh" in path.parts and not stat.S_IMODE(path.stat().st_mode) & 0o004] == []


def test_nothing_but_the_ui_and_the_database_listens_on_a_port(live: Live) -> None:
    record = live.state.record()
    assert record is not None
    processes = [psutil.Process(process.pid) for process in record.processes]
    family = {each.pid for process in processes for each in (process, *process.children(recursive=True))}
    open_ports = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("inet")
        if connection.status == "LISTEN" and connection.pid in family
    }
    assert open_ports == {("127.0.0.1", int(record.url.rpartition(":")[2]))}


def test_how_many_variants_run_at_a_time_is_set_for_the_service_that_runs_whatever_this_shell_names(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_FOLDER", str(live.state.folder))
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/elsewhere")
    assert main(["parallel", "2"]) == 0
    limit = "SELECT \"limit\" FROM dagster.concurrency_limits WHERE concurrency_key = 'variants'"
    assert live.row(limit)[0] == 2
    assert main(["parallel", "3"]) == 0

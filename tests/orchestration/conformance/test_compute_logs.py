"""What steps print is kept alike by Dagster's compute log manager and by ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestration._dagster import ComputeIOType, LocalComputeLogManager
from orchestration.compute_logs import FileComputeLogManager

KEY = ["run", "compute_logs", "step"]


@pytest.fixture(params=[LocalComputeLogManager, FileComputeLogManager])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> LocalComputeLogManager:
    made = request.param(str(tmp_path))
    assert isinstance(made, LocalComputeLogManager)
    return made


def test_what_a_step_and_its_libraries_print_is_kept_by_stream(manager: LocalComputeLogManager) -> None:
    with manager.capture_logs(KEY) as context:
        assert context.log_key == KEY
        print("from Python")
        os.write(sys.stderr.fileno(), b"from a library in C\n")
    data = manager.get_log_data(KEY)
    assert (data.stdout, data.stderr) == (b"from Python\n", b"from a library in C\n")


def test_it_can_be_read_while_the_step_runs_and_on_from_where_the_reader_was(manager: LocalComputeLogManager) -> None:
    with manager.capture_logs(KEY):
        print("first", flush=True)
        first = manager.get_log_data(KEY)
        assert first.stdout == b"first\n"
        assert not manager.is_capture_complete(KEY)
        print("second", flush=True)
        assert manager.get_log_data(KEY, cursor=first.cursor).stdout == b"second\n"
    assert manager.is_capture_complete(KEY)


def test_a_step_that_fails_leaves_what_it_has_printed(manager: LocalComputeLogManager) -> None:
    def fail() -> None:
        with manager.capture_logs(KEY):
            print("the last words")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert manager.get_log_data(KEY).stdout == b"the last words\n"


def test_afterwards_output_goes_where_it_went_before(
    manager: LocalComputeLogManager, capfd: pytest.CaptureFixture[str]
) -> None:
    with manager.capture_logs(KEY):
        print("kept")
    print("after it")
    assert capfd.readouterr().out.endswith("after it\n")
    assert manager.get_log_data(KEY).stdout == b"kept\n"


def test_files_stand_where_the_ui_looks_for_them_and_are_deleted_on_request(
    manager: LocalComputeLogManager, tmp_path: Path
) -> None:
    with manager.capture_logs(KEY):
        print("kept")
    place = manager.get_log_metadata(KEY).stdout_location
    assert place == str(tmp_path / "run" / "compute_logs" / "step.out")
    assert manager.get_captured_log_download_url(KEY, ComputeIOType.STDOUT) == "/logs/run/compute_logs/step/out"
    manager.delete_logs(log_key=KEY)
    assert manager.get_log_data(KEY).stdout is None
    assert not manager.is_capture_complete(KEY)

"""What only our compute log manager does; what it has in common with Dagster's is in conformance/."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from orchestration._dagster import ComputeIOType
from orchestration.compute_logs import FileComputeLogManager

KEY = ["run", "compute_logs", "step"]


def captured(manager: FileComputeLogManager, kind: ComputeIOType) -> bytes | None:
    data = manager.get_log_data(KEY)
    return data.stdout if kind is ComputeIOType.STDOUT else data.stderr


def test_what_a_step_and_its_libraries_print_is_in_the_files_and_no_process_is_started(tmp_path: Path) -> None:
    manager = FileComputeLogManager(str(tmp_path))
    before = set(psutil.Process().children(recursive=True))
    with manager.capture_logs(KEY):
        print("from Python")
        os.write(sys.stderr.fileno(), b"from a library in C\n")
        assert before.issuperset(psutil.Process().children(recursive=True))
    assert captured(manager, ComputeIOType.STDOUT) == b"from Python\n"
    assert captured(manager, ComputeIOType.STDERR) == b"from a library in C\n"
    assert manager.is_capture_complete(KEY)


def test_what_is_not_enabled_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manager = FileComputeLogManager(str(tmp_path), enabled=False)
    with manager.capture_logs(KEY):
        print("goes where it always went")
    assert captured(manager, ComputeIOType.STDOUT) is None
    assert "goes where it always went" in capfd.readouterr().out


def test_an_environment_variable_can_decide_whether_logs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = {
        "module": "orchestration.compute_logs",
        "class": "FileComputeLogManager",
        "config": {"base_dir": str(tmp_path), "enabled": {"env": "KEEP_LOGS"}},
    }
    for value, kept in (("true", b"printed\n"), ("false", None)):
        monkeypatch.setenv("KEEP_LOGS", value)
        with dg.instance_for_test(overrides={"compute_logs": logs}, temp_dir=str(tmp_path)) as instance:
            manager = instance.compute_log_manager
            assert isinstance(manager, FileComputeLogManager)
            with manager.capture_logs([value]):
                print("printed")
            assert manager.get_log_data([value]).stdout == kept


def test_what_a_removed_run_and_an_old_tick_have_logged_is_found_by_its_age(tmp_path: Path) -> None:
    manager = FileComputeLogManager(str(tmp_path))
    with manager.capture_logs(KEY):
        print("printed")
    with manager.open_log_stream(["shop", "sensor", "1"], ComputeIOType.STDERR) as stream:
        assert stream is not None
        stream.write("logged")
    now = datetime.now(UTC)
    before, after = now - timedelta(days=1), now + timedelta(days=1)
    assert manager.runs_with_logs_before(before) == []
    assert manager.runs_with_logs_before(after) == ["run"]
    assert manager.remove_tick_logs_before(before) == 0
    assert manager.remove_tick_logs_before(after) == 1
    assert captured(manager, ComputeIOType.STDOUT) == b"printed\n"

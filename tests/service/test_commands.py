"""Commands for people: errors in words, and a Ctrl-C that is answered at once."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from resources.settings import PROJECT, SettingError
from service.commands import ServiceError, run_command
from service.folders import FolderError, usable


def raising(error: Exception) -> Callable[[], NoReturn]:
    def do() -> NoReturn:
        raise error

    return do


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ServiceError("the port is taken\nlog ends"), "the port is taken\nlog ends\n"),
        (SettingError("VLM='gpt' is not known"), "VLM='gpt' is not known\n"),
        (OSError(errno.ENOSPC, "No space left", "/srv/a.png"), "the disk is full: cannot write /srv/a.png; free some"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/a"),
            "you may not write /srv/a; run this as the user",
        ),
        (
            OSError(errno.EROFS, "Read-only", "/srv/a"),
            "cannot write /srv/a: the file system is read-only; set STATE_FOLDER",
        ),
        (OperationalError("SELECT 1", {}, Exception("disk full\n")), "the database refused a statement: disk full\n"),
    ],
)
def test_what_a_person_can_mend_is_said_in_words(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(error)) == 1
    assert capsys.readouterr().err.startswith(words)


def test_the_reason_of_a_failed_demo_stands_below_the_logs(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(raising(ServiceError("no daemon\nlog 1\nlog 2")), failed="the demo failed: ")
    assert capsys.readouterr().err == "log 1\nlog 2\nthe demo failed: no daemon\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "No such file", "/x")])
def test_an_error_of_the_program_itself_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_command(raising(error))


WORK = """
import sys, time
from service.commands import run_command, run_to_the_end

def work():
    try:
        print("working", flush=True)
        {work}
    finally:
        time.sleep(0.6)
        print("stopped", flush=True)
    return 0

sys.exit(run_command(work))
"""


@pytest.mark.parametrize(
    "work", ["time.sleep(60)", "run_to_the_end(['sh', '-c', 'sleep 0.5; echo whole'])"], ids=["own work", "a program"]
)
def test_a_ctrl_c_is_answered_at_once_and_a_second_one_does_not_disturb_the_stopping(work: str) -> None:
    command = [sys.executable, "-c", WORK.format(work=work)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        time.sleep(0.1)
        # The whole group, as a terminal does it.
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.2)
        said, answered = process.communicate(timeout=60)
    assert said == ("stopped\n" if "sleep(60)" in work else "whole\nstopped\n")
    assert answered.split("\n\n")[0].strip() == "stopping …"
    assert "still stopping; should this not end, kill it and run `make down`" in answered
    assert answered.endswith("interrupted; what this command had started is stopped\n")
    assert process.returncode == 130


def test_a_folder_that_may_not_be_made_is_named_with_its_setting_and_the_way_out() -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    with pytest.raises(
        FolderError, match=r"ASSET_ROOT=/srv/assets cannot be made: Permission denied .*sudo install -d"
    ):
        usable("ASSET_ROOT", Path("/srv/assets"), refused)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"ASSET_ROOT=.*file cannot be made: .*file is a file; set ASSET_ROOT"):
        usable("ASSET_ROOT", tmp_path / "file", lambda folder: folder.mkdir(exist_ok=True))
    with pytest.raises(FolderError, match=r"ASSET_ROOT=.*file is a file"):
        usable("ASSET_ROOT", tmp_path / "file", lambda _: None)


def test_a_folder_of_others_that_the_service_has_to_write_in_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FolderError, match=f"ASSET_ROOT={tmp_path} cannot be used: you may not write in {tmp_path}; "):
        usable("ASSET_ROOT", tmp_path, lambda _: None, written="yh")

"""How a launcher notices that source files have changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.fork_protocol import ForkServerError
from orchestration.source_stamp import SourceStamp, source_folders
from resources.settings import PROJECT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    (tmp_path / "package" / "one.py").write_text("1")
    (tmp_path / "package" / "two.sql").write_text("SELECT 2")
    return tmp_path


def stamp(folder: Path) -> int:
    return SourceStamp([folder], (".py", ".sql")).current()


def rewrite_with_an_older_time(package: Path) -> None:
    (package / "one.py").write_text("other")
    os.utime(package / "one.py", (1, 1))


def rewrite_at_the_same_time(package: Path) -> None:
    before = (package / "one.py").stat()
    (package / "one.py").write_text("longer")
    os.utime(package / "one.py", ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite_with_the_same_size(package: Path) -> None:
    (package / "one.py").write_text("2")
    os.utime(package / "one.py", (2e9, 2e9))


@pytest.mark.parametrize(
    "change",
    [
        lambda package: (package / "one.py").write_text("11"),
        lambda package: (package / "two.sql").write_text("SELECT 22"),
        lambda package: (package / "three.py").write_text(""),
        lambda package: (package / "one.py").unlink(),
        lambda package: (package / "one.py").rename(package / "1.py"),
        rewrite_with_an_older_time,
        rewrite_at_the_same_time,
        rewrite_with_the_same_size,
    ],
    ids=["written", "SQL written", "made", "removed", "renamed", "older", "same time", "same size"],
)
def test_it_changes_with_a_source_file(folder: Path, change: Callable[[Path], None]) -> None:
    before = stamp(folder)
    change(folder / "package")
    assert stamp(folder) != before


def test_it_stays_with_all_other_files(folder: Path) -> None:
    before = stamp(folder)
    (folder / "package" / "notes.txt").write_text("")
    (folder / "package" / "__pycache__" / "one.py").write_text("")
    assert stamp(folder) == before


def test_the_files_are_read_once_in_a_while_however_often_it_is_asked(folder: Path) -> None:
    now_s = 100.0
    watched = SourceStamp([folder], (".py",), every_s=1.0, clock=lambda: now_s)
    before = watched.current()
    (folder / "package" / "one.py").write_text("changed")
    now_s = 100.9
    assert watched.current() == before
    now_s = 101.0
    assert watched.current() != before


def test_a_file_that_is_removed_while_they_are_read_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = stamp(folder)
    (folder / "package" / "three.py").write_text("")
    listed = [(str(folder / "package"), ["__pycache__"], ["one.py", "two.sql", "three.py"])]
    (folder / "package" / "three.py").unlink()
    monkeypatch.setattr("orchestration.source_stamp.os.walk", lambda _: listed)
    assert stamp(folder) == without


def test_folders_lie_beside_the_package_of_the_module_and_are_that_package_by_default() -> None:
    assert source_folders("testing.forking.jobs", ["sql", "stages"]) == [PROJECT / "sql", PROJECT / "stages"]
    assert source_folders("testing.forking.jobs", []) == [PROJECT / "testing"]


def test_a_module_of_one_file_is_watched_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_definitions.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert source_folders("my_definitions", []) == [tmp_path]


def test_a_folder_or_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(ForkServerError, match=r"/sources does not exist; correct `source_folders`"):
        source_folders("testing.forking.jobs", ["sources"])
    with pytest.raises(ForkServerError, match="there is no module nowhere"):
        source_folders("nowhere.definitions", [])

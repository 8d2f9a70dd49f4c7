"""Where the socket of the code server lies, and that nobody else may enter that folder."""

import os
import socket
import stat
from pathlib import Path

import pytest

from service.code_socket import code_socket, listens, remove_code_socket


@pytest.fixture
def short_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """XDG_RUNTIME_DIR for the time of the test."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A state folder with a name that is too long for a socket."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    return folder


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_it_lies_in_a_private_folder_of_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    path = code_socket(tmp_path)
    assert path == tmp_path / "run" / "code"
    assert mode(path.parent) == 0o700
    assert code_socket(tmp_path) == path


def test_of_a_state_folder_with_a_long_name_it_lies_in_a_short_private_folder_always_the_same(
    deep: Path, short_places: Path
) -> None:
    path = code_socket(deep)
    assert path.parent.parent == short_places
    assert mode(path.parent) == 0o700
    assert code_socket(deep) == path
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listens(path)


@pytest.mark.parametrize("place", ["gone", "deep" * 30])
def test_a_folder_that_is_missing_or_has_a_long_name_itself_is_not_taken(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / place))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / place))
    path = code_socket(deep)
    assert len(os.fsencode(path)) <= 107
    assert mode(path.parent) == 0o700
    remove_code_socket(deep)
    assert not path.parent.exists()


def opened_to_others(folder: Path) -> None:
    folder.chmod(0o755)


def replaced_by_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def removed(folder: Path) -> None:
    folder.rmdir()


@pytest.mark.parametrize("what", [opened_to_others, replaced_by_a_link, removed])
@pytest.mark.usefixtures("short_places")
def test_a_folder_that_is_private_no_more_is_given_up_for_a_new_one(deep: Path, what: object) -> None:
    before = code_socket(deep)
    assert callable(what)
    what(before.parent)
    after = code_socket(deep)
    assert after != before
    assert mode(after.parent) == 0o700


def test_the_folder_elsewhere_is_removed_with_what_is_in_it_and_one_in_the_state_folder_stays(
    deep: Path, tmp_path: Path, short_places: Path
) -> None:
    path = code_socket(deep)
    path.touch()
    remove_code_socket(deep)
    remove_code_socket(deep)
    assert list(short_places.iterdir()) == []
    near = code_socket(tmp_path)
    remove_code_socket(tmp_path)
    assert near.parent.exists()


def test_a_folder_that_is_not_ours_is_not_removed(deep: Path, short_places: Path) -> None:
    path = code_socket(deep)
    path.parent.chmod(0o755)
    remove_code_socket(deep)
    assert path.parent.exists()


def test_a_socket_listens_only_while_its_process_does(tmp_path: Path) -> None:
    path = code_socket(tmp_path)
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listens(path)
    assert path.exists()
    assert not listens(path)

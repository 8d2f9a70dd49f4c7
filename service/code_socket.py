"""The UNIX socket of the code server. It asks for no login, so only its owner may enter the folder that it lies in."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

# Bytes of an address of the kernel (struct sockaddr_un), without the zero at its end.
_LONGEST = 107
_NAME = "code"
_PREFIX = "job-variants-"


def code_socket(state_folder: Path) -> Path:
    """The path of the socket, always the same for one state folder, in a folder of mode 0700.

    That folder lies in the state folder. Where its name would be too long for a socket, it lies in XDG_RUNTIME_DIR or
    the folder for temporary files, under a name that nobody can guess, and a file in the state folder names it.
    """
    near = state_folder / "run"
    if _is_short(near):
        near.mkdir(mode=0o700, exist_ok=True)
        near.chmod(0o700)
        return near / _NAME
    note = _note(state_folder)
    far = Path(note.read_text()) if note.exists() else None
    if far is None or not _is_private(far):
        far = _new_private_folder()
        note.write_text(str(far))
    return far / _NAME


def remove_code_socket(state_folder: Path) -> None:
    """Removes the folder that `code_socket` has made outside the state folder, if it has made one."""
    note = _note(state_folder)
    if note.exists():
        far = Path(note.read_text())
        if _is_private(far):
            shutil.rmtree(far)
        note.unlink()


def listens(path: Path) -> bool:
    """Whether a process accepts connections at the socket. One that was killed leaves the file behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _note(state_folder: Path) -> Path:
    return state_folder / "run.folder"


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder / _NAME)) <= _LONGEST


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of ours, no link, that nobody else may enter."""
    with suppress(FileNotFoundError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700
    return False


def _new_private_folder() -> Path:
    places = [place for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if place]
    usable = [place for place in places if _is_short(Path(place, f"{_PREFIX}12345678")) and os.access(place, os.W_OK)]
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=[*usable, "/tmp"][0]))

"""Files below one folder, reached by descriptors from that folder down.

No link is followed on the way, also when somebody exchanges a folder meanwhile. Opening never waits, also for a pipe.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REASONS = {
    errno.ELOOP: "is a link or lies behind one",
    errno.ENOTDIR: "lies behind a link, or behind a file that is no folder",
    errno.EISDIR: "is a folder",
    errno.ENAMETOOLONG: "has a name that is too long for a file",
    errno.ENXIO: "is a socket or a device",
    errno.ENODEV: "is a device",
}


class FileRefused(Exception):
    """No file that may be read or written lies there. The message continues a sentence, for example "is a pipe"."""


def read_file(root: Path, parts: Sequence[str], most_bytes: int) -> bytes:
    """The content of a regular file with one name only.

    Raises FileRefused for anything else, FileNotFoundError, and what the disk raises.
    """
    with (
        _refusing(),
        _folder(root, parts[:-1]) as parent,
        open(parts[-1], "rb", opener=lambda name, _: os.open(name, _FILE, dir_fd=parent)) as file,
    ):
        _require_plain(os.fstat(file.fileno()), most_bytes)
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileRefused(f"has grown to more than {most_bytes:,} bytes")
    return content


def write_file(root: Path, parts: Sequence[str], content: bytes) -> None:
    """Writes the file whole or not at all, and makes the folders it lies in.

    Other users may read both whatever the umask is, for all teams use them. Raises FileRefused for a link in the way.
    """
    with _refusing(), _folder(root, parts[:-1], make=True) as parent:
        unfinished = f".{parts[-1]}.{secrets.token_hex(4)}"
        descriptor = os.open(unfinished, _NEW, 0o600, dir_fd=parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            os.replace(unfinished, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(unfinished, dir_fd=parent)
            raise


def remove_file(root: Path, parts: Sequence[str]) -> None:
    """Removes the file, if it is still there; of a link only the link itself.

    Raises FileRefused for a link on the way.
    """
    with suppress(FileNotFoundError), _refusing(), _folder(root, parts[:-1]) as parent:
        os.unlink(parts[-1], dir_fd=parent)


@contextmanager
def _folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder that these names lead to. The root itself may be a link."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            inner = _made(descriptor, part) if make else os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _made(parent: int, name: str) -> int:
    with suppress(FileNotFoundError):
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    # Another run may make it at the same time.
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    os.fchmod(descriptor, 0o755)
    return descriptor


def _require_plain(found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no regular file')}")
    if found.st_nlink > 1:
        raise FileRefused(f"has {found.st_nlink} names on the disk (hard links)")
    if found.st_size > most_bytes:
        raise FileRefused(f"has {found.st_size:,} bytes, more than the {most_bytes:,} allowed")


@contextmanager
def _refusing() -> Iterator[None]:
    """Raises FileRefused for the errors that say what lies there, and leaves those that say how the disk is."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise FileRefused(reason) from error

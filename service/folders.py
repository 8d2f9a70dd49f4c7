"""The folders that settings name: made where they are missing, and refused in words where they cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from service.commands import DISK_IS_FULL, ServiceError


class FolderError(ServiceError):
    """A folder that the service needs cannot be used; the message names its setting, the reason and the way out."""


def usable(setting: str, folder: Path, make: Callable[[Path], None], *, written: str = "") -> None:
    """Makes the folder of this setting. `written` names a folder in it that the service will make or write in.

    Raises FolderError.
    """
    try:
        make(folder)
    except FileExistsError as error:
        raise FolderError(
            f"{setting}={folder} cannot be made: {error.filename} is a file; set {setting} to a folder"
        ) from None
    except OSError as error:
        raise FolderError(_refused(setting, folder, error)) from None
    if not folder.is_dir():
        raise FolderError(f"{setting}={folder} is a file; set {setting} to a folder")
    closed = _nearest(folder / written)
    if not os.access(closed, os.W_OK | os.X_OK):
        raise FolderError(
            f"{setting}={folder} cannot be used: you may not write in {closed}; {_way_out(setting, closed)}"
        )


def _refused(setting: str, folder: Path, error: OSError) -> str:
    where = Path(error.filename or folder)
    way_out = "free some space" if error.errno in DISK_IS_FULL else _way_out(setting, folder)
    return f"{setting}={folder} cannot be made: {error.strerror} ({where}); {way_out}"


def _way_out(setting: str, folder: Path) -> str:
    return (
        f"make it yours once with `sudo install -d -o $USER {folder}`, or set {setting} to a folder that you may write"
    )


def _nearest(path: Path) -> Path:
    """The path, or the folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())

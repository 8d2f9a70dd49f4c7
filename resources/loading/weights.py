"""Where weights lie and which exactly they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from resources.settings import project_path
from stages.values import StageError


def folder_or_name(value: str) -> str:
    """A setting that is a model's folder or its name. A folder is returned as its whole path.

    It is a folder if it is written as a path or if there is a folder of that name below the project folder.
    """
    folder = project_path(Path(value))
    return str(folder) if value.startswith((".", "/", "~")) or folder.is_dir() else value


def require(path: Path, setting: str, way_out: str) -> Path:
    """The path, if something is there; the libraries' own messages for missing weights mislead."""
    if not path.exists():
        raise StageError(f"{setting}={path} does not exist; {way_out}")
    return path


def require_file(path: Path, setting: str, way_out: str) -> Path:
    """The path, if it is a file."""
    if not require(path, setting, way_out).is_file():
        raise StageError(f"{setting}={path} is no file; {way_out}")
    return path


def sha256(path: Path) -> str:
    """Of a file; of a folder, over the names and contents of its files."""
    digest = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

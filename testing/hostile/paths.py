"""Names and files that lead out of the asset root, or to something that is no picture."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np

from resources.images import ImageStore, png
from stages.values import StageError
from testing.hostile.attacks import Attack, NotHeld

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
SECRET = np.full((40, 60, 3), 13, dtype=np.uint8)
_PUBLIC = np.full((40, 60, 3), 200, dtype=np.uint8)
_UP = (
    "../secret.png",
    "a/../../secret.png",
    "./../secret.png",
    "a/./../../secret.png",
    "..",
    ".",
    "",
    "/",
    "//etc/passwd",
    "a//../../secret.png",
    "%2e%2e/secret.png",
    "%2E%2E%2Fsecret.png",
    "..%2fsecret.png",
    "%252e%252e/secret.png",
    "..%c0%afsecret.png",
    "..\\secret.png",
    "a\\..\\..\\secret.png",
    "..;/secret.png",
    ".. /secret.png",
    "../secret.png\0.png",
    "a\n/../../secret.png",
    "\u202e../secret.png",
    "\uff0e\uff0e/secret.png",
    "\u2024\u2024/secret.png",
    "..\u2215secret.png",
    "..\uff0fsecret.png",
    "~/secret.png",
    "$HOME/secret.png",
    "file:///etc/passwd",
    "http://127.0.0.1/secret.png",
    "a" * 300 + ".png",
    "a/" * 600 + "secret.png",
    "x" * 6_000_000,
    "\ud800.png",
    "proc/self/root/etc/passwd",
)
_WHOLE = ("/etc/passwd", "assets/../secret.png", "https://example.com/x.png", "file:///etc/passwd", "", "/assets")


def path_attacks(folder: Path, *, race_s: float = 3.0) -> Iterator[Attack]:
    """They use `folder`, which must be empty; each race lasts `race_s`."""
    root = folder / "assets"
    root.mkdir()
    (folder / "secret.png").write_bytes(png(SECRET))
    for form in _UP:
        yield Attack("paths", f"/assets/{form[:40]!r}", partial(_refused, root, f"/assets/{form}"))
    for form in _WHOLE:
        yield Attack("paths", repr(form), partial(_refused, root, form))
    for name, make in _PLANTS.items():
        plant = root / f"{name.replace(' ', '-')}.png"
        make(plant, folder / "secret.png")
        yield Attack("paths", name, partial(_refused, root, f"/assets/{plant.name}"))
    for name, race in {"read": _read_race, "written": _write_race, "removed": _remove_race}.items():
        where = folder / name
        where.mkdir()
        yield Attack("paths", f"folders exchanged while one is {name}", partial(race, where, race_s), most_s=race_s + 5)


def _refused(root: Path, url: str) -> str:
    try:
        ImageStore(root).load(url)
    except StageError:
        return "refused"
    raise NotHeld("it was read")


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        # The name of a socket may be short only.
        here = os.open(path.parent, os.O_PATH)
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _link_in_the_way(path: Path, secret: Path) -> None:
    path.symlink_to(secret.parent)


def _device(path: Path, _: Path) -> None:
    # Only root may make one; others get a pipe in its place.
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(path)


_PLANTS: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": _socket,
    "device": _device,
    "folder": lambda path, _: path.mkdir(),
    "link": lambda path, secret: path.symlink_to(secret),
    "link to a folder": _link_in_the_way,
    "link to itself": lambda path, _: path.symlink_to(path),
    "link to nothing": lambda path, _: path.symlink_to("nothing"),
    "hard link": lambda path, secret: path.hardlink_to(secret),
}


@contextmanager
def _exchanged(folder: Path, theirs: Path) -> Iterator[None]:
    """Meanwhile a thread exchanges the folder and a link to `theirs`, without pause; both are always there."""
    over, link = threading.Event(), folder.with_name("link")
    link.symlink_to(theirs)
    libc = ctypes.CDLL(None, use_errno=True)

    def exchange() -> None:
        while not over.is_set():
            libc.renameat2(_HERE, bytes(folder), _HERE, bytes(link), _EXCHANGE)

    thread = threading.Thread(target=exchange, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _during(race_s: float, act: Callable[[], None]) -> int:
    """How often `act` was done without being refused."""
    ends_s, done = time.monotonic() + race_s, 0
    while time.monotonic() < ends_s:
        with suppress(StageError):
            act()
            done += 1
    return done


def _read_race(where: Path, race_s: float) -> str:
    root, theirs = where / "assets", where / "theirs"
    folder = root / "ye"
    folder.mkdir(parents=True)
    theirs.mkdir()
    (folder / "x.png").write_bytes(png(_PUBLIC))
    (theirs / "x.png").write_bytes(png(SECRET))

    def read() -> None:
        if (ImageStore(root).load("/assets/ye/x.png") == SECRET).all():
            raise NotHeld("it was read")

    with _exchanged(folder, theirs):
        return f"refused, but for {_during(race_s, read)} honest reads"


def _write_race(where: Path, race_s: float) -> str:
    root, theirs = where / "assets", where / "theirs"
    folder = root / "yh" / "tenants" / "cafe"
    folder.mkdir(parents=True)
    theirs.mkdir()
    store = ImageStore(root)
    names = iter(range(10**9))

    def write() -> None:
        store.save(_PUBLIC, tenant_id="cafe", kind="final", day=date(2026, 1, 1), name=UUID(int=next(names)))

    with _exchanged(folder, theirs):
        done = _during(race_s, write)
    if list(theirs.iterdir()):
        raise NotHeld("it was written")
    return f"refused, but for {done} honest writes"


def _remove_race(where: Path, race_s: float) -> str:
    root, theirs = where / "assets", where / "ye"
    folder = root / "yh" / "final"
    folder.mkdir(parents=True)
    theirs.mkdir()
    (theirs / "x.png").write_bytes(b"theirs")
    store = ImageStore(root)
    with _exchanged(folder, theirs):
        done = _during(race_s, lambda: store.remove("/assets/yh/final/x.png"))
    if not (theirs / "x.png").exists():
        raise NotHeld("it was removed")
    return f"refused, but for {done} honest removals"

"""What all commands for people have in common: errors in words, and a Ctrl-C that is answered at once."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sqlalchemy.exc import DBAPIError

from resources.settings import SettingError

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM)
_INTERRUPTED = 130
_ENDS = (signal.SIGINT, signal.SIGTERM)


class ServiceError(Exception):
    """The service, or one of its commands, cannot work; the message says why and what to do."""


def run_command(do: Callable[[], int], *, failed: str = "") -> int:
    """Runs a command and returns its exit status. What a person can mend is said in words, without a traceback.

    With `failed` that comes last, before the message's first line; its other lines, for example of a log, stand above.
    """
    try:
        with answered_interrupts():
            return do()
    except KeyboardInterrupt:
        print("interrupted; what this command had started is stopped", file=sys.stderr)
        return _INTERRUPTED
    except (ServiceError, SettingError) as error:
        problem = str(error)
    except OSError as error:
        problem = _machine_problem(error) or ""
        if not problem:
            raise
    except DBAPIError as error:
        problem = f"the database refused a statement: {str(error.orig).strip()}"
    first, *details = problem.splitlines()
    lines = [*details, f"{failed}{first}"] if failed else [first, *details]
    print("\n".join(lines), file=sys.stderr)
    return 1


def _machine_problem(error: OSError) -> str | None:
    """What the machine refuses, in words with the way out: a full disk, a missing right. None for all else."""
    where = f" {error.filename}" if error.filename else ""
    if error.errno in DISK_IS_FULL:
        return f"the disk is full: cannot write{where}; free some space, then run this again"
    if error.errno in _NO_RIGHT:
        return f"you may not write{where}; run this as the user that the files belong to"
    if error.errno == errno.EROFS:
        return f"cannot write{where}: the file system is read-only; set STATE_FOLDER and ASSET_ROOT to writable folders"
    return None


@contextmanager
def answered_interrupts() -> Iterator[None]:
    """A first Ctrl-C, or SIGTERM, is answered at once and raises KeyboardInterrupt. Later ones are only answered.

    So whoever stops what was started is not interrupted in that.
    """
    heard: list[int] = []

    def answer(sign: int, _: FrameType | None) -> None:
        heard.append(sign)
        if len(heard) == 1:
            _say("\nstopping …\n")
            raise KeyboardInterrupt
        _say("\nstill stopping; should this not end, kill it and run `make down`\n")

    # Who ignores a signal, as nohup does, goes on ignoring it.
    before = {sign: signal.signal(sign, answer) for sign in _ENDS if signal.getsignal(sign) != signal.SIG_IGN}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def run_to_the_end(command: Sequence[str], **options: Any) -> int:
    """Runs a program that no Ctrl-C reaches, and returns its exit status. An interrupt is raised after its end.

    What it was about to start can then be found and stopped.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _say(words: str) -> None:
    # Not print: the signal may come in the middle of one.
    os.write(2, words.encode())

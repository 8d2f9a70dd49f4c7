"""Writes the table of docs/licences.md: every pinned package with the licence that its own metadata names.

`python scripts/licences.py` rewrites the table, `--check` only says what differs. A package that is not installed keeps
the row that it has.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "licences.md"
CONSTRAINTS = ("constraints.txt", "constraints-models.txt", "constraints-torch.txt")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_ROW = re.compile(r"^\| `([A-Za-z0-9._-]+)` \| (.+?) \|$", re.MULTILINE)
# A longer one is the whole text of a licence.
_LONGEST_NAME = 60


def pinned(constraints: str) -> list[str]:
    """The names in a file of pins, in its order."""
    return _PIN.findall((PROJECT / constraints).read_text())


def licence(package: str) -> str | None:
    """What the package's metadata says: its expression, else its short text or classifiers; None if not installed."""
    try:
        found = metadata(package)
    except PackageNotFoundError:
        return None
    if "License-Expression" in found:
        return found["License-Expression"]
    classifiers = [
        line.rsplit("::", 1)[1].strip()
        for line in found.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith(":: OSI Approved")
    ]
    text = found["License"].strip() if "License" in found else ""
    # Where there are two to choose from, the text often does not name them.
    named = text if 0 < len(text) <= _LONGEST_NAME and "\n" not in text and len(classifiers) < 2 else ""
    return named or ", ".join(classifiers) or "not named"


def rows(page: str) -> dict[str, str]:
    """Package → licence, as the page has it."""
    return dict(_ROW.findall(page))


def table(constraints: str, known: dict[str, str]) -> str:
    lines = [f"| `{name}` | {licence(name) or known.get(name, 'not installed')} |" for name in pinned(constraints)]
    return "\n".join(["| package | licence |", "|---|---|", *lines])


def updated(page: str) -> str:
    """The page with its tables written anew, each between its two marks."""
    known = rows(page)
    for constraints in CONSTRAINTS:
        begin, end = f"<!-- {constraints} -->\n", f"\n<!-- end of {constraints} -->"
        before, rest = page.split(begin)
        page = before + begin + table(constraints, known) + end + rest.split(end)[1]
    return page


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    wanted = updated(page)
    if "--check" not in arguments:
        PAGE.write_text(wanted, encoding="utf-8")
    elif page != wanted:
        changed = sorted(set(rows(wanted).items()) ^ set(rows(page).items()))
        print(f"docs/licences.md is not up to date, run `make licences`: {changed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Asks PyPI for known vulnerabilities of every pinned package, with pip-audit in an environment of its own.

Fails when there are any, and also when nobody could be asked: pip-audit itself would then find nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = PROJECT / ".service" / "tools" / "pip-audit"
PIP_AUDIT = "pip-audit==2.10.1"
# Only the first two have digests.
FILES = {
    "constraints.txt": "--require-hashes",
    "constraints-models.txt": "--require-hashes",
    "constraints-torch.txt": "--no-deps",
}


class AuditError(Exception):
    """Nothing can be said about the packages; the message says why."""


def program() -> Path:
    """pip-audit, installed when it is not there."""
    found = TOOLS / "bin" / "pip-audit"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        if subprocess.run([*pip, PIP_AUDIT]).returncode != 0:
            raise AuditError(f"{PIP_AUDIT} cannot be installed")
    return found


def audited(file: str, how: str) -> list[dict[str, Any]]:
    """Every package of the file with its vulnerabilities, or the reason why it was skipped."""
    options = ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run([program(), *options, how, "-r", PROJECT / file], capture_output=True, text=True)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:
        raise AuditError((done.stderr.strip() or "pip-audit says nothing").splitlines()[-1]) from None
    return found


def report(packages: list[dict[str, Any]]) -> tuple[list[str], int]:
    """What to print, and the exit status. Raises AuditError when no package was looked up."""
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        raise AuditError(f"the vulnerability service answered for none of the {len(packages)} packages")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in asked
        for found in package["vulns"]
    ]
    end = f"{len(asked)} packages were audited; {len(lines)} vulnerabilities are known"
    note = [f"not audited, for the service does not know them: {', '.join(skipped)}"] if skipped else []
    return [*lines, *note, end], int(bool(lines))


def main() -> int:
    try:
        packages = [package for file, how in FILES.items() for package in audited(file, how)]
        lines, status = report(packages)
    except AuditError as error:
        print(f"Nothing was audited: {error}. Run `make audit` where PyPI can be reached.", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())

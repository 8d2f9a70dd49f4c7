"""`make pins` and `make audit`, with programs in the place of uv and pip-audit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resources.settings import PROJECT
from testing.pins import FILES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    for file in FILES:
        (tmp_path / file).write_text("one==1 \\\n    --hash=sha256:0000 \\\n    --hash=sha256:1111\ntwo==2.0+local\n")
    return tmp_path


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_digests_are_written_anew_from_the_names_and_versions_alone(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", "exit 1")
    program(checkout / "tools" / "uv", f'cat >"{checkout}/asked"; while [ "$1" != -o ]; do shift; done; echo new >"$2"')
    path = f"{checkout / 'tools'}:{os.environ['PATH']}"
    subprocess.run([checkout / "scripts" / "pins"], check=True, env={"PATH": path})
    assert (checkout / "asked").read_text() == "one==1\ntwo==2.0+local\n"
    written = {file: (checkout / file).read_text() == "new\n" for file in FILES}
    assert written == {"constraints.txt": True, "constraints-models.txt": True, "constraints-torch.txt": False}


def audit(checkout: Path, answer: str) -> tuple[int, str]:
    """Exit status, and what is said, when pip-audit answers this for each file."""
    program(checkout / ".service" / "tools" / "pip-audit" / "bin" / "pip-audit", answer)
    command = [sys.executable, str(checkout / "scripts" / "audit.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def answering(*packages: dict[str, Any]) -> str:
    return f"echo '{json.dumps({'dependencies': packages})}'"


SOUND = {"name": "one", "version": "1", "vulns": []}
BROKEN = {"name": "two", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "three", "skip_reason": "not found"}


def test_an_audit_without_findings_passes_and_says_what_it_covered(checkout: Path) -> None:
    said = "not audited, for the service does not know them: three, three, three\n3 packages were audited;"
    status, output = audit(checkout, answering(SOUND, UNKNOWN))
    assert (status, output) == (0, f"{said} 0 vulnerabilities are known\n")


def test_a_vulnerability_is_named_with_the_version_that_mends_it(checkout: Path) -> None:
    status, output = audit(checkout, answering(SOUND, BROKEN))
    assert status == 1
    assert output.startswith("two 2: CVE-1, mended in 3\n")


@pytest.mark.parametrize("answer", [answering(UNKNOWN), "echo 'Traceback:\nno route to the service' >&2; exit 1"])
def test_an_audit_that_nobody_answered_is_no_success_and_says_so_in_one_line(checkout: Path, answer: str) -> None:
    status, output = audit(checkout, answer)
    assert status == 2
    assert output.startswith("Nothing was audited: ")
    assert output.count("\n") == 1

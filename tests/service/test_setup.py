"""scripts/setup on machines that lack something; its tools are replaced by ones that only note how they were called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import PROJECT


class Machine:
    """A checkout in a folder of its own, with `tools` before the machine's real programs."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.tools = folder / "tools"
        self.calls = folder / "calls"
        (self.checkout / "scripts").mkdir(parents=True)
        self.tools.mkdir()
        shutil.copy(PROJECT / "scripts" / "setup", self.checkout / "scripts" / "setup")
        self.constraints("one==1\n")
        (self.checkout / "pyproject.toml").touch()
        self.tool("uv", "")
        self.tool("ldconfig", "echo libGL.so.1 libglib-2.0.so.0")

    def constraints(self, lines: str) -> None:
        (self.checkout / "constraints.txt").write_text(lines)

    def tool(self, name: str, script: str) -> None:
        self.program(self.tools / name, name, script)

    def program(self, path: Path, name: str, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.calls}"\n{script}\n')
        path.chmod(0o755)

    def setup(self, *parts: str) -> tuple[int, str, list[str]]:
        """Exit status, what it said, and the calls of the replaced tools but for ldconfig."""
        self.calls.write_text("")
        done = subprocess.run(
            [self.checkout / "scripts" / "setup", *parts],
            env={"PATH": f"{self.tools}:{os.environ['PATH']}", "PYTHON": str(self.tools / "python3")},
            capture_output=True,
            text=True,
        )
        calls = [line for line in self.calls.read_text().splitlines() if line.startswith(("uv", "apt-get"))]
        return done.returncode, done.stderr, calls


PYTHON = f"{sys.base_exec_prefix}/bin/python3"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real virtual environment. It takes seconds to make, so every test gets a copy."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run([PYTHON, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, environment: Path) -> Machine:
    machine = Machine(tmp_path)
    made = f'rm -rf .venv; cp -a "{environment}" .venv'
    machine.tool("python3", f'case "$*" in "-m venv --clear .venv") {made};; *) exec "{PYTHON}" "$@";; esac')
    return machine


def test_it_installs_the_whole_lock_without_resolving_anything_and_only_once(machine: Machine) -> None:
    status, said, calls = machine.setup()
    assert (status, said) == (0, "installing the packages of constraints.txt into .venv\n")
    assert {call.split(" --compile")[0] for call in calls} == {"uv pip install --python .venv/bin/python"}
    assert [call.partition("--no-deps ")[2] for call in calls] == [
        "--require-hashes -r constraints.txt",
        "--no-build-isolation -e .",
    ]
    assert machine.setup() == (0, "", [])


def test_a_changed_lock_is_installed_over_what_is_there(machine: Machine) -> None:
    machine.setup()
    kept = machine.checkout / ".venv" / "kept"
    kept.touch()
    machine.constraints("one==2\n")
    status, _, calls = machine.setup()
    assert (status, len(calls)) == (0, 1)
    assert kept.exists()


def test_a_checkout_that_was_moved_gets_a_new_environment(machine: Machine) -> None:
    machine.setup()
    (machine.checkout / ".venv" / "old").touch()
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    status, _, calls = machine.setup()
    assert (status, len(calls)) == (0, 2)
    assert not (machine.checkout / ".venv" / "old").exists()


def test_an_installation_that_failed_is_tried_again(machine: Machine) -> None:
    machine.tool("uv", "exit 1")
    assert machine.setup()[0] == 1
    machine.tool("uv", "")
    status, _, calls = machine.setup()
    assert (status, len(calls)) == (0, 2)


def test_an_old_python_is_named_with_the_way_out(machine: Machine) -> None:
    machine.tool("python3", 'case $1 in --version) echo "Python 3.10.1";; *) exit 1;; esac')
    status, said, calls = machine.setup()
    assert (status, calls) == (1, [])
    assert "Python 3.11 or newer is needed" in said
    assert "is Python 3.10.1" in said
    assert "make setup PYTHON=" in said


def test_who_may_not_install_packages_gets_the_command_that_does(machine: Machine) -> None:
    machine.tool("ldconfig", "")
    machine.tool("id", "echo 1000")
    machine.tool("sudo", "exit 1")
    status, said, calls = machine.setup()
    assert (status, calls) == (1, [])
    assert "missing: libgl1 libglib2.0-0" in said
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends libgl1 libglib2.0-0" in said


def test_root_installs_only_what_is_missing(machine: Machine) -> None:
    machine.tool("ldconfig", "echo libGL.so.1")
    machine.tool("id", "echo 0")
    machine.tool("apt-get", "")
    status, _, calls = machine.setup()
    assert status == 0
    assert calls[:2] == ["apt-get update -qq", "apt-get install -qq -y --no-install-recommends libglib2.0-0"]


def test_a_failed_package_installation_is_not_taken_for_success(machine: Machine) -> None:
    machine.tool("ldconfig", "")
    machine.tool("id", "echo 0")
    machine.tool("apt-get", "exit 100")
    status, said, calls = machine.setup()
    assert status == 1
    assert "could not be installed: libgl1 libglib2.0-0" in said
    assert not any(call.startswith("uv") for call in calls)


def test_every_package_is_installed_by_its_digests_but_torch_which_may_be_the_machine_s_own_build(
    machine: Machine,
) -> None:
    for file in ("constraints-models.txt", "constraints-torch.txt"):
        (machine.checkout / file).write_text("two==1\n")
    machine.program(machine.checkout / ".venv" / "bin" / "python", "pip", "")
    assert machine.setup("models")[0] == 0
    installed = [line for line in machine.calls.read_text().splitlines() if "--no-deps" in line]
    assert [line.partition("--no-deps ")[2] for line in installed] == [
        "--require-hashes -r constraints.txt",
        "--no-build-isolation -e .",
        "--require-hashes -r constraints-models.txt",
        "-r constraints-torch.txt",
    ]


def test_the_programs_of_the_tests_are_fetched_once_and_only_when_asked_for(machine: Machine) -> None:
    machine.tool("id", "echo 0")
    machine.tool("google-chrome", "")
    machine.tool("apt-get", '[ "$1" != download ] || touch "$3_1.deb"')
    machine.tool("dpkg-deb", 'program=usr/bin/$(basename "$2" _1.deb); mkdir -p usr/bin; touch "$program"')
    assert [call for call in machine.setup()[2] if call.startswith("apt-get")] == []
    status, said, calls = machine.setup("test")
    assert (status, calls) == (0, ["apt-get download -qq nginx", "apt-get download -qq caddy"])
    assert said == "unpacking nginx into .venv/debian\nunpacking caddy into .venv/debian\n"
    assert machine.setup("test") == (0, "", [])


def test_a_program_of_the_tests_that_cannot_be_fetched_is_named_with_the_way_out(machine: Machine) -> None:
    machine.tool("google-chrome", "")
    machine.tool("apt-get", "exit 100")
    status, said, _ = machine.setup("test")
    assert status == 1
    assert said.endswith("The Debian package nginx could not be fetched; run apt-get update, then this again.\n")

"""scripts/setup on machines that lack something; its tools are replaced by ones that only note how they were called."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from resources.settings import PROJECT
from testing.waiting import until


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

    def environment(self, python: str | None = "python3") -> dict[str, str]:
        """What set-up is started with; `python` is the tool that PYTHON names."""
        named = {} if python is None else {"PYTHON": str(self.tools / python)}
        return {"PATH": f"{self.tools}:{os.environ['PATH']}", **named}

    def setup(self, *parts: str, python: str | None = "python3") -> tuple[int, str, list[str]]:
        """Exit status, what it said, and the calls of the replaced tools but for ldconfig."""
        self.calls.write_text("")
        done = subprocess.run(
            [self.checkout / "scripts" / "setup", *parts],
            env=self.environment(python),
            capture_output=True,
            text=True,
        )
        calls = [line for line in self.calls.read_text().splitlines() if line.startswith(("uv", "apt-get"))]
        return done.returncode, done.stderr, calls


REAL = Path(sys.base_exec_prefix, "bin", "python3").resolve()
# Makes an environment of the files that set-up looks at; a real one takes seconds.
QUICK = f"""case "$*" in
"-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; echo "executable = {REAL}" >"$4/pyvenv.cfg"
    cp "$0" "$4/bin/python";;
"-m pip --version") ;;
*) exec {REAL} "$@";;
esac"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.tool("python3", QUICK)
    return machine


def test_it_installs_the_whole_lock_without_resolving_anything_and_only_once(machine: Machine) -> None:
    machine.tool("python3", f'exec {REAL} "$@"')
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


def test_the_environment_may_be_a_link_to_another_place(machine: Machine, tmp_path: Path) -> None:
    machine.tool("python3", f'exec {REAL} "$@"')
    (tmp_path / "elsewhere").mkdir()
    (machine.checkout / ".venv").symlink_to(tmp_path / "elsewhere")
    assert machine.setup()[0] == 0
    assert (tmp_path / "elsewhere" / "bin" / "python").exists()
    assert machine.setup() == (0, "", [])


def test_an_installation_that_failed_is_tried_again(machine: Machine) -> None:
    machine.tool("uv", "exit 1")
    assert machine.setup()[0] == 1
    machine.tool("uv", "")
    status, _, calls = machine.setup()
    assert (status, len(calls)) == (0, 2)


def test_a_python_has_to_be_named_only_once(machine: Machine) -> None:
    machine.setup()
    machine.tool("python3", 'case $1 in --version) echo "Python 3.10.1";; *) exit 1;; esac')
    assert machine.setup(python=None) == (0, "", [])
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    assert machine.setup(python=None)[0] == 0


def test_another_python_that_is_named_gets_an_environment_of_its_own(machine: Machine) -> None:
    machine.setup()
    (machine.checkout / ".venv" / "old").touch()
    assert machine.setup() == (0, "", [])
    assert (machine.checkout / ".venv" / "old").exists()
    configuration = machine.checkout / ".venv" / "pyvenv.cfg"
    configuration.write_text(re.sub("executable = .*", "executable = /bin/sh", configuration.read_text()))
    assert machine.setup()[0] == 0
    assert not (machine.checkout / ".venv" / "old").exists()


def test_a_ctrl_c_is_heard_at_once_and_nothing_goes_on(machine: Machine) -> None:
    machine.tool("uv", "exec sleep 60")
    command = [machine.checkout / "scripts" / "setup"]
    with subprocess.Popen(command, env=machine.environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "installing the packages of constraints.txt into .venv\n"
        until("uv runs", lambda: "uv" in machine.calls.read_text() if machine.calls.exists() else False)
        [installing] = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=5)[1]
    assert said == "\ninterrupted; run the same command again, it goes on from here\n"
    assert process.returncode == 130
    installing.wait(timeout=5)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("error: Failed to fetch: dns error", "The package index does not answer: installing packages failed. Check"),
        ("NewConnectionError: Failed to establish", "The package index does not answer: installing packages failed."),
        ("OSError: [Errno 28] No space left on device", "The disk is full: installing packages failed. Free some"),
        ("error: one is broken", "error: one is broken\ninstalling packages failed; its last words stand above."),
    ],
)
def test_a_failed_installation_is_said_in_one_line(machine: Machine, tool: str, words: str) -> None:
    machine.tool("uv", f"echo '{tool}' >&2; exit 1")
    status, said, _ = machine.setup()
    assert status == 1
    assert said.removeprefix("installing the packages of constraints.txt into .venv\n").startswith(words)


def test_a_checkout_that_may_not_be_written_is_named_with_the_way_out(machine: Machine) -> None:
    # A test may run as root, who may write everywhere: the shell's own answer is replaced.
    script = machine.checkout / "scripts" / "setup"
    script.write_text(script.read_text().replace('[ -w "$folder" ] && return', "true"))
    status, said, calls = machine.setup()
    assert (status, calls) == (1, [])
    assert said.startswith(f"{machine.checkout} may not be written by ")
    assert said.endswith("Make the checkout writable, or make .venv a link to a folder that is.\n")


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
        "--no-compile --require-hashes -r constraints-models.txt",
        "--no-compile -r constraints-torch.txt",
    ]


def test_the_programs_of_the_tests_are_fetched_once_and_only_when_asked_for(machine: Machine) -> None:
    machine.tool("id", "echo 0")
    machine.tool("google-chrome", "")
    machine.tool("apt-get", '[ "$1" != download ] || touch "$3_1.deb"')
    depends = "libc6 (>= 2.36), libc-ares2 (>= 1.0), libevent-2.1-7t64"
    machine.tool(
        "dpkg-deb",
        f'[ "$1" != -f ] || {{ echo "{depends}"; exit; }}\n'
        + 'program=usr/bin/$(basename "$2" _1.deb); mkdir -p usr/bin; touch "$program"',
    )
    assert [call for call in machine.setup()[2] if call.startswith("apt-get")] == []
    status, said, calls = machine.setup("test")
    packages = ("nginx", "caddy", "pgbouncer", "libc-ares2", "libevent-2.1-7t64")
    assert (status, calls) == (0, [f"apt-get download -qq {package}" for package in packages])
    assert said == "".join(f"unpacking {package} into .venv/debian\n" for package in packages)
    assert machine.setup("test") == (0, "", [])


def test_a_program_of_the_tests_that_cannot_be_fetched_is_named_with_the_way_out(machine: Machine) -> None:
    machine.tool("google-chrome", "")
    machine.tool("apt-get", "exit 100")
    status, said, _ = machine.setup("test")
    assert status == 1
    assert said.endswith("The Debian package nginx could not be fetched; run apt-get update, then this again.\n")

"""Logs of running processes that grow."""

from pathlib import Path

from service.logs import shorten_logs


def test_a_long_log_is_put_aside_and_its_process_writes_on_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "daemon.older").write_text("long ago\n")
    with (tmp_path / "daemon.log").open("a") as log:
        log.write("before\n")
        log.flush()
        shorten_logs(tmp_path, most_bytes=100)
        assert (tmp_path / "daemon.log").read_text() == "before\n"
        shorten_logs(tmp_path, most_bytes=3)
        log.write("after\n")
        log.flush()
    assert (tmp_path / "daemon.log").read_text() == "after\n"
    assert (tmp_path / "daemon.older").read_text() == "before\n"

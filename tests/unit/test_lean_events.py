"""What is left out of a stored event comes back when Dagster reads it."""

import json

import dagster as dg
import pytest

from orchestration._dagster import deserialize_value, serialize_value
from orchestration.lean_events import lean


@dg.op(out={"one": dg.Out(), "none": dg.Out(is_required=False)})
def talks(context: dg.OpExecutionContext) -> object:
    context.log.info("said")
    yield dg.AssetMaterialization("made", metadata={"text": "라떼", "number": 1.5})
    yield dg.Output(1, "one", metadata={"of": "an output"})


@dg.op
def fails(one: int) -> None:
    raise ValueError(f"no {one}")


@dg.graph
def inner() -> None:
    fails(talks()[0])


@dg.job
def outer() -> None:
    inner()


@pytest.fixture(scope="module")
def entries() -> list[dg.EventLogEntry]:
    with dg.DagsterInstance.ephemeral() as instance:
        run = outer.execute_in_process(instance=instance, raise_on_error=False)
        return list(instance.all_logs(run.run_id))


def test_every_event_is_read_back_as_it_was_but_for_what_nobody_reads(entries: list[dg.EventLogEntry]) -> None:
    assert len(entries) > 10
    for entry in entries:
        read = deserialize_value(lean(serialize_value(entry)), dg.EventLogEntry)
        about = entry.dagster_event
        expected = entry
        if about is not None:
            expected = entry._replace(user_message="", dagster_event=about._replace(logging_tags={}))
        assert read == expected
        assert read.message == entry.message


def test_what_is_no_event_of_dagster_keeps_its_message() -> None:
    said = {"__class__": "EventLogEntry", "dagster_event": None, "user_message": "said"}
    assert json.loads(lean(json.dumps(said)))["user_message"] == "said"


@pytest.mark.parametrize("message", ["라떼 2,500원", "half of a pair: \ud83d", "a nul: \x00", 'quoted "x" \\'])
def test_any_text_can_be_stored_and_read_back(message: str) -> None:
    entry = dg.EventLogEntry(None, 20, message, "run", 1.0)
    stored = lean(serialize_value(entry))
    assert b"\x00" not in stored.encode()
    assert deserialize_value(stored, dg.EventLogEntry).user_message == message

"""Events as they are stored: the same text with less in it, which Dagster reads back as the same event."""

from __future__ import annotations

import json
from typing import Any


def lean(event: str) -> str:
    """A serialized EventLogEntry without what Dagster derives from the rest or reads nowhere.

    Each event of a step names it six times and has its message twice; many fields are empty.
    """
    entry: dict[str, Any] = json.loads(event)
    about: dict[str, Any] | None = entry.get("dagster_event")
    # A field of very old versions.
    entry.pop("message", None)
    if about is not None:
        entry["dagster_event"] = _lean(about)
        if about["message"] is not None:
            # Dagster shows the message of the event where it has one.
            entry["user_message"] = ""
    return _dumped(entry)


def _dumped(entry: dict[str, Any]) -> str:
    """Hangul as it is takes half of what it takes as escapes; half a character pair cannot be stored as it is."""
    text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(entry, separators=(",", ":"))
    return text


def _lean(about: dict[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in about.items() if value is not None and name != "logging_tags"}
    if _is_derived(left.get("step_handle"), left.get("solid_handle"), left.get("step_key")):
        del left["step_handle"], left["step_key"]
    return left


def _is_derived(step: dict[str, Any] | None, node: dict[str, Any] | None, key: str | None) -> bool:
    """From the handle of a node without a parent Dagster makes that of its step, and from this the step's key."""
    if step is None or node is None or node["parent"] is not None:
        return False
    return bool(step.get("key") == key == node["name"])

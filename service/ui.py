"""Dagster's GraphQL API, as far as the service itself asks it something."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

_HEALTH = """
{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceOrError { ... on Workspace { locationEntries { name loadStatus
    locationOrLoadError { __typename ... on PythonError { message } } } } }
}
"""


class UiError(Exception):
    """The API refused a query; the message is its own."""


@dataclass(frozen=True)
class Ui:
    """A running webserver, for example at http://127.0.0.1:3000."""

    url: str

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of the answer. Raises UiError for a refused query, URLError while nobody answers."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        if answer.get("errors"):
            raise UiError("; ".join(error["message"] for error in answer["errors"]))
        data: dict[str, Any] = answer["data"]
        return data

    def what_is_missing(self) -> str | None:
        """What the service still waits for, in words; None when all of it works. Raises UiError for broken code."""
        try:
            health = self.query(_HEALTH)
        except (URLError, ConnectionError, TimeoutError):
            return "the webserver"
        entries = health["workspaceOrError"].get("locationEntries", [])
        for entry in entries:
            loaded = entry["locationOrLoadError"] or {}
            if loaded.get("__typename") == "PythonError":
                raise UiError(f"the code location {entry['name']} does not load: {loaded['message']}")
        if not entries or any(entry["loadStatus"] != "LOADED" for entry in entries):
            return "the code location"
        daemons = health["instance"]["daemonHealth"]["allDaemonStatuses"]
        late = [daemon["daemonType"].lower() for daemon in daemons if daemon["required"] and not daemon["healthy"]]
        return f"the daemon ({', '.join(late)})" if late else None

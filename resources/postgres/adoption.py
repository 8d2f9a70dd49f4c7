"""What stands in the way of a migration, and what it would do to a database that this project has never seen."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from resources.postgres.queries import SQL_FOLDER, load
from stages.pipeline import STAGE_NAMES

# The oldest version that the tests run on. What is used and older servers lack came with 14: standard SQL bodies.
LEAST_POSTGRES = 15
SHARED_TABLES = (
    "tenants",
    "image_assets",
    "jobs",
    "job_inputs",
    "jobs_variants",
    "txt_ad_copy_generations",
    "vlm_traces",
    "detections",
    "yolo_runs",
    "planner_proposals",
    "overlay_layouts",
    "evaluations",
)
# tenants and image_assets and the inputs are only referred to.
ALTERED_TABLES = tuple(name for name in SHARED_TABLES if name not in ("tenants", "image_assets", "job_inputs"))
_STATUSES = ["queued", "running", "done", "failed"]
_OTHER_STEPS = [
    "user_img_input",
    "user_txt_input",
    "gpt_llm_translation",
    "gpt_llm_generation",
    "ab_vote",
    "gen_vlm_analyze",
    "img_gen",
    "feed_gen",
]
# As measured with 300,000 variants and their results on two cores.
_ROWS_PER_S = 15_000


class MigrationRefused(Exception):
    """The database cannot be migrated. The message says why, and the way out."""


def _rows(connection: Connection, query: str, **parameters: object) -> list[Row[Any]]:
    return list(connection.execute(load(SQL_FOLDER / "adoption.sql")[query], parameters))


def home_schema(connection: Connection) -> str:
    """The schema of the shared tables. Where a role has a schema of its own name beside them, it is not that one."""
    [row] = _rows(connection, "home_schema")
    if row.home is None:
        raise MigrationRefused("no schema of the role's search_path exists; create one, or set the role's search_path")
    return str(row.home)


def refuse_obstacles(connection: Connection, home: str) -> None:
    """Raises MigrationRefused for the first thing that would make a migration fail."""
    for reason in (
        _too_old(connection),
        _several_homes(connection),
        _no_right_to_create(connection, home),
        _owned_by_others(connection, home),
        _other_types(connection, home),
    ):
        if reason is not None:
            raise MigrationRefused(reason)


def _too_old(connection: Connection) -> str | None:
    [version] = _rows(connection, "server_version")
    if version.number >= LEAST_POSTGRES * 10_000:
        return None
    return f"the server is PostgreSQL {version.name}; {LEAST_POSTGRES} or newer is needed"


def _several_homes(connection: Connection) -> str | None:
    homes = [row.nspname for row in _rows(connection, "schemas_with_variants")]
    if len(homes) < 2:
        return None
    return (
        f"jobs_variants exists in the schemas {', '.join(homes)}, and the search_path leads to all of them; set the"
        " role's search_path to the one with your rows: ALTER ROLE … SET search_path = …"
    )


def _no_right_to_create(connection: Connection, home: str) -> str | None:
    [row] = _rows(connection, "may_create", home=home)
    if row.may_create:
        return None
    return f"role {row.role} may not create tables in schema {home}; GRANT CREATE ON SCHEMA {home} TO {row.role}"


def _owned_by_others(connection: Connection, home: str) -> str | None:
    found = _rows(connection, "tables_of_others", home=home, tables=list(ALTERED_TABLES))
    if not found:
        return None
    owners = sorted({row.owner for row in found})
    return (
        f"the tables {', '.join(row.table_name for row in found)} belong to {', '.join(owners)}, and only their owner"
        f" can alter them; migrate as that role, or as one that is a member of it: GRANT {owners[0]} TO …"
    )


def _other_types(connection: Connection, home: str) -> str | None:
    found = _rows(connection, "columns_of_other_types", home=home)
    if not found:
        return None
    changes = "\n".join(f"ALTER TABLE {row.table_name} ALTER {row.column_name} TYPE varchar;" for row in found)
    columns = ", ".join(f"{row.table_name}.{row.column_name} ({row.type_name})" for row in found)
    return f"these columns cannot hold every state: {columns}; agree with the other teams, then run:\n{changes}"


def who_blocks(connection: Connection) -> str:
    """The session that most probably holds the lock, in words."""
    for row in _rows(connection, "blocker", tables=list(SHARED_TABLES)):
        return (
            f"Process {row.pid} of {row.usename} ({row.application_name or 'no application name'}) is {row.state} in a"
            f" transaction since {row.since}; its last statement: {row.query}"
        )
    return "No other session holds one now."


def plan(connection: Connection, missing: list[str], adopt_start_days: float) -> str:
    """What the missing migrations would do, for people. Changes nothing."""
    if not missing:
        return "the database is up to date"
    home = home_schema(connection)
    refuse_obstacles(connection, home)
    lines = [f"missing: {', '.join(missing)}", f"schema: {home}"]
    tables = _rows(connection, "row_estimates", home=home, tables=list(SHARED_TABLES))
    lines += [f"  {row.table_name}: about {row.rows:,} rows, {row.size}" for row in tables]
    adopts = missing[0].startswith(("0001", "0002")) and any(row.table_name == "jobs_variants" for row in tables)
    if adopts:
        lines += _adoption(connection, home, adopt_start_days)
    seconds = sum(row.rows for row in tables) / _ROWS_PER_S
    lines += [
        "locks: each step locks one table for a moment, and gives up after 0.2 s to try again; rows change in batches",
        f"time: about {max(seconds, 1):,.0f} s, and as long as other teams' open transactions last",
    ]
    return "\n".join(lines)


def _adoption(connection: Connection, home: str, adopt_start_days: float) -> list[str]:
    states = _rows(
        connection,
        "planned_states",
        adopt_start_days=adopt_start_days,
        statuses=_STATUSES,
        stages=list(STAGE_NAMES),
        other_steps=_OTHER_STEPS,
    )
    dropped = _rows(connection, "planned_triggers", home=home)
    return [
        f"variants, with ADOPT_START_DAYS={adopt_start_days:g}:",
        *(
            f"  {row.variants:,} × ({row.step or 'no step'}, {row.status})"
            + (
                f" → ({row.new_step}, {row.new_status})"
                if (row.step, row.status) != (row.new_step, row.new_status)
                else ""
            )
            + f": {row.fate}"
            for row in states
        ),
        *(f"dropped: {row.definition}" for row in dropped),
    ]

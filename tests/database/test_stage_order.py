"""The order of the stages stands once in Python and once in SQL, and the two agree."""

import re

import pytest
from sqlalchemy import Engine, text

from resources.postgres.claims import SAVE_QUERIES
from resources.postgres.queries import SQL_FOLDER
from stages.pipeline import STAGE_NAMES, STAGES
from testing.shop import Shop


def test_sql_has_the_stages_in_the_order_of_python(shop: Shop) -> None:
    stages, steps, last = shop.row("SELECT variant_stages(), variant_steps(), last_variant_stage()")
    assert tuple(stages) == STAGE_NAMES
    assert tuple(steps) == ("img_gen", *STAGE_NAMES)
    assert last == STAGE_NAMES[-1]


def test_a_step_and_its_position_lead_to_each_other(shop: Shop) -> None:
    rows = shop.table("SELECT step, variant_step_position(step) FROM unnest(variant_steps()) AS step")
    assert list(rows.values()) == list(range(len(STAGE_NAMES) + 1))
    assert all(shop.row("SELECT variant_step_at(:p)", p=position)[0] == step for step, position in rows.items())
    assert shop.row("SELECT variant_step_position('feed_gen'), variant_step_at(99)") == (None, None)


@pytest.mark.parametrize(("file", "lists"), [("schema.sql", 1), ("queries.sql", 0)])
def test_sql_lists_the_stages_in_one_place(file: str, lists: int) -> None:
    name = "|".join(f"'{name}'" for name in STAGE_NAMES)
    source = re.sub(r"--.*", "", (SQL_FOLDER / file).read_text())
    assert len(re.findall(rf"(?:{name})(?:,\s*(?:{name}))+", source)) == lists


@pytest.mark.parametrize(
    ("table", "predicate", "index"),
    [
        ("jobs_variants", "is_startable(current_step, status) AND old_work IS NULL", "idx_jobs_variants_startable"),
        ("jobs_variants", "is_at_work(current_step, status) AND old_work IS NULL", "idx_jobs_variants_running"),
        (
            "jobs",
            "is_in_our_hands(current_step, status)",
            "idx_jobs_with_variants_in_work",
        ),
    ],
)
def test_the_server_replaces_the_function_by_its_body_and_uses_the_index(
    engine: Engine, table: str, predicate: str, index: str
) -> None:
    with engine.begin() as connection:
        # An index that does not apply is not chosen, however dear the other way is.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        lines = connection.execute(text(f"EXPLAIN SELECT * FROM {table} WHERE {predicate}")).scalars()
        plan = "\n".join(lines)
    assert index in plan
    assert "is_" not in plan.replace(index, "")


def test_every_stage_has_a_query_that_saves_its_result() -> None:
    assert tuple(SAVE_QUERIES) == STAGE_NAMES


def test_no_two_stages_store_the_same_type() -> None:
    assert len({stage.result for stage in STAGES}) == len(STAGES)

"""The order of the stages stands once in Python and once in SQL."""

from resources.postgres.database import SAVE_QUERIES
from stages.pipeline import STAGE_NAMES, STAGES


def test_every_stage_has_a_query_that_saves_its_result() -> None:
    assert tuple(SAVE_QUERIES) == STAGE_NAMES


def test_no_two_stages_store_the_same_type() -> None:
    assert len({stage.result for stage in STAGES}) == len(STAGES)

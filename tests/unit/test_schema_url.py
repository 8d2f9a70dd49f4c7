"""Database URLs with a schema."""

import pytest

from orchestration.schema_url import in_schema

DRIVER = "postgresql+psycopg2://shop:p%40ss@h/ads"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", "-csearch_path%3Ddagster"),
        ("?options=-csearch_path%3Ddagster", "-csearch_path%3Ddagster"),
        ("?options=-cstatement_timeout%3D9", "-cstatement_timeout%3D9+-csearch_path%3Ddagster"),
    ],
)
def test_the_schema_is_added_once_to_the_options_that_are_given(query: str, options: str) -> None:
    assert in_schema(f"{DRIVER}{query}", "dagster") == f"{DRIVER}?options={options}"

"""Stored values, read again."""

from typing import Any

import pytest
from pydantic import ValidationError

from stages.values import Layout, Rect
from testing.pictures import text_at

LAYOUT = text_at(Rect(x=0.1, y=0.1, width=0.5, height=0.2), texts=("커피",))


def stored(**more: Any) -> dict[str, Any]:
    return {**LAYOUT.model_dump(mode="json"), **more}


def test_a_layout_is_stored_and_read_again() -> None:
    assert Layout.model_validate(stored()) == LAYOUT


def test_a_layout_that_an_older_version_stored_is_read() -> None:
    retired = {"text_rect": stored()["ink"], "stroke": None, "stroke_width_px": 0}
    assert Layout.model_validate(stored(**retired)) == LAYOUT


def test_a_field_that_no_version_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="shadow"):
        Layout.model_validate(stored(shadow=3))

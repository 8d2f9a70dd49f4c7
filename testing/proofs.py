"""The proof of an ad, as the stage readability_eval gives it to the verdict."""

from __future__ import annotations

from typing import Any

from stages.values import Fidelity


def proof(**other: Any) -> Fidelity:
    """Of an ad that is what was laid out and ordered, but for what is given."""
    found = {
        "largest_difference_em2": 0.0, "differs_at": None, "text_as_ordered": True, "missing_glyphs": 0,
        "smallest_text_share": 0.04, "least_margin_share": 0.06, "lines_overlap": 0.0, "lines_in_order": True,
        "displaced_em": 0.0, "reason": "",
    }  # fmt: skip
    return Fidelity.model_validate({**found, **other})

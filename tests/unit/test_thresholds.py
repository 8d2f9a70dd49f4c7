"""At which measurement an ad begins to be warned of, and at which it fails: each edge, from both sides.

The figures are given as a reader would count them: pixels of an object, wrong characters, pixels of a picture.
"""

import pytest

from stages.values import Fidelity, Judgement, ModelInfo, Outcome, Overlap, Readability, Recognition
from stages.verdict import verdict
from testing.proofs import proof

MODEL = ModelInfo(provider="test", model="test", revision="1")
SILENT = Judgement(on_brief=None, occlusion=None, contrast_ok=None, cta_present=None, reasoning="", model=MODEL)


def outcome(*, wrong_of_1000: int = 0, proof: Fidelity | None = None, **covered: float) -> Outcome:
    """Of an ad with nothing against it but what is given."""
    recognition = Recognition(
        recognized_text="", confidence=1.0, cer=0.0, cer_ignoring_spaces=wrong_of_1000 / 1000, wer=0.0,
        edit_distance=0, lines=(), reason="", model=MODEL,
    )  # fmt: skip
    readability = Readability(
        contrast_min=9.0, contrast_p1=9.0, contrast_p5=9.0, contrast_median=9.0, measured_fill=(0, 0, 0),
        large_text=False, passes_aa=True, passes_aaa=True, score=1.0, reason="", fidelity=proof,
    )  # fmt: skip
    nothing = {"max_iou": 0.0, "max_coverage": 0.0, "text_on_objects": 0.0}
    overlap = Overlap.model_validate({"objects": (), "overlaps": False, "reason": "", **nothing, **covered})
    return verdict(recognition, readability, overlap, SILENT).outcome


@pytest.mark.parametrize(
    ("hidden_px", "expected"), [(0, "pass"), (50, "pass"), (51, "warn"), (200, "warn"), (201, "fail"), (9999, "fail")]
)
def test_text_over_an_object_of_a_hundred_by_a_hundred_pixels(hidden_px: int, expected: Outcome) -> None:
    assert outcome(max_coverage=hidden_px / 100**2) == expected


@pytest.mark.parametrize(("hidden_px", "expected"), [(100, "pass"), (102, "warn"), (400, "warn"), (404, "fail")])
def test_a_plate_over_an_object_of_a_thousand_pixels(hidden_px: int, expected: Outcome) -> None:
    assert outcome(plate_coverage=hidden_px / 1000) == expected


@pytest.mark.parametrize(("wrong", "expected"), [(50, "pass"), (51, "warn"), (200, "warn"), (201, "fail")])
def test_wrong_characters_of_a_thousand_where_nothing_proves_the_drawing(wrong: int, expected: Outcome) -> None:
    assert outcome(wrong_of_1000=wrong) == expected


@pytest.mark.parametrize(("wrong", "expected"), [(201, "pass"), (350, "pass"), (351, "warn"), (999, "warn")])
def test_wrong_characters_of_a_thousand_where_the_drawing_is_proven(wrong: int, expected: Outcome) -> None:
    assert outcome(wrong_of_1000=wrong, proof=proof()) == expected


@pytest.mark.parametrize(("spoilt_px", "expected"), [(100, "pass"), (101, "fail")])
def test_a_spot_beside_type_of_a_hundred_pixels(spoilt_px: int, expected: Outcome) -> None:
    assert outcome(proof=proof(largest_difference_em2=spoilt_px / 100**2)) == expected


@pytest.mark.parametrize(("type_px", "expected"), [(100, "pass"), (99, "fail")])
def test_the_smallest_type_in_a_picture_of_4000_pixels(type_px: int, expected: Outcome) -> None:
    assert outcome(proof=proof(smallest_text_share=type_px / 4000)) == expected


@pytest.mark.parametrize(
    ("margin_px", "expected"), [(48, "pass"), (47, "warn"), (1, "warn"), (0, "warn"), (-1, "fail")]
)
def test_the_distance_from_the_border_of_a_picture_of_4000_pixels(margin_px: int, expected: Outcome) -> None:
    assert outcome(proof=proof(least_margin_share=margin_px / 4000)) == expected


@pytest.mark.parametrize(("common_px", "expected"), [(50, "pass"), (51, "fail")])
def test_a_line_of_a_thousand_pixels_that_reaches_into_its_neighbour(common_px: int, expected: Outcome) -> None:
    assert outcome(proof=proof(lines_overlap=common_px / 1000)) == expected


@pytest.mark.parametrize(("moved_px", "expected"), [(3.0, "pass"), (3.1, "fail")])
def test_letters_of_a_hundred_pixels_that_stand_elsewhere(moved_px: float, expected: Outcome) -> None:
    assert outcome(proof=proof(displaced_em=moved_px / 100)) == expected

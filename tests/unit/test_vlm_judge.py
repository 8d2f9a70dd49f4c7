"""Judgements: measured without a model, and made of a model's answer."""

import numpy as np
import pytest
from pydantic import ValidationError

from stages.model_call import request_trace
from stages.vlm_judge import JudgementAnswer, measured_judgement
from testing.models.answers import JUDGEMENT
from testing.pictures import MODEL, flat, noise


def test_every_opinion_is_left_open_with_the_reason() -> None:
    judgement = measured_judgement(noise(300, 300), MODEL)
    opinions = (judgement.on_brief, judgement.occlusion, judgement.contrast_ok, judgement.cta_present)
    assert opinions == (None, None, None, None)
    assert set(judgement.unknown) == {"on_brief", "occlusion", "contrast_ok", "cta_present"}
    assert judgement.model == MODEL


def test_a_black_ad_is_called_dark_flat_and_blurred() -> None:
    issues = measured_judgement(flat(300, 300, (0, 0, 0)), MODEL).issues
    assert [issue.split(" (")[0] for issue in issues] == ["very dark", "almost without contrast", "blurred"]


def test_a_judgement_has_everything_that_a_model_answers() -> None:
    judgement = JudgementAnswer.model_validate(JUDGEMENT).judgement(MODEL)
    opinions = (judgement.on_brief, judgement.occlusion, judgement.contrast_ok, judgement.cta_present)
    assert opinions == (True, False, True, False)
    assert (judgement.issues, judgement.reasoning, judgement.model) == ((), "fine", MODEL)


@pytest.mark.parametrize("wrong", [{"on_brief": "yes"}, {"mood": "good"}, {"reasoning": "x" * 201}])
def test_an_answer_of_another_form_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JudgementAnswer.model_validate(JUDGEMENT | wrong)


def test_the_trace_of_a_request_has_its_texts_and_the_size_of_the_picture() -> None:
    trace = request_trace(np.zeros((40, 60, 3), np.uint8), copy="커피", brief="spring")
    assert trace == {"copy": "커피", "brief": "spring", "image": {"width_px": 60, "height_px": 40}}

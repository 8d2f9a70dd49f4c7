"""What becomes of an ad: measurements decide, and a model's opinion may lower the verdict but never raise it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stages.values import (
    Fidelity,
    Judgement,
    Outcome,
    Overlap,
    Readability,
    Reason,
    Recognition,
    Verdict,
)


class VerdictThresholds(NamedTuple):
    """Where a measurement warns and where it fails; the one table of thresholds.

    Where the ad is proven to be what was laid out and ordered, a wrong reading is more likely the recogniser's fault
    than the ad's. It then only warns, and only above `cer_warn_proven`.
    """

    coverage_warn: float = 0.005
    coverage_fail: float = 0.02
    plate_warn: float = 0.1
    plate_fail: float = 0.4
    cer_warn: float = 0.05
    cer_fail: float = 0.2
    cer_warn_proven: float = 0.35
    difference_fail_em2: float = 0.01
    text_share_fail: float = 0.025
    margin_share_warn: float = 0.012
    lines_overlap_fail: float = 0.05
    displaced_fail_em: float = 0.03


_ORDER: tuple[Outcome, ...] = ("pass", "warn", "fail")


def verdict(
    recognition: Recognition,
    readability: Readability,
    overlap: Overlap,
    judgement: Judgement,
    thresholds: VerdictThresholds | None = None,
) -> Verdict:
    """The worst of all reasons, and a score 0…1 that ranks the variants of a job: the mean of the three measurements,
    at most 0.5 for an ad that fails.

    What the model says is taken as it is written in the four flags; none of its words is read. It can turn a pass into
    a warning, and nothing into anything better.
    """
    reasons = (*_measured(recognition, readability, overlap, thresholds or VerdictThresholds()), *_opinions(judgement))
    outcome = max((reason.outcome for reason in reasons), key=_ORDER.index, default="pass")
    parts = (
        readability.score,
        max(0.0, 1.0 - recognition.cer_ignoring_spaces),
        max(0.0, 1.0 - overlap.max_coverage),
    )
    score = sum(parts) / len(parts)
    return Verdict(outcome=outcome, reasons=reasons, score=round(min(score, 0.5) if outcome == "fail" else score, 4))


def _measured(
    recognition: Recognition, readability: Readability, overlap: Overlap, thresholds: VerdictThresholds
) -> Iterator[Reason]:
    if not readability.passes_aa:
        figure = f"{readability.contrast_p1:.2f}:1"
        yield _reason("fail", f"contrast {figure} fails WCAG AA", f"명암비 {figure}가 WCAG AA에 미달합니다")
    proof = tuple(_unfaithful(readability.fidelity, thresholds)) if readability.fidelity else ()
    yield from proof
    covered = _graded(overlap.max_coverage, thresholds.coverage_warn, thresholds.coverage_fail)
    if covered:
        figure = f"{overlap.max_coverage:.1%}"
        yield _reason(covered, f"text covers {figure} of an object", f"글자가 피사체의 {figure}를 가립니다")
    hidden = _graded(overlap.plate_coverage, thresholds.plate_warn, thresholds.plate_fail)
    if hidden:
        figure = f"{overlap.plate_coverage:.0%}"
        yield _reason(hidden, f"a plate hides {figure} of an object", f"판이 피사체의 {figure}를 가립니다")
    yield from _misread(recognition, thresholds, proven=readability.fidelity is not None and not proof)


def _unfaithful(found: Fidelity, thresholds: VerdictThresholds) -> Iterator[Reason]:
    if not found.text_as_ordered:
        yield _reason("fail", "the ad does not say what was ordered", "광고 문구가 주문한 문구와 다릅니다")
    if found.largest_difference_em2 > thresholds.difference_fail_em2:
        yield _reason("fail", "the picture is not what was laid out", "그림이 배치한 내용과 다릅니다")
    if found.missing_glyphs:
        figure = found.missing_glyphs
        yield _reason("fail", f"{figure} characters have no glyph", f"글자 {figure}개가 글꼴에 없습니다")
    if found.least_margin_share < 0:
        yield _reason("fail", "text is cut off by the border", "글자가 그림 밖으로 잘립니다")
    elif found.least_margin_share < thresholds.margin_share_warn:
        share = f"{found.least_margin_share:.1%}"
        yield _reason("warn", f"text is {share} from the border", f"글자가 가장자리에서 {share} 거리입니다")
    if found.smallest_text_share < thresholds.text_share_fail:
        share = f"{found.smallest_text_share:.1%}"
        yield _reason("fail", f"text is {share} of the short side", f"글자 크기가 짧은 변의 {share}입니다")
    if found.lines_overlap > thresholds.lines_overlap_fail or not found.lines_in_order:
        yield _reason("fail", "lines lie on one another or out of order", "줄이 겹치거나 순서가 바뀌었습니다")
    if found.displaced_em > thresholds.displaced_fail_em:
        yield _reason("fail", "letters are not set as their font has them", "글자 간격이 글꼴과 다릅니다")


def _misread(recognition: Recognition, thresholds: VerdictThresholds, *, proven: bool) -> Iterator[Reason]:
    rate = recognition.cer_ignoring_spaces
    figure = f"{rate:.0%}"
    english, korean = f"{figure} of the characters are read wrong", f"글자의 {figure}가 잘못 읽힙니다"
    if proven:
        if rate > thresholds.cer_warn_proven:
            yield _reason("warn", english, korean)
        return
    misread = _graded(rate, thresholds.cer_warn, thresholds.cer_fail)
    if misread:
        yield _reason(misread, english, korean)
    if recognition.critical_tokens_missed:
        tokens = ", ".join(recognition.critical_tokens_missed)
        yield _reason("fail", f"{tokens} cannot be read back", f"{tokens}을(를) 읽을 수 없습니다")


def _opinions(judgement: Judgement) -> Iterator[Reason]:
    if judgement.on_brief is False:
        yield _reason("warn", "the model finds the ad off brief", "모델이 기획 의도와 다르다고 봅니다")
    if judgement.occlusion is True:
        yield _reason("warn", "the model sees something important hidden", "모델이 중요한 부분이 가려졌다고 봅니다")
    if judgement.contrast_ok is False:
        yield _reason("warn", "the model finds the text hard to read", "모델이 글자를 읽기 어렵다고 봅니다")


def _graded(value: float, warn: float, fail: float) -> Outcome | None:
    return "fail" if value > fail else "warn" if value > warn else None


def _reason(outcome: Outcome, english: str, korean: str) -> Reason:
    return Reason(outcome=outcome, english=english, korean=korean)

"""What becomes of an ad: measurements decide, and a model's opinion may lower the verdict but never raise it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from variant_assets.stages.values import Judgement, Outcome, Overlap, Readability, Reason, Recognition, Verdict


class Limits(NamedTuple):
    """Where a measurement warns and where it fails; the one table of thresholds."""

    coverage_warn: float = 0.005
    coverage_fail: float = 0.02
    cer_warn: float = 0.05
    cer_fail: float = 0.2


_ORDER: tuple[Outcome, ...] = ("pass", "warn", "fail")


def verdict(
    recognition: Recognition,
    readability: Readability,
    overlap: Overlap,
    judgement: Judgement,
    limits: Limits | None = None,
) -> Verdict:
    """The worst of all reasons, and a score 0…1 that ranks the variants of a job: the mean of the three measurements,
    at most 0.5 for an ad that fails.

    What the model says is taken as it is written in the four flags; none of its words is read. It can turn a pass into
    a warning, and nothing into anything better.
    """
    reasons = (*_measured(recognition, readability, overlap, limits or Limits()), *_opinions(judgement))
    outcome = max((reason.outcome for reason in reasons), key=_ORDER.index, default="pass")
    parts = (
        readability.score,
        max(0.0, 1.0 - recognition.cer_ignoring_spaces),
        max(0.0, 1.0 - overlap.max_coverage),
    )
    score = sum(parts) / len(parts)
    return Verdict(outcome=outcome, reasons=reasons, score=round(min(score, 0.5) if outcome == "fail" else score, 4))


def _measured(recognition: Recognition, readability: Readability, overlap: Overlap, limits: Limits) -> Iterator[Reason]:
    if not readability.passes_aa:
        figure = f"{readability.contrast_p1:.2f}:1"
        yield _reason("fail", f"contrast {figure} fails WCAG AA", f"명암비 {figure}가 WCAG AA에 미달합니다")
    covered = _graded(overlap.max_coverage, limits.coverage_warn, limits.coverage_fail)
    if covered:
        figure = f"{overlap.max_coverage:.1%}"
        yield _reason(covered, f"text covers {figure} of an object", f"글자가 피사체의 {figure}를 가립니다")
    misread = _graded(recognition.cer_ignoring_spaces, limits.cer_warn, limits.cer_fail)
    if misread:
        figure = f"{recognition.cer_ignoring_spaces:.0%}"
        yield _reason(misread, f"{figure} of the characters are read wrong", f"글자의 {figure}가 잘못 읽힙니다")
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

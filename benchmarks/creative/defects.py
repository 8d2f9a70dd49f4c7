"""Does the verdict see what is wrong with an ad, and nothing where nothing is?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.creative import drawn_wrong, spoilt_pictures
from benchmarks.creative.measures import COVERED, AdFigures
from benchmarks.creative.methods import Ad, Given, Tools, truth
from benchmarks.creative.perturb import DEFECTS, Good, spoil
from benchmarks.report import Goal
from resources.ocr import Ocr
from stages.fidelity import fidelity
from stages.imaging.geometry import Image
from stages.iou_eval import overlap
from stages.ocr_eval import lines_to_read, score
from stages.readability_eval import measure
from stages.values import Judgement, Layout, ModelInfo, StageError
from stages.verdict import verdict

# Imported for what they add to DEFECTS.
KINDS_FROM = (drawn_wrong, spoilt_pictures)

_EVERY = 6
"""Each ad gets every sixth kind, each kind every sixth ad; which, the scene's number says."""

_SILENT = Judgement(
    on_brief=None, occlusion=None, contrast_ok=None, cta_present=None, reasoning="no model is asked",
    model=ModelInfo(provider="none", model="none", revision="1"),
)  # fmt: skip


class Tried(NamedTuple):
    """One defect in one ad, and what the verdict has to say."""

    kind: str
    caught: bool
    reasons: tuple[str, ...]


class DefectFigures(NamedTuple):
    """Of one scene: whether its untouched ad is good and passes, and each defect that was tried on it."""

    good: bool
    alarms: tuple[str, ...]
    tried: tuple[Tried, ...]


def is_good(figures: AdFigures) -> bool:
    """By what is really in the picture, and not by any measurement of the verdict."""
    return (
        figures.covered <= COVERED
        and figures.passes_aa
        and not figures.clipped
        and not figures.overflowing
        and not figures.missing_glyphs
        and not figures.needs_panel
    )


def figures_of_defects(given: Given, ad: Ad, figures: AdFigures, tools: Tools, ocr: Ocr) -> DefectFigures:
    """Defects are only put into good ads: of one that is bad already nothing would be learnt."""
    if not is_good(figures):
        return DefectFigures(False, (), ())
    alarms = complaints(given, ad.layout, ad.image, tools, ocr)
    good = Good(given.scene, ad.layout, ad.image, tools.fonts)
    tried = []
    for number, kind in enumerate(DEFECTS):
        if number % _EVERY == given.seed % _EVERY:
            bad = spoil(kind, good)
            if bad is not None:
                found = complaints(given, bad.layout, bad.image, tools, ocr)
                tried.append(Tried(kind, bool(found), found))
    return DefectFigures(True, alarms, tuple(tried))


def complaints(given: Given, layout: Layout, image: Image, tools: Tools, ocr: Ocr) -> tuple[str, ...]:
    """What the four last stages have against an ad; a stage that refuses it has something against it, too."""
    original = given.scene.image
    try:
        recognition = score(layout, ocr.read(image, lines_to_read(layout)), ocr.info, ocr.knows)
        faithful = fidelity(original, image, layout, given.copy, tools.fonts)
        readability = measure(original, image, layout, tools.fonts).model_copy(update={"fidelity": faithful})
        covered = overlap(layout, truth(given.scene)[0])
    except StageError as error:
        return (str(error),)
    return tuple(reason.english for reason in verdict(recognition, readability, covered, _SILENT).reasons)


def summary(results: Sequence[DefectFigures]) -> dict[str, Any]:
    """Totals, and of each kind how often it was tried and caught."""
    tried = [each for result in results for each in result.tried]
    kinds = {
        kind: f"{sum(each.caught for each in tried if each.kind == kind)} of {sum(each.kind == kind for each in tried)}"
        for kind in dict.fromkeys(each.kind for each in tried)
    }
    good = [result for result in results if result.good]
    return {
        "good ads": len(good),
        "defects tried": len(tried),
        "kinds of defect": len(kinds),
        "defects caught": sum(each.caught for each in tried) / max(1, len(tried)),
        "false alarms": sum(bool(result.alarms) for result in good) / max(1, len(good)),
        "kinds": kinds,
    }


def goals_of_defects(found: dict[str, Any]) -> list[Goal]:
    return [
        Goal.at_least("kinds of defect", found["kinds of defect"], 40, "kinds"),
        Goal.at_least("defects caught", found["defects caught"], 0.99, ""),
        Goal.at_most("false alarms on untouched ads", found["false alarms"], 0.01, ""),
    ]

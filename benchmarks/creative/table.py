"""One column for each method, one row for each figure, and the goals they are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.creative.measures import COVERED, AdFigures
from benchmarks.creative.methods import EMBEDDED, METHODS, OURS
from benchmarks.creative.run import SceneFigures
from benchmarks.report import Goal

Ads = Sequence[AdFigures]
Figure = Callable[[Ads], float]


def _mean(name: str) -> Figure:
    return lambda ads: float(np.mean([getattr(ad, name) for ad in ads]))


def _percentile(name: str, percent: float) -> Figure:
    return lambda ads: float(np.percentile([getattr(ad, name) for ad in ads], percent))


def _share(holds: Callable[[AdFigures], bool]) -> Figure:
    return lambda ads: sum(map(holds, ads)) / len(ads)


def _exact(script: str) -> Figure:
    def share(ads: Ads) -> float:
        lines = sum(getattr(ad.reading, f"{script}_lines") for ad in ads)
        return sum(getattr(ad.reading, f"{script}_exact") for ad in ads) / lines if lines else 1.0

    return share


def covers(ad: AdFigures) -> bool:
    return ad.covered > COVERED


def occ_gap(ad: AdFigures) -> float:
    return ad.region_occ - ad.best_occ


ROWS: dict[str, Figure] = {
    "ads made": lambda ads: float(len(ads)),
    "coverage of the most covered object, mean": _mean("covered"),
    "ads that cover an object > 2 %, share": _share(covers),
    "… where a free region of the minimum size exists": lambda ads: _share(covers)(
        [ad for ad in ads if ad.free_place_exists]
    ),
    "objects under a plate, mean of the worst": _mean("plated"),
    "Occ": _mean("occ"),
    "Uti": _mean("uti"),
    "Rea": _mean("rea"),
    "Occ over the best of the same area, mean": lambda ads: float(np.mean([occ_gap(ad) for ad in ads])),
    "Occ over the best of the same area, worst": lambda ads: max(map(occ_gap, ads)),
    "clipped": lambda ads: float(sum(ad.clipped for ad in ads)),
    "overflowing": lambda ads: float(sum(ad.overflowing for ad in ads)),
    "missing glyphs": lambda ads: float(sum(ad.missing_glyphs for ad in ads)),
    "font px at short side 1080, median": lambda ads: _median_px(ads, 50),
    "font px at short side 1080, 5th percentile": lambda ads: _median_px(ads, 5),
    "smallest px of any line at 1080": lambda ads: min(ad.smallest_px * 1080 / ad.short_side_px for ad in ads),
    "font / picture height, median": _percentile("font_share", 50),
    "font / picture height, 5th percentile": _percentile("font_share", 5),
    "ring contrast, min (median of ads)": _percentile("contrast_min", 50),
    "ring contrast, p1 (worst of ads)": _percentile("contrast_p1", 0),
    "ring contrast, p1 (median of ads)": _percentile("contrast_p1", 50),
    "ring contrast, p5 (median of ads)": _percentile("contrast_p5", 50),
    "passes AA at p1, share": _share(lambda ad: ad.passes_aa),
    "nothing under the text, share": _share(lambda ad: ad.under == "nothing"),
    "scrim under the text, share": _share(lambda ad: ad.under == "scrim"),
    "plate under the text, share": _share(lambda ad: ad.under == "plate"),
    "opacity where there is one, mean": lambda ads: float(np.mean([ad.opacity for ad in ads if ad.opacity] or [0.0])),
    "lines": lambda ads: float(sum(ad.lines for ad in ads)),
    "lines with characters unknown to the recogniser": lambda ads: float(sum(ad.reading.unknown_lines for ad in ads)),
    "Korean lines ≥ 24 px, characters known, read exactly": _exact("korean"),
    "Latin lines ≥ 24 px, characters known, read exactly": _exact("latin"),
    "plan, median ms": _percentile("plan_ms", 50),
    "overlay, median ms": _percentile("overlay_ms", 50),
}


def _median_px(ads: Ads, percent: float) -> float:
    return float(np.percentile([ad.font_px * 1080 / ad.short_side_px for ad in ads], percent))


def by_method(results: Sequence[SceneFigures]) -> dict[str, dict[str, float]]:
    """Figure → method → value."""
    ads = {method: [ad for result in results for ad in result.ads if ad.method == method] for method in METHODS}
    return {name: {m: round(figure(made), 4) for m, made in ads.items() if made} for name, figure in ROWS.items()}


def detector_figures(results: Sequence[SceneFigures]) -> dict[str, float]:
    found, true, matched = (
        sum(getattr(result.detector, name) for result in results) for name in ("found", "true", "matched")
    )
    kept = [result.detector.kept_clear for result in results if result.detector.true]
    return {
        "precision at IoU 0.5": round(matched / max(1, found), 4),
        "recall at IoU 0.5": round(matched / max(1, true), 4),
        "true object kept clear, mean share": round(float(np.mean(kept)), 4),
        "picture forbidden, mean share": round(float(np.mean([r.detector.forbidden_share for r in results])), 4),
    }


def print_table(rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{'':52}" + "".join(f"{method:>18}" for method in METHODS))
    for name, values in rows.items():
        print(f"{name:52}" + "".join(f"{values.get(method, float('nan')):18.4g}" for method in METHODS))
    print()


def goals(rows: dict[str, dict[str, float]], extra: dict[str, Any]) -> list[Goal]:
    """What this run says to each goal; `extra` holds the figures that are no figure of a method."""

    def of(name: str, method: str = OURS) -> float:
        return rows[name][method]

    covering = "… where a free region of the minimum size exists"
    ours = (OURS, EMBEDDED)
    return [
        Goal.at_most(
            "clipped, overflowing, missing glyphs",
            sum(of(name, method) for name in ("clipped", "overflowing", "missing glyphs") for method in ours),
            0,
            "",
        ),
        Goal.at_most("copy that found no place", extra["refused"], 0, "ads"),
        Goal.at_most("covers an object, free place exists, true boxes", of(covering), 0, "of ads"),
        Goal.at_most("covers an object, free place exists, embedded", of(covering, EMBEDDED), 0.10, "of ads"),
        Goal.at_most("Occ over the best, mean, true boxes", of("Occ over the best of the same area, mean"), 0.01, ""),
        Goal.at_most("Occ over the best, worst, true boxes", of("Occ over the best of the same area, worst"), 0.05, ""),
        Goal.at_most(
            "Occ over the best, mean, embedded", of("Occ over the best of the same area, mean", EMBEDDED), 0.05, ""
        ),
        Goal.at_most(
            "Occ over the best, worst, embedded", of("Occ over the best of the same area, worst", EMBEDDED), 0.25, ""
        ),
        Goal.at_least(
            "ads that reach AA at p1", min(of("passes AA at p1, share", method) for method in ours), 1.0, "of ads"
        ),
        Goal.at_least("smallest type at 1080 px", of("smallest px of any line at 1080"), 28, "px"),
        Goal.at_least(
            "Latin lines read exactly",
            min(of("Latin lines ≥ 24 px, characters known, read exactly", m) for m in ours),
            0.99,
            "of lines",
        ),
        Goal.at_least(
            "Korean lines read exactly",
            min(of("Korean lines ≥ 24 px, characters known, read exactly", m) for m in ours),
            0.95,
            "of lines",
        ),
        Goal.at_most("plan at 1080×1080, one core, median", extra["plan_ms"], 50, "ms"),
        Goal.at_most("overlay at 1080×1080, one core, median", extra["overlay_ms"], 80, "ms"),
        Goal.at_most("memory above the picture", extra["memory_mb"], 150, "MB"),
        Goal.at_most("pictures that differ when made twice", extra["differing"], 0, ""),
    ]

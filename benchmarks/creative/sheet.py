"""A contact sheet of the worst ads, each with what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageDraw

from benchmarks.creative.measures import AdFigures
from benchmarks.creative.methods import OURS, Given, make_ad
from benchmarks.creative.run import SceneFigures, given, tools
from stages.values import Rgb

_MOST, _COLUMNS = 12, 4
_TILE_PX, _WORDS_PX, _GAP_PX = 440, 84, 16
_PAGE_PX = 1300
_PAPER: Rgb = (250, 249, 246)
_INK: Rgb = (32, 32, 32)


def badness(ad: AdFigures) -> dict[str, float]:
    """How bad an ad is by each figure, 1 about where it can no longer be called good."""
    return {
        f"covers {ad.covered:.0%} of an object": ad.covered / 0.05,
        f"a plate over {ad.plated:.0%} of an object": ad.plated / 0.3,
        f"Occ {ad.region_occ - ad.best_occ:.2f} above the best": (ad.region_occ - ad.best_occ) / 0.1,
        f"contrast {ad.contrast_p1:.1f}": 2.0 if not ad.passes_aa else 0.0,
        f"{ad.under} of {ad.opacity:.0%}": ad.opacity / 0.8,
        f"type of {ad.font_px} px": 28 * ad.short_side_px / 1080 / ad.font_px,
        f"{len(ad.reading.misread)} lines misread": 0.7 * len(ad.reading.misread),
        "clipped or overflowing": 5.0 * (ad.clipped or ad.overflowing),
    }


def worst(results: Sequence[SceneFigures], path: Path) -> None:
    """Writes the twelve worst of our ads, worst first, as PNG or small JPEG; of one scene only the worse of the two."""
    found: dict[int, AdFigures] = {}
    for result in results:
        ours = [ad for ad in result.ads if ad.method.startswith("ours")]
        if ours:
            found[result.number] = max(ours, key=lambda ad: max(badness(ad).values()))
    ranked = sorted(found, key=lambda number: -max(badness(found[number]).values()))[:_MOST]
    ads(((number, found[number]) for number in ranked), len(ranked), path)


def ads(chosen: Iterable[tuple[int, AdFigures]], count: int, path: Path) -> None:
    rows = -(-count // _COLUMNS)
    step_x, step_y = _TILE_PX + _GAP_PX, _TILE_PX + _WORDS_PX + _GAP_PX
    paper = Pillow.new("RGB", (_COLUMNS * step_x + _GAP_PX, rows * step_y + _GAP_PX), _PAPER)
    for place, (number, figures) in enumerate(chosen):
        left, top = _GAP_PX + place % _COLUMNS * step_x, _GAP_PX + place // _COLUMNS * step_y
        paper.paste(_tile(given(number, tools()), figures.method), (left, top))
        _caption(paper, left, top + _TILE_PX + 4, figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        # For a page: small rather than sharp.
        paper.thumbnail((_PAGE_PX, _PAGE_PX), Pillow.Resampling.LANCZOS)
        paper.save(path, quality=72, optimize=True)
    else:
        paper.save(path)


def _tile(shown: Given, method: str) -> Pillow.Image:
    tile = Pillow.fromarray(make_ad(method, shown, tools()).image)
    tile.thumbnail((_TILE_PX, _TILE_PX), Pillow.Resampling.LANCZOS)
    return tile


def _caption(paper: Pillow.Image, left: int, top: int, figures: AdFigures) -> None:
    draw = ImageDraw.Draw(paper)
    font = tools().fonts.load(tools().fonts.choose("sans", bold=False), 15)
    faults = sorted(badness(figures).items(), key=lambda fault: -fault[1])[:2]
    boxes = "true boxes" if figures.method == OURS else "embedded detector"
    words = [figures.scene, f"{boxes}: " + ", ".join(name for name, _ in faults), figures.copy]
    for row, line in enumerate(words):
        if font.getlength(line) > _TILE_PX:
            while font.getlength(line + "…") > _TILE_PX:
                line = line[:-1]
            line += "…"
        draw.text((left, top + row * 24), line, font=font, fill=_INK)

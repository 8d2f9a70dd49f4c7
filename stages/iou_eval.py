"""How much of each object lies under the text: the IoU, and the coverage, by which an ad is judged."""

from __future__ import annotations

from stages.imaging.geometry import intersections, overlap_area, union_area
from stages.values import DetectedObject, Detections, Layout, ObjectOverlap, Overlap, Panel, Rect

COVERAGE_LIMIT = 0.02
"""An object is overlapped when more than this share of it lies under ink; IoU misses small objects."""
HIDES = 0.5
"""A panel of at least this opacity hides what lies under it."""


def overlap(layout: Layout, detections: Detections) -> Overlap:
    """IoU and coverage of each object by the ink of the drawn lines, in the order of the detections.

    IoU = |A∩B| / |A∪B|, coverage = |A∩B| / |B|, text on objects = |A ∩ ∪B| / |A|, with A the union of the
    ink rectangles of the lines, in fractions of the picture.
    """
    ink = [line.ink for line in layout.lines]
    text_area = union_area(ink)
    objects = tuple(_against(found, ink, text_area) for found in detections.objects)
    on_objects = union_area(intersections(ink, [found.box for found in detections.objects]))
    covered = max((found.coverage for found in objects), default=0.0)
    return Overlap(
        objects=objects,
        max_iou=max((found.iou for found in objects), default=0.0),
        max_coverage=covered,
        text_on_objects=_fraction(on_objects, text_area),
        plate_coverage=max((_hidden(found, layout.panel) for found in detections.objects), default=0.0),
        overlaps=covered > COVERAGE_LIMIT,
        reason=_reason(objects),
    )


def _against(found: DetectedObject, ink: list[Rect], text_area: float) -> ObjectOverlap:
    common = union_area(intersections(ink, [found.box]))
    return ObjectOverlap(
        label=found.label,
        box=found.box,
        iou=_fraction(common, text_area + found.box.area - common),
        coverage=_fraction(common, found.box.area),
    )


def _hidden(found: DetectedObject, panel: Panel | None) -> float:
    if panel is None or panel.opacity < HIDES:
        return 0.0
    return _fraction(float(overlap_area(found.box.corners, panel.rect.corners)), found.box.area)


def _fraction(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0


def _reason(objects: tuple[ObjectOverlap, ...]) -> str:
    if not objects:
        return "no object was found, so there is nothing the text could cover"
    worst = max(objects, key=lambda found: found.coverage)
    if worst.coverage == 0.0:
        return f"no text lies on any of the {len(objects)} objects"
    verdict = "more" if worst.coverage > COVERAGE_LIMIT else "not more"
    return f"text covers {worst.coverage:.1%} of {worst.label!r}, {verdict} than {COVERAGE_LIMIT:.0%}"

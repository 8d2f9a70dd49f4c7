"""A detector that needs no weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from resources.detector import Detected, faces
from resources.detector.background import background_saliency
from resources.detector.detail import border_of, detail, quadratic_through
from resources.loading.cpu_limit import limit_to_cpu_count
from stages.imaging.arrays import Bits, Floats32, Picture
from stages.imaging.geometry import Corners, area, common, enclosing, overlap_area
from stages.imaging.resizing import shrunk
from stages.imaging.spectral import spectral_residual
from stages.values import DetectedObject, ModelInfo, Rect, Size

Scored = tuple[float, Corners]

_LEAST_AMPLITUDE = 1e-6
_ALONGSIDE, _FILLED = 0.7, 0.75


class SaliencyDetector:
    """Finds salient objects: places that differ from the picture's border in colour, spectrum and detail.

    Colour: the Lab distance of each pixel to the nearest of the border's main colours, or to a gradient through the
    border. Spectrum: the spectral residual (Hou & Zhang, 2007) at three scales. Background: robust background detection
    (Zhu et al., 2014). Detail: texture stronger than the border's, and sharpness. Their weighted mean is cut a little
    below Otsu's threshold. People are found by their faces as well.
    """

    _LONG_SIDE_PX = 256
    _BORDER_COLORS = 5
    _RESIDUAL_SCALES_PX = (32, 64, 128)
    # In a picture whose Lab distances are all below this (2.3 is just noticeable) there is only texture, no object.
    _LEAST_DISTANCE = 14.0
    # A distance of so many times the variation within the border counts as fully different.
    _BEYOND_BORDER = 4.0
    # What is this salient by background detection is an object even in a colour of the border.
    _CLEARLY_APART = 0.3
    _LEAST_AREA, _MOST_AREA = 0.004, 0.95
    _MOST_OBJECTS = 12
    _FACE_SCORE = 0.9
    # Of the picture's width or height: between objects nearer than this there is no room for text.
    _JOINED_GAP = 0.07
    # Tuned on photographs and on scenes with known objects: most of the objects inside, least of the rest.
    _BACKGROUND_SHARE, _DETAIL_SHARE, _OF_OTSU, _OF_OTSU_AGAIN = 0.4, 0.14, 0.8, 1.2

    info = ModelInfo(provider="embedded", model="saliency", revision="4", parameters={"long_side_px": _LONG_SIDE_PX})

    survives_fork = True

    def load(self) -> None:
        import cv2

        # The first conversion makes tables.
        cv2.cvtColor(np.zeros((1, 1, 3), np.float32), cv2.COLOR_RGB2LAB)
        faces.load()

    @limit_to_cpu_count
    def detect(self, image: Picture) -> Detected:
        import cv2

        small = shrunk(image, self._LONG_SIDE_PX)
        height, width = small.shape[:2]
        distance = _distance_to_border(small, self._BORDER_COLORS)
        if float(np.percentile(distance, 99)) < self._LEAST_DISTANCE:
            return Detected(())
        apart = np.asarray(
            cv2.resize(background_saliency(small), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )
        prominence = self._prominence(small, distance, apart, detail(image, small))
        seen = [(self._FACE_SCORE, corners) for corners in faces.find_people(small)]
        boxes = [*seen, *self._boxes(prominence, distance, apart)]
        size = Size(width_px=width, height_px=height)
        objects = (
            DetectedObject(label="object", score=score, box=Rect.from_corners_px(*corners, size))
            for score, corners in sorted(boxes, reverse=True)[: self._MOST_OBJECTS]
        )
        return Detected(tuple(objects))

    def _prominence(self, small: Picture, distance: Floats32, apart: Floats32, detailed: Floats32) -> Floats32:
        """0…1 for each pixel: the weighted mean of all four measures."""
        import cv2

        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        residual = np.mean([_spectral_saliency(grey, side) for side in self._RESIDUAL_SCALES_PX], axis=0)
        # Wide enough for one repeat of a patterned cloth.
        border = distance[border_of(distance.shape, max(distance.shape) // 8)]
        far = min(float(np.percentile(distance, 98)), self._BEYOND_BORDER * float(np.percentile(border, 85)))
        color = np.clip(distance / max(far, self._LEAST_DISTANCE), 0, 1)
        near = cv2.GaussianBlur((0.75 * color + 0.25 * residual).astype(np.float32), (0, 0), 2.5)
        both = (1 - self._BACKGROUND_SHARE) * near + self._BACKGROUND_SHARE * apart
        return np.asarray((1 - self._DETAIL_SHARE) * both + self._DETAIL_SHARE * detailed, dtype=np.float32)

    def _boxes(self, prominence: Floats32, distance: Floats32, apart: Floats32) -> list[Scored]:
        eight_bit = np.clip(prominence * 255, 0, 255).astype(np.uint8)
        found = []
        for corners, on in self._parts(eight_bit, np.ones(eight_bit.shape, bool), self._OF_OTSU):
            differs = (
                float(np.median(distance[on])) >= self._LEAST_DISTANCE / 2
                or float(np.median(apart[on])) >= self._CLEARLY_APART
            )
            if differs:
                found.append((round(min(1.0, float(prominence[on].mean())), 4), corners))
        height, width = eight_bit.shape
        return _joined(_merged(found), self._JOINED_GAP * width, self._JOINED_GAP * height)

    def _parts(self, prominence: Picture, within: Bits, of_otsu: float) -> Iterator[tuple[Corners, Bits]]:
        """Connected places above Otsu's threshold; one that fills the picture is cut again by its own threshold."""
        import cv2

        otsu, _ = cv2.threshold(prominence[within], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        bits: Picture = np.where(within & (prominence > of_otsu * otsu), 255, 0).astype(np.uint8)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
        smooth = cv2.morphologyEx(cv2.morphologyEx(bits, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=8)
        for number in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[number])
            on = labels == number
            if width * height > self._MOST_AREA * on.size:
                if area < within.sum():
                    yield from self._parts(prominence, on, self._OF_OTSU_AGAIN)
            elif area >= self._LEAST_AREA * on.size:
                yield (left, top, left + width, top + height), on


def _distance_to_border(small: Picture, colors: int) -> Floats32:
    """Lab distance of each pixel to the main colours of the border, or to the gradient through it if that is nearer."""
    import cv2

    lab = np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), dtype=np.float32)
    margin = max(2, min(small.shape[:2]) // 24)
    sides = [lab[:margin], lab[-margin:], lab[:, :margin], lab[:, -margin:]]
    border = np.concatenate([side.reshape(-1, 3) for side in sides])
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, labels, centers = cv2.kmeans(border, colors, np.zeros(0), criteria, 1, cv2.KMEANS_PP_CENTERS)
    # A colour on a single side belongs to an object that reaches the edge, not to the background.
    ends = np.cumsum([side.shape[0] * side.shape[1] for side in sides])[:-1]
    shares = np.stack([np.bincount(part.ravel(), minlength=colors) / part.size for part in np.split(labels, ends)])
    common = (shares >= 0.1).sum(axis=0) >= 2
    background = centers[common] if common.any() else centers
    to_colors = np.min([np.linalg.norm(lab - center, axis=2) for center in background], axis=0)
    return np.asarray(np.minimum(to_colors, _distance_to_gradient(lab, margin)), dtype=np.float32)


def _distance_to_gradient(lab: Floats32, margin: int) -> Floats32:
    """Lab distance to a quadratic surface that is fitted to the border, as a plain studio background is one."""
    border = border_of(lab.shape, margin)
    return np.asarray(np.linalg.norm(lab - quadratic_through(lab, border), axis=2), dtype=np.float32)


def _spectral_saliency(grey: Floats32, side_px: int) -> Floats32:
    """The spectral residual of `grey` reduced to a square of this side, smoothed; 0…1, of the shape of `grey`."""
    import cv2

    square = np.asarray(cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA), np.float32)
    residual = spectral_residual(square, lambda values: cv2.blur(values, (3, 3)), _LEAST_AMPLITUDE)
    smooth = cv2.GaussianBlur(residual, (0, 0), side_px / 24)
    scaled = smooth / max(float(np.percentile(smooth, 99)), 1e-12)
    return np.asarray(cv2.resize(np.clip(scaled, 0, 1), grey.shape[::-1]), dtype=np.float32)


def _merged(boxes: list[Scored]) -> list[Scored]:
    """Without the boxes that lie mostly in a larger one; the larger one gets the better score."""
    kept: list[Scored] = []
    for score, box in sorted(boxes, key=lambda scored: -area(scored[1])):
        for number, (other_score, other) in enumerate(kept):
            if overlap_area(box, other) >= 0.6 * area(box):
                kept[number] = (max(score, other_score), other)
                break
        else:
            kept.append((score, box))
    return kept


def _joined(boxes: list[Scored], gap_x_px: float, gap_y_px: float) -> list[Scored]:
    """Boxes side by side or above one another, nearer than the gap, become one: they are mostly parts of one object."""
    left = list(boxes)
    done: list[Scored] = []
    while left:
        score, box = left.pop()
        near = next((other for other in left if _in_line(box, other[1], gap_x_px, gap_y_px)), None)
        if near is None:
            done.append((score, box))
        else:
            left.remove(near)
            left += [(max(score, near[0]), enclosing((box, near[1]))), *done]
            done = []
    return done


def _in_line(one: Corners, other: Corners, gap_x_px: float, gap_y_px: float) -> bool:
    """Whether two near boxes lie side by side or above one another and together nearly fill a rectangle."""
    left, top, right, bottom = common(one, other).tolist()
    across, down = right - left, bottom - top
    above = across >= _ALONGSIDE * min(one[2] - one[0], other[2] - other[0]) and down > -gap_y_px
    beside = down >= _ALONGSIDE * min(one[3] - one[1], other[3] - other[1]) and across > -gap_x_px
    return (above or beside) and bool(area(one) + area(other) >= _FILLED * area(enclosing((one, other))))

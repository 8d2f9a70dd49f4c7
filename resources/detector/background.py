"""Saliency by robust background detection, without trained weights.

Zhu et al., "Saliency Optimization from Robust Background Detection" (CVPR 2014): a region that is connected
to much of the picture's border is background; a region whose colour differs from the background's is salient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Bits, Floats32, Picture
from stages.imaging.resizing import scaled

SIDE_PX = 256  # of the reduced picture in which regions are made
LEAST_SIDE_PX = 16  # of a very narrow one
REGIONS = 220
SLIC_ROUNDS = 5
LEAST_REGION_PERCENT = 25
COLOR_SIGMA = 10.0  # Lab units: colours that differ by more belong to another region
SPACE_SIGMA = 0.4
CLEAR_CONTRAST = 30.0  # Lab units: an object so far from its background is fully salient
LEAST_ROOM = 0.15  # of saliency above the background's; with less, nothing is fully salient
SMOOTHNESS = 0.1


class _Regions(NamedTuple):
    """Superpixels: `labels` (height, width) and, by label, the Lab colour, the centre and the neighbours."""

    labels: NDArray[np.int32]
    colors: Floats32
    centres: Floats32
    touching: Bits
    border: NDArray[np.int64]


def background_saliency(image: Picture) -> Floats32:
    """0…1 for each pixel of the picture reduced to SIDE_PX: 0 on the background, 1 on what is most salient."""
    lab = _small_lab(image)
    regions = _regions(lab)
    apart = np.sqrt(((regions.colors[:, None] - regions.colors[None]) ** 2).sum(axis=2))
    background = _background_share(regions, apart)
    salient = _contrast(regions, apart, background) * (1 - background)
    values = _smoothed(regions, apart, background, salient)
    usual = float(np.average(values, weights=background + 1e-3))
    relative = (values - usual) / max(float(values.max()) - usual, LEAST_ROOM)
    return np.asarray(np.clip(relative, 0, 1)[regions.labels], np.float32)


def _small_lab(image: Picture) -> Floats32:
    import cv2

    small = scaled(image, SIDE_PX, LEAST_SIDE_PX)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 1), np.float32)


def _regions(lab: Floats32) -> _Regions:
    import cv2

    height, width = lab.shape[:2]
    size = max(4, int(np.sqrt(height * width / REGIONS)))
    slic = cv2.ximgproc.createSuperpixelSLIC(lab, cv2.ximgproc.SLICO, size)
    slic.iterate(SLIC_ROUNDS)
    slic.enforceLabelConnectivity(LEAST_REGION_PERCENT)
    labels = np.asarray(slic.getLabels(), np.int32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    colors = np.stack([_region_means(lab[:, :, channel], labels) for channel in range(3)], axis=1)
    centres = np.stack([_region_means(columns, labels), _region_means(rows, labels)], axis=1)
    touching = np.zeros((len(colors), len(colors)), bool)
    for here, there in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
        touching[here, there] = touching[there, here] = True
    np.fill_diagonal(touching, False)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return _Regions(labels, colors, centres, touching, border.astype(np.int64))


def _region_means(values: Floats32, labels: NDArray[np.int32]) -> Floats32:
    counts = np.bincount(labels.ravel())
    return (np.bincount(labels.ravel(), weights=values.ravel()) / np.maximum(counts, 1)).astype(np.float32)


def _background_share(regions: _Regions, apart: Floats32) -> Floats32:
    """1 for a region whose colour is found along much of the border, 0 where it is hardly found there (eq. 3 to 5)."""
    near = np.where(regions.touching, apart, np.inf).min(axis=1)
    usual = float(near[np.isfinite(near)].mean()) if np.isfinite(near).any() else 0.0
    linked = regions.touching.copy()
    linked[np.ix_(regions.border, regions.border)] = True
    path = np.where(linked, np.maximum(apart - usual, 0), np.inf).astype(np.float32)
    np.fill_diagonal(path, 0)
    for via in range(len(path)):  # Floyd and Warshall: the least change of colour on the way
        np.minimum(path, path[:, via, None] + path[None, via], out=path)
    alike = np.exp(-(path**2) / (2 * COLOR_SIGMA**2))
    connectivity = alike[:, regions.border].sum(axis=1) / np.sqrt(alike.sum(axis=1))
    return np.asarray(1 - np.exp(-(connectivity**2) / 2), np.float32)


def _contrast(regions: _Regions, apart: Floats32, background: Floats32) -> Floats32:
    """0…1: the distance of a region's colour from the background's, weighted by nearness."""
    distance = ((regions.centres[:, None] - regions.centres[None]) ** 2).sum(axis=2)
    weight = np.exp(-distance / (2 * SPACE_SIGMA**2)) * background
    contrast = (apart * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
    return np.asarray(np.clip(contrast / max(float(contrast.max()), CLEAR_CONTRAST), 0, 1), np.float32)


def _smoothed(regions: _Regions, apart: Floats32, background: Floats32, salient: Floats32) -> Floats32:
    """Saliency that fits both measures and changes only where colours change (eq. 9, a linear system)."""
    around = regions.touching.astype(np.float32)
    linked = regions.touching | (around @ around > 0)
    weight = np.where(linked, np.exp(-(apart**2) / (2 * COLOR_SIGMA**2)) + SMOOTHNESS, 0)
    np.fill_diagonal(weight, 0)
    system = np.diag(0.7 * background + 0.05 + salient + weight.sum(axis=1)) - weight
    return np.asarray(np.clip(np.linalg.solve(system, salient), 0, 1), np.float32)

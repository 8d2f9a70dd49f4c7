"""Latin letters, digits and signs: PP-OCR's recognition network, whose weights come with rapidocr.

The network is run by onnxruntime directly: its lines are known, so rapidocr's detection, and the 60 MB and
0.8 s that importing it costs, are not needed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resources.ocr.ink import INK_BELOW, MARGIN_PX, Corners, Map, crop, find_ink
from stages.imaging.arrays import Picture
from stages.values import LineRead, Rgb

MODEL = "PP-OCRv6_rec_small"
INPUT_HEIGHT_PX = 48
LEAST_WIDTH_PX = 320  # shorter lines are padded to it, as in training
MOST_WIDTH_PX = 3200  # longer ones, which only a box of a few pixels' height can be, are squeezed
PADDING = 0.1  # of the line's height, around its ink
OTHER_PADDINGS = (0.05, 0.2)
SURE = 0.9
WORD_GAP = 0.42  # of the ink's height; between letters, digits and signs of one word it is half of that
SIGN_GAP = 0.6  # of the same: room for a sign
BAR = 0.85  # of its width: no row through the middle of a W has so much ink
_LOADING = threading.Lock()


class Sign(NamedTuple):
    """One recognised sign, how sure, and its centre as a fraction of the crop's width."""

    text: str
    confidence: float
    x: float


class Network(NamedTuple):
    session: Any
    characters: list[str]


def load() -> Network:
    """The network, loaded once per process."""
    with _LOADING:
        return _load()


@cache
def _load() -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena would keep the largest line's buffers for ever
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(_weights()), options, providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    return Network(session, ["", *names, " "])


def _weights() -> Path:
    package = find_spec("rapidocr")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("rapidocr, which carries the weights that read Latin text, is not installed")
    return Path(package.submodule_search_locations[0]) / "models" / f"{MODEL}.onnx"


def read_line(image: Picture, corners_px: Corners, fill: Rgb) -> LineRead:
    """The line within these corners: the surest of two views of it, or of several where a sign is unsure."""
    found = find_ink(image, corners_px, fill)
    if found is None:
        return LineRead(text="", confidence=0.0)
    # On a busy ground the map shows small signs, and on a calm one the picture shows how letters end.
    views = [
        crop(image, found.corners_px, round(found.height_px * PADDING)),
        np.repeat((found.map * 255).astype(np.uint8)[:, :, None], 3, axis=2),
    ]
    signs = max(map(recognize, views), key=least_confidence)
    if least_confidence(signs) < SURE:
        views = [crop(image, found.corners_px, round(found.height_px * padding)) for padding in OTHER_PADDINGS]
        signs = max([signs, *map(recognize, views)], key=least_confidence)
    return joined(spaced(signs, found.map), found.map)


def spaced(signs: Sequence[Sign], ink: Map) -> tuple[Sign, ...]:
    """The signs with the spaces that the network lost: where the ink has a gap as wide as between words."""
    height, width = ink.shape[0] - 2 * MARGIN_PX, ink.shape[1]
    columns = np.flatnonzero((ink < INK_BELOW).any(axis=0))
    gaps = [
        (int(left) + int(right)) / 2 / width
        for left, right in pairwise(columns)
        if right - left > max(WORD_GAP * height, 2) and not _holds_a_sign(int(left), int(right), signs, ink)
    ]
    found = list(signs)
    for gap in gaps:
        place = sum(sign.x < gap for sign in found)
        # The network's own space may lie a sign beside its gap.
        seen = any(sign.text == " " and abs(sign.x - gap) * width < 0.6 * height for sign in signs)
        if 0 < place < len(found) and not seen and (found[place - 1].text + found[place].text).strip("0123456789,.-:%"):
            found.insert(place, Sign(" ", 1.0, gap))
    return tuple(found)


def _holds_a_sign(left: int, right: int, signs: Sequence[Sign], ink: Map) -> bool:
    """Whether a gap is one only because the map has lost what the network sees in its middle, on a busy ground."""
    wide = right - left > SIGN_GAP * (ink.shape[0] - 2 * MARGIN_PX)
    middle, quarter = (left + right) / 2, (right - left) / 4
    return wide and any(sign.text != " " and abs(sign.x * ink.shape[1] - middle) < quarter for sign in signs)


def least_confidence(signs: Sequence[Sign]) -> float:
    """How sure the least sure sign is, spaces left out; 0 if there is none."""
    return min((sign.confidence for sign in signs if sign.text != " "), default=0.0)


def recognize(line: Picture) -> tuple[Sign, ...]:
    """The signs of one line, given as uint8 RGB (height, width, 3) with a margin of about `PADDING`."""
    network = load()
    tensor, width = _tensor(line)
    (probabilities,) = network.session.run(None, {network.session.get_inputs()[0].name: tensor})
    return _decode(probabilities[0], network.characters, tensor.shape[3] / width)


def joined(signs: Sequence[Sign], ink: Map) -> LineRead:
    """The signs as text, given the ink map of the same columns.

    The network knows the won sign and yet reads it as W: before a digit, a W with a bar across is a won sign.
    """
    text = ""
    for sign, following in zip_longest(signs, signs[1:]):
        price = sign.text == "W" and following is not None and following.text.isdigit()
        text += "₩" if price and _has_bar(ink, sign.x) else sign.text
    confidence = sum(sign.confidence for sign in signs) / len(signs) if signs else 0.0
    return LineRead(text=text.strip(), confidence=min(1.0, confidence))


def _has_bar(ink: Map, x: float) -> bool:
    """Whether a row in the middle of the spot at this fraction of the width is ink nearly from end to end."""
    import cv2

    _, labels, boxes, _ = cv2.connectedComponentsWithStats((ink < INK_BELOW).astype(np.uint8), connectivity=8)
    column = labels[:, min(int(x * ink.shape[1]), ink.shape[1] - 1)]
    if not column.any():
        return False
    spot = int(np.bincount(column[column > 0]).argmax())
    left, top, width, height = boxes[spot, :4]
    rows = labels[top + height // 5 : top + height * 4 // 5, left : left + width] == spot
    return bool((rows.mean(axis=1) >= BAR).any())


def _tensor(line: Picture) -> tuple[NDArray[np.float32], int]:
    """The network's input (1, 3, 48, width), BGR in -1…1, and how many columns of it hold the line."""
    import cv2

    height, width = line.shape[:2]
    scaled = min(max(8, int(np.ceil(INPUT_HEIGHT_PX * width / height))), MOST_WIDTH_PX)
    how = cv2.INTER_LINEAR if height < INPUT_HEIGHT_PX else cv2.INTER_AREA
    pixels = cv2.resize(line, (scaled, INPUT_HEIGHT_PX), interpolation=how)
    tensor = np.zeros((1, 3, INPUT_HEIGHT_PX, max(scaled, LEAST_WIDTH_PX)), np.float32)
    tensor[0, :, :, :scaled] = pixels[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    return tensor, scaled


def _decode(probabilities: NDArray[np.float32], characters: list[str], stretch: float) -> tuple[Sign, ...]:
    """Greedy CTC: the best class of each step, repetitions and blanks (class 0) left out."""
    best = probabilities.argmax(axis=1)
    signs = []
    for step, label in enumerate(best):
        if label and (step == 0 or label != best[step - 1]):
            centre = (step + 0.5) / len(best) * stretch
            signs.append(Sign(characters[label], float(probabilities[step, label]), centre))
    return tuple(signs)

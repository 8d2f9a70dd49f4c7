"""PP-OCR's recognition network through rapidocr, whose package carries the weights. It knows no Hangul."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from resources.loading.loaded_once import LoadedOnce
from resources.ocr.ink import Line
from stages.values import LineRead

WON = re.compile(r"\bW(?=\d)")  # the won sign is in its dictionary, and still it reads W
# Where the lines are is known, and which way up. With threads of its own it would not work in a forked process.
SETTINGS = {
    **{f"Global.{step}": False for step in ("use_det", "use_cls", "use_preprocess_img")},
    **{f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")},
    "Global.log_level": "warning",
}


class PpOcr:
    """Reads in the thread that calls it, in any number of threads at once."""

    def __init__(self) -> None:
        self.engine: LoadedOnce[Any] = LoadedOnce(self._load)

    def knows(self, character: str) -> bool:
        return character in self.engine.get().text_rec.postprocess_op.dict

    def read(self, line: Line) -> list[LineRead]:
        """What it reads in the picture and in the map, which is better on a busy ground; the surer one first."""
        in_map = np.repeat((line.map * 255).astype(np.uint8)[:, :, None], 3, axis=2)
        found = [self.engine.get()(np.ascontiguousarray(view)) for view in (line.picture[:, :, ::-1], in_map)]
        reads = (LineRead(text=WON.sub("₩", each.txts[0].strip()), confidence=each.scores[0]) for each in found)
        return sorted(reads, key=lambda read: -read.confidence)

    def _load(self) -> Any:
        from rapidocr import RapidOCR

        engine = RapidOCR(params=SETTINGS)
        engine(np.full((48, 48, 3), 255, np.uint8))  # the weights are read with the first picture
        return engine

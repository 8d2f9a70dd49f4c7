"""One variant through the stages, with embedded backends or with small real ones. Prints JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.models.cases import KINDS, import_libraries
from benchmarks.models.one import prepare
from benchmarks.stages import Backends, stage_times
from resources.fonts import installed_fonts
from resources.settings import Settings
from service.demo import ENGLISH, generated_images

_CHOSEN = {
    "embedded": ("VLM=embedded", "DETECTOR=embedded", "OCR=embedded"),
    "real": ("VLM=local", "DETECTOR=yolo, .onnx", "OCR=paddle"),
}


def main() -> int:
    names = _CHOSEN[sys.argv[1]]
    prepare()
    for name in names:
        import_libraries(KINDS[name])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        vision, detector, ocr = (KINDS[name].make(Path(folder), "").backend for name in names)
        backends = Backends(vision, detector, ocr, installed_fonts(Settings().font_folders))
        times = stage_times(backends, list(generated_images())[-1], ENGLISH)
    print(json.dumps(times._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

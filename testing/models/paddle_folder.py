"""A PaddleOCR recognition model in its own folder layout, from the real PP-OCR weights that come with rapidocr."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

NAME = "PP-OCRv5_mobile_rec"


def make(folder: Path) -> Path:
    import onnxruntime
    import yaml

    spec = find_spec("rapidocr")
    assert spec is not None
    weights = Path((spec.submodule_search_locations or [""])[0]) / "models" / "PP-OCRv6_rec_small.onnx"
    folder.mkdir(parents=True)
    shutil.copy(weights, folder / "inference.onnx")
    characters = onnxruntime.InferenceSession(str(weights)).get_modelmeta().custom_metadata_map["character"]
    operations = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        {"MultiLabelEncode": {"gtc_encode": "NRTRLabelEncode"}},
        {"RecResizeImg": {"image_shape": [3, 48, 320]}},
        {"KeepKeys": {"keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]}},
    ]
    description = {
        "Global": {"model_name": NAME},
        "PreProcess": {"transform_ops": operations},
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters.splitlines()},
    }
    (folder / "inference.yml").write_text(yaml.safe_dump(description, allow_unicode=True), encoding="utf-8")
    return folder

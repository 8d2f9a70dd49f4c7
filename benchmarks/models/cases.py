"""Each backend on its small artefact: how it is made, what one variant asks of it, and its library called bare."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resources.detector.saliency import SaliencyDetector
from resources.detector.yolo import YoloDetector, YoloSettings
from resources.ocr import line_pixels
from resources.ocr.embedded import EmbeddedOcr
from resources.ocr.paddle import PaddleOcr, PaddleSettings
from resources.ocr.tesseract import Tesseract
from resources.settings import Settings
from resources.vlm.endpoint import EndpointSettings, EndpointVision, data_url
from resources.vlm.local import LocalSettings, LocalVision
from resources.vlm.measured import MeasuredVision
from resources.vlm.prompt import JUDGE, prompt
from stages.values import LineToRead, Value
from stages.vlm_judge import JudgementAnswer
from testing.drawing import drawn_line, stacked
from testing.models import paddle_folder, tiny_llava
from testing.models.cache import CACHE
from testing.models.shapes import table, trained
from testing.models.taught_llava import taught

_COPY, _BRIEF = "Fresh coffee, 3,900", "coffee"
_IMAGE_SIZE_PX = 128

Call = Callable[[], object]


class Case(NamedTuple):
    """`variant` does what one variant asks and says whether every answer was of the right form.

    `ours` and `bare` do the same single call, through the backend and with the library alone; embedded backends have
    no library to compare with.
    """

    backend: Any
    variant: Callable[[], bool]
    ours: Call | None = None
    bare: Callable[[], Call] | None = None


class Kind(NamedTuple):
    """What is imported first, the class whose loading is counted, and how a case is made in a folder."""

    libraries: tuple[str, ...]
    loads: Callable[[], int] | tuple[type[Any], str]
    make: Callable[[Path, str], Case]


def _picture() -> Any:
    return np.random.default_rng(0).integers(0, 255, (360, 480, 3), dtype=np.uint8)


def _valid(value: Value) -> bool:
    """The value survives the way into the database and back."""
    return type(value).model_validate_json(value.model_dump_json()) == value


def _vision(vision: Any, picture: Any) -> bool:
    return _valid(vision.analyze(picture, _COPY)) and _valid(vision.judge(picture, _COPY, _BRIEF))


def _measured(_folder: Path, _url: str) -> Case:
    vision, picture = MeasuredVision(), _picture()
    return Case(vision, lambda: _vision(vision, picture))


def _local(folder: Path, _url: str) -> Case:
    vision = LocalVision(LocalSettings(str(tiny_llava.make(folder / "llava")), device="cpu", dtype="float32"))
    picture = _picture()

    def bare() -> Call:
        import torch
        from PIL import Image

        model, processor, masks = vision.loaded.get()
        content = [{"type": "image"}, {"type": "text", "text": prompt(JUDGE, copy=_COPY, brief=_BRIEF)}]
        messages = [{"role": "user", "content": content}]

        def call() -> object:
            text = processor.apply_chat_template(messages, add_generation_prompt=True)
            inputs = processor(images=Image.fromarray(picture), text=text, return_tensors="pt")
            masks[JudgementAnswer].reset()
            with torch.inference_mode():
                tokens = model.generate(
                    **inputs, max_new_tokens=1024, do_sample=False, logits_processor=[masks[JudgementAnswer]]
                )
            return processor.decode(tokens[0], skip_special_tokens=True)

        return call

    return Case(vision, lambda: _vision(vision, picture), lambda: vision.judge(picture, _COPY, _BRIEF), bare)


def _endpoint(_folder: Path, url: str) -> Case:
    model = str(taught(CACHE))
    vision, picture = EndpointVision(EndpointSettings(url, model, "none")), _picture()

    def bare() -> Call:
        from openai import OpenAI

        client = OpenAI(base_url=url, api_key="none")
        asked = {"type": "text", "text": prompt(JUDGE, copy=_COPY, brief=_BRIEF)}

        def call() -> object:
            content: Any = [{"type": "image_url", "image_url": {"url": data_url(picture)}}, asked]
            return client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": content}], temperature=0, max_tokens=1024
            )

        return call

    return Case(vision, lambda: _vision(vision, picture), lambda: vision.judge(picture, _COPY, _BRIEF), bare)


def _saliency(_folder: Path, _url: str) -> Case:
    detector, picture = SaliencyDetector(), table(2002, side_px=480)[0]
    return Case(detector, lambda: all(_valid(found) for found in detector.detect(picture).objects))


def _yolo(weights: Path) -> Case:
    labels = {"pizza": 1.0, "cup": 1.0}
    detector = YoloDetector(YoloSettings(weights, 0.25, 0.45, labels, image_size_px=_IMAGE_SIZE_PX))
    picture = table(2002)[0]

    def variant() -> bool:
        objects = detector.detect(picture).objects
        return bool(objects) and all(map(_valid, objects))

    def bare() -> Call:
        model = detector.model.get()

        def call() -> object:
            # It takes arrays with blue first, whoever calls it.
            blue_first = np.ascontiguousarray(picture[..., ::-1])
            return model.predict(
                blue_first, conf=0.25, iou=0.45, imgsz=_IMAGE_SIZE_PX, retina_masks=True, verbose=False
            )

        return call

    return Case(detector, variant, lambda: detector.detect(picture), bare)


def _yolo_pt(_folder: Path, _url: str) -> Case:
    return _yolo(trained(CACHE))


def _yolo_onnx(folder: Path, _url: str) -> Case:
    from ultralytics import YOLO

    copy = folder / "shapes.pt"
    copy.write_bytes(trained(CACHE).read_bytes())
    with warnings.catch_warnings():
        # Tracing warns of every branch it cannot follow.
        warnings.simplefilter("ignore")
        return _yolo(Path(YOLO(str(copy)).export(format="onnx", imgsz=_IMAGE_SIZE_PX, verbose=False)))


def _lines() -> tuple[Any, tuple[LineToRead, ...]]:
    image, line = drawn_line("Fresh coffee every day", script="latin")
    return image, (line,)


def _paddle(folder: Path, _url: str) -> Case:
    model = str(paddle_folder.make(folder / "rec"))
    ocr = PaddleOcr(PaddleSettings(model, model))
    image, lines = _lines()

    def bare() -> Call:
        recognizer = ocr.models["latin"].get().recognizer
        left, top, right, bottom = line_pixels(lines[0], image)
        crop = np.ascontiguousarray(image[top:bottom, left:right, ::-1])
        return lambda: list(recognizer.predict([crop], batch_size=1))

    return Case(ocr, lambda: all(map(_valid, ocr.read(image, lines))), lambda: ocr.read(image, lines), bare)


def _embedded_ocr(_folder: Path, _url: str) -> Case:
    ocr = EmbeddedOcr(Settings().tessdata_folders)
    image, lines = stacked(drawn_line("커피 한 잔 3,900원"), drawn_line("Fresh coffee", script="latin"))
    return Case(ocr, lambda: all(map(_valid, ocr.read(image, lines))))


def _nothing_to_load() -> int:
    return 1


KINDS = {
    "VLM=embedded": Kind(("cv2",), _nothing_to_load, _measured),
    "VLM=local": Kind(("torch", "transformers", "outlines"), (LocalVision, "_load"), _local),
    "VLM=endpoint": Kind(("openai",), (EndpointVision, "_connect"), _endpoint),
    "DETECTOR=embedded": Kind(("cv2",), _nothing_to_load, _saliency),
    "DETECTOR=yolo, .pt": Kind(("torch", "ultralytics"), (YoloDetector, "_load"), _yolo_pt),
    "DETECTOR=yolo, .onnx": Kind(("torch", "ultralytics"), (YoloDetector, "_load"), _yolo_onnx),
    "OCR=embedded": Kind(("cv2", "rapidocr", "tesserocr"), (Tesseract, "_load"), _embedded_ocr),
    "OCR=paddle": Kind(("torch", "paddleocr"), (PaddleOcr, "_load"), _paddle),
}


def import_libraries(kind: Kind) -> None:
    """torch takes one core, as it does where several runs share a machine."""
    for library in kind.libraries:
        importlib.import_module(library)
        if library == "torch":
            import torch

            from testing.models.cpu_torchvision import install

            install()
            torch.set_num_threads(1)

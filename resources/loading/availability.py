"""Whether the chosen backends can run: what each needs and what of it is there. Imports none of their libraries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from resources.fonts import installed_fonts
from resources.loading.weights import folder_or_name
from resources.settings import SettingError, Settings
from stages.type.fonts import INSTALL_HINT
from stages.values import StageError

_MODELS = "run `make models`"


@dataclass(frozen=True)
class Finding:
    """One thing that a backend needs: what was found, and the way out if it is missing."""

    what: str
    found: str
    way_out: str = ""

    @property
    def missing(self) -> bool:
        return bool(self.way_out)


def findings(settings: Settings) -> dict[str, list[Finding]]:
    """What each chosen backend needs, by its setting, for example `VLM=embedded`, and the fonts."""
    return {
        f"VLM={settings.vlm}": list(_vlm(settings)),
        f"DETECTOR={settings.detector}": list(_detector(settings)),
        f"OCR={settings.ocr}": list(_ocr(settings)),
        "fonts": [_fonts(settings)],
    }


def require_runnable(settings: Settings) -> None:
    """Raises SettingError with every reason when a chosen backend cannot run. Does not need the database."""
    if found := problems(settings):
        raise SettingError("\n".join(found))


def problems(settings: Settings) -> list[str]:
    """Why a chosen backend cannot run and what to do about it, a line for each reason."""
    return [
        f"{backend} cannot run: {each.what} {each.found}; {each.way_out}"
        for backend, needed in findings(settings).items()
        for each in needed
        if each.missing
    ]


def _vlm(settings: Settings) -> Iterator[Finding]:
    if settings.vlm == "local":
        yield from (_package(name) for name in ("torch", "transformers", "accelerate", "outlines", "llguidance"))
        if settings.vlm_quantization != "none":
            yield _package("bitsandbytes", "install bitsandbytes, which needs a GPU, or set VLM_QUANTIZATION=none")
        yield _named_or_folder("VLM_MODEL", settings.vlm_model)
        yield Finding("device", settings.vlm_device)
    elif settings.vlm == "endpoint":
        yield _package("openai")
        yield Finding("server", f"{settings.public_vlm_url}, model {settings.vlm_model}")
    else:
        yield _package("opencv-contrib-python", "run `make setup`")


def _detector(settings: Settings) -> Iterator[Finding]:
    if settings.detector == "yolo":
        yield from (_package(name) for name in ("torch", "torchvision", "ultralytics"))
        weights = settings.detector_weights
        missing = "" if weights.is_file() else "put the weights there, or set DETECTOR_WEIGHTS; they are not downloaded"
        yield Finding("DETECTOR_WEIGHTS", f"{weights}{'' if not missing else ' does not exist'}", missing)
    else:
        yield _package("opencv-contrib-python", "run `make setup`")


def _ocr(settings: Settings) -> Iterator[Finding]:
    if settings.ocr == "paddle":
        yield _package("paddleocr")
        yield _package("onnxruntime" if settings.ocr_engine == "onnxruntime" else "paddlepaddle")
        yield _named_or_folder("OCR_HANGUL_MODEL", settings.ocr_hangul_model)
        yield _named_or_folder("OCR_LATIN_MODEL", settings.ocr_latin_model)
    else:
        yield from (_package(name, "run `make setup`") for name in ("rapidocr", "onnxruntime", "tesserocr"))
        folders = [folder for folder in settings.tessdata_folders if (folder / "kor.traineddata").is_file()]
        missing = "" if folders else "install the Debian package tesseract-ocr-kor, or set TESSDATA_FOLDERS"
        yield Finding("kor.traineddata", str(folders[0]) if folders else "is nowhere in TESSDATA_FOLDERS", missing)


def _fonts(settings: Settings) -> Finding:
    try:
        found = installed_fonts(settings.font_folders)
    except StageError as error:
        return Finding("FONT_FOLDERS", str(error).removesuffix(f"; {INSTALL_HINT}"), INSTALL_HINT)
    families = {face.face.family for face in found.faces if face.hangul}
    return Finding("Hangul and Latin", ", ".join(sorted(families)))


def _package(name: str, way_out: str = _MODELS) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "is not installed", way_out)


def _named_or_folder(setting: str, value: str) -> Finding:
    model = folder_or_name(value)
    if not Path(model).is_absolute():
        return Finding(setting, f"{model} (by name, from the local cache or fetched)")
    if not Path(model).is_dir():
        return Finding(setting, f"{model} does not exist", "name a folder that does, or a model by name")
    return Finding(setting, f"{model} (folder)")

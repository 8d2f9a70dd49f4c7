"""Every setting, read from the environment in one place; the README lists them from here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

FOOD_LABELS = (
    "person=1,pizza=1,sandwich=1,cake=1,donut=1,hot dog=1,banana=1,apple=1,orange=1,broccoli=1,carrot=1,bowl=1,cup=1,"
    "bottle=0.8,wine glass=0.8,dining table=0"
)
MOST_SENSOR_COPIES = 3
PROJECT = Path(__file__).resolve().parent.parent


class SettingError(Exception):
    """A variable of the environment cannot be used; the message names it, its value and the way out."""


def _database_url(name: str, value: str) -> str:
    # A bare postgresql:// means another driver from SQLAlchemy 2.1 on, one that dagster-postgres cannot use.
    try:
        url = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", value))
    except ArgumentError:
        raise SettingError(f"{name} is not a database URL; write postgresql://user:password@host:5432/name") from None
    if url.drivername != "postgresql+psycopg2" or not url.database:
        raise SettingError(
            f"{name}={url.render_as_string()} is not a PostgreSQL database;"
            " write postgresql://user:password@host:5432/name"
        )
    return url.render_as_string(hide_password=False)


def _whole(least: int, most: int | None = None) -> Callable[[str, str], int]:
    def parse(name: str, value: str) -> int:
        if not re.fullmatch(r"\d+", value) or int(value) < least or (most is not None and int(value) > most):
            span = f"from {least} up" if most is None else f"from {least} to {most}"
            raise SettingError(f"{name}={value!r} is not a whole number {span}")
        return int(value)

    return parse


def _path(_name: str, value: str) -> Path:
    path = Path(value).expanduser()
    return path if path.is_absolute() else PROJECT / path


def _paths(name: str, value: str) -> tuple[Path, ...]:
    return tuple(_path(name, part) for part in value.split(":") if part)


def _one_of(*known: str) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value not in known:
            raise SettingError(f"{name}={value!r} is not known; use one of: {', '.join(known)}")
        return value

    return parse


def _yes_or_no(name: str, value: str) -> bool:
    return _one_of("true", "false")(name, value) == "true"


def _text(_name: str, value: str) -> str:
    return value


def _words(_name: str, value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _host_names(name: str, value: str) -> tuple[str, ...]:
    for host in _words(name, value):
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", host):
            raise SettingError(f"{name} has {host!r}, which is not a host name, for example ads.example.com")
    return _words(name, value)


def _fraction(name: str, value: str) -> float:
    if not re.fullmatch(r"0?\.\d+|[01](\.0*)?", value):
        raise SettingError(f"{name}={value!r} is not a number from 0 to 1")
    return float(value)


def _labels(name: str, value: str) -> tuple[tuple[str, float], ...]:
    labels = []
    for part in _words(name, value):
        match = re.fullmatch(r"([^=]+)=(\d+(?:\.\d+)?)", part)
        if match is None:
            raise SettingError(f"{name} has {part!r}, which is not label=weight, for example person=1")
        labels.append((match[1].strip(), float(match[2])))
    return tuple(labels)


def _setting(parse: Callable[[str, str], Any], default: str, meaning: str) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """Each field is the variable of the same name in capitals."""

    database_url: str = _setting(
        _database_url, "", "the shared database; `make up` and `make demo` start an embedded one when it is not set"
    )
    asset_root: Path = _setting(_path, ".service/assets", "the folder that `/assets/...` URLs lie below")
    state_folder: Path = _setting(_path, ".service", "the embedded database, logs and all else the service keeps")
    webserver_port: int = _setting(
        _whole(1, 65535), "3000", "where the Dagster UI listens on 127.0.0.1; else the next free"
    )
    web_hosts: tuple[str, ...] = _setting(
        _host_names,
        " ",
        "host names of a proxy before the UI, separated by `,`; see docs/proxy.md",
    )
    read_only: str = _setting(
        _one_of("on", "off"), "off", "whether the UI only shows: nobody can start, change or delete anything in it"
    )
    report_endpoints: str = _setting(
        _one_of("on", "off"), "off", "whether programs may report events of assets at `/report_asset_...` of the UI"
    )
    orchestration: str = _setting(
        _one_of("pooled", "stock"), "pooled", "kept connections, forked runs that start at once, or as Dagster comes"
    )
    compute_logs: str = _setting(
        _one_of("on", "off"), "on", "whether what a stage prints is kept for the UI; events and errors always are"
    )
    sensor_copies: int = _setting(
        _whole(0, MOST_SENSOR_COPIES),
        "3",
        "how many sensors wait for new variants and hand over to one another; 0: one that only polls the table",
    )
    throttle: str = _setting(
        _one_of("on", "off"), "on", "whether fewer variants run at a time while CPU, memory or GPU memory is short"
    )
    partition_retention_days: int = _setting(
        _whole(1), "30", "partitions of variants that ended longer ago are removed; their results stay in the database"
    )
    partitions_kept: int = _setting(
        _whole(1, 100_000), "9000", "of more partitions than this the longest ended are removed, whatever their age"
    )
    run_retention_days: int = _setting(_whole(1), "30", "older finished runs are removed, with their events")
    image_retention_days: int = _setting(
        _whole(1), "7", "our own pictures that nothing refers to any more are removed when they are older"
    )
    max_image_pixels: int = _setting(_whole(1), "50000000", "an image with more pixels is refused before it is decoded")
    font_folders: tuple[Path, ...] = _setting(
        _paths, "/usr/share/fonts", "where fonts are looked for, separated by `:`"
    )
    tessdata_folders: tuple[Path, ...] = _setting(
        _paths,
        "/usr/share/tesseract-ocr/5/tessdata:/usr/share/tesseract-ocr/4.00/tessdata:/usr/share/tessdata",
        "where `kor.traineddata` is looked for, separated by `:`",
    )
    vlm: str = _setting(
        _one_of("embedded", "local", "endpoint"),
        "embedded",
        "what analyses and judges pictures: measurements, a model in the run, or an OpenAI-compatible server",
    )
    vlm_model: str = _setting(
        _text,
        "llava-hf/llava-1.5-7b-hf",
        "for `local` a folder or a name of the hub, for `endpoint` the server's name",
    )
    vlm_url: str = _setting(_text, "http://127.0.0.1:8000/v1", "for `endpoint`: where the server is")
    vlm_api_key: str = _setting(_text, "none", "for `endpoint`: its key, if it wants one")
    vlm_timeout_s: int = _setting(_whole(1), "120", "for `endpoint`: how long one answer may take")
    vlm_at_once: int = _setting(_whole(1), "4", "for `endpoint`: requests in flight from one process, at most")
    vlm_device: str = _setting(_text, "auto", "for `local`: `auto`, `cpu`, `cuda`, `cuda:1`")
    vlm_quantization: str = _setting(_one_of("none", "8bit", "4bit"), "none", "for `local`: smaller weights")
    detector: str = _setting(
        _one_of("embedded", "yolo"), "embedded", "what finds the objects: saliency, or any ultralytics weights"
    )
    detector_weights: Path = _setting(
        _path, "yolov8x-seg.pt", "for `yolo`: a `.pt` or `.onnx` that detects or segments"
    )
    detector_confidence: float = _setting(_fraction, "0.25", "for `yolo`: boxes below this score are dropped")
    detector_nms_iou: float = _setting(
        _fraction, "0.45", "for `yolo`: of two boxes that overlap more, the better one stays"
    )
    detector_labels: tuple[tuple[str, float], ...] = _setting(
        _labels,
        FOOD_LABELS,
        "for `yolo`: what text keeps clear of, each `label=weight`; 0 ignores it, as does leaving it out",
    )
    detector_trusted_sha256: tuple[str, ...] = _setting(
        _words, " ", "for `yolo`: digests of `.pt` files that may be loaded as the pickles they are, separated by `,`"
    )
    ocr: str = _setting(_one_of("embedded", "paddle"), "embedded", "what reads the text back")
    ocr_hangul_model: str = _setting(_text, "korean_PP-OCRv5_mobile_rec", "for `paddle`: a name it knows, or a folder")
    ocr_latin_model: str = _setting(_text, "en_PP-OCRv5_mobile_rec", "for `paddle`: the same for lines without Hangul")
    ocr_engine: str = _setting(_one_of("onnxruntime", "paddle"), "onnxruntime", "for `paddle`: what runs the models")

    preload_models: bool = _setting(
        _yes_or_no,
        "true",
        "whether models that runs can share are loaded before the first: the embedded, on a CPU LLaVA and YOLO `.pt`",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingError for the first variable that cannot be used."""
        return cls(**{name.lower(): parse_setting(name, environment) for name in setting_names()})

    @property
    def dagster_database_url(self) -> str:
        """The same database, schema `dagster`: Dagster has a table called jobs too."""
        return (
            make_url(self.database_url)
            .update_query_dict({"options": "-csearch_path=dagster"})
            .render_as_string(hide_password=False)
        )

    @property
    def database_for_people(self) -> str:
        """Where the database is, without its password."""
        return make_url(self.database_url).render_as_string()


def setting_names() -> list[str]:
    return [each.name.upper() for each in fields(Settings)]


def parse_setting(name: str, environment: Mapping[str, str]) -> Any:
    """One variable, or its default."""
    [described] = (each for each in fields(Settings) if each.name == name.lower())
    value = environment.get(name) or described.metadata["default"]
    if not value:
        raise SettingError(f"{name} is not set: {described.metadata['meaning']}")
    return described.metadata["parse"](name, value)


def check_settings(environment: Mapping[str, str]) -> None:
    """Raises SettingError for the first variable that is set and cannot be used."""
    for name in setting_names():
        if environment.get(name):
            parse_setting(name, environment)


def settings_table() -> str:
    """The settings as a Markdown table."""
    rows = [
        f"| `{each.name.upper()}` | {_default(each.metadata)} | {each.metadata['meaning']} |"
        for each in fields(Settings)
    ]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows])


def _default(metadata: Mapping[str, Any]) -> str:
    if metadata["default"] == "":
        return "embedded"
    return f"`{metadata['default']}`" if metadata["default"].strip() else "none"

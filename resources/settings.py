"""Every setting: its variable, default, allowed values and meaning.

`python -m resources.settings` prints the page docs/settings.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from orchestration.schema_url import in_schema

# Relative paths in settings are relative to this folder, and `.env` lies in it.
PROJECT = Path(__file__).resolve().parent.parent
# Dagster has a table called jobs too.
DAGSTER_SCHEMA = "dagster"
# The code location has this many sensors for new variants, whatever SENSOR_COPIES is.
MOST_SENSOR_COPIES = 3
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# An @ behind the one that ends user and password. (A user alone may have one: some hosts want user@server.)
_AMBIGUOUS_AT = re.compile(r"://(?>[^:/]*(?::[^@]*)?@).*@")


class SettingError(Exception):
    """A setting cannot be used. The message names the variable, its value and the way out."""


def project_path(path: Path) -> Path:
    """The path with `~` replaced; a relative one is below the project folder."""
    return PROJECT / path.expanduser()


def postgresql_url(value: str, name: str = "DATABASE_URL") -> str:
    """The URL with its driver named. Raises ValueError; its message never holds the password.

    A bare `postgresql://` means another driver from SQLAlchemy 2.1 on, one that dagster-postgres cannot use.
    """
    way_out = "write postgresql://user:password@host:5432/name, and in the password @ as %40, : as %3A, / as %2F"
    try:
        url = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", value.strip()))
    except (ArgumentError, ValueError):
        # ValueError: the port is no number; its message may hold a part of the password.
        raise ValueError(f"{name} is not a database URL; {way_out}") from None
    if _AMBIGUOUS_AT.search(value):
        # What follows the first @ may be a part of the password, so nothing of it is shown.
        raise ValueError(f"{name} has more than one @; {way_out}")
    if url.drivername != "postgresql+psycopg2" or not url.database:
        raise ValueError(f"{name}={shown_url(url)} is not a PostgreSQL database; {way_out}")
    return url.render_as_string(hide_password=False)


def without_login(url: str) -> str:
    """A web address without user and password, as people may see it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _web_url(value: str | None, info: ValidationInfo) -> str | None:
    """Raises ValueError; its message never holds the value, for a password may be in it."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(f"{_variable(info)} is not a web address; write http://host:8000/v1")
    return value


def shown_url(url: URL) -> str:
    """For people: without the password, and without the query, which can hold one too."""
    return url.set(query={}).render_as_string()


def _database_url(value: str | None, info: ValidationInfo) -> str | None:
    return None if value is None else postgresql_url(value, _variable(info))


def _split(value: Any, separator: str) -> Any:
    """The parts of a text; what is no text, such as a tuple, stays as it is."""
    return [part.strip() for part in value.split(separator) if part.strip()] if isinstance(value, str) else value


def _folders(value: Any) -> Any:
    return _split(value, ":")


def _words(value: Any) -> Any:
    return _split(value, ",")


def _host_names(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", name):
            raise ValueError(f"{_variable(info)} has {name!r}, which is not a host name, for example ads.example.com")
    return names


def _image_formats(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    for name in names:
        if name not in IMAGE_FORMATS:
            raise ValueError(f"{_variable(info)} has {name!r}; use some of: {', '.join(IMAGE_FORMATS)}")
    return names


def _labels(value: Any, info: ValidationInfo) -> Any:
    return [_label(part, _variable(info)) for part in _split(value, ",")] if isinstance(value, str) else value


def _label(part: str, name: str) -> tuple[str, str]:
    match = re.fullmatch(r"([^=]+)=(\d+(?:\.\d+)?(?:e-?\d+)?)", part)
    if match is None:
        raise ValueError(f"{name} has {part!r}, which is not label=weight, for example person=1")
    return match[1].strip(), match[2]


def _variable(info: ValidationInfo) -> str:
    return str(info.field_name).upper()


# A list without parts is its separator alone, for an empty text would count as not set.
def _join_paths(paths: tuple[Path, ...]) -> str:
    return ":".join(map(str, paths)) or ":"


def _join_words(words: tuple[str, ...]) -> str:
    return ",".join(words) or ","


def _join_labels(labels: tuple[tuple[str, float], ...]) -> str:
    return ",".join(f"{label}={weight}" for label, weight in labels) or ","


WebUrl = Annotated[str | None, AfterValidator(_web_url)]
DatabaseUrl = Annotated[str | None, AfterValidator(_database_url)]
ProjectPath = Annotated[Path, AfterValidator(project_path)]
Folders = Annotated[tuple[ProjectPath, ...], BeforeValidator(_folders), PlainSerializer(_join_paths)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words), PlainSerializer(_join_words)]
ImageFormats = Annotated[Words, AfterValidator(_image_formats)]
HostNames = Annotated[Words, AfterValidator(_host_names)]
Labels = Annotated[tuple[tuple[str, float], ...], BeforeValidator(_labels), PlainSerializer(_join_labels)]
Switch = Literal["on", "off"]


def _setting(default: Any, meaning: str, *, allowed: str = "", **limits: Any) -> Any:
    """`allowed` says in words which values can be used, where neither the type nor the limits say it."""
    return Field(default, validate_default=True, description=meaning, json_schema_extra={"allowed": allowed}, **limits)


class StateSettings(BaseSettings):
    """The one setting that stopping the service needs; it can be stopped whatever the other settings are.

    `StateSettings()` and `Settings()` read the environment and the file `.env` in the project folder; the environment
    wins. An empty value counts as not set. Raises SettingError for the first variable that cannot be used.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_file=PROJECT / ".env",
        # Some editors put a byte order mark before the first name.
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        # Other programs have their lines in the file too.
        dotenv_filtering="only_existing",
        # Lists are written with `:` or `,` between the parts, not as JSON.
        enable_decoding=False,
        hide_input_in_errors=True,
    )

    state_folder: ProjectPath = _setting(
        ".service", "the embedded database, logs and all else the service keeps", allowed="a folder"
    )

    def __init__(self, **values: Any) -> None:
        """`values` by field name; they win over the environment and the file."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            if error.errors()[0]["type"] == "extra_forbidden":
                raise
            raise SettingError(_problem(error)) from None
        except (OSError, UnicodeError) as error:
            file = self.model_config["env_file"]
            raise SettingError(
                f"{file} cannot be read ({error}); save it as UTF-8, readable for the user of the service"
            ) from None


class Settings(StateSettings):
    """All settings. Each field is the variable of the same name in capitals."""

    database_url: DatabaseUrl = _setting(
        None,
        "the shared database; `make up` and `make demo` start an embedded one when it is not set",
        allowed="`postgresql://user:password@host:5432/name`",
        repr=False,
    )
    dagster_database_url: DatabaseUrl = _setting(
        None,
        "the same database without a pooler, for Dagster; needed where `DATABASE_URL` leads through one, such as"
        " PgBouncer",
        allowed="`postgresql://user:password@host:5432/name`",
        repr=False,
    )
    asset_root: ProjectPath = _setting(
        ".service/assets", "the folder that `/assets/...` URLs lie below", allowed="a folder"
    )
    adopt_start_days: float = _setting(
        1.0,
        "when a database of the predecessor is adopted, its variants of so many days start by themselves; older ones"
        " are held until `make release`",
        ge=0,
        allowed="0 or more",
    )
    webserver_port: int = _setting(
        3000, "where the Dagster UI listens on 127.0.0.1; if it is taken, the next free port", ge=1, le=65535
    )
    web_hosts: HostNames = _setting(
        (), "the names of a proxy before the UI, see [proxy.md](proxy.md)", allowed="host names, separated by `,`"
    )
    read_only: Switch = _setting("off", "`on`: the UI only shows; nobody can start, change or delete anything in it")
    report_endpoints: Switch = _setting(
        "off", "whether programs may report events of assets at `/report_asset_...` of the UI"
    )
    orchestration: Literal["pooled", "stock"] = _setting(
        "pooled", "`pooled`: kept connections, and runs that are forked and start at once; `stock`: as Dagster comes"
    )
    compute_logs: Switch = _setting(
        "on", "whether what a stage prints is kept for the UI; events and errors always are"
    )
    sensor_copies: int = _setting(
        3,
        "how many sensors wait for new variants and hand over to one another; 0: one that only polls the table",
        ge=0,
        le=MOST_SENSOR_COPIES,
    )
    throttle: Switch = _setting("on", "whether fewer variants run at a time while CPU, memory or GPU memory is short")
    partition_retention_days: int = _setting(
        30, "partitions of variants that ended longer ago are removed; their results stay in the database", ge=1
    )
    partitions_kept: int = _setting(
        9000, "of more partitions than this the longest ended are removed, whatever their age", ge=1, le=100_000
    )
    run_retention_days: int = _setting(30, "older finished runs are removed, with their events", ge=1)
    run_detail_days: int = _setting(
        1, "of runs that succeeded longer ago, when each step began and ended is removed; what it made stays", ge=1
    )
    image_retention_days: int = _setting(
        7, "our own pictures that nothing refers to any more are removed when they are older", ge=1
    )
    job_retention_days: int | None = _setting(
        None,
        "jobs that ended longer ago are deleted with everything that belongs to them; not set: none",
        allowed="1 or more",
        ge=1,
    )
    max_image_pixels: int = _setting(
        16_777_216, "an image with more pixels is refused before it is decoded; 16 million take 300 MB at most", ge=1
    )
    image_formats: ImageFormats = _setting(
        "PNG,JPEG,WEBP",
        "the formats of images that are read",
        allowed="`PNG`, `JPEG`, `WEBP`, `GIF`, `BMP`, `TIFF`, separated by `,`",
    )
    stage_deadline_s: int = _setting(
        60, "a stage that takes more seconds ends its worker, and its variant fails with that reason", ge=1
    )
    model_deadline_s: int = _setting(
        600, "the same for a stage that asks a model that is not embedded; loading it counts", ge=1
    )
    stage_memory_mb: int = _setting(
        8192,
        "a stage that asks for more memory (address space) beside what its worker has is ended; 0: no limit. A stage"
        " that asks a model that is not embedded has none",
        ge=0,
    )
    font_folders: Folders = _setting(
        "/usr/share/fonts", "where fonts are looked for", allowed="folders, separated by `:`"
    )
    tessdata_folders: Folders = _setting(
        "/usr/share/tesseract-ocr/5/tessdata:/usr/share/tesseract-ocr/4.00/tessdata:/usr/share/tessdata",
        "where `kor.traineddata` is looked for",
        allowed="folders, separated by `:`",
    )
    vlm: Literal["embedded", "local", "endpoint"] = _setting(
        "embedded",
        "what analyses and judges pictures: `embedded` measures, `local` is a model in the run,"
        " `endpoint` is an OpenAI-compatible server",
    )
    vlm_model: str = _setting(
        "llava-hf/llava-1.5-7b-hf",
        "for `local` the model, for `endpoint` its name at the server",
        allowed="a folder, or a name of the hub or of the server",
    )
    vlm_url: Annotated[str, AfterValidator(_web_url)] = _setting(
        "http://127.0.0.1:8000/v1",
        "for `endpoint`: where the server is; its user and password, if any, are shown nowhere",
        allowed="a URL",
        repr=False,
    )
    vlm_proxy: WebUrl = _setting(
        None,
        "for `endpoint`: the proxy to it; variables such as `HTTP_PROXY` are not read",
        allowed="a URL",
        repr=False,
    )
    vlm_api_key: SecretStr | None = _setting(
        None, "for `endpoint`: its key, if the server asks for one", allowed="any text"
    )
    vlm_timeout_s: int = _setting(
        120, "for `endpoint`: how many seconds one answer may take from first to last, tries again included", ge=1
    )
    vlm_at_once: int = _setting(4, "for `endpoint`: how many requests of one process are in flight at most", ge=1)
    vlm_device: str = _setting("auto", "for `local`: where the model runs", allowed="`auto`, `cpu`, `cuda`, `cuda:1`")
    vlm_quantization: Literal["none", "8bit", "4bit"] = _setting("none", "for `local`: smaller weights")
    detector: Literal["embedded", "yolo"] = _setting(
        "embedded", "what finds the objects: `embedded` is saliency, `yolo` is any ultralytics weights"
    )
    detector_weights: ProjectPath = _setting(
        "yolov8x-seg.pt", "for `yolo`: weights that detect or segment", allowed="a `.pt` or `.onnx` file"
    )
    detector_confidence: float = _setting(0.25, "for `yolo`: boxes below this score are dropped", ge=0, le=1)
    detector_nms_iou: float = _setting(
        0.45, "for `yolo`: of two boxes that overlap more, the better one stays", ge=0, le=1
    )
    detector_labels: Labels = _setting(
        "person=1,pizza=1,sandwich=1,cake=1,donut=1,hot dog=1,banana=1,apple=1,orange=1,broccoli=1,carrot=1,bowl=1,"
        "cup=1,bottle=0.8,wine glass=0.8,dining table=0",
        "for `yolo`: what text keeps clear of; weight 0 ignores the label, as does leaving it out",
        allowed="`label=weight`, separated by `,`",
    )
    detector_trusted_sha256: Words = _setting(
        (),
        "for `yolo`: the files other than `.onnx` that may be loaded although they are pickles, which can run any code",
        allowed="SHA-256 digests, separated by `,`",
    )
    ocr: Literal["embedded", "paddle"] = _setting("embedded", "what reads the text back")
    ocr_hangul_model: str = _setting(
        "korean_PP-OCRv5_mobile_rec", "for `paddle`: the model for lines with Hangul", allowed="a folder or a name"
    )
    ocr_latin_model: str = _setting(
        "en_PP-OCRv5_mobile_rec", "for `paddle`: the model for lines without Hangul", allowed="a folder or a name"
    )
    ocr_engine: Literal["onnxruntime", "paddle"] = _setting("onnxruntime", "for `paddle`: what runs the models")
    preload_models: bool = _setting(
        "true",
        "whether the models that runs can share are loaded before the first run: the embedded ones, and on a CPU LLaVA"
        " and YOLO `.pt`",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in these variables alone, for example those of another process. Raises SettingError."""
        given: dict[str, Any] = {name: environment.get(name.upper()) for name in cls.model_fields}
        return _GivenSettings(**{name: value for name, value in given.items() if value})

    def variables(self) -> dict[str, str]:
        """All settings as variables of the environment: a process that has them reads these settings, secrets too."""
        values = {**self.model_dump(), **self.secrets(), "preload_models": str(self.preload_models).lower()}
        return {name.upper(): str(value) for name, value in values.items() if value is not None}

    def secrets(self) -> dict[str, str]:
        """The fields whose values nobody may see, with their values, as far as they are set."""
        values = {
            "database_url": self.database_url,
            "dagster_database_url": self.dagster_database_url,
            "vlm_api_key": self.vlm_api_key.get_secret_value() if self.vlm_api_key is not None else None,
            # Where it holds a user or a password.
            "vlm_url": self.vlm_url if self.vlm_url != self.public_vlm_url else None,
            "vlm_proxy": self.vlm_proxy,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def public_vlm_url(self) -> str:
        """Where the model server is, as people see it."""
        return without_login(self.vlm_url)

    def require_database_url(self) -> str:
        """The database. Raises SettingError when it is not set."""
        if self.database_url is None:
            raise SettingError(f"DATABASE_URL is not set: {type(self).model_fields['database_url'].description}")
        return self.database_url

    @property
    def dagster_url(self) -> str:
        """Where Dagster has its own tables: the same database, in a schema of theirs."""
        return in_schema(self.dagster_database_url or self.require_database_url(), DAGSTER_SCHEMA)

    @property
    def database_for_people(self) -> str:
        """Where the database is, without its password."""
        return shown_url(make_url(self.require_database_url()))


class _GivenSettings(Settings):
    """Settings that read neither the environment of this process nor a file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _problem(error: ValidationError) -> str:
    """The first error in words, for people."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        # Raised by the functions above; it names the variable.
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    return f"{name.upper()}={first['input']!r} is not {_expected(Settings.model_fields[name])}"


def _expected(field: FieldInfo) -> str:
    if known := _choices(field):
        return f"known; use one of: {', '.join(known)}"
    least, most = _limits(field)
    span = f"from {least} up" if most is None else f"from {least} to {most}"
    return f"{'a whole number' if field.annotation is int else 'a number'} {span}"


def _choices(field: FieldInfo) -> tuple[str, ...]:
    """The values that can be used, where these are all."""
    return ("true", "false") if field.annotation is bool else get_args(field.annotation)


def _limits(field: FieldInfo) -> tuple[Any, Any]:
    """The least and the greatest number, each None where there is none."""
    found = {name: getattr(each, name) for each in field.metadata for name in ("ge", "le") if hasattr(each, name)}
    return found.get("ge"), found.get("le")


def _allowed(field: FieldInfo) -> str:
    """The values that can be used, as the table names them."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and extra["allowed"]:
        return str(extra["allowed"])
    if known := _choices(field):
        return ", ".join(f"`{value}`" for value in known)
    least, most = _limits(field)
    return f"{least} or more" if most is None else f"{least} … {most}"


def settings_table() -> str:
    """The settings as a Markdown table."""
    rows = [
        f"| `{name.upper()}` | {f'`{field.default}`' if field.default else 'not set'} | {_allowed(field)} |"
        f" {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | allowed values | what it is |", "|---|---|---|---|", *rows])


_PAGE = """\
# Settings

<!-- This page is printed by `python -m resources.settings`. -->

A setting is a variable of the environment, or a line `NAME=value` of the file `.env` in the project folder. The
environment wins over the file. An empty value counts as not set. A relative path is relative to the project folder.
`make up`, `make demo`, `make migrate`, `make doctor` and Dagster's code location read the same settings. The service
keeps those that it was started with: after a change, run `make down` and `make up`.

Dagster's own commands (`dagster`, `dg`) read `.env` too when they are started in the project folder, but for them the
file wins over the environment. So do not set one variable to different values in both places.

{table}
"""


def settings_page() -> str:
    """The page docs/settings.md."""
    return _PAGE.format(table=settings_table())


if __name__ == "__main__":
    print(settings_page(), end="")

"""Settings from the environment and the `.env` file, and the page that lists them."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from resources.settings import PROJECT, SettingError, Settings, StateSettings, settings_page

URL = "postgresql://shop:secret@db.example:5433/ads"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_a_postgresql_url_names_the_driver(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://shop:secret@db.example:5433/ads")
    assert settings.database_url == "postgresql+psycopg2://shop:secret@db.example:5433/ads"


def test_dagster_has_its_tables_in_a_schema_of_its_own() -> None:
    assert Settings(database_url=URL).dagster_url.endswith("/ads?options=-csearch_path%3Ddagster")


@pytest.mark.parametrize("written", ["p:a/s?s", "p%3Aa%2Fs%3Fs"])
def test_a_password_may_have_every_character_and_only_an_at_sign_must_be_written_otherwise(written: str) -> None:
    url = Settings(database_url=f"postgresql://shop@server:{written}@h/ads").require_database_url()
    assert (make_url(url).username, make_url(url).password, make_url(url).host) == ("shop@server", "p:a/s?s", "h")


def test_secrets_are_not_shown_to_people() -> None:
    everywhere = Settings(database_url=f"{URL}?password=secret&sslpassword=secret")
    assert everywhere.database_for_people == "postgresql+psycopg2://shop:***@db.example:5433/ads"
    settings = Settings(database_url=URL, vlm_api_key="sk-secret")
    assert settings.database_for_people == "postgresql+psycopg2://shop:***@db.example:5433/ads"
    assert "secret" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "not a url", "DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "postgresql://shop:secret@h:port/ads", "DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "mysql://shop:secret@h/ads", r"DATABASE_URL=mysql://shop:\*\*\*@h/ads is not a PostgreSQL"),
        ("DATABASE_URL", "mysql://h/ads?password=secret", "DATABASE_URL=mysql://h/ads is not a PostgreSQL"),
        ("DATABASE_URL", "postgresql://shop:se@cret@h/ads", "DATABASE_URL has more than one @; .* @ as %40"),
        ("DATABASE_URL", "postgresql://shop:p@/secret@h/ads", "DATABASE_URL has more than one @"),
        ("DATABASE_URL", "postgresql://shop:p@s:secret@h/ads", "DATABASE_URL is not a database URL; .* : as %3A"),
        ("DATABASE_URL", "postgresql://shop:p@x#secret?@h/ads", "DATABASE_URL has more than one @"),
        ("WEBSERVER_PORT", "http", "WEBSERVER_PORT='http' is not a whole number from 1 to 65535"),
        ("WEBSERVER_PORT", "99999", "WEBSERVER_PORT='99999' is not a whole number from 1 to 65535"),
        ("MAX_IMAGE_PIXELS", "0", "MAX_IMAGE_PIXELS='0' is not a whole number from 1 up"),
        ("IMAGE_FORMATS", "PNG,EPS", "IMAGE_FORMATS has 'EPS'; use some of: PNG, JPEG, WEBP, GIF, BMP, TIFF"),
        ("VLM_URL", "shop:secret@vlm/v1", "VLM_URL is not a web address; write http://host:8000/v1"),
        ("VLM_URL", "http://shop:secret@vlm:port/v1", "VLM_URL is not a web address"),
        ("VLM_PROXY", "ftp://shop:secret@proxy", "VLM_PROXY is not a web address"),
        ("VLM", "gpt", "VLM='gpt' is not known; use one of: embedded, local, endpoint"),
        ("PRELOAD_MODELS", "maybe", "PRELOAD_MODELS='maybe' is not known; use one of: true, false"),
        ("WEB_HOSTS", "ads.example, *", r"WEB_HOSTS has '\*', which is not a host name, for example ads\.example\.com"),
        ("WEB_HOSTS", "https://ads.example", "WEB_HOSTS has 'https://ads.example', which is not a host name"),
        ("WEB_HOSTS", "ads.example:443", "WEB_HOSTS has 'ads.example:443', which is not a host name"),
        ("READ_ONLY", "yes", "READ_ONLY='yes' is not known; use one of: on, off"),
        ("DETECTOR_CONFIDENCE", "25", "DETECTOR_CONFIDENCE='25' is not a number from 0 to 1"),
        ("DETECTOR_LABELS", "cup=1,bowl", "DETECTOR_LABELS has 'bowl', which is not label=weight"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as error:
        Settings.from_environment({name: value})
    assert "secret" not in str(error.value)


def test_of_several_settings_that_cannot_be_used_the_first_is_named() -> None:
    with pytest.raises(SettingError, match=r"^WEBSERVER_PORT="):
        Settings.from_environment({"OCR": "eyes", "WEBSERVER_PORT": "http", "VLM": "gpt"})


@pytest.mark.parametrize("value", [{}, {"DATABASE_URL": ""}])
def test_a_database_that_is_not_set_is_named_where_it_is_needed(value: dict[str, str]) -> None:
    settings = Settings.from_environment(value)
    with pytest.raises(SettingError, match="DATABASE_URL is not set: the shared database"):
        settings.require_database_url()


def test_an_empty_value_counts_as_not_set() -> None:
    assert Settings.from_environment({"VLM": "", "WEBSERVER_PORT": ""}) == Settings.from_environment({})


def test_a_relative_path_is_below_the_project() -> None:
    settings = Settings.from_environment({"ASSET_ROOT": "pictures", "FONT_FOLDERS": "faces:/usr/share/fonts"})
    assert settings.asset_root == PROJECT / "pictures"
    assert settings.font_folders == (PROJECT / "faces", Path("/usr/share/fonts"))


def test_lists_are_written_with_separators() -> None:
    settings = Settings.from_environment(
        {"DETECTOR_LABELS": "hot dog=1, cup=0.5,bowl=0", "DETECTOR_TRUSTED_SHA256": "ab, cd,", "FONT_FOLDERS": ":"}
    )
    assert settings.detector_labels == (("hot dog", 1.0), ("cup", 0.5), ("bowl", 0.0))
    assert settings.detector_trusted_sha256 == ("ab", "cd")
    assert settings.font_folders == ()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"DATABASE_URL": URL, "VLM_API_KEY": "sk-secret", "PRELOAD_MODELS": "false", "ASSET_ROOT": "pictures"},
        {"FONT_FOLDERS": ":", "DETECTOR_LABELS": ",", "DETECTOR_TRUSTED_SHA256": "ab,cd", "DETECTOR_NMS_IOU": ".5"},
        {"DETECTOR_LABELS": "cup=0.00001,bowl=1"},
    ],
)
def test_a_process_that_is_given_the_variables_reads_the_same_settings(given: dict[str, str]) -> None:
    settings = Settings.from_environment(given)
    assert Settings.from_environment(settings.variables()) == settings


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.vlm = "local"  # type: ignore[misc]
    assert hash(settings) == hash(Settings())


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="databse_url"):
        Settings(databse_url=URL)  # type: ignore[call-arg]


def test_the_env_file_is_read_and_the_environment_wins(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("THROTTLE=off\n# chosen here\nOCR=paddle\nVLM_MODEL=\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("OCR", "embedded")
    settings = Settings()
    assert (settings.throttle, settings.ocr) == ("off", "embedded")
    assert settings.vlm_model == "llava-hf/llava-1.5-7b-hf"


def test_an_empty_variable_leaves_the_env_file_its_value(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("OCR=paddle\n")
    monkeypatch.setenv("OCR", "")
    assert Settings().ocr == "paddle"


def test_an_env_file_of_another_editor_is_read_from_its_first_line(env_file: Path) -> None:
    env_file.write_bytes("OCR=paddle\r\nTHROTTLE=off\r\n".encode("utf-8-sig"))
    assert (Settings().ocr, Settings().throttle) == ("paddle", "off")


def test_an_env_file_that_cannot_be_read_is_named_with_the_way_out(env_file: Path) -> None:
    env_file.write_bytes("# 가게\nOCR=paddle\n".encode("cp949"))
    with pytest.raises(SettingError, match=r"\.env cannot be read \(.*\); save it as UTF-8"):
        Settings()


def test_the_env_file_cannot_set_what_cannot_be_used(env_file: Path) -> None:
    env_file.write_text("DATABASE_URL=mysql://shop:secret@h/ads\n")
    with pytest.raises(SettingError, match=r"DATABASE_URL=mysql://shop:\*\*\*@h/ads is not"):
        Settings()


def test_the_folder_of_the_service_is_known_whatever_the_other_settings_are(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("STATE_FOLDER=/srv/state\nVLM=gpt\n")
    assert StateSettings().state_folder == Path("/srv/state")


def test_the_page_lists_every_setting_with_its_default_and_the_values_it_can_have() -> None:
    page = settings_page()
    assert (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8") == page
    assert [name for name in Settings.model_fields if f"| `{name.upper()}` |" not in page] == []
    assert "| `THROTTLE` | `on` | `on`, `off` |" in page
    assert "| `VLM` | `embedded` | `embedded`, `local`, `endpoint` |" in page
    assert "| `WEBSERVER_PORT` | `3000` | 1 … 65535 |" in page
    assert "| `DETECTOR_NMS_IOU` | `0.45` | 0 … 1 |" in page
    assert "| `PRELOAD_MODELS` | `true` | `true`, `false` |" in page

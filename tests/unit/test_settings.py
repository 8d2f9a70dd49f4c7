"""Settings from the environment, and the README that lists them."""

import pytest

from resources.settings import PROJECT, SettingError, Settings, parse_setting, settings_table

GIVEN = {"DATABASE_URL": "postgresql://shop:secret@db.example:5433/ads"}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_a_postgresql_url_names_the_driver(scheme: str) -> None:
    settings = Settings.from_environment({"DATABASE_URL": f"{scheme}://shop:secret@db.example:5433/ads"})
    assert settings.database_url == "postgresql+psycopg2://shop:secret@db.example:5433/ads"


def test_dagster_has_its_tables_in_a_schema_of_its_own() -> None:
    assert Settings.from_environment(GIVEN).dagster_database_url.endswith("/ads?options=-csearch_path%3Ddagster")


def test_the_password_is_not_shown_to_people() -> None:
    assert Settings.from_environment(GIVEN).database_for_people == "postgresql+psycopg2://shop:***@db.example:5433/ads"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "not a url", "DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "mysql://shop:secret@h/ads", r"DATABASE_URL=mysql://shop:\*\*\*@h/ads is not a PostgreSQL"),
        ("WEBSERVER_PORT", "http", "WEBSERVER_PORT='http' is not a whole number from 1 to 65535"),
        ("WEBSERVER_PORT", "99999", "WEBSERVER_PORT='99999' is not a whole number from 1 to 65535"),
        ("MAX_IMAGE_PIXELS", "0", "MAX_IMAGE_PIXELS='0' is not a whole number from 1 up"),
        ("WEB_HOSTS", "ads.example, *", r"WEB_HOSTS has '\*', which is not a host name, for example ads\.example\.com"),
        ("WEB_HOSTS", "https://ads.example", "WEB_HOSTS has 'https://ads.example', which is not a host name"),
        ("WEB_HOSTS", "ads.example:443", "WEB_HOSTS has 'ads.example:443', which is not a host name"),
        ("READ_ONLY", "yes", "READ_ONLY='yes' is not known; use one of: on, off"),
        ("VLM", "gpt", "VLM='gpt' is not known; use one of: embedded"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Settings.from_environment(GIVEN | {name: value})


def test_a_relative_path_is_below_the_project() -> None:
    assert parse_setting("ASSET_ROOT", {"ASSET_ROOT": "pictures"}) == PROJECT / "pictures"


def test_the_readme_lists_every_setting() -> None:
    assert settings_table() in (PROJECT / "README.md").read_text(encoding="utf-8")

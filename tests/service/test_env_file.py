"""The `.env` file, which every part of the service reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.postgres import migrations
from resources.settings import SettingError
from service import __main__ as service
from service import doctor
from variant_assets import definitions

URL = "postgresql://shop:secret@db.example:5433/ads"
DRIVER_URL = "postgresql+psycopg2://shop:secret@db.example:5433/ads"


@pytest.fixture
def new_definitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code location is made anew in this test, and again after it."""
    # Set here, so that what the code location puts there is undone.
    monkeypatch.setenv("DATABASE_URL", "")
    definitions._definitions.cache_clear()
    yield
    definitions._definitions.cache_clear()


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases that were migrated; nothing is done to them."""
    found: list[str] = []

    def note(url: str, *_: str, **__: float) -> list[str]:
        found.append(url)
        return []

    monkeypatch.setattr(migrations, "migrate", note)
    monkeypatch.setattr(service, "prepare_database", note)
    return found


def test_a_backend_that_the_file_names_is_refused_by_the_doctor_by_make_up_and_by_the_code_location(
    env_file: Path, new_definitions: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file.write_text(f"STATE_FOLDER={tmp_path}/state\nVLM=local\nVLM_MODEL={tmp_path}/llava\n")
    refusal = f"{tmp_path}/llava does not exist"
    assert doctor.main() == 1
    assert refusal in capsys.readouterr().out
    assert service.main(["up"]) == 1
    assert refusal in capsys.readouterr().err
    with pytest.raises(SettingError, match="VLM=local cannot run") as error:
        definitions.defs()
    assert refusal in str(error.value)


def test_the_environment_wins_over_the_file_for_all_of_them(
    env_file: Path, new_definitions: None, migrated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text(f"STATE_FOLDER={tmp_path}/state\nVLM=local\nVLM_MODEL={tmp_path}/llava\nDATABASE_URL={URL}\n")
    monkeypatch.setenv("VLM", "embedded")
    assert doctor.main() == 0
    assert service.main(["env"]) == 0
    assert definitions.defs().resources is not None


def test_the_database_and_the_pictures_are_those_of_the_file_for_all_of_them(
    env_file: Path, new_definitions: None, migrated: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file.write_text(f"STATE_FOLDER={tmp_path}/state\nASSET_ROOT={tmp_path}/pictures\nDATABASE_URL={URL}\n")
    assert service.main(["env"]) == 0
    variables = capsys.readouterr().out
    assert f"export ASSET_ROOT={tmp_path}/pictures\n" in variables
    assert f"export DATABASE_URL={URL}\n" in variables
    assert migrations.main() == 0
    assert migrated == [DRIVER_URL, DRIVER_URL]
    resources = definitions.defs().resources or {}
    assert resources["images"].asset_root == f"{tmp_path}/pictures"
    assert resources["db"].url.get_value() == DRIVER_URL

"""One font catalogue for all tests of the stages."""

from pathlib import Path

import pytest

from resources.fonts import installed_fonts
from stages.type.fonts import Fonts
from testing.pictures import latin_font

HANGUL_FOLDER = Path("/usr/share/fonts/truetype/nanum")


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    return installed_fonts([HANGUL_FOLDER, latin_font()])

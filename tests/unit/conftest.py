"""One font catalogue for all tests of the stages."""

from pathlib import Path

import pytest

from tests.unit.scenes import latin_font
from variant_assets.stages.fonts import Fonts

HANGUL_FOLDER = Path("/usr/share/fonts/truetype/nanum")


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    return Fonts([HANGUL_FOLDER, latin_font()])

"""One font catalogue for all tests of the stages."""

import pytest

from resources.fonts import installed_fonts
from stages.type.fonts import Fonts
from testing.drawing import NANUM
from testing.pictures import latin_font


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    return installed_fonts([NANUM, latin_font()])

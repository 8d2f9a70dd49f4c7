import pytest
from sqlalchemy import Engine

from tests.shop import Shop


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine)

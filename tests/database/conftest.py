import pytest
from sqlalchemy import Engine

from testing.shop import Shop


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine)

"""One Spark session for all tests: its start takes ten seconds."""

import pytest
from tests.sources.engines import spark_session


@pytest.fixture(scope="session")
def spark():
    session = spark_session()
    yield session
    session.stop()

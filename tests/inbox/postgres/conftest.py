"""A PostgreSQL server for each process of tests, and a fresh database for each test."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.postgres import database, migrated, some_server


@pytest.fixture(scope="session")
def address() -> Generator[str]:
    with some_server() as address:
        yield address


@pytest.fixture(scope="session")
def template(address: str) -> Generator[str]:
    with database(address) as url:
        migrated(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def empty(address: str) -> Generator[str]:
    """A database without our tables."""
    with database(address) as url:
        yield url


@pytest.fixture
def url(address: str, template: str) -> Generator[str]:
    """A database with them."""
    with database(address, template) as url:
        yield url

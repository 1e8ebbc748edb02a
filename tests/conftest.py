"""The suite leaves nothing of the environment to chance, and in CI nothing out."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from _pytest.logging import LogCaptureHandler
from hypothesis import settings

from tests.orders import Client, Simulator, client_at, sending
from tests.postgres import database, migrated, some_server

settings.register_profile("here", deadline=None, max_examples=30)
settings.register_profile("long", deadline=None, max_examples=400)
settings.load_profile("here")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job of a shell: processes of tests end by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of some hundred processes would compile the package anew


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers more than there are processors, since many tests wait for processes of their own."""
    return (os.cpu_count() or 1) + 2


LONG = (
    "tests/faults/",
    "tests/cli/",
    "tests/proxies/",
    "tests/test_docs.py",
    "tests/test_examples.py",
    "tests/test_typing.py",
)
"""Where the tests are that take seconds, since they have processes of their own."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the long tests, so that none is left to wait for at the end."""
    workers = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    items[:] = [item for number in range(workers) for item in items[number::workers]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("WEBHOOK_", "UP42_", "OTEL_")) or name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def root_logger() -> Generator[None]:
    """Let no test set up the logging of those that follow."""
    root = logging.getLogger()
    before = root.level, [each for each in root.handlers if not isinstance(each, LogCaptureHandler)]
    yield
    assert (root.level, [each for each in root.handlers if not isinstance(each, LogCaptureHandler)]) == before


@pytest.fixture
def own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the receivers of a test run as if each were in a process of its own."""
    for check in ("check_name", "claim_name"):
        monkeypatch.setattr(f"webhook_receiver.runtime.{check}", lambda owner, inbox, name: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Make a skipped test a failed one where everything it needs has to be there."""
    report = yield
    if report.skipped and os.environ.get("TESTS_MAY_NOT_SKIP"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def postgres_address() -> Generator[str]:
    """The address of a PostgreSQL server to make databases on: one for each process of tests."""
    with some_server() as address:
        yield address


@pytest.fixture(scope="session")
def postgres_template(postgres_address: str) -> Generator[str]:
    with database(postgres_address) as url:
        yield migrated(url).rpartition("/")[2]


@pytest.fixture
def empty_database(postgres_address: str) -> Generator[str]:
    """The URL of a database without the tables of an inbox."""
    with database(postgres_address) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_address: str, postgres_template: str) -> Generator[str]:
    """The URL of a database with them."""
    with database(postgres_address, postgres_template) as url:
        yield url


@pytest.fixture
def sender() -> Simulator:
    """The orders that `url` serves."""
    return Simulator()


@pytest.fixture
def url(sender: Simulator) -> Generator[str]:
    with sending(sender) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncGenerator[Client]:
    async with client_at(url) as client:
        yield client

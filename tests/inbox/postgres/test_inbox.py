from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from tests.inbox_suite import Make, SharedInboxSuite
from tests.postgres import database
from webhook_receiver.inbox.postgres import PostgresInbox


class TestPostgresInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, address: str, template: str) -> Generator[Make]:
        with ExitStack() as stack:
            urls: dict[str, str] = {}

            def make(name: str) -> PostgresInbox:
                if name not in urls:
                    urls[name] = stack.enter_context(database(address, template))
                return PostgresInbox(urls[name])

            yield make

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest

from webhook_receiver import ConfigurationError, MemoryInbox
from webhook_receiver.inbox.records import Duplicate, Part, Stored
from webhook_receiver.inbox.sqlite.connection import WriterConnection
from webhook_receiver.testing.inbox_suite import ALL, NOW, InboxSuite, Make, RemovedBodiesSuite, entry, listed, put


class TestMemoryInbox(InboxSuite):
    @pytest.fixture
    def make(self) -> Make:
        return lambda _: MemoryInbox()


class TestRemovedBodies(RemovedBodiesSuite):
    @pytest.fixture
    def make(self) -> Make:
        return lambda _: MemoryInbox(keep_body=self.keep_body)


async def test_it_forgets_everything_when_it_is_closed() -> None:
    inbox = await MemoryInbox().open()
    await put(inbox, "d-1")
    await inbox.close()
    await inbox.open()
    assert await listed(inbox, ALL) == []
    await inbox.close()


async def test_two_of_them_know_nothing_of_each_other() -> None:
    one, other = await MemoryInbox().open(), await MemoryInbox().open()
    await put(one, "d-1")
    assert await listed(other) == []
    await one.close()
    await other.close()


async def test_there_is_nothing_to_give_back_to_a_file_system() -> None:
    inbox = await MemoryInbox().open()
    await put(inbox, "d-1")
    await inbox.vacuum()
    assert await listed(inbox) == ["d-1"]
    await inbox.close()


def test_it_says_what_it_is_and_takes_no_settings_that_cannot_work() -> None:
    assert repr(MemoryInbox()) == "<MemoryInbox>"
    with pytest.raises(ConfigurationError, match="window"):
        MemoryInbox(window=0)


async def test_a_page_of_deliveries_of_many_parts_is_put_by_statements_of_a_limited_size() -> None:
    inbox = await MemoryInbox().open()

    def limit(connection: WriterConnection, jobs: Sequence[None]) -> Sequence[None]:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 8192)  # 32,766 by default (sqlite.org/limits.html)
        return jobs

    await inbox._write(limit, None)
    lease = await inbox.lease_poll("hooks", "api", 60, NOW)
    assert lease is not None
    parts = [[Part(part, key=b"%d-%d" % (number, part)) for part in range(1, 40)] for number in range(300)]
    page = [entry(f"d-{number}", key=b"%d" % number, parts=its) for number, its in enumerate(parts)]
    assert await inbox.put_all(page, "page 1", lease, NOW) == [Stored(f"d-{number}") for number in range(300)]
    assert await inbox.put_all(page, "page 2", lease, NOW) == [Duplicate(f"d-{number}") for number in range(300)]
    await inbox.close()

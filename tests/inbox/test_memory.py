from __future__ import annotations

import pytest

from webhook_receiver import ConfigurationError, MemoryInbox
from webhook_receiver.testing.inbox_suite import ALL, InboxSuite, Make, RemovedBodiesSuite, listed, put


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

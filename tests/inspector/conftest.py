"""An inspector with thirty deliveries, and one of an empty inbox."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.helpers import NOW
from tests.inspector.stage import COUNTS, Browser, looked_at, receivers, some, sqlite
from webhook_receiver import SQLiteInbox, WebhookReceiver
from webhook_receiver.inspector import Inspector, actions
from webhook_receiver.inspector.pages import acting, dead, deliveries, delivery


@pytest.fixture(autouse=True)
def time_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a page all the time that a look takes on a busy machine."""
    for place, name in (
        *((deliveries, "_LOOK"), (deliveries, "_COUNT"), (dead, "_LOOK"), (delivery, "_LOOK")),
        *((acting, "_LOOK"), (actions, "_LOOK"), (actions, "COUNT")),
    ):
        monkeypatch.setattr(place, name, 30.0)


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncGenerator[SQLiteInbox]:
    """An open inbox with thirty deliveries, and counts."""
    inbox = sqlite(tmp_path)
    await inbox.open()
    await inbox.load(some(30), inbox.clock())
    await inbox.count(COUNTS, NOW)
    yield inbox
    await inbox.close()


@pytest.fixture
def hooks(inbox: SQLiteInbox) -> list[WebhookReceiver]:
    """Its receivers, which do not run."""
    return receivers(inbox)


@pytest.fixture
async def browser(hooks: list[WebhookReceiver]) -> AsyncGenerator[Browser]:
    """A browser at a writable inspector."""
    browser = Browser(looked_at(Inspector.on_loopback(hooks, writable=True)))
    async with browser.client:
        yield browser


@pytest.fixture
async def reader(inbox: SQLiteInbox) -> AsyncGenerator[Browser]:
    """A browser at an inspector that only shows, and has nothing but the inbox."""
    browser = Browser(looked_at(Inspector.on_loopback(inbox)))
    async with browser.client:
        yield browser

from __future__ import annotations

import asyncio

from tests.helpers import NOW, SECRET
from webhook_receiver import Delivery, State, UP42Signature, WebhookReceiver
from webhook_receiver.inbox import Entry
from webhook_receiver.testing import Clock, Run, sign
from webhook_receiver.testing.patching import PersistentMemoryInbox, moved, scheme_of


async def test_a_lasting_inbox_keeps_what_it_has_until_it_is_told_to_forget() -> None:
    inbox = PersistentMemoryInbox()
    await inbox.open()
    await inbox.put(Entry(Delivery("d-1", "hooks", (), b"", NOW, 0, True)), NOW)
    await inbox.close()
    assert (await inbox.stats()).counts[State.WAITING] == 1
    await inbox.forget()
    await inbox.open()
    assert (await inbox.stats()).counts[State.WAITING] == 0
    await inbox.forget()


def test_a_scheme_is_the_receivers_own() -> None:
    scheme = UP42Signature(SECRET)
    assert scheme_of(WebhookReceiver(scheme=scheme)) is scheme


def test_only_what_keeps_is_given_an_inbox_and_a_driver() -> None:
    ran: list[Run] = []
    keeps, answers = WebhookReceiver(secret=SECRET, inbox="memory://"), WebhookReceiver(secret=SECRET)
    inbox = PersistentMemoryInbox()
    with moved(keeps, inbox, Clock(), ran.append) as driver:
        assert keeps.inbox is inbox
        assert driver is not None
    with moved(answers, inbox, Clock(), ran.append) as driver:
        assert driver is None
    assert keeps.inbox is not inbox


def test_what_was_counted_before_and_meanwhile_is_not_mixed() -> None:
    hooks = WebhookReceiver(secret=SECRET)
    asyncio.run(hooks.receive({}, b""))
    asyncio.run(hooks.receive(sign(b"{}", UP42Signature(SECRET)), b"{}"))
    with moved(hooks, PersistentMemoryInbox(), Clock(), print):
        assert (hooks.rejected, hooks.verified) == ({}, {})
    assert (hooks.rejected, hooks.verified) == ({"MissingSignature": 1}, {0: 1})

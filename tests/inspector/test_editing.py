"""Replay with an edited body: a form that is sent twice."""

from __future__ import annotations

import asyncio

from tests.inspector.stage import Browser, body
from webhook_receiver import Filter, SQLiteInbox


async def test_a_form_that_is_sent_twice_at_once_makes_one_delivery(browser: Browser, inbox: SQLiteInbox) -> None:
    path = f"/deliveries/00000003{'0' * 24}/edit"
    form = (await browser.get(path)).form | {"body": body("o-99").decode()}
    pages = await asyncio.gather(*(browser.post(path, form) for _ in range(3)))
    assert len({each.response.url for each in pages}) == 1
    assert {each.status for each in pages} == {200}
    assert len(await inbox.find(Filter())) == 31
    await browser.post(path, form | {"body": body("o-98").decode()})
    await browser.post(path, (await browser.get(path)).form | {"body": body("o-99").decode()})
    assert len(await inbox.find(Filter())) == 33, "another body, and the same once more"

"""Replay, purge, pause and edit: what they do, what they ask before, and what is recorded of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers import NOW, order
from tests.inspector.stage import DOWNLOAD, Browser, body, dead, looked_at, receivers, some, sqlite, stored
from tests.working import until
from webhook_receiver import (
    Event,
    Filter,
    HandlerState,
    OrderFulfilled,
    SQLiteInbox,
    State,
    StoredDelivery,
    WebhookReceiver,
)
from webhook_receiver.inbox.records import AuditRecord
from webhook_receiver.inspector import Inspector, actions
from webhook_receiver.inspector.loopback import user
from webhook_receiver.inspector.pages import acting

DEAD = "00000003" + "0" * 24
DONE_ID = "00000000" + "0" * 24


async def states(inbox: SQLiteInbox) -> dict[State, int]:
    return {state: number for state, number in (await inbox.stats()).counts.items() if number}


async def kept(inbox: SQLiteInbox, id: str) -> StoredDelivery:
    found = await inbox.get(id)
    assert found is not None
    return found


async def test_one_dead_letter_is_replayed_after_a_confirmation_and_recorded(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    asked = await browser.get(f"/replay?only={DEAD}")
    assert "Replay 1 delivery?" in asked.text
    done = await browser.confirm(f"/replay?only={DEAD}", reason="the tiles are back")
    assert "1 delivery replayed" in done.text
    assert f"/deliveries/{DEAD}" in done.links
    found = (await kept(inbox, DEAD)).summary
    assert (found.state, found.handlers[DOWNLOAD].state) == (State.WAITING, State.WAITING)
    assert found.handlers["app:notify"].state is State.DONE, "what is done does not run again"
    (record,) = await inbox.audited(limit=9)
    assert (record.action, record.deliveries, record.at) == ("replay", 1, NOW + 100)
    assert record.parameters["delivery"] == DEAD
    assert record.parameters["reason"] == "the tiles are back"
    audit = await browser.get("/audit")
    assert "the tiles are back" in audit.text


async def test_a_group_of_dead_letters_is_replayed_and_nothing_else(browser: Browser, inbox: SQLiteInbox) -> None:
    await inbox.load([dead(50, "KeyError: tile")], inbox.clock())
    page = await browser.get("/dead")
    (link,) = [each for each in page.links if each.startswith("/replay?") and "ValueError" in each]
    assert "Replay 4 deliveries?" in (await browser.get(link)).text
    await browser.confirm(link)
    assert (await states(inbox))[State.WAITING] == 4
    assert (await states(inbox))[State.DEAD] == 1


async def test_all_dead_letters_are_replayed_for_one_handler(browser: Browser, inbox: SQLiteInbox) -> None:
    done = await browser.confirm("/replay?state=dead", only_handler="app:notify")
    assert "4 deliveries replayed" in done.text
    found = (await kept(inbox, DEAD)).summary.handlers
    assert found["app:notify"].state is State.WAITING
    (record,) = await inbox.audited(limit=9)
    assert record.parameters["handler to run"] == "app:notify"


async def test_a_handler_that_the_receiver_does_not_have_is_told(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.confirm("/replay?state=dead&receiver=up42", only_handler="app:downlod")
    assert page.status == 400
    assert "app:downlod" in page.text
    assert await inbox.audited(limit=1) == []


async def test_what_comes_after_the_question_is_not_in_the_answer(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get("/purge?state=dead")
    await inbox.load([dead(300)], inbox.clock())
    await browser.post("/purge", page.form | {"reason": "old"})
    assert await states(inbox) | {State.DEAD: 1} == await states(inbox)


async def test_dead_letters_are_purged_for_a_reason(browser: Browser, inbox: SQLiteInbox) -> None:
    assert "Purge 4 deliveries?" in (await browser.get("/purge?state=dead")).text
    page = await browser.confirm("/purge?state=dead", reason=" ")
    assert (page.status, State.DEAD in await states(inbox)) == (400, True)
    assert "Say why" in page.text
    done = await browser.confirm("/purge?state=dead", reason="test data")
    assert "4 deliveries removed" in done.text
    assert State.DEAD not in await states(inbox)
    (record,) = await inbox.audited(limit=9)
    assert (record.action, record.deliveries, record.parameters["reason"]) == ("purge", 4, "test data")
    assert record.parameters["state"] == ["dead"]


async def test_what_waits_is_neither_replayed_nor_purged_unless_it_is_named(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    await inbox.load([stored(60, State.WAITING, order="o-60")], inbox.clock())
    id = "0000003c" + "0" * 24
    assert "No delivery is left to purge" in (await browser.get("/purge?key=o-60")).text
    assert "1 delivery" in (await browser.get(f"/purge?only={id}")).text
    await browser.confirm("/purge?key=o-60&state=waiting", reason="x")
    assert await inbox.get(id) is None


@pytest.mark.parametrize(("path", "said"), [("/purge", "Nothing was chosen"), ("/replay?since=soon", "since: 'soon'")])
async def test_a_choice_of_everything_or_nothing_is_none(browser: Browser, path: str, said: str) -> None:
    page = await browser.get(path)
    assert (page.status, said in page.text) == (400, True)
    await browser.get("/")
    page = await browser.post("/purge", {"token": browser.token, "which": "since=soon&state=dead", "reason": "x"})
    assert page.status == 400


async def test_a_long_action_goes_on_in_parts_with_its_progress_and_one_record(
    browser: Browser, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 2)
    page = await browser.get("/replay?state=dead")
    page = await browser.post("/replay", page.form)
    assert "2 of 4, 2 replayed" in page.text
    assert '<progress max="4" value="2"' in page.html
    browser.client._transport.app.site.clock = lambda: NOW + 130  # type: ignore[attr-defined]
    page = await browser.post("/replay", page.form)
    while "progress" in page.html:
        page = await browser.post("/replay", page.form)
    assert "4 deliveries replayed" in page.text
    assert len(await inbox.audited(limit=9)) == 1
    assert (await states(inbox))[State.WAITING] == 4


async def test_no_part_of_an_action_goes_without_its_record(
    browser: Browser, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes the form of a later part by hand does nothing that its record does not tell."""
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 2)
    page = await browser.get("/purge?state=dead")
    page = await browser.post("/purge", page.form | {"reason": "one"})
    goes_on = page.form["goes_on"]
    await inbox.audit(AuditRecord(NOW + 100, "somebody else", "purge", {"state": ["dead"], "reason": "one"}, 9))
    for wrong in (
        goes_on.replace("reason=one", "reason=another"),
        goes_on.replace("record=1", "record=2"),
        goes_on.replace("record=1", "record=3"),
        goes_on.replace("record=1", "record=%C2%B2"),
        "reason=one",
        "began=1e300&total=0&reason=one",
    ):
        assert (await browser.post("/purge", page.form | {"goes_on": wrong})).status == 409, wrong
    assert (await browser.post("/purge", page.form | {"which": "state=done"})).status == 409
    assert (await browser.post("/replay", page.form)).status == 409
    assert (await states(inbox))[State.DEAD] == 2
    assert [(each.done, each.deliveries) for each in await inbox.audited(limit=9)] == [(None, 9), (2, 4)]
    browser.client._transport.app.site.clock = lambda: NOW + 100 + 86_401  # type: ignore[attr-defined]
    assert (await browser.post("/purge", page.form)).status == 409, "it was long ago"


async def test_an_action_that_goes_on_does_no_more_than_was_confirmed(
    browser: Browser, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 3)
    page = await browser.get("/purge?state=dead")
    page = await browser.post("/purge", page.form | {"reason": "old"})
    await inbox.load([dead(each, received=NOW + each / 100) for each in (500, 501, 502)], inbox.clock())
    for _ in range(3):  # also when the form is sent again
        assert "4 deliveries removed" in (await browser.post("/purge", page.form)).text
    assert (await states(inbox))[State.DEAD] == 3
    (record,) = await inbox.audited(limit=9)
    assert (record.deliveries, record.done) == (4, 4)


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_form_of_a_part_that_was_done_already_does_nothing(
    browser: Browser, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """The answer to a part got lost, and its form is sent again: what it has done would count for the last ones."""
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 1)
    page = await browser.get("/replay?state=dead")
    page = await browser.post("/replay", page.form)
    if at_once:
        lost, again = await asyncio.gather(browser.post("/replay", page.form), browser.post("/replay", page.form))
        lost, again = sorted((lost, again), key=lambda each: each.status)
    else:
        lost = await browser.post("/replay", page.form)
        again = await browser.post("/replay", page.form)
    assert (lost.status, again.status) == (200, 409)
    assert "This part was done already" in again.text
    assert "2 of 4 are replayed, the oldest first. Nothing was done now: look in the list for what is" in again.text
    assert ((await states(inbox))[State.WAITING], (await inbox.audited(limit=1))[0].done) == (2, 2)
    while lost.status == 200 and "progress" in lost.html:
        lost = await browser.post("/replay", lost.form)
    assert "4 deliveries replayed" in lost.text
    assert (await states(inbox))[State.WAITING] == 4


async def test_what_has_come_to_an_action_since_is_asked_for_anew(browser: Browser, inbox: SQLiteInbox) -> None:
    """It was received before the question, and has died after it."""
    page = await browser.get("/replay?state=dead")
    await inbox.load([dead(500, received=NOW + 5)], inbox.clock())
    again = await browser.post("/replay", page.form | {"reason": "of <b>", "only_handler": "app%3Anotify"})
    assert (again.status, await inbox.audited(limit=9)) == (409, [])
    assert "There are more now than you have confirmed. Nothing was done yet. Replay 5 deliveries?" in again.text
    assert 'value="of &lt;b&gt;"' in again.html
    assert '<option value="app%3Anotify" selected>' in again.html
    assert "5 deliveries replayed" in (await browser.post("/replay", again.form)).text


async def test_the_record_tells_what_was_done_and_not_what_was_left(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get("/purge?state=dead")
    await browser.confirm("/replay?state=dead")
    done = await browser.post("/purge", page.form | {"reason": "old"})
    assert "0 deliveries removed None was left: root replayed 4 deliveries at 2025-12-11 06:05:12" in done.text.replace(
        user(), "root"
    )
    audit = await browser.get("/audit")
    assert "state dead" in audit.text
    assert [(each.action, each.deliveries, each.done) for each in await inbox.audited(limit=9)] == [
        ("purge", 0, None),
        ("replay", 4, 4),
    ]


async def test_what_nobody_was_asked_for_is_asked_for_first(browser: Browser, inbox: SQLiteInbox) -> None:
    await browser.get("/")
    form = {"token": browser.token, "which": "state=dead", "reason": "x"}
    for action, verb in (("purge", "Purge"), ("replay", "Replay")):
        asked = await browser.post(f"/{action}", form)
        assert (asked.status, f"{verb} 4 deliveries?" in asked.text) == (409, True)
    assert await inbox.audited(limit=9) == []


@pytest.mark.parametrize("query", ["record=9", "record=%C2%B2", "", "action=purge&count=999999"])
async def test_a_link_tells_of_no_action_that_never_was(browser: Browser, query: str) -> None:
    page = await browser.get(f"/finished?{query}")
    assert (page.status, "There is no such record" in page.text) == (404, True)


async def test_what_a_clock_that_is_ahead_has_received_can_be_acted_on(browser: Browser, inbox: SQLiteInbox) -> None:
    await inbox.load([dead(500, received=NOW + 190)], inbox.clock())
    id = f"{500:08x}" + "0" * 24
    assert "Replay 1 delivery?" in (await browser.get(f"/replay?only={id}")).text
    done = await browser.confirm("/purge?state=dead", reason="old")
    assert "5 deliveries removed" in done.text


async def test_one_handler_runs_again_only_for_what_has_it(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    up42, hub = receivers(inbox)
    await inbox.open()
    await inbox.load(
        [
            dead(3),
            stored(4, State.UNHANDLED, handlers={}),  # whose handler was registered since
            stored(5, State.UNHANDLED, handlers={}, content=body("o-5", "FAILED_PERMANENTLY")),
            stored(6, State.UNHANDLED, handlers={}, content=b"no event"),
            stored(7, receiver="github", event="push", handlers={"app:deploy": HandlerState(State.DONE, 1, 1)}),
        ],
        inbox.clock(),
    )
    browser = Browser(looked_at(Inspector.on_loopback([up42, hub], writable=True)))
    one = await browser.get(f"/replay?only={DEAD}")
    assert "only app:notify" in one.text
    assert "app:deploy" not in one.text, "it is a handler of another receiver"
    page = await browser.get("/replay?state=dead&state=unhandled&state=done")
    done = await browser.post("/replay", page.form | {"only_handler": DOWNLOAD})
    assert "2 deliveries replayed" in done.text
    for number, expected in ((3, State.WAITING), (4, State.WAITING), (5, None), (6, None), (7, None)):
        found = (await kept(inbox, f"{number:08x}" + "0" * 24)).summary
        assert (found.handlers[DOWNLOAD].state if DOWNLOAD in found.handlers else None) == expected
    refused = await browser.confirm("/replay?state=dead&state=unhandled&state=done", only_handler="app:nobody")
    assert (refused.status, "No delivery has a handler" in refused.text) == (400, True)
    await browser.client.aclose()
    await inbox.close()


async def test_htmx_is_sent_to_the_end_of_an_action_and_not_given_a_part_of_it(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    page = await browser.get("/replay?state=dead")
    sent = await browser.post("/replay", page.form, hx_request="true")
    assert (sent.status, sent.response.headers["hx-redirect"]) == (204, "/finished?record=1")


async def test_nothing_is_done_that_could_not_be_recorded(
    browser: Browser, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await browser.get("/purge?state=dead")
    monkeypatch.setattr(acting, "MOST_OF_A_REASON", 10_000)
    refused = await browser.post("/purge", page.form | {"reason": "x" * 9000})
    assert refused.status == 400
    assert (await states(inbox))[State.DEAD] == 4


async def test_a_handler_is_paused_and_resumed_with_the_count_of_what_waits(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    failed = {DOWNLOAD: HandlerState(State.WAITING, 1, 1, inbox.clock() + 60)}
    await inbox.load([stored(70, State.WAITING, handlers=failed, due=inbox.clock() + 60)], inbox.clock())
    asked = await browser.get("/pause?handler=app:download")
    assert "1 delivery of it waits now" in asked.text
    page = await browser.confirm("/pause?handler=app:download", reason="the disk is full")
    assert page.response.url.path == "/handlers"
    assert await inbox.paused() == {DOWNLOAD}
    assert (await browser.get("/pause?handler=app:download")).response.headers["location"] == "/handlers"
    assert "1 delivery waits for it" in (await browser.get("/resume?handler=app:download")).text
    await browser.confirm("/resume?handler=app:download")
    assert await inbox.paused() == frozenset()
    records = await inbox.audited(limit=9)
    assert [(each.action, each.parameters["handler"], each.deliveries) for each in records] == [
        ("resume", DOWNLOAD, 1),
        ("pause", DOWNLOAD, 1),
    ]
    assert records[1].parameters["reason"] == "the disk is full"


async def test_a_dead_letter_handler_is_paused_and_resumed_and_the_page_says_what_waits(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    up42, _ = receivers(inbox)
    up42.on_dead(lambda delivery, attempts: None)
    (name,) = [each.name for each in up42.dead_letter_handlers]
    browser, asked = Browser(Inspector.on_loopback(up42, writable=True)), f"handler={quote(name)}"
    assert "dead letters wait for it" in (await browser.get(f"/pause?{asked}")).text
    await browser.confirm(f"/pause?{asked}")
    assert await inbox.paused() == {name}
    assert "dead letters that wait for it are due at once" in (await browser.get(f"/resume?{asked}")).text
    await browser.confirm(f"/resume?{asked}")
    assert await inbox.paused() == frozenset()
    await browser.client.aclose()
    await inbox.close()


@pytest.mark.parametrize("name", ["", "app:nobody", "x" * 501])
async def test_a_handler_that_nobody_knows_is_not_paused(browser: Browser, name: str) -> None:
    assert (await browser.get(f"/pause?handler={name}")).status == 404


async def test_a_running_worker_stops_to_run_what_is_paused_here(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    up42, _ = receivers(inbox)
    async with up42:
        browser = Browser(Inspector.on_loopback(up42, writable=True))
        await browser.confirm("/pause?handler=app:download")
        worker = up42.runtime._worker
        assert worker is not None
        assert worker._executor.paused == {DOWNLOAD}
        await browser.client.aclose()


async def test_an_edited_body_is_a_delivery_of_its_own_that_its_handlers_get(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    hooks = WebhookReceiver(secret="a-secret-for-tests", inbox=inbox)
    seen: list[Event] = []

    @hooks.on(OrderFulfilled, name=DOWNLOAD)
    async def download(order: OrderFulfilled) -> None:
        seen.append(order)

    async with hooks:
        await inbox.load([dead(3)], inbox.clock())
        browser = Browser(Inspector.on_loopback(hooks, writable=True))
        page = await browser.get(f"/deliveries/{DEAD}/edit")
        assert "This makes 1 new delivery" in page.text
        assert "&#34;orderId&#34;: &#34;o-3&#34;" in page.html
        edited = '{"event": "order.status",\r\n "body": {"orderId": "o-99", "status": "FULFILLED"}}'
        page = await browser.post(f"/deliveries/{DEAD}/edit", page.form | {"body": edited, "reason": "a typo"})
        assert page.status == 200
        assert "Edited of" in page.text
        assert f"/deliveries/{DEAD}" in page.links
        assert "Verified by none" in page.text
        await until(lambda: bool(seen))
        assert [each.order_id for each in seen if isinstance(each, OrderFulfilled)] == ["o-99"]
        (found,) = await inbox.find(Filter(event="order.status", states=[State.DONE, State.WAITING]))
        delivery = (await kept(inbox, found.id)).delivery
        assert (delivery.via, delivery.edited_of, delivery.verified_by) == ("edit", DEAD, None)
        assert b"\r" not in delivery.body, "which the browser has made of a newline"
        (record,) = await inbox.audited(limit=9)
        assert (record.action, record.parameters["delivery"], record.parameters["reason"]) == ("edit", DEAD, "a typo")
        await browser.client.aclose()


@pytest.mark.parametrize("body", ["", "{", '{"a": 1}', "\x00", '{"event": "order.status", "body": {}}'])
async def test_a_body_that_is_no_event_is_shown_again_with_the_reason(
    browser: Browser, inbox: SQLiteInbox, body: str
) -> None:
    page = await browser.get(f"/deliveries/{DEAD}/edit")
    again = await browser.post(f"/deliveries/{DEAD}/edit", page.form | {"body": body})
    assert (again.status, 'id="wrong"' in again.html) == (422, True), again.text
    assert len(await inbox.find(Filter())) == 30
    assert await inbox.audited(limit=9) == []


async def test_only_a_body_whose_receiver_is_at_hand_and_that_is_text_can_be_edited(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    await inbox.load([stored(80, content=b"\xff\xfe"), stored(81, content=b'"' + b"x" * 1024 * 1024 + b'"')], 0)
    for id in ("00000050", "00000051"):
        assert (await browser.get(f"/deliveries/{id}/edit")).status == 409
    alone = Browser(looked_at(Inspector.on_loopback(inbox, writable=True)))
    page = await alone.get(f"/deliveries/{DEAD}/edit")
    assert (page.status, "webhook-receiver inspect module:hooks" in page.text) == (409, True)
    await alone.client.aclose()


async def test_a_bare_inbox_is_replayed_purged_and_paused_too(inbox: SQLiteInbox) -> None:
    browser = Browser(looked_at(Inspector.on_loopback(inbox, writable=True)))
    assert "1 delivery replayed" in (await browser.confirm(f"/replay?only={DEAD}")).text
    assert "1 delivery removed" in (await browser.confirm(f"/purge?only={DONE_ID}", reason="x")).text
    await browser.confirm("/pause?handler=app:download")
    assert await inbox.paused() == {DOWNLOAD}
    await browser.client.aclose()


async def test_the_result_of_an_action_is_told_of_nothing_else(browser: Browser) -> None:
    for path in (
        "/finished",
        "/finished?action=replay",
        "/finished?action=x&count=1",
        "/finished?action=purge&count=-1",
    ):
        assert (await browser.get(path)).status == 404


async def test_who_acts_is_the_user_whom_auth_names(hooks: list[WebhookReceiver], inbox: SQLiteInbox) -> None:
    browser = Browser(Inspector(hooks, auth=lambda request: request.headers["x-user"], writable=True))
    browser.client.headers["x-user"] = "ann <b>"
    await browser.confirm(f"/replay?only={DEAD}")
    (record,) = await inbox.audited(limit=9)
    assert record.who == "ann <b>"
    assert "ann &lt;b&gt;" in (await browser.get("/audit")).html
    await browser.client.aclose()


async def test_two_thousand_are_replayed_in_a_few_parts(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    await inbox.open()
    body = order()
    for begin in range(0, 2000, 500):
        await inbox.load([dead(number, content=body) for number in range(begin, begin + 500)], inbox.clock())
    browser = Browser(Inspector.on_loopback(inbox, writable=True))
    assert "2,000 deliveries replayed" in (await browser.confirm("/replay?state=dead")).text
    assert (await states(inbox)) == {State.WAITING: 2000}
    await browser.client.aclose()
    await inbox.close()


def test_the_stage_has_deliveries_of_every_state_but_waiting() -> None:
    assert {each.summary.state for each in some(30)} == {*State} - {State.WAITING}
    assert json.loads(some(1)[0].delivery.body)["event"] == "order.status"

"""The pages of the simulator: orders, faults, webhooks and what became of each delivery, at a real receiver."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from tests.helpers import SECRET, serving
from tests.inspector.stage import Browser, Page, sqlite
from tests.inspector.test_gate import SEPARATE
from tests.inspector.test_hostile import MARKUP, check
from tests.working import until
from webhook_receiver import OrderFulfilled, WebhookReceiver
from webhook_receiver.errors import ApiError
from webhook_receiver.events import OrderStatus
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.pages.simulator import FAULTS, MOST_OF_A_BURST, simulator_pages, version
from webhook_receiver.senders.up42.models import Webhook, WebhookInput
from webhook_receiver.simulator import FaultPlan, NewOrders, Simulator, SimulatorOptions
from webhook_receiver.simulator.store import Outgoing
from webhook_receiver.simulator.webhooks_api import put

HOOK = {"name": "mine", "event order.status": "1", "active": "1"}
ANOTHER = "s3cret-of-another"
LONG = "a-secret-in-the-path-of-this-url"


@dataclass
class Stage:
    """A simulator, a real receiver that it delivers to, and a browser at the inspector of both."""

    simulator: Simulator
    browser: Browser
    webhook: Webhook

    async def press(self, path: str, **fields: str) -> Page:
        """Press a button of the page."""
        page = await self.browser.get("/simulator")
        assert f'action="/simulator{path}"' in page.html, "the page has this button"
        return await self.browser.post(f"/simulator{path}", {"token": page.field("token"), **fields})

    async def ended(self, count: int) -> list[str]:
        """Wait until so many deliveries have ended; return how, the first one first."""
        sent = self.simulator.store.outgoing
        await until(lambda: len(sent) == count and all(each.ended for each in sent))
        return [each.ended for each in sent]

    def answers(self) -> list[int | None]:
        return [made.status for each in self.simulator.store.outgoing for made in each.attempts]


@pytest.fixture
def receiver(tmp_path: Path) -> Generator[str]:
    """A receiver with an inbox, served; its address."""
    hooks = WebhookReceiver(secret=SECRET, inbox=sqlite(tmp_path))

    @hooks.on(OrderFulfilled, name="download")
    async def download(order: OrderFulfilled) -> None: ...

    app = Starlette(routes=[hooks.route("/webhooks")], lifespan=hooks.lifespan)
    with serving(app) as url:
        yield f"{url}/webhooks"


@pytest.fixture
async def stage(receiver: str, tmp_path: Path) -> AsyncGenerator[Stage]:
    simulator = Simulator(SimulatorOptions(retry=()))
    given = WebhookInput(name="tests", url=receiver, events=("order.status",), secret=SecretStr(SECRET), active=True)
    webhook = put(simulator, given)
    inspector = Inspector.on_loopback(
        WebhookReceiver(secret=SECRET, inbox=sqlite(tmp_path)),
        writable=True,
        pages=simulator_pages(simulator),
        beside=lambda: version(simulator),
    )
    browser = Browser(inspector)
    async with simulator, browser.client:
        yield Stage(simulator, browser, webhook)
        await inspector.site.inspected[0].inbox.close()


async def test_an_order_is_created_and_fulfilled_and_what_became_of_it_is_on_the_page(stage: Stage) -> None:
    page = await stage.press("/orders", status="CREATED")
    assert "order 1 CREATED Fulfil order 1 Fail order 1" in page.text
    assert "No delivery yet" in page.text
    (kept,) = stage.simulator.store.orders
    page = await stage.press(f"/orders/{kept.id}", status="FULFILLED")
    assert stage.simulator.order(kept.id).order.status is OrderStatus.FULFILLED
    assert await stage.ended(1) == ["delivered"]
    for _ in range(500):
        page = await stage.browser.get("/simulator")
        if "done order 1 FULFILLED download done" in page.text:
            break
    assert re.search(
        r"order 1 FULFILLED [\d.]+ m?s ago 202 in [\d.]+ m?s done order 1 FULFILLED download done", page.text
    )
    assert "Fulfil order 1" not in page.text, "no order leaves its last status"
    (address,) = [each for each in page.links if each.startswith("/deliveries/")]
    assert kept.id in (await stage.browser.get(address)).text


def row(page: Page, sent: Outgoing) -> str:
    """Return the row of a delivery, as it is read."""
    found = page.html.partition(f'<tr id="s-{sent.id}">')[2].partition("</tr>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


async def test_what_no_receiver_has_taken_is_not_in_the_inbox_and_each_row_says_to_which_webhook_it_went(
    stage: Stage,
) -> None:
    nobody = WebhookInput(name="nobody", url="http://127.0.0.1:9/x", events=("order.status",), active=True)
    put(stage.simulator, nobody)
    await stage.press("/orders", status="FULFILLED")
    assert sorted(await stage.ended(2)) == ["delivered", "failed"]
    page = await stage.browser.get("/simulator")
    taken, lost = sorted(stage.simulator.store.outgoing, key=lambda each: each.ended)
    assert re.search("to tests 202 in .* (done|running|waiting) order 1 ", row(page, taken))
    assert re.search("to nobody no answer in .* given up – Again", row(page, lost))  # noqa: RUF001 - as it is shown


async def test_an_order_fails_and_an_order_that_is_final_is_not_moved(stage: Stage) -> None:
    page = await stage.press("/orders", status="FAILED_PERMANENTLY")
    assert "order 1 FAILED_PERMANENTLY" in page.text
    (kept,) = stage.simulator.store.orders
    refused = await stage.browser.post(f"/simulator/orders/{kept.id}", {**page.form, "status": "FULFILLED"})
    assert (refused.status, "no order leaves that" in refused.text) == (409, True)
    for path, fields in [
        (f"/simulator/orders/{kept.id}", {"status": "GONE"}),
        ("/simulator/orders", {"status": "GONE"}),
        ("/simulator/orders", {"status": "FULFILLED", "count": "0"}),
        ("/simulator/orders", {"status": "FULFILLED", "count": f"{MOST_OF_A_BURST + 1}"}),
        ("/simulator/orders", {"status": "FULFILLED", "count": "²"}),
    ]:
        refused = await stage.browser.post(path, {**page.form, **fields})
        assert refused.status == 400, path
    assert (await stage.browser.post("/simulator/orders/none", {**page.form, "status": "FULFILLED"})).status == 404
    assert len(stage.simulator.store.orders) == 1


async def test_a_burst_fulfils_as_many_as_are_asked_for(stage: Stage) -> None:
    page = await stage.press("/orders", status="FULFILLED", count="40")
    assert await stage.ended(40) == ["delivered"] * 40
    assert stage.answers() == [202] * 40
    page = await stage.browser.get("/simulator")
    assert "the newest 30 of 40" in page.text


ANSWERED: dict[str, list[int | None]] = {
    "duplicate": [202, 200],
    "late": [401],
    "secret": [401],
    "body": [401],
    "order": [202, 202, 202],
    "slow": [202],
    "lost": [],
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.name)
async def test_each_fault_is_made_for_its_own_deliveries_and_answered_as_it_should_be(
    stage: Stage, fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fault.name  # type: ignore[attr-defined]

    async def at_once(seconds: float) -> None: ...

    monkeypatch.setattr(stage.simulator.scheduler, "_sleep", at_once)  # between the pieces of a slow body
    page = await stage.press(f"/faults/{name}")
    assert page.status == 200
    answers = ANSWERED[name]
    await stage.ended(max(1, len(answers)))
    assert sorted(stage.answers(), key=str) == sorted(answers, key=str)
    assert stage.simulator.faults == FaultPlan(), "those that come later have none"
    page = await stage.browser.get("/simulator")
    assert ("rejected, why?" in page.text) == (answers == [401])
    if name == "order":
        first = [each.attempts[0].at for each in stage.simulator.store.outgoing]
        assert first == sorted(first, reverse=True), "the last one first"


async def test_a_fault_that_there_is_none_of_is_not_found(stage: Stage) -> None:
    page = await stage.browser.get("/simulator")
    assert (await stage.browser.post("/simulator/faults/none-such", page.form)).status == 404
    assert len(stage.simulator.store.orders) == 0


async def test_faults_of_all_deliveries_are_set_told_and_ended(stage: Stage) -> None:
    page = await stage.browser.get("/simulator/faults")
    given = {"copies": "2", "late": "3600", "reorder": "", "drip": "0", "lose": "25", "forged": "1"}
    page = await stage.browser.post("/simulator/faults", page.form | given)
    assert stage.simulator.faults == FaultPlan(copies=2, late=3600, lose=0.25, forged=True)
    assert "All deliveries from now on: 2 copies, signed 1 h late, another body, 25% lost." in page.text
    page = await stage.press("/faults", none="1")
    assert stage.simulator.faults == FaultPlan()
    assert "All deliveries from now on" not in page.text


@pytest.mark.parametrize(("name", "value"), [("copies", "0"), ("late", "soon"), ("lose", "101"), ("lose", "all")])
async def test_faults_that_cannot_be_are_told_and_nothing_is_changed(stage: Stage, name: str, value: str) -> None:
    page = await stage.browser.get("/simulator/faults")
    page = await stage.browser.post("/simulator/faults", page.form | {name: value})
    assert (page.status, f"Nothing was changed: {name}: Input should be" in page.text) == (400, True)
    assert stage.simulator.faults == FaultPlan()


async def test_a_delivery_is_made_again(stage: Stage) -> None:
    await stage.press("/orders", status="FULFILLED")
    await stage.ended(1)
    (sent,) = stage.simulator.store.outgoing
    await stage.press(f"/deliveries/{sent.id}")
    assert await stage.ended(2) == ["delivered", "delivered"]
    assert stage.answers() == [202, 200]


async def test_a_webhook_is_created_edited_tested_and_deleted(stage: Stage, receiver: str) -> None:
    page = await stage.browser.get("/simulator/webhooks")
    page = await stage.browser.post("/simulator/webhooks", page.form | HOOK | {"url": receiver, "secret": ANOTHER})
    assert "mine" in page.text
    assert ANOTHER not in page.html
    _, made = stage.simulator.store.webhooks
    assert (made.secret, made.active) == (SecretStr(ANOTHER), True)
    await stage.press(f"/webhooks/{made.id}/test")
    assert stage.answers() == [401], "the receiver has another secret"

    page = await stage.browser.get(f"/simulator/webhooks/{made.id}")
    assert ANOTHER not in page.html
    form = page.form | HOOK | {"url": receiver}
    page = await stage.browser.post(f"/simulator/webhooks/{made.id}", form | {"name": "renamed", "secret": ""})
    kept = stage.simulator.webhook(made.id)
    assert (kept.name, kept.secret) == ("renamed", SecretStr(ANOTHER)), "a secret that is left empty stays"
    await stage.browser.post(f"/simulator/webhooks/{made.id}", form | {"secret": SECRET})
    await stage.press(f"/webhooks/{made.id}/test")
    assert stage.answers() == [401, 202]
    await stage.browser.post(f"/simulator/webhooks/{made.id}", form | {"unsigned": "1"})
    assert stage.simulator.webhook(made.id).secret is None

    await stage.browser.post(f"/simulator/webhooks/{made.id}/delete", page.form)
    assert [each.id for each in stage.simulator.store.webhooks] == [stage.webhook.id]
    with pytest.raises(ApiError):
        stage.simulator.webhook(made.id)
    assert (await stage.browser.get(f"/simulator/webhooks/{made.id}")).status == 404


async def test_a_webhook_is_deleted_once_that_was_confirmed_and_what_waited_for_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator, deleted = Simulator(SimulatorOptions(retry=(30,))), asyncio.Event()

    async def until_deleted(seconds: float) -> None:
        await deleted.wait()

    monkeypatch.setattr(simulator.scheduler, "_sleep", until_deleted)
    nobody = WebhookInput(name="nobody", url="http://127.0.0.1:9/x", events=("order.status",), active=True)
    webhook = put(simulator, nobody)
    inspector = Inspector.on_loopback(sqlite(tmp_path), writable=True, pages=simulator_pages(simulator))
    browser = Browser(inspector)
    async with simulator, browser.client:
        simulator.create(NewOrders(status=OrderStatus.FULFILLED))
        path = f"/simulator/webhooks/{webhook.id}"
        page = await browser.get(path)
        assert f"{path}/delete" in page.links
        assert f'action="{path}/delete"' not in page.html, "no press deletes it at once"
        page = await browser.get(f"{path}/delete")
        assert "Delete nobody? 1 delivery that waits for it is dropped." in page.text
        assert simulator.webhook(webhook.id) == webhook
        await browser.post(f"{path}/delete", page.form)
        deleted.set()
        await until(lambda: all(each.ended for each in simulator.store.outgoing))
        assert "its webhook was deleted" in (await browser.get("/simulator")).text
    await inspector.site.inspected[0].inbox.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "http://example.com/hooks"}, "url: it begins with https://"),
        ({"url": "javascript:alert(1)"}, "url: it begins with https://"),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"event order.status": ""}, "events: Tuple should have at least 1 item"),
        ({"secret": "s" * 257}, "secret: it has at most 256 characters"),
    ],
)
async def test_a_webhook_that_cannot_be_is_told_and_not_stored(stage: Stage, wrong: dict[str, str], said: str) -> None:
    page = await stage.browser.get("/simulator/webhooks")
    form = page.form | HOOK | {"url": "https://example.com/hooks"} | wrong
    page = await stage.browser.post("/simulator/webhooks", form)
    assert (page.status, said in page.text) == (400, True), page.text
    assert "s" * 257 not in page.html
    assert len(stage.simulator.store.webhooks) == 1


async def test_a_secret_in_the_url_of_a_webhook_is_on_no_page_and_stays_when_it_is_edited(stage: Stage) -> None:
    for url in (f"https://example.com/{LONG}", f"https://me:{LONG}@example.com/hooks"):
        given = WebhookInput(name="path", url=url, events=("order.status",))
        made = put(stage.simulator, given)
        for path in ("/simulator", f"/simulator/webhooks/{made.id}"):
            assert LONG not in (await stage.browser.get(path)).html
        page = await stage.browser.get(f"/simulator/webhooks/{made.id}")
        await stage.browser.post(f"/simulator/webhooks/{made.id}", page.form | HOOK | {"url": ""})
        assert stage.simulator.webhook(made.id).url == url


async def test_secrets_of_webhooks_and_of_a_fault_plan_are_on_no_page(stage: Stage) -> None:
    stage.simulator.faults = FaultPlan(rotate_after=3, rotate_to=SecretStr("the-next-one"))
    stage.simulator.create(NewOrders(status=OrderStatus.FULFILLED))
    await stage.ended(1)
    for path in ("", "/faults", f"/webhooks/{stage.webhook.id}"):
        page = await stage.browser.get(f"/simulator{path}")
        assert page.status == 200
        for secret in (SECRET, "the-next-one"):
            assert secret not in page.html
    assert "a new secret after 3 deliveries" in (await stage.browser.get("/simulator")).text


async def test_hostile_names_and_answers_are_inert(stage: Stage) -> None:
    given = WebhookInput(name=MARKUP, url=stage.webhook.url, events=("order.status",), active=True)
    made = put(stage.simulator, given)
    stage.simulator.create(NewOrders(status=OrderStatus.FULFILLED, display_name=f"{MARKUP}\u202e\x1b[2J"))
    await stage.ended(2)
    for sent in [*stage.simulator.store.outgoing]:
        attempts = [each.model_copy(update={"reason": f"{MARKUP}\u202e"}) for each in sent.attempts]
        stage.simulator.store.outgoing.put(sent.model_copy(update={"attempts": tuple(attempts)}))
    for path in ("/simulator", f"/simulator/webhooks/{made.id}"):
        check((await stage.browser.get(path)).html)


PRESSED = [
    ("/orders", {"status": "FULFILLED"}),
    ("/faults/late", {}),
    ("/faults", {"copies": "2"}),
    ("/webhooks", HOOK | {"url": "https://example.com"}),
    ("/webhooks/{id}", HOOK | {"url": "https://example.com"}),
    ("/webhooks/{id}/test", {}),
    ("/webhooks/{id}/delete", {}),
]


@pytest.mark.parametrize(("path", "fields"), PRESSED, ids=lambda each: str(each) if isinstance(each, str) else "")
async def test_what_another_page_sends_reaches_no_button(stage: Stage, path: str, fields: dict[str, str]) -> None:
    page = await stage.browser.get("/simulator")
    path = f"/simulator{path.replace('{id}', stage.webhook.id)}"
    before = repr(version(stage.simulator))
    for kind in SEPARATE:
        refused = await stage.browser.post(path, {"token": page.field("token"), **fields}, **SEPARATE[kind])
        assert refused.status == 403, kind
    for token in ("", "x" * 43, "ä"):
        refused = await stage.browser.post(path, {**fields, "token": token})
        assert (refused.status, "Load the page again" in refused.text) == (403, True)
    rebound = await stage.browser.post(path, {"token": page.field("token"), **fields}, host="evil.example:8000")
    assert rebound.status == 403
    assert (await stage.browser.get(path)).status in (200, 405), "a link does nothing"
    assert repr(version(stage.simulator)) == before
    done = await stage.browser.post(path, {"token": page.field("token"), **fields})
    assert done.status == 200
    assert repr(version(stage.simulator)) != before, "while this is our own"


async def test_another_name_for_the_loopback_is_kept_out(stage: Stage) -> None:
    for path in ("/simulator", "/simulator/faults", "/simulator/webhooks", f"/simulator/webhooks/{stage.webhook.id}"):
        assert (await stage.browser.get(path)).status == 200
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", ""):
            assert (await stage.browser.get(path, host=host)).status == 403, (path, host)


async def test_whatever_takes_the_focus_has_an_id_by_which_it_stays_there_when_the_page_is_refreshed(
    stage: Stage,
) -> None:
    await stage.press("/orders", status="CREATED")
    await stage.press("/orders", status="FULFILLED")
    await stage.press("/faults/late")
    await stage.ended(2)
    stage.simulator.faults = FaultPlan(copies=2)
    page = await stage.browser.get("/simulator")
    live = page.html.partition('id="live"')[2]
    assert "rejected, why?" in live
    found = re.findall(r"<(?:a|button|input(?! type=.hidden.)|summary)\b[^>]*>", live)
    assert len(found) >= 8
    assert [each for each in found if " id=" not in each] == []
    ids = re.findall(r'\bid="([^"]*)"', page.html)
    assert len(ids) == len(set(ids))


async def test_where_nothing_may_be_changed_there_is_no_button(stage: Stage, tmp_path: Path) -> None:
    inspector = Inspector.on_loopback(sqlite(tmp_path), pages=simulator_pages(stage.simulator))
    reader = Browser(inspector)
    stage.simulator.create()
    async with reader.client:
        page = await reader.get("/simulator")
        assert "order 1" in page.text
        assert "<button" not in page.html.partition("<main")[2]
        for path in ("/simulator/faults", "/simulator/webhooks"):
            assert (await reader.get(path)).status == 403
    await inspector.site.inspected[0].inbox.close()


async def test_several_inboxes_are_looked_through_for_what_became_of_a_delivery(stage: Stage, tmp_path: Path) -> None:
    tmp_path.joinpath("other").mkdir()
    inspector = Inspector.on_loopback(
        [sqlite(tmp_path / "other"), sqlite(tmp_path)], pages=simulator_pages(stage.simulator)
    )
    stage.simulator.create(NewOrders(status=OrderStatus.FULFILLED))
    await stage.ended(1)
    browser = Browser(inspector)
    async with browser.client:
        for path in ("/simulator", "/inbox/2/simulator"):
            page = await browser.get(path)
            (address,) = [each for each in page.links if "/deliveries/" in each]
            assert address.startswith("/inbox/2/deliveries/")
            assert (await browser.get(address)).status == 200
    for each in inspector.site.inspected:
        await each.inbox.close()

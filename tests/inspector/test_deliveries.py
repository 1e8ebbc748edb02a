"""The list of deliveries: its filters, its pages and its counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers import NOW
from tests.inspector.stage import DOWNLOAD, Browser, Page, dead, looked_at, sqlite, stored
from webhook_receiver import HandlerState, SQLiteInbox, State
from webhook_receiver.inbox import Entry
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.pages import deliveries


def ids(page: Page) -> list[int]:
    """Return the numbers of the deliveries on a page, in their order."""
    return [int(each, 16) for each in re.findall(r'id="d-([0-9a-f]{8})', page.html)]


async def test_the_newest_come_first_with_all_that_a_list_tells(browser: Browser) -> None:
    page = await browser.get("/deliveries")
    assert ids(page) == [*range(29, -1, -1)]
    for said in (
        "30 deliveries",
        "dead order.status o-3 FULFILLED app:download: ValueError: no such tile up42 download \u00d73 dead notify done "
        "000000030000 1 min ago",
        "unhandled order.status o-5 FULFILLED no handler wants it",
        "done push github deploy done 000000060000",
        "waiting 0",
        "dead 4",
    ):
        assert said in page.text, page.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=dead", [24, 17, 10, 3]),
        ("state=dead&state=unhandled", [26, 24, 19, 17, 12, 10, 5, 3]),
        ("event=push", [28, 6]),
        ("receiver=github", [28, 6]),
        ("receiver=up42&event=push", []),
        ("key=o-7", [7]),
        ("key=o-7&receiver=up42", [7]),
        ("id=0000000a", [10]),
        ("id=000000", [*range(29, -1, -1)]),
        ("id=ffff", []),
        (f"handler={DOWNLOAD}&handler_state=dead", [24, 17, 10, 3]),
        ("handler=app:notify", [24, 17, 10, 3]),
        ("handler=notify", [24, 17, 10, 3]),
        ("handler=deploy", [28, 6]),
        ("handler=app:deploy&state=done", [28, 6]),
        ("state=DEAD&handler=download", [24, 17, 10, 3]),
        (f"handler={DOWNLOAD}&handler_state=done&key=o-7", [7]),
        ("handler=app:notify&handler_state=done", [24, 17, 10, 3]),
        ("error=ValueError&handler=app:download&handler_state=dead", []),
        ("error=ValueError: no such tile", [24, 17, 10, 3]),
        ("since=75s", [29, 28, 27, 26, 25]),
        ("before=@1765433015", [2, 1, 0]),
        ("since=2025-12-11 06:03:58", [29, 28, 27, 26]),
        ("since=2025-12-11T07:03:58%2B01:00", [29, 28, 27, 26]),
        ("since=2025-12-11&before=20251211", []),
        ("only=00000007" + "0" * 24, [7]),
        ("state=nonsense", [*range(29, -1, -1)]),
        ("event=%20push%20", [28, 6]),
    ],
)
async def test_the_filters_are_in_the_address(browser: Browser, query: str, expected: list[int]) -> None:
    page = await browser.get(f"/deliveries?{query}")
    assert (page.status, ids(page)) == (200, expected)
    assert f"{len(expected)} deliver" in page.text
    if not expected:
        assert "No delivery matches" in page.text


async def test_a_filter_that_cannot_be_read_says_so_and_chooses_nothing(browser: Browser) -> None:
    page = await browser.get("/deliveries?since=soon&before=%3Cb%3E")
    assert "'soon' is neither a span of time such as 2h or 30d nor a date" in page.text
    assert page.html.count('aria-invalid="true"') == 2
    assert len(ids(page)) == 30
    assert not [each for each in page.links if each.startswith("/purge")]


async def test_a_state_that_is_none_is_told_and_nothing_is_done_by_it(browser: Browser) -> None:
    page = await browser.get("/deliveries?state=ded&event=push")
    assert f"'ded' is no state: {', '.join(State)}" in page.text
    assert "Replay these" not in page.text
    refused = await browser.get("/purge?state=ded&event=push")
    assert (refused.status, "'ded' is no state" in refused.text) == (400, True)


@pytest.mark.parametrize("order", [" spaced ", "trail ", "k" * 3000, "\u202eo", "&a=b#"])
async def test_the_link_to_the_order_of_a_delivery_finds_it_whatever_its_id_is(
    browser: Browser, inbox: SQLiteInbox, order: str
) -> None:
    await inbox.load([stored(300, order=order), stored(301, order=order.strip()), stored(302, order=order[:1000])], 0)
    page = await browser.get(f"/deliveries/{300:08x}" + "0" * 24)
    (link, *_) = [each for each in page.links if each.startswith("/deliveries?key=")]
    expected = [each for each, own in ((302, order[:1000]), (301, order.strip()), (300, order)) if own == order]
    found = await browser.get(link)
    assert ids(found) == expected
    (replay,) = [each for each in found.links if each.startswith("/replay?")]
    assert f"Replay {len(expected)} deliver" in (await browser.get(replay)).text


async def test_what_a_filter_has_found_can_be_acted_on(browser: Browser) -> None:
    page = await browser.get("/deliveries?event=push&since=1d")
    assert "/replay?event=push&since=1d" in page.links
    assert "/purge?event=push&since=1d" in page.links
    everything = await browser.get("/deliveries")
    assert not [each for each in everything.links if each.startswith(("/replay", "/purge"))]


async def test_pages_go_to_and_fro_by_cursors(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "PAGE", 12)

    def link(page: Page, name: str) -> str:
        (found,) = [each for each in page.links if each.startswith("/deliveries?") and f"{name}=" in each]
        return found

    first = await browser.get("/deliveries?state=done")
    done = [number for number in range(29, -1, -1) if number % 7 not in (3, 5)]
    assert (ids(first), "state=done" in link(first, "older")) == (done[:12], True)
    second = await browser.get(link(first, "older"))
    assert ids(second) == done[12:]
    assert not [each for each in second.links if "older=" in each]
    again = await browser.get(link(second, "newer"))
    assert ids(again) == done[:12]
    assert "/deliveries?state=done" in second.links, "the newest"


async def test_a_cursor_that_is_none_is_an_error_in_words(browser: Browser) -> None:
    page = await browser.get("/deliveries?older=nonsense")
    assert page.status == 400
    assert "cursor" in page.text


async def test_what_was_not_looked_at_yet_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "_LOOK", 0.0)
    monkeypatch.setattr(deliveries, "_COUNT", 0.0)
    inbox = sqlite(tmp_path)
    await inbox.open()
    await inbox.load([stored(0, event="rare"), *(stored(number) for number in range(1, 1200))], inbox.clock())
    browser = Browser(looked_at(Inspector.on_loopback(inbox)))
    page = await browser.get("/deliveries?event=rare")
    assert "at least 0 deliveries (counted for a moment only)" in page.text
    assert "There is more to look through" in page.text
    assert "Looked back to 2025-12-11" in page.text
    for _ in range(9):
        (further,) = [each for each in page.links if "older=" in each] or [""]
        page = await browser.get(further)
        if ids(page):
            break
    assert ids(page) == [0]
    await browser.client.aclose()
    await inbox.close()


async def test_what_a_delivery_waits_for_is_said(browser: Browser, inbox: SQLiteInbox) -> None:
    later = inbox.clock() + 60
    failed = {DOWNLOAD: HandlerState(State.WAITING, 1, 1, later)}
    await inbox.load([stored(42, State.WAITING, handlers=failed, due=later)], inbox.clock())
    for number in (40, 41):
        await inbox.put(Entry(stored(number).delivery, "order.status", ordering_key="a"), NOW + number)
    page = await browser.get("/deliveries?state=waiting")
    assert "retrying order.status o-42" in page.text
    assert "waiting order.status" in page.text
    claimed = await inbox.claim("up42", 9, 60, inbox.clock())
    assert "00000029" not in {each.delivery.id[:8] for each in claimed}
    page = await browser.get("/deliveries?state=waiting")
    assert "running order.status" in page.text
    assert "in line order.status" in page.text


async def test_the_sender_of_an_edited_or_polled_delivery_is_marked(browser: Browser, inbox: SQLiteInbox) -> None:
    await inbox.load([stored(43, via="poll"), dead(44, via="edit")], inbox.clock())
    page = await browser.get("/deliveries")
    assert "order.status poll o-43" in page.text
    assert "order.status edit o-44" in page.text


def test_the_page_is_as_long_as_the_live_look_is_far() -> None:
    from webhook_receiver.inspector.live import NEWEST

    assert deliveries.PAGE <= NEWEST
    assert NOW

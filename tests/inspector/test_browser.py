"""The inspector in a real browser: without JavaScript, by the keyboard, in the dark, on a phone, and live."""

from __future__ import annotations

import asyncio
import http.server
import json
import re
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Page, Route, expect

from tests.helpers import NOW, serving
from tests.inspector.chromium import WIDTHS, Tabs, started, tabs_of, violations
from tests.inspector.stage import COUNTS, dead, receivers, some, sqlite, stored
from tests.inspector.test_hostile import MARKUP
from webhook_receiver import FailedAttempt, HandlerState, SQLiteInbox, State
from webhook_receiver.inbox.records import AuditRecord, Entry
from webhook_receiver.inspector import Inspector, actions, live
from webhook_receiver.inspector.pages import PAGES

T = TypeVar("T")
DEAD = "00000003" + "0" * 24
PATHS = [
    *(each.path for each in PAGES if each.title),
    "/deliveries?state=dead&event=order.status",
    f"/deliveries/{DEAD}",
    f"/deliveries/{DEAD}?form=tree",
    f"/deliveries/{DEAD}?form=hex",
    f"/deliveries/{DEAD}/curl",
    f"/deliveries/{DEAD}/test",
    f"/deliveries/{DEAD}/edit",
    f"/replay?only={DEAD}",
    "/purge?state=dead",
    "/pause?handler=app:download",
    "/finished?action=replay&count=3",
    "/nothing",
]
"""Every page that there is."""


@pytest.fixture(scope="module")
def tabs() -> Generator[Tabs]:
    with started() as browser:
        yield tabs_of(browser)


class Stage:
    """A server of an inspector, and its inbox from another process's side."""

    def __init__(self, path: Path, url: str, inspector: Inspector) -> None:
        self.path = path
        self.url = url
        self.inspector = inspector

    def do(self, what: Callable[[SQLiteInbox], Coroutine[Any, Any, T]]) -> T:
        """Do something with the inbox, as another process does."""

        async def done() -> T:
            inbox = sqlite(self.path)
            await inbox.open()
            try:
                return await what(inbox)
            finally:
                await inbox.close()

        with ThreadPoolExecutor(1) as pool:  # the browser has the event loop of this thread
            return pool.submit(lambda: asyncio.run(done())).result()

    def load(self, *deliveries: Any) -> None:
        self.do(lambda inbox: inbox.load(deliveries, inbox.clock()))


@contextmanager
def staged(path: Path, count: int = 30, *, writable: bool = True) -> Generator[Stage]:
    async def fill(inbox: SQLiteInbox) -> None:
        await inbox.load(some(count), inbox.clock())
        await inbox.count(COUNTS, NOW)

    inspector = Inspector.on_loopback(receivers(sqlite(path)), writable=writable)
    stage = Stage(path, "", inspector)
    stage.do(fill)
    with serving(inspector) as url:
        stage.url = url
        yield stage


@pytest.fixture
def stage(tmp_path: Path) -> Generator[Stage]:
    with staged(tmp_path) as stage:
        yield stage


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_every_page_and_it_fits_every_screen(stage: Stage, tabs: Tabs, scheme: str) -> None:
    stage.inspector.site.clock = lambda: NOW + 100
    read_at = {"light": "phone", "dark": "desk"}[scheme]  # rules are slow: at one width each
    with tabs(stage.url, color_scheme=scheme, reduced_motion="reduce") as tab:
        for path in PATHS:
            tab.open(path)
            if path == "/nothing":
                tab.wrong.clear()  # that it is not there is what the browser says
            for name, width in WIDTHS.items():
                tab.page.set_viewport_size({"width": width, "height": 800})
                wide = tab.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, name, wide)
                if name == read_at:
                    assert violations(tab.page) == [], (path, name)
        dark = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == ("rgb(14, 18, 24)" if scheme == "dark" else "rgb(245, 246, 248)")


def test_an_empty_inbox_is_read_by_everybody_too(tmp_path: Path, tabs: Tabs) -> None:
    with staged(tmp_path, 0) as stage, tabs(stage.url, width=375) as tab:
        for path in ("/", "/deliveries", "/dead", "/audit", "/handlers", "/senders"):
            tab.open(path)
            assert violations(tab.page) == [], path
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_long_name_of_an_action_fits_a_phone(stage: Stage, tabs: Tabs) -> None:
    stage.do(lambda inbox: inbox.audit(AuditRecord(NOW, "ann", "an-action-of-a-host-that-has-a-long-name")))
    stage.do(lambda inbox: inbox.audit(AuditRecord(NOW, "ann", "an action of a host that has a long name")))
    with tabs(stage.url, width=375) as tab:
        tab.open("/audit")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_delivery_appears_within_a_second_and_its_changes_too(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page = tab.page
        tab.open("/deliveries")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        page.evaluate("window.same = true")
        row, took, number = page.locator("nothing"), 9.0, 37
        for wait in live._WAITS[1:]:  # what comes in a row is told of less often, and the first was how it stood
            page.wait_for_timeout(1000 * wait)
            number += 1
            began = time.monotonic()
            stage.load(dead(number, received=NOW + 10_000 + number))
            row = page.locator(f"#d-{number:08x}{'0' * 24}")
            expect(row).to_be_visible()
            took = time.monotonic() - began
            if took < 1.0:
                break
        assert took < 1.0, "at best, since many tests share the machine"
        expect(page.locator("#nav .count")).to_have_text(re.compile(f"^{number - 33}"))
        stage.do(lambda inbox: inbox.replay([f"{number:08x}{'0' * 24}"], inbox.clock()))
        expect(page.locator("tr", has=row).locator(".badge")).to_have_text("waiting")
        assert page.evaluate("window.same"), "without a reload"


def test_what_somebody_is_about_to_copy_or_has_opened_stays(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page = tab.page
        tab.open(f"/deliveries/{DEAD}")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        page.locator("#trace-0 summary").click()
        stage.load(stored(41))
        page.wait_for_timeout(800)
        expect(page.locator("#trace-0")).to_have_attribute("open", "")
        page.locator("#live h1").evaluate("each => getSelection().selectAllChildren(each)")
        stage.do(lambda inbox: inbox.replay([DEAD], inbox.clock()))
        page.wait_for_timeout(1200)
        assert page.evaluate("getSelection().toString()") == "order.status"
        expect(page.locator("#live .head .badge")).to_have_text("dead")
        page.evaluate("getSelection().removeAllRanges()")
        expect(page.locator("#live .head .badge")).to_have_text("waiting")
        expect(page.locator("#trace-0")).to_have_attribute("open", "")


def refreshed(page: Page, path: str) -> None:
    """Open a page, and wait for its first refresh, which is asked for when it begins to follow the inbox."""
    with page.expect_response(lambda answer: answer.request.resource_type == "xhr"):
        page.goto(path, wait_until="load")


def refreshing(page: Page, path: str) -> Callable[[], None]:
    """Open a page, and hold its first refresh; return what lets it go and waits until the page has its answer."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held or route.request.is_navigation_request():
            route.continue_()
        else:
            held.append(route)

    def let_go() -> None:
        page.evaluate("document.addEventListener('htmx:afterRequest', () => { window.taken = true }, {once: true})")
        held[0].continue_()
        wait_until(page, lambda: page.evaluate("window.taken === true"))

    page.route(f"**{path}", hold)
    page.goto(path, wait_until="load")
    wait_until(page, lambda: bool(held))  # a page hears how it stands when it begins to follow
    return let_go


def test_a_link_that_is_pressed_is_followed_although_a_refresh_is_answered_meanwhile(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        let_go = refreshing(tab.page, "/dead")
        tab.page.get_by_role("link", name="Replay… ValueError").hover()
        tab.page.mouse.down()
        let_go()
        tab.page.mouse.up()
        tab.page.wait_for_url("**/replay?*")


def test_a_key_that_is_pressed_does_its_work_although_a_refresh_is_answered_meanwhile(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        let_go = refreshing(tab.page, f"/deliveries/{DEAD}")
        tab.page.locator("#trace-0 summary").focus()
        tab.page.keyboard.down("Space")
        let_go()
        tab.page.keyboard.up("Space")
        expect(tab.page.locator("#trace-0")).to_have_attribute("open", "")


def test_a_text_that_is_selected_stays_so_when_a_refresh_is_answered_and_is_refreshed_later(
    stage: Stage, tabs: Tabs
) -> None:
    with tabs(stage.url) as tab:
        let_go = refreshing(tab.page, "/deliveries")
        tab.page.locator("#count").evaluate("each => getSelection().selectAllChildren(each)")
        stage.load(stored(41, received=NOW + 10_000))
        let_go()
        assert tab.page.evaluate("getSelection().toString()") == "30 deliveries"
        expect(tab.page.locator("#count")).to_have_text("30 deliveries")
        tab.page.evaluate("getSelection().removeAllRanges()")
        expect(tab.page.locator("#count")).to_have_text("31 deliveries")


def test_a_hidden_tab_asks_for_nothing_and_catches_up_when_it_is_seen(stage: Stage, tabs: Tabs) -> None:
    there = stage.inspector.site.inspected[0].live
    with tabs(stage.url) as tab:
        page = tab.page
        refreshed(page, "/deliveries")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        assert there._watching == 1
        show = """hidden => {
            Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        page.evaluate(show, True)
        wait_until(page, lambda: there._watching == 0)
        stage.load(stored(42, received=NOW + 10_000))
        page.wait_for_timeout(300)
        row = page.locator(f"#d-0000002a{'0' * 24}")
        expect(row).to_have_count(0)
        page.evaluate(show, False)
        expect(row).to_be_visible()


def wait_until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait until something holds at the server, while the browser goes on."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never held")


def test_a_page_that_was_cut_off_goes_on_and_one_that_is_paused_does_not(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url, quiet=False) as tab:
        page, switch = tab.page, tab.page.locator("#live-switch")
        refreshed(page, "/deliveries")
        expect(switch).to_have_attribute("data-state", "open")
        page.context.set_offline(True)
        # Chromium leaves what it has open: so the server cuts it, as a proxy would.
        expect(switch).to_be_visible()
        page.context.set_offline(False)
        switch.click()
        expect(switch).to_have_text("Paused")
        expect(switch).to_have_attribute("aria-pressed", "false")
        stage.load(stored(43, received=NOW + 10_000))
        page.wait_for_timeout(700)
        row = page.locator(f"#d-0000002b{'0' * 24}")
        expect(row).to_have_count(0)
        switch.click()
        expect(row).to_be_visible()


def test_a_dead_letter_is_replayed_and_its_handlers_are_seen_to_run(tmp_path: Path, tabs: Tabs) -> None:
    up42, _ = receivers(sqlite(tmp_path))
    inspector = Inspector.on_loopback(up42, writable=True)
    stage = Stage(tmp_path, "", inspector)
    stage.load(dead(3))
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/_webhooks", inspector)], lifespan=up42.lifespan)
    with serving(app) as url, tabs(url) as tab:
        page = tab.page
        tab.open("/_webhooks/dead")
        page.get_by_role("link", name="Replay… ValueError").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Replay 1 delivery?")
        page.get_by_label("Reason").fill("the tiles are back")
        page.get_by_role("button", name="Replay 1 delivery").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 delivery replayed")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Deliveries").click()
        page.get_by_role("link", name="order.status").click()
        expect(page.locator("#live .head .badge")).to_have_text("done")
        page.get_by_role("link", name="Audit").click()
        assert "the tiles are back" in tab.text()


def test_the_filters_work_without_a_reload_and_are_in_the_address(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page = tab.page
        tab.open("/deliveries")
        rows = page.locator("table.list tbody tr")
        expect(rows).to_have_count(30)
        page.evaluate("window.same = true")
        page.locator(".pill.dead").click()
        expect(rows).to_have_count(4)
        assert "state=dead" in page.url
        page.get_by_label("Id begins with").press_sequentially("00000003", delay=5)
        expect(rows).to_have_count(1)
        assert "id=00000003" in page.url
        assert page.evaluate("window.same")
        assert page.get_by_label("Id begins with").evaluate("each => each === document.activeElement")
        page.reload()
        expect(rows).to_have_count(1)
        assert page.get_by_role("checkbox", name="dead").is_checked()
        page.get_by_role("link", name="Show all").click()
        expect(rows).to_have_count(30)
        page.locator("details.more summary").click()
        page.get_by_label("Event").fill("push")
        page.get_by_label("Event").press("Tab")
        expect(rows).to_have_count(2)


def test_a_live_page_keeps_to_its_filter(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        tab.open("/deliveries")
        rows = tab.page.locator("table.list tbody tr")
        tab.page.locator(".pill.dead").click()
        expect(rows).to_have_count(4)
        expect(tab.page.locator("#live-switch")).to_have_attribute("data-state", "open")
        stage.load(stored(44, received=NOW + 10_000), dead(45, received=NOW + 10_001))
        expect(rows).to_have_count(5)


def test_a_change_while_a_filter_is_asked_for_takes_nothing_of_it_away(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        held: list[Route] = []
        is_held = True
        tab.page.route(re.compile("state=dead"), lambda route: held.append(route) if is_held else route.continue_())
        tab.open("/deliveries")
        rows = tab.page.locator("table.list tbody tr")
        expect(tab.page.locator("#live-switch")).to_have_attribute("data-state", "open")
        with tab.page.expect_request(re.compile("state=dead")):
            tab.page.locator(".pill.dead").click()
        stage.load(stored(44, received=NOW + 10_000), dead(45, received=NOW + 10_001))
        tab.page.wait_for_timeout(1500)  # in which a page that does not wait for the filter has shown all
        is_held = False
        for each in held:
            each.continue_()
        expect(rows).to_have_count(5)
        assert "state=dead" in tab.page.url


def test_a_refresh_that_ends_while_a_filter_is_asked_for_lets_the_filter_show_all(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page, held, is_held = tab.page, list[Route](), True
        tab.open("/deliveries")
        rows = page.locator("table.list tbody tr")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        page.route(re.compile(r"/deliveries(\?|$)"), lambda route: held.append(route) if is_held else route.continue_())
        with page.expect_request(re.compile(r"/deliveries$")):
            stage.load(dead(45, received=NOW + 10_001))
        with page.expect_request(re.compile("state=dead")):
            page.locator(".pill.dead").click()
        is_held = False
        refresh, *filters = held
        with page.expect_response(re.compile(r"/deliveries$")):
            refresh.continue_()
        page.wait_for_timeout(200)  # for the page to take what it was answered
        for each in filters:
            each.continue_()
        expect(rows).to_have_count(5)


def test_a_long_action_goes_on_by_itself_and_shows_how_far_it_is(
    stage: Stage, tabs: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 1)
    with tabs(stage.url) as tab:
        page = tab.page
        tab.open("/replay?state=dead&state=done")
        page.get_by_role("button", name=re.compile("^Replay")).click()
        seen = page.locator("#progress [role=status]")
        expect(seen).to_contain_text("replayed")
        expect(page.get_by_role("button", name="Go on")).to_be_hidden()
        expect(page.get_by_role("heading", level=1)).to_have_text("26 deliveries replayed")
    assert len(stage.do(lambda inbox: inbox.audited(limit=9))) == 1


def test_everything_can_be_read_and_done_without_javascript(
    stage: Stage, tabs: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "PART", 0.0)
    monkeypatch.setattr(actions, "AT_ONCE", 3)
    with tabs(stage.url, java_script_enabled=False) as tab:
        page = tab.page
        for path in PATHS:
            tab.open(path)
            assert page.locator("h1").count() == 1
        tab.wrong.clear()
        tab.open("/deliveries")
        expect(page.locator("#live-switch")).to_be_hidden()
        page.get_by_role("checkbox", name="dead").check()
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("table.list tbody tr")).to_have_count(4)
        page.locator("table.list a").first.click()
        page.locator("details.trace summary").first.click()
        assert "no such tile" in tab.text()
        page.get_by_role("link", name="Tree").click()
        assert "2 members" in tab.text()
        page.get_by_role("link", name="Dead letters").click()
        page.get_by_role("link", name="Replay all…").click()
        page.get_by_role("button", name="Replay 4 deliveries").click()
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("4 deliveries replayed")


def test_it_is_used_by_the_keyboard_alone(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page = tab.page

        def focused() -> str:
            return " ".join(
                page.evaluate("document.activeElement.innerText || document.activeElement.name || ''").split()
            )

        def go_to(name: str, most: int = 80) -> None:
            for _ in range(most):
                page.keyboard.press("Tab")
                outline: str = page.evaluate(
                    """() => { const one = document.activeElement, of = e => getComputedStyle(e);
                    return [of(one).outlineStyle, of(one, "::after").outlineStyle,
                            one.nextElementSibling ? of(one.nextElementSibling).outlineStyle : ""].join() }"""
                ) + page.evaluate("getComputedStyle(document.activeElement, '::after').outlineStyle")
                assert "solid" in outline or "auto" in outline, f"nobody sees the focus: {focused()}"
                if focused().startswith(name):
                    return
            raise AssertionError(f"{name} is not reached")

        tab.open("/")
        page.keyboard.press("Tab")
        assert focused() == "Skip to the content"
        assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        tab.open("/")
        go_to("Deliveries")
        page.keyboard.press("Enter")
        page.wait_for_url("**/deliveries")
        go_to("state")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator("table.list tbody tr")).to_have_count(4)
        go_to("order.status")
        page.keyboard.press("Enter")
        page.wait_for_url("**/deliveries/0*")
        go_to("Replay…")
        page.keyboard.press("Enter")
        page.wait_for_url("**/replay?*")
        go_to("Replay 1 delivery")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("1 delivery replayed")


def test_the_focus_stays_where_it_is_while_the_page_is_refreshed(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url) as tab:
        page = tab.page
        tab.open("/deliveries")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        page.locator(f"#d-{DEAD}").focus()
        stage.load(stored(46, received=NOW + 10_000))
        expect(page.locator(f"#d-0000002e{'0' * 24}")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == f"d-{DEAD}"
        page.locator("#nav-audit").focus()
        stage.load(stored(47, received=NOW + 10_001))
        expect(page.locator(f"#d-0000002f{'0' * 24}")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "nav-audit"


@pytest.mark.parametrize(
    ("path", "focused"),
    [
        ("/", "#live nav a >> nth=1"),
        ("/", "#numbers-1 summary"),
        ("/dead", "#live table a.danger"),
        (f"/deliveries/{DEAD}", "#live .actions a >> nth=1"),
        ("/handlers", "#live .row-actions a >> nth=1"),
    ],
)
def test_a_link_and_what_opens_more_keep_the_focus_of_the_keyboard_when_the_page_is_refreshed(
    stage: Stage, tabs: Tabs, path: str, focused: str
) -> None:
    with tabs(stage.url) as tab:
        page = tab.page
        let_go = refreshing(page, path)
        wanted, reached = page.locator(focused), False
        while not reached:
            page.keyboard.press("Tab")
            reached = wanted.evaluate("each => each === document.activeElement")
            assert page.evaluate("document.activeElement !== document.body"), "it is not reached"
        before = wanted.element_handle()
        let_go()
        expect(wanted).to_be_focused()
        assert before.evaluate("each => !each.isConnected"), "it is another by now"


def test_the_way_to_older_deliveries_keeps_the_focus_when_newer_ones_come(tmp_path: Path, tabs: Tabs) -> None:
    with staged(tmp_path, 60) as stage, tabs(stage.url) as tab:
        let_go = refreshing(tab.page, "/deliveries")
        older = tab.page.get_by_role("link", name="Older")
        before = older.get_attribute("href")
        older.focus()
        entry = Entry(stored(61).delivery, "order.status", ordering_key="a")
        stage.do(lambda inbox: inbox.put(entry, NOW + 10_000))
        let_go()
        expect(older).to_be_focused()
        assert older.get_attribute("href") != before


def test_a_table_is_cards_on_a_phone_and_the_navigation_is_reached(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url, width=375, height=700, has_touch=True, is_mobile=True) as tab:
        page = tab.page
        tab.open("/deliveries")
        expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
        # In one step, since the rows may be refreshed between two.
        measure = (
            "one => (({x, width, height}) => ({x, width, height}))(document.querySelector(one).getBoundingClientRect())"
        )
        card = page.evaluate(measure, "table.list tbody tr")
        assert 300 < card["width"] <= 375
        assert 60 < card["height"] < 160
        page.get_by_role("link", name="Audit").tap()
        page.wait_for_url("**/audit")
        expect(page.locator("#live-switch")).to_be_visible()  # the scripts have run
        here = page.evaluate(measure, ".pages a[aria-current]")
        assert 0 <= here["x"] < 375, "the navigation shows where we are"


def test_hostile_content_does_nothing_in_a_browser(tmp_path: Path, tabs: Tabs) -> None:
    attempts = [FailedAttempt("app:download", 1, NOW + 1, 0.1, "dead", MARKUP, MARKUP)]
    hostile = stored(
        1,
        State.DEAD,
        content=json.dumps({"event": "order.status", MARKUP: "</script><script>alert(3)</script>"}).encode(),
        headers=((b"content-type", b"application/json"), (b"x-note", MARKUP.encode())),
        event=MARKUP,
        identity=MARKUP,
        order=MARKUP,
        attempts=attempts,
        handlers={MARKUP: HandlerState(State.DEAD, 1, 1)},
        reason=MARKUP,
    )
    with staged(tmp_path, 0) as stage, tabs(stage.url) as tab:
        stage.load(hostile)
        id = hostile.summary.id
        for path in ("/deliveries", "/dead", f"/deliveries/{id}", f"/deliveries/{id}?form=tree", f"/replay?only={id}"):
            tab.open(path)
            tab.page.wait_for_timeout(100)
            assert tab.page.locator("img").count() == 0
            assert tab.page.evaluate("document.scripts.length") == 2


PAGE = """<!doctype html><title>evil</title><iframe name="frame" src="{url}/deliveries"></iframe>
<img src="{url}/static/0/icon.svg"><script src="{url}/static/0/inspector.js"></script>
<form id="form" method="post" action="{url}/purge" target="frame">
<input name="which" value="state=dead"><input name="reason" value="x"><input name="token" value="{token}"></form>"""


@contextmanager
def another_site(html: str) -> Generator[str]:
    """Serve a page from another port of this machine; yield its address by another name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_of_another_site_neither_frames_it_nor_sends_its_forms(stage: Stage, tabs: Tabs) -> None:
    with tabs(stage.url, quiet=False) as tab:
        tab.open("/")
        (cookie,) = tab.page.context.cookies()
        with another_site(PAGE.format(url=stage.url, token=cookie.get("value"))) as evil:
            for place in (evil, evil.replace("localhost", "127.0.0.1")):
                with tab.page.expect_request(lambda asked: asked.url.endswith("/deliveries")):
                    tab.page.goto(place, wait_until="load")
                frame = tab.page.frame("frame")
                assert frame is None or "webhook-receiver" not in frame.content()
                with tab.page.expect_response(lambda answer: answer.url.endswith("/purge")) as answered:
                    tab.page.evaluate("document.getElementById('form').submit()")
                assert answered.value.status == 403
    assert stage.do(lambda inbox: inbox.audited(limit=9)) == []
    assert stage.do(lambda inbox: inbox.stats()).counts[State.DEAD] == 4


def test_the_look_at_the_inbox_is_as_often_as_a_second_needs() -> None:
    assert live.INTERVAL <= 0.5

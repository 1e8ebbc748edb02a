"""`dev` in a real browser: the whole loop, without JavaScript, by the keyboard, on a phone, in the dark."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.cli.test_dev import Dev, dev, module
from tests.helpers import SECRET
from tests.inspector.chromium import PATIENCE, WIDTHS, Tabs, started, tabs_of, violations
from tests.inspector.test_browser import PAGE, another_site, wait_until
from tests.inspector.test_hostile import TRICKS
from tests.inspector.test_rejected import HIDDEN

PATHS = ["/simulator", "/simulator/faults", "/simulator/webhooks", "/rejected", "/rejected/forget"]


@pytest.fixture(scope="module")
def tabs() -> Generator[Tabs]:
    with started() as browser:
        yield tabs_of(browser)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    folder = tmp_path_factory.mktemp("dev")
    module(folder)
    with dev(folder, "--retry", "", WEBHOOK_SECRET=SECRET) as running:
        running.until("1 of 1 succeeded")
        yield running


def watch(tab: Any, path: str = "/simulator") -> Page:
    """Open a page, and wait until it follows what happens."""
    tab.open(path)
    page: Page = tab.page
    expect(page.locator("#live-switch")).to_have_attribute("data-state", "open")
    return page


def reopen(tab: Any, path: str, wanted: Locator) -> None:
    """Open a page again and again until something is there, as one does without JavaScript."""
    end = time.monotonic() + PATIENCE / 1000
    while not wanted.count():
        assert time.monotonic() < end, f"it never came: {tab.text()}"
        tab.open(path)


def sent(page: Page, text: str | re.Pattern[str] = "") -> Locator:
    """Return the row of the newest delivery that has a text."""
    return page.locator("table.sent tbody tr", has_text=text).first


def new_order(page: Page) -> str:
    """Create an order; return its name."""
    newest = page.locator(".orders li").first.locator("bdi")
    before = newest.inner_text() if newest.count() else ""
    page.get_by_role("button", name="New order", exact=True).click()
    expect(newest).not_to_have_text(before)
    return newest.inner_text()


def fail(page: Page, name: str) -> Locator:
    """Have an order fail; return the row of its delivery."""
    page.get_by_role("button", name=f"Fail {name}", exact=True).click()
    return sent(page, f"{name} FAILED_PERMANENTLY")


def test_pressing_a_button_shows_the_delivery_its_answer_and_its_handler_within_a_second(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        page.evaluate("window.same = true")
        row, took = page.locator("nothing"), 9.0
        for _ in range(6):
            name = new_order(page)
            page.wait_for_timeout(500)
            began = time.monotonic()
            row = fail(page, name)
            expect(row.locator(".attempt b")).to_have_text("202")
            expect(row.locator(".handler.done")).to_have_text(re.compile("alert"))
            took = time.monotonic() - began
            if took < 1.0:
                break
        assert took < 1.0, "at best, since many tests share the machine"
        assert page.evaluate("window.same"), "without a reload"
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("order.status")
        assert "Verified by UP42Signature" in tab.text()


def test_each_attempt_is_there_with_its_answer_and_a_rejected_one_leads_to_its_cause(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        page.get_by_role("button", name="Late").click()
        row = sent(page, "signed 1 h late")
        expect(row.locator(".attempt")).to_contain_text("401")
        expect(row).to_contain_text("The signature was rejected")
        row.get_by_role("link", name="rejected, why?").click()
        stale = page.locator("tbody tr", has_text="StaleSignature").first
        expect(stale).to_contain_text("authentic, but signed 1 h ago")
        stale.get_by_role("link").click()
        expect(page.locator("main .card").first).to_contain_text("Likely cause authentic, but signed 1 h ago")
        page.go_back()
        page = watch(tab)
        page.get_by_label("Burst of").fill("5")
        page.get_by_role("button", name="Fulfil them all").click()
        expect(page.locator("table.sent .handler.done", has_text="download").nth(4)).to_be_visible()
        page.get_by_role("button", name="Lost").click()
        expect(sent(page)).to_contain_text("lost")


def test_a_response_to_a_button_that_comes_late_does_not_hide_what_has_happened_meanwhile(
    loop: Dev, tabs: Tabs
) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        held: list[Route] = []
        page.route("**/simulator/faults/slow", lambda route: held.append(route))
        page.get_by_role("button", name="Slow").click()
        wait_until(page, lambda: bool(held))
        response = held[0].fetch()
        assert "under way" in response.text()

        def is_delivered() -> bool:
            shown = httpx.get(f"{loop.inspector}/simulator", trust_env=False).text
            return bool(re.search(r'id="said">Delivery \d+, [^<]*: delivered, answered 202<', shown))

        wait_until(page, is_delivered)
        page.evaluate(  # what the page hears, too
            """url => new Promise(heard => {
                const source = new EventSource(url);
                source.addEventListener("changed", () => { source.close(); setTimeout(heard, 500); });
            })""",
            page.locator("#live-switch").get_attribute("data-live"),
        )
        held[0].fulfill(response=response)
        expect(sent(page, "slow").locator(".attempt")).to_contain_text("202")
        expect(page.locator("#said")).to_have_text(re.compile("delivered, answered 202"))


def test_a_refresh_that_is_answered_before_a_button_is_waits_for_the_button(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        refreshes: list[Route] = []
        presses: list[Route] = []
        page.route("**/simulator", lambda route: route.continue_() if refreshes else refreshes.append(route))
        page.route("**/simulator/faults/slow", lambda route: presses.append(route))
        loop.order("CREATED")  # by the command line
        wait_until(page, lambda: bool(refreshes))
        page.get_by_role("button", name="Slow").click()
        wait_until(page, lambda: bool(presses))
        page.evaluate(
            """() => {
                window.shown = document.getElementById("live");
                document.addEventListener("htmx:afterRequest", () => { window.taken = true }, {once: true});
            }"""
        )
        refreshes[0].continue_()
        wait_until(page, lambda: page.evaluate("window.taken === true"))
        assert page.evaluate("window.shown === document.getElementById('live')"), "the response will replace it"
        presses[0].continue_()
        wait_until(page, lambda: page.evaluate("window.shown !== document.getElementById('live')"))


def test_a_button_that_has_just_come_is_pressed_without_a_reload_and_leaves_the_focus(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        page.evaluate(
            """() => {
                const known = new Set([...document.querySelectorAll("#live button")].map((each) => each.id));
                const press = () => {
                    const button = document.querySelector("#live .orders li button[value=FULFILLED]");
                    if (!button || known.has(button.id)) return;
                    known.add(button.id);
                    button.focus();
                    button.click();
                };
                document.addEventListener("htmx:afterSwap", () => setTimeout(press));
                window.same = true;
            }"""
        )
        page.get_by_role("button", name="New order", exact=True).click()
        expect(page.locator("#h-orders")).to_be_focused()
        expect(page.locator(".orders li").first).to_contain_text("FULFILLED")
        assert page.evaluate("window.same")


def test_a_page_goes_on_when_the_app_is_started_again_and_ends_with_the_loop(tmp_path: Path, tabs: Tabs) -> None:
    module(tmp_path)
    with tabs("", quiet=False) as tab, dev(tmp_path) as loop:
        loop.until("1 of 1 succeeded")
        page = watch(tab, f"{loop.inspector}/simulator")
        changed = tmp_path.joinpath("app.py").read_text(encoding="utf-8").replace('name="alert"', 'name="changed"')
        tmp_path.joinpath("app.py").write_text(changed, encoding="utf-8")
        loop.until("Application startup complete")
        row = fail(page, new_order(page))
        expect(row.locator(".handler.done")).to_have_text(re.compile("changed"))
        page.get_by_role("button", name="Forged secret").click()
        expect(sent(page, "signed with another secret").locator(".attempt").first).to_contain_text("401")
        watch(tab, f"{loop.inspector}/rejected")
        expect(page.locator("tbody tr", has_text="BadSignature").first).to_be_visible()
        loop.process.terminate()
        told, _ = loop.process.communicate(timeout=60)
        assert "Traceback" not in told
        assert "graceful" not in told
        expect(page.locator("#live-switch")).to_have_text("Reconnecting")


def test_an_answer_that_comes_when_its_part_of_the_page_is_gone_is_asked_for_again(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)
        held: list[Any] = []
        answers: list[str] = []
        page.route("**/simulator", lambda route: held.append(route) if not held else route.continue_())
        page.on("response", lambda answer: answers.append(answer.url) if answer.url.endswith("/simulator") else None)
        loop.order("FAILED_PERMANENTLY")  # by the command line
        wait_until(page, lambda: bool(held))
        answered = held[0].fetch()
        fail(page, new_order(page))
        expect(page.locator("table.sent tbody tr").first.locator(".handler.done")).to_be_visible()
        page.wait_for_timeout(500)  # nothing more has changed
        before = len(answers)
        held[0].fulfill(response=answered)
        wait_until(page, lambda: len(answers) >= before + 2)  # that one, and what is shown now


def test_a_button_that_is_refused_or_gets_no_answer_says_so(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector, quiet=False) as tab:
        page = watch(tab)
        said = page.get_by_role("alert")
        page.route("**/simulator/orders", lambda route: route.abort())
        button = page.get_by_role("button", name="New order", exact=True)
        button.click()
        expect(said).to_have_text("no answer: is it still running?")
        page.unroute("**/simulator/orders")
        page.locator("#f-count").evaluate("each => { each.form.noValidate = true; each.value = 5000 }")
        page.get_by_role("button", name="Fulfil them all").click()
        expect(said).to_have_text("No order was made: A burst has from 1 to 1,000 orders.")
        new_order(page)
        expect(page.locator("#refused")).to_have_text("")
        page.context.clear_cookies()
        button.click()
        expect(said).to_contain_text("Nothing was done: Load the page again")


def test_the_loop_is_lived_without_javascript(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector, java_script_enabled=False) as tab:
        page = tab.page
        tab.open("/simulator")
        name = new_order(page)
        row = fail(page, name)
        reopen(tab, "/simulator", row.locator(".handler.done"))
        expect(row.locator(".attempt")).to_contain_text("202")
        expect(page.locator(".orders li", has_text=name)).to_contain_text("FAILED_PERMANENTLY")
        page.get_by_role("button", name="Forged body").click()
        mismatch = page.get_by_role("link", name="BodyMismatch").first
        reopen(tab, "/rejected", mismatch)
        mismatch.click()
        assert "Likely cause the body is not the one that was signed" in tab.text()
        page.get_by_role("link", name="Hex").click()
        assert "00000000 7b 22" in tab.text()
        tab.open("/simulator")
        page.get_by_role("link", name="New webhook…").click()
        page.get_by_label("Name").fill("by hand")
        page.get_by_label("URL").fill(f"{loop.url}/webhooks")
        page.get_by_label("Secret").fill(HIDDEN)
        page.get_by_role("button", name="Create").click()
        page.get_by_role("button", name="Test by hand").click()
        attempt = sent(page, "to by hand").locator(".attempt")
        reopen(tab, "/simulator", attempt)
        expect(attempt).to_contain_text("401")
        assert HIDDEN not in page.content()
        page.get_by_role("link", name="Edit… by hand").click()
        page.get_by_role("link", name="Delete this webhook…").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Delete by hand?")
        page.get_by_role("button", name="Delete by hand").click()
        expect(page.get_by_role("link", name="Edit… by hand")).to_have_count(0)
        page.get_by_role("link", name="Faults of all deliveries…").click()
        page.get_by_label("Copies").fill("2")
        page.get_by_role("button", name="Set").click()
        expect(page.locator(".notice")).to_contain_text("All deliveries from now on: 2 copies")
        page.get_by_role("button", name="End all faults").click()
        expect(page.locator(".notice")).to_have_count(0)


def test_the_loop_is_lived_by_the_keyboard_alone(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector) as tab:
        page = watch(tab)

        def go_to(name: str, key: str = "Tab") -> None:
            for _ in range(120):
                page.keyboard.press(key)
                one = "document.activeElement"
                said = " ".join(page.evaluate(f"{one}.innerText || {one}.id || ''").split())
                outline = page.evaluate(
                    f"['', '::after'].map(part => getComputedStyle({one}, part).outlineStyle).join()"
                )
                assert "solid" in outline or "auto" in outline, f"nobody sees the focus: {said}"
                if re.fullmatch(name, said):
                    return
            raise AssertionError(f"{name} is not reached")

        go_to("New order")
        newest = page.locator(".orders li").first.locator("bdi")
        before = newest.inner_text() if newest.count() else ""
        page.keyboard.press("Enter")
        expect(newest).not_to_have_text(before)
        assert page.evaluate("document.activeElement.id") == "new-CREATED", "the focus stays"
        go_to(r"Fulfil order \d+")
        page.keyboard.press("Enter")
        expect(page.locator(".orders li").first).to_contain_text("FULFILLED")
        expect(page.locator("#h-orders")).to_be_focused()  # the button is gone
        go_to("Late", "Shift+Tab")
        page.keyboard.press("Space")
        expect(sent(page, "signed 1 h late").locator(".attempt")).to_contain_text("401")
        expect(page.locator("#said")).to_have_text(
            re.compile(r"Delivery \d+, order \d+ FULFILLED: failed, answered 401")
        )
        go_to("rejected, why\\? order .*")
        page.keyboard.press("Enter")
        page.wait_for_url("**/rejected")
        go_to("StaleSignature")
        page.keyboard.press("Enter")
        page.wait_for_url("**/rejected/*")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_its_pages_and_they_fit_every_screen(loop: Dev, tabs: Tabs, scheme: str) -> None:
    read_at = {"light": "phone", "dark": "desk"}[scheme]  # rules are slow: at one width each
    with tabs(loop.inspector, color_scheme=scheme, reduced_motion="reduce") as tab:
        page = watch(tab)
        fail(page, new_order(page))
        page.get_by_role("button", name="New order", exact=True).click()
        page.get_by_role("button", name="Late").click()
        expect(sent(page, "signed 1 h late").locator(".attempt")).to_contain_text("401")
        edit = page.get_by_role("link", name="Edit…").first.get_attribute("href")
        watch(tab, "/rejected")
        one = page.locator("tbody a").first.get_attribute("href")
        for path in [*PATHS, edit, one, f"{one}?form=tree"]:
            assert path is not None
            tab.open(path)
            for name, width in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": 800})
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, name, wide)
                if name == read_at:
                    assert violations(page) == [], (path, name)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == ("rgb(14, 18, 24)" if scheme == "dark" else "rgb(245, 246, 248)")


def test_hostile_requests_do_nothing_in_a_browser(loop: Dev, tabs: Tabs) -> None:
    for text in TRICKS.values():
        wire = text.encode("utf-8", "surrogatepass")
        head = [(b"content-type", b"text/html"), (b"x-note", re.sub(rb"[\x00-\x1f\x7f]", b"?", wire[:1000]))]
        for content in (wire, b"\xff\xfe" + wire):
            answer = httpx.post(f"{loop.url}/webhooks", headers=head, content=content, trust_env=False)
            assert answer.status_code == 401
    with tabs(loop.inspector) as tab:
        page = watch(tab, "/rejected")
        expect(page.locator("tbody tr").nth(2 * len(TRICKS) - 1)).to_be_visible()
        for path in page.locator("tbody a").evaluate_all("all => all.map(each => each.getAttribute('href'))")[:16]:
            tab.open(f"{path}?all=1")
            assert page.locator("img").count() == 0
            assert page.evaluate("document.scripts.length") == 2


def test_a_page_of_another_site_presses_no_button(loop: Dev, tabs: Tabs) -> None:
    with tabs(loop.inspector, quiet=False) as tab:
        page = watch(tab)
        before = page.locator("#h-orders + .quiet").inner_text()
        (cookie,) = page.context.cookies()
        html = PAGE.format(url=loop.inspector, token=cookie.get("value")).replace("/purge", "/simulator/orders")
        with another_site(html.replace("which", "status").replace("state=dead", "FULFILLED")) as evil:
            for place in (evil, evil.replace("localhost", "127.0.0.1")):
                page.goto(place, wait_until="load")
                with page.expect_response(lambda answer: answer.url.endswith("/simulator/orders")) as answered:
                    page.evaluate("document.getElementById('form').submit()")
                assert answered.value.status == 403
        watch(tab)
        assert page.locator("#h-orders + .quiet").inner_text() == before

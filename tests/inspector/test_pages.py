"""The pages: what each shows, for every store, and for an inbox with nothing in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.responses import Response

from tests.helpers import NOW, SECRET, free_port
from tests.inspector.stage import COUNTS, Browser, Page, looked_at, receivers, some, sqlite
from webhook_receiver import Inbox, MemoryInbox, SQLiteInbox
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.records import AuditRecord, Metric, PollOutcome
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.pages import PAGES
from webhook_receiver.inspector.site import SitePage, View, labels_of

IN_NAVIGATION = [each.path for each in PAGES if each.title]
DEAD = "00000003" + "0" * 24


@asynccontextmanager
async def opened(inbox: Inbox, count: int) -> AsyncGenerator[Browser]:
    """Return a browser at a writable inspector of an inbox with so many deliveries."""
    await inbox.open()
    try:
        await inbox.load(some(count), inbox.clock())
        browser = Browser(looked_at(Inspector.on_loopback(receivers(inbox), writable=True)))
        async with browser.client:
            yield browser
    finally:
        await inbox.close()


@pytest.mark.parametrize("count", [0, 1, 30])
@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
async def test_every_page_of_every_store_is_there(
    store: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    inbox: Inbox = MemoryInbox()
    if store == "sqlite":
        inbox = sqlite(tmp_path)
    if store == "postgres":
        inbox = PostgresInbox(request.getfixturevalue("postgres_url"))
    async with opened(inbox, count) as browser:
        paths = [*IN_NAVIGATION, "/deliveries?state=dead&handler=app:download&handler_state=dead", "/replay?state=done"]
        paths += [f"/deliveries/{each.summary.id}" for each in some(count)]
        for path in paths:
            page = await browser.get(path)
            assert page.status == 200, (path, page.text)
            assert page.html.count("<h1") == 1, path
            assert "aria-current" in page.html or path.startswith("/replay")


async def test_an_empty_inbox_says_what_comes_where(tmp_path: Path) -> None:
    async with opened(sqlite(tmp_path), 0) as browser:
        for path, said in {
            "/deliveries": "No delivery yet",
            "/dead": "No dead letters",
            "/audit": "Nothing was done yet",
        }.items():
            assert said in (await browser.get(path)).text


def figure(page: Page, name: str) -> str:
    return page.text.partition(f" {name} ")[2].split(" ")[0]


async def test_the_overview_has_the_figures_of_each_receiver_side_by_side(browser: Browser) -> None:
    page = await browser.get("/")
    assert figure(page, "Dead letters") == figure(page, "Dead letters") == "4"
    for said in (
        "new, stored 40 duplicates 3 rejected 5 failed 1",
        "new, stored 7 duplicates 0 rejected 0 failed 0",
        "49 requests, last hour",
        "BadSignature 4 StaleSignature 1",
        "half of them ≤ 10 ms 95 % ≤ 100 ms",
        "so they may lag by that",
    ):
        assert said in page.text, page.text


async def test_a_receiver_of_which_nothing_was_counted_is_on_the_overview(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    await inbox.open()
    await inbox.load(some(30), inbox.clock())
    browser = Browser(looked_at(Inspector.on_loopback(inbox)))
    page = await browser.get("/")
    assert "No receiver yet" not in page.text
    for said in ("up42 0 requests, last hour", "github 0 requests, last hour"):
        assert said in page.text, page.text
    await inbox.count({Metric("quiet", "stored", 2): 1}, NOW - 3 * 86_400)
    browser.client._transport.app.site.inspected[0].counted.clear()  # type: ignore[attr-defined]
    assert "quiet 0 requests, last hour" in (await browser.get("/")).text
    await browser.client.aclose()
    await inbox.close()


@pytest.mark.parametrize("before", ["\u00b2", "x", "-1", "9" * 30, "1.5"])
async def test_a_record_that_cannot_be_is_told(browser: Browser, before: str) -> None:
    page = await browser.get(f"/audit?before={quote(before)}")
    assert (page.status, "There is no such record" in page.text) == (400, True)


def test_the_labels_of_inboxes_tell_them_apart() -> None:
    server = "postgresql://db.example:5432/hooks?schema="
    labels = {
        "/srv/seed.db": "srv/seed.db",
        "/srv/dup/seed.db": "dup/seed.db",
        "/srv/other.db": "other.db",
        f"{server}webhook_receiver": "hooks",
        f"{server}mine": "hooks, mine",
        "postgresql://a.example/same?schema=webhook_receiver": "a.example/same",
        "postgresql://b.example/same?schema=webhook_receiver": "b.example/same",
        "postgresql:///?schema=webhook_receiver": "/",
        "memory 140": "memory 140",
        "/seed.db": "/seed.db",
    }
    assert dict(zip(labels, labels_of([*labels]), strict=True)) == labels
    assert labels_of(["/srv/dup/seed.db"]) == ["seed.db"]


async def test_a_plot_has_its_numbers_beside_it(browser: Browser) -> None:
    page = await browser.get("/")
    for span, begin in {"hour": "06:03", "day": "06:00", "week": "12-11 06:00"}.items():
        page = await browser.get(f"/?span={span}")
        assert page.html.count('<rect class="stored"') == 2
        assert f"{begin} 40 3 5 1" in page.text, page.text
    assert 'aria-label="up42, last week: 40 new, stored, 3 duplicates, 5 rejected, 1 failed"' in page.html


async def test_what_was_counted_before_the_span_is_not_in_it(browser: Browser, inbox: SQLiteInbox) -> None:
    browser.client._transport.app.site.clock = lambda: NOW + 7200  # type: ignore[attr-defined]
    assert "0 requests, last hour" in (await browser.get("/")).text
    assert "49 requests, last day" in (await browser.get("/?span=day")).text


async def test_the_overview_tells_how_the_polls_stand(browser: Browser, inbox: SQLiteInbox) -> None:
    for source, outcome in {"orders": PollOutcome(), "tasks": PollOutcome("ApiError: 503 <b>", 60)}.items():
        lease = await inbox.lease_poll("up42", source, 60, inbox.clock())
        assert lease is not None
        await inbox.put_all([], "cursor-17", lease, NOW)
        await inbox.release_poll(lease, inbox.clock(), outcome, NOW + 50)
    page = await browser.get("/")
    assert "working up42: orders 50 s ago due cursor-17 1 min ago" in page.text
    assert "failing up42: tasks ApiError: 503 <b> never in" in page.text


async def test_paused_handlers_are_told_first(browser: Browser, inbox: SQLiteInbox) -> None:
    await inbox.pause("app:download", NOW - 3600)
    assert "app:download is paused for 1 h 1 min" in (await browser.get("/")).text
    page = await browser.get("/handlers")
    assert "for 1 h Resume" in page.text
    assert "/resume?handler=app%3Adownload" in page.links


async def test_the_handlers_page_says_what_each_is_for_and_how_it_does(browser: Browser) -> None:
    page = await browser.get("/handlers?span=hour")
    for said in (
        "download OrderFulfilled 30 6 3 ≤ 30 ms ≤ 1 s not here no",
        "notify timeout 5 s, 2 at once, 10 in 1 s OrderFulfilled 0 0 0 \u2013 \u2013 not here no",
        "deploy push 7 0 0 ≤ 300 ms ≤ 300 ms not here no",
        "this process runs none of them",
    ):
        assert said in page.text, page.text


async def test_an_open_circuit_is_shown_where_the_handlers_run(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    up42, _ = receivers(inbox)
    async with up42:
        browser = Browser(Inspector.on_loopback(up42))
        assert "closed no" in (await browser.get("/handlers")).text
        worker = up42.runtime._worker
        assert worker is not None
        for _ in range(10):
            worker._executor.breakers.record("app:download", ValueError(), NOW)
        assert "OrderFulfilled 0 0 0 \u2013 \u2013 open no" in (await browser.get("/handlers")).text
        await browser.client.aclose()


async def test_a_bare_inbox_shows_the_handlers_that_ran(reader: Browser) -> None:
    page = await reader.get("/handlers?span=hour")
    assert "Only the inbox is known here" in page.text
    assert "download \u2013 30 6 3" in page.text


async def test_the_senders_page_has_which_secret_verified_how_often_and_no_secret(browser: Browser) -> None:
    page = await browser.get("/senders")
    for said in (
        "Scheme UP42Signature Secrets 2",
        "0 the first 38 38 38 the current one",
        "1 5 5 5 still used",
        "BadSignature None of the receiver's secrets gives this signature over these headers. 4 4 4",
        "from GitHub",
    ):
        assert said in page.text, page.text


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (7, 1, "1 1 1 1 still used: its sender has not changed to the first one yet"),
        (7, 0, "1 0 0 0 not used for a week: it can be removed"),
        (0, 0, "1 0 0 0 not used for a week Rejected"),
        (0, 3, "0 the first 0 0 0 the current one; the sender does not use it yet"),
    ],
)
async def test_an_older_secret_can_be_removed_once_the_first_one_is_used_instead(
    tmp_path: Path, first: int, second: int, said: str
) -> None:
    inbox = sqlite(tmp_path)
    used = {Metric("up42", "secret 0"): first, Metric("up42", "secret 1"): second}
    async with opened(inbox, 0) as browser:
        await inbox.count({metric: count for metric, count in used.items() if count}, NOW)
        assert said in (await browser.get("/senders")).text


async def test_no_page_has_a_secret(browser: Browser) -> None:
    for path in [*IN_NAVIGATION, f"/deliveries/{DEAD}", f"/deliveries/{DEAD}/curl", f"/deliveries/{DEAD}/edit"]:
        page = await browser.get(path)
        assert page.status == 200
        for secret in (SECRET, "an-older-secret", "a-secret-of-github"):
            assert secret not in page.html


async def test_dead_letters_are_grouped_by_handler_and_error(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get("/dead")
    assert "ValueError: no such tile download up42 4" in page.text
    (link,) = [each for each in page.links if each.startswith("/deliveries?") and "error=" in each]
    listed = await browser.get(link)
    assert "4 deliveries" in listed.text
    assert listed.html.count('data-label="State"') == 4


async def test_the_audit_page_has_who_when_and_what_a_page_at_a_time(browser: Browser, inbox: SQLiteInbox) -> None:
    for number in range(60):
        await inbox.audit(AuditRecord(NOW + number, "ann", "purge", {"reason": f"test {number}", "state": ["dead"]}, 7))
    page = await browser.get("/audit")
    assert "2025-12-11 06:04:31 41 s ago ann purge 7 reason test 59 state dead" in page.text, page.text
    assert "test 9 " not in page.text
    (older,) = [each for each in page.links if "before=" in each]
    assert "test 9 " in (await browser.get(older)).text
    assert (await browser.get("/audit?before=x")).status == 400


async def test_several_inboxes_have_their_pages_each(tmp_path: Path) -> None:
    first, second = SQLiteInbox(tmp_path / "one.db", min_free=0), SQLiteInbox(tmp_path / "two.db", min_free=0)
    for inbox, count in ((first, 1), (second, 3)):
        await inbox.open()
        await inbox.load(some(count), inbox.clock())
    browser = Browser(Inspector.on_loopback([*receivers(first)[:1], second]))
    try:
        page = await browser.get("/deliveries")
        assert "1 delivery" in page.text
        assert {"/", "/inbox/2/"} <= {*page.links}
        page = await browser.get("/inbox/2/deliveries")
        assert "3 deliveries" in page.text
        assert {"/", "/inbox/2/dead", "/inbox/2/deliveries/00000001" + "0" * 24} <= {*page.links}
        assert (await browser.get("/inbox/2/")).status == 200
        assert all(each.startswith("/static/") for each in page.links if "static" in each)
    finally:
        await browser.client.aclose()
        await first.close()
        await second.close()


async def test_more_pages_stand_behind_the_others_in_the_navigation(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)

    async def show(view: View) -> Response:
        return await view.page("finished.html", action="purge", count=7, one="")

    async def change(view: View) -> Response:
        return view.redirect("/more", said=view.sent("said"))

    pages = [SitePage("/more", show, "More"), SitePage("/more", change, posts=True)]
    browser = Browser(Inspector.on_loopback(inbox, writable=True, pages=pages))
    page = await browser.get("/more")
    assert "7 deliveries removed" in page.text
    assert page.html.index(">Audit") < page.html.index(">More")
    done = await browser.post("/more", {"token": browser.token, "said": "yes"})
    assert done.response.url.query == b"said=yes"
    assert (await browser.post("/more", {"token": "another"})).status == 403
    await browser.client.aclose()
    await inbox.close()


async def test_what_is_not_there_is_a_page_that_says_so(browser: Browser) -> None:
    for path in ("/nothing", "/deliveries/ffff", "/static/x/secret.txt", "/inbox/2/", "/deliveries/"):
        page = await browser.get(path)
        assert (page.status, "location" in page.response.headers) == (404, False), path
    assert (await browser.client.post("/deliveries", headers={"sec-fetch-site": "same-origin"})).status_code == 405


async def test_an_inbox_that_does_not_answer_is_a_page_that_says_so() -> None:
    inbox = PostgresInbox(f"postgresql://ann:a-password@127.0.0.1:{free_port()}/hooks?connect_timeout=1")
    browser = Browser(Inspector.on_loopback(inbox))
    page = await browser.get("/deliveries")
    assert (page.status, page.response.headers["retry-after"]) == (503, "5")
    assert "The inbox does not answer" in page.text
    assert "a-password" not in page.html
    await browser.client.aclose()
    await inbox.close()


def test_the_counts_of_the_stage_are_of_receivers_that_it_has() -> None:
    assert {each.receiver for each in COUNTS} == {"up42", "github"}

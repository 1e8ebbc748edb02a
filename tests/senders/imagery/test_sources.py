"""All sources, against stand-ins of the APIs, served for real: what they tell, and what they make of failures."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from webhook_receiver import ApiError, ConfigurationError
from webhook_receiver.senders.imagery import api, listings
from webhook_receiver.senders.imagery.api_source import ApiSource
from webhook_receiver.senders.imagery.copernicus_source import copernicus_access, copernicus_queue_source
from webhook_receiver.senders.source import MOST_OF_A_CURSOR, StartsAt, source_name
from webhook_receiver.simulator.providers.base import KEY, Silence

from .stage import CASES, NOW, Case, Player, Stage, at
from .standins.sentinel_hub import SentinelHub

ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LISTINGS = {name: case for name, case in CASES.items() if not case.is_queue}
OF_LISTINGS = pytest.mark.parametrize("case", LISTINGS.values(), ids=LISTINGS)


def test_each_source_has_a_name_of_its_own_and_may_begin_at_a_time() -> None:
    sources = [case.source("http://127.0.0.1", KEY) for case in CASES.values()]
    assert len({source_name(source) for source in sources}) == len(CASES)
    assert all(isinstance(source, StartsAt) for source in sources)


@ALL
def test_a_source_shows_no_secret(case: Case) -> None:
    source = case.source("http://127.0.0.1", KEY)
    assert KEY not in repr(source)
    assert KEY not in repr(source.api)


@ALL
async def test_what_is_there_is_told_once(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.open, at(-3))
    player.there.put("j-2", case.ended, at(-2))
    assert sorted(await player.told()) == [("j-1", case.open), ("j-2", case.ended)]
    assert await player.told() == []
    assert await player.told() == []


@ALL
async def test_nothing_is_told_where_nothing_is(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    assert await player.told() == []
    player.now += timedelta(days=3)
    assert await player.told() == []
    player.there.put("j-1", case.ended, at(4320 - 1))
    assert await player.told() == [("j-1", case.ended)]


@OF_LISTINGS
async def test_all_pages_are_read_and_the_oldest_is_told_first(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.page_size = 2
    for number in range(7):
        player.there.put(f"j-{number}", case.ended, at(number - 20))
    assert await player.told() == [(f"j-{number}", case.ended) for number in range(7)]
    assert await player.told() == []


@OF_LISTINGS
async def test_a_job_is_told_again_when_its_status_is_another(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.open, at(-1))
    assert await player.told() == [("j-1", case.open)]
    player.now += timedelta(days=40)
    player.there.put("j-1", case.ended, at(40 * 1440 - 1))
    assert (await player.told())[-1] == ("j-1", case.ended)
    assert await player.told() == []


@OF_LISTINGS
async def test_a_status_that_is_new_tomorrow_is_told_and_is_no_end(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", "levitating", at(-1))
    assert await player.told() == [("j-1", "levitating")]
    player.now += timedelta(days=2)
    player.there.put("j-1", case.ended, at(2880 - 1))
    assert (await player.told())[-1] == ("j-1", case.ended)


@OF_LISTINGS
async def test_an_open_job_that_is_gone_is_forgotten_after_a_while(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.open, at(-60))
    player.there.put("j-2", case.ended, at(-1))
    await player.poll()
    player.there.remove("j-1")
    for _ in range(3):
        assert await player.told() == []
        player.now += timedelta(hours=12)
    assert "j-1" not in (player.cursor or "")
    assert await player.told() == []


@OF_LISTINGS
async def test_jobs_from_before_the_first_call_that_had_ended_are_not_told(case: Case, stage: Stage) -> None:
    player = Player(case, stage, since=timedelta(hours=1))
    player.there.put("j-1", case.ended, at(-120))
    player.there.put("j-2", case.ended, at(-10))
    assert await player.told() == [("j-2", case.ended)]


@OF_LISTINGS
async def test_a_source_begins_at_a_time_when_it_is_told_to(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.ended, at(-120))
    player.there.put("j-2", case.ended, at(-10))
    player.cursor = player.source.cursor_at(NOW - timedelta(hours=1))
    assert await player.told() == [("j-2", case.ended)]
    player.cursor = player.source.cursor_at(NOW - timedelta(hours=3))
    assert sorted(await player.told()) == [("j-1", case.ended), ("j-2", case.ended)]


@OF_LISTINGS
async def test_a_job_that_is_listed_a_little_late_is_told(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.ended, at(-1))
    await player.poll()
    player.there.put("j-2", case.ended, at(-9))  # before the newest one
    assert await player.told() == [("j-2", case.ended)]


@OF_LISTINGS
async def test_a_clock_that_runs_ahead_leaves_nothing_out(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.ended, at(60 * 24 * 365))
    assert await player.told() == [("j-1", case.ended)]
    player.now += timedelta(minutes=5)
    player.there.put("j-2", case.ended, at(4))
    assert await player.told() == [("j-2", case.ended)]


@OF_LISTINGS
async def test_equal_times_are_told_apart_on_all_pages(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.page_size = 2
    for number in range(9):
        player.there.put(f"j-{number}", case.ended, at(-5))
    assert sorted(await player.told()) == [(f"j-{number}", case.ended) for number in range(9)]
    assert await player.told() == []


@OF_LISTINGS
async def test_a_call_with_an_old_cursor_tells_the_same_again(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.open, at(-9))
    await player.poll()
    player.there.put("j-1", case.ended, at(-2))
    before = player.cursor
    first = await player.poll()
    player.cursor = before  # as after a crash
    assert [player.place(each) for each in await player.poll()] == [player.place(each) for each in first]


@OF_LISTINGS
async def test_a_cursor_stays_short_with_many_open_jobs_and_nothing_is_left_out(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.page_size = 100
    ids = [f"{number:08d}-4a44-4ab4-8444-0123456789ab" for number in range(420)]
    for number, id in enumerate(ids):
        player.there.put(id, case.open, at(number / 10 - 100))
    told = await player.told()
    assert {id for id, _ in told} == {*ids}
    assert len(player.cursor or "") <= MOST_OF_A_CURSOR
    player.now += timedelta(days=20)
    for number, id in enumerate(ids):
        player.there.put(id, case.ended, at(20 * 1440 - 100 + number / 10))
    told = await player.told()
    assert {id for id, status in told if status == case.ended} == {*ids}
    assert len(player.cursor or "") <= MOST_OF_A_CURSOR


@OF_LISTINGS
async def test_a_call_that_takes_long_returns_what_it_has_and_the_next_one_goes_on(
    case: Case, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "_LONGEST_CALL", -1.0)
    player = Player(case, stage)
    player.there.page_size = 3
    for number in range(7):
        player.there.put(f"j-{number}", case.ended, at(number - 20))
    assert sorted(await player.told()) == [(f"j-{number}", case.ended) for number in range(7)]
    assert player.calls >= 7
    assert await player.told() == []


@OF_LISTINGS
async def test_a_job_is_asked_for_again_by_its_id(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.ended, at(-1))
    (told, *_) = await player.poll()
    if not case.has_ids:
        with pytest.raises(ApiError, match="no resource of one"):
            await player.source.again("j-1")
        return
    (again, *_) = [json.loads(document) for document in await player.source.again("j-1")]
    assert player.place(again) == player.place(told)
    with pytest.raises(ApiError) as caught:
        await player.source.again("j-2")
    assert caught.value.status == 404


@ALL
async def test_an_id_is_no_path(case: Case, stage: Stage) -> None:
    if case.is_queue:
        with pytest.raises(ConfigurationError, match="cannot ask for one of its documents again"):
            await Player(case, stage).source.again("j-1")
        return
    player = Player(case, stage)
    with pytest.raises(ApiError):
        await player.source.again("../../admin?x=1#y")
    assert all("admin" not in path.split("/") for path in player.there.paths)


@ALL
async def test_a_rejected_key_is_an_error_that_does_not_show_it(case: Case, stage: Stage) -> None:
    player = Player(case, stage, key="not-the-key-at-all")
    player.there.lets_in = lambda headers: False
    player.there.refusal = lambda: JSONResponse({"message": "bad key not-the-key-at-all", "detail": KEY}, 401)
    with pytest.raises(ApiError, match=r"401 Unauthorized: bad key .*the credentials were rejected") as caught:
        await player.call()
    assert caught.value.status == 401
    assert "not-the-key-at-all" not in str(caught.value)


@ALL
async def test_too_many_requests_tell_when_to_ask_again(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    unit = 0.001 if case.stand_in is SentinelHub else 1
    for text, seconds in [("120", 120 * unit), ("0", 0.0), ("soon", None), ("", None)]:
        player.there.answers = [JSONResponse({"message": "slow down"}, 429, {"retry-after": text})]
        with pytest.raises(ApiError, match="429 Too Many Requests: slow down; too many requests") as caught:
            await player.call()
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize("name", ["iceye", "sentinel-hub", "copernicus-queue"])
async def test_too_many_requests_for_a_token_tell_when_to_ask_again(name: str, stage: Stage) -> None:
    async def slow_down(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/token"
        await JSONResponse({}, 429, {"retry-after": "7200"})(scope, receive, send)

    player = Player(CASES[name], stage)
    stage.plays = slow_down
    with pytest.raises(ApiError, match="the token endpoint answered 429") as caught:
        await player.call()
    assert caught.value.retry_after == (7.2 if name == "sentinel-hub" else 7200)


@pytest.mark.parametrize("end", ["?key=abc", "#part", "/v1?", "/v1#"])
def test_an_address_with_a_query_or_a_fragment_is_refused(end: str) -> None:
    with pytest.raises(ConfigurationError, match="without a query or a fragment"):
        CASES["stapi"].source(f"https://api.example.com{end}", KEY)


async def test_a_path_of_the_address_may_be_a_secret_and_is_shown_nowhere(stage: Stage) -> None:
    source = CASES["hyp3"].source("http://127.0.0.1:1/s3cr3t-path/api", KEY)
    assert "s3cr3t" not in repr(source) + repr(source.api) + repr(vars(source))
    with pytest.raises(ApiError, match=r"GET /jobs at 127\.0\.0\.1: ") as caught:
        await source(None)
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(ConfigurationError) as refused:
        CASES["hyp3"].source("ftp://api.example.com/s3cr3t-path", KEY)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("subscription", ["", " ", "..", "a\nb", 7, None])
def test_a_queue_needs_the_id_of_a_subscription(subscription: Any) -> None:
    with pytest.raises(ConfigurationError, match="subscription_id is the id of a subscription"):
        copernicus_queue_source(copernicus_access("me", "pw"), subscription)


async def test_a_next_page_that_is_no_text_is_not_asked_for(stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.answers = [JSONResponse({"jobs": [], "next": {"a": 1}})]
    with pytest.raises(ApiError, match="the link to the next page is no text"):
        await player.call()
    assert len(player.there.got) == 1


async def test_the_time_to_ask_again_may_be_a_date(stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    player.there.answers = [JSONResponse({}, 503, {"retry-after": then})]
    with pytest.raises(ApiError) as caught:
        await player.call()
    assert caught.value.retry_after == pytest.approx(3600, abs=60)


BAD: list[tuple[Response, str]] = [
    (JSONResponse({"error": {"message": "a bug"}}, 500), "500 Internal Server Error: a bug"),
    (PlainTextResponse("", 502), "502 Bad Gateway: it does not say why"),
    (Response("<html>Log in</html>", 200, media_type="text/html"), "200 OK: the response is HTML and not JSON"),
    (Response("<html>Down</html>", 503, media_type="text/html"), "503 Service Unavailable: the response is HTML"),
    (PlainTextResponse('{"orders": [{"id'), "200 OK: it is not JSON"),
    (PlainTextResponse("[" * 100_000), "200 OK: it is not JSON"),
    (JSONResponse({"unexpected": 1}), "the response has no array"),
    (JSONResponse(None), "the response has no array"),
    (JSONResponse(7), "the response has no array"),
    (RedirectResponse("https://example.com/login?token=x"), "307 Temporary Redirect: redirects are not followed"),
    (Response(b"x", headers={"content-encoding": "gzip"}), "a Content-Encoding that was not asked for"),
]


@ALL
async def test_an_answer_that_is_none_is_an_error_and_the_next_call_goes_on(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.ended, at(-1))
    for answer, said in BAD:
        player.there.answers = [answer]
        with pytest.raises(ApiError, match=said):
            await player.call()
    assert await player.told() == [("j-1", case.ended)]


@ALL
async def test_items_without_an_id_are_an_error(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    names = ("orders", "subscriptions", "results", "data", "jobs", "features", "value")
    bad: list[list[Any]] = [[{}], [None], [7], [{"id": None}]]
    for items in bad:
        document: Any = items if case.is_queue else dict.fromkeys(names, items)
        player.there.answers = [JSONResponse(document)]
        with pytest.raises(ApiError, match="the API told"):
            await player.call()


@ALL
async def test_a_huge_answer_is_given_up(case: Case, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MOST_OF_A_RESPONSE", 100_000)
    player = Player(case, stage)
    player.there.answers = [Response(b" " * 100_001)]
    with pytest.raises(ApiError, match="more than 100000 bytes"):
        await player.call()


async def test_an_answer_that_does_not_end_is_given_up(stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.answers = [Silence()]
    source = replace(player.source, api=replace(player.source.api, timeout=0.1))
    with pytest.raises(ApiError, match=r"no response within 0\.1 s"):
        await source(None)


async def test_a_server_that_is_not_there_is_an_error(stage: Stage) -> None:
    source = CASES["hyp3"].source("http://127.0.0.1:1", KEY)
    with pytest.raises(ApiError, match=r"GET /jobs at 127\.0\.0\.1: .*is it up"):
        await source(None)


async def test_a_next_page_whose_link_is_no_url_is_an_error(stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.answers = [JSONResponse({"jobs": [], "next": "http://127.0.0.1:none/jobs"})]
    with pytest.raises(ApiError, match="the link to the next page is no URL"):
        await player.call()


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "carrier-pigeon://proxy")
    with pytest.raises(ConfigurationError, match="the environment's proxy or certificates cannot be used"):
        await CASES["hyp3"].source("https://images.example.com", KEY)(None)


@pytest.mark.parametrize("link", ["https://example.com/jobs?page=2", "//example.com/jobs", "http://me@127.0.0.1/jobs"])
async def test_a_next_page_elsewhere_is_not_asked_for(stage: Stage, link: str) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.answers = [JSONResponse({"jobs": [], "next": link})]
    with pytest.raises(ApiError, match="which is not asked"):
        await player.call()
    assert len(player.there.got) == 1


async def test_a_next_page_may_have_the_scheme_and_port_of_behind_a_proxy(stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.put("j-1", "RUNNING", at(-1))
    player.there.answers = [JSONResponse({"jobs": [], "next": "https://127.0.0.1:8443/jobs?start_token=0"})]
    assert await player.told() == [("j-1", "RUNNING")]


@ALL
async def test_a_cursor_of_another_source_is_refused(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    # A queue begins where it begins, whatever the time.
    for cursor in ["", "2026-01-01", "[]", "{}", "null", *([] if case.is_queue else ['{"from": 7}'])]:
        player.cursor = cursor
        with pytest.raises(ConfigurationError, match="the cursor is of another source"):
            await player.call()


@pytest.mark.parametrize("url", ["", "api.example.com", "http://api.example.com", "ftp://x", "https://me:pw@x", 7])
def test_an_address_is_one_of_https_or_of_this_machine(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="url"):
        CASES["hyp3"].source(url, KEY)


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "schlüssel", 7, None])
@pytest.mark.parametrize("name", ["planet-orders", "skyfi", "hyp3"])
def test_a_key_can_be_in_a_header(name: str, key: Any) -> None:
    with pytest.raises(ConfigurationError, match="without spaces") as caught:
        CASES[name].source("https://example.com", key)
    assert not key or str(key) not in str(caught.value)


@pytest.mark.parametrize("part", [{"name": ""}, {"name": 7}, {"since": timedelta(-1)}, {"since": 60}])
def test_a_part_that_cannot_work_is_refused(part: dict[str, Any]) -> None:
    source = CASES["hyp3"].source("https://example.com", KEY)
    parts: dict[str, Any] = {"name": source.name, "api": source.api, "listing": source.listing, **part}
    with pytest.raises(ConfigurationError):
        ApiSource(**parts)


@pytest.mark.parametrize("timeout", [0, -1, True, None, float("inf")])
def test_a_time_out_is_a_time(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout is a number of seconds"):
        api.Api(url="https://example.com", access=CASES["hyp3"].source("https://x", KEY).api.access, timeout=timeout)

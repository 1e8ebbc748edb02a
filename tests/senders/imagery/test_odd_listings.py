"""Listings with odd entries, read by a clock that is ahead, or without an end: nothing is held up, and nothing lost."""

from __future__ import annotations

import json
import logging
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook_receiver import ApiError
from webhook_receiver.senders.imagery import entries
from webhook_receiver.simulator.providers.base import Got

from .stage import CASES, NOW, Case, Player, Stage, at

ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LISTINGS = {name: case for name, case in CASES.items() if not case.is_queue}
OF_LISTINGS = pytest.mark.parametrize("case", LISTINGS.values(), ids=LISTINGS)
ODD: list[Any] = [7, None, "text", [], {}, {"id": None, "properties": None, "AckId": 7}]
NAMES = ("orders", "subscriptions", "results", "data", "jobs", "features", "value")


class Beside:
    """An app that puts entries before those of the first listing of an API."""

    def __init__(self, app: ASGIApp, case: Case) -> None:
        self._app = app
        self._case = case
        self.entries: list[Any] = []
        self.without: str | None = None
        """What a further entry lacks that is else as the first good one: "status" or "time"."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: list[Message] = []
        body = b""

        async def take(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.append(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            sent = json.dumps(self._with(json.loads(body))).encode()
            headers = [pair for pair in start[0]["headers"] if pair[0].lower() != b"content-length"]
            await send({**start[0], "headers": [*headers, (b"content-length", b"%d" % len(sent))]})
            await send({"type": "http.response.body", "body": sent})

        await self._app(scope, receive, take)

    def _with(self, document: Any) -> Any:
        name = next((each for each in NAMES if isinstance(document, dict) and isinstance(document.get(each), list)), "")
        listed: Any = document[name] if name else document
        if isinstance(listed, list) and listed and "j-1" in json.dumps(listed):
            listed[:0] = [*self.entries, *([] if self.without is None else [self._lacking(listed[0])])]
        return document

    def _lacking(self, good: Any) -> Any:
        if isinstance(good, dict):
            return {name: self._lacking(value) for name, value in deepcopy(good).items()}
        if isinstance(good, list):
            return [self._lacking(value) for value in good]
        if self.without == "status" and good == self._case.ended:
            return None
        if self.without == "time" and isinstance(good, str) and good[:4] == "2026":
            return "0001-01-01T00:00:00Z"
        return good.replace("j-1", "odd-1") if isinstance(good, str) else good


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_noted", {})


@ALL
@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_an_entry_that_is_odd_stops_no_other_and_is_noted_once(
    case: Case, odd: Any, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    player = Player(case, stage)
    stage.plays = beside = Beside(player.there, case)
    beside.entries = [odd]
    player.there.put("j-1", case.ended, at(-1))
    with caplog.at_level(logging.WARNING, "webhook_receiver"):
        assert await player.told() == [("j-1", case.ended)]
        assert await player.told() == []
    assert [record.getMessage().count("left out") for record in caplog.records] == [1]
    player.there.put("j-2", case.ended, at(0))
    assert await player.told() == [("j-2", case.ended)]


@OF_LISTINGS
@pytest.mark.parametrize("lacks", ["status", "time"])
async def test_an_entry_without_a_status_or_a_time_is_told_and_stops_no_other(
    case: Case, lacks: str, stage: Stage
) -> None:
    player = Player(case, stage)
    stage.plays = beside = Beside(player.there, case)
    beside.without = lacks
    player.there.put("j-1", case.ended, at(-1))
    told = await player.told()
    assert ("j-1", case.ended) in told
    assert {id for id, _ in told} == {"j-1", "odd-1"}
    beside.without = None
    player.there.put("j-2", case.ended, at(0))
    assert await player.told() == [("j-2", case.ended)]


@pytest.mark.parametrize("events", [None, 7, ["x"], [{"status": "STARTED", "timestamp": None}], [{}]])
async def test_an_order_of_skyfi_with_odd_events_stops_no_other(events: Any, stage: Stage) -> None:
    player = Player(CASES["skyfi"], stage)
    player.there.put("j-1", "STARTED", at(-2))
    player.there.put("j-2", "DELIVERY_COMPLETED", at(-1))
    player.there.orders["j-1"]["events"] = events
    told = await player.told()
    assert ("j-2", "DELIVERY_COMPLETED") in told
    assert {id for id, _ in told} == {"j-1", "j-2"}


@pytest.mark.parametrize("entry", [7, {"properties": {"taskingrequestId": "j-0", "statusHistory": ["x", {}]}}])
async def test_a_request_of_capella_with_an_odd_history_stops_no_other(entry: Any, stage: Stage) -> None:
    player = Player(CASES["capella"], stage)
    good = {"properties": {"taskingrequestId": "j-1", "statusHistory": [{"time": at(-1), "code": "active"}]}}
    player.there.answers = [JSONResponse({"results": [entry, good], "totalPages": 1})]
    assert (await player.poll())[0]["properties"]["taskingrequestId"] == "j-1"


@OF_LISTINGS
async def test_what_changes_after_a_poll_by_a_clock_that_was_ahead_is_told(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    stage.date = lambda: NOW
    player.now += timedelta(days=3650)
    assert await player.told() == []
    player.now = NOW + timedelta(minutes=5)
    player.there.put("j-1", case.ended, at(1))
    assert await player.told() == [("j-1", case.ended)]
    assert await player.told() == []


@OF_LISTINGS
async def test_a_clock_that_is_ahead_for_a_while_gives_up_nothing_that_is_open(case: Case, stage: Stage) -> None:
    player = Player(case, stage)
    player.there.put("j-1", case.open, at(-60 * 3))
    player.there.put("j-2", case.ended, at(-5))
    await player.poll()
    stage.date = lambda: NOW
    player.now += timedelta(days=3650)
    for _ in range(4):
        await player.poll()
    player.now = NOW + timedelta(minutes=5)
    # Where a listing knows when jobs were created alone, that is where it stays.
    player.there.put("j-1", case.ended, at(1) if case.source("http://127.0.0.1", "k").name in BY_CHANGE else at(-180))
    assert (await player.told())[-1] == ("j-1", case.ended)


BY_CHANGE = {"planet-orders", "planet-subscriptions", "planet-subscription-s-1", "capella-tasks", "stapi-orders"}


def test_a_source_may_begin_before_there_was_any() -> None:
    source = CASES["hyp3"].source("http://127.0.0.1", "k")
    assert source.cursor_at(NOW - timedelta(days=400_000)) != ""


async def test_a_first_call_may_go_back_for_ever(stage: Stage) -> None:
    player = Player(CASES["planet-orders"], stage, since=timedelta.max)
    player.there.put("j-1", "success", at(-1))
    assert await player.told() == [("j-1", "success")]


@pytest.mark.parametrize("entry", [[], [{"job_id": "j-0", "status_code": "SUCCEEDED", "request_time": at(-1)}]])
async def test_a_listing_without_an_end_is_an_error_and_what_is_open_is_asked_for(entry: Any, stage: Stage) -> None:
    player = Player(CASES["hyp3"], stage)
    player.there.put("j-1", "RUNNING", at(-600))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    player.there.put("j-1", "SUCCEEDED", at(-600))
    pages = 0

    def listed(got: Got) -> None:
        nonlocal pages
        if got.path == "/jobs":
            pages += 1
            player.there.answers = [JSONResponse({"jobs": entry, "next": f"/jobs?start_token={pages}"})]

    player.there.meanwhile = listed
    told: list[Any] = []

    async def read_on() -> None:
        while True:
            told.extend([player.place(each) for each in await player.call()])

    with pytest.raises(ApiError, match="the listing does not end: 50 pages in a row have nothing that is new"):
        await read_on()
    assert ("j-1", "SUCCEEDED") in told
    assert pages <= 60
    player.there.meanwhile = None
    player.now += timedelta(minutes=5)
    player.there.put("j-3", "SUCCEEDED", at(4))
    assert await player.told() == [("j-3", "SUCCEEDED")]


async def test_a_long_listing_of_what_is_known_ends(stage: Stage) -> None:
    player = Player(CASES["stapi"], stage)
    player.there.page_size = 1
    for number in range(60):
        player.there.put(f"j-{number}", "completed", at(number - 90))
    assert len(await player.told()) == 60
    assert await player.told() == []


async def test_a_job_of_openeo_that_is_started_again_and_ends_between_two_polls_is_told_again(stage: Stage) -> None:
    player = Player(CASES["openeo"], stage)
    player.there.put("j-1", "finished", at(-60))
    assert await player.told() == [("j-1", "finished")]
    player.there.put("j-1", "finished", at(-1))
    assert await player.told() == [("j-1", "finished")]
    assert await player.told() == []

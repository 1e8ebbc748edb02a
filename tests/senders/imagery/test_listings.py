"""Listings of jobs that know no changes: how far they are read, what is asked for by id, and what ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from webhook_receiver import ApiError
from webhook_receiver.senders.imagery.listings import ByStart
from webhook_receiver.senders.imagery.times import moment, text_of
from webhook_receiver.simulator.providers.base import Got

from .stage import CASES, Player, Stage, at

HYP3, HARMONY, OPENEO, STAPI = (CASES[name] for name in ("hyp3", "harmony", "openeo", "stapi"))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, time: str) -> None:
    assert text_of(moment(text)) == time


@pytest.mark.parametrize("text", ["", "yesterday", None, 7, "0001-01-01T00:00:00+09:00"])
def test_anything_else_is_no_time(text: Any) -> None:
    with pytest.raises(ApiError, match="RFC 3339"):
        moment(text)


async def test_a_long_listing_is_read_by_ten_pages_a_call(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 1
    for number in range(25):
        player.there.put(f"j-{number}", "SUCCEEDED", at(number - 30))
    sizes: list[int] = []
    while not sizes or player.more:
        sizes.append(len(await player.call()))
    assert sizes == [10, 10, 5]
    assert await player.told() == []


async def test_a_link_to_a_page_that_has_ended_begins_anew(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 1
    for number in range(15):
        player.there.put(f"j-{number}", "SUCCEEDED", at(number - 30))
    first = await player.call()
    assert player.more
    player.there.answers = [JSONResponse({"detail": "Invalid start_token value"}, 400)]
    second = await player.poll()
    assert {player.place(each)[0] for each in [*first, *second]} == {f"j-{number}" for number in range(15)}


async def test_a_page_that_is_empty_is_not_the_last_one(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "SUCCEEDED", at(-1))
    player.there.answers = [JSONResponse({"jobs": [], "next": "/jobs?start_token=0"})]
    assert await player.told() == [("j-1", "SUCCEEDED")]


async def test_pages_without_end_are_an_error(stage: Stage) -> None:
    player = Player(HYP3, stage)
    long = "x" * 3000  # longer than what a cursor keeps

    def again(got: Got) -> None:
        player.there.answers = [JSONResponse({"jobs": [], "next": f"/jobs?start_token={long}"})]

    player.there.meanwhile = again
    with pytest.raises(ApiError, match="does not end: 50 pages in a row have nothing that is new"):
        await player.poll()


async def test_a_job_that_was_created_long_ago_is_asked_for_by_its_id(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    player.there.got.clear()
    player.there.put("j-1", "FAILED", at(-60))
    assert await player.told() == [("j-1", "FAILED")]
    assert player.there.paths == ["/jobs", "/jobs/j-1"]
    player.there.got.clear()
    assert await player.told() == []
    assert player.there.paths == ["/jobs"]


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if isinstance(case.source("https://x.example", "k").listing, ByStart)]
)
async def test_an_old_job_that_is_open_is_found_at_first_and_when_the_cursor_is_set_back(
    name: str, stage: Stage
) -> None:
    player = Player(CASES[name], stage)
    player.there.page_size = 2
    player.there.put("j-0", player.case.open, at(-90 * 1440))
    for number in range(1, 7):
        player.there.put(f"j-{number}", player.case.ended, at(-60 * 1440 + number))
    assert await player.told() == [("j-0", player.case.open)]
    player.cursor = player.source.cursor_at(moment(at(-2 * 1440)))
    assert await player.told() == [("j-0", player.case.open)]
    player.there.put("j-7", player.case.ended, at(-1))
    player.there.put("j-0", player.case.ended, at(1))
    assert {each for each in await player.told() if each[1] == player.case.ended} == {
        ("j-0", player.case.ended),
        ("j-7", player.case.ended),
    }


async def test_the_first_call_remembers_over_many_pages_that_it_is_the_first(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 1
    player.there.put("j-old", "RUNNING", at(-90 * 1440))
    for number in range(25):
        player.there.put(f"j-{number}", "SUCCEEDED", at(-60 * 1440 + number))
    assert await player.told() == [("j-old", "RUNNING")]
    assert player.calls == 3
    assert await player.told() == []
    assert player.calls == 4


async def test_a_job_that_never_ends_is_given_up_after_400_days(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    for days in (399, 401, 402):
        player.now = moment(at(days * 1440))
        player.there.put(f"j-{days}", "SUCCEEDED", at(days * 1440 - 1))
        player.there.got.clear()
        await player.poll()
        assert ("/jobs/j-1" in player.there.paths) is (days <= 401)


async def test_a_job_that_was_not_found_once_is_asked_for_again(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    for _ in range(4):
        for _ in range(2):
            player.there.answers = [None, JSONResponse({"detail": "not found"}, 404)]
            assert await player.told() == []
        assert await player.told() == []  # it is there again
    player.there.put("j-1", "FAILED", at(-60))
    assert await player.told() == [("j-1", "FAILED")]


@pytest.mark.parametrize(("every", "polls"), [(timedelta(seconds=10), 50), (timedelta(hours=5), 5)])
async def test_a_job_is_not_given_up_within_a_day(stage: Stage, every: timedelta, polls: int) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    for _ in range(polls):
        player.now += every
        player.there.answers = [None, JSONResponse({"detail": "not found"}, 404)]
        assert await player.told() == []
    player.now += every
    player.there.put("j-1", "SUCCEEDED", at(-60))
    assert await player.told() == [("j-1", "SUCCEEDED")]


async def test_a_job_that_is_gone_is_given_up_also_where_a_listing_is_long(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    player.there.page_size = 1
    player.there.remove("j-1")
    for half_days in range(1, 5):
        player.now += timedelta(hours=12)
        for number in range(15):  # more than one call reads
            player.there.put(f"j-{half_days}-{number}", "SUCCEEDED", at(720 * half_days - 20 + number))
        assert len(await player.told()) == 15
    assert '"j-1"' not in (player.cursor or "")


async def test_a_failure_when_an_open_job_is_asked_for_tells_nothing_yet(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "RUNNING", at(-60))
    player.there.put("j-2", "SUCCEEDED", at(-1))
    await player.poll()
    player.there.put("j-1", "FAILED", at(-60))
    player.there.answers = [None, JSONResponse({"detail": "busy"}, 503)]
    with pytest.raises(ApiError, match="busy"):
        await player.poll()
    player.now += timedelta(minutes=1)
    assert await player.told() == [("j-1", "FAILED")]


async def test_a_listing_that_is_sorted_otherwise_than_it_should_is_read_to_its_end(stage: Stage) -> None:
    player = Player(HARMONY, stage)
    player.there.page_size = 3
    for minutes in (-1, -50, -2, -60, -3, -70):  # the clock of the server goes to and fro
        player.there.put(f"j{minutes}", "successful", at(minutes))
    player.cursor = player.source.cursor_at(moment(at(-10)))
    assert {id for id, _ in await player.told()} == {"j-1", "j-2", "j-3"}


async def test_a_listing_that_is_sorted_is_read_no_further_than_it_has_to(stage: Stage) -> None:
    player = Player(HARMONY, stage)
    for number in range(10):
        player.there.put(f"j-{number}", "successful", at(number * 60 - 700))
    await player.poll()
    player.there.got.clear()
    assert await player.told() == []
    assert player.there.paths == ["/jobs"]


async def test_a_job_of_harmony_that_has_ended_has_the_links_to_its_data(stage: Stage) -> None:
    player = Player(HARMONY, stage)
    player.there.put("j-1", "complete_with_errors", at(-1))
    (document,) = await player.poll()
    assert [link["href"] for link in document["links"] if link["rel"] == "data"] == ["https://example.com/j-1.tif"]
    assert document["dataExpiration"]


async def test_a_job_of_openeo_that_has_finished_has_its_results(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    player.there.put("j-1", "finished", at(-1))
    (document,) = await player.poll()
    assert document["results"]["assets"]["1.tif"]["href"] == "https://example.com/j-1.tif?signature=1"
    assert document["results"]["properties"]["expires"] == "2026-01-03T00:00:00Z"
    (again,) = await player.source.again("j-1")
    assert json.loads(again)["results"]["assets"]["1.tif"]["href"].endswith("signature=2")


async def test_a_job_of_openeo_is_told_without_results_where_they_are_gone(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    player.there.put("j-1", "finished", at(-1))
    player.there.answers = [None, JSONResponse({"code": "ResultLinkExpired", "message": "gone"}, 410)]
    (document,) = await player.poll()
    assert document["results"] is None


async def test_a_job_of_openeo_is_not_told_while_its_results_cannot_be_asked_for(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    player.there.put("j-1", "finished", at(-1))
    player.there.answers = [None, JSONResponse({"message": "slow down"}, 429)]
    with pytest.raises(ApiError, match="slow down"):
        await player.poll()
    assert await player.told() == [("j-1", "finished")]


async def test_a_job_that_has_ended_and_is_started_again_is_told_again(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    player.there.put("j-1", "error", at(-600))
    player.there.put("j-2", "finished", at(-1))
    await player.poll()
    player.there.put("j-1", "queued", at(1))
    assert await player.told() == [("j-1", "queued")]
    player.there.put("j-1", "finished", at(2))
    assert await player.told() == [("j-1", "finished")]


async def test_jobs_that_nobody_starts_are_not_waited_for(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    for number in range(100):
        player.there.put(f"j-{number}", "created", at(-600))
    player.there.put("j-now", "finished", at(-1))
    assert len(await player.poll()) == 101
    assert "open" not in json.loads(player.cursor or "")
    assert await player.told() == []
    player.now += timedelta(days=9)
    player.there.put("j-7", "finished", at(9 * 1440 - 1))
    assert await player.told() == [("j-7", "finished")]


async def test_a_back_end_without_the_times_of_changes_is_read_as_well(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    for id in ("j-1", "j-2"):
        player.there.put(id, "created", at(-600), updated=None)
    player.there.put("j-now", "finished", at(-1))
    await player.poll()
    player.there.put("j-1", "finished", at(9), updated=None)
    assert await player.told() == [("j-1", "finished")]


async def test_a_job_that_has_finished_twice_is_told_twice(stage: Stage) -> None:
    player = Player(OPENEO, stage)
    for status in ("finished", "queued", "finished", "queued", "finished"):
        player.now += timedelta(minutes=1)
        player.there.put("j-1", status, at(-1))
        assert await player.told() == [("j-1", status)]


@pytest.mark.parametrize("id", ["", ".", ".."])
async def test_what_is_no_id_is_not_asked_for(stage: Stage, id: str) -> None:
    player = Player(OPENEO, stage)
    with pytest.raises(ApiError, match="there is no") as caught:
        await player.source.again(id)
    assert caught.value.status == 404
    assert player.there.got == []


@pytest.mark.parametrize("id", ["\ud800", "a/b", "a?b", "ä ö"])
async def test_an_odd_id_is_asked_for_as_it_is(stage: Stage, id: str) -> None:
    player = Player(OPENEO, stage)
    with pytest.raises(ApiError, match="404"):
        await player.source.again(id)


async def test_a_deep_error_is_an_error(stage: Stage) -> None:
    deep: Any = "deep"
    for _ in range(300):
        deep = {"errors": [deep]}
    player = Player(OPENEO, stage)
    player.there.answers = [JSONResponse(deep, 500)]
    with pytest.raises(ApiError, match="500 Internal Server Error: it does not say why"):
        await player.call()


async def test_a_next_page_that_is_posted_for_is_an_error(stage: Stage) -> None:
    player = Player(STAPI, stage)
    link = {"rel": "next", "href": "/orders", "method": "POST", "body": {"token": "x"}}
    player.there.answers = [JSONResponse({"type": "FeatureCollection", "features": [], "links": [link]})]
    with pytest.raises(ApiError, match="by another method than GET"):
        await player.call()


async def test_a_job_without_a_time_is_told_and_moves_nothing(stage: Stage) -> None:
    player = Player(STAPI, stage)
    player.there.put("o-1", "completed", at(-1))
    player.there.orders["o-1"]["properties"]["created"] = "soon"
    player.there.put("o-2", "completed", at(-1))
    assert sorted(await player.told()) == [("o-1", "completed"), ("o-2", "completed")]
    assert await player.told() == []
    assert moment(json.loads(player.cursor or "")["from"]) < player.now


async def test_the_default_of_the_first_call_is_a_day(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-1", "SUCCEEDED", at(-25 * 60))
    player.there.put("j-2", "SUCCEEDED", at(-23 * 60))
    assert await player.told() == [("j-2", "SUCCEEDED")]
    assert datetime.now(UTC) - moment(at(0)) > timedelta(0)

"""Listings of which a part fails: the rest is told once, and what has failed is asked for again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from webhook_receiver import ApiError, Filter, ImageryEvent, WebhookReceiver
from webhook_receiver.runtime.poller import Poller
from webhook_receiver.senders.imagery import entries, listings
from webhook_receiver.senders.imagery.api import Connection
from webhook_receiver.senders.imagery.listings import ByStart, Item
from webhook_receiver.senders.imagery.polled import openeo_jobs
from webhook_receiver.senders.source import MOST_OF_A_CURSOR, NotAllTold
from webhook_receiver.simulator.providers.base import Got

from .stage import CASES, Case, Player, Stage, at

HYP3, OPENEO, PLANET = (CASES[name] for name in ("hyp3", "openeo", "planet-orders"))


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_noted", {})


def answer(player: Player, answers: Mapping[str, Response]) -> None:
    """Have some paths of an API answered in place of it."""

    def meanwhile(got: Got) -> None:
        player.there.answers = [answers.get(got.path)]

    player.there.meanwhile = meanwhile


async def poll(player: Player) -> tuple[list[tuple[str, str]], ApiError | None]:
    """Poll as a receiver does, and return what is told, and the error that ends the poll."""
    told: list[tuple[str, str]] = []
    for _ in range(100):
        try:
            told += [player.place(each) for each in await player.call()]
        except ApiError as error:
            return told, error
        if not player.more:
            return told, None
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_job_that_cannot_be_told_keeps_no_other_back(stage: Stage, status: int) -> None:
    player = Player(OPENEO, stage)
    player.there.put("j-bad", "finished", at(-5))
    for number in range(3):
        player.there.put(f"j-{number}", "finished", at(number - 4))
    answers = {"/jobs/j-bad/results": JSONResponse({"message": "boom"}, status)}
    answer(player, answers)
    told, error = await poll(player)
    assert told == [("j-0", "finished"), ("j-1", "finished"), ("j-2", "finished")]
    assert error is not None
    assert (error.status, "/jobs/j-bad/results" in str(error), "boom" in str(error)) == (status, True, True)
    for hour in range(1, 4):
        player.now += timedelta(hours=1)
        player.there.put(f"j-at-{hour}", "finished", at(60 * hour - 1))
        told, error = await poll(player)
        assert told == [(f"j-at-{hour}", "finished")]
        assert error is not None
    answers.clear()
    player.now += timedelta(hours=1)
    assert await poll(player) == ([("j-bad", "finished")], None)
    player.now += timedelta(hours=1)
    assert await poll(player) == ([], None)


async def test_an_open_job_that_cannot_be_asked_for_keeps_no_newer_one_back(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.put("j-bad", "RUNNING", at(-600))
    player.there.put("j-open", "RUNNING", at(-500))
    player.there.put("j-0", "SUCCEEDED", at(-1))
    await player.poll()
    answers = {"/jobs/j-bad": JSONResponse({"detail": "no"}, 403)}
    answer(player, answers)
    player.there.put("j-open", "FAILED", at(-500))
    player.now += timedelta(hours=1)
    told, error = await poll(player)
    assert (told, error is not None and error.status) == ([("j-open", "FAILED")], 403)
    for hour in range(2, 5):
        player.now += timedelta(hours=1)
        player.there.put(f"j-{hour}", "SUCCEEDED", at(60 * hour - 1))
        told, error = await poll(player)
        assert (told, error is not None and error.status) == ([(f"j-{hour}", "SUCCEEDED")], 403)
    answers.clear()
    player.there.put("j-bad", "SUCCEEDED", at(-600))
    player.now += timedelta(hours=1)
    assert await poll(player) == ([("j-bad", "SUCCEEDED")], None)


async def test_an_order_that_cannot_be_told_is_asked_for_again_long_after_it_has_changed(stage: Stage) -> None:
    player = Player(PLANET, stage)
    player.there.put("o-bad", "success", at(-1))
    answers = {"/compute/ops/orders/v2/o-bad": JSONResponse({}, 500)}
    answer(player, answers)
    for hour in range(4):
        player.there.put(f"o-{hour}", "success", at(60 * hour))
        told, error = await poll(player)
        assert ({*told}, error is not None and error.status) == ({(f"o-{hour}", "success")}, 500)
        player.now += timedelta(hours=1)
    answers.clear()
    assert await poll(player) == ([("o-bad", "success")], None)
    player.now += timedelta(hours=1)
    assert await poll(player) == ([], None)


async def test_more_orders_may_fail_than_a_cursor_keeps(stage: Stage) -> None:
    player = Player(PLANET, stage)
    player.there.page_size = 7
    ids = [f"{number:08d}-4a44-4ab4-8444-0123456789ab" for number in range(120)]
    answers = {f"/compute/ops/orders/v2/{id}": JSONResponse({"message": "x" * 5000}, 500) for id in ids[:110]}
    answer(player, answers)
    for number, id in enumerate(ids):
        player.there.put(id, "success", at(number / 10 - 100))
    told, error = await poll(player)
    assert {id for id, _ in told} == {*ids[110:]}
    assert error is not None
    assert len(player.cursor or "") <= MOST_OF_A_CURSOR
    player.now += timedelta(hours=9)
    player.there.put("o-new", "success", at(9 * 60 - 1))
    told, error = await poll(player)
    assert ("o-new", "success") in told
    assert error is not None
    answers.clear()
    player.now += timedelta(hours=9)
    told, error = await poll(player)
    assert {*ids[:110]} <= {id for id, _ in told}
    assert error is None


@pytest.mark.parametrize("case", [OPENEO, PLANET], ids=["openeo", "planet-orders"])
async def test_jobs_that_take_long_to_fail_keep_no_other_back(
    case: Case, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "_LONGEST_CALL", -1.0)  # each request ends the call
    player = Player(case, stage)
    player.there.page_size = 100
    bad = [f"j-{number}" for number in range(10)]
    places = ["/jobs/{}/results", "/compute/ops/orders/v2/{}"]
    answer(player, {place.format(id): JSONResponse({}, 504) for place in places for id in bad})
    for number in range(20):
        player.there.put(f"j-{number}", player.case.ended, at(number - 30))
    told, error = await poll(player)
    assert {id for id, _ in told} == {f"j-{number}" for number in range(10, 20)}
    assert error is not None
    assert sum(path.endswith(("/j-0", "/j-0/results")) for path in player.there.paths) <= 2


async def test_jobs_that_are_asked_for_by_id_take_turns_where_one_poll_is_too_short_for_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = Player(HYP3, stage)
    for number in range(5):
        player.there.put(f"j-{number}", "RUNNING", at(number - 600))
    player.there.put("j-new", "SUCCEEDED", at(-1))
    await player.poll()
    monkeypatch.setattr(listings, "_LONGEST_CALL", -1.0)
    player.there.got.clear()
    for _ in range(5):
        player.now += timedelta(hours=1)
        assert (await poll(player))[0] == []
    assert {path for path in player.there.paths if path != "/jobs"} == {f"/jobs/j-{number}" for number in range(5)}


async def test_what_fails_is_in_the_log_and_in_the_health_and_the_rest_is_stored(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    player = Player(OPENEO, stage)
    for id in ("j-1", "j-bad"):
        player.there.put(id, "finished", at(-1))
    answer(player, {"/jobs/j-bad/results": JSONResponse({"message": "boom"}, 500)})
    hooks = WebhookReceiver(sender=openeo_jobs(), inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0", work=False)
    hooks.on(ImageryEvent)(print)
    async with hooks:
        poller = Poller(hooks.runtime, player.source, 300, 1_000_000)
        with caplog.at_level(logging.WARNING, "webhook_receiver"), pytest.raises(NotAllTold, match="boom"):
            await poller.poll(early=True)
        (found,) = await hooks.inbox.polls()
        assert (found.failures, "/jobs/j-bad/results" in (found.error or "")) == (0, True)
        assert len(await hooks.inbox.find(Filter())) == 1
    assert [record.getMessage().count("'j-bad' is asked for again") for record in caplog.records] == [1]


class Quota:
    """Answers 429 to what is more than some requests, until it is given more."""

    def __init__(self, player: Player, number: int) -> None:
        self.left = self._number = number
        self._player = player
        player.there.meanwhile = self._take

    def _take(self, got: Got) -> None:
        self.left -= 1
        slow_down = JSONResponse({"detail": "slow down"}, 429, {"retry-after": "60"})
        self._player.there.answers = [slow_down if self.left < 0 else None]

    def renew(self) -> None:
        self.left = self._number


@pytest.mark.parametrize("name", ["skyfi", "planet-orders", "openeo", "harmony"])
async def test_an_api_that_takes_few_requests_is_read_to_its_end_over_several_polls(name: str, stage: Stage) -> None:
    player = Player(CASES[name], stage)
    player.there.page_size = 40
    quota = Quota(player, 60)
    for number in range(150):
        player.there.put(f"j-{number}", player.case.ended, at(number / 10 - 100))
    told: list[tuple[str, str]] = []
    error: ApiError | None = None
    for _ in range(4):
        found, error = await poll(player)
        assert error is None or (error.status, error.retry_after) == (429, 60)
        assert quota.left >= -1, "it is asked for nothing after 429"
        told += found
        if error is None:
            break
        quota.renew()
        player.now += timedelta(minutes=10)
    assert {id for id, _ in told} == {f"j-{number}" for number in range(150)}
    assert len(told) == 150
    assert error is None


async def test_pages_that_were_read_before_the_api_takes_no_more_are_not_read_again(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 1
    quota = Quota(player, 4)
    for number in range(10):
        player.there.put(f"j-{number}", "SUCCEEDED", at(number - 30))
    told: list[tuple[str, str]] = []
    for polls in range(3):
        found, error = await poll(player)
        told += found
        assert (error is None) == (polls == 2)
        quota.renew()
        player.now += timedelta(minutes=10)
    assert sorted(told) == [(f"j-{number}", "SUCCEEDED") for number in range(10)]


async def test_open_jobs_take_turns_where_an_api_takes_few_requests(stage: Stage) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 100
    for number in range(20):
        player.there.put(f"j-{number}", "RUNNING", at(number - 600))
    player.there.put("j-new", "SUCCEEDED", at(-1))
    await player.poll()
    quota = Quota(player, 8)
    for number in range(20):
        player.there.put(f"j-{number}", "SUCCEEDED", at(number - 600))
    told: list[tuple[str, str]] = []
    for polls in range(3):
        player.now += timedelta(minutes=10)
        found, error = await poll(player)
        told += found
        assert (None if error is None else error.status) == (None if polls == 2 else 429)
        quota.renew()
    assert {id for id, _ in told} == {f"j-{number}" for number in range(20)}


def answer_links(player: Player, status: int | None) -> None:
    """Have the links to pages of HyP3 or Planet answered with a status, and its front by the API; None to end that."""

    def meanwhile(got: Got) -> None:
        is_link = not got.query.keys().isdisjoint({"start_token", "page_marker"})
        player.there.answers = [JSONResponse({"detail": "no"}, status) if is_link and status else None]

    player.there.meanwhile = meanwhile


LINKED = pytest.mark.parametrize("name", ["hyp3", "planet-results"])


async def on_a_link(name: str, stage: Stage) -> Player:
    """Return a player that has read ten pages of fifteen, so that the cursor has a link."""
    player = Player(CASES[name], stage)
    player.there.page_size = 1
    for number in range(15):
        player.there.put(f"j-{number}", player.case.ended, at(number - 30))
    assert len(await player.call()) == 10
    assert player.more
    player.now += timedelta(minutes=10)
    return player


@LINKED
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_a_link_in_the_cursor_that_is_refused_is_forgotten(name: str, status: int, stage: Stage) -> None:
    player = await on_a_link(name, stage)
    answer_links(player, status)
    player.there.put("j-new", player.case.ended, at(9))
    found, error = await poll(player)  # the front is read, and further links are refused again
    assert found == [("j-new", player.case.ended)]
    assert error is not None
    answer_links(player, None)
    player.now += timedelta(minutes=10)
    found, error = await poll(player)
    assert ({id for id, _ in found}, error) == ({f"j-{number}" for number in range(5)}, None)


@LINKED
@pytest.mark.parametrize("status", [500, 503])
async def test_a_link_in_the_cursor_that_fails_is_asked_once_more_and_then_forgotten(
    name: str, status: int, stage: Stage
) -> None:
    player = await on_a_link(name, stage)
    cursor = player.cursor
    answer_links(player, status)
    player.there.put("j-new", player.case.ended, at(9))
    told, error = await poll(player)
    assert (told, error is not None and error.status) == ([], status)
    player.now += timedelta(minutes=10)
    told, _ = await poll(player)
    assert told == [("j-new", player.case.ended)]
    player.cursor = cursor
    await poll(player)
    answer_links(player, None)  # it was a passing failure
    player.now += timedelta(minutes=10)
    told, error = await poll(player)
    assert {id for id, _ in told} >= {f"j-{number}" for number in range(5)}
    assert error is None


@LINKED
@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_link_in_the_cursor_is_kept_while_the_api_refuses_everything(
    name: str, status: int, stage: Stage
) -> None:
    player = await on_a_link(name, stage)

    def refuse(got: Got) -> None:
        player.there.answers = [JSONResponse({"detail": "no"}, status)]

    player.there.meanwhile = refuse
    for _ in range(4):
        _, error = await poll(player)
        assert (error is not None and error.status) == status
        player.now += timedelta(minutes=10)
    player.there.meanwhile = None
    player.there.got.clear()
    told, error = await poll(player)
    assert ({id for id, _ in told}, error) == ({f"j-{number}" for number in range(5)}, None)
    assert not player.there.got[0].query.keys().isdisjoint({"start_token", "page_marker"})


async def test_a_cursor_with_all_that_it_may_keep_is_one_that_an_inbox_takes(
    stage: Stage,
) -> None:
    player = Player(HYP3, stage)
    player.there.page_size = 400
    for number in range(400):  # the longest ids, which are open
        player.there.put(f"{number:038d}", "RUNNING", at(number - 6000))
    await player.poll()
    link = "/jobs?start_token=0&x=" + "y" * (1790 - len(stage.url) - 20)
    bad = [{"job_id": f"bad-{number}", "status_code": "SUCCEEDED", "request_time": at(-9)} for number in range(30)]
    player.there.answers = [JSONResponse({"jobs": bad, "next": link}), JSONResponse({"detail": '\x00"\\ü' * 99}, 429)]

    async def fail(connection: Connection, item: Item) -> list[bytes]:
        raise ApiError('"\\ü' * 99, status=500, retry_after=12345.678)

    assert isinstance(player.source.listing, ByStart)
    player.source = replace(player.source, listing=replace(player.source.listing, tell=fail))
    assert await player.call() == []
    cursor = json.loads(player.cursor or "")
    assert len(cursor["open"]) == 60
    assert {"page", "error", "failed", "told"} <= cursor.keys()
    assert len(player.cursor or "") <= MOST_OF_A_CURSOR

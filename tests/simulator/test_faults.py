"""Faults: each kind does to the receiver what it says, and the receiver answers as it should."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.helpers import NOW, SECRET
from tests.simulator.playing import HOOKS, Played, Real, catching, playing, receiving
from tests.working import Clock
from webhook_receiver.simulator import FaultPlan
from webhook_receiver.simulator.faults import dripped

FAULTS = "/_simulator/faults"


def do(played: Played, **faults: Any) -> Any:
    return played.ask("PUT", FAULTS, json=faults)


def test_by_default_there_is_none_and_what_is_set_is_told_and_taken_back() -> None:
    with playing() as played:
        assert played.ask("GET", FAULTS) == FaultPlan().as_json()
        assert do(played, copies=2)["copies"] == 2
        assert played.ask("GET", FAULTS)["copies"] == 2
        assert do(played) == FaultPlan().as_json()


def test_duplicates_are_the_same_body_more_than_once() -> None:
    with playing(clock=Clock()) as played, catching() as (catcher, url):
        played.webhook(url)
        do(played, copies=3)
        played.create(status="FULFILLED")
        played.ended(3)
        assert len({catcher.next().body for _ in range(3)}) == 1
        assert catcher.got.empty()


def test_deliveries_come_out_of_order_the_last_one_first() -> None:
    with playing(clock=Clock()) as played, catching() as (catcher, url):
        played.webhook(url)
        do(played, reorder=3)
        ids = [played.create(status="FULFILLED")[0]["id"] for _ in range(4)]
        assert [catcher.next().order_id for _ in range(3)] == [ids[2], ids[1], ids[0]]
        assert catcher.got.empty()
        do(played)  # lets go of what is held
        assert catcher.next().order_id == ids[3]


def test_what_was_out_of_order_and_failed_is_attempted_again() -> None:
    with playing(clock=Clock(), retry=(1,)) as played, catching(500, 500) as (_, url):
        played.webhook(url)
        do(played, reorder=2)
        played.create(count=2, status="FULFILLED")
        assert [len(each.attempts) for each in played.ended(2)] == [2, 2]


@pytest.mark.parametrize(
    ("faults", "rejection"),
    [
        ({"late": 3600}, "StaleSignature"),
        ({"wrongSecret": True}, "BadSignature"),
        ({"forged": True}, "BodyMismatch"),
    ],
)
def test_what_is_no_genuine_delivery_of_now_is_rejected(faults: dict[str, Any], rejection: str) -> None:
    real = Real(clock=NOW)
    with playing(clock=Clock(), retry=()) as played, receiving(real) as url:
        played.webhook(url)
        do(played, **faults)
        played.create(status="FULFILLED")
        assert real.next().status == 401
        assert real.noted.hooks.rejected == {rejection: 1}
        do(played)
        played.ended()
        played.create(status="FULFILLED")
        assert real.next().status == 204


def test_a_late_delivery_that_is_not_too_late_is_taken() -> None:
    real = Real(clock=NOW)
    with playing(clock=Clock()) as played, receiving(real) as url:
        played.webhook(url)
        do(played, late=299)
        played.create(status="FULFILLED")
        assert real.next().status == 204


def test_a_slow_body_comes_whole_after_its_time() -> None:
    with playing(clock=Clock()) as played, catching() as (catcher, url):
        played.webhook(url)
        do(played, drip=40)
        (order,) = played.create(status="FULFILLED")
        got = catcher.next()
        assert got.order_id == order["id"]
        assert dict(got.headers)[b"content-length"] == b"%d" % len(got.body)
        assert played.waits == [2] * 20


async def test_a_body_shorter_than_its_pieces_is_dripped_byte_by_byte() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert [piece async for piece in dripped(b"abc", 20, sleep)] == [b"a", b"b", b"c"]
    assert waits == [1, 1, 1]


def test_lost_deliveries_are_noted_never_made_and_the_same_with_the_same_seed() -> None:
    lost: list[set[str]] = []
    for seed in (1, 1, 2):
        with playing(clock=Clock()) as played, catching() as (catcher, url):
            played.webhook(url)
            do(played, lose=0.5, seed=seed)
            orders = played.create(count=40, status="FULFILLED")
            gone = {each["orderId"] for each in played.deliveries() if each["ended"] == "lost"}
            come = {catcher.next().order_id for _ in range(40 - len(gone))}
            assert come == {order["id"] for order in orders} - gone
            assert 8 <= len(gone) <= 32
            lost.append({order["displayName"] for order in orders if order["id"] in gone})
    assert lost[0] == lost[1] != lost[2]


@pytest.mark.parametrize(("share", "many"), [(0, 0), (1, 20)])
def test_none_and_all_are_shares_as_well(share: float, many: int) -> None:
    assert sum(FaultPlan(lose=share).loses(number) for number in range(20)) == many


def test_a_burst_is_many_orders_at_once() -> None:
    real = Real()
    with playing() as played, receiving(real) as url:
        played.webhook(url)
        orders = played.create(count=50, status="FULFILLED")
        assert {each.ended for each in played.ended(50)} == {"delivered"}
        assert {real.next().order_id for _ in range(50)} == {order["id"] for order in orders}


def test_a_secret_is_rotated_in_the_middle_of_a_burst() -> None:
    both, old = Real(["new", SECRET]), Real([SECRET])
    for real, expected in ((both, [204] * 10), (old, [204] * 4 + [401] * 6)):
        with playing(retry=()) as played, receiving(real) as url:
            hook = played.webhook(url)
            do(played, rotateAfter=4, rotateTo="new")
            played.create(count=10, status="FULFILLED")
            assert sorted(real.next().status for _ in range(10)) == expected
            assert played.ask("GET", f"{HOOKS}/{hook['id']}")["data"]["secret"] == "new"


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [
        ({"copies": 0}, "copies: Input should be greater than or equal to 1"),
        ({"lose": 2}, "lose: "),
        ({"late": -1}, "late: "),
        ({"rotateAfter": 3}, "body: rotateAfter and rotateTo go together"),
        ({"rotateTo": "new"}, "body: rotateAfter and rotateTo go together"),
        ({"dripp": 1}, "dripp: Extra inputs are not permitted"),
    ],
)
def test_faults_that_cannot_be_are_rejected(faults: dict[str, Any], complaint: str) -> None:
    with playing() as played:
        assert played.ask("PUT", FAULTS, status=400, json=faults)["error"]["message"].startswith(complaint)


def test_a_fault_plan_in_code_is_checked_too_and_shows_no_secret() -> None:
    with pytest.raises(ValidationError):
        FaultPlan(copies=-1)
    assert "hush" not in repr(FaultPlan.model_validate({"rotateAfter": 1, "rotateTo": "hush"}))


def test_a_test_of_a_webhook_is_spared() -> None:
    with playing() as played, catching() as (catcher, url):
        hook = played.webhook(url)
        do(played, copies=5, lose=1, wrongSecret=True)
        assert played.ask("POST", f"{HOOKS}/{hook['id']}/tests")["data"]["testsSucceeded"] == 1
        catcher.next()
        assert catcher.got.empty()

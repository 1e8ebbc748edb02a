"""How fast the receiver is, as ratios to an app that does nothing but answer; printed, never judged.

Run with `pytest -n0 -s -o faulthandler_timeout=0 -m benchmark`. Server and load are on different
cores where there are two.
Each ratio is taken within a round, so that what slows the machine slows both sides of it; shown are the
median of the rounds and, behind it, the quartiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import pytest

from . import measuring
from .measuring import CORES, body, request, serving

pytestmark = pytest.mark.benchmark

ROUNDS = 20


@pytest.fixture(autouse=True)
def on_the_last_core() -> Iterator[None]:
    with measuring.on_the_last_core():
        yield


@pytest.mark.parametrize("stay_awake", [True, False])
def test_the_full_way_is_measured_beside_the_floor(stay_awake: bool) -> None:
    if stay_awake and len(CORES) == 1:
        pytest.skip("a load that stays awake would leave the server no core")
    good, bad = request(body()), request(body(), secret="another")
    with (
        serving("floor_app") as floor,
        serving("rejecting_app") as rejecting,
        serving("one") as one,
        serving("ten") as ten,
        serving("thousand") as thousand,
    ):
        for server in (floor, one, ten, thousand):
            server.warm_up(good, 204)
        rejecting.warm_up(bad, 401)
        for _ in range(ROUNDS):
            floor.round("floor", repeat(good), 204, stay_awake=stay_awake)
            rejecting.round("floor", repeat(bad), 401, stay_awake=stay_awake)
            one.round("good", repeat(good), 204, stay_awake=stay_awake)
            one.round("bad signature", repeat(bad), 401, stay_awake=stay_awake)
            ten.round("good", repeat(good), 204, stay_awake=stay_awake)
            thousand.round("good", repeat(good), 204, stay_awake=stay_awake)
    rows = [
        ("floor: read the body, answer 204", floor, "floor"),
        ("floor of a rejection: answer its 401", rejecting, "floor"),
        ("receiver, 1 event", one, "good"),
        ("receiver, bad signature", one, "bad signature"),
        ("receiver, 10 events", ten, "good"),
        ("receiver, 1,000 events", thousand, "good"),
    ]
    how = "a load that stays awake" if stay_awake else "a load that may sleep"
    measuring.show(rows, f"{measuring.SIZE}-byte body, {how}", good="good")

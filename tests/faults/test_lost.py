"""A sender that loses notifications, and receivers that are down for a while: polls find every order, once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.harness import Connection, delivery, ended, runs, states, two_servers
from tests.orders import Simulator, sending

LOST = 0.3
"""Which part of the notifications never comes."""


def end(sender: Simulator, port: int | None, orders: Iterable[int]) -> list[int]:
    """Let orders be fulfilled, and notify of some of them; return what was answered."""
    left = iter(orders)
    answers: list[int] = []

    async def notify() -> None:
        connection = Connection(port or 0)
        for number in left:
            id = f"o-{number}"
            sender.change(id, at=time.time())
            if port is None or random.random() < LOST:
                await asyncio.sleep(0)
                continue
            answer = await connection.ask(delivery(id, 0, status="FULFILLED"))
            assert answer is not None
            answers.append(answer.status)
        await connection.close()

    async def notify_all() -> None:
        await asyncio.gather(*(notify() for _ in range(8)))

    asyncio.run(notify_all())
    return answers


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_every_order_is_handled_once_although_the_sender_loses_some_and_the_receivers_are_down(
    tmp_path: Path, how: str
) -> None:
    total = 500
    lease = 1.0 if how == "kill" else 30.0  # none ends by itself where each order is to be handled just once
    sender = Simulator(size=100)
    for number in range(total):
        sender.change(f"o-{number}", "PLACED", time.time())
    with (
        sending(sender) as api,
        two_servers(tmp_path, api=api, interval=0.5, worker={"lease": lease, "poll": 0.1}) as servers,
    ):
        port = servers[0].port
        answers = end(sender, port, range(200))
        for each in servers:
            each.stop() if how == "stop" else each.kill()
        end(sender, None, range(200, 300))
        for each in servers:
            each.start()
        answers += end(sender, port, range(300, total))
        servers[0].wait_for(lambda: states(servers[0].inbox) == {"done": total}, "the end of all orders", 60)
        asked = len(sender.asked)
        servers[0].wait_for(lambda: len(sender.asked) > asked + 10, "more polls")
        assert states(servers[0].inbox) == {"done": total}
        for each in servers:
            each.stop()
    assert set(answers) <= {202, 200}  # 200 where the poll was faster
    connection = sqlite3.connect(tmp_path / "hooks.db")
    found = connection.execute("SELECT identity, origin FROM delivery").fetchall()
    connection.close()
    assert sorted(identity for identity, _ in found) == sorted(f"o-{number} FULFILLED" for number in range(total))
    print(Counter(origin for _, origin in found), Counter(answers))
    assert {origin for _, origin in found} == {"http", "poll"}
    assert {order for order, _ in ended(tmp_path)} == set(sender.orders)
    if how == "stop":  # after a kill, what was under way is run once more
        begun = Counter(run.order for run in runs(tmp_path) if (run.handler, run.what) == ("on_loop", "begin"))
        assert set(begun.values()) == {1}

"""Two servers of Debian's, one the standby of the other: the first one dies, the other takes over, nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Server, moment
from tests.faults.test_postgres import LEASE, Cluster, Worker, sending
from tests.inbox.postgres.receivers import working
from tests.postgres import Postgres, debian, execute, migrated, needs_debian, postgres
from tests.working import about, settled, until
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox import from_url

pytestmark = needs_debian


@pytest.fixture
def pair() -> Generator[tuple[Postgres, Postgres]]:
    """A server and its standby, which has every commit before that is acknowledged."""
    with postgres(programs=debian()) as primary:
        execute(f"{primary.address}/postgres", "CREATE DATABASE inbox")
        execute(f"{primary.address}/postgres", "CREATE ROLE app LOGIN")
        migrated(f"{primary.address}/inbox", "app")
        with postgres(programs=debian(), standby_of=primary) as standby:
            execute(f"{primary.address}/postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
            execute(f"{primary.address}/postgres", "SELECT pg_reload_conf()")
            asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            while execute(f"{primary.address}/postgres", asked) != [(1,)]:
                moment(0.05)
            yield primary, standby


def reached(*servers: Postgres) -> str:
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in servers)
    return f"postgresql://app@{hosts}/inbox?timeout=1"


def take_over(primary: Postgres, standby: Postgres) -> None:
    primary.stop(signal.SIGKILL)
    assert execute(f"{standby.address}/postgres", "SELECT pg_promote()") == [(True,)]


async def test_a_receiver_goes_on_with_the_standby_that_was_promoted(pair: tuple[Postgres, Postgres]) -> None:
    primary, standby = pair
    alone = await from_url(reached(standby)).open()
    with pytest.raises(
        InboxUnavailable, match=r"read-only transaction: .* HOST1,HOST2 with target_session_attrs=read-write"
    ):
        await alone.check()
    await alone.close()
    async with working(reached(standby, primary)) as hooks:  # the standby comes first, and is passed over
        acknowledged: dict[str, bytes] = {}

        async def send(number: int) -> int:
            receipt = await hooks.receive({}, about(f"o-{number % 10}", f"S{number}"))
            if receipt.response.status == 202:
                assert receipt.delivery is not None
                acknowledged[receipt.delivery.id] = receipt.delivery.body
            return receipt.response.status

        sending = asyncio.gather(*[send(number) for number in range(200)])
        await until(lambda: len(acknowledged) >= 50)
        await asyncio.to_thread(primary.stop, signal.SIGKILL)
        assert set(await sending) <= {202, 503}
        assert await send(1000) == 503
        assert await asyncio.to_thread(execute, f"{standby.address}/postgres", "SELECT pg_promote()") == [(True,)]
        began = time.monotonic()
        number = 1001
        while await send(number) != 202:
            assert time.monotonic() - began < 10
            number += 1
        for id in acknowledged:
            assert (await settled(hooks, id)).delivery.body == acknowledged[id]
        assert (await hooks.health()).ok


@pytest.mark.faults
def test_processes_go_on_with_the_standby_that_was_promoted(pair: tuple[Postgres, Postgres], tmp_path: Path) -> None:
    primary, standby = pair
    options: dict[str, Any] = {"url": reached(primary, standby), "work": False}
    options["worker"] = {"lease": LEASE, "poll": 0.1}
    receiver, workers = Server(tmp_path, **options), [Worker(tmp_path, **options) for _ in range(2)]
    with ExitStack() as stack:
        for each in (receiver, *workers):
            stack.enter_context(each)
        cluster = Cluster(tmp_path, primary, f"{primary.address}/inbox", receiver, workers)
        with sending(cluster) as sender:
            sender.budget = 10_000
            moment(2)
            with cluster.without_server():
                take_over(primary, standby)
            cluster.url = f"{standby.address}/inbox"
            began, before = time.monotonic(), len(sender.acknowledged)
            receiver.wait_for(lambda: len(sender.acknowledged) > before, "an answer of the standby", 10)
            print(f"{time.monotonic() - began:.1f} s until the first delivery was acknowledged by the standby")
            sender.budget = 0
        cluster.assert_all_handled(sender)

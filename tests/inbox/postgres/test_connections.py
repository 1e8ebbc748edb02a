"""A process that gets fewer connections than it takes: it shares them, and says so; without any it says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.postgres import execute
from tests.working import about, deliver, settled, until
from webhook_receiver import Health, WebhookReceiver
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox, connection
from webhook_receiver.inbox.postgres.connection import NoConnection, translated
from webhook_receiver.inbox.records import Stored
from webhook_receiver.testing.inbox_suite import claim, listed, put, settle
from webhook_receiver.worker import worker as worker_module

from .pgbouncer import needs_pgbouncer, pgbouncer
from .receivers import put_in_the_end, working

_numbers = count(1)


class Role:
    """A role that may have so many connections."""

    def __init__(self, url: str, name: str) -> None:
        self._owner = url
        self.name = name
        self.url = url.replace("postgres@", f"{name}@")

    def may_have(self, limit: int) -> None:
        execute(self._owner, f"ALTER ROLE {self.name} CONNECTION LIMIT {limit}")

    def has(self) -> int:
        """Return how many connections there are."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        return int(execute(self._owner, asked, self.name)[0][0])

    def cut(self) -> None:
        """End all connections."""
        execute(self._owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", self.name)


@pytest.fixture
def role(postgres_url: str, postgres_address: str) -> Generator[Role]:
    found = Role(postgres_url, f"few_{next(_numbers)}_{postgres_url.rpartition('_')[2]}")
    execute(postgres_url, f"CREATE ROLE {found.name} LOGIN")
    execute(postgres_url, f"GRANT USAGE ON SCHEMA webhook_receiver TO {found.name}")
    for kind in ("TABLES", "SEQUENCES"):
        execute(postgres_url, f"GRANT ALL ON ALL {kind} IN SCHEMA webhook_receiver TO {found.name}")
    yield found
    execute(postgres_url, f"DROP OWNED BY {found.name}")
    execute(postgres_url, f"DROP ROLE {found.name}")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_process_takes_no_more_than_it_says(role: Role, stack: AsyncExitStack) -> None:
    hooks = await stack.enter_async_context(working(role.url))
    await settled(hooks, await deliver(hooks))
    await hooks.health()
    await until(lambda: role.has() >= connection.MOST_CONNECTIONS)
    await hooks.health()
    assert role.has() == connection.MOST_CONNECTIONS == 4


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_with_fewer_it_keeps_and_handles_and_says_so(
    role: Role, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture, limit: int
) -> None:
    role.may_have(limit)
    hooks = await stack.enter_async_context(working(role.url))
    assert f"allows this role {limit} connections: a process takes up to 4" in caplog.text
    for id in [await deliver(hooks, about(f"o-{number}")) for number in range(20)]:
        await settled(hooks, id)
    health = await hooks.health()
    assert (health.ok, health.state, health.problem) == (True, "working", None)
    assert role.has() <= limit
    assert caplog.text.count("which shares another one") <= 3


@pytest.mark.parametrize("limit", [2, 3, 5])
async def test_a_receiver_and_a_worker_get_by(
    role: Role, stack: AsyncExitStack, own_processes: None, limit: int
) -> None:
    role.may_have(limit)
    receiver = await stack.enter_async_context(working(role.url, work=False))
    worker = await stack.enter_async_context(working(role.url))
    for id in [await deliver(receiver, about(f"o-{number}")) for number in range(20)]:
        await settled(worker, id)


async def test_a_process_that_gets_none_says_how_many_it_takes(role: Role) -> None:
    role.may_have(0)
    with pytest.raises(InboxUnavailable, match=r"no connection left: a process takes up to 4, .*too many connections"):
        await PostgresInbox(role.url).open()


async def test_a_worker_that_gets_none_any_more_is_told_by_the_log_and_the_health(
    role: Role, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_LONG_CLAIM", 0.0)
    hooks = await stack.enter_async_context(working(role.url, name="few"))
    await settled(hooks, await deliver(hooks))
    role.may_have(0)
    role.cut()
    await until(lambda: "few: the PostgreSQL server has no connection left" in caplog.text)
    health = await hooks.health()
    assert (health.ok, health.state) == (False, "failing")
    worker = hooks._runtime._worker
    assert worker is not None
    await until(lambda: "the PostgreSQL server has no connection left" in str(worker.problem))
    role.may_have(4)
    monkeypatch.undo()
    await stack.aclose()


async def test_a_worker_whose_claims_hang_is_stalled_although_deliveries_are_stored(
    postgres_url: str, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_LONG_CLAIM", 0.0)
    hooks = await stack.enter_async_context(working(postgres_url))
    await settled(hooks, await deliver(hooks))
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT FROM webhook_receiver.delivery")
        other.execute("LOCK TABLE webhook_receiver.progress IN SHARE ROW EXCLUSIVE MODE")  # reading goes on
        health = await health_that_is(hooks, "stalled")
        assert health.ok
        assert health.problem is not None
        assert "nothing was claimed for" in health.problem
    await health_that_is(hooks, "working")


async def health_that_is(hooks: WebhookReceiver, state: str) -> Health:
    async with asyncio.timeout(30):
        while True:
            health = await hooks.health()
            if health.state == state:
                return health


async def test_one_that_shares_goes_on_with_its_own_when_it_gets_one(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.inbox.postgres.writer._SECONDS_BETWEEN_TRIES", 0.0)
    role.may_have(1)
    inbox = await PostgresInbox(role.url).open()
    assert await put(inbox, "d-1", "d-2") == [Stored("d-1"), Stored("d-2")]
    found = await claim(inbox, 1)
    assert role.has() == 1
    role.may_have(3)
    assert await settle(inbox, found["d-1"])
    assert await put(inbox, "d-3") == [Stored("d-3")]
    assert await listed(inbox) == ["d-1", "d-2", "d-3"]
    assert role.has() == 3
    await inbox.close()


async def test_a_transaction_that_hangs_on_a_shared_connection_is_given_up(role: Role) -> None:
    role.may_have(1)
    inbox = await PostgresInbox(role.url, timeout=0.2).open()
    await put_in_the_end(inbox)  # which first asks for a connection of its own
    with psycopg.connect(role.url.replace(f"{role.name}@", "postgres@")) as other:
        other.execute("LOCK TABLE webhook_receiver.progress")
        with pytest.raises(InboxUnavailable, match="did not answer within"):
            await claim(inbox)
        await inbox.close()


@needs_pgbouncer
@pytest.mark.parametrize("size", [2, 5])
async def test_behind_a_small_pool_of_sessions_two_processes_get_by(
    postgres_url: str,
    tmp_path: Path,
    stack: AsyncExitStack,
    own_processes: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.3)
    url = stack.enter_context(pgbouncer(postgres_url, tmp_path, size=size))
    receiver = await stack.enter_async_context(working(url, work=False))
    worker = await stack.enter_async_context(working(url))
    for id in [await deliver(receiver, about(f"o-{number}")) for number in range(20)]:
        await settled(worker, id)
    assert caplog.text.count("which shares another one") <= 5


def test_other_errors_of_a_start_are_not_taken_for_that() -> None:
    assert "cannot be reached" in str(translated(psycopg.OperationalError("connection refused")))
    assert "no connection left" in str(translated(NoConnection("too many clients")))

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from hypothesis import HealthCheck, given, settings

from tests.inbox.batches import KEEP_BODY, STEPS, Course
from tests.postgres import execute
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.records import Filter
from webhook_receiver.testing.inbox_suite import DAY, NOW, batch, claim, dumped, listed


def bodies_in(url: str) -> Callable[[], list[bytes]]:
    return lambda: [body for (body,) in execute(url, "SELECT body FROM delivery WHERE body <> ''")]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_becomes_of_its_parts_a_body_is_there_once_and_until_the_last(
    postgres_url: str, steps: list[tuple[str, list[str]]]
) -> None:
    asyncio.run(_run(postgres_url, steps))


async def _run(url: str, steps: list[tuple[str, list[str]]]) -> None:
    execute(url, "TRUNCATE delivery, progress, purged, attempt")
    inbox = PostgresInbox(url, window=90 * DAY, retention=90 * DAY, keep_body=KEEP_BODY)
    async with AsyncExitStack() as stack:
        await inbox.open()
        stack.push_async_callback(inbox.close)
        await Course(inbox, bodies_in(url)).run(steps)


@asynccontextmanager
async def several(url: str, number: int) -> AsyncGenerator[list[PostgresInbox]]:
    async with AsyncExitStack() as stack:
        inboxes = [PostgresInbox(url) for _ in range(number)]
        for inbox in inboxes:
            await inbox.open()
            stack.push_async_callback(inbox.close)
        yield inboxes


async def test_parts_that_are_purged_by_several_processes_at_once_leave_the_body_to_the_last(postgres_url: str) -> None:
    async with several(postgres_url, 3) as inboxes:
        ids = [f"d-{number}" for number in range(40)]
        for id in ids:
            await inboxes[0].put(batch(id, *(f"{id} {part}" for part in range(4)), body=id.encode()), NOW)
        for some in ([f"{id}{part}" for part in ("", ".1", ".2")] for id in ids):
            purges = [each.purge(Filter(ids=[id]), NOW, limit=1) for each, id in zip(inboxes, some, strict=True)]
            assert await asyncio.gather(*purges) == [1, 1, 1]
        assert {id: each.delivery.body for id, each in (await claim(inboxes[0])).items()} == {
            f"{id}.3": id.encode() for id in ids
        }


async def test_parts_that_are_loaded_while_others_are_purged_have_their_body(postgres_url: str) -> None:
    async with several(postgres_url, 2) as inboxes:
        one, two = inboxes
        for number in range(30):
            id = f"d-{number}"
            await one.put(batch(id, f"{id} a", f"{id} b", body=id.encode()), NOW)
            _, part = await dumped(one, Filter(ids=[id, f"{id}.1"]))
            execute(postgres_url, f"DELETE FROM delivery WHERE id = '{part.summary.id}'")
            done = await asyncio.gather(one.load([part], NOW), two.purge(Filter(ids=[id]), NOW, limit=1))
            assert [*done] == [1, 1]
        assert [each.delivery.body for each in await dumped(one)] == [b"d-%d" % number for number in range(29, -1, -1)]


async def test_a_request_of_a_thousand_parts_has_its_body_once(postgres_url: str) -> None:
    inbox = await PostgresInbox(postgres_url).open()
    await inbox.put(batch("d-1", *(f"k-{number}" for number in range(1000)), body=b"of all"), NOW)
    assert bodies_in(postgres_url)() == [b"of all"]
    assert len(await listed(inbox)) == 1000
    assert {each.delivery.body for each in (await claim(inbox, 50)).values()} == {b"of all"}
    before = await dumped(inbox)
    await inbox.purge(Filter(), NOW + DAY, limit=1000)
    for start in (800, 600, 400, 200, 0):
        assert await inbox.load(before[start : start + 200], NOW) == 200
    assert bodies_in(postgres_url)() == [b"of all"]
    assert {each.delivery.body for each in await dumped(inbox)} == {b"of all"}
    await inbox.close()


def test_what_is_looked_for_to_be_removed_is_found_by_an_index(postgres_url: str) -> None:
    execute(
        postgres_url,
        "INSERT INTO delivery SELECT n, n::text, 'hooks', 'http', NULL, NULL, NULL, NULL, 1, '', '', 0, 1, 0, true "
        "FROM generate_series(1, 20000) AS n",
    )
    execute(
        postgres_url,
        "INSERT INTO progress (seq, source, state, settled, body_removed) "
        "SELECT n, 'hooks', 'done', n, n < 19000 FROM generate_series(1, 20000) AS n",
    )
    execute(postgres_url, "ANALYZE")
    for query in (
        "SELECT seq FROM progress WHERE state = 'done' AND NOT body_removed AND settled < 19100 LIMIT 50 FOR UPDATE",
        "SELECT p.seq FROM progress p JOIN delivery d USING (seq) WHERE p.state = ANY('{done}') "
        "AND p.settled < 100 AND p.body_removed IN (false, true) ORDER BY p.seq LIMIT 200",
    ):
        plan = "\n".join(line for (line,) in execute(postgres_url, f"EXPLAIN {query}"))
        (condition,) = [line for line in plan.splitlines() if "Index Cond" in line and "settled" in line]
        assert "body_removed" in condition, plan

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from tests.inbox.batches import KEEP_BODY, STEPS, Course
from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxDamaged
from webhook_receiver.inbox.records import Filter
from webhook_receiver.testing.inbox_suite import DAY, NOW, batch, claim, dumped, finish, kept, put


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_whatever_becomes_of_its_parts_a_body_is_there_once_and_until_the_last(
    steps: list[tuple[str, list[str]]],
) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder, "hooks.db"), steps))


async def _run(path: Path, steps: list[tuple[str, list[str]]]) -> None:
    inbox = SQLiteInbox(path, min_free=0, window=90 * DAY, retention=90 * DAY, keep_body=KEEP_BODY)
    await inbox.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as file:

        def bodies() -> list[bytes]:
            return [body for (body,) in file.execute("SELECT body FROM delivery WHERE body <> x''")]

        await Course(inbox, bodies).run(steps)
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await inbox.close()


async def test_a_request_of_a_thousand_parts_takes_the_room_of_one_body(path: Path, file: sqlite3.Connection) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.put(batch("d-1", *(f"k-{number}" for number in range(1000)), body=b"x" * 100_000), NOW)
    assert (await inbox.stats()).extra["bytes"] < 600_000
    assert len(await claim(inbox, 10)) == 10
    before = await dumped(inbox)
    await inbox.purge(Filter(), NOW + DAY, limit=1000)
    for start in (800, 600, 400, 200, 0):
        assert await inbox.load(before[start : start + 200], NOW) == 200
    assert file.execute("SELECT count(*) FROM delivery WHERE body <> x''").fetchone() == (1,)
    assert [each.delivery for each in await dumped(inbox)] == [each.delivery for each in before]
    await inbox.close()


async def test_damage_is_noticed_by_each_part_that_shares_the_body_and_by_none_that_does_not(
    path: Path, file: sqlite3.Connection
) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.put(batch("d-1", "a", "b"), NOW)
    await put(inbox, "d-2", "d-3")
    await inbox.put(batch("d-4", "c", "d"), NOW)
    file.execute("UPDATE delivery SET body = CAST('x' || substr(body, 2) AS BLOB) WHERE id = 'd-1'")
    file.execute("UPDATE delivery SET body_of = 1 WHERE id IN ('d-3', 'd-4.1')")
    for id in ("d-1", "d-1.1", "d-3", "d-4.1"):
        with pytest.raises(InboxDamaged, match="not what was put"):
            await inbox.get(id)
    for id in ("d-2", "d-4"):
        await kept(inbox, id)
    await inbox.close()


async def test_what_is_damaged_stays_so_when_its_body_is_removed(path: Path, file: sqlite3.Connection) -> None:
    inbox = await SQLiteInbox(path, min_free=0, keep_body=1).open()
    await inbox.put(batch("d-1", "a", "b"), NOW)
    await finish(inbox)
    file.execute("UPDATE delivery SET event = 'another' WHERE id = 'd-1'")
    while await inbox.expire(NOW + 2):
        pass
    with pytest.raises(InboxDamaged, match="not what was put"):
        await inbox.get("d-1")
    assert (await kept(inbox, "d-1.1")).summary.body_removed
    await inbox.close()


async def test_removal_and_purge_fail_whole(path: Path, file: sqlite3.Connection) -> None:
    inbox = await SQLiteInbox(path, min_free=0, keep_body=1).open()
    await inbox.put(batch("d-1", "a", "b", body=b"of all"), NOW)
    file.execute("CREATE TRIGGER fails BEFORE DELETE ON delivery BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        await inbox.purge(Filter(ids=["d-1"]), NOW, limit=1)
    file.execute("DROP TRIGGER fails")
    assert [each.delivery.body for each in (await claim(inbox)).values()] == [b"of all"] * 2
    await inbox.close()


async def test_what_is_looked_for_to_be_removed_is_found_by_an_index(path: Path, file: sqlite3.Connection) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    for query in (
        "SELECT seq FROM progress WHERE state = 'done' AND body_removed = 0 AND settled < 1 LIMIT 9",
        "SELECT p.seq FROM progress p JOIN delivery d USING (seq) "
        "WHERE p.settled < 1 AND p.body_removed IN (0, 1) AND p.state IN ('done')",
    ):
        plan = " ".join(row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "INDEX finished (state=? AND body_removed=? AND settled<?)" in plan
    await inbox.close()

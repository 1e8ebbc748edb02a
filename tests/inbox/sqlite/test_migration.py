"""Files of before the deliveries were their own journal: schema 4.

`old/schema-4.db.xz` was made with the program of then: 1,000 deliveries of each kind, half of them with an ordering
key, each key shared by four. The latest 2,000 are in its journal alone.
"""

from __future__ import annotations

import lzma
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxDamaged, InboxUnavailable
from webhook_receiver.inbox import Duplicate, Filter, Settlement, State, Stored
from webhook_receiver.testing.inbox_suite import ALL, NOW, dumped, entry

OLD = Path(__file__).parents[1] / "old" / "schema-4.db.xz"
EACH = 1000
KINDS = ("done", "unhandled", "dead", "retrying", "held", "leased", "released", "waiting", "nothing", "fresh")
WINDOW, RETENTION = 1e11, 1e12


@pytest.fixture(scope="module")
def of_then(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "hooks.db"
    path.write_bytes(lzma.decompress(OLD.read_bytes()))
    return path


@pytest.fixture
def path(of_then: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(of_then, tmp_path))


def opened(path: Path) -> SQLiteInbox:
    return SQLiteInbox(path, min_free=0, window=WINDOW, retention=RETENTION)


def kind_of(id: str) -> str:
    return id.rpartition("-")[0]


async def finish_all(inbox: SQLiteInbox, now: float) -> list[str]:
    """Claim and settle until nothing is due; return the ids in the order of the claims."""
    found: list[str] = []
    while claims := await inbox.claim("hooks", 500, 30.0, now):
        for claim in claims:
            assert await inbox.settle(Settlement(claim, State.DONE, {}), now)
            found.append(claim.delivery.id)
    return found


async def test_no_delivery_is_lost_and_each_is_in_the_state_that_it_was_in(path: Path) -> None:
    inbox = await opened(path).open()
    found = await inbox.find(ALL, newest_first=False)
    assert [each.id for each in found] == [f"{kind}-{number:04d}" for kind in KINDS for number in range(EACH)]
    assert Counter((kind_of(each.id), str(each.state)) for each in found) == {
        ("done", "done"): EACH,
        ("unhandled", "unhandled"): EACH,
        ("dead", "dead"): EACH,
        ("nothing", "dead"): EACH,
        **{(kind, "waiting"): EACH for kind in ("retrying", "held", "leased", "released", "waiting", "fresh")},
    }
    whole = await dumped(inbox)
    assert [each.delivery.body for each in whole] == [b'{"n": %d}' % number for _ in KINDS for number in range(EACH)]
    assert {len(each.attempts) for each in whole if kind_of(each.summary.id) == "dead"} == {1}
    await inbox.close()


async def test_each_that_waits_runs_once_when_its_time_has_come_and_nothing_else_runs(path: Path) -> None:
    inbox = await opened(path).open()
    first = await finish_all(inbox, NOW + 60)
    assert Counter(map(kind_of, first)) == {"nothing": EACH, "released": EACH, "waiting": EACH, "fresh": EACH}
    assert await inbox.resume("handler")
    second = await finish_all(inbox, NOW + 61)
    assert Counter(map(kind_of, second)) == {"held": EACH}
    third = await finish_all(inbox, NOW + 8000)
    assert Counter(map(kind_of, third)) == {"retrying": EACH, "leased": EACH}
    assert len({*first, *second, *third}) == 7 * EACH
    for kind in ("released", "waiting", "fresh", "held", "retrying", "leased"):
        keyed = [id for id in (*first, *second, *third) if kind_of(id) == kind and int(id[-4:]) % 2 == 0]
        lines: dict[int, list[str]] = {}
        for id in keyed:
            lines.setdefault(int(id[-4:]) // 8, []).append(id)
        assert all(line == sorted(line) for line in lines.values()), "those of one ordering key run in order"
    await inbox.close()


async def test_duplicates_and_ids_of_then_are_known(path: Path) -> None:
    inbox = await opened(path).open()
    for kind in KINDS:
        again = entry("again", key=b"k-%s-7" % kind.encode())
        found = await inbox.put(again, NOW + 1)
        assert found == Duplicate(f"{kind}-0007", replayed=kind in ("unhandled", "dead", "nothing"))
    assert await inbox.put(entry("new", key=b"new"), NOW + 1) == Stored("new")
    await inbox.close()


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
async def test_a_copy_is_made_before_which_the_program_of_then_could_open(path: Path, of_then: Path) -> None:
    await (await opened(path).open()).close()
    copy = path.with_name("hooks.db.schema-4.bak")
    assert sorted(os.listdir(path.parent)) == ["hooks.db", "hooks.db.schema-4.bak"]
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as found, closing(sqlite3.connect(of_then)) as before:
        assert [*found.iterdump()] == [*before.iterdump()]
        assert found.execute("PRAGMA user_version").fetchone() == (4,)


async def test_no_copy_is_made_where_none_is_wanted_or_the_file_is_new(path: Path, tmp_path: Path) -> None:
    await (await SQLiteInbox(path, min_free=0, backup=False, window=WINDOW, retention=RETENTION).open()).close()
    (tmp_path / "new").mkdir()
    await (await opened(tmp_path / "new" / "hooks.db").open()).close()
    assert os.listdir(tmp_path / "new") == ["hooks.db"]
    assert sorted(os.listdir(tmp_path)) == ["hooks.db", "new"]


async def test_without_room_for_the_copy_the_file_stays_as_it_was(
    path: Path, of_then: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(InboxUnavailable, match=r"no room for the copy hooks\.db\.schema-4\.bak: 1000000 bytes"):
        await opened(path).open()
    assert path.read_bytes() == of_then.read_bytes()  # noqa: ASYNC240
    monkeypatch.undo()
    await (await opened(path).open()).close()


async def test_a_copy_of_a_step_that_came_to_no_end_is_replaced(path: Path) -> None:
    path.with_name("hooks.db.schema-4.bak").write_bytes(b"of before")
    await (await opened(path).open()).close()
    assert sorted(os.listdir(path.parent)) == ["hooks.db", "hooks.db.schema-4.bak"]
    with closing(sqlite3.connect(path.with_name("hooks.db.schema-4.bak"))) as copy:
        assert copy.execute("SELECT count(*) FROM journal").fetchone()[0] > 0


async def test_a_journal_of_which_a_byte_was_changed_is_damage_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE journal SET packed = CAST(replace(packed, 'fresh-0500', 'fresh-9500') AS BLOB)")
    for _ in range(2):
        with pytest.raises(InboxDamaged, match="what is kept in its journal is not what was put"):
            await opened(path).open()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (4,)


PUT_OF_THEN = ("SELECT last, merged, unpacked FROM arrived", "INSERT INTO journal (last) VALUES (1)")
CLAIM_OF_THEN = (
    "SELECT seq, CASE state WHEN 'waiting' THEN line END, lease IS NOT NULL FROM progress WHERE source = 'hooks'",
)
SETTLE_OF_THEN = (
    "UPDATE progress SET state = 'done', due = NULL, since = 1, lease = NULL, handlers = NULL, crashes = 0, "
    "held = NULL, reason = NULL, settled = 1 WHERE seq = 5002 AND lease IS NOT NULL",
    "SELECT line FROM holder WHERE seq = 5002",
    "UPDATE progress SET due = 1 WHERE seq = 5004 AND lease IS NOT NULL",  # to renew
)


@pytest.mark.parametrize(
    ("statements", "works"), [(PUT_OF_THEN, False), (CLAIM_OF_THEN, False), (SETTLE_OF_THEN, True)]
)
async def test_the_program_of_then_puts_and_claims_nothing_more_but_settles_what_it_has(
    path: Path, statements: Sequence[str], works: bool
) -> None:
    inbox = await opened(path).open()
    with closing(sqlite3.connect(path, isolation_level=None)) as of_then:
        for statement in statements:
            if works:
                of_then.execute(statement)
            else:
                with pytest.raises(sqlite3.OperationalError, match=r"no such (table|column)"):
                    of_then.execute(statement)
    assert len(await inbox.find(Filter(states=[State.DONE]))) == EACH + works
    await inbox.close()

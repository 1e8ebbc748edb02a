"""The names of receivers: whose deliveries are whose, in an inbox, in a process, and in an inbox of before.

`old/` has what the code of November 2026 stored for a receiver that was left at the default: o-1 done, o-2 dead, o-3
unhandled, and o-4 and o-5, which wait. `hooks.db.gz` is its SQLite file, `hooks.sql` its rows in PostgreSQL by pg_dump.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW, signed
from tests.postgres import execute, load_version_2
from tests.working import Clock, about, durable, settled, until
from webhook_receiver import (
    ConfigurationError,
    Event,
    Filter,
    Inbox,
    InboxUnavailable,
    MemoryInbox,
    SQLiteInbox,
    State,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.inbox.names import check_name, claim_name, release_name, unclaimed
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.records import Settlement
from webhook_receiver.senders import Sender
from webhook_receiver.senders.github import github
from webhook_receiver.senders.shopify import shopify
from webhook_receiver.senders.slack import slack
from webhook_receiver.senders.stripe import stripe
from webhook_receiver.senders.up42 import up42

OLD = Path(__file__).parent / "old"
SECRET = "try-me"


@pytest.fixture
def old_file(tmp_path: Path) -> str:
    path = tmp_path / "hooks.db"
    path.write_bytes(gzip.decompress((OLD / "hooks.db.gz").read_bytes()))
    return f"sqlite:///{path}"


@pytest.fixture
async def old_database(empty_database: str) -> str:
    load_version_2(empty_database)
    execute(
        empty_database,
        "TRUNCATE delivery, procrastinate_jobs, paused CASCADE; DROP TABLE receiver; "
        "DELETE FROM migration WHERE name = 'inbox 2'",
    )
    execute(empty_database, (OLD / "hooks.sql").read_text())
    await PostgresInbox(empty_database).migrate()
    return empty_database


@pytest.fixture(params=["sqlite", "postgresql"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox that lasts."""
    return f"sqlite:///{tmp_path}/hooks.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def rows_of(url: str) -> list[tuple[Any, ...]]:
    statement = "SELECT seq, id, source, key, identity, order_key, received, body, checksum FROM delivery ORDER BY seq"
    if not url.startswith("sqlite"):
        return execute(url, statement)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
        return file.execute(statement).fetchall()


def receiver(inbox: Inbox | str, ran: list[str], sender: Sender | None = None, **options: Any) -> WebhookReceiver:
    hooks = durable(inbox, sender=sender or up42(SECRET), **options)
    hooks.on(Event, name="download")(lambda event: ran.append(getattr(event, "order_id", None) or event.event))
    return hooks


async def goes_on(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Check that a receiver at the default takes over what the old one left, and changes nothing of it."""
    before, ran = rows_of(url), list[str]()
    hooks = receiver(url, ran)
    assert hooks.name == "up42"
    async with hooks:
        assert hooks.name == "webhooks"
        for kept in await hooks.inbox.find(Filter(states=[State.WAITING])):
            await settled(hooks, kept.id)
        # Its duplicates are known: what was done stays done, the dead and the unhandled run.
        for number, status in ((1, "FULFILLED"), (2, "FULFILLED"), (3, "FAILED_PERMANENTLY"), (4, "FULFILLED")):
            body = about(f"o-{number}", status)
            receipt = await hooks.receive(signed(body, secret=SECRET), body)
            assert receipt.response.status == 200
            await settled(hooks, str(receipt.duplicate_of))
        new = about("o-6")
        receipt = await hooks.receive(signed(new, secret=SECRET), new)
        assert receipt.response.status == 202
        await settled(hooks, str(receipt.delivery and receipt.delivery.id))
    assert sorted(ran) == ["o-2", "o-3", "o-4", "o-5", "o-6"]
    after = rows_of(url)
    assert after[: len(before)] == before
    assert {row[2] for row in after} == {"webhooks"}
    assert caplog.text.count("up42 goes on as 'webhooks', under which the inbox has its deliveries") == 1


async def test_on_an_old_file_a_receiver_at_the_default_goes_on_under_its_old_name(
    old_file: str, caplog: pytest.LogCaptureFixture
) -> None:
    await goes_on(old_file, caplog)


async def test_on_an_old_database_a_receiver_at_the_default_goes_on_under_its_old_name(
    old_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    await goes_on(old_database, caplog)


async def test_the_first_delivery_to_an_old_file_is_stored_under_the_old_name_without_a_start(old_file: str) -> None:
    hooks = receiver(old_file, [], work=False)
    body = about("o-4")
    assert (await hooks.receive(signed(body, secret=SECRET), body)).response.status == 200
    async with hooks:
        assert {each.receiver for each in await hooks.inbox.find(Filter())} == {"webhooks"}


async def test_a_receiver_keeps_its_old_name_when_all_of_the_old_is_purged(old_file: str) -> None:
    async with receiver(old_file, [], work=False) as hooks:
        await hooks.inbox.purge(Filter(), NOW, limit=100)
    async with receiver(old_file, [], work=False) as hooks:
        assert hooks.name == "webhooks"


async def test_a_second_sender_on_an_old_file_has_its_own_name(old_file: str) -> None:
    async with receiver(old_file, [], work=False) as first, receiver(old_file, [], github("s"), work=False) as second:
        assert (first.name, second.name) == ("webhooks", "github")


OTHERS = [github("s"), shopify("s"), slack("s"), stripe("s"), replace(up42("s"), name="acme")]


@pytest.mark.parametrize("other", OTHERS, ids=lambda sender: sender.name)
async def test_another_sender_that_starts_first_leaves_alone_what_an_old_file_has(old_file: str, other: Sender) -> None:
    before, ran = rows_of(old_file), list[str]()
    first = receiver(old_file, ran, other)
    with pytest.raises(ConfigurationError, match=rf"under 'webhooks'.*name='webhooks'.*name='{other.name}'"):
        await first.__aenter__()
    await first.inbox.close()
    async with receiver(old_file, ran, other, name=other.name), receiver(old_file, ran) as own:
        assert own.name == "webhooks"
        for each in await own.inbox.find(Filter(states=[State.WAITING])):
            await settled(own, each.id)
    assert (sorted(ran), rows_of(old_file)[: len(before)]) == (["o-4", "o-5"], before)


async def test_another_sender_leaves_alone_what_an_old_file_has_when_nothing_waits(old_file: str) -> None:
    async with receiver(old_file, [], name="partner", work=False) as any_name:
        await any_name.inbox.purge(Filter(states=[State.WAITING]), NOW, limit=100)
    with pytest.raises(ConfigurationError, match="under 'webhooks'"):
        await receiver(old_file, [], github("s"), work=False).__aenter__()


async def test_a_sender_whose_header_names_the_event_goes_on_with_its_own_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    async with receiver(url, [], github("s"), name="webhooks", work=False) as old:
        body = b'{"commits": [], "pusher": {}}'
        head = old.sender.scheme.sign(RequestHead.of({"x-github-event": "push"}), body, NOW)
        assert (await old.receive(head.headers, body)).response.status == 202
    with closing(sqlite3.connect(tmp_path / "hooks.db")) as file, file:
        file.execute("DELETE FROM receiver")
    with pytest.raises(ConfigurationError, match=r"another sender's than up42"):
        await receiver(url, [], work=False).__aenter__()
    async with receiver(url, [], github("s"), work=False) as new:
        assert new.name == "webhooks"


async def test_a_name_that_is_given_is_the_name_on_an_old_file_too(old_file: str) -> None:
    async with receiver(old_file, [], name="partner", work=False) as hooks:
        assert hooks.name == "partner"


async def test_on_a_new_file_the_name_is_the_senders_whatever_scheme_and_secret(tmp_path: Path) -> None:
    for sender in (up42("a"), up42("b"), replace(up42("c"), scheme=github("c").scheme)):
        async with receiver(f"sqlite:///{tmp_path}/hooks.db", [], sender) as hooks:
            assert hooks.name == "up42"


@pytest.mark.parametrize("other", [up42("b"), up42(SECRET)], ids=["another secret", "the same secret"])
async def test_two_receivers_of_one_name_on_one_inbox_are_rejected_in_one_process(
    tmp_path: Path, other: Sender
) -> None:
    url, ran = f"sqlite:///{tmp_path}/hooks.db", list[str]()
    async with receiver(url, ran) as first:
        with pytest.raises(ConfigurationError, match=r"a receiver named 'up42' runs on this inbox already.*name="):
            await receiver(url, ran, other).__aenter__()
        with pytest.raises(ConfigurationError, match="a receiver named 'up42'"):
            await receiver(first.inbox, ran, other, work=False).__aenter__()
        body = about("o-1")
        assert (await first.receive(signed(body, secret=SECRET), body)).response.status == 202


@pytest.mark.parametrize("host", ["localhost", "[::ffff:127.0.0.1]", "127.1"])
async def test_two_of_one_name_are_rejected_however_the_address_of_their_server_is_written(
    postgres_url: str, host: str
) -> None:
    assert "127.0.0.1" in postgres_url
    async with receiver(postgres_url, []) as first:
        second = receiver(postgres_url.replace("127.0.0.1", host), [])
        assert second.inbox.address != first.inbox.address
        with pytest.raises(ConfigurationError, match="a receiver named 'up42' runs on this inbox already"):
            await second.__aenter__()
        await deliver_to(first)


async def test_two_databases_of_one_server_have_a_receiver_of_one_name_each(
    postgres_url: str, empty_database: str
) -> None:
    await PostgresInbox(empty_database).migrate()
    async with receiver(postgres_url, []) as first, receiver(empty_database, []) as second:
        assert first.name == second.name == "up42"


async def test_two_schemas_of_one_database_have_a_receiver_of_one_name_each(postgres_url: str) -> None:
    other = PostgresInbox(postgres_url, schema="other")
    await other.migrate()
    async with receiver(postgres_url, []) as first, receiver(other, []) as second:
        assert first.name == second.name == "up42"


async def test_one_that_nobody_started_is_answered_503_for_not_200(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, body = f"sqlite:///{tmp_path}/hooks.db", about("o-1")
    async with receiver(url, []):
        second = receiver(url, [], up42("b"))
        assert (await second.receive(signed(body, secret="b"), body)).response.status == 503
    assert "give them names, WebhookReceiver(name=...)" in caplog.text


async def test_receivers_with_names_get_each_their_own_deliveries(tmp_path: Path) -> None:
    url, ran, others = f"sqlite:///{tmp_path}/hooks.db", list[str](), list[str]()
    body = about("o-1")
    async with receiver(url, ran) as first, receiver(url, others, up42("b"), name="partner") as second:
        for hooks, secret in ((first, SECRET), (second, "b")):
            receipt = await hooks.receive(signed(body, secret=secret), body)
            assert (receipt.response.status, receipt.delivery and receipt.delivery.receiver) == (202, hooks.name)
            await settled(hooks, str(receipt.delivery and receipt.delivery.id))
    assert (ran, others) == (["o-1"], ["o-1"])


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
async def test_of_receivers_that_share_an_inbox_the_last_one_closes_it(tmp_path: Path, at_once: bool) -> None:
    inbox, ran, goes_on = SQLiteInbox(tmp_path / "hooks.db"), list[str](), asyncio.Event()
    first, second = receiver(inbox, []), durable(inbox, secret="b", name="partner")

    @second.on(Event)
    async def handle(event: Event) -> None:
        await goes_on.wait()
        ran.append(event.event)

    await first.__aenter__()
    await second.__aenter__()
    body = about("o-1")
    receipt = await second.receive(signed(body, secret="b"), body)
    assert receipt.response.status == 202
    stops = [first.__aexit__(None, None, None), second.__aexit__(None, None, None)]
    if at_once:
        stopping = asyncio.gather(*stops)
        await asyncio.sleep(0)
        goes_on.set()
        await stopping
    else:
        await stops[0]
        goes_on.set()
        assert receipt.delivery is not None
        await settled(second, receipt.delivery.id)
        await stops[1]
        assert ran == ["order.status"]
    with pytest.raises(InboxUnavailable, match="not open"):
        await inbox.stats()
    await inbox.open()
    assert (await inbox.stats()).running == 0
    await inbox.close()


@pytest.mark.parametrize("fails", ["register", "paused"], ids=["before it has a name", "after it has one"])
async def test_a_receiver_whose_start_fails_closes_its_inbox_and_may_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    inbox = SQLiteInbox(tmp_path / "hooks.db")
    hooks = receiver(inbox, [])

    async def fail(*given: object) -> None:
        raise InboxUnavailable("the inbox is away")

    with monkeypatch.context() as patched:
        patched.setattr(inbox, fails, fail)
        with pytest.raises(InboxUnavailable, match="is away"):
            await hooks.__aenter__()
    with pytest.raises(InboxUnavailable, match="not open"):
        await inbox.stats()
    async with receiver(f"sqlite:///{tmp_path}/hooks.db", []) as other:  # the name is free
        assert other.name == "up42"
    async with hooks:
        await deliver_to(hooks)


async def test_a_receiver_whose_start_fails_leaves_an_inbox_open_on_which_another_runs(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "hooks.db")
    async with receiver(inbox, []) as first:
        for second in (receiver(inbox, []), receiver(inbox, [], github("s"), name="up42")):
            with pytest.raises(ConfigurationError, match="up42"):
                await second.__aenter__()
        await deliver_to(first)


async def test_a_second_start_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(f"sqlite:///{tmp_path}/hooks.db", []) as hooks:

        async def fail() -> None:
            raise InboxUnavailable("the inbox is away")

        with monkeypatch.context() as patched:
            patched.setattr(hooks.inbox, "paused", fail)
            with pytest.raises(InboxUnavailable, match="is away"):
                await hooks.__aenter__()
        await deliver_to(hooks)
        assert (await hooks.health()).state == "working"


async def test_one_after_the_other_may_have_one_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    for _ in range(2):
        async with receiver(url, []) as hooks, hooks:  # again, as by the lifespans of two apps
            await deliver_to(hooks)


def test_one_that_was_left_behind_in_a_loop_that_ended_holds_no_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    for number in range(2):
        hooks = receiver(url, [], work=False)
        asyncio.run(deliver_to(hooks, f"o-{number}"))
        asyncio.run(hooks.inbox.close())


async def deliver_to(hooks: WebhookReceiver, order: str = "o-1") -> None:
    body = about(order)
    assert (await hooks.receive(signed(body, secret=SECRET), body)).response.status in (200, 202)


async def test_a_name_belongs_to_one_sender_as_long_as_deliveries_of_it_are_stored(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    async with receiver(url, [], name="partner", work=False) as first:
        await deliver_to(first)
    second = receiver(url, [], github("s"), name="partner", work=False)
    with pytest.raises(
        ConfigurationError, match=r"'partner' belongs to the sender up42.*sender is github.*name=.*purge"
    ):
        await second.__aenter__()
    await second.inbox.open()
    await second.inbox.purge(Filter(receiver="partner"), NOW, limit=10)
    async with second:
        assert second.name == "partner"


async def test_the_default_name_may_belong_to_another_sender_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    async with receiver(url, [], name="github", work=False) as first:
        await deliver_to(first)
    second = receiver(url, [], github("s"), work=False)
    with pytest.raises(ConfigurationError, match="'github' belongs to the sender up42"):
        await second.__aenter__()
    await second.inbox.close()


async def test_another_scheme_under_a_name_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    for sender in (
        up42("a"),
        replace(up42("a"), scheme=github("a").scheme),
        replace(up42("a"), scheme=github("b").scheme),
    ):
        async with receiver(url, [], sender, work=False):
            pass
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["up42 verified its deliveries by UP42Signature until now, and does so by HMACBody"]


async def test_a_renamed_receiver_hears_of_what_waits_under_its_old_name(
    lasting: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.runtime.unclaimed._UNTIL_ALL_RUN", 0)
    async with receiver(lasting, [], name="old", work=False) as before:
        await deliver_to(before)
    async with receiver(lasting, [], name="new", clock=lambda: NOW + 7200):
        await until(lambda: "deliveries of a receiver 'old'" in caplog.text)
    assert "WebhookReceiver(name='old') gives it back" in caplog.text


async def looked(clock: Clock) -> None:
    """Wait until somebody who does nothing else has acted on what the clock says, and looks at it again."""
    looks = clock.looks
    await until(lambda: clock.looks > looks + 2)  # at both clocks, when it tells


async def test_a_receiver_renamed_in_a_restart_hears_of_what_waits_once_it_is_an_hour_old_and_every_hour(
    lasting: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.runtime.unclaimed._UNTIL_ALL_RUN", 0)
    clock = Clock()
    async with receiver(lasting, [], name="old", work=False) as before:
        for number in range(3):
            await deliver_to(before, f"o-{number}")
    async with receiver(lasting, [], name="new", work=False, clock=clock):
        for hour, (minutes, times) in enumerate([(0, 0), (61, 1), (59, 1), (2, 2), (-300, 2), (361, 3)]):
            clock.move(60 * minutes)
            await looked(clock)
            assert caplog.text.count("deliveries of a receiver 'old'") == times, f"step {hour}"
    assert "WebhookReceiver(name='old') gives it back" in caplog.text


async def test_what_is_unclaimed_is_told_no_more_once_its_receiver_has_it_or_this_one_stops(
    lasting: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.runtime.unclaimed._UNTIL_ALL_RUN", 0)
    clock, ran = Clock(), list[str]()
    async with receiver(lasting, [], name="old", work=False) as before:
        await deliver_to(before)
    async with receiver(lasting, [], name="new", work=False, clock=clock):
        clock.move(7200)
        await until(lambda: caplog.text.count("deliveries of a receiver 'old'") == 1)
        async with receiver(lasting, ran, name="old", clock=clock):
            await until(lambda: len(ran) == 1)
        clock.move(7200)
        await looked(clock)
    clock.move(7200)
    await asyncio.sleep(0)
    assert caplog.text.count("deliveries of a receiver 'old'") == 1


async def test_unclaimed_is_only_what_has_been_due_for_an_hour_under_a_name_not_running_here(
    lasting: str,
) -> None:
    async with receiver(lasting, [], name="old", work=False) as here:
        await deliver_to(here)
        assert await unclaimed(here.inbox, NOW + 7200, NOW + 7200) == []
    async with receiver(lasting, [], name="new", work=False) as new:
        assert await unclaimed(new.inbox, NOW + 7200, NOW + 7200) == ["old"]
        assert await unclaimed(new.inbox, NOW + 3600, NOW + 3600) == []
        (claim,) = await new.inbox.claim("old", 1, 30, NOW + 7190)  # as another process does
        assert await unclaimed(new.inbox, NOW + 7200, NOW + 7200) == []
        later = NOW + 7190 + 30 + 3601
        assert await unclaimed(new.inbox, later, later) == ["old"]  # whose process died
        await new.inbox.settle(Settlement(claim, State.DONE, {}), NOW + 7200)
        assert await unclaimed(new.inbox, NOW + 72000, NOW + 72000) == []


async def test_what_waits_for_a_paused_handler_or_its_next_attempt_is_not_unclaimed(lasting: str) -> None:
    async with receiver(lasting, [], name="old", work=False) as old:
        for order in ("o-1", "o-2"):
            await deliver_to(old, order)
    async with receiver(lasting, [], name="new", work=False) as new:
        paused, retried = await new.inbox.claim("old", 2, 30, NOW)
        await new.inbox.pause("download", NOW)
        waits = Settlement(paused, State.WAITING, {}, paused_by="download")
        await new.inbox.settle(waits, NOW)
        await new.inbox.settle(Settlement(retried, State.WAITING, {}, due=NOW + 72000), NOW)
        assert await unclaimed(new.inbox, NOW + 7200, NOW + 7200) == []


async def test_unclaimed_is_found_behind_any_number_that_wait_under_a_name_running_here(lasting: str) -> None:
    async with receiver(lasting, [], name="new", work=False) as new:
        for number in range(101):
            await deliver_to(new, f"n-{number}")
        claims = await new.inbox.claim("new", 50, 30, NOW)
        for claim in claims:
            await new.inbox.settle(Settlement(claim, State.WAITING, {}, due=NOW + 72000), NOW)
    for name in ("old", "older"):
        async with receiver(lasting, [], name=name, work=False) as before:
            for number in range(3):
                await deliver_to(before, f"{name}-{number}")
    async with receiver(lasting, [], name="new", work=False) as new:
        assert await unclaimed(new.inbox, NOW + 7200, NOW + 7200) == ["old", "older"]


async def test_unclaimed_is_found_behind_the_retries_of_a_name_that_runs_elsewhere(lasting: str) -> None:
    async with receiver(lasting, [], name="elsewhere", work=False) as elsewhere:
        for number in range(101):
            await deliver_to(elsewhere, f"e-{number}")
        for claim in await elsewhere.inbox.claim("elsewhere", 101, 30, NOW):
            await elsewhere.inbox.settle(Settlement(claim, State.WAITING, {}, due=NOW + 72000), NOW)
    async with receiver(lasting, [], name="old", work=False) as old:
        await deliver_to(old)
    async with receiver(lasting, [], name="new", work=False) as new:
        assert await unclaimed(new.inbox, NOW + 7200, NOW + 7200) == ["old"]


async def test_a_backfill_of_a_receiver_that_is_not_started_uses_the_name_in_the_inbox(old_file: str) -> None:
    hooks = receiver(old_file, [])
    await hooks.runtime.open()
    assert hooks.name == "webhooks"
    await hooks.inbox.close()


async def test_a_name_is_free_again_when_its_owner_is_gone() -> None:
    class Owner:
        pass

    inbox, owner = MemoryInbox(), Owner()
    claim_name(owner, inbox, "up42")
    check_name(owner, inbox, "up42")
    check_name(Owner(), inbox, "partner")
    check_name(Owner(), MemoryInbox(), "up42")
    checked: Callable[[], None] = lambda: check_name(Owner(), inbox, "up42")  # noqa: E731
    with pytest.raises(ConfigurationError):
        checked()
    release_name(owner)
    checked()
    claim_name(owner, inbox, "up42")
    del owner
    gc.collect()
    checked()

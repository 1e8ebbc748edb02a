"""Watching an inbox: what became of each handler's part is told once, as it happens."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from webhook_receiver import Delivery, MemoryInbox, State
from webhook_receiver.cli.follow import HandlerResult, follow
from webhook_receiver.inbox.records import Entry, FailedAttempt, HandlerState, Settlement

NOW = 1_765_433_012.0

Told = tuple[str, str | None, State, int, str | None]


@asynccontextmanager
async def opened() -> AsyncGenerator[MemoryInbox]:
    inbox = await MemoryInbox().open()
    yield inbox
    await inbox.close()


async def put(inbox: MemoryInbox, id: str, *, at: float = NOW, dead: str | None = None) -> None:
    delivery = Delivery(id, "webhooks", (), b"{}", at, 0, True)
    await inbox.put(Entry(delivery, event="order.status", dead=dead), at)


async def settle(
    inbox: MemoryInbox,
    state: State,
    handlers: dict[str, HandlerState],
    *attempts: FailedAttempt,
    reason: str | None = None,
) -> None:
    (claim,) = await inbox.claim("webhooks", 1, 60, NOW + 1)
    due = NOW + 1 if state is State.WAITING else None
    await inbox.settle(Settlement(claim, state, handlers, due=due, reason=reason, attempts=attempts), NOW + 2)


async def told(found: AsyncGenerator[HandlerResult], count: int) -> Sequence[Told]:
    each = [await anext(found) for _ in range(count)]
    return [(one.summary.id, one.handler, one.state, one.attempts, one.error) for one in each]


FAILED = FailedAttempt("download", 1, NOW + 1, 0.25, "retry", "ConnectionError: storage is down")


async def test_a_failure_and_the_end_are_told_one_after_the_other_and_once() -> None:
    async with opened() as inbox, aclosing(follow(inbox, "webhooks", NOW)) as found:
        await put(inbox, "d-1")
        await settle(inbox, State.WAITING, {"download": HandlerState(State.WAITING, 1, 1, NOW + 1)}, FAILED)
        failed = await anext(found)
        assert (failed.state, failed.seconds, failed.error) == (State.WAITING, 0.25, FAILED.error)
        await settle(inbox, State.DONE, {"download": HandlerState(State.DONE, 2, 2)})
        done = await anext(found)
        assert (done.state, done.attempts, done.seconds, done.error) == (State.DONE, 2, 2.0, None)
        await put(inbox, "d-2", dead="not JSON")
        assert await told(found, 1) == [("d-2", None, State.DEAD, 0, "not JSON")]


async def test_each_handler_is_told_by_itself() -> None:
    async with opened() as inbox, aclosing(follow(inbox, "webhooks", NOW)) as found:
        await put(inbox, "d-1")
        dead = FailedAttempt("alert", 1, NOW + 1, 0.1, "dead", "GiveUp: no")
        handlers = {"download": HandlerState(State.DONE, 1, 1), "alert": HandlerState(State.DEAD, 1, 1)}
        await settle(inbox, State.DEAD, handlers, dead, reason="alert gave up")
        assert sorted(await told(found, 2)) == [
            ("d-1", "alert", State.DEAD, 1, "GiveUp: no"),
            ("d-1", "download", State.DONE, 1, None),
        ]


async def test_what_no_handler_wanted_is_told_and_what_came_before_is_not() -> None:
    async with opened() as inbox, aclosing(follow(inbox, "webhooks", NOW)) as found:
        await put(inbox, "d-0", at=NOW - 1)
        await settle(inbox, State.UNHANDLED, {}, reason="no handler wanted it")
        await put(inbox, "d-1")
        await settle(inbox, State.UNHANDLED, {}, reason="no handler wanted it")
        assert await told(found, 1) == [("d-1", None, State.UNHANDLED, 0, "no handler wanted it")]


async def test_what_is_stored_after_a_delivery_that_was_received_later_is_told() -> None:
    async with opened() as inbox, aclosing(follow(inbox, "webhooks", NOW)) as found, timeout(30):
        await put(inbox, "d-2", at=NOW + 5)
        await settle(inbox, State.WAITING, {"download": HandlerState(State.WAITING, 1, 1, NOW + 1)}, FAILED)
        assert [each[0] for each in await told(found, 1)] == ["d-2"]
        await put(inbox, "d-1", at=NOW + 1, dead="not JSON")
        assert await told(found, 1) == [("d-1", None, State.DEAD, 0, "not JSON")]


async def test_a_replay_is_told_again() -> None:
    async with opened() as inbox, aclosing(follow(inbox, "webhooks", NOW)) as found:
        await put(inbox, "d-1")
        await settle(inbox, State.DONE, {"download": HandlerState(State.DONE, 1, 1)})
        assert await told(found, 1) == [("d-1", "download", State.DONE, 1, None)]
        await inbox.replay(["d-1"], NOW + 3)
        await settle(inbox, State.DONE, {"download": HandlerState(State.DONE, 2, 1)})
        assert await told(found, 1) == [("d-1", "download", State.DONE, 2, None)]

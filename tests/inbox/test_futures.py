"""Results for futures of other loops, set from a thread."""

from __future__ import annotations

import asyncio

import pytest

from webhook_receiver.inbox.futures import resolve


async def test_each_hears_its_own_and_who_was_cancelled_nothing() -> None:
    loop = asyncio.get_running_loop()
    one, two, gone = (loop.create_future() for _ in range(3))
    gone.cancel()
    await asyncio.to_thread(resolve, [(one, 1), (two, ValueError("no")), (gone, 3)])
    assert await one == 1
    with pytest.raises(ValueError, match="no"):
        await two


def test_a_loop_that_is_closed_holds_up_nobody() -> None:
    closed = asyncio.new_event_loop()
    future = closed.create_future()
    closed.close()

    async def other() -> int:
        mine: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        resolve([(future, 1), (mine, 2)])
        return await mine

    assert asyncio.run(other()) == 2

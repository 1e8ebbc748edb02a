from __future__ import annotations

import asyncio

import pytest

from tests.working import until
from webhook_receiver import ConfigurationError
from webhook_receiver.background_tasks import Chores


class Chore:
    """Goes on until it is cancelled, and may ignore that."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.begun = self.ended = 0
        self.enough = asyncio.Event()
        self._stubborn = stubborn

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            if self._stubborn:
                await self.enough.wait()
            self.ended += 1


async def test_they_run_from_start_to_stop_and_again() -> None:
    chores, chore = Chores(), Chore()
    chores.add(chore)
    for times in (1, 2):
        chores.start()
        chores.start()  # once more is nothing
        await until(lambda: chore.begun > chore.ended)
        await chores.stop()
        assert (chore.begun, chore.ended) == (times, times)
    await chores.stop()


async def test_what_comes_while_they_run_comes_too_late() -> None:
    chores = Chores()
    chores.start()
    with pytest.raises(ConfigurationError, match="runs already"):
        chores.add(Chore())
    await chores.stop()
    chores.add(Chore())


async def test_one_that_does_not_end_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.background_tasks._PATIENCE", 0.01)
    chores, chore = Chores(), Chore(stubborn=True)
    chores.add(chore)
    chores.start()
    await until(lambda: chore.begun == 1)
    await chores.stop()
    assert chore.ended == 0
    chore.enough.set()
    await until(lambda: chore.ended == 1)


def test_they_start_anew_in_another_loop_when_the_first_has_ended() -> None:
    chores, chore = Chores(), Chore()
    chores.add(chore)

    async def start(*, stop: bool) -> None:
        begun = chore.begun
        chores.start()
        await until(lambda: chore.begun == begun + 1)
        if stop:
            await chores.stop()

    asyncio.run(start(stop=False))
    asyncio.run(start(stop=True))
    assert (chore.begun, chore.ended) == (2, 2)

from __future__ import annotations

from types import TracebackType

import pytest
from starlette.types import Message

from webhook_receiver.lifespan import live


class App:
    """What has a life, and may fail to begin or to end it."""

    def __init__(self, at_start: Exception | None = None, at_stop: Exception | None = None) -> None:
        self.at_start, self.at_stop = at_start, at_stop
        self.lived: list[str] = []

    async def __aenter__(self) -> None:
        self.lived.append("start")
        if self.at_start:
            raise self.at_start

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lived.append("stop")
        if self.at_stop:
            raise self.at_stop


async def lived(app: App) -> list[Message]:
    """Return what the server hears of a life from its start to its stop."""
    sent: list[Message] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        assert app.lived == (["start"] if sent else [])
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    await live(app, "hooks", receive, send)
    return sent


async def test_it_starts_and_stops_with_the_server() -> None:
    app = App()
    assert await lived(app) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert app.lived == ["start", "stop"]


@pytest.mark.parametrize(
    ("app", "told", "life"),
    [
        (App(OSError("no disk")), {"type": "lifespan.startup.failed", "message": "hooks cannot start: no disk"}, 1),
        (
            App(None, OSError("no disk")),
            {"type": "lifespan.shutdown.failed", "message": "hooks cannot stop: no disk"},
            2,
        ),
    ],
)
async def test_the_server_is_told_why_it_cannot_start_or_stop(app: App, told: Message, life: int) -> None:
    assert (await lived(app))[-1] == told
    assert len(app.lived) == life

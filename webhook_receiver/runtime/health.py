"""The health of a receiver, and the route that responds with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..asgi import slash_or_not
from ..inbox.records import Poll


@dataclass(frozen=True, slots=True)
class PollHealth:
    """How it stands with a source that is polled."""

    source: str
    """The name of the source."""
    state: str
    """The state: "working", "failing", or "new" if no poll has ended yet."""
    last_success_seconds: float | None
    """The seconds since the last poll that did not fail; None if there was none."""
    cursor_age_seconds: float | None
    """The seconds since the cursor became another one; None before the first one."""
    next_poll_seconds: float | None
    """The seconds to the next poll, 0 if it is due; None while one is running."""
    failures: int
    """Number of polls in a row, up to now, that have failed."""
    error: str | None
    """Why the last poll failed; None if it did not."""


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a receiver. What is not known, since the inbox is failing, is None."""

    ok: bool
    """Whether deliveries can be stored; without an inbox, always True."""
    state: str
    """The state: "working", "not started" (deliveries are stored and wait for a worker), "stalled" (they are stored,
    and the worker gets none of them from the inbox), "silent" (none has come for longer than `expect_every`), or
    "failing"."""
    problem: str | None = None
    """The reason for "failing", "stalled" or "silent"; else None."""
    waiting: int | None = 0
    """Number of deliveries that wait for a handler, a retry included."""
    oldest_waiting_seconds: float | None = None
    """The age in seconds of the oldest delivery that waits; None if none does."""
    unhandled: int | None = 0
    """Number of deliveries that no handler is registered for."""
    dead: int | None = 0
    """Number of dead letters."""
    paused: tuple[str, ...] | None = ()
    """The names of the handlers that are paused."""
    dead_within_hour: int | None = 0
    """Number of waiting deliveries that have failed, and are expected to be dead within an hour if they go on failing;
    1000 at most."""
    polls: tuple[PollHealth, ...] | None = ()
    """How it stands with each source that is polled, by all processes together. A failing one changes no state."""
    since_push_seconds: float | None = None
    """The seconds since the latest push to any process, or since one is expected; None without `expect_every`."""
    expect_every_seconds: float | None = None
    """The seconds within which one is expected; None without `expect_every`."""

    def as_json(self) -> dict[str, Any]:
        """Return the health as a JSON object."""
        return asdict(self)


def failing(problem: str) -> Health:
    """Return the health of a receiver whose inbox fails: nothing is known of its deliveries."""
    return Health(
        ok=False,
        state="failing",
        problem=problem,
        waiting=None,
        unhandled=None,
        dead=None,
        paused=None,
        dead_within_hour=None,
        polls=None,
    )


def polls_of(
    receiver: str, sources: Sequence[str], polls: Sequence[Poll], unix: float, clock: float
) -> tuple[PollHealth, ...]:
    """Return how it stands with the sources of a receiver.

    Args:
        receiver: the receiver's name.
        sources: the names of its sources.
        polls: what the inbox says of all sources.
        unix: the time in Unix seconds.
        clock: the time by the clock of the inbox.
    """
    known = {each.source: each for each in polls if each.receiver == receiver}
    return tuple([_poll_health(name, known.get(name), unix, clock) for name in sources])


def _poll_health(source: str, poll: Poll | None, unix: float, clock: float) -> PollHealth:
    if poll is None:
        return PollHealth(source, "new", None, None, 0.0, 0, None)
    state = "failing" if poll.error is not None else "new" if poll.succeeded is None else "working"
    wait = None if poll.leased else max(0.0, (poll.until or clock) - clock)
    since_success, age = (None if at is None else max(0.0, unix - at) for at in (poll.succeeded, poll.moved))
    return PollHealth(source, state, since_success, age, wait, poll.failures, poll.error)


def health_route(path: str, health: Callable[[], Awaitable[Health]], name: str) -> Route:
    """Return a Starlette route that responds with a health as JSON: 200 if it is ok, else 503."""

    async def respond(request: Request) -> JSONResponse:
        found = await health()
        return JSONResponse(found.as_json(), 200 if found.ok else 503, {"cache-control": "no-store"})

    return slash_or_not(path, respond, name=name, methods=["GET", "HEAD", "OPTIONS"])

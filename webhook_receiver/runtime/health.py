"""The health of a receiver, and the route that responds with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..asgi import slash_or_not


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a receiver. What is not known, since the inbox is failing, is None."""

    ok: bool
    """Whether deliveries can be stored; without an inbox, always True."""
    state: str
    """The state: "working", "not started" (deliveries are stored and wait for a worker), "stalled" (they are stored,
    and the worker gets none of them from the inbox), or "failing"."""
    problem: str | None = None
    """The reason for "failing" or "stalled"; else None."""
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
    )


def health_route(path: str, health: Callable[[], Awaitable[Health]], name: str) -> Route:
    """Return a Starlette route that responds with a health as JSON: 200 if it is ok, else 503."""

    async def respond(request: Request) -> JSONResponse:
        found = await health()
        return JSONResponse(found.as_json(), 200 if found.ok else 503, {"cache-control": "no-store"})

    return slash_or_not(path, respond, name=name, methods=["GET", "HEAD", "OPTIONS"])

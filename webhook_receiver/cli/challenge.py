"""Challenges that are played: what a sender asks to see that a URL is the receiver's, and whether it is answered so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from typer import BadParameter

from ..responses import Response
from ..simulator.payloads import Result, exchange, url_of
from . import output
from .notification import Notifier

_LONGEST = 60  # characters of an answer that are shown
_TOLD = (
    "the receiver takes a secret that it is told only while it waits for one, and only one: give its sender a "
    "LearntSecret(file), and send this within `with learnt.open(60):`"
)
"""The advice on a 401 to a challenge that tells a secret."""


@dataclass(frozen=True, slots=True)
class Played:
    """A challenge that was sent, and its answer."""

    method: str
    """The method that it was sent by."""
    result: Result
    """The status and the time of the answer."""
    body: bytes
    """The beginning of the answer's body."""
    expected: Response | None
    """What the sender expects; None without the secret, which an answer may be made with: then any 2xx will do."""

    @property
    def ok(self) -> bool:
        """Whether it was answered as the sender expects."""
        if self.expected is None:
            return self.result.ok
        return (self.result.status, self.body) == (self.expected.status, self.expected.body)

    def as_json(self) -> dict[str, Any]:
        """Return what was played as JSON can hold it."""
        result = self.result
        return {
            "method": self.method,
            "status": result.status,
            "reason": result.reason,
            "answer": self.body.decode(errors="replace"),
            "as_expected": self.ok,
            "seconds": round(result.seconds, 4),
        }


async def play(notifier: Notifier, url: str, client: httpx.AsyncClient) -> list[Played]:
    """Send every challenge of a sender, and return how each was answered.

    Raises:
        BadParameter: a challenge cannot be made.
    """
    played: list[Played] = []
    for asked in notifier.sender.challenges:
        now, token = time.time(), notifier.told()
        head, body = notifier.challenge(asked, url=url, token=token, now=now)
        expected = asked.answer(head, body, now) if notifier.signs else None
        result, said = await exchange(client, head.method, url_of(head, url), head.headers, body)
        played.append(Played(head.method, result, said, expected))
    return played


def run(notifier: Notifier, url: str, client: httpx.AsyncClient, *, as_json: bool) -> int:
    """Send every challenge of a sender, and print how each was answered; return the exit code."""

    async def work() -> list[Played]:
        async with client:
            return await play(notifier, url, client)

    try:
        played = asyncio.run(work())
    except KeyboardInterrupt:
        return 130
    if as_json:
        output.say_json({"challenges": [each.as_json() for each in played]})
    else:
        show(played, unauthorized=_TOLD if notifier.tells else notifier.unauthorized)
    return 0 if all(each.ok for each in played) else 1


def check_there(notifier: Notifier) -> None:
    """Reject a sender without challenges.

    Raises:
        BadParameter: there are none.
    """
    if not notifier.sender.challenges:
        raise BadParameter(f"{notifier.sender.name} asks for no answer before it delivers", param_hint="--challenge")


def show(played: Sequence[Played], *, unauthorized: str) -> None:
    """Print how each challenge was answered, and advice on a 401."""
    for number, each in enumerate(played, 1):
        which = f" {number} of {len(played)}" if len(played) > 1 else ""
        what = "as the sender expects" if each.ok else "not as the sender expects"
        line = f"challenge{which} by {each.method}: {each.result.label} in {each.result.seconds * 1000:.1f} ms, {what}"
        output.say(output.printable(line), "green" if each.ok else "red")
        if each.result.reason and each.result.status is not None:
            output.say(output.printable(f"  the receiver says: {each.result.reason}"), "yellow")
        elif each.body:
            output.say(f"  answered: {_shown(each.body)}", "dim")
        if not each.ok and each.expected is not None and each.result.status is not None:
            output.say(f"  expected: {each.expected.status}, {_shown(each.expected.body) or 'an empty body'}", "yellow")
    if any(each.result.status == HTTPStatus.UNAUTHORIZED for each in played):
        output.say(unauthorized, "yellow")


def _shown(body: bytes) -> str:
    return output.printable(body.decode(errors="replace")[:_LONGEST])

"""The names of receivers: in each inbox a name belongs to one sender, and in each process to one receiver that runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError
from .base import Inbox
from .records import Filter, State, StoredDelivery
from .registration import NOBODY, Registration

logger = logging.getLogger("webhook_receiver")

_LATEST = 20  # deliveries that tell whose the finished ones are
_LONG = 3600.0  # seconds after which one that is due and not claimed may never be


async def registered_name(inbox: Inbox, mine: Registration, is_own: Callable[[StoredDelivery], bool]) -> str:
    """Register a receiver in its inbox; return the name that its deliveries have there.

    Args:
        inbox: the inbox, which is open.
        mine: the receiver; see `Inbox.register`.
        is_own: a function that returns whether a delivery can be the receiver's, if nobody knows whose it is.

    Raises:
        ConfigurationError: deliveries of another sender are stored under the name, or under the former default name.
        InboxError: the inbox failed.
    """
    found = await inbox.register(mine)
    if found.sender == NOBODY:
        if not await _are_all(is_own, inbox, found.receiver):
            raise ConfigurationError(
                f"the inbox has deliveries of an older version under {found.receiver!r}, once the default name, and "
                f"they may be another sender's than {mine.sender}: if they are its own, say so by "
                f"WebhookReceiver(name={found.receiver!r}), else leave them alone by "
                f"WebhookReceiver(name={mine.receiver!r})"
            )
        found = await inbox.register(mine._replace(receiver=found.receiver))
    name = found.receiver
    if found.sender != mine.sender:
        raise ConfigurationError(
            f"in this inbox the name {name!r} belongs to the sender {found.sender}, and this receiver's sender is "
            f"{mine.sender}: give the receiver another name, WebhookReceiver(name=...), or first remove what is stored "
            f"under this one:  webhook-receiver inbox purge URL --receiver {name}"
        )
    if found.scheme != mine.scheme:
        logger.warning("%s verified its deliveries by %s until now, and does so by %s", name, found.scheme, mine.scheme)
    if name != mine.receiver:
        logger.warning(
            "%s goes on as %r, under which the inbox has its deliveries: WebhookReceiver(name=%r) says so",
            mine.receiver,
            name,
            name,
        )
    return name


async def _are_all(is_own: Callable[[StoredDelivery], bool], inbox: Inbox, name: str) -> bool:
    """Ask about all that waits under a name, and about the latest of what does not."""
    for summary in await inbox.find(Filter(receiver=name), limit=_LATEST):
        stored = await inbox.get(summary.id)
        if stored is not None and not is_own(stored):
            return False
    async for waiting in inbox.dump(Filter(receiver=name, states=[State.WAITING])):
        if isinstance(waiting, StoredDelivery) and not is_own(waiting):
            return False
    return True


async def unclaimed(inbox: Inbox, now: float, clock: float) -> list[str]:
    """Return the names under which deliveries have been due for an hour, and no process claims them.

    It may be that no receiver has such a name any more. One that runs in this process is none of them.

    Args:
        inbox: the inbox, which is open.
        now: the time in Unix seconds.
        clock: the time by the clock of the inbox.

    Raises:
        InboxError: the inbox failed.
    """
    here = {running.name for running in [*_running.values()] if running.places & _places(inbox)}
    found: set[str] = set()
    overdue = Filter(states=[State.WAITING], before=now - _LONG, due_before=clock - _LONG)
    # One at a time, so that none is hidden behind the many of another.
    while oldest := await inbox.find(overdue._replace(not_receivers=here | found), limit=1, newest_first=False):
        found.add(oldest[0].receiver)
    return sorted(found)


def _places(inbox: Inbox) -> frozenset[str]:
    """Return the address of an inbox, and what its server says it is: one server may have several addresses."""
    return frozenset((inbox.address, getattr(inbox, "place", inbox.address)))


class _Running(NamedTuple):
    places: frozenset[str]
    name: str
    inbox: Inbox
    loop: asyncio.AbstractEventLoop


_running: WeakKeyDictionary[object, _Running] = WeakKeyDictionary()
"""The receivers' runtimes that run in this process. One that was left behind without a stop is none of them."""


def check_name(owner: object, inbox: Inbox, name: str) -> None:
    """Reject a name under which another runtime than the owner runs on this inbox, in this process.

    Raises:
        ConfigurationError: one does: each would take the other's deliveries.
    """
    here = _places(inbox)
    for other, running in [*_running.items()]:
        if other is not owner and running.name == name and running.places & here and not running.loop.is_closed():
            raise ConfigurationError(
                f"a receiver named {name!r} runs on this inbox already, and each would take the other's deliveries: "
                "give them names, WebhookReceiver(name=...); without one a receiver has the name of its sender"
            )


def claim_name(owner: object, inbox: Inbox, name: str) -> None:
    """Claim a name for a runtime that starts in the running event loop, until `release_name`; see `check_name`."""
    check_name(owner, inbox, name)
    _running[owner] = _Running(_places(inbox), name, inbox, asyncio.get_running_loop())


def release_name(owner: object) -> None:
    """Release the name of a runtime that has stopped."""
    _running.pop(owner, None)


def is_shared(owner: object, inbox: Inbox) -> bool:
    """Return whether another runtime than the owner runs on this very inbox, and needs it to be open."""
    return any(
        other is not owner and running.inbox is inbox and not running.loop.is_closed()
        for other, running in [*_running.items()]
    )

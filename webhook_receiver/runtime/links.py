"""Download links that end: an event that is handled after that, as by a replay, is asked for again through a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar, cast

from ..errors import ApiError, ConfigurationError, GiveUp
from ..events import Event, ImageryEvent, WholeOrder
from ..senders.source import TellsAgain
from . import Runtime
from .whole_orders import unix, with_events

E = TypeVar("E", bound=Event)


async def fresh(runtime: Runtime, event: E, sources: Sequence[object]) -> E:
    """Return an event whose download links have not ended: the event itself, or the same news as a source tells it now.

    Args:
        runtime: the runtime of the receiver.
        event: the event; one without `expires_at` is returned as it is.
        sources: the sources to ask, in order; those that cannot tell an order again are passed over.

    Raises:
        GiveUp: the links have ended, and no source has new ones.
        ApiError: an API failed, and no other one has the order: the handler runs again.
    """
    ends = _ends(event)
    if ends is None or _lasts(event, runtime.clock()):
        return event
    said = f"its download links ended at {_written(ends)}"
    order: object = getattr(event, "order_id", None)
    asked = [each for each in sources if isinstance(each, TellsAgain)]
    if not asked or not isinstance(order, str):
        raise GiveUp(f"{said}, and no source of {runtime.name} can be asked for new ones")
    failed: Exception | None = None
    is_known = False
    for source in asked:
        try:
            documents = await _again(source, order)
        except Exception as error:  # the next source may be of another account, which has the order
            failed = failed or error
            continue
        told = [each for document in documents for each in runtime.dispatcher.parse_all(document, ())]
        is_known = is_known or bool(told)
        lasting = [each for each in told if isinstance(each, Event) and _lasts(each, runtime.clock())]
        # What tells no end may have lost its links, as a job of openEO whose results are gone.
        whole = _whole_again(event, lasting)
        if whole is not None and _ends(whole) is not None:
            return cast("E", whole)
        for found in lasting:
            if _ends(found) is None or not isinstance(found, type(event)):
                continue
            if runtime.sender.identity(found) == runtime.sender.identity(event):
                return found
    if failed is not None and not is_known:
        raise failed
    raise GiveUp(f"{said}, and the provider has no new ones")


def _whole_again(event: Event, told: Sequence[Event]) -> WholeOrder | None:
    """Return the event of a whole order with what is told of its items now; None if one is missing, or of any other."""
    found = {item: each for each in told if isinstance(each, ImageryEvent) for item in each.items}
    if not isinstance(event, WholeOrder) or not found.keys() >= {*event.items}:
        return None
    return with_events(event, {item: found[item] for item in event.items})


async def _again(source: TellsAgain, order: str) -> Sequence[bytes]:
    try:
        return await source.again(order)
    except ApiError as error:
        if error.status not in (404, 410):
            raise
    except ConfigurationError:  # its API has no orders to ask for
        pass
    return ()


def _lasts(event: Event, now: float) -> bool:
    ends = _ends(event)
    return ends is None or ends > now


def _written(unix: float) -> str:
    try:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):  # the zone of a time can lead out of the calendar
        return "a time that is in no calendar"


def _ends(event: Event) -> float | None:
    """Return the Unix time at which the links of an event end; None if it does not say."""
    ends: object = getattr(event, "expires_at", None)
    if not isinstance(ends, datetime):
        return None
    return unix(ends)

"""Completion: the events of a stored body that were not stored, since the sender was described in another way then."""

from __future__ import annotations

from ..delivery import Delivery
from ..errors import NotAnEvent
from ..inbox.base import Inbox
from ..inbox.records import Entry, Filter
from ..signatures import Verified
from ..worker.dispatcher import Dispatcher
from .entries import EntryBuilder


async def missing(delivery: Delivery, dispatcher: Dispatcher, entries: EntryBuilder, inbox: Inbox) -> Entry | None:
    """Return the further events of a delivery that was stored as one event, and has several by the `split` of now.

    What is stored already is left out, so a crash between this and the handlers does no harm.

    Args:
        delivery: the first part of a request.
        dispatcher: the receiver, which tells the events in its body now.
        entries: builds the entries of the receiver.
        inbox: the inbox, where the delivery is stored.

    Returns:
        The entry; None if nothing is missing.

    Raises:
        NotAnEvent: it was stored as several events, and has another number of them now, so nobody knows which is which.
        InboxError: the inbox failed.
    """
    stored, number = delivery.stored_events, dispatcher.number_of_events(delivery.body, delivery.headers)
    if stored is not None and stored != number:
        raise NotAnEvent(
            f"the delivery was stored as {stored} events, and the number of its events by the sender's `split` of now "
            f"is {number}: run the receiver with the `split` of then, and replay all parts of the delivery"
        )
    if stored is not None or number < 2:
        return None
    found = dispatcher.parse_all(delivery.body, delivery.headers)
    ids = [f"{delivery.id}.{part}" for part in range(1, len(found))]
    known = {each.id for each in await inbox.find(Filter(ids=ids))}
    polled = delivery.via != "http"
    verified = None if polled else Verified(delivery.verified_by, delivery.body_verified, tenant=delivery.tenant)
    entry = entries.build(delivery, found, verified)
    parts = [part for part, id in zip(entry.parts, ids, strict=True) if id not in known]
    if not parts:
        return None
    number, event, key, identity, ordering_key, dead, parsed = parts[0]
    first = entry.delivery.as_part(number)
    return Entry(first, event, key, identity, ordering_key, dead, parsed, entry.lasting, parts[1:])

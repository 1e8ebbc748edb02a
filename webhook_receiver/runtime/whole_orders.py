"""Whole orders: the one event of an order whose items are told one by one, or some at a time.

Theory of operation
-------------------
The state is the stored deliveries of the order themselves: those of one receiver and ordering key. In a receiver with a
handler of whole orders, `WholeOrders.collect` is the last handler of each event of an item. It

1. leaves the work to a newer delivery of the order that waits to be collected, so that a burst costs little;
2. reads what the order's deliveries tell: how each item has ended, by what came last; how many items there are, as it
   was told last; and how the order has ended, where an event without items says that;
3. once the order has ended (see `ended`), puts one delivery about the whole of it, with `via` "order". Its identity is
   that of the order, its items, and how they ended, so neither a crash, a replay, two processes nor a push and a poll
   of the same news make two. An item that comes later makes another one, which is `late`.

That delivery is one as any other: it has its handlers, retries and replays, and comes behind its items, since it has
their ordering key. Its body is the receiver's own, and no sender's rule is applied to it.

What was read is remembered for a while, so that the next item costs what is new. It is no more than that: an item of an
order that is not remembered is read anew, by whichever process. What is new is not always behind what was read: a
delivery whose put was still under way then, or an imported one, comes before it. So the inbox is asked for the number
of deliveries first, and when there are more than were read, all are read again. What comes after that number was told
is collected later than this item, and sees to it itself.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..delivery import Attempt, Delivery, headers_of_order, new_id
from ..errors import ConfigurationError, InboxError
from ..events import (
    WHOLE_ORDER_EVENTS,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryReady,
    WholeOrder,
    WholeOrderBody,
    WholeOrderFailed,
    WholeOrderPartlyReady,
    WholeOrderReady,
    order_id_of,
)
from ..inbox.dedup import identity_text
from ..inbox.records import DeliverySummary, Entry, Filter, State
from ..routing import Handler
from ..senders.source import tells_item_count
from . import Runtime

NAME = "webhook_receiver:whole_orders"
"""The name of the handler that collects items."""
VIA = "order"
"""`Delivery.via` of a delivery about a whole order."""
MOST_OF_DOCUMENTS = 16 * 1024 * 1024
"""Number of characters that the documents of an order's items may have together, to be told with the order."""

_REMEMBERED = 60.0  # seconds for which what was read of an order counts
_MOST_REMEMBERED = 20_000  # deliveries, of all orders together: some MiB
_AT_ONCE = 100  # events that are parsed before other tasks go on
_NAMES = frozenset(each.model_fields["event"].default for each in WHOLE_ORDER_EVENTS)
_KINDS: Sequence[type[ImageryEvent]] = (ImageryReady, ImageryPartlyReady, ImageryFailed)


class Fact(NamedTuple):
    """What a delivery tells of an order."""

    id: str
    """The id of the delivery."""
    kind: type[ImageryEvent] | None
    """How its items have ended, or the order, where it has none: one of `_KINDS`; None if they have not."""
    items: tuple[str, ...] = ()
    """The items."""
    status: str = ""
    """The provider's word."""
    item_count: int | None = None
    """The number of items of the order; None if it does not tell it."""
    body_verified: bool = True
    """As `Delivery.body_verified`."""


class Ended(NamedTuple):
    """How an order has ended."""

    kind: type[WholeOrder]
    items: tuple[str, ...]
    """The items that the event is about: see `WholeOrder`."""
    failed_items: tuple[str, ...]
    item_count: int | None
    status: str
    by_item: Mapping[str, Fact]
    """What told how each item has ended."""


def ended(facts: Sequence[Fact]) -> Ended | None:
    """Return how an order has ended; None if it has not, as far as is known.

    It has once as many items have ended as were told last; or once an event without items says that it has failed, or
    is ready in part, or in whole where no number was told. It is ready if all are; it has failed if none is.

    Args:
        facts: what is known of the order, in order of receipt.
    """
    by_item: dict[str, Fact] = {}
    order: Fact | None = None
    count, status = None, ""
    for fact in facts:
        count = fact.item_count or count
        if fact.kind is None:
            continue
        status = fact.status
        by_item |= dict.fromkeys(fact.items, fact)
        order = order if fact.items else fact
    says_so = order is not None and (count is None or order.kind is not ImageryReady)
    if not says_so and (count is None or len(by_item) < count):
        return None
    ready = tuple(item for item, fact in by_item.items() if fact.kind is not ImageryFailed)
    failed = tuple(item for item, fact in by_item.items() if fact.kind is ImageryFailed)
    how = {fact.kind for fact in (*by_item.values(), *([] if order is None else [order]))}
    status = status if order is None else order.status
    if how == {ImageryReady}:
        return Ended(WholeOrderReady, ready, (), count, status, by_item)
    if how == {ImageryFailed}:
        return Ended(WholeOrderFailed, failed, failed, count, status, by_item)
    if ready or (order is not None and order.kind is not ImageryFailed):
        return Ended(WholeOrderPartlyReady, ready, failed, count, status, by_item)
    return Ended(WholeOrderFailed, failed, failed, count, status, by_item)


@dataclass
class _Order:
    """What was read of an order."""

    until: float
    """The time in seconds after which it is read anew."""
    facts: dict[str, Fact | None] = field(default_factory=dict[str, "Fact | None"])
    """What its deliveries tell, by their ids, in order of receipt; None for one that tells nothing."""
    told: set[str] = field(default_factory=set[str])
    """The identities of its deliveries about the whole of it."""
    last: str | None = None
    """The id of the last delivery that was read."""
    read: int = 0
    """The number of deliveries that were read."""


class WholeOrders:
    """Collects the items of orders for one receiver.

    Args:
        runtime: returns the runtime of the receiver, which may be replaced for a while.
    """

    def __init__(self, runtime: Callable[[], Runtime]) -> None:
        self._runtime = runtime
        self._of: Runtime | None = None
        self._orders: dict[str, _Order] = {}
        """What was read of orders, by ordering key; those that were read last come last."""
        self._size = 0
        """The number of deliveries of all of them."""

    def handler(self) -> Handler:
        """Return the handler of all events of items."""
        return Handler(NAME, self.collect, ImageryEvent)

    async def collect(self, event: ImageryEvent, attempt: Attempt) -> None:
        """Put a delivery about the whole order that an item belongs to, if the order has ended with it.

        Raises:
            InboxError: the inbox failed.
        """
        runtime, delivery = self._runtime(), attempt.delivery
        key = runtime.entries.ordering_key(delivery, event)
        if event.order_id is None or key is None or await _is_left_to_another(runtime, delivery, key):
            return
        order = await self._read(runtime, delivery, event, key)
        facts = [fact for fact in order.facts.values() if fact is not None]
        found = ended(facts)
        if found is None:
            return
        whole = _event(event, event.order_id, found, late=bool(order.told))
        identity = identity_text([*_tenant(delivery), *whole.identity])
        if identity in order.told or not runtime.dispatcher.match(whole):
            return
        whole = await _with_documents(runtime, whole, found)
        now, is_verified = runtime.clock(), all(fact.body_verified for fact in facts)
        told = whole.body.model_dump(mode="json", exclude={"documents"}) | {"documents": {**whole.document}}
        body = _json({"event": whole.event, "body": told}).encode()
        headers = headers_of_order(delivery.tenant)
        put = Delivery(new_id(now), delivery.receiver, headers, body, now, None, is_verified, VIA)
        await runtime.put(Entry(put, whole.event, identity=identity, ordering_key=key, parsed=whole, lasting=True), now)

    async def _read(self, runtime: Runtime, delivery: Delivery, event: ImageryEvent, key: str) -> _Order:
        """Return what the deliveries of an order tell, the one at hand among them."""
        if runtime is not self._of:
            self._of, self._orders, self._size = runtime, {}, 0
        now = runtime.inbox_clock()
        order = self._forget(key)
        if order is None or not now <= order.until <= now + _REMEMBERED:
            order = _Order(now + _REMEMBERED)
        found, is_whole = await _unread(runtime, order, key)
        order.told |= {each.identity for each in found if each.event in _NAMES and each.identity is not None}
        order.last = found[-1].id if found else order.last
        order.read = len(found) if is_whole else order.read + len(found)
        items = [each for each in found if each.event not in _NAMES]
        others = [(each.id, each.part) for each in items if each.id not in order.facts and not each.body_removed]
        facts = {each.id: order.facts.get(each.id) for each in items}
        order.facts = facts if is_whole else order.facts | facts
        order.facts[delivery.id] = _fact(delivery.id, event, delivery)
        async for id, its, of in _events(runtime, [each for each in others if each[0] != delivery.id]):
            if of.tenant == delivery.tenant:
                order.facts[id] = _fact(id, its, of)
        self._remember(key, order)
        return order

    def _remember(self, key: str, order: _Order) -> None:
        """Remember what was read of an order, and forget those that were read longest ago."""
        self._size += len(order.facts)
        if key in self._orders:  # it was read by two tasks at once
            self._forget(key)
        self._orders[key] = order
        while self._size > _MOST_REMEMBERED:
            self._forget(next(iter(self._orders)))

    def _forget(self, key: str) -> _Order | None:
        order = self._orders.pop(key, None)
        self._size -= 0 if order is None else len(order.facts)
        return order


async def _unread(runtime: Runtime, order: _Order, key: str) -> tuple[Sequence[DeliverySummary], bool]:
    """Return the deliveries of an order behind the last one that was read, or all; and whether they are all."""
    which = Filter(receiver=runtime.name, ordering_key=key)
    if order.last is not None:
        total = await runtime.inbox.total(which)  # before what is new is read, which may be more by then
        with suppress(InboxError):  # what was read last was purged
            found = await runtime.inbox.find(which, newest_first=False, after=order.last)
            if total.is_exact and total.number <= order.read + len(found):
                return found, False
    return await runtime.inbox.find(which, newest_first=False), True


async def _is_left_to_another(runtime: Runtime, delivery: Delivery, key: str) -> bool:
    """Return whether a newer delivery of the order waits to be collected."""
    which = Filter(receiver=runtime.name, ordering_key=key, states={State.WAITING})
    found = await runtime.inbox.find(which, limit=1)
    return any(each.id != delivery.id and each.event not in _NAMES and not _is_collected(each) for each in found)


def _is_collected(summary: DeliverySummary) -> bool:
    state = summary.handlers.get(NAME)
    return state is not None and state.state is not State.WAITING


async def _events(
    runtime: Runtime, deliveries: Sequence[tuple[str, int]]
) -> AsyncIterator[tuple[str, ImageryEvent, Delivery]]:
    """Yield the events of deliveries, given by their ids and parts. What is no event of an item is left out."""
    requests = defaultdict[str, list[tuple[str, int]]](list)
    for id, part in deliveries:
        requests[id.removesuffix(f".{part}") if part else id].append((id, part))
    for parts in requests.values():
        stored = await runtime.inbox.get(parts[0][0])
        if stored is None:
            continue
        delivery = stored.delivery
        for number, (id, part) in enumerate(parts, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # requests come first
            event: object = None
            with suppress(Exception):  # it is no event by the code of today, or a validator of the user's failed
                event = runtime.dispatcher.parse(delivery.body, delivery.headers, part)
            if isinstance(event, ImageryEvent):
                yield id, event, delivery


def _fact(id: str, event: ImageryEvent, delivery: Delivery) -> Fact:
    kind = next((each for each in _KINDS if isinstance(event, each)), None)
    return Fact(id, kind, event.items, event.status, event.item_count, delivery.body_verified)


def _tenant(delivery: Delivery) -> Sequence[str]:
    return [] if delivery.tenant is None else [delivery.tenant]


def _event(event: ImageryEvent, order_id: str, found: Ended, *, late: bool) -> WholeOrder:
    body = WholeOrderBody(
        provider=event.provider,
        order_id=order_id,
        items=found.items,
        failed_items=found.failed_items,
        item_count=found.item_count,
        status=found.status,
        late=late,
    )
    return found.kind(body=body)


async def _with_documents(runtime: Runtime, whole: WholeOrder, found: Ended) -> WholeOrder:
    """Return the event of a whole order with the documents of its items."""
    facts = {fact.id: fact for fact in found.by_item.values()}
    events: dict[str, ImageryEvent] = {}
    deliveries = [(id, int(id.rpartition(".")[2]) if "." in id else 0) for id in facts]
    async for id, event, _ in _events(runtime, deliveries):
        events[id] = event
    return with_events(whole, {item: events[fact.id] for item, fact in found.by_item.items() if fact.id in events})


def with_events(whole: WholeOrder, events: Mapping[str, ImageryEvent]) -> WholeOrder:
    """Return the event of a whole order with what the events of its items tell: documents, and when links end.

    Args:
        whole: the event.
        events: the event of each item, by the item's id or name.
    """
    documents: dict[str, Mapping[str, Any]] = {}
    size = 0
    for item, event in events.items():
        documents[item] = event.document
        size += len(_json(event.document))
        if size > MOST_OF_DOCUMENTS:
            documents = {}
            break
    ends = [each.expires_at for each in events.values() if each.expires_at is not None]
    expires_at = min(ends, key=unix, default=None)
    body = whole.body.model_copy(update={"documents": documents, "expires_at": expires_at})
    return whole.model_copy(update={"body": body})


def _json(value: Mapping[str, Any]) -> str:
    """Return a value as JSON; a provider's document may be nested deeper than pydantic writes."""
    return json.dumps(value, separators=(",", ":"), default=str)


def unix(moment: datetime) -> float:
    """Return a moment in Unix seconds; one without a time zone is in UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def check_whole_orders(runtime: Runtime, handlers: Sequence[Handler], sources: Sequence[object]) -> None:
    """Reject handlers of whole orders that would never run, for a receiver that starts.

    Args:
        runtime: the runtime of the receiver.
        handlers: its handlers.
        sources: the sources that it polls.

    Raises:
        ConfigurationError: there is no inbox, nothing tells how many items an order has, or the ordering key is not the
            order's id.
    """
    name, sender = runtime.name, runtime.sender
    handler = next((each.name for each in handlers if each.whole_order), None)
    if handler is None or sender.order_items == "whole":
        return
    if not runtime.keeps:
        raise ConfigurationError(
            f"{handler} is for whole orders, and needs an inbox, which has their items until all have ended: "
            'inbox="sqlite:///hooks.db"'
        )
    if sender.ordering_key is not order_id_of:
        raise ConfigurationError(
            f"{handler} is for whole orders, whose items are found by the order's id: leave ordering_key=... of {name} "
            "out, so that it is that"
        )
    if sender.order_items != "counted" and not any(map(tells_item_count, sources)):
        raise ConfigurationError(
            f"{handler} is for whole orders, and nothing tells {name} how many items an order of {sender.name} has: "
            "poll a source that does, as planet_orders_source(key, whole_orders=True), or let the URL of each order "
            'tell it, as ?items=3 with planet_orders(secret, item_count=("query:items",)); without whole_order=True '
            "the handler gets each item"
        )

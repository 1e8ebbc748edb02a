"""The intake: what becomes of a verified request. Its events are stored, or their handlers run before the response."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial

from ..delivery import Delivery, RequestHead, kept_headers, new_id, with_tenant, without_tenant
from ..errors import NotAnEvent
from ..events import Event
from ..inbox.records import Duplicate
from ..logs import log_failure
from ..responses import FAILED, HANDLED, Receipt, Response, accepted, not_an_event
from ..senders import Sender
from ..senders.event_names import EventNames
from ..signatures import Verified
from ..signatures.scheme import secret_headers
from ..worker.inline import handle
from . import Runtime
from .replier import Replier


class Intake:
    """The rules by which the verified requests of one sender become deliveries.

    Args:
        sender: the sender, which says what is answered.
        names: the rule by which its events get their names.
    """

    def __init__(self, sender: Sender, names: EventNames) -> None:
        self._stored = accepted(sender.responses.stored)
        self._duplicate = accepted(sender.responses.duplicate)
        self._handled = self._stored if self._stored.status == 200 else HANDLED  # 200 may be all that counts
        self._secret_headers = secret_headers(sender.scheme)
        self._names = names
        self._replier = None if sender.reply is None else Replier(sender.reply)

    async def take(self, runtime: Runtime, head: RequestHead, body: bytes, verified: Verified, now: float) -> Receipt:
        """Store what a request brings, or run its handlers; return the response to it.

        Args:
            runtime: the runtime of the receiver.
            head: the head of the request.
            body: the bytes of the body, as received.
            verified: the result of the verification.
            now: the time of receipt, in Unix seconds.

        Raises:
            InboxError: it cannot be stored.
        """
        if runtime.silence is not None:
            runtime.silence.hear(now)
        if not runtime.is_started():
            await runtime.start_late()  # only then its name in the inbox is known
        if runtime.telemetry is None:
            return await self._reply(runtime, head, body, verified, now, None)
        take = partial(self._reply, runtime, head, body, verified, now)
        return await runtime.telemetry.receive(head.headers, verified.signed_at, now, take)

    async def _reply(
        self, runtime: Runtime, head: RequestHead, body: bytes, verified: Verified, now: float, context: str | None
    ) -> Receipt:
        receipt = await self._take(runtime, head, body, verified, now, context)
        if self._replier is None or receipt.event is None or receipt.delivery is None or receipt.response.status >= 300:
            return receipt
        response = await self._replier.response(receipt.event, receipt.response, receipt.delivery.id)
        return receipt._replace(response=response)

    async def _take(
        self, runtime: Runtime, head: RequestHead, body: bytes, verified: Verified, now: float, context: str | None
    ) -> Receipt:
        if verified.by is not None:
            runtime.secret_usage.note(verified.by, now)
        headers = self._names.headers(head)
        headers = kept_headers(headers, self._secret_headers) if runtime.keeps else without_tenant(headers)
        if verified.tenant is not None:
            headers = with_tenant(headers, verified.tenant)
        delivery = Delivery(
            *(new_id(now), runtime.name, headers, body, now, verified.by, verified.body), context=context
        )
        found = runtime.dispatcher.parse_all(body, headers)
        events = tuple([each for each in found if not isinstance(each, Exception)])
        if len(events) < len(found):
            log_failed_validators(delivery, found)
        if runtime.keeps:
            return await self._store(runtime, delivery, found, events, verified)
        receipt = await _handle(runtime, delivery, found, events)
        return receipt._replace(response=self._handled) if receipt.response is HANDLED else receipt

    async def _store(
        self,
        runtime: Runtime,
        delivery: Delivery,
        found: Sequence[Event | Exception],
        events: tuple[Event, ...],
        verified: Verified,
    ) -> Receipt:
        if not found:
            return Receipt(self._stored, delivery)
        entry = runtime.entries.build(delivery, found, verified)
        put = await runtime.put(entry)
        event = events[0] if events else None
        if isinstance(put, Duplicate):
            return Receipt(self._duplicate, delivery, event, duplicate_of=put.id, events=events)
        if len(events) < len(found):
            if entry.dead is not None and 0 not in put.known:
                runtime.note_dead(delivery.id, entry.dead)
            for part in entry.parts:
                if part.dead is not None and part.number not in put.known:
                    runtime.note_dead(f"{delivery.id}.{part.number}", part.dead)
        return Receipt(self._stored, delivery, event, events=events)


async def _handle(
    runtime: Runtime, delivery: Delivery, found: Sequence[Event | Exception], events: tuple[Event, ...]
) -> Receipt:
    """Run the handlers of all parts, one after the other; one that fails, or is no event, does not stop the next."""
    if len(found) == len(events) == 1:  # as most are
        return Receipt(await _handle_part(runtime, delivery, events[0]), delivery, events[0], events=events)
    responses: list[Response] = []
    no_event: NotAnEvent | None = None
    for number, each in enumerate(found):
        if not isinstance(each, Exception):
            responses.append(await _handle_part(runtime, delivery.as_part(number) if number else delivery, each))
        elif isinstance(each, NotAnEvent):
            if no_event is None:
                no_event = each
                runtime.rejections.add(each)
                responses.append(not_an_event(each))
        else:
            responses.append(FAILED)
    response = max(responses, key=_urgency, default=HANDLED)
    error = no_event if response.status == 422 else None
    return Receipt(response, delivery, events[0] if events else None, error=error, events=events)


def _handle_part(runtime: Runtime, delivery: Delivery, event: Event) -> Awaitable[Response]:
    """Run the handlers of one part before the response."""
    dispatcher = runtime.dispatcher
    check, middlewares, handlers = dispatcher.order_check, dispatcher.middlewares, dispatcher.match(event)
    if runtime.telemetry is not None:
        middlewares = runtime.telemetry.middlewares + middlewares
    return handle(handlers, event, delivery, runtime.attempt_log, check, middlewares, runtime.limiters)


def _urgency(response: Response) -> tuple[int, int]:
    """Return which of the responses to the parts is that to the whole: a failure, the longest wait, then no event."""
    rank = {500: 3, 503: 2, 422: 1}.get(response.status, 0)
    return rank, int(response.headers.get("retry-after", 0))


def log_failed_validators(delivery: Delivery, found: Sequence[Event | Exception]) -> None:
    """Log it if a validator of the user's failed for a part of a delivery, in another way than to reject it."""
    failed = [each for each in found if isinstance(each, Exception) and not isinstance(each, NotAnEvent)]
    if failed:  # of ten thousand parts one traceback is enough
        more = f", for {len(failed)} of its parts" if len(failed) > 1 else ""
        log_failure(f"delivery {delivery.id}: a validator failed{more}", failed[0], delivery_id=delivery.id)

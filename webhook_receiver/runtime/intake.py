"""The intake: what becomes of a verified request. Its event is stored, or its handlers run before the response."""

from __future__ import annotations

from ..delivery import Delivery, RequestHead, kept_headers, new_id
from ..errors import NotAnEvent
from ..events import Event
from ..inbox.records import Duplicate
from ..logs import log_failure
from ..responses import FAILED, Receipt, accepted, not_an_event
from ..senders import Sender
from ..signatures import Verified
from ..signatures.scheme import secret_headers
from ..worker.executor import no_event
from ..worker.inline import handle
from . import Runtime


class Intake:
    """The rules by which the verified requests of one sender become deliveries.

    Args:
        sender: the sender, which says what is answered.
    """

    def __init__(self, sender: Sender) -> None:
        self._stored = accepted(sender.responses.stored)
        self._duplicate = accepted(sender.responses.duplicate)
        self._secret_headers = secret_headers(sender.scheme)

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
        if not runtime.is_started():
            await runtime.start_late()  # only then its name in the inbox is known
        if verified.by is not None:
            runtime.secret_usage.note(verified.by, now)
        headers = kept_headers(head.headers, self._secret_headers) if runtime.keeps else tuple(head.headers)
        delivery = Delivery(new_id(now), runtime.name, headers, body, now, verified.by, verified.body)
        event, dead = None, None
        try:
            event = runtime.dispatcher.parse(body, headers)
        except NotAnEvent as error:
            if not runtime.keeps:
                runtime.rejections.add(error)
                return Receipt(not_an_event(error), delivery, error=error.with_traceback(None))
            dead = no_event(error)
        except Exception as error:  # in a user's validator
            log_failure(f"delivery {delivery.id}: a validator failed", error, delivery_id=delivery.id)
            if not runtime.keeps:
                return Receipt(FAILED, delivery)
            dead = no_event(error)
        if runtime.keeps:
            return await self._store(runtime, delivery, event, verified, dead)
        assert event is not None  # noqa: S101 - for the type checkers
        dispatcher = runtime.dispatcher
        handlers, log, limiters = dispatcher.match(event), runtime.attempt_log, runtime.limiters
        response = await handle(
            handlers, event, delivery, log, dispatcher.order_check, dispatcher.middlewares, limiters
        )
        return Receipt(response, delivery, event)

    async def _store(
        self, runtime: Runtime, delivery: Delivery, event: Event | None, verified: Verified, dead: str | None
    ) -> Receipt:
        put = await runtime.put(delivery, event, verified, dead)
        if isinstance(put, Duplicate):
            return Receipt(self._duplicate, delivery, event, duplicate_of=put.id)
        if dead is not None:
            runtime.dead_letter_log.add(delivery.id, dead)
        return Receipt(self._stored, delivery, event)

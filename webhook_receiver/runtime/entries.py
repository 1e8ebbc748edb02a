"""The entries of a receiver's deliveries: by what an inbox recognizes duplicates, and which ones it keeps in order.

A deduplication key is built of what nobody but the sender can change. It is a digest of the sender's own id where the
signature covers that, or the body has it; else of the body, as of any body that is no event: of its bytes, or of the
form in which it is signed, with what proven headers add to it. A header that no signature covers is never in it, except
for the event's name where the body alone does not tell two events from each other, and for the sender's id where a
secret proves the request as a whole: who can write the header can write the body, too. Where deliveries have tenants,
theirs is in it, and in the ordering key: the ids of two tenants may be the same.

What was polled is known by the same: its own id, its identity, or its bytes. Its key lasts.

What somebody has edited is a duplicate of nothing, and nothing is one of it: it has no key and no identity. It keeps
its place among the deliveries of its ordering key.

Of a sender that delivers several events at once, an event's own id comes first: it is the same in whatever request the
event is sent again. Without one, a part is known by what the request is known by, and by its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from ..delivery import EDIT, Delivery, Headers, with_events
from ..event_registry import NoEventName
from ..events import (
    Event,
    OrderStatusChanged,
    Path,
    UnknownEvent,
    has_own_id,
    identity_of,
    order_id_of,
    parsed_paths,
    value_at,
)
from ..inbox.dedup import digester, identity_text
from ..inbox.records import Entry, Part
from ..logs import log_failure
from ..redaction import storable
from ..senders import Sender
from ..senders.event_names import EventNames, decoded
from ..signatures import Verified
from ..signatures.scheme import proves_as_a_whole
from ..worker.executor import no_event


class EntryBuilder:
    """The rules by which the deliveries of one receiver become entries of its inbox.

    Args:
        receiver: the receiver's name.
        sender: the sender, whose rules these are.
        window: the seconds for which the inbox knows duplicates whose key does not last; 0 if it does not say.
    """

    def __init__(self, receiver: str, sender: Sender, window: float = 0) -> None:
        self._sender = sender
        self._window = window
        self._digest = digester(receiver)
        self._failures: dict[str, tuple[Exception, int]] = {}
        """What fails in the functions of a sender or an event for the delivery at hand: the first error, and the number
        of times."""
        self._id_paths = parsed_paths(sender.delivery_id_paths)
        self._has_ids = sender.delivery_id is not None or bool(self._id_paths) or any(map(has_own_id, sender.events))
        counts = sender.delivery_id is not None and proves_as_a_whole(sender.scheme)
        self._id_header = (sender.delivery_id or "").lower().encode() if counts else None
        """The header whose id counts as one in the body does; None without one."""
        self._name_is_signed = EventNames(sender.event_name, sender.event_header).are_in_body
        # A stranger's name in a header makes an event of another class, or of none, and with it another identity.
        self._identity_counts = self._name_is_signed or sender.orders is not None

    def build(self, delivery: Delivery, found: Sequence[Event | Exception], verified: Verified | None = None) -> Entry:
        """Return the entry of a delivery.

        Args:
            delivery: the delivery.
            found: its events, in order, one at least; for a part that is none the error that says why.
            verified: the result of its verification; None for a delivery that was no push.
        """
        self._failures.clear()
        entry = self._edited(delivery, found) if delivery.via == EDIT else self._build(delivery, found, verified)
        for what, (error, count) in [*self._failures.items()]:  # one line, however many parts fail
            which = "its event's" if len(found) == 1 else f"of {count} of its {len(found)} events the"
            log_failure(f"delivery {delivery.id}: {which} {what}", error, delivery_id=delivery.id)
        return entry

    def _build(self, delivery: Delivery, found: Sequence[Event | Exception], verified: Verified | None) -> Entry:
        if verified is not None and verified.is_id_optional and self._has_ids:
            verified = verified._replace(id=None)
        if verified is not None and verified.id is None and self._id_header is not None:
            verified = verified._replace(id=_only(delivery.headers, self._id_header))
        body = self._proven(delivery, verified)
        entry = self._entry(delivery, found[0], verified, 0, body)
        if len(found) == 1:
            return entry
        body = self._digest(body)  # once for all parts, which would take the square of its length
        parts = [self._entry(delivery, each, verified, number, body) for number, each in enumerate(found[1:], 1)]
        return entry._replace(
            delivery=with_events(delivery, len(found)),
            parts=[
                Part(number, each.event, each.key, each.identity, each.ordering_key, each.dead, each.parsed)
                for number, each in enumerate(parts, 1)
            ],
        )

    def _edited(self, delivery: Delivery, found: Sequence[Event | Exception]) -> Entry:
        first, *others = [self._edited_entry(delivery, each) for each in found]
        if not others:
            return first
        return first._replace(
            delivery=with_events(delivery, len(found)),
            parts=[
                Part(number, each.event, None, None, each.ordering_key, each.dead, each.parsed)
                for number, each in enumerate(others, 1)
            ],
        )

    def _edited_entry(self, delivery: Delivery, found: Event | Exception) -> Entry:
        if isinstance(found, Exception):
            return Entry(delivery, dead=no_event(found))
        ordering_key = self._ordering_key(found, self._identity(found))
        return self._of_tenant(Entry(delivery, found.event, ordering_key=ordering_key, parsed=found), delivery.tenant)

    def _entry(
        self,
        delivery: Delivery,
        found: Event | Exception,
        verified: Verified | None,
        part: int,
        body: bytes,
    ) -> Entry:
        """Return the entry of one part.

        Args:
            delivery: the delivery.
            found: the event of the part, or why it is none.
            verified: the result of the verification.
            part: the number of the part.
            body: what the body counts as in keys.
        """
        lasting = self._lasts(delivery, verified)
        tenant = None if verified is None else verified.tenant
        identity = None if isinstance(found, Exception) else self._identity(found)
        if verified is not None and verified.is_id_optional and (isinstance(found, Exception) or identity is not None):
            verified = verified._replace(id=None)  # a copy may lack it, and the body is enough
        if isinstance(found, Exception):
            key = self._of_part(part, self._key_without_event(body, verified))
            return self._of_tenant(Entry(delivery, key=key, dead=no_event(found), lasting=lasting), tenant)
        counted = identity if self._identity_counts else None
        entry = Entry(
            delivery,
            found.event,
            self._key(found, verified, counted, part, body, may_repeat=identity is not None),
            None if counted is None else identity_text(counted if tenant is None else [tenant, *counted]),
            self._ordering_key(found, identity),
            parsed=found,
            lasting=lasting,
        )
        return self._of_tenant(entry, tenant)

    def _lasts(self, delivery: Delivery, verified: Verified | None) -> bool:
        """Return whether a copy of a delivery may come after the window, which begins with its receipt."""
        if verified is None or not verified.fresh:  # a listing tells a change again, however old
            return True
        return verified.copies_until is not None and verified.copies_until > delivery.received + self._window

    def ordering_key(self, delivery: Delivery, event: Event) -> str | None:
        """Return the ordering key under which an event of a stored delivery is stored; None without one."""
        key = self._ordering_key(event, None)
        return key if key is None or delivery.tenant is None else identity_text([delivery.tenant, key])

    def _proven(self, delivery: Delivery, verified: Verified | None) -> bytes:
        """Return what tells a body from others: the form of it that is signed, with what proven headers add to it."""
        form = None if verified is None else verified.form
        body = delivery.body if form is None else form
        if self._sender.envelope is None:
            return body
        try:
            return decoded(body, self._sender.decode, self._sender.envelope, delivery.headers)
        except NoEventName:
            return body

    def _of_tenant(self, entry: Entry, tenant: str | None) -> Entry:
        """Return an entry with the tenant in its keys, if there is one."""
        if tenant is None:
            return entry
        key, ordering_key = entry.key, entry.ordering_key
        return entry._replace(
            key=None if key is None else self._digest("tenant", tenant, key),
            ordering_key=None if ordering_key is None else identity_text([tenant, ordering_key]),
        )

    def _key(
        self,
        event: Event,
        verified: Verified | None,
        identity: list[str] | None,
        part: int,
        body: bytes,
        *,
        may_repeat: bool,
    ) -> bytes | None:
        id, is_of_part = self._id(event, verified)
        if id is not None:
            if not is_of_part:
                # By itself: what else a copy tells may be nobody's proof, in this copy or in the first one.
                return self._of_part(part, self._digest(id, ""))
            name = event.event if self._name_is_signed or identity is not None else ""
            return self._digest(id, name, *map(storable, identity or ()))
        if verified is not None and not may_repeat and not self._has_ids:
            return None  # two such bodies may be equal, and tell of two things
        if self._name_is_signed:
            return self._of_part(part, self._digest(body))
        # Where the body tells its event, whoever changes the name gets a duplicate.
        name = "" if identity is None and self._sender.event_members else event.event
        return self._of_part(part, self._digest(name, body))

    def _key_without_event(self, body: bytes, verified: Verified | None) -> bytes:
        if verified is not None and verified.id is not None:
            return self._digest(verified.id)
        # Never that of an event: a stranger's wrong name in a header must not make a duplicate of the right one.
        return self._digest("", "", body)

    def _of_part(self, part: int, key: bytes) -> bytes:
        """Return the key of a part by what is the same for all parts of a request."""
        return sha256(b"%d %b" % (part, key)).digest() if part else key

    def _id(self, event: Event, verified: Verified | None) -> tuple[str | None, bool]:
        """Return the sender's id of an event, signed or in the body, and whether it is its own, and not the request's.

        The one of the request comes first, unless the sender may send its events again in another request.
        """
        signed = None if verified is None else verified.id
        if signed is not None and self._sender.split is None:
            return signed, False
        own = self._own_id(event)
        return (signed, False) if own is None else (own, True)

    def _own_id(self, event: Event) -> str | None:
        try:
            id: object = event.delivery_id
            if id is None and self._id_paths:
                document = event.body if isinstance(event, UnknownEvent) and not event.event else event
                found = id_parts(document, self._id_paths)
                if len(found) > 1:
                    return None if None in found else identity_text([*map(_id_text, found)])
                (id,) = found
            return None if id is None else _id_text(id) or None
        except Exception as error:  # in a user's class, or a value that is no id
            self._note("delivery_id failed, so a duplicate may not be recognized", error)
            return None

    def _note(self, what: str, error: Exception) -> None:
        first, count = self._failures.get(what, (error, 0))
        self._failures[what] = first, count + 1

    def _identity(self, event: Event) -> list[str] | None:
        try:
            identity = self._sender.identity(event)
            if isinstance(identity, str):
                raise TypeError("an identity is a tuple of texts, not one text, whose letters would be taken apart")
            return None if identity is None else [*map(str, identity)]
        except Exception as error:  # in a user's class
            self._note("identity failed, so a duplicate of it is not recognized", error)
            return None

    def _ordering_key(self, event: Event, identity: list[str] | None) -> str | None:
        sender = self._sender
        is_default = sender.ordering_key is order_id_of and sender.identity is identity_of
        if identity and is_default and type(event).identity is OrderStatusChanged.identity:
            return storable(identity[0])  # the order's id, which takes a microsecond to find again
        try:
            key = sender.ordering_key(event)
        except Exception as error:
            self._note("ordering_key failed, so it is handled in no order", error)
            return None
        return None if key is None else storable(str(key))


def _only(headers: Headers, wanted: bytes) -> str | None:
    """Return the value of a header that is there once and not empty; else None."""
    found = [value for name, value in headers if name == wanted]
    return (found[0].decode("latin-1") or None) if len(found) == 1 else None


def id_parts(event: Event | object, paths: Sequence[Path]) -> list[Any]:
    """Return the values of the sender's id of an event at these places of its document; None for each that is missing.

    A member `event` of the document that is no text is the event's `body`, unless it has one: see `EventNames.named`.
    """
    found = [value_at(event, path) for path in paths]
    return [
        value_at(event, ("body", *path[1:])) if value is None and path[0] == "event" and len(path) > 1 else value
        for value, path in zip(found, paths, strict=True)
    ]


def _id_text(id: object) -> str:
    """Return an id as a text: of a UUID, a number or anything else that has one of its own."""
    if isinstance(id, bool | bytes) or (
        not isinstance(id, int | float) and type(id).__str__ is object.__str__  # it would have its address in memory
    ):
        raise TypeError(f"an id is a text, a number, or has a text of its own, as a UUID has; not {type(id).__name__}")
    return str(int(id) if isinstance(id, float) and id.is_integer() else id)  # 1.0 is the 1 of JSON

"""The sender of webhooks, as a frozen value of all rules that differ between services.

Theory of operation
-------------------
A receiver has one sender, and reads from it, in this order, for each request:

1. `scheme`: whether the delivery proves itself, first by its head (method, target, headers), then by its body. No part
   of the request is trusted before that.
2. `decode`: the JSON document in a body that is none itself, such as a form. The receiver keeps the body as it came.
3. `envelope`, `split`: what headers add to a document, where they are proven; then the events in a document that holds
   several. Each is a document of its own from here on, with handlers, retries and duplicates of its own; all are
   committed together or none.
4. `event_name`, `event_header`: the place of the event's name, if it is not the document's `event`. It becomes that.
5. `events`, `statuses`: the classes that a document may become, and the sender's spellings of order statuses. One pass
   over the body's bytes decides the class and builds the event; a document of no class is an `UnknownEvent`.
6. `order_id_paths`: the places of an order's id in a document. The event has these places, and looks when it is asked.
7. `delivery_id_path`, `delivery_id`, `identity`: how a duplicate is recognized. Two pushes are the same delivery if
   they have the same id: one that the scheme verified, or else one in the body, where the event's class or this path
   says; else, if the sender has ids or the event an identity, if the bodies are equal. A push and a polled delivery
   are the same if their identities are equal. See runtime/entries.py.
8. `ordering_key`: deliveries with the same key are handled one at a time, in order of receipt.
9. `responses`: the HTTP status for each outcome.
10. `reply`: the body of the response, for a sender that wants one.

Before 2, and where the sender does not sign them before 1, `challenges` may answer a request: none of it is stored or
handled then.

The sender's API is read apart from that: by a poll of a source (see source.py), as that of `orders`; and by an order
check (`WebhookReceiver(confirm=...)`), for the status of one order before its handlers run.

A sender holds no state. Receivers may share it, `dataclasses.replace` copies it with some parts changed, and a crash
loses nothing of it. An inbox stores what its functions returned: the ordering key, the deduplication key and the
identity, as texts and digests. After a change of such a function, duplicates of older deliveries are not recognized,
so the functions should stay the same for as long as the inbox retains deliveries.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args, runtime_checkable

from ..delivery import Headers, kept_headers
from ..errors import ConfigurationError
from ..events import Event, OrderStatus, Path, identity_of, order_id_of, parsed_paths
from ..responses import ResponseStatuses
from ..signatures import Scheme
from ..signatures.scheme import complaint
from .challenges import Challenge
from .event_names import check_event_name
from .reply import Reply
from .split import Split

OrderingKey = Callable[[Any], object]
"""A function of an event that returns its ordering key, such as the id of an order, as a text or anything that `str`
makes a text of; None for a delivery that may be handled at any time."""

Identity = Callable[[Any], Sequence[str] | None]
"""A function of an event that returns its identity: texts that two events share if they report the same fact, such as
an order's id and status. None for an event without an identity."""


Decode = Callable[[bytes], bytes]
"""A function of a body that returns the JSON document in it, as bytes; the body unchanged where there is none. It gets
no headers, since few signatures cover them: a stranger could have a body that he has seen read in another way."""


Envelope = Callable[[bytes, Headers], bytes]
"""A function of a document and the headers of its request that returns the document with what the headers add to it, or
the document unchanged. Only for a scheme that covers these headers: see `cloudevents`."""


OrderItems = Literal["whole", "counted", "unknown"]
"""How a sender tells the items of an order, see `Sender.order_items`."""


class Order(Protocol):
    """An order in a sender's API."""

    @property
    def id(self) -> str:
        """The order's id, as in notifications."""
        ...

    @property
    def status(self) -> OrderStatus:
        """The present status."""
        ...

    @property
    def updated_at(self) -> datetime:
        """The time of the last change; taken for UTC if it has no time zone."""
        ...

    @property
    def is_terminal(self) -> bool:
        """Whether the present status is final."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return the whole order as a JSON object, with the sender's names and spellings."""
        ...


@runtime_checkable
class OrdersApi(Protocol):
    """A client of a sender's API, with the methods that read orders. Both may raise ApiError."""

    def orders(
        self, *, status: Sequence[OrderStatus] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        """Yield orders. They are read page by page, each page when its first order is needed.

        Args:
            status: the statuses of the orders; all if None.
            workspace_id: the workspace of the orders; all that the client's user may read if None.
            sort: the field and the direction as the sender's API spells them, such as "updatedAt,desc".
        """
        ...

    async def order(self, id: str, /) -> Order:
        """Return an order by its id.

        Raises:
            ApiError: the API failed; with the status 404 if there is no such order.
        """
        ...


class Orders(NamedTuple):
    """The functions by which orders of a sender's API become deliveries."""

    changed_since: Callable[[OrdersApi, float, str | None], AsyncGenerator[Order]]
    """A function of the client, a time in Unix seconds and a workspace (None for all). It yields the orders in a
    terminal status that changed at that time or later, each status of an order once."""
    notification: Callable[[Order, Path], bytes]
    """A function of an order and the place of its id. It returns the body of a notification about the order."""


def checked_api(api: OrdersApi, argument: str) -> OrdersApi:
    """Return a client unchanged, if it fulfils `OrdersApi`.

    Args:
        api: the client.
        argument: the argument that the client was given as, such as "confirm=...", for the error.

    Raises:
        ConfigurationError: the object is no such client, or is a class.
    """
    if isinstance(api, type) or not isinstance(api, OrdersApi):
        given = f"the class {api.__name__}" if isinstance(api, type) else type(api).__name__
        raise ConfigurationError(f"{argument} takes a client of the sender's API, such as WebhooksClient, not {given}")
    return api


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Sender:
    """A service that delivers webhooks: its signatures, events and responses. See the top of this module.

    `dataclasses.replace(sender, ...)` returns the same sender with some parts changed. A sender of your own:

        acme = Sender(
            name="acme",
            scheme=HMACBody("secret", signature="x-acme-signature"),
            facts=("Acme's documentation of webhooks, read in November 2026",),
            event_header="X-Acme-Event",
        )

    Raises:
        ConfigurationError: a part cannot work.
    """

    name: str
    """The name, of lower-case letters, digits, "-" and "_", such as "github"."""
    scheme: Scheme
    """The scheme of the signatures, with the secrets."""
    facts: tuple[str, ...]
    """The sources of the rules, with versions and dates: documents that were read, libraries that were run."""
    events: tuple[type[Event], ...] = ()
    """The event classes that documents may become, beside those that handlers are registered for."""
    decode: Decode | None = None
    """The function that returns the JSON document in a body, such as `form_document`; None if the body is JSON. JSON in
    UTF-16, with a byte order mark or half surrogates needs none."""
    content_encodings: tuple[str, ...] = ()
    """The values of Content-Encoding that its deliveries may have, such as ("gzip",). The body stays packed: `decode`
    has to unpack it, as `webhook_receiver.signatures.body_forms.gunzipped` does, and the scheme by `body_form`, if the
    sender signs it unpacked. Any other value is answered 415."""
    envelope: Envelope | None = None
    """The function that adds what headers tell of an event, as in the binary mode of CloudEvents; None for none. The
    scheme must cover these headers, or prove the request as a whole: otherwise who has seen a delivery could send its
    body again as another event."""
    url_places: tuple[str, ...] = ()
    """The places in the URL whose values are for `envelope`, such as ("query:order", "path:-2"): they are stored with
    the delivery, as headers such as "query=order"."""
    split: Split | None = None
    """The place of the events in a document, such as `Split("events.*")`; None if each delivery is one event."""
    event_name: str | tuple[str, ...] = ()
    """The place of the event's name, where that is not `event` in the document: "type" or "meta.event_name" there,
    "has:postback" for the name of a member that is there, "header:x-topic", "query:topic", "path:-1" for the last part
    of the URL's path, or "text:ping" for one name of all events. Several places are joined by a template, such as
    "{resource_type}.{action}". Of a tuple, the first that is there counts. The value in a URL is stored with the
    delivery. Few signatures cover a header or the URL.

    The name becomes `event`. An object that the document has there becomes its `body`, if it has none."""
    event_header: str | None = None
    """The header with the event's name, such as "X-GitHub-Event"; None if the body has it. Few signatures cover it, so
    a body that tells another event is none: by a text `event` in it, or by `event_members`."""
    event_members: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """The members by which a document tells its event, for names in `event_header`. Of a mapping such as
    {"issue_comment": {"issue", "comment"}, "issues": {"issue"}} the first event counts whose members are all in the
    document, and those with the same members; no other one of the mapping is accepted then. An event without members
    of its own has an empty set. A document that has none of all these members may be of any event."""
    delivery_id_path: str | tuple[str, ...] | None = None
    """The place of the sender's id of the event in documents, such as "id" or "meta.event_id"; None if there is none.
    Of several, such as ("source", "id"), only all together are one id. Two pushes with the same id are one, whatever
    else differs between them. An event's class may say its own: `Event.delivery_id`."""
    delivery_id: str | None = None
    """The header with the sender's id of the delivery; None if there is none, or if the scheme verifies it
    (`Verified.id`). Beside a signature that does not cover it an id proves nothing, so its value counts for nothing: it
    says that each delivery is one of its own, so that two with equal bodies are one delivery, sent twice. Where nothing
    is signed, and a secret proves the request as a whole, the id counts by itself: two with the same are one."""
    identity: Identity = identity_of
    """The function that returns an event's identity: by it a push and a polled delivery are the same or not. Two
    pushes with one identity and different bodies are two."""
    order_id_paths: tuple[str, ...] = ()
    """The places of an order's id in documents, such as ("body.orderId", "body.id"): the first that has one counts."""
    statuses: Mapping[str, OrderStatus] = field(default_factory=dict[str, OrderStatus])
    """The sender's spellings of order statuses, where they differ from `OrderStatus`, and what each stands for."""
    ordering_key: OrderingKey = order_id_of
    """The function that returns an event's ordering key: deliveries with the same key are handled one at a time, in
    order of receipt."""
    order_items: OrderItems = "unknown"
    """How it tells the items of an order: "whole" if each of its events is about a whole order; "counted" if they are
    about items, and a document tells how many the order has, as `ImageryEvent.item_count`; "unknown" if nothing does.
    See `Router.on(..., whole_order=True)`."""
    orders: Orders | None = None
    """The functions that read orders from the sender's API, for a poll or a backfill; None if it has no such API."""
    max_body: int | None = None
    """The largest body that it delivers, in bytes, by its documentation; None if that does not say. It bounds nothing:
    `WebhookReceiver(max_body=...)` does, and `webhook-receiver check` compares the two."""
    responses: ResponseStatuses = field(default_factory=ResponseStatuses)
    """The HTTP statuses of the responses."""
    reply: Reply | None = None
    """The body of the responses to stored deliveries, made of the event, such as `Reply(lambda event: as_json({}))`;
    None for an empty one. A sender with `split` has none."""
    challenges: tuple[Challenge, ...] = ()
    """What the sender asks to see that the URL is the receiver's, such as `echo("query:challenge", ...)`: see
    `webhook_receiver.senders.challenges`. Of several that fit a request, the first one is answered."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise ConfigurationError(
                f'a sender\'s name has lower-case letters, digits, "-" and "_", such as "github", not {self.name!r}'
            )
        check_scheme(self.scheme)
        self._check_tuple(
            "facts", str, 'the sources of its rules, such as ("its documentation, read in November 2026",)'
        )
        if not self.facts:
            raise ConfigurationError(f"the sender {self.name} has no facts: say where its rules come from")
        self._check_tuple("events", type, "event classes, such as (OrderFulfilled,)")
        for cls in self.events:
            if not issubclass(cls, Event):
                raise ConfigurationError(f"the events of the sender {self.name} are event classes, not {cls!r}")
        for part in ("event_header", "delivery_id"):
            _check_header(part, getattr(self, part))
        check_event_name(self.event_name, self.scheme, self.url_places)
        if self.event_name and self.event_header is not None:
            raise ConfigurationError(
                f"the sender {self.name} has event_name and event_header: give one of them, "
                f'as in event_name=("header:{self.event_header}", "type")'
            )
        if not all(isinstance(each, str) and each for each in self.delivery_id_paths):
            raise ConfigurationError(
                f'delivery_id_path is a place in documents, such as "id" or "meta.id", not {self.delivery_id_path!r}'
            )
        parsed_paths(self.delivery_id_paths)
        members: object = self.event_members
        if not isinstance(members, Mapping) or not all(
            isinstance(name, str) and isinstance(each, frozenset) for name, each in self.event_members.items()
        ):
            raise ConfigurationError(
                f"the event_members of the sender {self.name} are a mapping of events' names to frozensets of members"
            )
        self._check_tuple("order_id_paths", str, 'places such as ("order.number", "items.0.id")')
        parsed_paths(self.order_id_paths)
        statuses: object = self.statuses
        if not isinstance(statuses, Mapping) or not all(
            isinstance(text, str) and isinstance(status, OrderStatus) for text, status in self.statuses.items()
        ):
            raise ConfigurationError(f"the statuses of the sender {self.name} are a mapping of texts to OrderStatus")
        for part, kind in (
            *(("orders", Orders | None), ("responses", ResponseStatuses)),
            *(("split", Split | None), ("reply", Reply | None)),
        ):
            if not isinstance(getattr(self, part), kind):
                given = type(getattr(self, part)).__name__
                raise ConfigurationError(f"the {part} of the sender {self.name} cannot be of the type {given}")
        if self.split is not None and self.reply is not None:
            raise ConfigurationError(
                f"the sender {self.name} has split=... and reply=...: a reply is made of one event"
            )
        self._check_tuple("challenges", Challenge, "challenges, such as ping(methods=('HEAD',), signed=False)")
        _check_responses(self.responses)
        if self.decode is not None and not callable(self.decode):
            raise ConfigurationError(
                f"the decode of the sender {self.name} is a function of a body, such as form_document"
            )
        self._check_tuple("content_encodings", str, 'values of Content-Encoding, such as ("gzip",)')
        if self.content_encodings and self.decode is None:
            raise ConfigurationError(
                f"the sender {self.name} has content_encodings, and no decode that unpacks a body: say "
                "decode=gunzipped, of webhook_receiver.signatures.body_forms"
            )
        if not all(re.fullmatch(r"[a-z0-9-]+", each) for each in self.content_encodings):
            raise ConfigurationError(
                f"the content_encodings of the sender {self.name} are in lower case, such as ('gzip',)"
            )
        size: object = self.max_body
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise ConfigurationError(f"the max_body of the sender {self.name} is a number of bytes, not {size!r}")
        if self.envelope is not None and not callable(self.envelope):
            raise ConfigurationError(f"the envelope of the sender {self.name} is a function of a document and headers")
        if self.order_items not in get_args(OrderItems):
            raise ConfigurationError(
                f'order_items of the sender {self.name} is "whole", "counted" or "unknown", not {self.order_items!r}'
            )
        for part in ("identity", "ordering_key"):
            if not callable(getattr(self, part)):
                raise ConfigurationError(f"the {part} of the sender {self.name} is a function of an event")

    @property
    def delivery_id_paths(self) -> tuple[str, ...]:
        """The places in documents that make the sender's id of an event; none without one."""
        given: object = self.delivery_id_path
        return () if given is None else cast("tuple[str, ...]", given if isinstance(given, tuple) else (given,))

    def _check_tuple(self, part: str, kind: type, what: str) -> None:
        given: object = getattr(self, part)
        if not isinstance(given, tuple) or not all(isinstance(each, kind) for each in getattr(self, part)):
            raise ConfigurationError(f"the {part} of the sender {self.name} are a tuple of {what}; not {given!r}")

    def __repr__(self) -> str:
        return f"<Sender {self.name}: {type(self.scheme).__name__}>"


def check_scheme(scheme: object) -> None:
    """Reject an object that is no scheme.

    Raises:
        ConfigurationError: the object is no scheme; the message says what is missing.
    """
    if wrong := complaint(scheme):
        raise ConfigurationError(f"scheme=... {wrong}")


def _check_responses(responses: ResponseStatuses) -> None:
    """Reject a status that says something else than it has to."""
    for name, least in (("stored", 200), ("duplicate", 200), ("rejected", 400)):
        status: object = getattr(responses, name)
        if not isinstance(status, int) or not least <= status <= least + 99:
            raise ConfigurationError(f"responses: {name} is a status from {least} to {least + 99}, not {status!r}")


def _check_header(part: str, name: str | None) -> None:
    """Reject a name that no header can have, or of a header that an inbox does not store."""
    if name is None:
        return
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f'{part} is the name of a header, such as "X-GitHub-Event", not {name!r}')
    if not kept_headers([(name.lower().encode(), b"")]):
        raise ConfigurationError(
            f"{part}={name!r} cannot work: the inbox stores no header of that name, since it may hold a credential"
        )

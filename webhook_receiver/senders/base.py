"""What a sender is: a frozen value that says all that is special about who delivers.

Theory of operation
-------------------
A receiver has one sender, and asks it, in this order, for each request:

1. `scheme`: does the delivery prove itself? First by its head (method, target, headers), then by its body. Nothing
   of the request means anything before that.
2. `event_header`: where the event's name is, if not in the body. The name becomes the document's `event`.
3. `events`, `statuses`: which classes a document may become, and how the sender spells statuses of orders. One pass
   over the body's bytes decides the class and builds the event; a document of no class is an `UnknownEvent`.
4. `order_id_paths`: where the id of an order is. The event carries these places and looks when it is asked.
5. `delivery_id`, `identity`: by what a duplicate is known. Two pushes are the same delivery if the scheme proved the
   same id for both; else if this header holds the same id and the bytes are the same; else, for an event that has an
   identity, if the bytes are the same. A push and a backfilled delivery tell the same news if their identities agree.
6. `ordering_key`: deliveries of one key are handled one at a time, in order of receipt.
7. `responses`: the status that tells the sender what became of its request.

The sender's API is asked apart from that, through `orders`: by a backfill for the orders that ended, and by
`confirm=` for the status of one order. Both put what they learn where a push puts it, and leave the same behind.

A value here holds no state: it may be shared by receivers, copied by `dataclasses.replace` with some parts changed,
and leaves nothing behind in a crash. What a receiver keeps by it is the receiver's name, the ordering key, the
deduplication key and the identity, as texts and digests: changing how a sender computes them makes old and new
deliveries strangers to one another, so these functions should be as lasting as the inbox's retention.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from ..delivery import kept_headers
from ..errors import ConfigurationError
from ..events import Event, OrderStatus, Path, identity_of, order_id_of, parsed_paths
from ..responses import Responses
from ..signatures import Scheme
from ..signatures.scheme import complaint

OrderingKey = Callable[[Any], object]
"""Returns what an event is about, as a text or what `str` makes one of; None for no order at all."""

Identity = Callable[[Any], Sequence[str] | None]
"""Returns what happened to what, in texts; None where nobody can tell."""


class Order(Protocol):
    """An order as a sender's API tells of it."""

    @property
    def id(self) -> str:
        """The order's id, the same as in notifications."""
        ...

    @property
    def status(self) -> OrderStatus:
        """The status that it is in now."""
        ...

    @property
    def updated_at(self) -> datetime:
        """The time of its last change; UTC if it has no zone."""
        ...

    @property
    def is_terminal(self) -> bool:
        """Whether it leaves this status no more."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return the whole order as JSON can hold it, in the sender's own words."""
        ...


@runtime_checkable
class OrdersApi(Protocol):
    """A client of a sender's API, as far as its orders go. Both methods may raise ApiError."""

    def orders(
        self, *, status: Sequence[OrderStatus] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        """Yield the orders that are in one of these statuses, page by page; each page is asked for when it is due.

        Args:
            status: any of these; all if None.
            workspace_id: only of this workspace; of all that the user sees if None.
            sort: the field and the direction in the sender's own words, such as "updatedAt,desc".
        """
        ...

    async def order(self, id: str, /) -> Order:
        """Return one order; ApiError has the status 404 where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Orders:
    """How the orders of a sender's API become deliveries."""

    changed_since: Callable[[OrdersApi, float, str | None], AsyncGenerator[Order]]
    """Yields the orders in a terminal status that changed at a time, in Unix seconds, or later; each status of one
    once. The last argument is the workspace, None for all."""
    notification: Callable[[Order, Path], bytes]
    """Returns the body that a notification about an order has, its id at the given place."""


def checked_api(api: OrdersApi, argument: str) -> OrdersApi:
    """Return `api` if it can be asked for orders.

    Args:
        api: the client.
        argument: how the argument was called that it was given as, for the error.

    Raises:
        ConfigurationError: it cannot.
    """
    if isinstance(api, type) or not isinstance(api, OrdersApi):
        given = f"the class {api.__name__}" if isinstance(api, type) else type(api).__name__
        raise ConfigurationError(f"{argument} takes a client of the sender's API, such as WebhooksClient, not {given}")
    return api


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Sender:
    """All that is special about who delivers. `dataclasses.replace(sender, ...)` is the same with other parts.

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
    """Lower-case letters, digits, "-" and "_", such as "github"."""
    scheme: Scheme
    """How its deliveries prove themselves; holds the secrets."""
    facts: tuple[str, ...]
    """What all this was taken from, with versions and dates: documents, libraries that were run."""
    events: tuple[type[Event], ...] = ()
    """The event classes that its documents may become, beside those that handlers are registered for."""
    event_header: str | None = None
    """The header with the event's name, such as "X-GitHub-Event"; None if the body has it. Few signatures cover it."""
    delivery_id: str | None = None
    """The header with the sender's id of the delivery, the same when it is sent again; None if there is none, or if
    the scheme verifies it (`Verified.id`). An id that no signature covers proves nothing alone: a delivery with the
    same id counts as a duplicate only where its body is the same as well."""
    identity: Identity = identity_of
    """By which a push and a backfilled delivery are known to tell the same news."""
    order_id_paths: tuple[str, ...] = ()
    """Where the id of an order is in its documents, such as ("body.orderId", "body.id"), in the order of looking."""
    statuses: Mapping[str, OrderStatus] = field(default_factory=dict[str, OrderStatus])
    """How it spells statuses of orders, where not as `OrderStatus` does."""
    ordering_key: OrderingKey = order_id_of
    """What an event is about: deliveries of one key are handled one at a time, in order of receipt."""
    orders: Orders | None = None
    """How its API is asked for orders; None if that is not known."""
    responses: Responses = field(default_factory=Responses)
    """The statuses that it is answered."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigurationError(f'a sender\'s name is a word such as "github", not {self.name!r}')
        check_scheme(self.scheme)
        facts: object = self.facts
        if not isinstance(facts, tuple) or not facts or not all(isinstance(fact, str) for fact in self.facts):
            raise ConfigurationError(
                f"the sender {self.name} says nothing of where its rules come from: "
                'facts=("its documentation, read in November 2026",)'
            )
        for cls in self.events:
            if not (isinstance(cls, type) and issubclass(cls, Event)):
                raise ConfigurationError(f"the events of the sender {self.name} are classes of events, not {cls!r}")
        for part in ("event_header", "delivery_id"):
            _check_header(part, getattr(self, part))
        parsed_paths(self.order_id_paths)
        if not (callable(self.identity) and callable(self.ordering_key)):
            raise ConfigurationError(f"identity and ordering_key of the sender {self.name} are functions of an event")

    def __repr__(self) -> str:
        return f"<Sender {self.name}: {type(self.scheme).__name__}>"


def check_scheme(scheme: object) -> None:
    """Raise ConfigurationError, which says what is missing, unless `scheme` is a scheme."""
    if wrong := complaint(scheme):
        raise ConfigurationError(f"scheme=... {wrong}")


def _check_header(part: str, name: str | None) -> None:
    """Reject a name that no header has, or that is not kept."""
    if name is None:
        return
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f'{part} is the name of a header, such as "X-GitHub-Event", not {name!r}')
    if not kept_headers([(name.lower().encode(), b"")]):
        raise ConfigurationError(f"{part}={name!r} cannot be: a header of that name is not kept in the inbox")

"""The head of a request; the delivery, a notification as received; and the attempt, one run of a handler for it."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from typing import NamedTuple, Self, cast

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers as ASGI gives them: lower-case names, values as received, in order."""

AnyHeaders = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Headers in any other form: a mapping or pairs, of str or bytes, with names in any case."""


def header_pairs(headers: AnyHeaders | None) -> Headers:
    """Return headers in the form of ASGI.

    Text becomes the bytes that were on the wire. Some servers decode these as latin-1 (PEP 3333), others as UTF-8: text
    beyond ASCII is encoded as latin-1 if that yields valid UTF-8, else as UTF-8. White space around a value is no part
    of it (RFC 9110, section 5.5).

    Args:
        headers: a mapping or pairs, of str or bytes, with names in any case; None for no headers, as some hosts give.
    """
    if headers is None:
        return []
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return [
        # A call for each value would cost time, and servers give bytes.
        (
            (name if isinstance(name, bytes) else _to_bytes(name)).lower(),
            (value if isinstance(value, bytes) else _to_bytes(value)).strip(b" \t"),
        )
        for name, value in pairs
    ]


def _to_bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    given: object = text
    if not isinstance(given, str):  # whose value is not told: it may be a token
        raise TypeError(f"the names and values of headers are texts or bytes, not {type(given).__name__}")
    try:
        wire = text.encode("latin-1")
        wire.decode("utf-8")
    except UnicodeError:
        return _as_utf8(text)
    return wire


def _as_utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # lone surrogates, which JSON can bring, but no wire
        return text.encode("utf-8", "surrogatepass")


EDIT = "edit"
"""`Delivery.via` of a delivery whose body somebody has edited."""


class RequestHead(NamedTuple):
    """A request without its body: the part that a scheme verifies first and signs into. Its repr shows no value.

    One is made for each request, so it neither copies nor checks anything.
    """

    method: str
    """The method (RFC 9110, section 9), such as "POST"."""
    target: bytes
    """The request target (RFC 9112, section 3.2) as sent: the path, still percent-encoded, and any query behind `?`. A
    saved request may have a whole URL here, the absolute form."""
    headers: Headers
    """The header fields: lower-case names, values as received, in order."""
    url: str | None = None
    """The absolute URL that the sender posts to, as the sender knows it: `WebhookReceiver(public_url=...)`. None if
    it was not given. Behind a proxy the request itself does not hold it."""
    client: str | None = None
    """The address of the peer, as the server tells it: of a proxy, where there is one. None if it is not known, as with
    a Unix socket."""

    def __repr__(self) -> str:
        # The fields hold tokens and signatures, and a traceback may show local variables.
        return f"<RequestHead {self.method}, {len(self.headers)} headers>"

    @classmethod
    def of(
        cls,
        headers: AnyHeaders | None,
        *,
        method: str = "POST",
        target: str | bytes = b"/",
        url: str | None = None,
        client: str | None = None,
    ) -> Self:
        """Return the head of a request from headers in any form.

        Args:
            headers: a mapping or pairs, of str or bytes, with names in any case.
            method: the method, in upper case.
            target: the path, with the query behind `?` where there is one; text becomes bytes as in `header_pairs`.
            url: the absolute URL that the sender posts to, if it is known.
            client: the address of the peer, if it is known.
        """
        return cls(method, _to_bytes(target), header_pairs(headers), url, client)

    def with_headers(self, *more: tuple[bytes, bytes]) -> Self:
        """Return the head with more headers behind its own; the names in lower case."""
        return self._replace(headers=[*self.headers, *more])

    @property
    def path(self) -> bytes:
        """The path of the target, still percent-encoded, without the query."""
        return self.target.partition(b"?")[0]


def new_id(now: float | None = None) -> str:
    """Return a new id of a delivery, 32 hex digits: the second of receipt, a count, and 64 random bits of this process.

    The first eight to twelve digits are mostly enough to name a delivery: the count's lower half comes first. An index
    of ids grows at its end.

    Args:
        now: the time of receipt, in Unix seconds; the present time if None.
    """
    second = int(time.time() if now is None else now) & 0xFFFFFFFF
    count = next(_count)
    # A format such as {second:08x} would take twice the time of all of this.
    return _ID.pack(second, count & 0xFFFF, count >> 16 & 0xFFFF, _process).hex()


def _start_ids() -> None:
    global _process, _count
    _process, _count = os.urandom(8), itertools.count()


_ID = Struct(">IHH8s")
_process, _count = b"", itertools.count()
_start_ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_ids)


@dataclass(frozen=True, init=False, repr=False)
class Delivery:
    """A notification as received, immutable. Its repr shows neither headers nor body."""

    id: str
    """The id, unique, made by the receiver. Every log line about the delivery has it."""
    receiver: str
    """The receiver's name."""
    headers: Headers
    """The headers. A stored delivery has none that may hold a credential or a signature."""
    body: bytes
    """The bytes of the body as received."""
    received: float
    """The time of receipt by the receiver's clock, in Unix seconds; see `received_at`."""
    verified_by: int | None
    """The index of the receiver's secret that verified the delivery; None if it came unsigned, or was no push."""
    body_verified: bool
    """Whether the body is known to be the sender's: covered by the signature, or read from the sender's API. False only
    if the receiver's scheme accepts that."""
    via: str = "http"
    """The way that the delivery came: "http" for a push, "poll" for a document of a source, "backfill" for one that
    `WebhookReceiver.backfill` made of an order in the sender's API, "edit" for one whose body somebody has edited (see
    `edited_of`), or "order" for one about a whole order, which the receiver made of the deliveries about its items."""
    part: int = 0
    """The number of the part of the request that this is, where one request brings several events. Part 0 has the id of
    the request; part n has that id, a dot and n. All have the same headers and body."""
    context: str | None = None
    """A text that goes with the delivery, such as the trace context of its request; None without one."""

    def __init__(
        self,
        id: str,
        receiver: str,
        headers: Headers,
        body: bytes,
        received: float,
        verified_by: int | None,
        body_verified: bool,
        via: str = "http",
        part: int = 0,
        context: str | None = None,
    ) -> None:
        # Not by ten calls of object.__setattr__, which would take a twentieth of a request.
        fields = self.__dict__
        fields["id"] = id
        fields["receiver"] = receiver
        fields["headers"] = headers
        fields["body"] = body
        fields["received"] = received
        fields["verified_by"] = verified_by
        fields["body_verified"] = body_verified
        fields["via"] = via
        fields["part"] = part
        fields["context"] = context

    def __repr__(self) -> str:
        return f"<Delivery {self.id} to {self.receiver!r} at {self.received_at:%Y-%m-%d %H:%M:%S} UTC>"

    def as_part(self, number: int) -> Delivery:
        """Return a further part of the request that this delivery is a part of.

        Args:
            number: the number of the part, from 1.
        """
        return Delivery(
            *(f"{self.request_id}.{number}", self.receiver, self.headers, self.body, self.received),
            *(self.verified_by, self.body_verified, self.via, number, self.context),
        )

    def edited(self, id: str, body: bytes, received: float) -> Delivery:
        """Return a delivery of an edited body, with the headers of this one. See `edited_of`.

        Args:
            id: its id.
            body: its body.
            received: when it was edited, in Unix seconds.
        """
        headers = tuple([pair for pair in self.headers if pair[0] not in (_EVENTS, _EDITED)])
        headers = ((_EDITED, self.id.encode()), *headers)
        return Delivery(id, self.receiver, headers, body, received, None, False, EDIT)

    @property
    def edited_of(self) -> str | None:
        """The id of the delivery that this one was made of by an edit of its body; None if it was not.

        An edited delivery is verified by nobody, `verified_by` None and `body_verified` False, and is a duplicate of
        nothing. Its other headers, and its tenant, are those of the delivery that it was made of.

        It is stored among the headers, `edited=of`, and counts only with `via` "edit".
        """
        if self.via != EDIT:
            return None
        return next((value.decode(errors="replace") for name, value in self.headers if name == _EDITED), None)

    @property
    def received_at(self) -> datetime:
        """The time of receipt by the receiver's clock, as a datetime in UTC."""
        return datetime.fromtimestamp(self.received, UTC)

    @property
    def tenant(self) -> str | None:
        """The tenant by whose secrets it was verified; None where all deliveries have the same. See `SecretsByRequest`.

        It is stored as the last of the headers, `verified=tenant`, which no request can have (RFC 9110, section 5.6.2).
        """
        name, value = self.headers[-1] if self.headers else (b"", b"")
        return value.decode() if name == _TENANT else None

    @property
    def stored_events(self) -> int | None:
        """The number of events that the request had when it was stored; None for one event, or of an older version.

        It is stored as the first of the headers, `stored=events`, which no request can have, as none of `tenant`.
        """
        name, value = self.headers[0] if self.headers else (b"", b"")
        return int(value) if name == _EVENTS and value.isdigit() else None

    @property
    def request_id(self) -> str:
        """The id of the request that brought the delivery: its own one, unless it is a further part of that."""
        return self.id.removesuffix(f".{self.part}") if self.part else self.id

    def header(self, name: str) -> str | None:
        """Return the value of the first header with a name, in any case; None without one."""
        wanted = name.lower().encode("latin-1", "replace")
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)


class Attempt(NamedTuple):
    """One run of one handler for one delivery: the second argument of a handler that takes two."""

    delivery: Delivery
    """The delivery that is handled."""
    handler: str
    """The handler's name: `module:qualname`, or the name that it was registered with."""
    number: int
    """The number of the attempt; 1 for the first run of this handler for this delivery."""

    @property
    def idempotency_key(self) -> str:
        """A key of 32 hex digits, the same for every attempt of this handler for this delivery.

        A handler passes it to systems that accept an idempotency key, so that a retry has no second effect there.
        """
        return hashlib.sha256(f"{self.delivery.id}\n{self.handler}".encode()).hexdigest()[:32]


_NOT_STORED = (
    rb"^(verified|stored|edited)=|authorization|authentication|x-auth(?!or)|cookie|signature|hmac|(^|[-_])sig([-_]|$)|token|secret|passw|passphrase|(api|access)[-_]?key|credential"
    rb"|(^|[-_])(pass|pwd|bearer)$|^key$"
    # Of a service's clients, such as Azure's; the others name what a notification is about, as Bitbucket's X-Event-Key.
    rb"|(?<!idempotency)(?<!event)(?<!ordering)(?<!partition)(?<!routing)[-_]key$"
    # What proxies add about a user or a service whom they let in: JWTs, their claims, assertions and sessions.
    rb"|jwt|assertion|oidc|saml|dpop|userinfo|client-principal|session|x-vercel-sc-headers"
    # The target of the request, which a token may be in, as proxies (Envoy, nginx, Traefik, IIS, Azure) hand it on.
    rb"|referr?er$|(original|forwarded|rewrite|replaced|unencoded|request|invoke|matched|raw|full)[-_](path|ur[il])$"
)

_TENANT = b"verified=tenant"
_EVENTS = b"stored=events"
_EDITED = b"edited=of"
_ORDER = b"stored=order"

_CREDENTIALS = (b"eyJ", b'"eyJ', b"Bearer ", b"bearer ", b"BEARER ", b"Basic ", b"basic ", b"BASIC ", b"JWT ")
"""How credentials begin: JWTs (RFC 7519), with the base64 of `{"`, and those of RFC 6750 and RFC 7617."""


@lru_cache(maxsize=512)
def _is_stored(name: bytes) -> bool:
    return re.search(_NOT_STORED, name) is None


def kept_headers(headers: Headers, secret: frozenset[bytes] = frozenset()) -> Headers:
    """Return the headers to store: all but those whose names suggest a credential, a signature or the request's target,
    and those whose values begin as credentials do.

    Nobody needs these once the delivery is verified.

    Args:
        headers: the headers of a request.
        secret: the names, in lower case, of further headers that hold a secret.
    """
    if secret:
        headers = [pair for pair in headers if pair[0] not in secret]
    return tuple([pair for pair in headers if _is_stored(pair[0]) and not pair[1].startswith(_CREDENTIALS)])


def without_tenant(headers: Headers) -> Headers:
    """Return the headers of a request without those that a receiver gives a delivery, as no server lets them in."""
    return tuple([pair for pair in headers if pair[0] != _TENANT and pair[0] != _ORDER])


def with_tenant(headers: Headers, tenant: str) -> Headers:
    """Return the headers of a delivery with the tenant by whose secrets it was verified. See `Delivery.tenant`."""
    return (*headers, (_TENANT, tenant.encode()))


def with_events(delivery: Delivery, number: int) -> Delivery:
    """Return a delivery that says how many events its request has. See `Delivery.stored_events`."""
    own = [pair for pair in delivery.headers if pair[0] != _EVENTS]
    return replace(delivery, headers=((_EVENTS, b"%d" % number), *own))


def headers_of_order(tenant: str | None) -> Headers:
    """Return the headers of a delivery about a whole order, which the receiver makes itself. See `is_of_order`."""
    headers: Headers = ((_ORDER, b"1"),)
    return headers if tenant is None else with_tenant(headers, tenant)


def is_of_order(headers: Headers) -> bool:
    """Return whether a delivery is about a whole order: its body is the receiver's own, and not in the sender's form.

    It is stored as the first of the headers, `stored=order`, which no request can have, as none of `tenant`; of an
    edited one behind that of the edit.
    """
    return any([name == _ORDER for name, _ in headers[:2]])  # noqa: C419 - a generator takes longer

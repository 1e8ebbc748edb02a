"""A scheme whose secrets depend on the request: one endpoint with many tenants, each with secrets of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from inspect import isawaitable
from secrets import token_hex
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from ..delivery import RequestHead
from ..errors import (
    BadSignature,
    ConfigurationError,
    KeysUnavailable,
    MalformedSignature,
    MissingSignature,
    VerificationError,
)
from .encoding import header_name, only
from .fetching import FetchCache, checked_span
from .jwks import DAY
from .scheme import (
    BodyCheck,
    Scheme,
    Verified,
    check_networks,
    complaint,
    covered_headers,
    has_networks,
    proves_id,
    secret_headers,
    secret_members,
    secret_places,
    www_authenticate,
)
from .secrets import Secret, Secrets, masked

MAX_SECRETS = 16
"""The number of secrets that a tenant may have."""
UNKNOWN_FOR = 5.0
"""The seconds for which a tenant that was not found is unknown, before it is looked up again."""
MAX_TENANT = 200
"""The number of characters that the name of a tenant may have."""


class _Tenant(NamedTuple):
    """The secrets of a tenant, and the scheme that was made of them."""

    secrets: list[Secret]
    scheme: Scheme

    def is_of(self, secrets: Sequence[Secret]) -> bool:
        """Return whether the secrets are these very ones."""
        return [(each, each.until, each.file) for each in self.secrets] == [
            (each, each.until, each.file) for each in secrets
        ]

    def __repr__(self) -> str:
        return f"<tenant with {len(self.secrets)} secrets>"


class SecretsByRequest:
    """A scheme for one endpoint with many tenants: the secrets are those of the tenant that a request names.

    A tenant's secrets are fetched with his first delivery and kept for `lifetime`. They are fetched again for a
    delivery that does not verify by them, but not within 30 seconds of the last time: the response is 503 then, and the
    sender delivers again, so that a new secret counts without a loss. An unknown tenant is always 401, and is looked up
    again after 5 seconds. If the function fails, a tenant's last secrets are used for `max_stale` more; without any,
    the response is 503, and the sender delivers again. At most 64 calls for tenants that are not known run at once, and
    as many for known ones; 256 more of each wait for their turn, and any other is answered 503. A call that has taken
    2.5 seconds is cancelled where others wait.

    The tenant is `Delivery.tenant`, and deliveries of two tenants are never duplicates of one another.

    Args:
        secrets_of: an async function of a tenant's name that returns his secret or secrets. None, or a LookupError,
            says that there is no such tenant; whatever else it raises, that it failed. It has to compare names exactly:
            one that finds "acme" for "ACME" or "acme " too, as many databases do, makes several tenants of one, and
            a copy of a delivery under another spelling runs the handlers again.
        make: a function that makes the scheme of a tenant's secrets, such as a scheme's class, or a
            `functools.partial` of it with options. It is called with a secret or a key that nobody knows first, to
            learn what the scheme covers, where it has its secrets, and whether it has networks or needs `public_url`.
        tenant: the place of the tenant's name: "path" for the last segment of the path; "header:x-acme-account";
            "query:account"; or a function of the head that returns it, in the one spelling that counts, or None.
        lifetime: the seconds for which a tenant's secrets are kept.
        max_stale: the seconds beyond that for which they are used while the function fails.
        timeout: the seconds that `secrets_of` may take.
        max_tenants: the number of tenants whose secrets are kept.
        example: a secret for tests in the form that `make` takes, where that is neither a text nor a key in PEM.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    secret_count = MAX_SECRETS
    """The number of secrets that each tenant may have. See `Scheme`."""

    def __init__(
        self,
        secrets_of: Callable[[str], Awaitable[Secrets | None]],
        make: Callable[[list[Secret]], Scheme],
        *,
        tenant: str | Callable[[RequestHead], str | None],
        lifetime: float = 300,
        max_stale: float = DAY,
        timeout: float = 5,
        max_tenants: int = 1000,
        example: Secrets | None = None,
    ) -> None:
        if not callable(secrets_of) or not callable(make):
            raise ConfigurationError(
                "SecretsByRequest(...) takes an async function of a tenant's name that returns his secrets, and a "
                "function that makes a scheme of secrets, such as partial(HMACBody, signature=...)"
            )
        if not isinstance(max_tenants, int) or isinstance(max_tenants, bool) or max_tenants < 1:
            raise ConfigurationError(f"max_tenants is a number of tenants above 0, not {max_tenants!r}")
        self._secrets_of = secrets_of
        self._make = make
        self._name = tenant if callable(tenant) else _place(tenant)
        self._tenants = FetchCache[str, _Tenant](
            self._load,
            what="the secrets of a tenant",
            lifetime=checked_span("lifetime", lifetime),
            max_stale=checked_span("max_stale", max_stale, least=-1),
            timeout=checked_span("timeout", timeout),
            size=max_tenants,
            absent_for=UNKNOWN_FOR,
        )
        known = _example(make, example)
        self.needs_url = bool(getattr(known, "needs_url", False))
        """Whether a tenant's scheme needs the URL that the sender posts to, and was not given it. See `Scheme`."""
        self.has_networks = known is None or has_networks(known)
        """Whether a tenant's scheme has, or may have, networks that it lets in alone. See `Scheme`."""
        self.covered_headers = covered_headers(known)
        self.proves_id = proves_id(known)
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self.secret_headers = secret_headers(known)
        """The headers that hold a secret of a tenant's scheme. See `Scheme`."""
        self.secret_places = secret_places(known)
        """The places in the URL that hold a secret of a tenant's scheme. See `Scheme`."""
        self.secret_members = secret_members(known)
        """The places in the body that hold a secret of a tenant's scheme. See `Scheme`."""
        self.www_authenticate = www_authenticate(known)
        """What a 401 asks for, by a tenant's scheme. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head as the scheme of the tenant that it names signs it.

        Raises:
            ConfigurationError: it names no tenant that is known, or the scheme cannot sign.
            KeysNeeded: his secrets have to be fetched first.
        """
        try:
            found = self._tenants.get(self._tenant(head), now)
        except VerificationError as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        if found is None:
            raise ConfigurationError("cannot sign: the request names a tenant that the receiver does not know")
        return found.scheme.sign(head, body, now)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the head by the secrets of the tenant that it names. See `Scheme.verify`.

        Raises:
            VerificationError: it names no tenant, or one that is not known, or his secrets do not verify it.
            KeysNeeded: his secrets have to be fetched first.
        """
        tenant = self._tenant(head)
        found = self._known(tenant, now)
        try:
            check = found.scheme.verify(head, now)
        except BadSignature as error:
            wrong = error.with_traceback(None)
        else:
            return partial(self._check, tenant, check, now)
        self._tenants.renew(tenant, now)
        raise wrong

    def check_networks(self, head: RequestHead, now: float) -> None:
        """Reject a request from elsewhere than the networks of the tenant that it names. See `Scheme`.

        Raises:
            VerificationError: it comes from elsewhere, or names no tenant that is known.
            KeysNeeded: his secrets have to be fetched first.
        """
        check_networks(self._known(self._tenant(head), now).scheme, head, now)

    def _known(self, tenant: str, now: float) -> _Tenant:
        found = self._tenants.get(tenant, now)
        if found is None:
            raise BadSignature("the request names a tenant that the receiver does not know")
        return found

    def _check(self, tenant: str, check: BodyCheck, now: float, body: bytes) -> Verified:
        try:
            return check(body)._replace(tenant=tenant)
        except BadSignature as error:
            wrong = error.with_traceback(None)
        self._tenants.renew(tenant, now)  # his secret may have been changed
        raise wrong

    def _tenant(self, head: RequestHead) -> str:
        """Return the name of the tenant of a request.

        Raises:
            VerificationError: there is none, or it can be no name.
        """
        try:
            name = self._name(head)
        except VerificationError:
            raise
        except Exception:  # of the user's own function, on whatever a stranger has sent
            name = "\0"
        if name is None or name == "":
            raise MissingSignature("the request names no tenant")
        if not isinstance(name, str) or len(name) > MAX_TENANT or not name.isprintable():
            raise MalformedSignature("what the request has as the name of a tenant can be none")
        return name

    async def _load(self, tenant: str) -> _Tenant | None:
        try:
            found = self._secrets_of(tenant)
            if not isawaitable(found):
                raise KeysUnavailable(
                    "the function of a tenant's secrets has to be async: async def secrets_of(tenant)"
                )
            given = await found
        except LookupError:
            given = None
        if given is None:
            return None
        try:
            secrets = masked(given)
            known = self._tenants.last(tenant)
            if known is not None and known.is_of(secrets):
                return known  # with whatever its scheme has fetched itself
            scheme = self._make(secrets)
            if wrong := complaint(scheme):
                raise ConfigurationError(f"make {wrong}")
            if not 1 <= scheme.secret_count <= MAX_SECRETS:
                raise ConfigurationError(f"a tenant has 1 to {MAX_SECRETS} secrets, not {scheme.secret_count}")
        except ConfigurationError as error:
            raise KeysUnavailable(f"the secrets of a tenant cannot work: {error}") from None
        return _Tenant(secrets, scheme)


def _example(make: Callable[[list[Secret]], Scheme], given: Secrets | None) -> Scheme | None:
    """Return a scheme of a secret that nobody knows, or that is given; None if it takes none of the usual forms.

    Raises:
        ConfigurationError: it is no scheme, lets everybody in, or does not take the secret that is given.
    """
    for secret in _unknown() if given is None else [given]:
        try:
            scheme = make(masked(secret))
        except ConfigurationError:
            if given is not None:
                raise
            continue
        if wrong := complaint(scheme):
            raise ConfigurationError(f"SecretsByRequest(make=...) {wrong}")
        if scheme.secret_count < 1:
            raise ConfigurationError(f"SecretsByRequest(...) with {type(scheme).__name__} would let everybody in")
        return scheme
    return None


def _unknown() -> Iterator[str]:
    """Yield secrets that nobody knows, in the usual forms: a text, then private keys in PEM, the slowest last."""
    yield token_hex(32)
    if find_spec("cryptography") is not None:
        from .public_keys import new_keys

        yield from new_keys()


def _place(place: str) -> Callable[[RequestHead], str | None]:
    """Return the function that reads a tenant's name in its place.

    Raises:
        ConfigurationError: the text is no place.
    """
    kind, _, name = place.partition(":") if isinstance(place, str) else ("", "", "")
    if place == "path":
        return _of_path
    if kind == "header" and name:
        return partial(_of_header, header_name("tenant", name))
    if kind == "query" and name:
        return partial(_of_query, name)
    raise ConfigurationError(
        f'tenant is "path", "header:x-acme-account", "query:account" or a function of a head, not {place!r}'
    )


def _of_path(head: RequestHead) -> str:
    return unquote(head.path.rstrip(b"/").rpartition(b"/")[2].decode("latin-1"), errors="strict")


def _of_header(name: bytes, head: RequestHead) -> str:
    return only(head.headers, name).decode()


def _of_query(name: str, head: RequestHead) -> str | None:
    pairs = parse_qsl(head.target.partition(b"?")[2].decode("ascii"), errors="strict", max_num_fields=100)
    found = [value for each, value in pairs if each == name]
    if len(found) > 1:
        raise MalformedSignature("the request names more than one tenant")
    return found[0] if found else None

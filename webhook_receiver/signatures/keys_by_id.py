"""Public keys that are fetched one by one, by the id that a delivery names, where a sender publishes no set of them."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ..errors import BadSignature, ConfigurationError, KeysUnavailable, MissingSignature, needs
from .fetching import FetchCache, checked_span
from .jwks import DAY, JWK, parsed_key

K = TypeVar("K")

Load = Callable[[str], Awaitable[bytes | Mapping[str, Any] | None]]
"""An async function of a key's id that returns the key: PEM of a public key or a certificate, or a JWK (RFC 7517) as
JSON or as a mapping, with the Unix time from which on it does not count as `expired_at`, if there is one (Plaid); None
if there is no such key. It may raise KeysUnavailable."""

_MOST_FETCHES = 8  # within half a minute, of ids that are not known: strangers can make them up


class _Key(NamedTuple):
    """A key, and the Unix times between which it or its certificate is valid."""

    jwk: JWK
    begin: float = float("-inf")
    end: float = float("inf")


class KeysById:
    """Public keys that are fetched one by one, as the keys of `PublicKeyBody` and `BearerJWT`. Needs `[jwt]`.

    A key is fetched with the first delivery that names its id, and kept for `lifetime`. Deliveries that need it wait
    meanwhile, and are answered 503 if it cannot be fetched, while one that is known is used for `max_stale` seconds
    more. Of ids that are not known, 8 at most are looked up within half a minute, whatever strangers send; half
    of them are for those that come again, the one that came first at first.

    Args:
        load: an async function of a key's id that returns the key. See `Load`.
        pattern: a regular expression of a whole id: a delivery with any other one is rejected, and nothing is fetched.
            Where the id is a URL, it says of which host and path.
        lifetime: the seconds after which a key is fetched again.
        max_stale: the seconds beyond that for which it is used while it cannot be fetched.
        timeout: the seconds that `load` may take.

    Raises:
        ConfigurationError: an argument cannot work, or the extra is missing.
    """

    def __init__(
        self, load: Load, *, pattern: str, lifetime: float = DAY, max_stale: float = 30 * DAY, timeout: float = 5
    ) -> None:
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise ConfigurationError(needs("keys by their ids", "an extra", "jwt"))
        if not callable(load):
            raise ConfigurationError("KeysById(...) takes an async function of a key's id that returns the key")
        try:
            self._is_id = re.compile(pattern).fullmatch
        except (re.error, TypeError):
            raise ConfigurationError(f"pattern is a regular expression of the ids of keys, not {pattern!r}") from None
        self._load_key = load
        self._cache = FetchCache[str, _Key](
            self._load,
            what="a public key",
            lifetime=checked_span("lifetime", lifetime),
            max_stale=checked_span("max_stale", max_stale, least=-1),
            timeout=checked_span("timeout", timeout),
            size=32,
            most_fetches=_MOST_FETCHES,
        )

    def __repr__(self) -> str:
        return "<keys by their ids>"

    def key(self, id: str, now: float) -> JWK:
        """Return a key, the same object until it was fetched again.

        Args:
            id: its id.
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: it has to be fetched first.
            BadSignature: there is no such key, or its certificate is not valid at this time.
        """
        if not self._is_id(id):
            raise BadSignature("it names a key that is none of the sender's, by the pattern of their ids")
        found = self._cache.get(id, now)
        if found is None:
            raise BadSignature("it names a key that the sender does not know")
        if not found.begin <= now <= found.end:
            raise BadSignature("the key that it names, or its certificate, is not valid at this time, by our clock")
        return found.jwk

    async def _load(self, id: str) -> _Key | None:
        found = await self._load_key(id)
        if found is None:
            return None
        key = _read(found)
        if key is None:
            raise KeysUnavailable("what was fetched is no public key: give PEM, a certificate or a JWK (RFC 7517)")
        return key


class KeysByIdKeyring(Generic[K]):
    """The keyring of a `KeysById`.

    Args:
        keys: the public keys.
        make: a function of a public key that returns the scheme's, or None for one of another algorithm.
    """

    def __init__(self, keys: KeysById, make: Callable[[JWK], K | None]) -> None:
        self._keys = keys
        self._make = make
        self._made: dict[str, tuple[JWK, K | None]] = {}

    def __len__(self) -> int:
        return 1  # a source of keys, whichever of them verifies

    def at(self, now: float) -> Sequence[K]:
        """Raise MissingSignature, since no key is named."""
        raise MissingSignature("it names no key, and without an id there is none")

    def with_id(self, id: str, now: float) -> Sequence[K]:
        """Return the one key with an id.

        Raises:
            KeysNeeded: it has to be fetched first.
            BadSignature: there is no such key.
        """
        jwk = self._keys.key(id, now)
        made = self._made.get(id)
        if made is None or made[0] is not jwk:
            if len(self._made) >= 32:
                self._made.clear()
            made = self._made[id] = (jwk, self._make(jwk))
        if made[1] is None:
            raise BadSignature("it names a key that is for another algorithm")
        return [made[1]]

    def first(self, now: float) -> K:
        """Raise ConfigurationError, since public keys do not sign."""
        raise ConfigurationError("cannot sign with public keys: give a private one")

    def mismatch(self, now: float) -> BadSignature:
        """Return the error for a signature that the key does not give."""
        return BadSignature("the key that it names does not give this signature: what it covers was changed on the way")


def _read(found: bytes | Mapping[str, Any]) -> _Key | None:
    """Return a key; None for what is none, or is private."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if isinstance(found, bytes) and found.lstrip().startswith(b"-----BEGIN"):
        try:
            if b"CERTIFICATE" not in found:
                return _Key(JWK(None, None, load_pem_public_key(found)))
            certificate = x509.load_pem_x509_certificate(found)
            begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            return _Key(JWK(None, None, certificate.public_key()), begin, end)
        except Exception:  # whatever the library stumbles over
            return None
    try:
        document: object = json.loads(found) if isinstance(found, bytes) else found
    except (ValueError, RecursionError):
        return None
    members = dict(cast("Mapping[str, Any]", document)) if isinstance(document, Mapping) else {}
    found_end: object = members.get("expired_at")
    if isinstance(found_end, bool) or not isinstance(found_end, int | float | None):
        return None
    end = float("inf") if found_end is None else found_end
    jwk = parsed_key(members)
    return None if jwk is None else _Key(jwk, end=end)

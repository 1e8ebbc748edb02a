"""Public keys that a sender publishes at a URL, as a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Generic, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import BadSignature, ConfigurationError, KeysUnavailable, needs
from . import http_get
from .fetching import FetchCache, checked_span
from .http_get import Fetch

K = TypeVar("K")

MAX_KEYS = 100
"""The number of keys that a set may have."""
DAY = 86_400.0  # seconds


class JWK(NamedTuple):
    """A public key of a set."""

    kid: str | None
    """The id of the key; None without one."""
    alg: str | None
    """The algorithm that the key is for (RFC 7518, section 3.1); None for any that fits it."""
    key: Any
    """The key, an object of `cryptography`."""


class JWKS:
    """The public keys at a URL, as the keys of `PublicKeyBody` and `BearerJWT`. Needs `[jwt]` and `[standard]`.

    They are fetched with the first delivery, and again after `lifetime`, or for a delivery that names a key which is
    not among them, but not within 30 seconds of the last time. Deliveries that need them wait meanwhile, and are
    answered 503 if they cannot be fetched, or not again yet. Keys that are known are used for `max_stale` seconds more
    then. Nothing but the URL is requested: no redirect is followed, and no URL in a delivery or a key counts.

    Args:
        url: the absolute URL, of https, or of http to this machine.
        lifetime: the seconds after which the keys are fetched again.
        max_stale: the seconds beyond that for which they are used while they cannot be fetched.
        timeout: the seconds that a fetch may take.
        fetch: an async function of a URL that returns the document there, or raises KeysUnavailable; by httpx, with
            at most 256 KiB, if None.

    Raises:
        ConfigurationError: an argument cannot work, or an extra is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        lifetime: float = 600,
        max_stale: float = DAY,
        timeout: float = 5,
        fetch: Fetch | None = None,
    ) -> None:
        self._url = http_get.checked_url("the URL of a JWKS", url)
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise ConfigurationError(needs("a JWKS", "an extra", "jwt"))
        if fetch is None:
            http_get.check_client()
        elif not callable(fetch):
            raise ConfigurationError("fetch is an async function of a URL that returns the bytes there")
        self._fetch = fetch or http_get.get
        self._host = urlsplit(url).hostname or ""
        self._cache = FetchCache[None, tuple[JWK, ...]](
            self._load,
            what=f"the keys of {self._host}",
            lifetime=checked_span("lifetime", lifetime),
            max_stale=checked_span("max_stale", max_stale, least=-1),
            timeout=checked_span("timeout", timeout),
        )

    def __repr__(self) -> str:
        return f"<JWKS of {self._host}>"

    def keys(self, now: float) -> tuple[JWK, ...]:
        """Return the keys, the same object until they were fetched again.

        Args:
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: they have to be fetched first.
        """
        return self._cache.get(None, now) or ()

    def renew(self, now: float) -> None:
        """Have the keys fetched again, unless they were since the request came.

        Raises:
            KeysNeeded: they have to be fetched, which may be refused.
        """
        self._cache.renew(None, now)

    async def _load(self, _: None) -> tuple[JWK, ...]:
        keys = _parsed(await self._fetch(self._url))
        if not keys:  # rather a mistake at the sender's than the end of all its keys
            raise KeysUnavailable(f"{self._host} answered with no set of public keys (RFC 7517)")
        return keys


class JWKSKeyring(Generic[K]):
    """The keyring of a JWKS: the keys of a scheme, made of the public keys each time that these were fetched.

    Args:
        jwks: the public keys.
        make: a function of a public key that returns the scheme's, or None for one of another algorithm.
    """

    def __init__(self, jwks: JWKS, make: Callable[[JWK], K | None]) -> None:
        self._jwks = jwks
        self._make = make
        self._made_of: tuple[JWK, ...] = ()
        self._keys: list[tuple[str | None, K]] = []

    def __len__(self) -> int:
        return 1  # a source of keys, whichever of them verifies

    def at(self, now: float) -> Sequence[K]:
        """Return all keys.

        Args:
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: they have to be fetched first.
        """
        self._look(now)
        return [key for _, key in self._keys]

    def with_id(self, kid: str, now: float) -> Sequence[K]:
        """Return the keys with an id, and those without any; there is one at least.

        Raises:
            KeysNeeded: the keys have to be fetched first, or again.
            BadSignature: there is no such key.
        """
        self._look(now)
        found = [key for each, key in self._keys if each == kid or each is None]
        if not found:
            self._jwks.renew(now)
            raise BadSignature(f"it names a key that is not among those of {self._jwks!r}, or is for another use")
        return found

    def first(self, now: float) -> K:
        """Raise ConfigurationError, since public keys do not sign."""
        raise ConfigurationError(f"cannot sign with public keys, {self._jwks!r}: give a private one")

    def mismatch(self, now: float) -> BadSignature:
        """Return the error for a signature that no key gives.

        Raises:
            KeysNeeded: the keys are to be fetched again, since there may be others now.
        """
        self._jwks.renew(now)
        return BadSignature(
            f"no key of {self._jwks!r} gives this signature: another key, or what it covers was changed on the way"
        )

    def _look(self, now: float) -> None:
        keys = self._jwks.keys(now)
        if keys is not self._made_of:
            made = [(each.kid, self._make(each)) for each in keys]
            self._keys = [(kid, key) for kid, key in made if key is not None]
            self._made_of = keys


def _parsed(document: bytes) -> tuple[JWK, ...]:
    """Return the public keys in a set. What is no key to verify signatures by is left out.

    Raises:
        KeysUnavailable: the document is no JSON, or has too many keys.
    """
    try:
        found: object = json.loads(document)
    except (ValueError, RecursionError):
        raise KeysUnavailable("the set of public keys (JWKS) is not JSON") from None
    listed: object = cast("dict[str, object]", found).get("keys") if isinstance(found, dict) else None
    members = cast("list[object]", listed) if isinstance(listed, list) else []
    if len(members) > MAX_KEYS:
        raise KeysUnavailable(f"the set of public keys (JWKS) has more than {MAX_KEYS}")
    return tuple(key for key in map(parsed_key, members) if key is not None)


def parsed_key(member: object) -> JWK | None:
    """Return a public key for signatures, of a JWK (RFC 7517); None for what is none, or is private."""
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    if not isinstance(member, dict):
        return None
    jwk = cast("dict[str, Any]", member)
    kid, alg = jwk.get("kid"), jwk.get("alg")
    kinds: dict[object, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
    kind = kinds.get(jwk.get("kty")) if isinstance(jwk.get("kty"), str) else None
    operations = jwk.get("key_ops", ["verify"])
    is_for_signatures = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    # A private key in public is nobody's proof any more.
    if kind is None or not is_for_signatures or "d" in jwk:
        return None
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return None
    try:
        return JWK(kid, alg, kind.from_jwk(jwk))
    except Exception:  # whatever the library stumbles over
        return None

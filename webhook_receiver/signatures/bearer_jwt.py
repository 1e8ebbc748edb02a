"""The scheme of senders that send a signed token (JWT, RFC 7519), in some cases with the body's hash in a claim."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, isfinite
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast, get_args

from ..delivery import RequestHead
from ..errors import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    StaleSignature,
    VerificationError,
    needs,
)
from ..redaction import place_of
from .content_scheme import check_choice
from .encoding import ENCODINGS, only
from .jwks import JWK, JWKS, JWKSKeyring
from .keys_by_id import KeysById, KeysByIdKeyring
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, masked

TokenAlgorithm = Literal["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"]
HashEncoding = Literal["hex", "base64", "base64url"]

HeadClaim = Callable[[RequestHead], str]
"""A function of a request's head that returns the text which a claim has to have, or raises VerificationError."""

_MAX_TOKEN = 16_384  # bytes, in a header
_LIFETIME = 300  # seconds, of a token of our own
Wanted = str | bool | int | HeadClaim
"""The value that a claim has to have, of the same JSON type; or what makes a text of the request's head."""
_NO_CLAIMS: Mapping[str, Wanted] = MappingProxyType({})


class _Key(NamedTuple):
    by: int
    public: Any
    private: Any

    def __repr__(self) -> str:
        return f"<key {self.by}>"


def request_url(head: RequestHead) -> str:
    """Return the URL that the sender posts to, by `WebhookReceiver(public_url=...)`: for `BearerJWT(claims=...)`.

    Raises:
        MissingSignature: none is known.
    """
    if head.url is None:
        raise MissingSignature(
            "the token states the URL that the sender posts to, and none is known: say "
            'WebhookReceiver(public_url="https://example.com/webhooks")'
        )
    return head.url


class BearerJWT:
    """A scheme that verifies a token (JWT, RFC 7519) in a header. Needs the extra `[jwt]`.

    The times that a token states are checked by the receiver's clock: `exp`, `nbf` and `iat`. Without `body_claim` the
    token says nothing of the body, so `Verified.body` is False.

    Args:
        keys: one key or several; the first signs, any verifies. A key is the secret of an HMAC, or PEM: a public key, a
            certificate, or a private key, which signs as well. Or a `JWKS`, the URL at which the sender publishes its
            public keys, or `KeysById`, which fetches one by one; of these, a token's `kid` chooses.
        algorithm: the one algorithm of all tokens (RFC 7518, section 3.1): "HS256", "HS384", "HS512", "RS256", "ES256"
            or "EdDSA". No token can choose another one.
        header: the header with the token; None if the whole body is the token, as of security events (RFC 8417), which
            then proves the body, with line ends behind it or not. Its claims are the document: see
            `webhook_receiver.senders.token`.
        prefix: the text in front of the token, in any case of letters; an empty text for none.
        issuer: the issuer (`iss`) that a token has to have; several if any will do; None for any.
        audience: the audience (`aud`) that a token has to be for; None for tokens that name none.
        claims: further claims that a token has to have, and the value of each: a text, a bool, an int, or a function of
            the request's head that returns a text, such as `request_url`. Of a `JWKS` by whose keys others have tokens
            of their own, they say whose it is. With "aud" among them, `audience` is None.
        body_claim: the claim with the hash of the body, such as "payload_hash".
        body_hash: the hash function: "sha256" or "sha512".
        body_encoding: the encoding of the hash: "hex" of either case, "base64" or "base64url", padded or not.
        required: claims that a token has to have, whatever their values, such as ("exp",).
        id_claim: the claim with the sender's id of the delivery, which stays the same when the delivery is sent again.
        max_age: the number of seconds after `iat` in which a token is valid, which then has to have one; None for no
            limit but that of `exp`.
        leeway: the number of seconds that the sender's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a key or an option cannot work, or the extra is missing.
    """

    sign_body: Callable[[bytes, float], bytes]
    """Makes a body that is a token with the members of a document as claims; there if the body is the token. It raises
    ConfigurationError if every key has expired, or the first one is a public key. See `Scheme`."""

    def __init__(
        self,
        keys: Secrets | JWKS | KeysById,
        *,
        algorithm: TokenAlgorithm,
        header: str | None = "authorization",
        prefix: str = "Bearer ",
        issuer: str | Sequence[str] | None = None,
        audience: str | None = None,
        claims: Mapping[str, Wanted] = _NO_CLAIMS,
        body_claim: str | None = None,
        body_hash: Literal["sha256", "sha512"] = "sha256",
        body_encoding: HashEncoding = "hex",
        required: Sequence[str] = (),
        id_claim: str | None = None,
        max_age: float | None = None,
        leeway: float = 60,
    ) -> None:
        keys = keys if isinstance(keys, JWKS | KeysById) else masked(keys)
        check_choice("algorithm", algorithm, get_args(TokenAlgorithm))
        check_choice("body_hash", body_hash, ("sha256", "sha512"))
        check_choice("body_encoding", body_encoding, get_args(HashEncoding))
        for name, span in (("max_age", max_age), ("leeway", leeway)):
            if span is not None and (not isinstance(span, int | float) or not isfinite(span) or span < 0):
                raise ConfigurationError(f"{name} is a number of seconds from 0 on, not {span!r}")
        try:
            from . import jws
        except ImportError:
            raise ConfigurationError(needs("a token (JWT)", "an extra", "jwt")) from None
        self._jws = jws.Tokens(algorithm)
        self._algorithm: TokenAlgorithm = algorithm
        if header is None and (body_claim is not None or prefix):
            raise ConfigurationError(
                'a token that is the body has no hash of it: header=None goes with prefix="" alone'
            )
        self._header = None if header is None else header.lower().encode()
        if header is None:
            self.sign_body = self._sign_body
        self._prefix = prefix.lower().encode()
        self._word = prefix.encode()
        self._issuers = [issuer] if isinstance(issuer, str) else None if issuer is None else [*issuer]
        self._audience = audience
        self._claims = _checked_claims(claims, audience)
        if isinstance(required, str) or not all(isinstance(each, str) and each for each in required):
            raise ConfigurationError(f'required is a tuple of names of claims, such as ("exp",), not {required!r}')
        self.required = tuple(required)
        """The claims that a token has to have, whatever their values."""
        self.needs_url = request_url in self._claims.values()
        """Whether a token states the URL that the sender posts to. See `Scheme`."""
        self._body_claim = body_claim
        self._body_hash = body_hash
        self._body_encoding: HashEncoding = body_encoding
        self._id_claim = id_claim
        self.proves_id = id_claim is not None
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self._max_age = max_age
        self._leeway = leeway
        if isinstance(keys, JWKS | KeysById) and algorithm.startswith("HS"):
            raise ConfigurationError(f"{algorithm} takes a secret, and a JWKS has public keys")
        self._keyring: Keyring[_Key] | JWKSKeyring[_Key] | KeysByIdKeyring[_Key]
        if isinstance(keys, JWKS):
            self._keyring = JWKSKeyring(keys, self._jwk)
        elif isinstance(keys, KeysById):
            self._keyring = KeysByIdKeyring(keys, self._jwk)
        else:
            self._keyring = Keyring(keys, self._key)
        self.secret_count = len(self._keyring)
        self.covered_headers = None if body_claim is None and header is not None else frozenset[bytes]()
        """No header, if a token covers the body, or is it; None if it covers nothing of a request. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with a token that is valid for five minutes.

        Raises:
            ConfigurationError: every key has expired, the first one is a public key, or the body is the token and is
                not signed with the first key: `sign_body` makes such a body.
        """
        if self._header is None:
            try:
                by = self.verify(head, now)(body).by
            except StaleSignature:  # its time is its own
                return head
            except VerificationError as error:
                raise ConfigurationError(f"cannot sign: the body has to be the token: {error}") from None
            if by:
                raise ConfigurationError("cannot sign: the body is a token of another key than the first")
            return head
        token = self._token({}, head, body, now)
        return head.with_headers((self._header, self._word + token))

    def _sign_body(self, body: bytes, now: float) -> bytes:
        try:
            document: object = json.loads(body)
        except (ValueError, RecursionError):
            return body
        if not isinstance(document, dict):
            raise ConfigurationError("cannot sign: the claims of a token are a JSON object")
        return self._token(cast("dict[str, Any]", document), RequestHead.of({}), body, now)

    def _token(self, given: dict[str, Any], head: RequestHead, body: bytes, now: float) -> bytes:
        key = self._keyring.first(now)
        if key.private is None:
            raise ConfigurationError("cannot sign with a public key: give the private one")
        claims: dict[str, Any] = {**given, "iat": int(now), "nbf": int(now), "exp": int(now) + _LIFETIME}
        if self._issuers:
            claims["iss"] = self._issuers[0]
        if self._audience is not None:
            claims["aud"] = self._audience
        try:
            claims |= {name: _value(wanted, head) for name, wanted in self._claims.items()}
        except VerificationError as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        if self._body_claim is not None:
            claims[self._body_claim] = self._hashed(body).decode()
        if self._id_claim is not None:
            claims[self._id_claim] = hashlib.sha256(body).hexdigest()
        return self._jws.sign(json.dumps(claims).encode(), key.private)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the token and its times; return the check of the body by its hash. See `Scheme.verify`."""
        if self._header is None:
            return partial(self._check_body, head, now)
        value = only(head.headers, self._header)
        if not value.lower().startswith(self._prefix):
            raise MalformedSignature(f"{self._header.decode()} does not begin with {self._word.decode().strip()}")
        return self._verified(value[len(self._prefix) :], head, now)

    def _check_body(self, head: RequestHead, now: float, body: bytes) -> Verified:
        """Verify the token that is the body."""
        token = body.rstrip(b"\r\n")
        form = token.rpartition(b".")[0]  # one token may have several signatures, and line ends behind it
        return self._verified(token, head, now)(body)._replace(body=True, form=form)

    def _verified(self, token: bytes, head: RequestHead, now: float) -> BodyCheck:
        is_long = self._header is not None and len(token) > _MAX_TOKEN  # a body has a limit of its own
        if is_long or token.count(b".") != 2 or not all(map(_is_segment, token.split(b"."))):
            raise MalformedSignature(f"{(self._header or b'the body').decode()} holds no signed token (JWT)")
        by, claims = self._decoded(token, now)
        if lacking := next((name for name in self.required if claims.get(name) is None), None):
            raise MalformedSignature(f"the token has no {lacking}, which required=... asks for")
        self._reject_others(claims, head)
        self._reject_other_times(claims, now)
        id = None if self._id_claim is None else claims.get(self._id_claim)
        if self._id_claim is not None and (not isinstance(id, str) or not id):
            raise MalformedSignature(f"the token has no text as {self._id_claim}")
        is_whole, until = self._body_claim is not None, None
        if self._max_age is not None:
            until = min(claims["iat"] + self._max_age, claims.get("exp", inf)) + self._leeway
        is_fresh, signed_at = until is not None, claims.get("iat")
        verified = Verified(by, body=is_whole, id=id, fresh=is_fresh, copies_until=until, signed_at=signed_at)
        claimed = None if self._body_claim is None else claims.get(self._body_claim)
        return partial(self._check, verified, claimed)

    def _check(self, verified: Verified, claimed: object, body: bytes) -> Verified:
        if self._body_claim is None:
            return verified
        if not isinstance(claimed, str):
            raise BodyMismatch(f"the token has no hash of the body as {self._body_claim}")
        spelt = claimed.lower() if self._body_encoding == "hex" else claimed.rstrip("=")
        if not is_same(self._hashed(body).rstrip(b"="), spelt.encode("utf-8", "surrogatepass")):
            raise BodyMismatch(f"the body is not the one whose hash the token has as {self._body_claim}")
        return verified

    def _decoded(self, token: bytes, now: float) -> tuple[int, dict[str, Any]]:
        """Return the index of the key that a token is signed with, and its claims.

        Raises:
            VerificationError: it is signed with no key of ours, or by another algorithm, or holds no claims.
            KeysNeeded: the keys have to be fetched first.
        """
        for key in self._keys(token, now):
            payload = self._jws.verify(token, key.public)
            if payload is None:
                continue
            if isinstance(payload, VerificationError):
                raise payload
            return key.by, _claims(payload)
        raise self._keyring.mismatch(now)

    def _keys(self, token: bytes, now: float) -> Sequence[_Key]:
        """Return the keys that a token may be signed with: of a JWKS those that its header names."""
        if not isinstance(self._keyring, JWKSKeyring | KeysByIdKeyring):
            return self._keyring.at(now)
        kid = self._jws.key_id(token)
        if isinstance(kid, VerificationError):
            raise kid
        return self._keyring.at(now) if kid is None else self._keyring.with_id(kid, now)

    def _reject_others(self, claims: dict[str, Any], head: RequestHead) -> None:
        """Reject a token of another issuer, for another audience, or with other claims."""
        if self._issuers is not None and claims.get("iss") not in self._issuers:
            raise BadSignature("the token is of another issuer (iss) than issuer=... says")
        named: Any = claims.get("aud")
        audiences: list[Any] = [*named] if isinstance(named, list) else [named]
        for name, wanted in self._claims.items():
            value, found = _value(wanted, head), audiences if name == "aud" else [claims.get(name)]
            if not any(each == value and type(each) is type(value) for each in found):  # True is 1, in Python
                raise BadSignature(f"the token has another {name}, or none, than claims=... says")
        if "aud" not in self._claims and self._audience not in audiences:
            raise BadSignature("the token is for another audience (aud) than audience=... says, or for none")

    def _reject_other_times(self, claims: dict[str, Any], now: float) -> None:
        times = {name: claims[name] for name in ("iat", "nbf", "exp") if name in claims}
        for name, time in times.items():
            if isinstance(time, bool) or not isinstance(time, int | float) or not abs(time) < 1e15:
                raise MalformedSignature(f"the token's {name} is no time in Unix seconds")
        if self._max_age is not None and "iat" not in times:
            raise MalformedSignature("the token has no iat, which max_age=... asks for")
        if now >= times.get("exp", float("inf")) + self._leeway:
            raise StaleSignature("the token has expired, by its own exp")
        if max(times.get("iat", now), times.get("nbf", now)) > now + self._leeway:
            raise StaleSignature(f"the token is of the future, by our clock; allowed are {self._leeway:g} s")
        if self._max_age is not None and now > times["iat"] + self._max_age + self._leeway:
            raise StaleSignature(f"the token is older than {self._max_age:g} s, by its iat")

    def _hashed(self, body: bytes) -> bytes:
        return ENCODINGS[self._body_encoding].encode(hashlib.new(self._body_hash, body).digest())

    def _key(self, by: int, secret: Secret) -> _Key:
        text = secret.get_secret_value()
        if self._algorithm.startswith("HS"):
            if text.startswith("-----BEGIN"):
                raise ConfigurationError(f"{self._algorithm} takes a secret, and this is a key in PEM")
            return _Key(by, text.encode(), text.encode())
        from . import public_keys

        public, private = public_keys.pair_of(secret, _KINDS[self._algorithm])
        return _Key(by, public, private)

    def _jwk(self, jwk: JWK) -> _Key | None:
        from . import public_keys

        if jwk.alg not in (None, *_NAMES[self._algorithm]) or public_keys.complaint(jwk.key, _KINDS[self._algorithm]):
            return None
        return _Key(0, jwk.key, None)


_NAMES = {"RS256": ("RS256",), "ES256": ("ES256",), "EdDSA": ("EdDSA", "Ed25519")}
"""The names of the algorithms in a JWKS."""
_KINDS = {"RS256": "rsa-v1_5-sha256", "ES256": "ecdsa-p256-sha256", "EdDSA": "ed25519"}
"""The algorithms by their names in `PublicKeyBody`."""


def _checked_claims(claims: Mapping[str, Wanted], audience: str | None) -> dict[str, Wanted]:
    given: object = claims
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and (isinstance(wanted, str | int) or callable(wanted)) for name, wanted in claims.items()
    ):
        raise ConfigurationError('claims is a mapping such as {"email": "push@example.com", "sub": request_url}')
    if "aud" in claims and audience is not None:
        raise ConfigurationError("claims has aud, and so has audience: give one of them")
    return dict(claims)


def _value(wanted: Wanted, head: RequestHead) -> str | int:
    if isinstance(wanted, str | int):
        return wanted
    try:
        return wanted(head)
    except VerificationError:
        raise
    except Exception as error:  # of the user's own function, on whatever a stranger has sent
        raise MalformedSignature(f"the request has no value for a claim: {place_of(error)}") from None


_SEGMENT = ENCODINGS["base64url-unpadded"]


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims: object = json.loads(payload)
    except (ValueError, RecursionError):  # whose texts quote the token
        claims = None
    if not isinstance(claims, dict):
        raise MalformedSignature("the token holds no claims (RFC 7519)")
    return cast("dict[str, Any]", claims)


def _is_segment(text: bytes) -> bool:
    """Return whether a part of a token is base64url in its one spelling, and not empty."""
    data = _SEGMENT.decode(text)
    return data is not None and data != b"" and _SEGMENT.encode(data) == text

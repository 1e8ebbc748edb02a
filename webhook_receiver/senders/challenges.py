"""Challenges: what a sender asks to see that a URL is the receiver's, and what it is answered.

A challenge is a pure function of a request. It stores nothing and runs no handler, and lets nobody in: what is no
challenge goes the way of every request. Answers are short texts or JSON, never HTML, whatever a stranger has sent.

A place in a request is a text such as "query:hub.challenge", "header:x-hook-secret" or "body:payload.plainToken".
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlencode

from ..delivery import RequestHead
from ..errors import ConfigurationError, MethodNotAllowed, VerificationError
from ..responses import Response
from ..signatures import BodyCheck, Scheme, Verified
from ..signatures.scheme import complaint
from ..signatures.secrets import Keyring, Secret, Secrets, mac, masked

__all__ = ["Answer", "Challenge", "as_json", "cloudevents", "echo", "ping", "plain", "token_hmac"]

Answer = Callable[[RequestHead, bytes, float], Response | None]
"""A pure function of a head, a body and the time in Unix seconds that returns the answer to a challenge; None for a
request that is none."""

Ask = Callable[[RequestHead, str], tuple[RequestHead, bytes]]
"""A function of the head of a request and a token that returns the head and the body of the challenge with that token,
without its proof."""

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT")
"""The methods that a challenge may have."""

MAX_TOKEN = 4096
"""The number of characters that a token may have; a request with a longer one is no challenge."""
MAX_CHALLENGE = 16 * 1024
"""The number of bytes that the body and the query of a challenge may have; a longer one is none."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+=*")
_UNESCAPED = re.compile(r"[A-Za-z0-9_.-]+")
_PLACES = ("query", "header", "body")


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge of a sender, and its proof. `echo`, `token_hmac`, `ping` and `cloudevents` make the usual ones.

    Raises:
        ConfigurationError: a part cannot work.
    """

    answer: Answer
    """The function that answers it."""
    methods: tuple[str, ...] = ("POST",)
    """The methods that it comes by, in upper case."""
    signed: bool = True
    """Whether it counts only if the sender's scheme verifies it; False for a sender that does not sign it."""
    scheme: Scheme | None = None
    """The scheme that verifies it in any case, such as `QuerySecret(token, parameter="hub.verify_token")`; or None."""
    ask: Ask | None = None
    """The function that makes such a challenge, by the first of its methods, for tests; None if nobody can."""

    def __post_init__(self) -> None:
        methods: object = self.methods
        if not isinstance(methods, tuple) or not methods or not set(self.methods) <= set(METHODS):
            raise ConfigurationError(f"the methods of a challenge are a tuple of {', '.join(METHODS)}, not {methods!r}")
        if not callable(self.answer):
            raise ConfigurationError("the answer of a challenge is a function of a head, a body and the time")
        if self.scheme is not None and (wrong := complaint(self.scheme)):
            raise ConfigurationError(f"the scheme=... of a challenge {wrong}")


class Challenged(Exception):
    """A request is a challenge, and has an answer: no error, but the end of its way."""

    def __init__(self, response: Response) -> None:
        super().__init__("the request is a challenge")
        self.response = response


class ChallengedScheme:
    """A sender's scheme, with its challenges before it.

    Args:
        scheme: the sender's scheme.
        challenges: the sender's challenges; of several that fit, the first one is answered.
    """

    def __init__(self, scheme: Scheme, challenges: Sequence[Challenge]) -> None:
        self._scheme = scheme
        self._challenges = challenges
        self._is_unsigned = any(not each.signed and "POST" in each.methods for each in challenges)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return the check of a body, which raises `Challenged` for a challenge. See `Scheme.verify`.

        Raises:
            Challenged: the request is a challenge without a body.
            MethodNotAllowed: it is neither a POST nor a challenge.
            VerificationError: the head does not prove the delivery, and no challenge may come without proof.
        """
        if head.method != "POST":
            self._answer(head, b"", now, None)
            raise MethodNotAllowed("it is no challenge of the sender's, and deliveries come by POST")
        try:
            check = self._scheme.verify(head, now)
        except VerificationError as error:
            if not self._is_unsigned:
                raise
            return partial(self._check_unsigned, head, now, error.with_traceback(None))
        return partial(self._check, head, now, check)

    def _check(self, head: RequestHead, now: float, check: BodyCheck, body: bytes) -> Verified:
        try:
            verified = check(body)
        except VerificationError as error:
            return self._check_unsigned(head, now, error, body)
        self._answer(head, body, now, verified)
        return verified

    def _check_unsigned(self, head: RequestHead, now: float, error: VerificationError, body: bytes) -> Verified:
        if self._is_unsigned:
            self._answer(head, body, now, None)
        raise error

    def _answer(self, head: RequestHead, body: bytes, now: float, verified: Verified | None) -> None:
        """Raise the answer to a challenge.

        Raises:
            Challenged: the request is one.
            VerificationError: it would be one, but is not proven.
        """
        for each in self._challenges:
            if head.method not in each.methods or (each.signed and verified is None and head.method == "POST"):
                continue
            response = each.answer(head, body, now)
            if response is None:
                continue
            try:
                if each.signed and verified is None:
                    self._scheme.verify(head, now)(body)
                if each.scheme is not None:
                    each.scheme.verify(head, now)(body)
            except VerificationError:
                if head.method == "POST":
                    continue  # as a delivery it may be proven
                raise
            raise Challenged(response)


def challenged(scheme: Scheme, challenges: Sequence[Challenge]) -> Scheme | ChallengedScheme:
    """Return a sender's scheme with its challenges before it; the scheme itself if there are none."""
    return ChallengedScheme(scheme, challenges) if challenges else scheme


def methods_of(challenges: Sequence[Challenge]) -> tuple[str, ...]:
    """Return the methods by which deliveries and challenges come, POST first."""
    return tuple(dict.fromkeys(["POST", *(method for each in challenges for method in each.methods)]))


def echo(
    place: str,
    *,
    methods: tuple[str, ...] = ("POST",),
    where: Mapping[str, str | int] | None = None,
    key: str | None = None,
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is answered by a value of the request itself: as plain text, or as JSON.

    By POST, a value of the query or a header counts only with an empty body or `{}`, and a value of the body, without
    `where`, only where the body has nothing else: a delivery must not be taken for a challenge.

    Args:
        place: the place of the value, such as "query:hub.challenge" or "body:challenge".
        methods: the methods that it comes by.
        where: further places, and the values that they must have, such as {"body:type": "url_verification"}.
        key: the key of the value in a JSON object, such as "challenge"; None for plain text.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a place or another part cannot work.
    """

    def answer(head: RequestHead, token: str, now: float) -> Response:
        return plain(token) if key is None else as_json({key: token})

    request = _Request(place, where)
    reader = partial(_answer_token, request, answer)
    return Challenge(answer=reader, methods=methods, signed=signed, scheme=scheme, ask=request.ask)


def token_hmac(
    place: str,
    secrets: Secrets,
    *,
    key: str,
    methods: tuple[str, ...] = ("POST",),
    where: Mapping[str, str | int] | None = None,
    token_key: str | None = None,
    prefix: str = "",
    encoding: Literal["hex", "base64"] = "hex",
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is answered by the HMAC-SHA-256 of a token in it, with the first secret, as JSON.

    The secret is often that of the sender's scheme, so the token must not be what the scheme signs: one with other
    characters than those of base64 and base64url is none. No JSON is made of these alone, and no time before a body.

    Args:
        place: the place of the token, such as "body:payload.plainToken".
        secrets: one secret or several, as UTF-8.
        key: the key of the HMAC in the JSON object.
        methods: the methods that it comes by.
        where: further places, and the values that they must have. See `echo`.
        token_key: the key of the token itself in the JSON object; None to leave it out.
        prefix: the text in front of the HMAC, such as "sha256=".
        encoding: the encoding of the HMAC.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a secret, a place or another part cannot work.
    """
    if encoding not in ("hex", "base64"):
        raise ConfigurationError(f'encoding is "hex" or "base64", not {encoding!r}')
    keyring = Keyring(masked(secrets), _mac)

    def answer(head: RequestHead, token: str, now: float) -> Response | None:
        keys = keyring.at(now)
        if not keys or not _BASE64.fullmatch(token):
            return None
        digest = keys[0](token.encode())
        text = prefix + (digest.hex() if encoding == "hex" else b64encode(digest).decode())
        return as_json({key: text} if token_key is None else {token_key: token, key: text})

    request = _Request(place, where)
    reader = partial(_answer_token, request, answer)
    return Challenge(answer=reader, methods=methods, signed=signed, scheme=scheme, ask=request.ask)


def ping(
    *,
    methods: tuple[str, ...] = ("POST",),
    where: Mapping[str, str | int] | None = None,
    status: int = 200,
    document: Mapping[str, Any] | None = None,
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is always answered the same way, such as a probe by HEAD, or Discord's PING.

    Args:
        methods: the methods that it comes by; one by POST needs `where`.
        where: places, and the values that they must have, such as {"body:type": 1}.
        status: the status of the answer: any 2xx.
        document: the JSON object of the answer; None for an empty one.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a place or another part cannot work.
    """
    if not isinstance(status, int) or not 200 <= status <= 299:
        raise ConfigurationError(f"the status of a ping's answer is from 200 to 299, not {status!r}")
    if "POST" in methods and not where:
        raise ConfigurationError("a ping by POST needs where=...: otherwise every delivery would be one, and be lost")
    fits = _Request(None, where)
    empty = Response(status, {} if status in (204, 205) else {"content-length": "0"})
    response = empty if document is None else as_json(document, status)
    return Challenge(
        answer=lambda head, body, now: response if fits.matches(head, body) else None,
        methods=methods,
        signed=signed,
        scheme=scheme,
        ask=fits.ask,
    )


def cloudevents(*origins: str, rate: int | None = None) -> Challenge:
    """Return the challenge by OPTIONS of CloudEvents (HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4).

    The URL of `WebHook-Request-Callback` is never called.

    Args:
        origins: the origins that may deliver, such as "eventgrid.azure.net"; "*" for any.
        rate: the requests per minute that they may send; None for any number.

    Raises:
        ConfigurationError: there is no origin, or one cannot be in a header; or the rate is no number above 0.
    """
    if not origins or not all(isinstance(each, str) and each.isascii() and each.isprintable() for each in origins):
        raise ConfigurationError('cloudevents(...) takes origins, such as "eventgrid.azure.net", or "*" for any')
    if rate is not None and (not isinstance(rate, int) or isinstance(rate, bool) or rate < 1):
        raise ConfigurationError(f"rate is a number of requests per minute above 0, not {rate!r}")
    allowed = {each.lower().encode(): each for each in origins}
    fields = {"webhook-allowed-rate": "*" if rate is None else str(rate), "allow": "POST", "content-length": "0"}
    responses = {each: Response(200, {"webhook-allowed-origin": text, **fields}) for each, text in allowed.items()}

    def answer(head: RequestHead, body: bytes, now: float) -> Response | None:
        asked = [value.lower() for name, value in head.headers if name == b"webhook-request-origin"]
        return responses.get(asked[0], responses.get(b"*")) if len(asked) == 1 and asked[0] else None

    def ask(head: RequestHead, token: str) -> tuple[RequestHead, bytes]:
        origin = b"example.com" if origins[0] == "*" else origins[0].encode()
        return head.with_headers((b"webhook-request-origin", origin)), b""

    return Challenge(answer=answer, methods=("OPTIONS",), signed=False, ask=ask)


def plain(text: str) -> Response:
    """Return an answer of plain text, which no browser takes for anything else."""
    return _answer("text/plain; charset=utf-8", text.encode(), 200)


def as_json(document: Mapping[str, Any], status: int = 200) -> Response:
    """Return an answer of a JSON object."""
    return _answer("application/json", json.dumps(document).encode(), status)


def _answer(kind: str, body: bytes, status: int) -> Response:
    fields = {"content-type": kind, "content-length": str(len(body)), "x-content-type-options": "nosniff"}
    return Response(status, fields, body)


class _Request:
    """What a request must have to be a challenge: values in some places, and a token in one.

    Args:
        place: the place of the token; None without one.
        where: the places of the values.

    Raises:
        ConfigurationError: a place is none, or a value is no text or number.
    """

    def __init__(self, place: str | None, where: Mapping[str, str | int] | None) -> None:
        given: object = where
        if where is not None and not isinstance(given, Mapping):
            raise ConfigurationError(
                f'where is a mapping of places to values, such as {{"body:type": 1}}, not {given!r}'
            )
        self._where = [(_place(each), value) for each, value in (where or {}).items()]
        if any(isinstance(value, bool) or not isinstance(value, str | int) for _, value in self._where):
            raise ConfigurationError("where has texts and whole numbers as values")
        self._place = None if place is None else _place(place)
        # Each delivery is asked whether it is a challenge: most are known by this not to be one, unparsed.
        texts = [each for (kind, keys), value in self._where if kind == "body" for each in (keys[-1], value)]
        texts += self._place[1] if self._place is not None and self._place[0] == "body" else []
        self._in_body = [each.encode() for each in texts if isinstance(each, str) and _UNESCAPED.fullmatch(each)]

    def matches(self, head: RequestHead, body: bytes) -> bool:
        """Return whether the values are in their places."""
        return all(each in body for each in self._in_body) and all(
            _value_at(each, head, body) == value for each, value in self._where
        )

    def token(self, head: RequestHead, body: bytes) -> str | None:
        """Return the token; None for a request that is no challenge."""
        if self._place is None or not self.matches(head, body):
            return None
        if head.method == "POST":
            kind, path = self._place
            if kind == "body":
                if not self._where and (len(path) > 1 or len(_document(body)) > 1):
                    return None
            elif body.strip() not in (b"", b"{}"):
                return None
        found = _value_at(self._place, head, body)
        is_token = isinstance(found, str) and 0 < len(found) <= MAX_TOKEN and found.isprintable()
        return found if isinstance(found, str) and is_token else None

    def ask(self, head: RequestHead, token: str) -> tuple[RequestHead, bytes]:
        """Return a head with the values and a token in their places, and the body with them. See `Ask`."""
        document: dict[str, Any] = {}
        query: list[tuple[str, str]] = []
        headers: list[tuple[bytes, bytes]] = []
        for (kind, (*way, name)), value in [*self._where, *([] if self._place is None else [(self._place, token)])]:
            if kind == "body":
                inner = document
                for key in way:
                    inner = inner.setdefault(key, {})
                inner[name] = value
            elif kind == "query":
                query.append((name, str(value)))
            else:
                headers.append((name.encode(), str(value).encode()))
        target = b"?".join(filter(None, [head.target, urlencode(query).encode()]))
        return head._replace(target=target).with_headers(*headers), json.dumps(document).encode() if document else b""


def _answer_token(
    request: _Request,
    answer: Callable[[RequestHead, str, float], Response | None],
    head: RequestHead,
    body: bytes,
    now: float,
) -> Response | None:
    token = request.token(head, body)
    return None if token is None else answer(head, token, now)


def _place(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a place as its kind and the keys that lead to it.

    Raises:
        ConfigurationError: the text is no place.
    """
    kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    keys = tuple(name.split(".")) if kind == "body" else (name.lower() if kind == "header" else name,)
    if kind not in _PLACES or not all(keys):
        raise ConfigurationError(f'a place is such as "query:token", "header:x-token" or "body:a.token", not {text!r}')
    return kind, keys


def _value_at(place: tuple[str, tuple[str, ...]], head: RequestHead, body: bytes) -> str | int | None:
    """Return the value in a place, if it is there once, and is a text or whole number; else None."""
    kind, keys = place
    if kind == "body":
        value: Any = _document(body)
        for key in keys:
            value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, str | int) and not isinstance(value, bool) else None
    if kind == "header":
        name = keys[0].encode("latin-1", "replace")
        found = [value.decode("latin-1") for each, value in head.headers if each == name]
    else:
        query = head.target.partition(b"?")[2]
        pairs: list[tuple[str, str]] = []
        if len(query) <= MAX_CHALLENGE:
            with suppress(ValueError):
                pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        found = [value for each, value in pairs if each == keys[0]]
    return found[0] if len(found) == 1 else None


def _document(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body; an empty one for any other body."""
    if 2 < len(body) <= MAX_CHALLENGE:
        with suppress(ValueError, RecursionError):
            document: object = json.loads(body)
            if isinstance(document, dict):
                return cast("Mapping[str, Any]", document)
    return {}


def _mac(by: int, secret: Secret) -> Callable[[bytes], bytes]:
    return mac(secret.get_secret_value().encode())

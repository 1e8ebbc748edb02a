"""Challenges: what a sender asks to see that a URL is the receiver's, and what it is answered.

A challenge is a pure function of a request. It stores nothing and runs no handler, and lets nobody in: what is no
challenge goes the way of every request. Answers are short texts or JSON, never HTML, whatever a stranger has sent. The
one challenge with an effect is `learn`, which hands over a secret that the sender tells. Where the sender's scheme is
`AllowFrom`, or one of several is, an unsigned challenge has to come from its networks.

A place in a request is a text such as "query:hub.challenge", "header:x-hook-secret", "form:ssl_check" or
"body:payload.plainToken"; in an array of one item, "0" is the item.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..delivery import RequestHead
from ..errors import (
    BadSignature,
    ConfigurationError,
    InboxError,
    MalformedChallenge,
    MethodNotAllowed,
    VerificationError,
)
from ..logs import log_failure
from ..responses import Response, as_json, plain, problem
from ..signatures import BodyCheck, Scheme, Verified
from ..signatures.encoding import header_name
from ..signatures.hmac_keys import KeyForm
from ..signatures.learnt_secret import LearntSecret, ToldSecrets
from ..signatures.scheme import check_networks, complaint, has_secret
from ..signatures.secrets import Keyring, Secret, Secrets, mac, masked
from .challenge_request import MAX_CHALLENGE, ChallengeRequest, Tells, Where

__all__ = [
    "Answer",
    "Challenge",
    "Keep",
    "as_json",
    "cloudevents",
    "echo",
    "learn",
    "ping",
    "plain",
    "told",
    "token_hmac",
]

Answer = Callable[[RequestHead, bytes, float], Response | None]
"""A pure function of a head, a body and the time in Unix seconds that returns the answer to a challenge; None for a
request that is none."""

Ask = Callable[[RequestHead, str], tuple[RequestHead, bytes]]
"""A function of the head of a request and a token that returns the head and the body of the challenge with that token,
without its proof."""

Keep = Callable[[Secret, float], bool]
"""A function of a secret that a sender tells, and the time in Unix seconds, such as `LearntSecret.keep`. It returns
whether the secret is kept now; False for one that nobody waits for."""

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT")
"""The methods that a challenge may have."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+=*")
_SECRET = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge of a sender, and its proof. `echo`, `token_hmac`, `ping`, `learn` and `cloudevents` make the
    usual ones.

    Raises:
        ConfigurationError: a part cannot work.
    """

    answer: Answer
    """The function that answers it."""
    methods: tuple[str, ...] = ("POST",)
    """The methods that it comes by, in upper case."""
    signed: bool = True
    """Whether it counts only if the sender's scheme verifies it; False for a sender that does not sign it. Then
    it has to come from the networks of an `AllowFrom`, if that is the sender's scheme or one of several."""
    scheme: Scheme | None = None
    """The scheme that verifies it in any case, such as `QuerySecret(token, parameter="hub.verify_token")`; or None."""
    rejected: int | None = None
    """The status of the response where `scheme` does not verify it, by another method than POST: 403, as of Meta; None
    for that of a delivery that is rejected."""
    ask: Ask | None = None
    """The function that makes such a challenge, by the first of its methods, for tests; None if nobody can."""
    tells: Tells | None = None
    """The HMACs that it tells; None if it tells none. With a secret of the sender's scheme, a delivery is rejected
    that is proven by the HMAC of what the challenge takes for a token: anybody could have asked for it."""

    def __post_init__(self) -> None:
        methods: object = self.methods
        if not isinstance(methods, tuple) or not methods or not set(self.methods) <= set(METHODS):
            raise ConfigurationError(f"the methods of a challenge are a tuple of {', '.join(METHODS)}, not {methods!r}")
        if not callable(self.answer):
            raise ConfigurationError("the answer of a challenge is a function of a head, a body and the time")
        if self.scheme is not None and (wrong := complaint(self.scheme)):
            raise ConfigurationError(f"the scheme=... of a challenge {wrong}")
        if self.rejected is not None and (not isinstance(self.rejected, int) or not 400 <= self.rejected <= 499):
            raise ConfigurationError(
                f"the status of a challenge that is rejected is from 400 to 499, not {self.rejected!r}"
            )


class Challenged(Exception):
    """A request is a challenge, and has an answer: no error, but the end of its way.

    Args:
        response: the answer.
        error: why it is a rejection; None for what the sender wants.
    """

    def __init__(self, response: Response, error: VerificationError | None = None) -> None:
        super().__init__("the request is a challenge")
        self.response = response
        self.error = error


class ChallengedScheme:
    """A sender's scheme, with its challenges before it.

    Args:
        scheme: the sender's scheme.
        challenges: the sender's challenges; of several that fit, the first one is answered.
    """

    def __init__(self, scheme: Scheme, challenges: Sequence[Challenge]) -> None:
        self._scheme = scheme
        self._challenges = challenges
        self._told = [
            each.tells
            for each in challenges
            if each.tells is not None and any(has_secret(scheme, secret) for secret in each.tells.secrets)
        ]
        self._is_unsigned = any(not each.signed and "POST" in each.methods for each in challenges)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return the check of a body, which raises `Challenged` for a challenge. See `Scheme.verify`.

        Raises:
            Challenged: the request is a challenge without a body.
            MethodNotAllowed: it is neither a POST nor a challenge.
            VerificationError: the head does not prove the delivery, and no challenge may come without proof, or it
                comes from elsewhere than the networks of the scheme.
        """
        if head.method != "POST":
            self._answer(head, b"", now, None)
            check_networks(self._scheme, head, now)
            raise MethodNotAllowed("it is no challenge of the sender's, and deliveries come by POST")
        try:
            check = self._scheme.verify(head, now)
        except VerificationError as error:
            if not self._is_unsigned or _is_too_long(head) or not self._is_inside(head, now):
                raise
            return partial(self._check_unsigned, head, now, error.with_traceback(None))
        return partial(self._check, head, now, check)

    def _is_inside(self, head: RequestHead, now: float) -> bool:
        """Return whether a request comes from the networks of the scheme, if it has some."""
        try:
            check_networks(self._scheme, head, now)
        except VerificationError:
            return False
        return True

    def _check(self, head: RequestHead, now: float, check: BodyCheck, body: bytes) -> Verified:
        try:
            verified = check(body)
        except VerificationError as error:
            return self._check_unsigned(head, now, error, body)
        self._answer(head, body, now, verified)
        if any(each.have(verified.contents) for each in self._told):
            raise BadSignature("what is signed is a token of the sender's challenge, which tells anybody its HMAC")
        return verified

    def _check_unsigned(self, head: RequestHead, now: float, error: VerificationError, body: bytes) -> Verified:
        if self._is_unsigned and len(body) <= MAX_CHALLENGE:
            self._answer(head, body, now, None)
        raise error

    def _answer(self, head: RequestHead, body: bytes, now: float, verified: Verified | None) -> None:
        """Raise the answer to a challenge.

        Raises:
            Challenged: the request is one.
            VerificationError: it would be one, but is not proven.
            MalformedChallenge: it is one without a token that could be sent back.
        """
        malformed: MalformedChallenge | None = None
        is_proven = verified is not None
        for each in self._challenges:
            if head.method not in each.methods or (each.signed and not is_proven and head.method == "POST"):
                continue
            if not each.signed and not is_proven and not self._is_inside(head, now):
                continue
            try:
                response = each.answer(head, body, now)
            except MalformedChallenge as error:
                malformed = error.with_traceback(None)
                continue
            if response is None:
                continue
            try:
                if each.signed and not is_proven:
                    self._scheme.verify(head, now)(body)
                if each.scheme is not None:
                    each.scheme.verify(head, now)(body)
            except VerificationError as error:
                if head.method == "POST":
                    continue  # as a delivery it may be proven
                if each.rejected is None:
                    raise
                denied = problem(each.rejected, "rejected", "The challenge was rejected")
                raise Challenged(denied, error.with_traceback(None)) from None
            raise Challenged(response)
        if malformed is not None and (is_proven or head.method != "POST"):
            raise malformed


def _is_too_long(head: RequestHead) -> bool:
    """Return whether a body is too long for a challenge, by its Content-Length: it need not be read."""
    return any(
        name == b"content-length" and (len(value) > 9 or (value.isdigit() and int(value) > MAX_CHALLENGE))
        for name, value in head.headers
    )


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
    where: Where | None = None,
    key: str | None = None,
    header: str | None = None,
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is answered by a value of the request itself: as plain text, as JSON, or in a header.

    By POST, a value of the query or a header counts only with an empty body or `{}`, and a value of the body, without
    `where`, only where the body has nothing else: a delivery must not be taken for a challenge.

    Args:
        place: the place of the value, such as "query:hub.challenge" or "body:challenge".
        methods: the methods that it comes by.
        where: further places, and the values that they must have, such as {"body:type": "url_verification"}.
        key: the key of the value in a JSON object, such as "challenge"; None for plain text.
        header: the header that has the value in a response without a body, such as "x-hook-secret"; None for a body.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a place or another part cannot work.
    """
    name = "" if header is None else header_name("header", header).decode()
    if name and key is not None:
        raise ConfigurationError("a challenge is answered in a header or by JSON: give header=... or key=...")

    def answer(head: RequestHead, token: str, now: float) -> Response | None:
        if name:
            return Response(200, {name: token, "content-length": "0"}) if _SECRET.fullmatch(token) else None
        return plain(token) if key is None else as_json({key: token})

    request = ChallengeRequest(place, where)
    reader = partial(_answer_token, request, answer)
    return Challenge(answer=reader, methods=methods, signed=signed, scheme=scheme, ask=request.ask)


def token_hmac(
    place: str,
    secrets: Secrets,
    *,
    key: str | None = None,
    methods: tuple[str, ...] = ("POST",),
    where: Where | None = None,
    token_key: str | None = None,
    prefix: str = "",
    hash: Literal["sha256", "sha1"] = "sha256",
    encoding: Literal["hex", "base64"] = "hex",
    key_form: KeyForm | None = None,
    pattern: str | None = None,
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is answered by the HMAC of a token in it, with the first secret: as JSON, or plain text.

    The secret is often that of the sender's scheme, so what is a token must be no delivery, or a stranger could ask for
    its signature. A token has the characters of base64 and base64url alone, and fits `pattern`. With a secret of the
    scheme, a delivery is rejected in which such a token is all that is signed by an HMAC: a body such as `12345` or
    `events=`. JSON objects, and a time and a full stop before a body, are no tokens.

    Args:
        place: the place of the token, such as "body:payload.plainToken".
        secrets: one secret or several.
        key: the key of the HMAC in the JSON object; None for plain text.
        methods: the methods that it comes by.
        where: further places, and the values that they must have. See `echo`.
        token_key: the key of the token itself in the JSON object; None to leave it out.
        prefix: the text in front of the HMAC, such as "sha256=".
        hash: the hash function: "sha256" or "sha1".
        encoding: the encoding of the HMAC.
        key_form: the form of the HMAC's key in the secret; None for its UTF-8 bytes.
        pattern: a regular expression of the whole token, such as "[0-9a-f]{20,32}"; another token is none.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a secret, a place or another part cannot work.
    """
    if encoding not in ("hex", "base64"):
        raise ConfigurationError(f'encoding is "hex" or "base64", not {encoding!r}')
    if hash not in ("sha256", "sha1"):
        raise ConfigurationError(f'hash is "sha256" or "sha1", not {hash!r}')
    if key is None and token_key is not None:
        raise ConfigurationError("token_key=... needs key=..., the key of the HMAC in the same JSON object")
    try:
        is_token = re.compile(pattern).fullmatch if pattern is not None else _BASE64.fullmatch
    except (re.error, TypeError):
        raise ConfigurationError(f"pattern is a regular expression of tokens, not {pattern!r}") from None
    form = key_form or KeyForm()
    secrets = masked(secrets)
    keyring = Keyring(secrets, lambda by, secret: mac(form.bytes_of(secret), hash))

    def is_told(token: str) -> object:
        return _BASE64.fullmatch(token) and is_token(token)

    def answer(head: RequestHead, token: str, now: float) -> Response | None:
        keys = keyring.at(now)
        if not keys or not is_told(token):
            raise MalformedChallenge("the token of the challenge is none of which the sender gets the HMAC")
        digest = keys[0](token.encode())
        text = prefix + (digest.hex() if encoding == "hex" else b64encode(digest).decode())
        if key is None:
            return plain(text)
        return as_json({key: text} if token_key is None else {token_key: token, key: text})

    request = ChallengeRequest(place, where)
    reader = partial(_answer_token, request, answer)
    tells = Tells(secrets, is_told)
    return Challenge(answer=reader, methods=methods, signed=signed, scheme=scheme, ask=request.ask, tells=tells)


def ping(
    *,
    methods: tuple[str, ...] = ("POST",),
    where: Where | None = None,
    only: tuple[str, ...] | None = None,
    status: int = 200,
    document: Mapping[str, Any] | None = None,
    signed: bool = True,
    scheme: Scheme | None = None,
) -> Challenge:
    """Return a challenge that is always answered the same way, such as a probe by HEAD, or Discord's PING.

    Args:
        methods: the methods that it comes by; one by POST needs `where` or `only`.
        where: places, and the values that they must have, such as {"body:type": 1}.
        only: the members of the JSON object, or the fields of the form, that the body may have, such as
            ("form:webhook_id",): it has one of them at least, and no others. None for any.
        status: the status of the answer: any 2xx.
        document: the JSON object of the answer; None for an empty one.
        signed: whether the sender signs it. See `Challenge`.
        scheme: a scheme for it alone. See `Challenge`.

    Raises:
        ConfigurationError: a place or another part cannot work.
    """
    if not isinstance(status, int) or not 200 <= status <= 299:
        raise ConfigurationError(f"the status of a ping's answer is from 200 to 299, not {status!r}")
    if "POST" in methods and not where and only is None:
        raise ConfigurationError(
            "a ping by POST needs where=... or only=...: otherwise every delivery would be one, and be lost"
        )
    fits = ChallengeRequest(None, where, only)
    empty = Response(status, {} if status in (204, 205) else {"content-length": "0"})
    response = empty if document is None else as_json(document, status)
    return Challenge(
        answer=lambda head, body, now: response if fits.matches(head, body) else None,
        methods=methods,
        signed=signed,
        scheme=scheme,
        ask=fits.ask,
    )


def learn(place: str, keep: Keep, *, scheme: Scheme | None = None) -> Challenge:
    """Return the challenge by which a sender tells the secret that it signs with from then on, in an unsigned POST.

    It is answered by the same header if the secret came in one, else by an empty response; both only if the secret was
    kept. A stranger could tell a secret, too: so `keep` must take one only while the user waits for it, as
    `LearntSecret.keep` does, and `scheme` may demand a token of the user's own in the URL.

    By POST, a secret in a header counts only with an empty body or `{}`, and one in the body only where the body has
    nothing else. It has 1 to 1,024 visible characters of ASCII.

    Args:
        place: the place of the secret, such as "header:x-hook-secret" or "body:verification_token".
        keep: a function that keeps the secret. It is called on the event loop; if it raises, the response is 503.
        scheme: a scheme for it alone, such as `QuerySecret(token, parameter="token")`. Nothing is kept unless it
            verifies.

    Raises:
        ConfigurationError: a part cannot work.
    """
    if scheme is not None and (wrong := complaint(scheme)):
        raise ConfigurationError(f"the scheme=... of a challenge {wrong}")
    if not callable(keep):
        raise ConfigurationError("keep is a function of a secret and the time, such as LearntSecret(path).keep")
    kind, _, name = place.partition(":") if isinstance(place, str) else ("", "", "")
    if kind == "query":
        raise ConfigurationError("a secret in the query would be in the logs of servers: no sender tells it there")

    request = ChallengeRequest(place)

    def answer(head: RequestHead, body: bytes, now: float) -> Response | None:
        token = request.token(head, body)
        if token is None:
            return None
        if not _SECRET.fullmatch(token):
            raise MalformedChallenge("the secret that is told is none of 1 to 1,024 visible characters")
        if scheme is not None:  # here, since nothing may be kept before
            try:
                scheme.verify(head, now)(body)
            except VerificationError:
                return None
        try:
            is_kept = keep(Secret.verbatim(token), now)
        except Exception as error:  # in a user's function, or of a full disk
            log_failure("the secret that the sender told cannot be kept", error)
            raise InboxError("the secret that the sender told cannot be kept") from None
        if not is_kept:
            return None
        return Response(200, {**({name.lower(): token} if kind == "header" else {}), "content-length": "0"})

    return Challenge(answer=answer, signed=False, ask=request.ask)


def told(place: str, secrets: ToldSecrets) -> tuple[Secrets, tuple[Challenge, ...]]:
    """Return the secrets of a sender that tells its secret, and the challenges by which it does.

    Args:
        place: the place of the secret, as for `learn`.
        secrets: a `LearntSecret`, what was told before, for which there is no challenge, or several of both.

    Raises:
        ConfigurationError: the place cannot work.
    """
    if isinstance(secrets, LearntSecret):
        secrets = [secrets]
    elif not isinstance(secrets, Sequence) or isinstance(secrets, str):
        return secrets, ()
    known = [each.secret if isinstance(each, LearntSecret) else each for each in secrets]
    return known, tuple(learn(place, each.keep) for each in secrets if isinstance(each, LearntSecret))


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


def _answer_token(
    request: ChallengeRequest,
    answer: Callable[[RequestHead, str, float], Response | None],
    head: RequestHead,
    body: bytes,
    now: float,
) -> Response | None:
    token = request.token(head, body)
    return None if token is None else answer(head, token, now)

"""A trial of `explain`: a request with a change undone, and the verdict of its scheme; and hints without a trial."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar, cast
from urllib.parse import unquote

from ..delivery import Headers, RequestHead
from ..errors import ConfigurationError, KeysUnavailable, StaleSignature, VerificationError
from ..senders.preset import Make
from ..senders.registry import Candidate, candidates, preset_of
from ..signatures import KeysNeeded, Scheme, Verified
from ..signatures.encoding import ENCODINGS, TIME_FORMATS
from ..signatures.fetching import fetch_now
from ..signatures.jwks import JWKS
from ..signatures.keys_by_id import KeysById
from ..signatures.secrets import Secrets, masked
from .proxy import NO_BODY, habit

R = TypeVar("R")

MILLISECONDS_FROM = 1e11
"""The number from which on a time means milliseconds: in Unix seconds it is the year 5138."""

MAYBE_CHALLENGE = "it may be a challenge"
"""The begin of the hint that a request looks like a challenge."""

_TIME = re.compile(
    rb"(?<![0-9A-Za-z+/])(?:[0-9]{10,16}(?![0-9A-Za-z+/=])|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,21}(?:Z|[+-][0-9:]{4,5})"
    rb"|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT)"
)
_SIGNATURE, _TIMESTAMP = re.compile(rb"signature|-sig$"), re.compile(rb"timestamp|-time$")
"""The names of headers with a signature, or with its time."""
_TOKEN = re.compile(rb"(?<![\w.-])eyJ[\w-]+\.([\w-]+)\.[\w-]+")
_ISSUED = re.compile(rb'"iat"\s*:\s*([0-9]{9,12})(?![0-9])')


@dataclass(frozen=True, slots=True)
class Cause:
    """A change that, undone, makes the request verify."""

    name: str
    """The name of the cause for programs, such as "json-reserialised"."""
    what: str
    """The change, as a clause without any secret, signature or body."""
    advice: str
    """The remedy, as a clause."""


class Findings:
    """What the trials of one explanation, which are many, have in common: fetches, schemes and guesses.

    Args:
        left: the number of fetches of keys that may be made.
    """

    def __init__(self, left: int = 8) -> None:
        self._left = left
        self._schemes: dict[tuple[int, object], tuple[Make, Scheme | ConfigurationError]] = {}
        self._likely: dict[tuple[bytes, ...], list[Candidate]] = {}

    def scheme(self, make: Make, secrets: Secrets | JWKS | KeysById) -> Scheme:
        """Return the scheme of some secrets, made once.

        Raises:
            ConfigurationError: it cannot be made of these.
        """
        given = secrets if isinstance(secrets, JWKS | KeysById) else masked(secrets)
        alike = given if not isinstance(given, list) else (*((each.get_secret_value(), each.until) for each in given),)
        key = id(make), alike
        if key not in self._schemes:
            of = cast("Callable[[Secrets | JWKS | KeysById], Scheme]", make)
            made: Scheme | ConfigurationError
            try:
                made = of(given)
            except ConfigurationError as error:
                made = error
            self._schemes[key] = make, made  # with the function, so that no other one has its id
        found = self._schemes[key][1]
        if isinstance(found, ConfigurationError):
            raise found
        return found

    def likely(self, head: RequestHead, body: bytes) -> list[Candidate]:
        """Return the senders that a request may come from, guessed once for each set of headers' names."""
        names = tuple(name for name, _ in head.headers)
        if names not in self._likely:
            self._likely[names] = candidates(head, body)
        return self._likely[names]

    def fetch(self, needed: KeysNeeded) -> None:
        """Fetch what a scheme needs.

        Raises:
            KeysUnavailable: it cannot be fetched, or too many fetches were made.
        """
        if not self._left:
            raise KeysUnavailable("the keys to verify by were fetched too often")
        self._left -= 1
        fetch_now(needed)


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """A request, and the scheme and secrets to verify it with. Its repr shows no field, since these are secret."""

    head: RequestHead
    body: bytes
    secrets: Secrets | JWKS | KeysById
    make: Make
    findings: Findings = field(default_factory=Findings)

    @property
    def headers(self) -> Headers:
        """The headers of the request's head."""
        return self.head.headers

    def scheme(self) -> Scheme:
        """Return the scheme, made of the secrets.

        Raises:
            ConfigurationError: it cannot be made of these.
        """
        return self.findings.scheme(self.make, self.secrets)

    def with_headers(self, headers: Headers) -> Case:
        """Return a case with other headers."""
        return replace(self, head=self.head._replace(headers=headers))

    def with_header(self, name: bytes, value: bytes) -> Case:
        """Return a case in which a header has the given value; the header is added if it is absent."""
        others = [(key, found) if key != name else (key, value) for key, found in self.headers]
        known = any(key == name for key, _ in others)
        return self.with_headers(others if known else [*others, (name, value)])


Suspicion = tuple[Cause, Case]
"""A possible cause, and the request as it was before that change."""


class Verdict(NamedTuple):
    """The verdict of a scheme on a case."""

    verified: Verified | None = None
    error: VerificationError | KeysUnavailable | None = None
    before_body: bool = False
    """Whether the scheme rejected the head, before it looked at the body."""

    @property
    def ok(self) -> bool:
        return self.verified is not None


def verify(case: Case, now: float) -> Verdict:
    """Return the verdict of the scheme on a case at `now`, in Unix seconds.

    Raises:
        ConfigurationError: the scheme cannot be made of these secrets.
    """
    scheme = case.scheme()
    try:
        check = _with_keys(case, lambda: scheme.verify(case.head, now))
    except (VerificationError, KeysUnavailable) as error:
        return Verdict(error=error, before_body=True)
    try:
        return Verdict(check(case.body))
    except VerificationError as error:
        return Verdict(error=error)
    except KeysNeeded:
        pass
    try:
        return Verdict(_with_keys(case, lambda: scheme.verify(case.head, now)(case.body)))
    except (VerificationError, KeysUnavailable) as error:
        return Verdict(error=error)


def _with_keys(case: Case, verify: Callable[[], R]) -> R:
    """Return the result of a verification, and fetch the keys for it.

    Raises:
        VerificationError: raised by the verification.
        KeysUnavailable: the keys cannot be fetched.
    """
    while True:
        try:
            return verify()
        except KeysNeeded as needed:
            missing = needed
        case.findings.fetch(missing)


def covers_url(case: Case) -> bool:
    """Return whether the scheme needs the URL that the sender posts to."""
    try:
        return bool(getattr(case.scheme(), "needs_url", False))
    except ConfigurationError:
        return False


def verifying_time(case: Case, now: float) -> float | None:
    """Return a time at which a case verifies: `now`, else one that its headers state; None if there is none."""
    try:
        first = verify(case, now)
        if first.ok:
            return now
        if not isinstance(first.error, StaleSignature):
            return None
        return next((time for time in stated_times(case.headers) if verify(case, time).ok), None)
    except ConfigurationError:
        return None


def stated_times(headers: Headers) -> Iterator[float]:
    """Yield the times that the headers state, in Unix seconds; one in milliseconds as it is, too, for a mistake."""
    seen: set[bytes] = set()
    for name, value in headers:
        if _SIGNATURE.search(name) or _TIMESTAMP.search(name):
            for text in _TIME.findall(value[:4096])[:4]:
                if text not in seen and len(seen) < 8:
                    seen.add(text)
                    yield from _times(text)
    yield from _token_times(headers)


def _token_times(headers: Headers) -> Iterator[float]:
    """Yield the time of issue that each token (JWT) in the first 64 headers states."""
    for found in map(_TOKEN.search, (value[:16384] for _, value in headers[:64])):
        payload = None if found is None else ENCODINGS["base64url-unpadded"].decode(found[1])
        issued = _ISSUED.search(payload or b"")
        if issued is not None:
            yield float(issued[1])


def _times(text: bytes) -> Iterator[float]:
    if not text.isdigit():
        times = (TIME_FORMATS[name].read(text) for name in ("rfc3339", "http-date"))
        yield from (time for time in times if time is not None)
        return
    number = float(text)
    yield from (number / 1000, number) if number > MILLISECONDS_FROM else (number,)


def listed_names(headers: Headers) -> list[bytes]:
    """Return the names that the header `signature-input` lists as signed; an empty list without that header."""
    listed = re.search(rb"\(([^)]{0,4096})", fields(headers).get(b"signature-input", b""))
    return re.findall(rb"(?<![@;\w.-])[\w.-]+", listed[1].lower())[:32] if listed else []


def fields(headers: Headers) -> dict[bytes, bytes]:
    """Return the first value of each of the first 64 headers, by name."""
    return dict(reversed(headers[:64]))


def printable(header: bytes) -> str:
    """Return a header's name in printable ASCII, at most 60 characters."""
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in header[:60])


_ASKED_BY_QUERY = ("hub.challenge", "validationToken", "crc_token", "challenge", "bt_challenge")
_ASKED_BY_HEADER = (b"x-okta-verification-challenge", b"webhook-request-origin", b"x-hook-secret")
_ASKED_BY_BODY = re.compile(rb'"(challenge|plainToken|validationCode|verification_token)"\s*+:\s*+"')
"""What challenges of senders have, and deliveries seldom do."""
_MAX_CHALLENGE = 16 * 1024  # bytes

_PROXIES = (b"via", b"x-forwarded-for", b"forwarded", b"x-amzn-trace-id", b"cf-ray", b"x-envoy-external-address")


def hints(case: Case, *, known: bool) -> Iterator[str]:
    """Yield sentences about a rejected request that may help.

    Args:
        case: the rejected request.
        known: whether its cause was found, so that only hints about a damaged body are of use.
    """
    certain = list(_about_body(case))
    if not known:
        certain += [*_about_challenge(case), *_about_absent(case), *_about_headers(case)]
    yield from certain
    if known:
        return
    changed = list(_about_changed(case))
    yield from changed
    present = fields(case.headers)
    proxies = [name.decode() for name in _PROXIES if name in present]
    if proxies:
        yield f"a proxy was in between ({', '.join(proxies)}): ask what it changes in requests"
    if not certain:
        why = "if it is not that" if changed else "no usual change explains it"
        yield f"{why}: check the secret first, then look at the request as it comes (capture)"


def _about_challenge(case: Case) -> Iterator[str]:
    """Yield that a request looks like one by which a sender sees that a URL is the receiver's."""
    query = {
        unquote(pair.partition("=")[0]) for pair in case.head.target.decode("latin-1").partition("?")[2].split("&")
    }
    found = [f"{each!r} in its query" for each in _ASKED_BY_QUERY if each in query]
    found += [f"its header {each.decode()}" for each in _ASKED_BY_HEADER if each in fields(case.headers)]
    found += [f"{each.decode()!r} in its body" for each in _ASKED_BY_BODY.findall(case.body[:_MAX_CHALLENGE])]
    if found:
        yield f"{MAYBE_CHALLENGE} ({found[0]}): say how the sender wants it answered, by Sender(challenges=...)"


def _about_body(case: Case) -> Iterator[str]:
    """Yield what damages a body, where it cannot be undone by trial."""
    present = fields(case.headers)
    length = present.get(b"content-length", b"")
    if not case.body and b"transfer-encoding" in present:
        yield f"the body is empty, and came in chunks: {NO_BODY}"
    elif not case.body:
        yield (
            "the body is empty: was it read before the receiver got it, or did a redirect (307, 301) lose it? "
            "A mount redirects the path without its slash (307): use hooks.route(path)"
        )
    elif length.isdigit() and len(length) < 20 and int(length) > len(case.body):
        yield f"the body has {len(case.body)} bytes, its Content-Length says {int(length)}: some were lost"
    if b"[object Object]" in case.body:
        yield "the body was parsed and written as a form: express-http-proxy does so; give it parseReqBody: false"


def _about_absent(case: Case) -> Iterator[str]:
    """Yield why signed headers are absent or repeated, where it cannot be undone by trial."""
    present = [name for name, _ in case.headers]
    for name in listed_names(case.headers):
        count = present.count(name)
        known = habit(name, absent=count == 0)
        if count == 0:
            yield f"the header {printable(name)} is signed, and absent: {known}"
        elif count > 1:
            more = "" if known is None else f": {known}"
            yield f"the header {printable(name)} is signed, and there more than once{more}"


def _about_changed(case: Case) -> Iterator[str]:
    """Yield what proxies put in the place of signed headers that are there once."""
    present = [name for name, _ in case.headers]
    for name in listed_names(case.headers):
        known = habit(name, absent=False)
        if present.count(name) == 1 and known is not None:
            if name == b"host" and case.head.url is None:
                yield "the host that was signed is tried if you give the URL that the sender posts to (--url, url=)"
            yield f"the header {printable(name)} is signed, and may be another one now: {known}"


def _about_headers(case: Case) -> Iterator[str]:
    given = preset_of(case.make)
    likely = case.findings.likely(case.head, case.body)
    other = likely[0].preset if likely else None
    if other is not None and other is not given:
        yield f"its headers are those of {other.title}"
    elif (given is None or given.headers) and not any(
        _SIGNATURE.search(name) or b"hmac" in name or _TOKEN.search(value[:16384])
        for name, value in fields(case.headers).items()
    ):
        yield "no header has a signature: the sender has no secret, a proxy dropped the header, or it was not saved"
        given = None
    absent = [] if given is None else [name for name in given.headers if name.encode() not in fields(case.headers)]
    if given is not None and absent and (other in (None, given) or len(absent) < len(given.headers)):
        yield f"without {' and '.join(absent)} nothing can be verified: it was lost on the way, or not saved"
    if any(time > MILLISECONDS_FROM for time in stated_times(case.headers)):
        yield (
            "it states a time of 13 digits or more, in milliseconds: a scheme that reads seconds takes "
            'timestamp_format="milliseconds", if the sender means it'
        )

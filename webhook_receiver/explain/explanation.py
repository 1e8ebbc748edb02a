"""Explanations of a rejected request: the scheme's verdict, step by step, and the causes that were found by trial.

A cause is a change, such as a lost newline. It is found by undoing the change and asking the scheme again.

Explanations are for tests, support and the command line. The response of a receiver says no more than *rejected*.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..asgi import BodyReader
from ..delivery import AnyHeaders, RequestHead
from ..errors import (
    AddressNotAllowed,
    BadSignature,
    BodyMismatch,
    BodyTooLarge,
    ConfigurationError,
    InvalidContentLength,
    KeysUnavailable,
    MalformedSignature,
    MethodNotAllowed,
    MissingSignature,
    RequestError,
    StaleSignature,
    UnexpectedSignature,
    UnsupportedEncoding,
    VerificationError,
)
from ..receiver import BODY_TIMEOUT, MAX_BODY
from ..senders.preset import Make
from ..senders.registry import preset_of
from ..senders.up42.signature import UNNAMED, UP42Signature
from ..signatures.jwks import JWKS
from ..signatures.keys_by_id import KeysById
from ..signatures.secrets import Secrets
from .body import body_suspicions
from .document import document_hints
from .header import header_suspicions
from .secret import key_suspicions, scheme_suspicions, secret_suspicions
from .trial import (
    Case,
    Cause,
    Suspicion,
    Verdict,
    hints,
    listed_names,
    printable,
    stated_times,
    verify,
    verifying_time,
)
from .verdict import digest_causes, stale_cause

_UNREAD: tuple[tuple[type[RequestError], Cause], ...] = (
    (
        MethodNotAllowed,
        Cause(
            "method",
            "it is no POST: a receiver answers 405, before it verifies",
            "give the sender the last URL of a redirect, which makes a GET of a POST",
        ),
    ),
    (
        UnsupportedEncoding,
        Cause(
            "content-encoding",
            "the body has a Content-Encoding: a receiver answers 415, before it verifies",
            "let the sender, or what is in between, leave it uncompressed: a signature covers the bytes as sent",
        ),
    ),
    (
        BodyTooLarge,
        Cause(
            "body-too-large",
            "the body is larger than the receiver's max_body: it answers 413, before it verifies",
            "give the receiver a larger max_body=..., and a proxy as much (nginx: client_max_body_size, 1m by default)",
        ),
    ),
    (
        InvalidContentLength,
        Cause(
            "content-length",
            "Content-Length is not a number: a receiver answers 400, before it verifies",
            "look at what in between writes it",
        ),
    ),
)
_KEYS = Cause(
    "keys-unavailable",
    "the keys to verify by cannot be fetched: a receiver answers 503, and does not know whether it is authentic",
    "see to it that they can be; the sender delivers again",
)
_STEPS: tuple[tuple[tuple[type[VerificationError], ...], str], ...] = (
    ((MissingSignature, UnexpectedSignature), "the headers are those of the scheme"),
    ((MalformedSignature,), "they can be read"),
    ((BadSignature,), "one of the secrets gives this signature"),
    ((StaleSignature,), "its time, if it states one, is within the limits"),
    ((BodyMismatch,), "it covers this body"),
)
_BEFORE = (
    (AddressNotAllowed, "it comes from an allowed address"),
    (KeysUnavailable, "the keys to verify by can be fetched"),
)
"""The conditions without which no step is reached."""
_SUSPICIONS: tuple[Callable[[Case], Iterator[Suspicion]], ...] = (
    secret_suspicions,
    key_suspicions,
    header_suspicions,
    scheme_suspicions,  # behind those: some sender has a name for every variant of the given scheme
    body_suspicions,
)
_UNCOVERED = (
    "the signature does not cover the body: anyone could have changed it",
    "the signature covers some of what the body says, and not all of its bytes: anyone could have changed the rest, "
    "such as where a form's names and values begin",
)
_MAX_BODY_FOR_PAIRS = 65_536  # bytes; there are some thousand pairs of changes


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a verification, and its result."""

    what: str
    """The condition that was checked, as a clause such as "they can be read"."""
    state: Literal["passed", "failed", "not reached"]
    """The result."""
    said: str = ""
    """The text of the scheme's error, where the step failed."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on a request, and the reasons. It holds no secret, no expected signature and no body."""

    ok: bool
    """Whether a receiver reads the request, and the scheme accepts it."""
    authentic: bool
    """Whether the scheme accepts the request at the time that its signature states: stale at worst."""
    error: str | None
    """The name of the receiver's error, such as "BodyTooLarge", or of the scheme's, such as "BadSignature"; None if the
    request is accepted."""
    verified_by: int | None
    """The index of the secret that verified the request; None if no secret did."""
    now: float
    """The time as of which the request was verified, in Unix seconds."""
    steps: tuple[Step, ...]
    """The steps of the verification, in order."""
    causes: tuple[Cause, ...] = ()
    """The causes of the rejection: with all of these changes undone, the request verifies."""
    hints: tuple[str, ...] = ()
    """Sentences about what else was noticed, and cannot be tried."""

    @property
    def failed(self) -> Step | None:
        """The first step that failed; None if none did."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        signs = {"passed": "+", "failed": "x", "not reached": " "}
        lines = [f"{signs[step.state]} {step.what}{f': {step.said}' if step.said else ''}" for step in self.steps]
        lines += [f"cause: {cause.what}; {cause.advice}" for cause in self.causes]
        lines += [f"hint: {hint}" for hint in self.hints]
        return "\n".join(line.replace("\n", "\n    ") for line in lines)


def explain(
    headers: AnyHeaders,
    body: bytes,
    secrets: Secrets | JWKS | KeysById,
    *,
    make: Make = UP42Signature,
    now: float | None,
    method: str = "POST",
    target: str | bytes = b"/",
    url: str | None = None,
    client: str | None = None,
    max_body: int = MAX_BODY,
    content_encodings: Sequence[str] | None = None,
) -> Explanation:
    """Explain why a request is accepted or rejected. The scheme decides; causes are found by trial.

    Keys that the scheme has to fetch are fetched, as by a receiver.

    Args:
        headers: the headers of the request as received.
        body: the body's bytes as received.
        secrets: the receiver's secrets, or its JWKS or `KeysById`.
        make: a function that makes the receiver's scheme of secrets: the scheme's class, or a `functools.partial` of it
            with options.
        now: the time as of which to verify, in Unix seconds; None for the time that the signature states.
        method: the request's method, for a scheme whose signatures cover it.
        target: the request's target, its path and query as sent, for a scheme that reads it.
        url: the absolute URL that the sender posted to, for a scheme whose signatures cover it or the host.
        client: the address of the peer, for a scheme that reads it.
        max_body: the receiver's largest body, in bytes.
        content_encodings: the encodings of bodies that the receiver's sender may use, such as ("gzip",); None for those
            of the sender that has this scheme.

    Raises:
        ConfigurationError: the scheme cannot be made of these secrets.
    """
    head = RequestHead.of(headers, method=method, target=target, url=url, client=client)
    case = Case(head, body, secrets, make)
    times = list(stated_times(case.headers))
    if now is None:
        now = next((time for time in times if not isinstance(verify(case, time).error, StaleSignature)), 0.0)
    explanation = _explain(case, now, times)
    unread = _unread(case, max_body, content_encodings)
    if unread is None:
        return explanation
    error, cause = unread
    return replace(
        explanation,
        ok=False,
        error=type(error).__name__,
        steps=(Step("a receiver reads it", "failed", str(error)), *explanation.steps),
        causes=(cause, *explanation.causes),
    )


def _unread(case: Case, max_body: int, encodings: Sequence[str] | None) -> tuple[RequestError, Cause] | None:
    """Return why a receiver rejects a request whatever its signature; None if it does not."""
    if encodings is None:
        preset = preset_of(case.make)
        encodings = () if preset is None else preset.sender(preset.example).content_encodings
    reader = BodyReader(max_body, BODY_TIMEOUT, encodings=encodings)
    try:
        if case.head.method.upper() != "POST":
            raise MethodNotAllowed("it takes POST only")
        reader.check_headers(case.headers)
        reader.check_body((), case.body)
    except RequestError as error:
        return error, next(cause for kind, cause in _UNREAD if isinstance(error, kind))
    return None


def _explain(case: Case, now: float, times: list[float]) -> Explanation:
    """Return the explanation of the scheme's verdict."""
    verdict = verify(case, now)
    if verdict.verified is not None:
        noticed = () if verdict.verified.body else (_UNCOVERED[bool(verdict.verified.contents)],)
        steps = tuple(Step(what, "passed") for _, what in _STEPS[: None if verdict.verified.body else -1])
        return Explanation(True, True, None, verdict.verified.by, now, steps, hints=(*noticed, *document_hints(case)))
    in_time = _in_time(case, verdict, times)
    causes = _causes(case, in_time, now)
    by = in_time.verified.by if in_time.verified is not None else None
    return Explanation(
        ok=False,
        authentic=in_time.ok,
        error=type(verdict.error).__name__,
        verified_by=by,
        now=now,
        steps=tuple(_named(step, listed_names(case.headers)) for step in _steps(verdict, in_time)),
        causes=tuple(causes),
        hints=(*hints(case, known=bool(causes)), *(document_hints(case) if in_time.ok else ())),
    )


def _in_time(case: Case, verdict: Verdict, times: list[float]) -> Verdict:
    """Return the verdict at the time that a stale signature states; any other verdict unchanged."""
    if not isinstance(verdict.error, StaleSignature):
        return verdict
    verdicts = (verify(case, time) for time in times)
    return next((each for each in verdicts if not isinstance(each.error, StaleSignature)), verdict)


def _steps(verdict: Verdict, in_time: Verdict) -> Iterator[Step]:
    """Yield all steps; those behind a stale signature have the result that they would have had in time."""
    for error, what in _BEFORE:
        if isinstance(verdict.error, error):
            yield Step(what, "failed", str(verdict.error))
            yield from (Step(what, "not reached") for _, what in _STEPS)
            return
    failed = _position(verdict)
    then = len(_STEPS) if in_time.ok else _position(in_time)
    for index, (_, what) in enumerate(_STEPS):
        if index == failed:
            yield Step(what, "failed", str(verdict.error))
        elif index == then:
            yield Step(what, "failed", str(in_time.error))
        else:
            yield Step(what, "passed" if index < then else "not reached")


def _named(step: Step, listed: list[bytes]) -> Step:
    """Return a step whose text names the signed header of which the scheme's error gives the position alone."""
    found = re.search(rf"number (\d+) of (\d+), {re.escape(UNNAMED)}", step.said)
    if found is None or int(found[2]) != len(listed):
        return step
    return replace(step, said=step.said.replace(found[0], printable(listed[int(found[1]) - 1])))


def _position(verdict: Verdict) -> int:
    return next((index for index, (errors, _) in enumerate(_STEPS) if isinstance(verdict.error, errors)), 0)


def _causes(case: Case, in_time: Verdict, now: float) -> list[Cause]:
    """Return the causes of a rejection: one change, or two together, and in either case a time that is off."""
    if in_time.ok:
        return [stale_cause(case, now)]
    if isinstance(in_time.error, KeysUnavailable):
        return [_KEYS]
    of_digest = list(digest_causes(case, in_time))
    if of_digest:
        return [*of_digest, *([stale_cause(case, now)] if isinstance(verify(case, now).error, StaleSignature) else [])]
    for found, before in itertools.chain(_singles(case, now), _pairs(case, now)):
        time = verifying_time(before, now)
        if time is not None:
            return [*found, *([] if time == now else [stale_cause(before, now)])]
    return []


def _singles(case: Case, now: float) -> Iterator[tuple[list[Cause], Case]]:
    for suspicions in _SUSPICIONS:
        if suspicions is not body_suspicions or _reaches_body(case, now):
            for cause, before in suspicions(case):
                yield [cause], before


def _pairs(case: Case, now: float) -> Iterator[tuple[list[Cause], Case]]:
    if len(case.body) > _MAX_BODY_FOR_PAIRS:
        return
    bodies = list(body_suspicions(case))  # once, for they take most of the time
    for first, second in itertools.combinations(_SUSPICIONS, 2):
        for cause, before in first(case):
            if second is not body_suspicions:
                yield from (([cause, other], both) for other, both in second(before))
            elif _reaches_body(before, now):
                yield from (([cause, other], replace(before, body=was.body)) for other, was in bodies)


def _reaches_body(case: Case, now: float) -> bool:
    """Return whether another body could verify: not where the head is rejected for anything but its time."""
    try:
        verdict = verify(case, now)
        return not verdict.before_body or isinstance(verdict.error, StaleSignature)
    except ConfigurationError:
        return False

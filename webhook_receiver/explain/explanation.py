"""Why a request was rejected: the scheme's own verdict step by step, and the causes that, undone, make it verify.

For tests, support and the command line; never for what a receiver answers, which says no more than *rejected*.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..delivery import AnyHeaders, RequestHead
from ..errors import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    StaleSignature,
    UnexpectedSignature,
    VerificationError,
)
from ..senders import Make
from ..senders.up42.signature import UP42Signature
from ..signatures.secrets import Secrets
from .body import body_suspicions
from .header import header_suspicions
from .secret import scheme_suspicions, secret_suspicions
from .trial import Case, Cause, Suspicion, Verdict, hints, holds, stated_times, verify
from .verdict import digest_causes, stale_cause

_STEPS: tuple[tuple[tuple[type[VerificationError], ...], str], ...] = (
    ((MissingSignature, UnexpectedSignature), "the headers are those of the scheme"),
    ((MalformedSignature,), "they can be read"),
    ((BadSignature,), "one of the secrets gives this signature"),
    ((StaleSignature,), "its time, if it states one, is within the limits"),
    ((BodyMismatch,), "it covers this body"),
)
_SUSPICIONS: tuple[Callable[[Case], Iterator[Suspicion]], ...] = (
    scheme_suspicions,
    secret_suspicions,
    header_suspicions,
    body_suspicions,
)
_LARGEST_FOR_PAIRS = 65_536  # bytes of body; there are some thousand pairs of changes


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was checked."""

    what: str
    state: Literal["passed", "failed", "not reached"]
    said: str = ""
    """What the scheme says of a failure."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What came of a request, and why. Nothing in it holds a secret, an expected signature or the body."""

    ok: bool
    """Whether the scheme takes the request; its own word."""
    authentic: bool
    """Whether it does at the time that the signature states; when `ok` is False then, it is only stale."""
    error: str | None
    """The name of the scheme's error."""
    verified_by: int | None
    """The index of the secret that verified it, if one did."""
    now: float
    """The time that it was checked against, in Unix seconds."""
    steps: tuple[Step, ...]
    causes: tuple[Cause, ...] = ()
    """The likely causes, tried: each of them undone, or all of a pair, the request verifies."""
    hints: tuple[str, ...] = ()
    """What was noticed besides, and cannot be tried."""

    @property
    def failed(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        marks = {"passed": "+", "failed": "x", "not reached": " "}
        lines = [f"{marks[step.state]} {step.what}{f': {step.said}' if step.said else ''}" for step in self.steps]
        lines += [f"cause: {cause.what}; {cause.advice}" for cause in self.causes]
        return "\n".join([*lines, *(f"hint: {hint}" for hint in self.hints)])


def explain(
    headers: AnyHeaders,
    body: bytes,
    secrets: Secrets,
    *,
    make: Make = UP42Signature,
    now: float | None,
    method: str = "POST",
    target: str | bytes = b"/",
    url: str | None = None,
) -> Explanation:
    """Explain why a request verifies or does not. The scheme decides; causes are found by trying them.

    Args:
        headers: the request's, as they came.
        body: its bytes, as they came.
        secrets: the receiver's.
        make: makes the receiver's scheme of secrets: its class, or one with options by `functools.partial`.
        now: in Unix seconds; None for the time that the signature itself states.
        method: the request's method, where the signature covers it.
        target: the request's target, its path and query as they were sent, for a scheme that reads it.
        url: the absolute URL that the sender posted to, where the signature covers it.

    Raises:
        ConfigurationError: the scheme cannot be made of these secrets.
    """
    case = Case(RequestHead.of(headers, method=method, target=target, url=url), body, secrets, make)
    times = list(stated_times(case.headers))
    if now is None:
        now = next((time for time in times if not isinstance(verify(case, time).error, StaleSignature)), 0.0)
    verdict = verify(case, now)
    if verdict.verified is not None:
        seen = () if verdict.verified.body else ("the signature does not cover the body: anyone could have changed it",)
        steps = tuple(Step(what, "passed") for _, what in _STEPS[: None if verdict.verified.body else -1])
        return Explanation(True, True, None, verdict.verified.by, now, steps, hints=seen)
    in_time = _in_time(case, verdict, times)
    causes = _causes(case, in_time, now)
    by = in_time.verified.by if in_time.verified is not None else None
    return Explanation(
        ok=False,
        authentic=in_time.ok,
        error=type(verdict.error).__name__,
        verified_by=by,
        now=now,
        steps=tuple(_steps(verdict, in_time)),
        causes=tuple(causes),
        hints=tuple(hints(case, known=bool(causes))),
    )


def _in_time(case: Case, verdict: Verdict, times: list[float]) -> Verdict:
    """Return the verdict as it were at the time that a stale signature states."""
    if not isinstance(verdict.error, StaleSignature):
        return verdict
    outcomes = (verify(case, time) for time in times)
    return next((each for each in outcomes if not isinstance(each.error, StaleSignature)), verdict)


def _steps(verdict: Verdict, in_time: Verdict) -> Iterator[Step]:
    """Yield the steps up to the one that failed, and what would have come of those behind a stale one."""
    failed = _position(verdict)
    then = len(_STEPS) if in_time.ok else _position(in_time)
    for index, (_, what) in enumerate(_STEPS):
        if index == failed:
            yield Step(what, "failed", str(verdict.error))
        elif index == then:
            yield Step(what, "failed", str(in_time.error))
        else:
            yield Step(what, "passed" if index < then else "not reached")


def _position(outcome: Verdict) -> int:
    return next((index for index, (errors, _) in enumerate(_STEPS) if isinstance(outcome.error, errors)), 0)


def _causes(case: Case, in_time: Verdict, now: float) -> list[Cause]:
    """Return the causes of a rejection: one, or two that came together, and beside them a time that is off."""
    if in_time.ok:
        return [stale_cause(case, now)]
    told = list(digest_causes(case, in_time))
    if told:
        return [*told, *([stale_cause(case, now)] if isinstance(verify(case, now).error, StaleSignature) else [])]
    for found, before in itertools.chain(_singles(case, now), _pairs(case, now)):
        time = holds(before, now)
        if time is not None:
            return [*found, *([] if time == now else [stale_cause(before, now)])]
    return []


def _singles(case: Case, now: float) -> Iterator[tuple[list[Cause], Case]]:
    for suspicions in _SUSPICIONS:
        if suspicions is not body_suspicions or _reaches_body(case, now):
            for cause, before in suspicions(case):
                yield [cause], before


def _pairs(case: Case, now: float) -> Iterator[tuple[list[Cause], Case]]:
    if len(case.body) > _LARGEST_FOR_PAIRS:
        return
    bodies = list(body_suspicions(case))  # once, for they take most of the time
    for first, second in itertools.combinations(_SUSPICIONS, 2):
        for cause, before in first(case):
            if second is not body_suspicions:
                yield from (([cause, other], both) for other, both in second(before))
            elif _reaches_body(before, now):
                yield from (([cause, other], replace(before, body=was.body)) for other, was in bodies)


def _reaches_body(case: Case, now: float) -> bool:
    """Whether another body could make a difference: not where the headers alone are rejected, but for their time."""
    try:
        outcome = verify(case, now)
        return not outcome.before_body or isinstance(outcome.error, StaleSignature)
    except ConfigurationError:
        return False

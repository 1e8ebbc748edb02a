"""The rules of retry: which handlers of a claimed delivery are to run, and its settlement. Nothing is run here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from ..errors import GiveUp, Retry, Unconfirmed
from ..inbox.records import Claim, FailedAttempt, HandlerState, Settlement, State
from ..options import Backoff, Limits
from ..redaction import frames, summary
from ..routing import old_names

_LONGEST_TRACEBACK = 8192  # characters that are kept of each


class Runnable(Protocol):
    """A handler as the rules see it: a name, and its own backoff, timeout in seconds, and limits, if it has any."""

    @property
    def name(self) -> str: ...
    @property
    def backoff(self) -> Backoff | None: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def limits(self) -> Limits | None: ...


class ProcessEnded(Exception):
    """The process ended while the handler ran, and maybe because of it."""


class DeliveryProgress:
    """The progress of a claimed delivery: how far each of its handlers is, its failed attempts, its settlement.

    Args:
        claim: the delivery, and how far its handlers were when it was claimed.
        handlers: those that match it by the code of today; others that have run for it before do not count.
        backoff: for handlers that have none of their own.
    """

    def __init__(self, claim: Claim, handlers: Sequence[Runnable], backoff: Backoff) -> None:
        self._claim = claim
        self.handlers = handlers
        self.states = dict(claim.handlers)
        """The state of each handler that was run, by its name."""
        self.attempts: list[FailedAttempt] = []
        """The failed attempts under this claim."""
        self.is_careful = claim.crashes > 0
        """Whether each attempt is to be noted before it begins, since a process died with this delivery before."""
        self._backoff = backoff
        self._first: Runnable | None = None
        self._now: float | None = None
        self._old_names = (
            old_names([handler.name for handler in handlers], claim.handlers) if claim.handlers else _NO_NAMES
        )

    def name_of(self, handler: Runnable) -> str:
        """Return the name under which the inbox has the handler's state, and from which its idempotency key is made."""
        return self._old_names.get(handler.name, handler.name)

    def require(self, first: Runnable) -> None:
        """Let `first` alone decide on the settlement until it is done."""
        self._first = first
        if self.of(first).state is State.DEAD:  # somebody replayed it for one handler: that is asked again, too
            self.states[self.name_of(first)] = HandlerState(attempts=self.of(first).attempts)

    def of(self, handler: Runnable) -> HandlerState:
        """Return the state of a handler."""
        return self.states.get(self.name_of(handler), _FRESH)

    def is_due(self, handler: Runnable, now: float) -> bool:
        """Whether a handler has to run now."""
        each = self.states.get(self.name_of(handler))
        return each is None or (each.state is State.WAITING and each.due <= now)

    def is_any_due(self, now: float, paused: Collection[str]) -> bool:
        """Whether a handler would run now."""
        return any(self.is_due(handler, now) and handler.name not in paused for handler in self.handlers)

    def begin(self, handler: Runnable) -> int:
        """Count an attempt that begins; return its number."""
        each = self.of(handler)
        number = each.attempts + 1
        self.states[self.name_of(handler)] = HandlerState(
            each.state, number, each.since_replay + 1, each.due, self.is_careful, each.expected_dead
        )
        return number

    def undo(self, handler: Runnable) -> None:
        """Uncount an attempt that was interrupted from outside: it is due at once, under the same number."""
        each = self.of(handler)
        self.states[self.name_of(handler)] = each._replace(
            attempts=each.attempts - 1, since_replay=each.since_replay - 1, running=False, due=0
        )

    def done(self, handler: Runnable) -> None:
        """Record that the handler has returned."""
        each = self.of(handler)
        self.states[self.name_of(handler)] = HandlerState(State.DONE, each.attempts, each.since_replay)

    def postpone(self, handler: Runnable, due: float) -> None:
        """Let a handler wait until `due`, by the clock of the inbox, without an attempt."""
        each = self.of(handler)
        dead = None if each.expected_dead is None else max(due, each.expected_dead)
        self.states[self.name_of(handler)] = each._replace(due=due, expected_dead=dead)

    def delay(self, due: float) -> None:
        """Let all that wait, wait until `due` at least, by the clock of the inbox."""
        for handler in (*self.handlers, *((self._first,) if self._first else ())):
            if self.of(handler).state is State.WAITING:
                self.postpone(handler, max(due, self.of(handler).due))

    def failed(
        self, handler: Runnable, error: BaseException, started: float, now: float, ahead: float = 0.0
    ) -> HandlerState:
        """Record a failed attempt; return the handler's state after it: it is to run again at its time, or is dead.

        Args:
            handler: the handler that failed.
            error: what it raised; `Retry` and `GiveUp` mean what they say.
            started: when the attempt began, by the clock of the inbox.
            now: the time by that clock.
            ahead: the seconds that Unix time is ahead of it.
        """
        each = self.of(handler)
        backoff = handler.backoff or self._backoff
        wait = None if isinstance(error, GiveUp) else backoff.wait(each.since_replay)
        if wait is None:
            after = each._replace(state=State.DEAD, running=False, due=0, expected_dead=None)
        elif isinstance(error, Retry):  # which it may raise again
            dead = _finite(now + error.after * (backoff.attempts - each.since_replay))
            after = each._replace(running=False, due=now + error.after, expected_dead=dead)
        else:
            dead = _finite(now + wait + backoff.lasts(each.since_replay))
            after = each._replace(running=False, due=now + wait, expected_dead=dead)
        self.states[self.name_of(handler)] = after
        is_last = after.state is State.DEAD
        said = (
            f"Retry: no attempt of {backoff.attempts} is left"
            if is_last and isinstance(error, Retry)
            else summary(error)
        )
        traceback = (
            ""
            if isinstance(error, Retry | GiveUp | Unconfirmed | ProcessEnded)
            else frames(error)[-_LONGEST_TRACEBACK:]
        )
        self.attempts.append(
            FailedAttempt(
                handler=handler.name,
                number=each.attempts,
                started=started + ahead,
                seconds=max(0.0, now - started),
                outcome="dead" if is_last else "retry",
                error=said,
                traceback=traceback,
            )
        )
        return after

    def settlement(self, now: float, paused: Collection[str] = (), *, notify: bool = False) -> Settlement:
        """Return the settlement of what was reached by `now`.

        Args:
            now: the time in Unix seconds.
            paused: the names of the handlers that are paused.
            notify: whether there are dead-letter handlers.
        """
        self._now = now
        if self._claim.state is State.DEAD:
            return self._wait(State.DEAD, self.handlers, paused, self._claim.reason)  # whatever became of them
        if self._first is not None and (first := self.of(self._first)).state is not State.DONE:
            name = self._first.name
            if first.state is State.DEAD:
                return self.buried(self._why_dead([name]), notify=notify)
            paused_by = name if name in paused else None
            return self._settle(State.WAITING, due=None if paused_by else first.due, paused_by=paused_by)
        left = [handler for handler in self.handlers if self.of(handler).state is not State.DONE]
        if self.handlers and not left:
            return self._settle(State.DONE)
        if any(self.of(handler).state is State.WAITING for handler in left):
            return self._wait(State.WAITING, left, paused)
        if left:
            return self.buried(self._why_dead([handler.name for handler in left]), notify=notify)
        gone = "the handlers that wanted it are gone" if self._claim.handlers else "no handler wants it"
        return self._settle(State.UNHANDLED, reason=gone)

    def _wait(
        self, state: State, handlers: Sequence[Runnable], paused: Collection[str], reason: str | None = None
    ) -> Settlement:
        """Return the settlement of a delivery that is due when one of these handlers is, if any of them waits."""
        waiting = {handler.name: each.due for handler in handlers if (each := self.of(handler)).state is State.WAITING}
        dues = [due for name, due in waiting.items() if name not in paused]
        paused_by = next((name for name in waiting if name in paused), None)
        return self._settle(state, due=min(dues, default=None), paused_by=paused_by, reason=reason)

    def buried(self, reason: str, *, notify: bool, now: float | None = None) -> Settlement:
        """Return the settlement of a delivery that is dead for this reason; due if there are dead-letter handlers."""
        self._now = self._now if now is None else now
        return self._settle(State.DEAD, due=0 if notify else None, reason=reason)

    def _settle(
        self, state: State, *, due: float | None = None, paused_by: str | None = None, reason: str | None = None
    ) -> Settlement:
        return Settlement(self._claim, state, self.states, due, paused_by, reason, self.attempts, self._now)

    def _why_dead(self, dead: Sequence[str]) -> str:
        last = {attempt.handler: attempt.error for attempt in self.attempts}
        return "; ".join(f"{name}: {last.get(name, 'dead since an earlier attempt')}" for name in dead)


_FRESH = HandlerState()
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


def _finite(time: float) -> float | None:
    """Return a time, or None for one that is too far away for a number: it would be no JSON."""
    return time if math.isfinite(time) else None

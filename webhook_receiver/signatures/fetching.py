"""What a scheme needs to have fetched before it can verify a request, such as keys or a tenant's secrets.

Theory of operation
-------------------
A scheme does no I/O. One that lacks a key raises `KeysNeeded`, with a function that fetches it into a `FetchCache`; the
receiver awaits that function and verifies the request again. A request whose keys are at hand never waits, and costs
nothing more.

A cache has one fetch at a time for each key of its own, however many requests wait for it, and that fetch goes on when
such a request goes away. Between two fetches of the same key lies an interval, whatever strangers send. A request that
needs a newer one within it is not rejected for good, since a stranger may have caused the last fetch just before the
sender published a key: it is to come again. Where `absent_for` is given, that there is no value is an answer for so
long, and then it is looked for again. All numbers are bounded: of values, of keys that were not found, of fetches at
once, of those that wait for their turn, and of requests that wait. Keys with a value have bounds apart from those
without, which strangers may have made up; and where no fetch can begin, a value that is not too old is used. Where
others wait for their turn, the oldest fetches make room if they are slow. So who makes up keys keeps another one out
only if there are more than wait for their turn, or if theirs take longer than a request waits. Times are those of the
receiver's clock, which comes with each request."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from ..errors import ConfigurationError, KeysUnavailable
from ..options import is_number
from ..redaction import place_of

logger = logging.getLogger("webhook_receiver")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")

INTERVAL = 30.0
"""The seconds between two fetches of the same value, also of one that there is not."""
PAUSE = 5.0
"""The seconds after a failed fetch for which no other is tried, where nothing can be used meanwhile."""
MAX_WAIT = 10.0
"""The seconds for which a request may wait for all that it needs."""

_AHEAD = 300.0  # seconds
SLOW = 2.5
"""The seconds after which a fetch may be given up for another one."""

_MAX_WAITING = 64  # requests for one key
_MAX_WAITING_IN_ALL = 256  # for keys with a value; of the others, the receiver bounds the bodies that wait
_MAX_REFUSED = 4096  # keys whose refusals are remembered
_LEAST_GAP, _MOST_GAP = 10.0, 600.0  # seconds between two refusals of a key, as they count
_MAX_FETCHES = 64  # at once, of keys with a value, and as many of those without
MAX_QUEUED = 256
"""The number of fetches that wait for their turn, of keys with a value, and as many of those without."""
_ROUNDS = 3  # fetches that one request may need one after the other, such as a tenant's secrets, then his keys


class KeysNeeded(Exception):
    """Raised by a scheme in `verify`, or in its check of the body, for a request whose keys are not at hand.

    Args:
        fetch: a function that fetches them; it raises KeysUnavailable if it cannot.
        are_known: whether some were fetched before, so that they are none that a stranger made up.
    """

    def __init__(self, fetch: Callable[[], Awaitable[None]], *, are_known: bool = False) -> None:
        super().__init__("the keys to verify by have to be fetched first")
        self.fetch = fetch
        self.are_known = are_known


async def with_keys(verify: Callable[[], R], needed: KeysNeeded) -> R:
    """Return the result of a verification, once what it needs was fetched.

    Args:
        verify: the verification.
        needed: what it has raised.

    Raises:
        KeysUnavailable: the keys cannot be fetched, or not in time.
        VerificationError: raised by the verification.
    """
    needed.__traceback__ = None  # it is the context of what is raised from here, and its frames have the request
    try:
        async with asyncio.timeout(MAX_WAIT):
            for _ in range(_ROUNDS):
                await needed.fetch()
                try:
                    return verify()
                except KeysNeeded as again:
                    needed = again
    except TimeoutError:
        raise KeysUnavailable(f"the keys to verify by were not there within {MAX_WAIT:g} s") from None
    raise KeysUnavailable("the keys to verify by were fetched, and others are needed now")


def fetch_now(needed: KeysNeeded) -> None:
    """Fetch what is needed from code that is not async, whether an event loop runs or not: a test, a command.

    Raises:
        KeysUnavailable: the keys cannot be fetched, or not in time.
    """
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(with_keys(lambda: None, needed))).result()


@dataclass(slots=True, repr=False)
class _Entry(Generic[V]):
    """A value that was fetched. Its repr does not show it, since it may be a secret."""

    value: V
    fetched: float
    tried: float
    """The time of the last fetch, also of one that failed."""
    failure: str | None = None
    """Why the last fetch failed; None if it did not."""
    refused: float | None = None
    """The time at which a fetch was last refused for load; None if none was since the value was fetched."""


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A fetch that is under way."""

    has_value: bool
    """Whether its key has a value already."""
    begun: float | None = None
    """The time at which it began; None while it waits for its turn."""
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is its turn."""
    task: asyncio.Task[str | None] = field(init=False)
    waiting: int = 0
    """The number of requests that wait for it."""


class _Refused(NamedTuple):
    """The refusals of a key by the limit of fetches: the first time, the last, and the seconds before that one."""

    first: float
    last: float
    gap: float | None = None

    def comes_again(self, now: float) -> bool:
        """Return whether it is likely to: it did, and three times as long has not passed since, as of a back-off."""
        return self.gap is not None and _is_within(3 * min(max(self.gap, _LEAST_GAP), _MOST_GAP), self.last, now)


class FetchCache(Generic[K, V]):
    """Values by keys, fetched when a verification needs them. See the top of this module.

    Args:
        load: a function of a key that returns its value, or None if there is none. It may raise KeysUnavailable, whose
            message is told in the log; of any other error no more than its class is told.
        what: the name of what it loads, for errors, such as "the keys of example.com".
        lifetime: the seconds after which a value is fetched again.
        max_stale: the seconds beyond that for which it is used while it cannot be fetched.
        timeout: the seconds that a fetch may take.
        size: the number of values that are kept; the one that was not used for longest goes first.
        most_fetches: the number of fetches within `INTERVAL` of keys without a value, which strangers can make up; None
            for no limit. The second half of them is for keys that are asked for again and again, by the age of their
            first refusal. One that was fetched in vain begins anew, so that made-up keys, however many take turns,
            come before a genuine one no more than once each.
        absent_for: the seconds for which it is an answer that there is no value; None to have such requests come again
            until `INTERVAL` has passed.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V | None]],
        *,
        what: str,
        lifetime: float,
        max_stale: float = 0,
        timeout: float = 5,
        size: int = 1,
        most_fetches: int | None = None,
        absent_for: float | None = None,
    ) -> None:
        self._load = load
        self._what = what
        self._lifetime = lifetime
        self._max_stale = max_stale
        self._timeout = timeout
        self._size = size
        self._known: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._absent: OrderedDict[K, float] = OrderedDict()
        """The time at which it was known that there is no value, by key."""
        self._failed: OrderedDict[K, tuple[float, str]] = OrderedDict()
        """The time and the reason of a failed fetch of a key without a value."""
        self._fetches: dict[K, _UnderWay] = {}
        """The fetches that are under way, the oldest first."""
        self._now = 0.0
        """The time of the last request."""
        self._absent_for = absent_for
        self._most_fetches = most_fetches
        self._begun: list[float] = []
        """The times of the fetches of keys without a value within the last interval, where their number is limited."""
        self._refused: OrderedDict[K, _Refused] = OrderedDict()
        """The refusals by that limit, by key, since the key's last fetch."""

    def get(self, key: K, now: float) -> V | None:
        """Return a value; None if there is none, as a fetch has told since the request came.

        Args:
            key: its key.
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: it has to be fetched first.
        """
        entry = self._known.get(key)
        if entry is not None:
            is_stale_at_worst = (entry.failure is not None and _is_within(INTERVAL, entry.tried, now)) or (
                entry.refused is not None and _is_within(PAUSE, entry.refused, now)
            )
            if _is_within(self._longest if is_stale_at_worst else self._lifetime, entry.fetched, now):
                self._known.move_to_end(key)
                return entry.value
        elif (at := self._absent.get(key)) is not None and (
            _is_since(at, now) or (self._absent_for is not None and _is_within(self._absent_for, at, now))
        ):
            return None
        raise KeysNeeded(partial(self._fetch, key, now, must=False), are_known=entry is not None)

    def renew(self, key: K, now: float) -> None:
        """Have a value fetched again, with which a request did not verify, unless it was since the request came.

        Args:
            key: its key.
            now: the time in Unix seconds.

        Raises:
            KeysNeeded: it is to be fetched; which fails within the interval, since there may be another value by now.
        """
        entry = self._known.get(key)
        if entry is None or entry.failure is not None or not _is_since(entry.tried, now):
            raise KeysNeeded(partial(self._fetch, key, now, must=True), are_known=entry is not None)

    def last(self, key: K) -> V | None:
        """Return the value that was fetched last, however old; None if there is none."""
        entry = self._known.get(key)
        return None if entry is None else entry.value

    @property
    def _longest(self) -> float:
        return self._lifetime + self._max_stale

    async def _fetch(self, key: K, now: float, *, must: bool) -> None:
        """Fetch a value, or wait for the fetch that is under way.

        Args:
            key: its key.
            now: the time in Unix seconds.
            must: whether a value that is known, and not too old, will not do.

        Raises:
            KeysUnavailable: it cannot be fetched.
        """
        entry = self._known.get(key)
        is_known = entry is not None and _is_within(self._longest, entry.fetched, now)
        failed, why = self._failed.get(key, (None, None)) if entry is None else (entry.tried, entry.failure)
        if failed is not None and why is not None and _is_within(INTERVAL if is_known else PAUSE, failed, now):
            if must or not is_known:
                raise KeysUnavailable(why)
            return
        absent = self._absent.get(key) if self._absent_for is None else None
        last = absent if entry is None else entry.tried if must else None
        if last is not None and not _is_since(last, now) and _is_within(INTERVAL, last, now):
            raise KeysUnavailable(f"{self._what} may be others by now, and were fetched within {INTERVAL:g} s")
        try:
            fetch = self._under_way(key, now, has_value=entry is not None, may_queue=must or not is_known)
        except KeysUnavailable as refusal:
            if entry is None or must or not is_known:
                raise
            entry.refused = now
            logger.warning("%s; those of before are used", refusal)
            return
        fetch.waiting += 1
        try:
            await asyncio.wait([fetch.task])  # which leaves it running if this request goes away
        finally:
            fetch.waiting -= 1
        error = f"the fetch of {self._what} was given up" if fetch.task.cancelled() else fetch.task.result()
        if error is not None:
            if entry is None or must or not is_known:
                raise KeysUnavailable(error)
            if fetch.task.cancelled():
                entry.refused = now

    def _under_way(self, key: K, now: float, *, has_value: bool, may_queue: bool) -> _UnderWay:
        """Return the fetch of a value to wait for: the one under way, or a new one, which may have to wait its turn.

        Raises:
            KeysUnavailable: there are too many.
        """
        loop, self._now = asyncio.get_running_loop(), now
        for other, each in [*self._fetches.items()]:  # of a loop that is gone, or of the process before a fork
            if each.task.get_loop() is not loop:
                del self._fetches[other]
        fetch = self._fetches.get(key)
        if fetch is not None and fetch.waiting >= _MAX_WAITING:
            raise KeysUnavailable(f"too many requests wait for {self._what}")
        beside = [each for each in self._fetches.values() if each.has_value is has_value and each is not fetch]
        if has_value and sum(each.waiting for each in beside) >= _MAX_WAITING_IN_ALL:
            why = f"too many requests wait for {self._what}"
            if not self._give_up(beside, 1, why):
                raise KeysUnavailable(why)
        if fetch is not None:
            return fetch
        queued = sum(each.begun is None for each in beside)
        is_free = len(beside) - queued < _MAX_FETCHES
        if not is_free:
            why = f"too many fetches of {self._what} at once"
            given_up = self._give_up(beside, queued + 1, why)
            is_free = given_up > queued
            if not is_free and (not may_queue or queued - given_up >= MAX_QUEUED):
                raise KeysUnavailable(why)
        if self._most_fetches is not None and not has_value:
            self._count(key, now, self._most_fetches)
        fetch = self._fetches[key] = _UnderWay(has_value)
        # In a context of its own, since it is not for the one request that happens to come first.
        fetch.task = loop.create_task(self._run(key, fetch), context=Context())
        if is_free:
            self._begin(fetch)
        return fetch

    def _begin(self, fetch: _UnderWay) -> None:
        fetch.begun = self._now
        fetch.turn.set()

    def _begin_next(self, has_value: bool) -> None:
        """Begin the fetches whose turn it is. One that nobody waits for any more is left out."""
        running = sum(each.begun is not None and each.has_value is has_value for each in self._fetches.values())
        for key, each in [*self._fetches.items()]:
            if each.has_value is not has_value or each.begun is not None:
                continue
            if running >= _MAX_FETCHES:
                return
            if each.waiting:
                self._begin(each)
                running += 1
            else:
                del self._fetches[key]
                each.task.cancel()

    def _count(self, key: K, now: float, most: int) -> None:
        """Count a fetch of a key without a value.

        Raises:
            KeysUnavailable: there were too many within the interval.
        """
        self._begun = [each for each in self._begun if _is_within(INTERVAL, each, now)]
        left = most - len(self._begun)
        refused = self._refused.pop(key, None)
        if left <= most // 2 and (refused is None or not left or left <= self._ahead(refused, now)):
            refused = _Refused(now, now) if refused is None else _Refused(refused.first, now, now - refused.last)
            _put(self._refused, key, refused, _MAX_REFUSED)
            raise KeysUnavailable(f"too many fetches of {self._what} within {INTERVAL:g} s")
        self._begun.append(now)

    def _ahead(self, refused: _Refused, now: float) -> int:
        """Return how many keys were refused before another one, and are likely to come again."""
        return sum(each.first < refused.first and each.comes_again(now) for each in self._refused.values())

    def _give_up(self, fetches: list[_UnderWay], most: int, why: str) -> int:
        """Cancel the oldest of some fetches, if they are slow, and begin those whose turn it is then.

        The requests that wait for the cancelled ones are answered 503.

        Args:
            fetches: the fetches, of keys that all have a value or all have none.
            most: the number of fetches to cancel at most.
            why: the reason, for the log.

        Returns:
            The number of fetches that were cancelled.
        """
        begun = sorted((each for each in fetches if each.begun is not None), key=lambda each: each.begun or 0.0)
        slow = [each for each in begun[:most] if each.begun is not None and self._now - each.begun >= SLOW]
        if slow:
            logger.warning("%s; %d that take longest are given up", why, len(slow))
            self._fetches = {key: each for key, each in self._fetches.items() if each not in slow}
            for each in slow:
                each.task.cancel()
            self._begin_next(slow[0].has_value)
        return len(slow)

    async def _run(self, key: K, own: _UnderWay) -> str | None:
        """Fetch a value when it is its turn, and keep it; return why that failed, None if it did not."""
        await own.turn.wait()
        now = self._now if own.begun is None else own.begun
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                value = await self._load(key)
        except KeysUnavailable as error:
            return self._note_failure(key, now, str(error))
        except Exception as error:  # of the user's own function, or a library; its text may have a secret
            if limit.expired():
                return self._note_failure(key, now, f"{self._what} took more than {self._timeout:g} s to fetch")
            return self._note_failure(key, now, f"{self._what} cannot be fetched: {place_of(error)}")
        finally:
            if self._fetches.get(key) is own:
                del self._fetches[key]
                self._begin_next(own.has_value)
        self._failed.pop(key, None)
        if value is None:
            self._known.pop(key, None)
            _put(self._absent, key, now, self._size)
        else:
            self._absent.pop(key, None)
            _put(self._known, key, _Entry(value, now, now), self._size)
        return None

    def _note_failure(self, key: K, now: float, why: str) -> str:
        entry = self._known.get(key)
        if entry is None:
            _put(self._failed, key, (now, why), self._size)
            return why
        entry.tried, entry.failure = now, why
        if _is_within(self._longest, entry.fetched, now):
            logger.warning("%s; those of before are used", why)
        return why


def _is_since(time: float, now: float) -> bool:
    """Return whether a time is no earlier than that of a request, nor far ahead, as where a clock was set back."""
    return now <= time <= now + _AHEAD


def _is_within(span: float, since: float, now: float) -> bool:
    """Return whether a time is not longer ago than a span, nor far ahead, as where a clock was set back.

    A request whose body came slowly began before what others have had fetched meanwhile.
    """
    return since == now or -_AHEAD <= now - since < span


def _put(table: OrderedDict[K, R], key: K, value: R, size: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > size:
        table.popitem(last=False)


def checked_span(name: str, seconds: float, *, least: float = 0) -> float:
    """Return a number of seconds unchanged.

    Raises:
        ConfigurationError: it is none, or not above `least`.
    """
    if not is_number(seconds) or not least < seconds < float("inf"):
        raise ConfigurationError(f"{name} is a number of seconds above {least:g}, not {seconds!r}")
    return seconds

"""The values that an inbox takes and returns: frozen records, and the states of a delivery."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from ..delivery import Delivery

MOST_CONTEXT = 1024
"""Number of characters of a `Delivery.context`, at most."""
MOST_EXPECTED_DEAD = 1000
"""Number of deliveries in `Stats.expected_dead`, at most."""
MOST_OF_AN_ERROR = 500
"""Characters of the error of a poll that are kept."""
LATENCY_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The largest latency in each bucket but the tenth, in seconds; that has what took longer."""
MOST_COUNTED = 200
"""Number of different `Metric.what` that a process counts in a minute for a receiver, at most, `OTHER` among them."""
OTHER = "other"
"""What everything beyond that is counted as."""
LOOK = 0.05
"""Seconds that a bounded look through deliveries takes by default, about."""
OUT_OF_ORDER = 3600.0
"""Seconds by which times of receipt may be out of order for a look by `Filter.since` and `Filter.before`."""
MOST_POINTS = 20_000
"""Number of points of a series, at most."""
MOST_GROUPS = 200
"""Number of groups of dead letters, at most; those with the most deliveries."""
MOST_OF_AUDIT = 4096
"""Characters of the parameters of an audit record as JSON, at most, and of each of its texts."""
DEAD_LETTER_HANDLER = "on_dead "
"""The beginning of the names under which the states of dead-letter handlers are stored; a replay drops these states."""


class State(StrEnum):
    """The state of a delivery, or of one handler of it (which is never UNHANDLED)."""

    WAITING = "waiting"
    """A handler is left to run: now, at its time, when an older delivery is finished, or when a handler is resumed."""
    DONE = "done"
    """Every handler that matched is done."""
    UNHANDLED = "unhandled"
    """No handler matched. The delivery is kept, listed, and may be replayed."""
    DEAD = "dead"
    """A handler gave up or used up its attempts, or the body is no event. Kept until it is replayed or purged."""


REPLAYED_BY_DUPLICATES = frozenset({State.DEAD, State.UNHANDLED})
"""The states in which a delivery is replayed when the sender repeats it: no handler is done, or not every one."""


class HandlerState(NamedTuple):
    """The state of one handler of one delivery."""

    state: State = State.WAITING
    """WAITING, DONE or DEAD."""
    attempts: int = 0
    """Number of attempts that were begun, over all replays; also the number of the latest attempt."""
    since_replay: int = 0
    """Number of attempts since the delivery was put or last replayed; these count against `Backoff.attempts`."""
    due: float = 0
    """Time in seconds, by the clock of the inbox, before which a waiting handler does not run."""
    running: bool = False
    """Whether an attempt was begun and saved as begun, because an earlier one ended with its process."""
    expected_dead: float | None = None
    """Time in seconds, by the clock of the inbox, at which a waiting handler that has failed is expected to have used
    up its attempts, if all of them fail; else None."""

    def moved(self, seconds: float) -> HandlerState:
        """Return the state with its times this many seconds earlier, as when the clock is set back."""
        dead = None if self.expected_dead is None else self.expected_dead - seconds
        return self._replace(due=self.due - seconds, expected_dead=dead)


class FailedAttempt(NamedTuple):
    """One attempt of one handler that failed; stored for inspection."""

    handler: str
    """Name of the handler."""
    number: int
    """Number of the attempt, from 1."""
    started: float
    """Unix time in seconds at which the attempt began."""
    seconds: float
    """Duration of the attempt in seconds."""
    outcome: str
    """State of the handler after the attempt: "retry" or "dead"."""
    error: str
    """Class and message of the exception, or a sentence of this package's."""
    traceback: str = ""
    """Traceback as text, or an empty text."""


class Part(NamedTuple):
    """One more event of a delivery that holds several; what of it differs from the delivery's own entry."""

    number: int
    """Number of the part, from 1; the first event is part 0, the delivery itself."""
    event: str | None = None
    """As `Entry.event`."""
    key: bytes | None = None
    """As `Entry.key`."""
    identity: str | None = None
    """As `Entry.identity`."""
    ordering_key: str | None = None
    """As `Entry.ordering_key`."""
    dead: str | None = None
    """As `Entry.dead`."""
    parsed: object = None
    """As `Entry.parsed`."""


class Entry(NamedTuple):
    """A delivery to put into an inbox, and what its event says about it."""

    delivery: Delivery
    """The delivery as received."""
    event: str | None = None
    """Name of the event; None when the body is no event."""
    key: bytes | None = None
    """Deduplication key: deliveries of one receiver with the same key are one delivery, sent twice. None for a delivery
    that is a duplicate by no key.

    Deliveries with the same key also have the same identity, and if they have one, the same event.
    """
    identity: str | None = None
    """Text that says what happened; a push and a poll of one happening have the same."""
    ordering_key: str | None = None
    """Deliveries of one receiver and ordering key are handled one at a time, in order of receipt. None for no order."""
    dead: str | None = None
    """Reason why the delivery is DEAD at once, since its body is no event; None otherwise."""
    parsed: object = None
    """The event, which is not stored: a worker that gets the delivery from memory need not parse it again."""
    lasting: bool = False
    """Whether the key counts against all that is stored, and not only within the window: a copy that somebody captured
    would verify at any time."""
    parts: Sequence[Part] = ()
    """Further events of the delivery, in order."""


class Stored(NamedTuple):
    """Result of `put` for a new delivery, which is committed."""

    id: str
    """Id of the delivery; of the first part that was stored, where there are several."""
    leased: bool = False
    """Whether it was born leased, with all its parts: a worker of this process has it already."""
    known: Mapping[int, Duplicate] = MappingProxyType({})
    """The parts of the delivery that the inbox had already, so that they were not stored, by their numbers."""


class Duplicate(NamedTuple):
    """Result of `put` for a duplicate: nothing was stored, since the inbox has the delivery under another id, and each
    of its parts."""

    id: str
    """Id of the delivery that is stored."""
    replayed: bool = False
    """Whether that delivery, or one of its parts, was DEAD or UNHANDLED, and is WAITING again because of this
    duplicate."""


class Claim(NamedTuple):
    """A delivery under a lease: the claiming worker alone handles it until the lease ends."""

    delivery: Delivery
    """The delivery."""
    state: State
    """WAITING; or DEAD, when a dead-letter handler is to be called."""
    handlers: Mapping[str, HandlerState]
    """State of each handler that was run before, by its name."""
    crashes: int
    """Number of leases of this delivery that ended unsettled: the process died, or was too slow to renew."""
    reason: str | None
    """Reason why the delivery is DEAD, or None."""
    lease: Hashable
    """Token of the lease; only the store that gave it reads it."""
    parsed: object = None
    """`Entry.parsed` of a delivery that comes from memory; None for one that was read."""


class Settlement(NamedTuple):
    """The result of a claim: the delivery's new state and its handlers'. To settle it ends the lease."""

    claim: Claim
    """The claimed delivery."""
    state: State
    """Its new state."""
    handlers: Mapping[str, HandlerState]
    """State of each handler, by its name."""
    due: float | None = None
    """Time in seconds, by the clock of the inbox, at which the delivery may be claimed again; None if none makes it
    eligible."""
    paused_by: str | None = None
    """With state WAITING, or DEAD: name of a paused handler whose `resume` makes the delivery due at once."""
    reason: str | None = None
    """Reason why the delivery is DEAD or UNHANDLED."""
    attempts: Sequence[FailedAttempt] = ()
    """Failed attempts under this claim, to be stored."""
    finished: float | None = None
    """Unix time in seconds for `DeliverySummary.settled`, unless it is WAITING; None for that which `settle` gets."""


class Metric(NamedTuple):
    """What is counted, by the minute."""

    receiver: str
    """Name of the receiver."""
    what: str
    """What is counted, such as "answered 202": see the table in the guide, or `OTHER`."""
    bucket: int | None = None
    """Of something that takes time, its bucket from 0 to 9: see `LATENCY_BUCKETS`. None for what takes none."""


class PollLease(NamedTuple):
    """A lease on a source of one receiver: whoever holds it alone polls the source until the lease ends."""

    receiver: str
    """Name of the receiver."""
    source: str
    """Name of the source, which is one of this receiver's."""
    cursor: str | None
    """Where the poll goes on: the cursor of the latest `put_all`; None before the first one."""
    token: Hashable
    """Token of the lease; only the store that gave it reads it."""
    failures: int = 0
    """Number of polls in a row, up to now, that ended with an error."""


class PollOutcome(NamedTuple):
    """How a poll went: what is remembered when its lease is released."""

    error: str | None = None
    """Why it failed, of which the first `MOST_OF_AN_ERROR` characters are kept; None if it did not."""
    wait: float = 0
    """Seconds from the release before which no other lease on the source is given, but an early one."""
    stopped: bool = False
    """Whether it was stopped before it came to an end: then neither a success nor an error is remembered."""
    partial: bool = False
    """Whether its error is about a part of what there was: then it is not counted among the failures in a row."""


SUCCESS = PollOutcome()
"""The outcome of a poll that did not fail, and after which another one may begin at once."""


class Poll(NamedTuple):
    """How it stands with a source that is polled."""

    receiver: str
    """Name of the receiver."""
    source: str
    """Name of the source."""
    cursor: str | None
    """The cursor of the latest `put_all`; None before the first one."""
    leased: bool
    """Whether it is under a lease; a lease whose time is up counts until another one is given."""
    until: float | None
    """Time in seconds, by the clock of the inbox, at which that lease ends; without one, before which no other is
    given, or None if one may be at once."""
    succeeded: float | None
    """Unix time in seconds of the latest release without an error; None if there was none."""
    error: str | None
    """The error of the latest release, of `MOST_OF_AN_ERROR` characters at most; None if it had none."""
    failures: int = 0
    """Number of polls in a row, up to now, that ended with an error."""
    moved: float | None = None
    """Unix time in seconds at which the cursor became another one; None before the first one."""


class DeliverySummary(NamedTuple):
    """A stored delivery without its headers and body, as it is listed."""

    id: str
    """Id of the delivery."""
    receiver: str
    """Name of the receiver."""
    via: str
    """As `Delivery.via`."""
    event: str | None
    """Name of the event; None when the body is no event."""
    identity: str | None
    """Text that says what happened, or None."""
    received: float
    """Unix time of receipt, in seconds."""
    state: State
    """State of the delivery."""
    due: float | None
    """Time in seconds, by the clock of the inbox, at which it may be claimed, or its lease ends; None while it waits
    for an older delivery or for a paused handler, and when it is finished."""
    leased: bool
    """Whether it is under a lease; a lease whose time is up counts until another one is given."""
    paused_by: str | None
    """Name of the paused handler that it waits for, or None."""
    reason: str | None
    """Reason why it is DEAD or UNHANDLED, or None."""
    settled: float | None
    """Unix time in seconds at which it was finished, or None."""
    handlers: Mapping[str, HandlerState]
    """State of each handler that was run, by its name."""
    verified_by: int | None
    """Index of the secret that verified it; None if it came unverified, or was no push."""
    body_verified: bool
    """Whether the body is known to be the sender's; see `Delivery.body_verified`."""
    part: int = 0
    """Number of the part of a request that it is; see `Delivery.part`."""
    body_removed: bool = False
    """Whether its headers and body were removed some time after it was done; then it cannot be replayed."""
    damage: str | None = None
    """What is wrong with the stored states of its handlers, which are unknown then, so that `handlers` is empty; None
    if nothing is."""


class StoredDelivery(NamedTuple):
    """A stored delivery with all that the inbox knows of it."""

    summary: DeliverySummary
    """Its summary."""
    delivery: Delivery
    """The delivery as received."""
    attempts: Sequence[FailedAttempt]
    """Its failed attempts, in order."""
    key: bytes | None
    """Its deduplication key, or None."""
    ordering_key: str | None
    """Its ordering key, or None."""


class DamagedDelivery(NamedTuple):
    """A stored delivery that cannot be read, since its row is not what was written."""

    id: str
    """Id of the delivery, as far as it can be read."""
    reason: str
    """What is damaged."""


class Filter(NamedTuple):
    """A choice of deliveries; every field that is given narrows it further."""

    ids: Sequence[str] | None = None
    """Ids, in full."""
    states: Collection[State] | None = None
    """States of the delivery."""
    receiver: str | None = None
    """Name of the receiver."""
    event: str | None = None
    """Name of the event."""
    handler: str | None = None
    """Name of a handler that was run, and whose state is not DONE."""
    since: float | None = None
    """Unix time in seconds; deliveries received then or later."""
    before: float | None = None
    """Unix time in seconds; deliveries received earlier."""
    due_before: float | None = None
    """Time in seconds, by the clock of the inbox; deliveries that were due earlier, or under a lease whose time was up
    earlier."""
    not_receivers: Collection[str] | None = None
    """Names of receivers; deliveries of none of them."""
    id_begins: str | None = None
    """Beginning of the id."""
    ordering_key: str | None = None
    """Ordering key, in full; it is found faster with `receiver`."""
    handler_states: Collection[State] | None = None
    """With `handler`: states of that handler, in place of all that are not DONE."""
    error: str | None = None
    """What DEAD deliveries died of: the `DeadGroup.error` of `handler`, or of any."""


class Page(NamedTuple):
    """A page of deliveries, and how far a bounded look for them has come."""

    summaries: Sequence[DeliverySummary]
    """The deliveries, in the order that was asked for."""
    next: str | None
    """The cursor with which the next page goes on, also where this one is not full, or empty; None if there is no
    further delivery that matches. It stays good whatever is removed."""
    previous: str | None
    """The cursor with which a page of the other direction goes on before this one; None where this one began at an
    end and there is nothing on it."""
    reached: float | None
    """Unix time in seconds at which the last delivery that was looked at was received; None if `next` is."""


class Total(NamedTuple):
    """Number of deliveries that match a filter."""

    number: int
    """Their number, as far as they were counted."""
    is_exact: bool
    """Whether they were all counted; else there may be more."""


class DeadGroup(NamedTuple):
    """DEAD deliveries of one receiver that died in the same handler of the same error."""

    receiver: str
    """Name of the receiver."""
    handler: str | None
    """Name of the handler; None if no handler had run, as for a body that is no event."""
    error: str
    """Beginning of the error of the handler's last attempt, or of the reason without a handler: the first line up to a
    digit or a quotation mark, which mostly begin what differs from delivery to delivery."""
    number: int
    """Number of its deliveries, as far as they were counted. One that died in several handlers is in several groups."""
    newest: str
    """Id of the delivery that was received last."""
    received: float
    """Unix time in seconds at which that was."""
    example: str
    """Class and message of the error of that one."""

    @property
    def filter(self) -> Filter:
        """The filter for its deliveries."""
        states = None if self.handler is None else (State.DEAD,)
        return Filter(
            states=(State.DEAD,),
            receiver=self.receiver,
            handler=self.handler,
            handler_states=states,
            error=self.error,
        )


class DeadLetters(NamedTuple):
    """DEAD deliveries by what they died of, and how far a bounded look for them has come."""

    groups: Sequence[DeadGroup]
    """The groups, those with the most deliveries first, `MOST_GROUPS` at most."""
    number: int
    """Number of deliveries that were looked at."""
    reached: float | None
    """Unix time in seconds at which the oldest one that was looked at was received; None if all were."""


class AuditRecord(NamedTuple):
    """Record of what somebody has done with an inbox, for people."""

    at: float
    """Unix time in seconds."""
    who: str
    """Who did it, as the host of the page or command knows it."""
    action: str
    """What was done, such as "replay"."""
    parameters: Mapping[str, Any] = MappingProxyType({})
    """Parameters of the action, as JSON has them: which deliveries, which handler, for what reason."""
    deliveries: int | None = None
    """Number of deliveries that it is about; None if it is about none, or nobody knows how many."""
    number: int = 0
    """Number of the record, which the inbox gives; a later one has a higher number."""
    done: int | None = None
    """Number of deliveries with which it was done so far; None where nobody has told."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of an inbox."""

    counts: Mapping[State, int]
    """Number of deliveries in each state."""
    running: int
    """Number of WAITING deliveries under a lease; a lease whose time is up counts until another one is given."""
    oldest_waiting: float | None
    """Unix time in seconds at which the oldest WAITING delivery was received; None if none waits."""
    expected_dead: Sequence[float] = ()
    """Times in seconds, by the clock of the inbox, at which WAITING deliveries that have failed are expected to be dead
    if they go on failing, the first one first, no more than `MOST_EXPECTED_DEAD`. None waits for a paused handler."""
    paused: Mapping[str, float] = field(default_factory=dict[str, float])
    """Names of the paused handlers, and the Unix time in seconds since which each is paused."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Figures that only this kind of store has, such as its size in bytes."""

    def dead_within_hour(self, now: float) -> int:
        """Return the number of WAITING deliveries that are expected to be dead an hour after `now`.

        Args:
            now: the time by the clock of the inbox.
        """
        return sum(expected <= now + 3600 for expected in self.expected_dead)


def reset_for_replay(
    state: State, handlers: Mapping[str, HandlerState], handler: str | None = None
) -> dict[str, HandlerState]:
    """Return the states of a delivery's handlers once it is replayed, as `Inbox.replay` defines them.

    Args:
        state: the state of the delivery.
        handlers: the state of each handler, by its name.
        handler: the only handler that is to run again; None for all that the state implies.
    """
    found = {name: each for name, each in handlers.items() if not name.startswith(DEAD_LETTER_HANDLER)}
    if handler is not None:
        again = {handler}
    elif state is State.WAITING:
        again = {name for name, each in found.items() if each.state is State.WAITING}
    elif state is State.DEAD:
        again = {name for name, each in found.items() if each.state is not State.DONE}
    else:
        again = set(found)
    return found | {name: HandlerState(attempts=found.get(name, HandlerState()).attempts) for name in again}

"""Changes from listings of orders and jobs, which change while their pages are read. There are two kinds of listings:

`ByChange` is filtered by the time of the last change. If it is sorted by it, too, each page is asked for by the time at
which the last one ended, not by its number: what changes meanwhile moves to the end, and nothing moves out of sight.

`ByStart` knows only when each job was created. It is read back to the oldest job that had not ended, and at first to
its end, to find these. A few old ones are asked for by their ids instead, so that one job of last year does not have
all of this year listed.

Both go back a little: clocks are set back, and a change may be listed late. What was told already is left out by a
memory in the cursor, of ids with their last statuses. It holds the latest only. What it has forgotten is told again,
and is known to the inbox by its identity. A status that came and went between two polls is not seen, unless the API has
a history.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from ...errors import ApiError, ConfigurationError
from ..source import Changes
from .api import Connection
from .entries import OddEntry, note
from .memory import Told, Walk

logger = logging.getLogger("webhook_receiver")

BACK = timedelta(minutes=10)
"""How far each poll goes back behind the newest change, or the newest job, of the last one."""
MOST_PAGES = 10
"""Number of pages that one call reads, at most, unless they have nothing that moves the cursor."""
PATIENCE = timedelta(days=400)
"""The age at which a job that has not ended is not asked for any more. Tasking orders may be open for a year."""
_LONGEST_CALL = 240.0  # seconds after which a call returns what it has, and goes on in the next one
_MOST_STUCK = 100  # pages of one call, at most
_TICK = timedelta(milliseconds=1)  # a filter may leave out its time itself
_MOST_MISSES = 3  # polls in a row that do not find a job, which may be the API's fault
_MOST_OPEN = 60  # jobs that are asked for by their ids
_LONGEST_ID = 40  # characters of an id that is kept in the cursor
_LONGEST_LINK = 1800  # characters of a link that is kept in the cursor

_AHEAD = timedelta(days=1)  # for which a cursor in the future goes back behind the present

_EPOCH = datetime.fromtimestamp(0, UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class Item(NamedTuple):
    """An order or a job, as it was listed."""

    id: str
    """The id."""
    status: str
    """The status, as the provider spells it."""
    at: datetime
    """When it changed last. In a `ByStart` that is not read to its end: when it was created."""
    whole: dict[str, Any]
    """The whole object."""
    run: str = ""
    """What tells two times with one status apart, of a job that may be started again; empty for others."""


class Page(NamedTuple):
    """A page of a listing."""

    items: Sequence[Item]
    """The items."""
    next: str | None = None
    """What the next page is asked for by; None if this is the last one."""


Read = Callable[[Connection, datetime, str | None], Awaitable[Page]]
"""A function of a connection, the earliest time, and `Page.next`, None for the first page. It returns a page."""
One = Callable[[Connection, str], Awaitable[Item]]
"""A function of a connection and an id. It returns the item; an `ApiError` with the status 404 or 410: it is gone."""
Tell = Callable[[Connection, Item], Awaitable[Sequence[bytes]]]
"""A function of a connection and an item that is new, or has a new status. It returns the documents about it."""


def document_of(whole: object) -> bytes:
    """Return a JSON value as a document."""
    return json.dumps(whole, separators=(",", ":")).encode()


async def tell_whole(connection: Connection, item: Item) -> Sequence[bytes]:
    """Return an item's whole object as the only document about it."""
    return [document_of(item.whole)]


def item_of(whole: object, *, id: str, status: str, at: str) -> Item:
    """Return an item that an API told. One without a time is in the future, so that it moves no cursor, and is told;
    one without a status is told as well, with none.

    Args:
        whole: the whole object.
        id: the place of the id, such as "properties.taskingrequestId".
        status: the place of the status.
        at: the place of the time.

    Raises:
        ApiError: it is no object, or has no id.
    """
    name = word_of(member(whole, *id.split(".")))
    if not name:
        raise OddEntry(f"the API told something without {id}: is url the address of the right API?")
    began = moment_or_never(member(whole, *at.split(".")))
    return Item(name, word_of(member(whole, *status.split("."))), began, cast("dict[str, Any]", whole))


def word_of(value: object) -> str:
    """Return an id or a status as text; empty if it is none."""
    return "" if isinstance(value, bool) or not isinstance(value, str | int) else str(value)


def moment_or_never(text: object) -> datetime:
    """Return a time of RFC 3339, as `moment` does; a time in the future for what is none, as Go's zero time."""
    try:
        at = moment(text)
    except ApiError:
        return _NEVER
    return at if at > _EPOCH else _NEVER


def ends_with(*statuses: str) -> Callable[[Item], bool]:
    """Return the function that says whether an item has one of some statuses; upper and lower case count as equal."""
    words = frozenset(status.casefold() for status in statuses)
    return lambda item: item.status.casefold() in words


def items_of(document: object, *names: str) -> list[Any]:
    """Return the array at the first of some names in a response, or the response itself if it is one and a name is "".

    Raises:
        ApiError: there is none.
    """
    fields: dict[str, Any] = cast("dict[str, Any]", document) if isinstance(document, dict) else {"": document}
    for name in names:
        if isinstance(fields.get(name), list):
            found: list[Any] = fields[name]
            return found
    raise ApiError(f"the response has no array {names[0]!r}: is url the address of the right API?")


def next_link(connection: Connection, page: Any) -> str | None:
    """Return the URL of the next page, by the link with the relation "next" in the page's `links`; None without one.

    Raises:
        ApiError: it leads to another host, or is no plain link.
    """
    links: list[object] = member(page, "links") or []
    for link in links:
        if member(link, "rel") == "next":
            if str(member(link, "method") or "GET").upper() != "GET":
                raise ApiError("the next page is asked for by another method than GET, which this source does not do")
            return connection.same_host(member(link, "href"))
    return None


def member(document: object, *names: str) -> Any:
    """Return what is at a place in a response, by the names of members; None if there is nothing."""
    for name in names:
        document = cast("dict[str, object]", document).get(name) if isinstance(document, dict) else None
    return document


def moment(text: object) -> datetime:
    """Return a time of RFC 3339, in UTC; taken for UTC if it has no time zone.

    Raises:
        ApiError: the text is no such time.
    """
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(f"the API told the time {str(text)[:40]!r}, which is none of RFC 3339") from None


def text_of(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with microseconds and "Z"."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def cursor_at(begin: datetime) -> str:
    """Return the cursor of a first call that begins at a time."""
    return _text({"from": text_of(begin)})


def _text(state: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in state.items() if value}, separators=(",", ":"))


def _state(cursor: str) -> dict[str, Any]:
    """Return the state in a cursor.

    Raises:
        ConfigurationError: it is no cursor of these sources.
    """
    try:
        state: Any = json.loads(cursor)
        moment(state["from"])
    except (ValueError, TypeError, KeyError, ApiError):
        raise ConfigurationError("the cursor is of another source: give this source a name that was not used") from None
    return cast("dict[str, Any]", state)


def _begin(state: Mapping[str, Any], now: datetime) -> datetime:
    """Return the time from which on a cursor goes on. One in the future is of a clock that was ahead; the
    next page may begin just behind the present."""
    begin = max(moment(state["from"]), _EPOCH + BACK)
    return begin if begin <= now + BACK else now - _AHEAD


def _newest(state: Mapping[str, Any], now: datetime) -> datetime | None:
    newest = _time(state, "newest")
    return None if newest is None else min(newest, now)


async def _told_by(tell: Tell, connection: Connection, item: Item) -> Sequence[bytes]:
    """Return the documents about an item; only the item itself if what the API tells besides is odd."""
    try:
        return await tell(connection, item)
    except OddEntry as error:
        note(f"{error}: {item.id[:100]!r} is told without it")
        return await tell_whole(connection, item)


def _time(state: Mapping[str, Any], name: str) -> datetime | None:
    return moment(state[name]) if name in state else None


@dataclass(frozen=True, kw_only=True)
class ByChange:
    """A listing that is filtered by the time of the last change."""

    read: Read
    """The function that reads a page of what changed at a time or later."""
    one: One
    """The function that returns an item by its id."""
    is_sorted: bool
    """Whether the API sorts it by these times, the oldest first. Else all pages are read in one call."""
    tell: Tell = tell_whole
    """The function that makes documents of an item."""

    async def changes(self, connection: Connection, cursor: str, now: datetime) -> Changes:
        """Return what changed, and the next cursor.

        Args:
            connection: the connection to the API.
            cursor: the cursor of the last call, or of `cursor_at`.
            now: the present time. A change in the future does not move the cursor beyond it.

        Raises:
            ApiError: the API failed, or too many changes have one time.
            ConfigurationError: the cursor is of another source.
        """
        state = _state(cursor)
        begin, newest, told = _begin(state, now), _newest(state, now), Told(state)
        found: list[tuple[datetime, bytes]] = []
        is_late = _deadline()

        def known(newest: datetime | None) -> dict[str, Any]:
            return {"newest": _or_none(newest), **told.kept()}

        after: str | None = None
        for _ in range(_MOST_STUCK):
            page = await self.read(connection, begin - _TICK, after)
            for item in page.items:
                if found and is_late():
                    return Changes(_in_order(found), _text({"from": text_of(begin), **known(newest)}), more=True)
                if told.is_new(item.id, item.status + item.run):
                    found += [(item.at, document) for document in await _told_by(self.tell, connection, item)]
            times = [item.at for item in page.items]
            newest = _latest(newest, times, now)
            is_in_order = self.is_sorted and bool(times) and times == sorted(times) and begin < times[-1] <= now
            if is_in_order and (page.next or after):
                # Behind a link, something may have moved out of sight: then the next call asks for what is just later.
                further = times[-1] if after is None else begin + _TICK + timedelta.resolution
                return Changes(_in_order(found), _text({"from": text_of(further), **known(newest)}), more=True)
            if page.next is None:
                if after and found and not self.is_sorted and "again" not in state:  # for the same reason once more
                    again = {"from": text_of(begin), **known(newest), "again": True}
                    return Changes(_in_order(found), _text(again), more=True)
                begin = begin if newest is None else newest - BACK
                return Changes(_in_order(found), _text({"from": text_of(begin), **known(newest)}))
            after = page.next  # all are of one time, or are not sorted
        raise ApiError(f"{_MOST_STUCK} pages of changes have one time, or no order: the listing cannot be read on")


@dataclass(frozen=True, kw_only=True)
class ByStart:
    """A listing of jobs that can be limited only by the times when they were created, if at all."""

    read: Read
    """The function that reads a page of jobs that were created at a time or later; older ones do no harm."""
    one: One
    """The function that returns a job by its id."""
    has_ended: Callable[[Item], bool]
    """The function that says whether nothing comes after a job's status. A new word of tomorrow is no end."""
    newest_first: bool
    """Whether the API lists the newest job first. A page that is sorted so and goes back beyond the earliest time is
    the last one then; else the listing is read to its end."""
    tell: Tell = tell_whole
    """The function that makes documents of a job."""

    async def changes(self, connection: Connection, cursor: str, now: datetime) -> Changes:
        """Return what changed, and the next cursor.

        Args:
            connection: the connection to the API.
            cursor: the cursor of the last call, or of `cursor_at`.
            now: the present time. A job from the future does not move the cursor beyond it.

        Raises:
            ApiError: the API failed.
            ConfigurationError: the cursor is of another source.
        """
        state = _state(cursor)
        begin, newest, told, jobs = _begin(state, now), _newest(state, now), Told(state), _Open(state)
        found: list[tuple[datetime, bytes]] = []
        walk = Walk(state, _time(state, "endless"), now)

        async def take(item: Item) -> None:
            if told.is_new(item.id, item.status + item.run):
                found.extend([(item.at, document) for document in await _told_by(self.tell, connection, item)])
            jobs.note(item, self.has_ended(item))

        # Nothing is known yet of what is open, also where a cursor of `cursor_at` has taken the place of another one.
        is_first = newest is None or "first" in state
        reach = min(begin, now - PATIENCE) if is_first else begin

        def unfinished(after: str | None) -> str:
            page = after if len(after or "") <= _LONGEST_LINK else None
            kept = {"from": text_of(begin), "newest": _or_none(newest), "first": is_first, "page": page}
            return _text({**kept, **walk.kept(), **jobs.kept(), **told.kept()})

        is_late = _deadline()
        after: str | None = state.get("page")
        for number in range(_MOST_STUCK):
            try:
                page = await self.read(connection, reach - _TICK, after)
            except ApiError as error:
                if number or after is None or error.status not in (400, 404, 410):
                    raise
                # The link in the cursor has ended: from the front again.
                page = await self.read(connection, reach - _TICK, None)
            for item in page.items:
                if found and is_late():
                    return Changes(_in_order(found), unfinished(after), more=True)
                if item.at >= begin or item.id in jobs or not self.has_ended(item):  # else it had before
                    await take(item)
            walk.note({item.id for item in page.items})
            times = [item.at for item in page.items]
            newest = _latest(newest, times, now)
            is_last = (
                self.newest_first and len(times) > 1 and times[-1] < reach and times == sorted(times, reverse=True)
            )
            after = None if is_last else page.next
            if after is None or walk.is_endless:
                break
            if number + 1 >= MOST_PAGES and len(after) <= _LONGEST_LINK:
                return Changes(_in_order(found), unfinished(after), more=True)
        else:
            raise ApiError(f"the listing has more than {_MOST_STUCK} pages, with links that are too long to be kept")
        for id in jobs.without(walk.listed):
            try:
                item = await self.one(connection, id)
            except OddEntry as error:
                note(f"{error}: {id[:100]!r} is not told")
            except ApiError as error:
                if error.status not in (404, 410):
                    raise
                jobs.miss(id)
            else:
                await take(item)
        if newest is not None:
            # A clock that is ahead must not give up what is open: the API's own counts, if it tells one.
            begin = max(begin, jobs.begin(newest - BACK, connection.earlier(now) - PATIENCE))
        kept = {"from": text_of(begin), "newest": _or_none(newest), **jobs.kept(before=begin), **told.kept()}
        if walk.is_endless:  # which the next call says: what was found is stored first
            return Changes(_in_order(found), _text({**kept, "endless": text_of(now)}), more=True)
        return Changes(_in_order(found), _text(kept))


def _deadline() -> Callable[[], bool]:
    """Return the function that says whether a call that begins now has taken too long."""
    time = asyncio.get_running_loop().time
    end = time() + _LONGEST_CALL
    return lambda: time() > end


def _latest(newest: datetime | None, times: Sequence[datetime], now: datetime) -> datetime | None:
    """Return the latest of these times that is not in the future."""
    return max([at for at in (newest, *times) if at is not None and at <= now], default=newest)


def _or_none(at: datetime | None) -> str | None:
    return None if at is None else text_of(at)


def _in_order(found: list[tuple[datetime, bytes]]) -> list[bytes]:
    """Return the documents, those about the oldest job first."""
    return [document for _, document in sorted(found, key=lambda each: each[0])]


class _Open:
    """The jobs that had not ended when they were seen last: the oldest of them by id, the others by a time."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        ids: dict[str, int] = state.get("open", {})
        # A number has the seconds of the time, and the misses as its last digit.
        self._jobs = {id: _EPOCH + timedelta(seconds=number // 10) for id, number in ids.items()}
        self._misses = {id: number % 10 for id, number in ids.items()}
        self._unkept = _time(state, "unkept")
        """When the oldest job was created that is not kept by its id; None without any."""

    def __contains__(self, id: str) -> bool:
        return id in self._jobs

    def note(self, item: Item, has_ended: bool) -> None:
        """Take a job as it is now."""
        self._misses.pop(item.id, None)
        if has_ended:
            self._jobs.pop(item.id, None)
        else:
            self._jobs[item.id] = item.at

    def miss(self, id: str) -> None:
        """Take a job for not found, and in the end for gone."""
        self._misses[id] = self._misses.get(id, 0) + 1
        if self._misses[id] == _MOST_MISSES:
            logger.warning("a job that had not ended is gone from the API: %s", id)
            del self._jobs[id]

    def without(self, listed: set[str]) -> list[str]:
        """Return the ids of those that were not listed."""
        return [id for id in self._jobs if id not in listed]

    def begin(self, latest: datetime, earliest: datetime) -> datetime:
        """Return the time from which on the next listing has all that is not kept by id, `latest` or earlier.

        Args:
            latest: the time that it has to go back to at least.
            earliest: the time before which jobs are given up.
        """
        self._jobs = {id: at for id, at in self._jobs.items() if at >= earliest}
        self._drop()
        return latest if self._unkept is None else min(latest, self._unkept)

    def kept(self, before: datetime | None = None) -> dict[str, Any]:
        """Return what a cursor keeps of it.

        Args:
            before: the time from which on the next listing has them anyway; None in the middle of a listing.
        """
        self._drop()
        ids = {id: at for id, at in self._jobs.items() if before is None or at < before}
        numbers = {id: int((at - _EPOCH).total_seconds()) * 10 + self._misses.get(id, 0) for id, at in ids.items()}
        return {"open": numbers, "unkept": None if before else _or_none(self._unkept)}

    def _drop(self) -> None:
        """Keep the oldest jobs, and of the others the time of the oldest."""
        by_age = sorted(self._jobs.items(), key=lambda each: each[1])
        short = [each for each in by_age if len(json.dumps(each[0])) <= _LONGEST_ID]
        self._jobs = dict(short[:_MOST_OPEN])
        rest = [at for id, at in by_age if id not in self._jobs]
        if rest:
            self._unkept = rest[0] if self._unkept is None else min(rest[0], self._unkept)

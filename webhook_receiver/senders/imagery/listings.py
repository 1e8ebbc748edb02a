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

An item that cannot be told keeps no other back: it is followed as what is open is, until it can be told. A page that
fails, or an API that takes no more requests, ends the call, which returns what it has found and where to go on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ...errors import ApiError, ConfigurationError
from ..source import Changes
from .api import Connection
from .entries import OddEntry, note
from .memory import Failures, Open, Told, Walk, raise_remembered, remembered
from .times import EPOCH, moment, moment_or_never, text_of, text_or_none, time_in

BACK = timedelta(minutes=10)
"""How far each poll goes back behind the newest change, or the newest job, of the last one."""
MOST_PAGES = 10
"""Number of pages that one call reads, at most, unless they have nothing that moves the cursor."""
PATIENCE = timedelta(days=400)
"""The age at which a job that has not ended is not asked for any more. Tasking orders may be open for a year."""
_LONGEST_CALL = 240.0  # seconds after which a call returns what it has, and goes on in the next one
_MOST_STUCK = 100  # pages of one call, at most
_TICK = timedelta(milliseconds=1)  # a filter may leave out its time itself
_STOPS = (401, 429)  # an answer after which nothing else is asked for
_LONGEST_LINK = 1800  # characters of a link that is kept in the cursor

_AHEAD = timedelta(days=1)  # for which a cursor in the future goes back behind the present


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
    begin = max(moment(state["from"]), EPOCH + BACK)
    return begin if begin <= now + BACK else now - _AHEAD


def _newest(state: Mapping[str, Any], now: datetime) -> datetime | None:
    newest = time_in(state, "newest")
    return None if newest is None else min(newest, now)


class _Call:
    """A call of a listing: what it has found, and what the next cursor remembers.

    Args:
        state: the state in the cursor.
        connection: the connection to the API.
        tell: the function that makes documents of an item.
        now: the present time.

    Raises:
        ApiError: the call before this one has met it.
    """

    def __init__(self, state: Mapping[str, Any], connection: Connection, tell: Tell, now: datetime) -> None:
        raise_remembered(state, now)
        self._connection = connection
        self._tell = tell
        self._now = now
        self._is_late = _deadline()
        self._told = Told(state)
        self._failures = Failures(state)
        self.open = Open(state, now)
        self.walk = Walk(state)
        self.found: list[tuple[datetime, bytes]] = []
        self._was_tried = "tried" in state
        self._is_to_be_tried = False
        """Whether the next poll asks once more for the page that failed."""

    @property
    def is_over(self) -> bool:
        """Whether the call has taken too long, and the next one can go on."""
        return self._is_late() and (bool(self.found) or (self._failures.are_new and self._failures.are_few))

    @property
    def has_news(self) -> bool:
        """Whether the next cursor has something to keep."""
        return bool(self.found) or self._failures.are_new or self._is_to_be_tried

    async def page(
        self, read: Read, begin: datetime, after: str | None, *, may_have_ended: bool
    ) -> tuple[Page, str | None]:
        """Return a page, and what it was asked for by: None if that had ended, and the front was read again.

        Raises:
            ApiError: the API failed. If it fails at the front, too, the cursor stays: a link may work with a new token.
        """
        try:
            return await read(self._connection, begin, after), after
        except ApiError as error:
            if not may_have_ended or after is None or error.status == 429:
                raise
            if (error.status is None or error.status >= 500) and not self._was_tried:
                self._is_to_be_tried = True  # it may pass
                raise
        return await read(self._connection, begin, None), None

    def has_changed(self, item: Item) -> bool:
        """Return whether an item was told last with another status."""
        return self._told.is_known(item.id) and self._told.is_new(item.id, _mark(item))

    async def take(self, item: Item, *, has_ended: bool) -> None:
        """Tell an item if it is new; if the API fails, the next polls ask for it again.

        Raises:
            ApiError: the API takes no more requests, or not from us.
        """
        if item.id in self._failures:
            return
        if self._told.is_new(item.id, _mark(item)):
            try:
                self.found += [(item.at, document) for document in await self._documents(item)]
            except ApiError as error:
                if error.status in _STOPS:
                    raise
                self._failures.note(item.id, error)
                self.open.note(item.id, item.at, is_open=True)
                return
        self._told.note(item.id, _mark(item))
        self.open.note(item.id, item.at, is_open=not has_ended)

    async def ask(self, one: One, has_ended: Callable[[Item], bool]) -> ApiError | None:
        """Tell what is open and was not listed. Return the error if the API takes no more requests, or not from us."""
        for id in self.open.without(self.walk.listed):
            if id in self._failures:
                continue
            try:
                item = await one(self._connection, id)
                await self.take(item, has_ended=has_ended(item))
            except OddEntry as error:
                note(f"{error}: {id[:100]!r} is not told")
            except ApiError as error:
                if error.status in _STOPS:
                    return error
                if error.status in (404, 410):
                    self.open.miss(id)
                else:
                    self._failures.note(id, error)
            self.open.turn(id)
            if self._is_late():
                break  # the next poll begins with the others
        return None

    def unfinished(self, kept: Mapping[str, Any], error: ApiError | None) -> Changes:
        """Return what was found, and the cursor of what is left of this walk.

        Args:
            kept: what else the cursor keeps.
            error: the error that the next call is to raise: what was found is stored first.
        """
        state = {**kept, "tried": self._is_to_be_tried, **remembered(error, self._now), **self._failures.kept()}
        return Changes(_in_order(self.found), _text({**state, **self.open.kept(), **self._told.kept()}), more=True)

    def ended(self, begin: datetime, newest: datetime | None, error: ApiError | None) -> Changes:
        """Return what was found, and the cursor of the next walk.

        Args:
            begin: the time at which it begins.
            newest: the time of the newest change, or job.
            error: the error that the next call is to raise, as it does what has failed.
        """
        error = error or self.walk.error or self._failures.error
        kept = {"from": text_of(begin), "newest": text_or_none(newest), **remembered(error, self._now)}
        state = {**kept, **self.open.kept(before=begin), **self._told.kept()}
        return Changes(_in_order(self.found), _text(state), more=error is not None)

    async def _documents(self, item: Item) -> Sequence[bytes]:
        """Return the documents about an item; only the item itself if what the API tells besides is odd."""
        try:
            return await self._tell(self._connection, item)
        except OddEntry as error:
            note(f"{error}: {item.id[:100]!r} is told without it")
            return await tell_whole(self._connection, item)


@dataclass(frozen=True, kw_only=True)
class ByChange:
    """A listing that is filtered by the time of the last change."""

    read: Read
    """The function that reads a page of what changed at a time or later."""
    one: One
    """The function that returns an item by its id."""
    is_sorted: bool
    """Whether the API sorts it by these times, the oldest first. Else it is read to its end, and then once more."""
    tell: Tell = tell_whole
    """The function that makes documents of an item."""

    async def changes(self, connection: Connection, cursor: str, now: datetime) -> Changes:
        """Return what changed, and the next cursor.

        Args:
            connection: the connection to the API.
            cursor: the cursor of the last call, or of `cursor_at`.
            now: the present time. A change in the future does not move the cursor beyond it.

        Raises:
            ApiError: the API failed.
            ConfigurationError: the cursor is of another source.
        """
        state = _state(cursor)
        call = _Call(state, connection, self.tell, now)
        begin, newest = _begin(state, now), _newest(state, now)

        is_again = "again" in state

        def unfinished(after: str | None, error: ApiError | None = None) -> Changes:
            kept = {"from": text_of(begin), "newest": text_or_none(newest), "page": _kept_link(after)}
            news = {"again": is_again, "news": "news" in state or bool(call.found)}
            return call.unfinished({**kept, **news, **call.walk.kept()}, error)

        def anew(begin: datetime, **more: Any) -> Changes:
            return call.unfinished({"from": text_of(begin), "newest": text_or_none(newest), **more}, None)

        after: str | None = state.get("page")
        for number in range(_MOST_STUCK):
            try:
                page, after = await call.page(self.read, begin - _TICK, after, may_have_ended=not number)
                for item in page.items:
                    if call.is_over:
                        return unfinished(after)
                    await call.take(item, has_ended=True)
            except ApiError as error:
                if not number and not call.has_news:
                    raise
                return unfinished(after, error)
            call.walk.note({item.id for item in page.items})
            times = [item.at for item in page.items]
            newest = _latest(newest, times, now)
            is_in_order = self.is_sorted and bool(times) and times == sorted(times) and begin < times[-1] <= now
            if is_in_order and (page.next or after):
                # Behind a link, something may have moved out of sight: then the next call asks for what is just later.
                return anew(times[-1] if after is None else begin + _TICK + timedelta.resolution)
            if page.next is None or call.walk.is_endless:
                break
            after = page.next  # all are of one time, or are not sorted
            if number + 1 >= MOST_PAGES and _kept_link(after):
                return unfinished(after)
        else:
            return unfinished(None, _too_long())
        has_news = "news" in state or bool(call.found)
        if after and has_news and not (self.is_sorted or is_again or call.walk.is_endless):
            return anew(begin, again=True)  # for the same reason once more
        stop = await call.ask(self.one, lambda item: True)
        if newest is not None:
            begin = call.open.begin(newest - BACK, connection.earlier(now) - PATIENCE)
        return call.ended(begin, newest, stop)


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
        call = _Call(state, connection, self.tell, now)
        begin, newest = _begin(state, now), _newest(state, now)
        # Nothing is known yet of what is open, also where a cursor of `cursor_at` has taken the place of another one.
        is_first = newest is None or "first" in state
        reach = min(begin, now - PATIENCE) if is_first else begin

        def unfinished(after: str | None, error: ApiError | None = None) -> Changes:
            kept = {"from": text_of(begin), "newest": text_or_none(newest), "page": _kept_link(after)}
            return call.unfinished({**kept, "first": is_first, **call.walk.kept()}, error)

        after: str | None = state.get("page")
        for number in range(_MOST_STUCK):
            try:
                page, after = await call.page(self.read, reach - _TICK, after, may_have_ended=not number)
                for item in page.items:
                    if call.is_over:
                        return unfinished(after)
                    has_ended = self.has_ended(item)
                    # Else it had ended before. One that goes on after its end is known with another status.
                    if item.at >= begin or item.id in call.open or not has_ended or call.has_changed(item):
                        await call.take(item, has_ended=has_ended)
            except ApiError as error:
                if not number and not call.has_news:
                    raise
                return unfinished(after, error)
            call.walk.note({item.id for item in page.items})
            times = [item.at for item in page.items]
            newest = _latest(newest, times, now)
            is_last = (
                self.newest_first and len(times) > 1 and times[-1] < reach and times == sorted(times, reverse=True)
            )
            after = None if is_last else page.next
            if after is None or call.walk.is_endless:
                break
            if number + 1 >= MOST_PAGES and _kept_link(after):
                return unfinished(after)
        else:
            return unfinished(None, _too_long())
        stop = await call.ask(self.one, self.has_ended)
        if newest is not None:
            # A clock that is ahead must not give up what is open: the API's own counts, if it tells one.
            begin = max(begin, call.open.begin(newest - BACK, connection.earlier(now) - PATIENCE))
        return call.ended(begin, newest, stop)


def _mark(item: Item) -> str:
    """Return what tells one status of an item from another one."""
    return item.status + item.run


def _kept_link(after: str | None) -> str | None:
    """Return what a page is asked for by, if it is short enough for a cursor."""
    return after if len(after or "") <= _LONGEST_LINK else None


def _too_long() -> ApiError:
    return ApiError(f"the listing has more than {_MOST_STUCK} pages, with links that are too long to be kept")


def _deadline() -> Callable[[], bool]:
    """Return the function that says whether a call that begins now has taken too long."""
    time = asyncio.get_running_loop().time
    end = time() + _LONGEST_CALL
    return lambda: time() > end


def _latest(newest: datetime | None, times: Sequence[datetime], now: datetime) -> datetime | None:
    """Return the latest of these times that is not in the future."""
    return max([at for at in (newest, *times) if at is not None and at <= now], default=newest)


def _in_order(found: list[tuple[datetime, bytes]]) -> list[bytes]:
    """Return the documents, those about the oldest job first."""
    return [document for _, document in sorted(found, key=lambda each: each[0])]

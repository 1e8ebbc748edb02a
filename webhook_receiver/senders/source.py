"""Sources: what has changed, as a sender's API tells when it is asked. For senders that do not push, or not always.

A source is an async function of a cursor. It returns the changes since, as documents, and the next cursor:

    async def orders(cursor: str | None) -> Changes:
        page = await client.get("/orders", params={"after": cursor})
        return Changes([json.dumps(each).encode() for each in page["orders"]], page["next"], more=page["has_more"])

The cursor is a text that the source alone understands; it is None in the first call. The receiver keeps it, in the same
transaction as the documents before it, and asks again with the last one that it kept. So a source has no state, and may
be called with an old cursor again: after a crash, or by another process.

A document is the body of a delivery as the sender of the receiver would push it. All rules of that sender apply to it:
`decode`, `split`, `event_name`, and the identity by which what is pushed and polled is one delivery. A document has no
headers. To tell a change twice is harmless, and to leave one out loses it, so in doubt a source goes back a little.

A source raises `ApiError` if the API fails, with `retry_after` if the API says when to ask again. The errors of httpx
and requests for a status that is no success are understood, too, with their `Retry-After`.

A class may be a source, too: with `__call__`, a `name`, `cursor_at` if it can begin at a time, and `again` if it can
tell one order again. If its documents tell how many items each order has, `tells_item_count = True` says so.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol, runtime_checkable

from ..errors import ApiError, ConfigurationError
from ..options import is_name


class Changes(NamedTuple):
    """A page of what has changed, by a source."""

    documents: Sequence[bytes]
    """Bodies of deliveries, in the order in which they are to be handled, the oldest change first; maybe none."""
    cursor: str
    """Where the next call goes on: an opaque text, of at most `MOST_OF_A_CURSOR` characters."""
    more: bool = False
    """Whether there is another page behind this one, to be asked for at once."""


class NotAllTold(ApiError):
    """Some of what has changed could not be told, and will be. The rest was told, so the next poll is not put off."""


MOST_OF_A_CURSOR = 10_000
"""Number of characters of a cursor, at most."""

Source = Callable[[str | None], Awaitable[Changes]]
"""An async function of a cursor, None at first, that returns what has changed since. See the top of this module."""


@runtime_checkable
class StartsAt(Protocol):
    """A source that can begin at a time, as `webhook-receiver poll --since 2d` asks it to."""

    def cursor_at(self, moment: datetime, /) -> str:
        """Return the cursor from which on the source tells what has changed at a moment or later.

        Args:
            moment: the moment, with a time zone.
        """
        ...


@runtime_checkable
class TellsAgain(Protocol):
    """A source that can tell one of its orders again, as where the download links in a document have ended."""

    async def again(self, id: str, /) -> Sequence[bytes]:
        """Return the documents about an order as it is now.

        Args:
            id: the id of the order, as its events have it.

        Raises:
            ApiError: the API failed; with the status 404 if there is no such order.
        """
        ...


def tells_item_count(source: object) -> bool:
    """Return whether the documents of a source tell how many items an order has, as its attribute says."""
    return getattr(source, "tells_item_count", False) is True


def source_name(source: Source) -> str:
    """Return the name of a source, under which its cursor is stored: its `name`, or else the function's own.

    Args:
        source: the source.

    Raises:
        ConfigurationError: it is no function of a cursor, or has no name.
    """
    given: object = source
    if not callable(given) or isinstance(given, type):
        what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise ConfigurationError(f"a source is an async function of a cursor that returns Changes(...), not {what}")
    name: object = getattr(given, "name", None) or getattr(given, "__name__", None)
    if not is_name(name) or name == "<lambda>":
        raise ConfigurationError(
            "a source needs a name, under which its cursor is kept: write it as `async def orders(cursor)`, or give "
            f'its class a `name`, such as "orders", in one line without white space around it; not {name!r}'
        )
    return name


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait (RFC 9110, section 10.2.3); None if it does not.

    Args:
        value: the header's value, a number of seconds or a date; None without one.
        now: the present time, in Unix seconds.
    """
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def api_error(error: Exception, now: float) -> ApiError | None:
    """Return an error as an ApiError: it is one, or one of httpx or requests that has a response; None for any other.

    The message of theirs is left out, since it has the URL, which may hold a key.

    Args:
        error: the error.
        now: the present time, in Unix seconds.
    """
    if isinstance(error, ApiError):
        return error
    response: object = getattr(error, "response", None)
    status: object = getattr(response, "status_code", None)
    if not isinstance(status, int):
        return None
    headers: object = getattr(response, "headers", None)
    get = getattr(headers, "get", None)
    value: object = get("retry-after") if callable(get) else None
    wait = retry_after(value, now) if isinstance(value, str) else None
    return ApiError(f"the API answered {status}", status=status, retry_after=wait)

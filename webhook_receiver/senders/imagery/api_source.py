"""Sources that ask a provider's API: how each listing of it is read is in the provider's module."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ...errors import ConfigurationError
from ...options import is_name
from ..source import Changes
from .api import Api, Connection
from .listings import ByChange, ByStart, cursor_at

_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)


class Listing(Protocol):
    """How a listing is read, such as `ByChange` or `ByStart`."""

    async def changes(self, connection: Connection, cursor: str, now: datetime) -> Changes:
        """Return what has changed since a cursor."""
        ...


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiSource:
    """A source that asks a provider's API, see `webhook_receiver.senders.source`. It has no state.

    `dataclasses.replace(source, since=timedelta(days=30))` returns the same source with some parts changed.

    Raises:
        ConfigurationError: a part cannot work.
    """

    name: str
    """The name under which the cursor is kept. Two sources of one receiver, say of two accounts, need two names."""
    api: Api
    """The API."""
    listing: Listing
    """How the API's listing is read."""
    since: timedelta = timedelta(days=1)
    """How far the first call goes back. Orders and jobs that are older and have not ended are told, too, by an API that
    has no times of changes; else they are told when they change."""
    tells_item_count: bool = False
    """Whether its documents tell how many items each order has, for `Router.on(..., whole_order=True)`."""
    clock: Callable[[], float] = time.time
    """Returns the time in Unix seconds."""

    def __post_init__(self) -> None:
        since: object = self.since
        if not is_name(self.name):
            raise ConfigurationError(f"a source needs a name, such as planet-orders, not {self.name!r}")
        if not isinstance(since, timedelta) or since < timedelta(0):
            raise ConfigurationError(f"since is a timedelta of 0 or more, not {self.since!r}")

    async def __call__(self, cursor: str | None) -> Changes:
        """Return what has changed since a cursor, None at first.

        Raises:
            ApiError: the API failed.
            ConfigurationError: the cursor is of another source.
        """
        now = datetime.fromtimestamp(self.clock(), UTC)
        async with self.api.connected() as connection:
            begin = self.cursor_at(now - min(self.since, now - _EARLIEST)) if cursor is None else cursor
            return await self.listing.changes(connection, begin, now)

    def cursor_at(self, moment: datetime, /) -> str:
        """Return the cursor from which on the source tells what has changed at a moment or later."""
        return cursor_at(moment)

    async def again(self, id: str, /) -> Sequence[bytes]:
        """Return the documents about an order or a job as it is now. Their download links are new, where links end.

        Args:
            id: the id, as the event has it.

        Raises:
            ApiError: the API failed; with the status 404 if there is no such order.
            ConfigurationError: the API has no listing of orders or jobs, but of notifications.
        """
        listing = self.listing
        if not isinstance(listing, ByChange | ByStart):
            raise ConfigurationError(f"the source {self.name} cannot ask for one of its documents again")
        async with self.api.connected() as connection:
            return await listing.tell(connection, await listing.one(connection, id))

    def __repr__(self) -> str:
        return f"<ApiSource {self.name}: {self.api!r}>"

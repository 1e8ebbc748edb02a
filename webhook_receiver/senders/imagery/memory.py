"""What a cursor of a listing remembers: what was told last, and whether the listing brings anything new."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from ...errors import ApiError

_MOST_TOLD = 380  # entries of the memory
_MOST_IDLE = 50  # pages in a row with nothing that the listing has not told before
_LAST_CALL = timedelta(seconds=30)  # after which a call is not the next one of a poll


class Told:
    """The ids that were told, the latest of them, each with the status that it was told with last."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        text: str = state.get("told", "")
        marks = [text[at : at + 12] for at in range(0, len(text), 12)]
        self._statuses = {mark[:8]: mark[8:] for mark in marks}

    def is_new(self, id: str, status: str) -> bool:
        """Return whether a job was told last with another status, if ever, and take it for told with this one."""
        id, status = _digest(id, 6), _digest(status, 3)
        is_new = self._statuses.pop(id, "") != status
        self._statuses[id] = status  # at the end: it is the latest
        return is_new

    def kept(self) -> dict[str, str]:
        """Return what a cursor keeps of it."""
        return {"told": "".join([id + status for id, status in self._statuses.items()][-_MOST_TOLD:])}


class Walk:
    """A listing as it is read page by page, by one call or several: it has to bring something new.

    Args:
        state: the state in the cursor.
        ended: when a call found that the listing does not end; None for never.
        now: the present time.

    Raises:
        ApiError: it was the call before this one.
    """

    def __init__(self, state: Mapping[str, Any], ended: datetime | None, now: datetime) -> None:
        if ended is not None and abs(now - ended) < _LAST_CALL:
            raise ApiError(f"the listing does not end: {_MOST_IDLE} pages in a row have nothing that is new")
        self.listed: set[str] = set()
        """The ids that were listed by this call."""
        self._idle: int = state.get("idle", 0)
        self._last: str = state.get("last", "")

    def note(self, ids: set[str]) -> None:
        """Take a page for read, with these ids."""
        last = _digest("\n".join(sorted(ids)), 6)
        is_new = not ids <= self.listed and last != self._last
        self._idle, self._last = 0 if is_new else self._idle + 1, last
        self.listed |= ids

    @property
    def is_endless(self) -> bool:
        """Whether too many pages in a row had nothing new."""
        return self._idle >= _MOST_IDLE

    def kept(self) -> dict[str, Any]:
        """Return what a cursor keeps of it."""
        return {"idle": self._idle, "last": self._last}


def _digest(text: str, size: int) -> str:
    return b64encode(blake2b(text.encode("utf-8", "replace"), digest_size=size).digest()).decode()

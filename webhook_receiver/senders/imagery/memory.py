"""What a cursor of a listing remembers: what was told last, what is open, what failed, and whether anything is new.

A call that finds something and then fails returns what it has found, and leaves the error in the cursor: the next call,
which comes at once, raises it.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from ...errors import ApiError
from ..source import NotAllTold
from .entries import note
from .times import EPOCH, text_or_none, time_in

logger = logging.getLogger("webhook_receiver")

_MOST_TOLD = 320  # entries of the memory
_MOST_IDLE = 50  # pages in a row with nothing that the listing has not told before
_MOST_FAILED = 20  # items that are not asked for again in the same walk
_MOST_OF_AN_ERROR = 200  # characters
_NEXT_CALL = timedelta(seconds=5)  # after which a call is not the next one of a poll
_MOST_MISSES = 3  # times in a row that a job is not found, which may be the API's fault
_MISS = timedelta(hours=12)  # between two such times, at least
_MOST_OPEN = 60  # jobs that are asked for by their ids
_LONGEST_ID = 40  # characters of an id that is kept in the cursor


class Told:
    """The ids that were told, the latest of them, each with the status that it was told with last."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        text: str = state.get("told", "")
        marks = [text[at : at + 12] for at in range(0, len(text), 12)]
        self._statuses = {mark[:8]: mark[8:] for mark in marks}

    def is_known(self, id: str) -> bool:
        """Return whether a job was told, as far as this goes back."""
        return _digest(id, 6) in self._statuses

    def is_new(self, id: str, status: str) -> bool:
        """Return whether a job was told last with another status, if ever."""
        return self._statuses.get(_digest(id, 6)) != _digest(status, 3)

    def note(self, id: str, status: str) -> None:
        """Take a job for told with a status."""
        digest = _digest(id, 6)
        self._statuses.pop(digest, None)
        self._statuses[digest] = _digest(status, 3)  # at the end: it is the latest

    def kept(self) -> dict[str, str]:
        """Return what a cursor keeps of it."""
        return {"told": "".join([id + status for id, status in self._statuses.items()][-_MOST_TOLD:])}


class Walk:
    """A listing as it is read page by page, by one call or several: it has to bring something new.

    Args:
        state: the state in the cursor.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
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

    @property
    def error(self) -> ApiError | None:
        """The error of a listing that does not end; None of any other."""
        if not self.is_endless:
            return None
        return ApiError(f"the listing does not end: {_MOST_IDLE} pages in a row have nothing that is new")

    def kept(self) -> dict[str, Any]:
        """Return what a cursor keeps of it."""
        return {"idle": self._idle, "last": self._last}


class Failures:
    """The items that could not be told while a listing was read, by one call or several. The next walk tries again.

    Args:
        state: the state in the cursor.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        kept: dict[str, Any] = state.get("failed", {})
        text: str = kept.get("ids", "")
        self._ids = {text[at : at + 8]: None for at in range(0, len(text), 8)}
        self._before = len(self._ids)
        self.error = _error_of(kept["error"]) if kept else None
        """The error of the last one; None without any."""

    def __contains__(self, id: str) -> bool:
        return _digest(id, 6) in self._ids

    def note(self, id: str, error: ApiError) -> None:
        """Take an item for failed."""
        note(f"{error}: {id[:100]!r} is asked for again by the next polls")
        self._ids[_digest(id, 6)] = None
        said = f"what is listed cannot be told in full, and is asked for again: {error}"
        self.error = NotAllTold(said, status=error.status, retry_after=error.retry_after)

    @property
    def are_new(self) -> bool:
        """Whether this call has met some."""
        return len(self._ids) > self._before

    @property
    def are_few(self) -> bool:
        """Whether the next call can pass over all of them."""
        return len(self._ids) <= _MOST_FAILED

    def kept(self) -> dict[str, Any]:
        """Return what a cursor keeps of it."""
        if self.error is None:
            return {}
        return {"failed": {"ids": "".join([*self._ids][-_MOST_FAILED:]), "error": _kept_of(self.error)}}


def remembered(error: ApiError | None, now: datetime) -> dict[str, Any]:
    """Return what a cursor keeps of an error that the next call is to raise; nothing if there is none."""
    return {} if error is None else {"error": [int(now.timestamp()), *_kept_of(error)]}


def raise_remembered(state: Mapping[str, Any], now: datetime) -> None:
    """Raise the error that the call before this one has left in the cursor, if this is the next one of the same poll.

    Raises:
        ApiError: it has left one.
    """
    if "error" in state:
        at, *kept = state["error"]
        if abs(now.timestamp() - at) < _NEXT_CALL.total_seconds():
            raise _error_of(kept)


def _kept_of(error: ApiError) -> list[Any]:
    # Without what JSON escapes, which would be longer.
    said = str(error).encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
    return [said[:_MOST_OF_AN_ERROR], error.status, error.retry_after, isinstance(error, NotAllTold)]


def _error_of(kept: list[Any]) -> ApiError:
    said, status, retry_after, is_part = kept
    return (NotAllTold if is_part else ApiError)(said, status=status, retry_after=retry_after)


class Open:
    """The jobs that had not ended when they were seen last: the oldest of them by id, the others by a time.

    Args:
        state: the state in the cursor.
        now: the present time.
    """

    def __init__(self, state: Mapping[str, Any], now: datetime) -> None:
        ids: dict[str, int] = state.get("open", {})
        # A number has the seconds of the time, and the misses as its last digit.
        self._jobs = {id: EPOCH + timedelta(seconds=number // 10) for id, number in ids.items()}
        self._misses = {id: number % 10 for id, number in ids.items()}
        self._unkept = time_in(state, "unkept")
        """When the oldest job was created that is not kept by its id; None without any."""
        self._now = now
        self._missed = time_in(state, "missed")
        """When misses were counted last."""
        self._counts_misses = self._missed is None or abs(now - self._missed) >= _MISS

    def __contains__(self, id: str) -> bool:
        return id in self._jobs

    def note(self, id: str, at: datetime, *, is_open: bool) -> None:
        """Take a job for asked for, and for open or ended.

        Args:
            id: the job's id.
            at: when it was created.
            is_open: whether something may come after its status, or could not be told.
        """
        self._misses.pop(id, None)
        self._jobs.pop(id, None)
        if is_open:
            self._jobs[id] = at

    def turn(self, id: str) -> None:
        """Take a job for asked for, as long as it is open: the others come first the next time."""
        if id in self._jobs:
            self._jobs[id] = self._jobs.pop(id)

    def miss(self, id: str) -> None:
        """Take a job for not found, and in the end, a day or more after the first time, for gone."""
        if not self._counts_misses:
            return
        self._missed = self._now
        self._misses[id] = self._misses.get(id, 0) + 1
        if self._misses[id] == _MOST_MISSES:
            logger.warning("a job that had not ended is gone from the API: %s", id)
            del self._jobs[id]

    def without(self, listed: set[str]) -> list[str]:
        """Return the ids of those that were not listed, in the order in which they were asked for last."""
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
        numbers = {id: int((at - EPOCH).total_seconds()) * 10 + self._misses.get(id, 0) for id, at in ids.items()}
        missed = text_or_none(self._missed) if any(self._misses.get(id) for id in ids) else None
        return {"open": numbers, "unkept": None if before else text_or_none(self._unkept), "missed": missed}

    def _drop(self) -> None:
        """Keep the oldest jobs, and of the others the time of the oldest."""
        by_age = sorted(self._jobs.items(), key=lambda each: each[1])
        short = [id for id, _ in by_age if len(json.dumps(id)) <= _LONGEST_ID]
        oldest = {*short[:_MOST_OPEN]}
        self._jobs = {id: at for id, at in self._jobs.items() if id in oldest}
        rest = [at for id, at in by_age if id not in self._jobs]
        if rest:
            self._unkept = rest[0] if self._unkept is None else min(rest[0], self._unkept)


def _digest(text: str, size: int) -> str:
    return b64encode(blake2b(text.encode("utf-8", "replace"), digest_size=size).digest()).decode()

"""The choice of deliveries that an address or a form makes: a filter, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from ..inbox.records import Filter, State
from ..options import seconds
from .site import Problem

FIELDS = ("only", "id", "event", "receiver", "key", "handler", "error", "since", "before")
"""The fields of a choice that have one value; `state` and `handler_state` may have several."""
_TOLD = {"only": "delivery", "id": "id begins", "key": "order", "error": "died of"}
_MOST = 1000  # characters of a field


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of deliveries."""

    fields: Mapping[str, str]
    """The texts of `FIELDS` that are given."""
    states: Sequence[State]
    """The states that are given; none for all."""
    handler_states: Sequence[State]
    """The states of the handler."""
    filter: Filter
    """The filter."""
    wrong: Mapping[str, str]
    """Why a field cannot be read, by its name; such a field chooses nothing."""

    @property
    def query(self) -> dict[str, Any]:
        """The members of an address, or fields of a form, that make this choice."""
        return {
            **{name: value for name, value in self.fields.items() if name not in self.wrong},
            "state": [*self.states],
            "handler_state": [*self.handler_states],
        }

    @property
    def encoded(self) -> str:
        """The same as the query of an address, for a field of a form: whatever is in it, it stays that."""
        return urlencode(self.query, doseq=True)

    @property
    def told(self) -> dict[str, Any]:
        """The choice in words, for people and for the audit records; moments are the very ones."""
        found: dict[str, Any] = {_TOLD.get(name, name): value for name, value in self.fields.items()}
        if self.filter.since is not None:
            found["since"] = _said(self.filter.since)
        if self.filter.before is not None:
            found["before"] = _said(self.filter.before)
        if self.filter.states is not None and not self.filter.ids:
            found["state"] = [*self.filter.states]
        return found

    @property
    def is_all(self) -> bool:
        """Whether every delivery is chosen."""
        return self.filter == Filter()

    def bounded(self, which: Filter) -> Choice:
        """Return the choice with a narrower filter, whose moments its fields name."""
        moments = {
            name: f"@{at!r}" for name, at in (("since", which.since), ("before", which.before)) if at is not None
        }
        return replace(self, filter=which, states=[*(which.states or ())], fields={**self.fields, **moments})

    def text(self, name: str) -> str:
        """Return the text of a field, as it was given."""
        return self.fields.get(name, "")

    def checked(self) -> Choice:
        """Return the choice, for an action.

        Raises:
            Problem: a field cannot be read, and an action must not take more for it.
        """
        for name, why in self.wrong.items():
            raise Problem(400, "Nothing was done", f"{name}: {why}.")
        return self


def choice(given: Mapping[str, Sequence[str]], now: float) -> Choice:
    """Return the choice that the members of an address, or the fields of a form, make.

    Args:
        given: the values of each field.
        now: the time in Unix seconds, for spans of time.
    """
    fields: dict[str, str] = {}
    for name in FIELDS:
        text = given[name][0] if given.get(name) else ""
        text = text if name == "key" else text.strip()[:_MOST]  # another key would be another order
        if text:
            fields[name] = text
    wrong: dict[str, str] = {}
    moments: dict[str, float] = {}
    for name in ("since", "before"):
        if name in fields:
            try:
                moments[name] = moment(fields[name], now)
            except ValueError as error:
                wrong[name] = str(error)
    states, handler_states = (_states(name, given.get(name, ()), wrong) for name in ("state", "handler_state"))
    which = Filter(
        ids=[fields["only"]] if "only" in fields else None,
        states=tuple(states) or None,
        receiver=fields.get("receiver"),
        event=fields.get("event"),
        handler=fields.get("handler"),
        since=moments.get("since"),
        before=moments.get("before"),
        id_begins=fields.get("id"),
        ordering_key=fields.get("key"),
        handler_states=tuple(handler_states or State) if "handler" in fields else None,
        error=fields.get("error"),
    )
    return Choice(fields, states, handler_states, which, wrong)


def _states(name: str, given: Sequence[str], wrong: dict[str, str]) -> list[State]:
    """Return the states that are named; note what is none."""
    for each in given:
        if each.lower() not in (*State, ""):
            wrong[name] = f"{each[:40]!r} is no state: {', '.join(State)}"
    return [state for state in State if state in map(str.lower, given)]


def _said(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")


def moment(text: str, now: float) -> float:
    """Return the Unix time of a text such as "2h" (ago), "2026-03-01", "2026-03-01 09:30" (UTC) or "@1765433012".

    Raises:
        ValueError: the text is none of these.
    """
    try:
        if text.startswith("@"):
            found = float(text[1:])
            if 0 <= found < _LAST:
                return found
        elif len(text) != 8 or not text.isdigit():  # that is a date, too: 20260301
            found = now - seconds(text)
            return max(0.0, found)
    except ValueError:
        pass
    try:
        found_at = datetime.fromisoformat(text)
        return (found_at if found_at.tzinfo else found_at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text[:40]!r} is neither a span of time such as 2h or 30d nor a date") from None


_LAST = math.floor(datetime(9999, 12, 31, tzinfo=UTC).timestamp())

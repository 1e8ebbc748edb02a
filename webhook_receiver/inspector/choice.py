"""The choice of deliveries that an address or a form makes: a filter, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..inbox.records import Filter, State
from ..options import seconds
from .site import Problem

FIELDS = ("id", "event", "receiver", "key", "handler", "error", "since", "before")
"""The fields of a choice that have one value; `state` and `handler_state` may have several."""
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
    def query(self) -> dict[str, object]:
        """The members of an address, or fields of a form, that make this choice."""
        return {
            **{name: value for name, value in self.fields.items() if name not in self.wrong},
            "state": [*self.states],
            "handler_state": [*self.handler_states],
        }

    @property
    def is_all(self) -> bool:
        """Whether every delivery is chosen."""
        return self.filter == Filter()

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
    fields = {name: given[name][0].strip()[:_MOST] for name in FIELDS if given.get(name) and given[name][0].strip()}
    wrong: dict[str, str] = {}
    moments: dict[str, float] = {}
    for name in ("since", "before"):
        if name in fields:
            try:
                moments[name] = moment(fields[name], now)
            except ValueError as error:
                wrong[name] = str(error)
    states, handler_states = (_states(given.get(name, ())) for name in ("state", "handler_state"))
    which = Filter(
        states=states or None,
        receiver=fields.get("receiver"),
        event=fields.get("event"),
        handler=fields.get("handler"),
        since=moments.get("since"),
        before=moments.get("before"),
        id_begins=fields.get("id"),
        ordering_key=fields.get("key"),
        handler_states=handler_states or None if "handler" in fields else None,
        error=fields.get("error"),
    )
    return Choice(fields, states, handler_states, which, wrong)


def _states(given: Sequence[str]) -> list[State]:
    return [state for state in State if state in given]


def moment(text: str, now: float) -> float:
    """Return the Unix time of a text such as "2h" (ago), "2026-03-01", "2026-03-01 09:30" (UTC) or "@1765433012".

    Raises:
        ValueError: the text is none of these.
    """
    try:
        if text.startswith("@"):
            found = float(text[1:])
            if math.isfinite(found):
                return found
        elif len(text) != 8 or not text.isdigit():  # that is a date, too: 20260301
            return now - seconds(text)
    except ValueError:
        pass
    try:
        found_at = datetime.fromisoformat(text)
        return (found_at if found_at.tzinfo else found_at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text[:40]!r} is neither a span of time such as 2h or 30d nor a date") from None

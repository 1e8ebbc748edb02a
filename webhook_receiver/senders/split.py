"""The parts of a body: how the one document of a delivery becomes several events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from ..errors import ConfigurationError, NotAnEvent
from ..json_repair import repaired

MOST_PARTS = 10_000
"""The number of events that one body may hold, unless `Split.most` says another one."""

_EACH = "*"
_MOST_STEPS = 16  # of a place
_MOST_ADDED = 8 * 1024 * 1024  # characters of all members from around the events of one body

_scan = json.JSONDecoder(strict=False).raw_decode  # control characters in texts are let in, for a repair to keep
_space = re.compile(r"[ \t\r\n]*").match
_json_text = re.compile(r"\s*[{\[]").match


@dataclass(frozen=True)
class Split:
    """The place of the events in a document, for a sender that delivers several at once.

    A step of the place is the name of a member, or "*" for each element of an array: "*" is each element of a body that
    is an array, "events.*" each element of a member, "entry.*.changes.*" each one of nested arrays. A step with several
    names, "changes|messaging", is each of these members that is there, in the document's order. A text on the way that
    holds JSON is read as that JSON: "Message" is the event in the envelope of AWS SNS, "Message.Records.*" are the
    events of S3 in one.

    Nothing is left out: where a document does not go on as the place says, what was reached until there is an event, in
    the end the whole document. An array without elements has none. A body without any event is acknowledged, and
    neither stored nor handled.

    Raises:
        ConfigurationError: the place or a member cannot work.
    """

    place: str
    """The place, of names and "*" with dots between them."""
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    """The members that each event gets from around it, by name, and the places of their values, such as
    {"page": "entry.*.id"}. A "*" there is the element that the event is in. A member that an event has itself stays."""
    most: int = MOST_PARTS
    """The number of events that one body may hold. One with more is stored as one dead delivery, and all of its events
    are handled if it is replayed with a larger number."""

    def __post_init__(self) -> None:
        steps = _steps(self.place)
        most: object = self.most
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise ConfigurationError(f"most is a number of events, from 1 on, not {most!r}")
        members: object = self.members
        if not isinstance(members, Mapping) or not all(isinstance(name, str) and name for name in self.members):
            raise ConfigurationError(f'members is a mapping such as {{"page": "entry.*.id"}}, not {members!r}')
        for place in self.members.values():
            found = _steps(place)
            if (
                found[-1] == _EACH
                or any("|" in step for step in found)
                or any(found[: at + 1] != steps[: at + 1] for at, step in enumerate(found) if step == _EACH)
            ):
                raise ConfigurationError(
                    f'the place of a member is around the events at {self.place!r}, as "entry.*.id" is around those at '
                    f'"entry.*.changes.*", not {place!r}'
                )

    def parts(self, document: bytes) -> list[bytes]:
        """Return the documents of the events in a document, in order; the document itself if it is no JSON.

        Args:
            document: the bytes of the document.

        Raises:
            NotAnEvent: it has more than `most` events, or what they get from around them is too large.
        """
        steps = _steps(self.place)
        for read in (bytes, repaired):
            try:
                text = read(document).decode()
                walk = _Walk(steps, self.most)
                end = walk.into(text, _after_space(text, 0))
                if _after_space(text, end) != len(text):
                    raise ValueError("there is more behind the document")
                if self.members:
                    return [*self._with_members(walk, text)]
                return [part.encode("utf-8", "surrogatepass") for part in walk.parts]
            except (ValueError, IndexError, RecursionError):
                continue
        return [document]

    def _with_members(self, walk: _Walk, text: str) -> Iterator[bytes]:
        document: Any = json.loads(text, strict=False)
        read = cache(_read)  # once for all parts, which would take the square of their number
        added = 0
        places = {name: _steps(place) for name, place in self.members.items()}
        for part, at in zip(walk.parts, walk.places, strict=True):
            if part[:1] == "{" and (at or len(walk.parts) > 1 or part != text.strip()):
                found = {name: _value_at(document, place, at, read) for name, place in places.items()}
                around = json.dumps({name: value for name, value in found.items() if value is not None})[1:-1]
                added += len(around)
                if added > _MOST_ADDED:
                    raise NotAnEvent("what its events would get from around them is too large")
                # In front: of two members with one name the last counts, which is the event's own.
                part = f"{{{around}{',' if around and part[1:-1].strip() else ''}{part[1:]}"
            yield part.encode("utf-8", "surrogatepass")


class _Walk:
    """A walk through a text of JSON to the parts at a place. Each character is scanned once, on whatever way.

    Args:
        steps: the steps of the place.
        most: the largest number of parts.
    """

    def __init__(self, steps: tuple[str, ...], most: int) -> None:
        self.parts: list[str] = []
        """The texts of the parts."""
        self.places: list[tuple[int, ...]] = []
        """The index of the element that each is in, for each "*" on its way."""
        self._steps = steps
        self._most = most
        self._at: tuple[int, ...] = ()

    def into(self, text: str, begin: int, step: int = 0) -> int:
        """Find the parts in the value that begins at an index; return the index behind it.

        Raises:
            ValueError, IndexError: the text is no JSON.
            RecursionError: it is nested too deep.
            NotAnEvent: there are too many parts.
        """
        kind = text[begin]
        if kind == '"':
            value, end = _scan(text, begin)
            if not self._into_text(value, step):
                self._add(text[begin:end])
            return end
        if step < len(self._steps):
            name = self._steps[step]
            if kind == "[" and name == _EACH:
                return self._into_array(text, begin, step + 1)
            if kind == "{" and name != _EACH:
                return self._into_object(text, begin, name, step + 1)
        _, end = _scan(text, begin)
        self._add(text[begin:end])
        return end

    def _into_text(self, value: str, step: int) -> bool:
        """Find the parts in a text that holds JSON; return False if it holds none."""
        if not _json_text(value):
            return False
        before, at = len(self.parts), self._at
        try:
            if _after_space(value, self.into(value, _after_space(value, 0), step)) == len(value):
                return True
        except (ValueError, IndexError, RecursionError):
            self._at = at
        self._drop(before)
        return False

    def _into_array(self, text: str, begin: int, step: int) -> int:
        outer, index = self._at, 0
        at = _after_space(text, begin + 1)
        if text[at] == "]":
            return at + 1
        while True:
            self._at = (*outer, index)
            at = _after_space(text, self.into(text, at, step))
            if text[at] == "]":
                self._at = outer
                return at + 1
            _expect(text, at, ",")
            at, index = _after_space(text, at + 1), index + 1

    def _into_object(self, text: str, begin: int, name: str, step: int) -> int:
        names = name.split("|")
        before, spans = len(self.parts), dict[str, tuple[int, int]]()
        goes_on = dict[str, bool]()
        at = _after_space(text, begin + 1)
        while text[at] != "}":
            key, at = _scan(text, at)
            if not isinstance(key, str):
                raise ValueError("a member has no name")
            at = _after_space(text, at)
            _expect(text, at, ":")
            at = _after_space(text, at + 1)
            if key in names:
                if key in spans:  # of two members with one name the last counts
                    self._drop_span(spans, key)
                begin_of_parts = len(self.parts)
                value, end = (None, 0) if text[at] != '"' else _scan(text, at)
                if isinstance(value, str):
                    goes_on[key], at = self._into_text(value, step), end
                elif text[at] in "{[":
                    goes_on[key], at = True, self.into(text, at, step)
                else:
                    goes_on[key], at = False, _scan(text, at)[1]
                spans[key] = begin_of_parts, len(self.parts)
            else:
                _, at = _scan(text, at)
            at = _after_space(text, at)
            if text[at] == "}":
                break
            _expect(text, at, ",")
            at = _after_space(text, at + 1)
            if text[at] == "}":
                raise ValueError("there is a comma behind the last member")
        if not any(goes_on.values()):
            self._drop(before)
            self._add(text[begin : at + 1])
        return at + 1

    def _add(self, part: str) -> None:
        if len(self.parts) == self._most:
            raise NotAnEvent(f"the body has more than {self._most} events")
        self.parts.append(part)
        self.places.append(self._at)

    def _drop_span(self, spans: dict[str, tuple[int, int]], key: str) -> None:
        """Drop the parts of one member, and move the spans of those behind it."""
        begin, end = spans.pop(key)
        del self.parts[begin:end], self.places[begin:end]
        for other, (first, last) in spans.items():
            if first >= end:
                spans[other] = first - (end - begin), last - (end - begin)

    def _drop(self, before: int) -> None:
        del self.parts[before:], self.places[before:]


def _after_space(text: str, at: int) -> int:
    found = _space(text, at)
    return at if found is None else found.end()


def _expect(text: str, at: int, character: str) -> None:
    if text[at] != character:
        raise ValueError(f"{character} is missing")


def _read(text: str) -> Any:
    """Return the value in a text of JSON; None if it is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _value_at(value: Any, place: tuple[str, ...], indices: tuple[int, ...], read: Callable[[str], Any]) -> Any:
    """Return the value at a place, whose "*" are the elements of these indices; None without one."""
    left = [*reversed(indices)]
    for step in place:
        if isinstance(value, str) and _json_text(value):
            value = read(value)
        if step != _EACH and isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step)
        elif step == _EACH and isinstance(value, list) and left:
            value = cast("Sequence[Any]", value)[left.pop()]
        else:
            return None
    return value


def _steps(place: object) -> tuple[str, ...]:
    steps = tuple(place.split(".")) if isinstance(place, str) else ()
    if not all(steps) or not 0 < len(steps) <= _MOST_STEPS:
        raise ConfigurationError(
            'the place of events is a text of names and "*", such as "*", "events.*" or "entry.*.changes.*", '
            f"with at most {_MOST_STEPS} steps, not {place!r}"
        )
    return steps

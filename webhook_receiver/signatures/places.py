"""Places of values in the headers of a request: a header, an item of it by its name, or items by their position."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

from ..delivery import Headers
from ..errors import ConfigurationError, MalformedSignature
from .encoding import only

MAX_SIGNATURES = 16  # in one header

ItemSeparator = Literal[",", ", ", ";", "&", "|", " "]
ITEM_SEPARATORS = (",", ", ", ";", "&", "|", " ")

_PLACE = re.compile(
    r"\s*(?P<header>[^\s:\[\]]+)\s*(?::\s*(?P<item>[^\s=,;&|]+)\s*|\[(?P<position>\d)(?P<onward>:)?\])?"
)


class Place(NamedTuple):
    """The place of a value: a header, an item of it such as `v1=5257a869`, or its items from a position on."""

    header: bytes
    item: bytes | None
    position: int | None
    onward: bool
    """Whether the items behind the position are values of this place, too."""
    separator: bytes
    joint: bytes
    """What is written between two items: the separator, with a space behind it where the sender writes one."""

    @classmethod
    def of(cls, text: str, separator: str) -> Self:
        """Return a place that is written "header", "header:item", "header[0]" or "header[1:]".

        Args:
            text: the place as it is written in an option.
            separator: what parts the items of a header.

        Raises:
            ConfigurationError: the text is no place.
        """
        found = _PLACE.fullmatch(text) if isinstance(text, str) and text.isascii() and text.isprintable() else None
        if found is None:
            raise ConfigurationError(
                'a place is "header", "header:item" or "header[0]", such as "stripe-signature:v1", '
                f'or "header[1:]" for the items from the second on, not {text!r}'
            )
        header, item, position = found["header"].lower().encode(), found["item"], found["position"]
        at = None if position is None else int(position)
        joint = separator.encode()
        parted_by = joint.strip() or joint
        return cls(header, None if item is None else item.encode(), at, found["onward"] is not None, parted_by, joint)

    def values(self, headers: Headers) -> list[bytes]:
        """Return the values at this place, of which an item may have several.

        Raises:
            MissingSignature: the header is absent.
            MalformedSignature: the header is there more than once.
        """
        value = only(headers, self.header)
        if self.item is not None:
            items = [each.strip(b" \t").partition(b"=") for each in value.split(self.separator, 2 * MAX_SIGNATURES)]
            return [value for name, _, value in items if name == self.item]
        if self.position is None:
            return [value]
        values = [each.strip(b" \t") for each in value.split(self.separator, 2 * MAX_SIGNATURES)]
        return values[self.position :] if self.onward else values[self.position : self.position + 1]

    def value(self, headers: Headers) -> bytes:
        """Return the one value at this place.

        Raises:
            MissingSignature: the header is absent.
            MalformedSignature: the header is there more than once, or the value is not there once.
        """
        values = self.values(headers)
        if len(values) != 1:
            raise MalformedSignature(f"{self} is there {len(values) or 'no'} times, not once")
        return values[0]

    def __str__(self) -> str:
        header = self.header.decode()
        if self.item is not None:
            return f"{self.item.decode()} in {header}"
        return header if self.position is None else f"item {self.position} of {header}"


def written(stated: list[tuple[Place, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that state values at their places.

    Raises:
        ConfigurationError: an item in front of a value, by position, is not ours to state.
    """
    headers: dict[bytes, list[tuple[Place, bytes]]] = {}
    for place, value in stated:
        headers.setdefault(place.header, []).append((place, value))
    return [(name, _joined(values)) for name, values in headers.items()]


def _joined(stated: list[tuple[Place, bytes]]) -> bytes:
    if stated[0][0].position is not None:
        stated = sorted(stated, key=lambda each: each[0].position or 0)
        if [place.position for place, _ in stated] != [*range(len(stated))]:
            raise ConfigurationError(f"cannot sign: nothing states the items in front of {stated[-1][0]}")
    items = [value if place.item is None else place.item + b"=" + value for place, value in stated]
    return stated[0][0].joint.join(items)

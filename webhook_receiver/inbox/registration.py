"""Registrations: what an inbox remembers of its receivers, and the rule by which a receiver gets its name there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

FORMER_DEFAULT = "webhooks"
"""The name of every receiver that was left at the default, before the sender's name became the default."""
NOBODY = ""
"""The sender of a registration that is not made: deliveries are stored under its name, and nobody knows whose."""


class Registration(NamedTuple):
    """A receiver, as an inbox remembers it: its deliveries are stored under its name."""

    receiver: str
    """Name of the receiver."""
    sender: str
    """Name of its sender."""
    scheme: str
    """Name of the class of the scheme by which it verifies."""
    by_default: bool = False
    """Whether the name is the default of this sender's receivers, not one that was given."""
    finds_orders: bool = False
    """Whether it asks for its deliveries by their ordering key, so that the store may make an index of these, which
    costs all others a little with each delivery. Not remembered: it is False in what `Inbox.register` returns."""
    looks: bool = False
    """Whether it only asks which registration counts, so that nothing is remembered. False in what is returned."""


def settled(
    given: Registration, known: Mapping[str, Registration], holds: Callable[[str], bool]
) -> tuple[Registration, Registration | None]:
    """Return the registration that counts for a receiver, as `Inbox.register` defines it, and the one to store, if any.

    Args:
        given: the receiver as it registers.
        known: the registrations that are stored, by name.
        holds: whether deliveries are stored under a name.
    """
    found, new = _settled(given._replace(looks=False), known, holds)
    return found, None if given.looks else new


def _settled(
    given: Registration, known: Mapping[str, Registration], holds: Callable[[str], bool]
) -> tuple[Registration, Registration | None]:
    asked = given.receiver
    if given.by_default:
        given = given._replace(receiver=_default_name(given, known, holds))
    found = known.get(given.receiver)
    if found is None and given.receiver == FORMER_DEFAULT != asked:
        return given._replace(sender=NOBODY), None
    if found is None or (found.sender != given.sender and not holds(given.receiver)):
        return given, given
    if found.sender != given.sender:
        return found, None
    stored = given._replace(by_default=given.by_default or found.by_default)
    return found, None if stored == found else stored


def _default_name(given: Registration, known: Mapping[str, Registration], holds: Callable[[str], bool]) -> str:
    """Return the name of a receiver that is left at the default: it never changes, whatever is stored or purged."""
    for each in known.values():
        if each.by_default and each.sender == given.sender:
            return each.receiver
    former = known.get(FORMER_DEFAULT, given)
    return FORMER_DEFAULT if former.sender == given.sender and holds(FORMER_DEFAULT) else given.receiver

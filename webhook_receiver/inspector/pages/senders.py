"""Senders and secrets: which secret has verified how often, and when last; never the secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response

from ...receiver import WebhookReceiver
from ...senders.registry import presets
from ..figures import SPANS, Counts, counts_of
from ..site import View
from .overview import meaning


class SecretRow(NamedTuple):
    """A secret of a receiver, by its index."""

    place: int
    numbers: Sequence[int]
    """How often it has verified, in each of `SPANS`."""
    said: str
    """What that means for its rotation."""


class SenderRow(NamedTuple):
    """A receiver, with its sender and secrets."""

    name: str
    hooks: WebhookReceiver | None
    scheme: str
    title: str
    """The sender's name in texts."""
    docs: str
    """The address of the sender's documentation; empty if it is not known."""
    secrets: Sequence[SecretRow]
    rejected: Sequence[tuple[str, str, Sequence[int]]]
    """For each reason its name, what it means, and the numbers in each of `SPANS`."""


async def show(view: View) -> Response:
    """Show the senders of all receivers, and how their secrets are used."""
    counted = [await counts_of(view, span) for span in SPANS]
    names = sorted(
        {*(name for counts, _ in counted for name in counts), *(each.name for each in view.inspected.receivers)}
    )
    rows = [
        _row(view, name, [counts.get(name, Counts({}, len(begins))) for counts, begins in counted]) for name in names
    ]
    return await view.page("senders.html", rows=rows, spans=SPANS, at_hand=bool(view.inspected.receivers))


def _row(view: View, name: str, counts: Sequence[Counts]) -> SenderRow:
    hooks = view.inspected.receiver(name)
    used = [each.by_name("secret") for each in counts]
    seen = {int(index) for each in used for index in each if index.isdecimal()}
    number = 0 if hooks is None else min(hooks.sender.scheme.secret_count, 20)
    secrets: list[SecretRow] = []
    for index in sorted({*range(number), *seen}):
        numbers = [each.get(f"{index}", 0) for each in used]
        secrets.append(SecretRow(index, numbers, _said(index, numbers, used[-1])))
    reasons = [each.by_name("rejected") for each in counts]
    preset = None if hooks is None else presets().get(hooks.sender.name)
    return SenderRow(
        name,
        hooks,
        "" if hooks is None else type(hooks.sender.scheme).__name__,
        preset.title if preset is not None else "" if hooks is None else hooks.sender.name,
        f"https://{preset.page.docs}" if preset is not None and preset.page is not None else "",
        secrets,
        [(reason, meaning(reason), [each.get(reason, 0) for each in reasons]) for reason in reasons[-1]],
    )


def _said(index: int, numbers: Sequence[int], week: dict[str, int]) -> str:
    if index == 0:
        others = sum(number for name, number in week.items() if name != "0")
        return "the current one" + ("" if numbers[-1] or not others else "; the sender does not use it yet")
    if numbers[1]:
        return "still used: its sender has not changed to the first one yet"
    if numbers[-1]:
        return "used within the last week"
    return "not used for a week" + (": it can be removed" if week.get("0") else "")

"""One delivery: what came, what verified it, what was tried and what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from ...errors import InboxDamaged
from ...inbox.records import DEAD_LETTER_HANDLER, DeliverySummary, Filter, State, StoredDelivery
from ...receiver import WebhookReceiver
from ..actions import id_of
from ..bodies import asked_form
from ..secrecy import masked_body, shown_headers
from ..site import Problem, View
from ..summaries import SHORT, row, short_name, told
from ..timeline import timeline

_OTHERS = 20  # deliveries of the same order that are listed
_LOOK = 0.03  # seconds that these are looked for
_SENT_AS = {
    "http": "pushed by its sender",
    "poll": "polled from a source",
    "backfill": "made of an order in the sender's API",
    "import": "imported",
    "edit": "edited and replayed by somebody",
}


async def stored_of(view: View) -> StoredDelivery:
    """Return the delivery that the address names, by its id or a beginning of it.

    Raises:
        Problem: there is none.
    """
    id: str = view.request.path_params["id"]
    try:
        stored = await view.inbox.get(id)
    except InboxDamaged as error:
        found = await id_of(view, id)
        raise Problem(500, "This delivery is damaged", f"{error}.", purge=found or "") from None
    if stored is None:
        advice = "It may have been purged, or be past its retention."
        raise Problem(404, f"There is no delivery {id[:40]}", advice)
    return stored


async def with_body(view: View) -> StoredDelivery:
    """Return the delivery that the address names, which has its body yet.

    Raises:
        Problem: there is none, or its body was removed.
    """
    stored = await stored_of(view)
    if stored.summary.body_removed:
        raise Problem(410, "The body was removed", "Some time after it was done: the inbox has keep_body=...")
    return stored


async def masked_of(view: View, stored: StoredDelivery) -> bytes:
    """Return the body of a delivery with the credentials in it masked; in a thread, since that may take long."""
    hooks = view.inspected.receiver(stored.summary.receiver)
    scheme = None if hooks is None else hooks.sender.scheme
    kind = stored.delivery.header("content-type") or ""
    return await asyncio.to_thread(masked_body, stored.delivery.body, kind, scheme)


async def show(view: View) -> Response:
    """Show one delivery."""
    stored = await stored_of(view)
    summary, found = stored.summary, stored.delivery
    hooks = view.inspected.receiver(summary.receiver)
    scheme = None if hooks is None else hooks.sender.scheme
    kind = found.header("content-type") or ""
    return await view.page(
        "delivery.html",
        stored=stored,
        summary=summary,
        id=summary.id,
        short=summary.id[:SHORT],
        told=told(view, summary),
        hooks=hooks,
        event=summary.event or "no event",
        row=row(view, summary),
        sent_as=_SENT_AS.get(summary.via, summary.via),
        proof=_proof(summary, hooks),
        headers=shown_headers(found.headers, scheme),
        **await asked_form(view, found.body, kind, scheme),
        lanes=timeline(stored, view.now, view.clock),
        attempts=_attempts(stored),
        others=await _others(view, stored),
        parts=await _parts(view, stored),
        handlers=_handlers(stored, hooks),
        short_name=short_name,
    )


async def body(view: View) -> Response:
    """Return the bytes of a body, as a file."""
    stored = await with_body(view)
    body = stored.delivery.body
    if await masked_of(view, stored) != body:
        raise Problem(
            403, "The body holds a credential", "On its own machine:  webhook-receiver inbox show WHERE ID --raw"
        )
    headers = {"content-disposition": f'attachment; filename="{stored.summary.id}.body"'}
    return Response(body, media_type="application/octet-stream", headers=headers)


def _proof(summary: DeliverySummary, hooks: WebhookReceiver | None) -> tuple[str, str, str]:
    """Return what verified a delivery at its receipt: a kind for its colour, a few words, and a sentence."""
    scheme = "" if hooks is None else f" by {type(hooks.sender.scheme).__name__}"
    if summary.via == "edit":
        return "warn", "Verified by none", "Somebody edited the body here: nothing says that a sender would send it."
    if summary.via != "http":
        covered = "its body is known to be the sender's" if summary.body_verified else "its body is not verified"
        return "info", "No push", f"It came by itself, without a signature; {covered}."
    if summary.verified_by is None:
        return "warn", "Unsigned", "It came without a signature, and its receiver lets such in."
    by = f"secret {summary.verified_by}{' (the first)' if summary.verified_by == 0 else ''}"
    if summary.body_verified:
        return "good", f"Verified{scheme}", f"By {by} at its receipt; the signature covers the body."
    return "warn", f"Verified{scheme}", f"By {by} at its receipt; the signature does not cover the body."


def _attempts(stored: StoredDelivery) -> list[dict[str, Any]]:
    """Return the failed attempts, the newest first; a traceback that an earlier one has is not repeated."""
    first: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for number, each in enumerate(stored.attempts):
        same = first.setdefault(each.traceback, number) if each.traceback else number
        found.append({"attempt": each, "same": None if same == number else stored.attempts[same], "number": number})
    return found[::-1]


async def _others(view: View, stored: StoredDelivery) -> list[Any]:
    """Return other deliveries of the same order, the newest first."""
    if stored.ordering_key is None:
        return []
    which = Filter(receiver=stored.summary.receiver, ordering_key=stored.ordering_key)
    page = await view.inbox.page(which, limit=_OTHERS + 1, seconds=_LOOK)
    return [row(view, each) for each in page.summaries if each.id != stored.summary.id][:_OTHERS]


async def _parts(view: View, stored: StoredDelivery) -> list[Any]:
    """Return the other events of the same request, in order."""
    request = stored.delivery.request_id
    page = await view.inbox.page(Filter(id_begins=request), limit=_OTHERS, newest_first=False, seconds=_LOOK)
    parts = [each for each in page.summaries if each.id == request or each.id.startswith(f"{request}.")]
    return [row(view, each) for each in parts if each.id != stored.summary.id]


def _handlers(stored: StoredDelivery, hooks: WebhookReceiver | None) -> list[str]:
    """Return the names of the handlers that a replay can name: those that have run, and those that would."""
    names = [name for name in stored.summary.handlers if not name.startswith(DEAD_LETTER_HANDLER)]
    if hooks is not None and stored.summary.state is not State.DEAD:
        names += [handler.name for handler in hooks.handlers if handler.name not in names]
    return names

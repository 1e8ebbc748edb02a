"""Replay with an edited body: a delivery of its own, which says of which one it was made."""

from __future__ import annotations

import hashlib
import secrets

from starlette.responses import Response

from ...errors import NotAnEvent
from ...inbox.records import StoredDelivery
from ...receiver import WebhookReceiver
from ...runtime.edit import edit
from ..actions import MOST_OF_A_REASON, record
from ..bodies import text_of
from ..site import Problem, View
from ..summaries import SHORT
from ..wording import visible
from .delivery import masked_of, with_body

MOST = 1024 * 1024
"""Bytes of a body that can be edited on a page."""


async def edit_form(view: View) -> Response:
    """Show the body of a delivery, to be edited."""
    stored, _ = await _editable(view)
    body = await masked_of(view, stored)
    return await _form(view, stored, text_of(body) or "", is_masked=body != stored.delivery.body)


async def replay_edited(view: View) -> Response:
    """Store the edited body as a delivery, which its handlers get."""
    stored, hooks = await _editable(view)
    text = view.sent("body")
    if b"\r\n" not in stored.delivery.body:
        text = text.replace("\r\n", "\n")  # which every browser makes of a newline
    body = text.encode("utf-8", "surrogateescape")
    if len(body) > MOST:
        raise Problem(413, "The body is too large", f"At most {MOST:,} bytes can be edited here.")
    digest = hashlib.sha256(body).hexdigest()
    found = hooks.parse_all(body, stored.delivery.headers)
    try:
        if found and not any(isinstance(each, Exception) for each in found):  # else nothing is stored
            parameters = {
                "delivery": stored.summary.id,
                "sha256 of the body": digest,
                "reason": view.sent("reason")[:MOST_OF_A_REASON],
            }
            await record(view, "edit", parameters, 1)
        id = await edit(hooks.runtime, stored.summary.id, body, once=view.sent("once")[:100] or None)
    except NotAnEvent as error:
        return await _form(view, stored, text, wrong=f"{error}.", status=422)
    return view.redirect(f"/deliveries/{id}")


async def _editable(view: View) -> tuple[StoredDelivery, WebhookReceiver]:
    """Return the delivery and its receiver.

    Raises:
        Problem: it cannot be edited.
    """
    stored = await with_body(view)
    hooks = view.inspected.receiver(stored.summary.receiver)
    if hooks is None:
        advice = "An edited body has to be read by its receiver:  webhook-receiver inspect module:hooks --writable"
        raise Problem(409, "The receiver is not at hand", advice)
    if text_of(stored.delivery.body) is None or len(stored.delivery.body) > MOST:
        raise Problem(
            409, "This body cannot be edited here", f"It is no text in UTF-8, or has more than {MOST:,} bytes."
        )
    return stored, hooks


async def _form(
    view: View, stored: StoredDelivery, text: str, *, wrong: str = "", is_masked: bool = False, status: int = 200
) -> Response:
    return await view.page(
        "edit.html",
        status=status,
        id=stored.summary.id,
        short=stored.summary.id[:SHORT],
        event=stored.summary.event or "no event",
        text=text,
        wrong=wrong,
        is_masked=is_masked,
        once=secrets.token_urlsafe(16),
        hides=visible(text, lines=True) != text.replace("\r\n", "\n"),
        rows=min(28, max(8, text.count("\n") + 2)),
    )

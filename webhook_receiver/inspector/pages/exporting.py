"""A delivery as a curl command, signed anew on request, and as a test."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from ...capture.pytest_export import as_test
from ...capture.request_files import SavedRequest
from ...inbox.records import StoredDelivery
from ...receiver import WebhookReceiver
from ...senders.registry import presets
from ..actions import record
from ..curl_command import PLACEHOLDER, Command, command
from ..secrecy import harmless, shown_url
from ..site import Problem, View
from ..summaries import SHORT
from .delivery import masked_of, with_body

_LOCAL = "http://127.0.0.1:8000/webhooks"
_MOST_OF_A_TEST = 256 * 1024  # bytes of a body that is written into a test


async def curl(view: View) -> Response:
    """Show the command that sends a delivery again, unsigned."""
    stored = await _sendable(view)
    hooks = view.inspected.receiver(stored.summary.receiver)
    made = command(stored.delivery, _url(hooks), hooks, view.now)
    return await _command(view, stored, made, _shown(_url(hooks), hooks), is_signed=False)


async def signed_curl(view: View) -> Response:
    """Show the command that sends a delivery again, signed anew by the receiver's own scheme."""
    stored = await _sendable(view)
    hooks = view.inspected.receiver(stored.summary.receiver)
    if hooks is None:
        advice = "Only it has the secret:  webhook-receiver inspect module:hooks --writable"
        raise Problem(409, "The receiver is not at hand", advice)
    url = view.sent("url").strip()
    if url in ("", _shown(_url(hooks), hooks)):  # which the page has put there
        url = _url(hooks)
    if not url.startswith(("http://", "https://")) or not url.isprintable() or len(url) > 2000:
        raise Problem(400, "This is no address to send to", "It is of the form http://host/path.")
    await record(view, "sign", {"delivery": stored.summary.id, "url": _shown(url, hooks)}, 1)
    made = await asyncio.to_thread(command, stored.delivery, url, hooks, view.now, is_signed=True)
    return await _command(view, stored, made, _shown(url, hooks), is_signed=True)


async def test(view: View) -> Response:
    """Show the source of a test that delivers the same body."""
    stored = await _sendable(view)
    name = stored.summary.receiver
    hooks = view.inspected.receiver(name)
    preset = presets().get(hooks.sender.name if hooks is not None else name)
    if preset is None:
        advice = "A test is written for the senders of the catalogue:  webhook-receiver senders"
        raise Problem(409, "The sender of this delivery is not known", advice)
    delivery = stored.delivery
    if len(delivery.body) > _MOST_OF_A_TEST:
        raise Problem(
            409, "The body is too large for a test", f"At most {_MOST_OF_A_TEST:,} bytes are written into one."
        )
    headers = harmless(delivery.headers, None if hooks is None else hooks.sender.scheme)
    request = SavedRequest("POST", "/", headers, delivery.body)
    try:
        checked = delivery.verified_by is not None
        source = await asyncio.to_thread(as_test, request, preset, checked=checked, received=delivery.received)
    except ValueError as error:
        raise Problem(409, "No test can be made of this", f"{error}.") from None
    file = f"test_{stored.summary.id[:SHORT]}.py"
    if view.asked("save"):
        attachment = {"content-disposition": f'attachment; filename="{file}"'}
        return Response(source, media_type="text/x-python", headers=attachment)
    return await view.page(
        "test.html",
        id=stored.summary.id,
        short=stored.summary.id[:SHORT],
        source=source,
        file=file,
        sender=preset.title,
    )


async def _sendable(view: View) -> StoredDelivery:
    """Return the delivery, whose body may be shown as it is.

    Raises:
        Problem: it may not.
    """
    stored = await with_body(view)
    if await masked_of(view, stored) != stored.delivery.body:
        advice = "On its own machine  webhook-receiver inbox show WHERE ID --raw  prints it."
        raise Problem(409, "The body holds a credential", advice)
    return stored


def _url(hooks: WebhookReceiver | None) -> str:
    return _LOCAL if hooks is None or hooks.public_url is None else hooks.public_url


def _shown(url: str, hooks: WebhookReceiver | None) -> str:
    return shown_url(url, None if hooks is None else hooks.sender.scheme, PLACEHOLDER)


async def _command(view: View, stored: StoredDelivery, made: Command, url: str, *, is_signed: bool) -> Response:
    hooks = view.inspected.receiver(stored.summary.receiver)
    return await view.page(
        "curl.html",
        id=stored.summary.id,
        short=stored.summary.id[:SHORT],
        command=made,
        is_signed=is_signed,
        can_sign=hooks is not None and view.writable,
        hooks=hooks,
        url=url,
    )

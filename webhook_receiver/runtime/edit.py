"""The edit of a stored delivery: a new delivery of another body, handled by the same handlers."""

from __future__ import annotations

import hashlib

from ..delivery import new_id
from ..errors import InboxError, NotAnEvent
from ..worker.executor import no_event
from . import Runtime


async def edit(runtime: Runtime, id: str, body: bytes, *, once: str | None = None) -> str:
    """Store a delivery with an edited body, made of a stored one, and have it handled.

    It has `via` "edit", points to the first by `Delivery.edited_of`, and has that one's headers. It is a duplicate of
    nothing, verified by nobody, and goes to the handlers of its event, after the waiting deliveries of its ordering
    key. The order check (`confirm=`) is not made, since the API would contradict it; handlers that ask for
    `body_verified` see False. The body of a part is that of its whole request: all events in it are handled.

    Args:
        runtime: the runtime of the receiver: `hooks.runtime`.
        id: the id of the stored delivery, or a beginning of it that no other id has.
        body: the edited body.
        once: what names this edit, such as a form that may be sent twice: the same edit under the same name is stored
            once, within the inbox's window. None for an edit that is a duplicate of nothing.

    Returns:
        The id of the new delivery; of its first part, if the body holds several events.

    Raises:
        NotAnEvent: the body is no event; the message says why. Nothing was stored.
        ConfigurationError: the receiver has no inbox.
        InboxError: there is no such delivery, it is another receiver's, its headers were removed, or the inbox failed.
    """
    inbox = runtime.inbox
    await runtime.open()  # by a command, it may be
    stored = await inbox.get(id)
    if stored is None:
        raise InboxError(f"there is no delivery {id!r:.80} to edit")
    first = stored.delivery
    if first.receiver != runtime.name:
        raise InboxError(
            f"the delivery {first.id} is one of {first.receiver!r}, not of {runtime.name!r}: edit it there"
        )
    if stored.summary.body_removed:
        raise InboxError(f"the headers and the body of {first.id} were removed some time after it was done (keep_body)")
    now = runtime.clock()
    delivery = first.edited(new_id(now), body, now)
    found = runtime.dispatcher.parse_all(body, delivery.headers)
    if not found:
        raise NotAnEvent("the edited body holds no event")
    for number, each in enumerate(found):
        if isinstance(each, Exception):
            where = f"its event {number}: " if len(found) > 1 else ""
            raise NotAnEvent(f"the edited body is not stored: {where}{no_event(each)}")
    entry = runtime.entries.build(delivery, found)
    if once is not None:
        name = hashlib.sha256(repr((once, first.id)).encode() + body).hexdigest()
        parts = [part._replace(key=f"{name}.{part.number}".encode()) for part in entry.parts]
        entry = entry._replace(key=name.encode(), parts=parts)
    return (await runtime.put(entry)).id

"""The test kit: rehearse your receiver, make events, sign them; and suites for inboxes and schemes of your own.

    from webhook_receiver.testing import make

    async def test_a_fulfilled_order_is_downloaded(webhooks):
        await webhooks.send(make(OrderFulfilled, order_id="o-7"))
        await webhooks.drain()
        webhooks.assert_handled(download)

The fixture `webhooks` comes with the package; which receiver it rehearses says a fixture of yours,
`webhook_receiver_under_test`.
"""

from __future__ import annotations

from .driver import Clock, Run
from .factories import make
from .rehearsal import Rehearsal, Request, Sync, rehearse
from .wire import encode, forge, sign

__all__ = ["Clock", "Rehearsal", "Request", "Run", "Sync", "encode", "forge", "make", "rehearse", "sign"]

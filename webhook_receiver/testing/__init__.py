"""The test kit: rehearsals of a receiver, events and signed requests for tests; and suites for your inbox or scheme.

    from webhook_receiver.testing import make

    async def test_a_fulfilled_order_is_downloaded(webhooks):
        await webhooks.send(make(OrderFulfilled, order_id="o-7"))
        await webhooks.drain()
        webhooks.assert_handled(download)

The fixture `webhooks` is part of the package. It rehearses the receiver that your own fixture
`webhook_receiver_under_test` returns.
"""

from __future__ import annotations

from .driver import Clock, Run
from .factories import make
from .rehearsal import Rehearsal, Request, Sync, rehearse
from .wire import encode, forge, sign

__all__ = ["Clock", "Rehearsal", "Request", "Run", "Sync", "encode", "forge", "make", "rehearse", "sign"]

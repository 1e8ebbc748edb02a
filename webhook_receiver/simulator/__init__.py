"""The sender's side: a local test server that plays UP42, for trying a receiver out and for testing it.

from webhook_receiver.simulator import Sender, sender_app

sender = Sender()
uvicorn.run(sender_app(sender))
"""

from __future__ import annotations

try:
    from .app import sender_app
    from .factories import NewOrders
    from .faults import Mischief
    from .options import SenderOptions
    from .simulator import Sender
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
        raise
    raise ImportError(
        f"webhook_receiver.simulator needs {error.name}: install it with  pip install 'webhook-receiver[standard]'",
        name=error.name,
    ) from None

__all__ = ["Mischief", "NewOrders", "Sender", "SenderOptions", "sender_app"]

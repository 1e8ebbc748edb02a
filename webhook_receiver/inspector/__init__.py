"""The inspector: an inbox as web pages, to see every delivery, to understand it and to replay it.

    from webhook_receiver.inspector import Inspector, PasswordFile

    app.mount("/_webhooks", Inspector(hooks, auth=PasswordFile("inspector.passwd")))

It needs the extra `standard`. On your own machine `webhook-receiver inspect` shows an inbox without any of this.
"""

from __future__ import annotations

from ..errors import ConfigurationError, needs

try:
    from .app import Inspector
    from .passwords import PasswordFile
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
        raise
    raise ConfigurationError(needs("the inspector", error.name, "standard")) from None

__all__ = ["Inspector", "PasswordFile"]

"""The command line, `webhook-receiver`; it needs the extra `standard`."""

from __future__ import annotations

import sys

from ..errors import needs


def main() -> None:
    """Run the command line; exit with a message that names the missing extra, if it is not installed."""
    try:
        from .commands import app
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
            raise
        sys.exit(needs("webhook-receiver", error.name, "standard"))
    app()

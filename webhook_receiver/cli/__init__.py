"""The command line, `webhook-receiver`; it needs the extra `standard`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exit with a message that names the missing extra, if it is not installed."""
    try:
        from .commands import app
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
            raise
        sys.exit(f"webhook-receiver needs {error.name}: install it with  pip install 'webhook-receiver[standard]'")
    app()

"""`python -m webhook_receiver` is `webhook-receiver`."""

from __future__ import annotations

from .cli import main

main()

"""The command line, `webhook-receiver`; it needs the extra `standard`."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from ..errors import needs


def _open_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr on the null device, so that no other file gets its number."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, (stream, mode) in enumerate([(sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w")])
    )


def main() -> None:
    """Run the command line; exit with a message that names the missing extra, if it is not installed."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the encoding of the terminal or pipe lacks is written as \xe9
            stream.reconfigure(errors="backslashreplace")
    try:
        from .commands import app
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
            raise
        sys.exit(needs("webhook-receiver", error.name, "standard"))
    app()

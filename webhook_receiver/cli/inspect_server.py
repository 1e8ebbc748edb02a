"""The server of `inspect`: what its arguments name, and the inspector of it until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path

import typer
import uvicorn

from ..errors import ConfigurationError
from ..inbox.base import Inbox
from ..inbox.memory import MemoryInbox
from ..inbox.sqlite import SQLiteInbox
from ..inbox.sqlite.schema import older_version
from ..inspector import Inspector
from ..receiver import WebhookReceiver
from . import output
from .addresses import base_url, check_address
from .app_loader import inbox_of, load_app
from .connections import checked_limit, within_bounds
from .inbox_option import inbox_at
from .mounted import receivers_in
from .options import PARSER
from .serve import log_config

What = WebhookReceiver | Inbox


def found(where: str, *, writable: bool) -> list[What]:
    """Return what an argument names: an inbox by its URL or file, a receiver, or the receivers that an app has.

    Args:
        where: the argument.
        writable: whether the inbox may be changed: a file is made if it is missing, and its tables are brought to now.

    Raises:
        BadParameter: it names none.
        ConfigurationError: there is no such inbox, or it is one that only its own process can reach; or its tables are
            of an older version, and it may not be changed.
    """
    if (inbox := inbox_at(where)) is not None:
        _check(inbox, writable=writable)
        return [inbox]
    served = load_app(where)
    receivers = [served] if isinstance(served, WebhookReceiver) else [each.hooks for each in receivers_in(served)]
    if not receivers:
        raise typer.BadParameter(f"there is no receiver among the routes of {where}", param_hint="WHERE")
    kept = [each for each in receivers if inbox_of(each) is not None]
    if not kept:
        raise ConfigurationError(f"{where} has no inbox: nothing is kept")
    for each in kept:
        _check(each.inbox, writable=writable)
    return [*kept]


def _check(inbox: Inbox, *, writable: bool) -> None:
    """Check that an inbox can be opened as it is, if it may not be changed."""
    if writable or not isinstance(inbox, SQLiteInbox) or isinstance(inbox, MemoryInbox):
        return
    path = inbox.path
    try:
        if not path.exists() or not path.stat().st_size:
            raise ConfigurationError(f"there is no inbox at {path}: its receiver makes it, or --writable")
        version = older_version(path)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if version is not None:
        raise ConfigurationError(
            f"{path} has the tables of an older version (schema {version}), which an inspector that only shows leaves "
            f"alone: run  webhook-receiver inbox migrate {path}  or give --writable"
        )


class _Server(uvicorn.Server):
    """A server that says where it is once it listens."""

    told = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            output.say(self.told, "bold")


def run(
    inspector: Inspector,
    host: str,
    port: int,
    *,
    root_path: str,
    certificate: tuple[Path, Path | None] | None,
    as_json: bool,
) -> None:
    """Serve an inspector until Ctrl-C.

    Args:
        inspector: the inspector.
        host: the address to listen on.
        port: the port; 0 for a free one.
        root_path: the path prefix that a proxy strips, such as "/ops"; empty for none.
        certificate: the files of a certificate and its key; None to serve without TLS.
        as_json: whether its address is printed as JSON.

    Raises:
        ConfigurationError: an inbox can never work.
        InboxError: an inbox cannot be opened.
        typer.Exit: it cannot be listened there; the message was printed.
    """
    check_address(host, port)
    for each in inspector.site.inspected:
        each.looks = not inspector.site.writable
    asyncio.run(_try(inspector))  # so that what is wrong is told in a sentence
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        taken = listener.getsockname()[1]
        url = base_url(host, taken, "https" if certificate else "http") + "/"  # as the proxy asks for it
        config = uvicorn.Config(
            inspector,
            lifespan="on",
            access_log=False,
            ws="none",
            proxy_headers=False,
            log_config=log_config(),
            log_level="warning",
            root_path=root_path,
            timeout_graceful_shutdown=1,
            ssl_certfile=None if certificate is None else certificate[0],
            ssl_keyfile=None if certificate is None else certificate[1],
            **within_bounds(PARSER, checked_limit(None)),
        )
        server = _Server(config)
        server.told = _told(inspector, url, root_path, as_json=as_json)
        with suppress(KeyboardInterrupt):  # that is how it is meant to end
            server.run(sockets=[listener])


async def _try(inspector: Inspector) -> None:
    """Open and close the inboxes of an inspector."""
    for each in inspector.site.inspected:
        try:
            await each.open()
        finally:
            await each.inbox.close()


def _told(inspector: Inspector, url: str, root_path: str, *, as_json: bool) -> str:
    names = [each.label for each in inspector.site.inspected]
    if as_json:
        return json.dumps({"url": url, "inboxes": names, "writable": inspector.site.writable})
    how = "" if inspector.site.writable else "; it only shows, and --writable lets it change"
    proxied = f" for a proxy that strips {root_path}" if root_path else ""
    return output.printable(f"{', '.join(names)} is at {url}{proxied}{how}")

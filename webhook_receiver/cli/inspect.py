"""`inspect` and `password`: an inbox in the browser, and the users who may look at it from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigurationError, InboxError
from . import output
from .defaults import app_of_settings
from .inbox_option import named
from .options import Certificate, CertificateKey, Json, Port, check_certificate
from .output import fail

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def inspect(
    where: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHERE", help="Inboxes: URLs, files, or module:hooks, which shows more. Else that of the settings."
        ),
    ] = None,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let it replay, purge, pause and edit; else it only shows.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="The address to listen on; any but the loopback needs --passwords.")
    ] = "127.0.0.1",
    port: Port = 8077,
    passwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask for a name and a password; `password FILE NAME` writes the file."),
    ] = None,
    root_path: Annotated[str, typer.Option(help="The path prefix that a proxy strips; it needs --passwords.")] = "",
    ssl_certfile: Certificate = None,
    ssl_keyfile: CertificateKey = None,
    as_json: Json = False,
) -> None:
    """Show an inbox in the browser.

    Every delivery with its attempts and errors, dead letters, handlers, senders. With module:hooks also what only the
    receiver knows; its handlers are not run here. Ctrl-C stops.
    """
    from ..inspector import Inspector, PasswordFile
    from . import inspect_server

    places = where or [each for each in (app_of_settings() or named(),) if each]
    if not places:
        raise typer.BadParameter(
            "say what to show: an inbox's file or URL, or module:hooks; or set WEBHOOK_RECEIVER_APP or "
            "WEBHOOK_RECEIVER_INBOX",
            param_hint="WHERE",
        )
    if passwords is None and host not in _LOOPBACK:
        raise typer.BadParameter(
            f"at {host} others than you reach it: give --passwords FILE, or leave it at 127.0.0.1", param_hint="--host"
        )
    if passwords is None and root_path:
        raise typer.BadParameter(
            "whoever reaches the proxy would get in, since the proxy is on this machine: give --passwords FILE",
            param_hint="--root-path",
        )
    check_certificate(ssl_certfile, ssl_keyfile, None)
    try:
        found = [each for place in places for each in inspect_server.found(place, writable=writable)]
        if passwords is None:
            inspector = Inspector.on_loopback(found, writable=writable)
        else:
            inspector = Inspector(found, auth=PasswordFile(passwords), writable=writable)
        inspect_server.run(
            inspector,
            host,
            port,
            root_path="".join(f"/{part}" for part in root_path.split("/") if part),
            certificate=None if ssl_certfile is None else (ssl_certfile, ssl_keyfile),
            as_json=as_json,
        )
    except (ConfigurationError, InboxError) as error:
        raise fail(str(error)) from None


def password(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of users; made if it is missing.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
) -> None:
    """Set a user's password for the inspector.

    It is asked for twice; from a pipe it is the first line. The file holds a hash of it, and only you can read it.
    """
    from ..inspector.passwords import write_user

    if sys.stdin.isatty():
        given = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    try:
        is_new = write_user(file, name, given)
    except ConfigurationError as error:
        raise fail(str(error)) from None
    output.say(f"{output.printable(name)} {'was added to' if is_new else 'has a new password in'} {file}")

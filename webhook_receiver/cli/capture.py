"""`capture` and `to-test`: save requests to files, and turn one into a test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import output
from .addresses import base_url
from .options import Json, Port
from .output import fail
from .request_options import Entry, RequestText, SecretFiles, SecretTexts, SenderName


def capture(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder for the files; created if missing.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    status: Annotated[int, typer.Option(min=200, max=599, help="The status of the responses.")] = 200,
    as_json: Json = False,
) -> None:
    """Save every request to a file, byte for byte.

    Any method and path will do; explain and to-test read the files. The files hold signatures and perhaps tokens: only
    you can read them. A request may have 16 MiB. Ctrl-C stops.
    """
    import asyncio

    from ..capture.server import LARGEST, Captured, serve

    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"cannot write into {to}: {error.strerror}", param_hint="--to") from None

    def ready(taken: int) -> None:
        url = base_url(host, taken)
        if as_json:
            output.say_json({"listening": url})
        else:
            output.say(f"capturing at {url} into {to}, {LARGEST >> 20} MiB at most; Ctrl-C stops", "bold")

    def report(captured: Captured) -> None:
        if as_json:
            output.say_json(captured.as_json())
            return
        request = f"{captured.method} {captured.target[:200]}" if captured.method else "no HTTP request"
        whose = output.listed([each.title for each in captured.senders]) or "no known sender"
        line = f"{captured.file or '-'}  {request}  {captured.size} bytes  {whose}"
        if captured.complaint:
            output.say(output.printable(f"{line}  {captured.complaint}"), "red")
        else:
            output.say(output.printable(line), "green" if captured.senders else "")

    try:
        asyncio.run(serve(host, port, to, status=status, ready=ready, report=report))
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def to_test(
    request: RequestText,
    secret: SecretTexts = None,
    secret_file: SecretFiles = None,
    scheme: SenderName = None,
    entry: Entry = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this new file instead of printing.")
    ] = None,
) -> None:
    """Turn a captured request into a pytest test.

    The test has the same body, signed again with a secret for tests. If the real secret is given, the captured
    signature is verified first; the secret is not written anywhere.
    """
    from ..capture.pytest_export import as_test
    from ..explain import explain
    from .request import chosen_sender, read_request, read_secrets

    found = read_request(request, entry)
    secrets = read_secrets(secret, secret_file)
    chosen = chosen_sender(scheme, found, secrets)
    if chosen.by == "default":
        raise typer.BadParameter("it is no known sender's: say whose it is, with --sender", param_hint="--sender")
    known = chosen.preset
    if (
        secrets
        and not explain(
            found.headers,
            found.body,
            secrets,
            make=known.make_for(found.headers),
            now=None,  # at the time that the signature states
            method=found.method,
            target=found.target,
            url=found.url,
        ).authentic
    ):
        raise fail("it does not verify with this secret: see  webhook-receiver explain  with the same arguments")
    if chosen.by == "request" and len(chosen.likely) > 1:
        others = output.listed([each.title for each in chosen.likely[1:]])
        output.warn(f"it is taken for one of {known.title}; {others} would send the same: --sender NAME says whose")
    try:
        code = as_test(found, known, checked=bool(secrets))
    except ValueError as error:
        raise fail(output.printable(str(error))) from None
    if not secrets:
        output.warn("no secret was given: the signature that it came with could not be checked")
    if out is None:
        print(code, end="")  # noqa: T201 - a program, as it is
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(code)
    except OSError as error:
        raise fail(f"cannot write {out}: {error.strerror}") from None
    output.say(f"{out}: run it with  python -m pytest {out}")

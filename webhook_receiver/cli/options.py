"""Reading and checking values of the command line; a wrong one raises typer.BadParameter with a sentence."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from typer import BadParameter
from typer.core import TyperGroup

from ..errors import ConfigurationError
from ..options import seconds
from .output import fail, keep_stdout


def _only_json(ctx: typer.Context, as_json: bool) -> bool:
    """Keep stdout for JSON, if that is asked for, whatever a module of the user's prints."""
    if as_json and not ctx.resilient_parsing:  # which is a shell that completes
        keep_stdout()
    return as_json


Json = Annotated[bool, typer.Option("--json", callback=_only_json, help="Print JSON, one document a line.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Parser = Literal["h11", "httptools"]
"""uvicorn's parsers of HTTP."""

PARSER: Parser = "h11"
"""The parser that bounds trailers and pipelined requests, and reads a request that offers an upgrade."""

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")]
LogFormat = Literal["text", "json"]
"""The formats of log lines."""
LogFormatOption = Annotated[
    LogFormat, typer.Option(metavar="text|json", help="The format of log lines; as json, one document a line.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Serve metrics for Prometheus on this port, and the next one for each further process."
    ),
]
MetricsHost = Annotated[str, typer.Option(help="The address of the metrics port.")]
RootPath = Annotated[str, typer.Option(help="The path prefix that a proxy strips.")]
Certificate = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Serve TLS with the certificate in this file.")
]
CertificateKey = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="The file of the certificate's key.")
]


class Group(TyperGroup):
    """A group of commands that does not import pydantic to find out that none of its flags is given, as typer does."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's options, whose flags have a default."""
        found = super().get_params(ctx)
        for each in cast("list[Any]", found):
            if each.is_flag and each.default is None:
                each.default = False
        return found


SECRET_VARIABLES = ["WEBHOOK_RECEIVER_SECRET", "WEBHOOK_SECRET"]
"""The variables that have a secret where no option has one; the first that is set counts."""
SECRET_VARIABLE = SECRET_VARIABLES[1]


def secret_in_environment() -> str | None:
    """Return the secret in the environment; None without one."""
    return next(filter(None, map(os.environ.get, SECRET_VARIABLES)), None)


def origin_of_secret(secret: str | None) -> str:
    """Return what gives a secret, for a message: the variable that has it, else the option."""
    return next((each for each in SECRET_VARIABLES if secret and os.environ.get(each) == secret), "--secret")


def checked_url(url: str) -> str:
    """Return `url`, checked to be an http or https URL."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadParameter(f"{url!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadParameter(f"{url!r} is not of the form http://host/path")
    if not 0 < (parsed.port or 80) < 65536:
        raise BadParameter(f"there is no port {parsed.port}")
    return url


def checked_url_or_none(url: str | None) -> str | None:
    """Return `url`, checked to be an http or https URL, or None."""
    return None if url is None else checked_url(url)


def checked_sender(name: str | None) -> str | None:
    """Return the name of a sender, if the registry has it; that of its function in Python, and capitals, count, too."""
    if name is not None:
        from difflib import get_close_matches

        from ..senders.registry import presets

        known = presets()
        if name not in known and (other := name.casefold().replace("_", "-")) in known:
            return other
        if name not in known:
            spelt = {each.casefold(): preset.name for preset in known.values() for each in (preset.title, preset.name)}
            near = [each for each in known if name and each.startswith(name.casefold())]
            near = near or [spelt[each] for each in get_close_matches(name.casefold(), spelt, cutoff=0.65)]
            meant = f"did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
            raise BadParameter(f"there is no sender {name!r}: {meant}`webhook-receiver senders` lists all")
    return name


def sender_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the names of senders that begin so, each with its title, for the completion of a shell."""
    from ..senders.registry import presets

    return [(name, preset.title) for name, preset in presets().items() if name.startswith(incomplete)]


def event_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of a sender's known events that begin so, for the completion of a shell."""
    from ..senders.registry import presets
    from .sample import event_names as names_of

    known = ["order.status", "job.status"]
    if (preset := presets().get(str(ctx.params.get("sender")))) is not None:
        try:
            known = names_of(preset, preset.sender(preset.example))
        except ConfigurationError:  # an extra is missing
            known = [*preset.samples]
    return [name for name in known if name.startswith(incomplete)]


def checked_path(path: str) -> str:
    """Return `path`, checked to be one that a receiver can be served at, besides the health check."""
    from ..asgi import slash_or_not

    try:
        slash_or_not(path, _nothing, name="receiver")
    except (ConfigurationError, AssertionError) as error:
        raise BadParameter(f"{path!r} is not a path to serve at: {error}") from None
    if f"{path}/".startswith("/healthz/"):
        raise BadParameter("the health check is at /healthz: choose another path")
    return path


def checked_path_or_none(path: str | None) -> str | None:
    """Return `path`, checked to be one that an app can be mounted at, or None."""
    if path is None:
        return None
    if not path.startswith("/") or "{" in path or not path.strip("/") or not path.isprintable():
        raise BadParameter(f"{path!r} is no path to mount at: give one such as /_webhooks")
    if f"/{path.strip('/')}/".startswith("/healthz/"):
        raise BadParameter("the health check is at /healthz: choose another path")
    return f"/{path.strip('/')}"


def check_inspector(inspector: str | None, passwords: Path | None, *, writable: bool, path: str) -> None:
    """Check that the options of `serve` that are about the inspector go together.

    Args:
        inspector: the path that it is mounted at.
        passwords: the file of its users.
        writable: whether it may change something.
        path: the path that senders post to.
    """
    if inspector is None:
        if passwords is not None or writable:
            raise BadParameter("say where it is: --inspector /_webhooks", param_hint="--inspector")
        return
    if passwords is None:
        raise BadParameter(
            "whoever reaches the server would see every delivery: give --inspector-passwords FILE, which "
            "`webhook-receiver password FILE NAME` writes",
            param_hint="--inspector",
        )
    if f"{path.rstrip('/')}/".startswith(f"{inspector}/") or f"{inspector}/".startswith(f"{path.rstrip('/')}/"):
        raise BadParameter(f"senders post to {path}: mount the inspector elsewhere", param_hint="--inspector")


async def _nothing(*_: object) -> None:
    """Do nothing: an ASGI app in place of the receiver while its path is checked."""


def check_certificate(certfile: Path | None, keyfile: Path | None, password: str | None) -> None:
    """Check that TLS can be served with a certificate and a key."""
    if certfile is None:
        if keyfile is not None:
            raise BadParameter("a key needs its certificate: --ssl-certfile", param_hint="--ssl-keyfile")
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password or "")
    except ssl.SSLError as error:
        why = "one of the files holds no certificate and no key in PEM, or the key's password is another"
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "the key is not that of the certificate"
        raise BadParameter(f"cannot serve TLS: {why}", param_hint="--ssl-certfile") from None
    except OSError as error:
        raise BadParameter(f"cannot serve TLS: {error.strerror}", param_hint="--ssl-certfile") from None


def read(file: str) -> bytes:
    """Return the bytes of a file, of the standard input for "-", or of a text of JSON or XML itself."""
    if file[:1] in ("{", "[", "<"):
        return file.encode("utf-8", "surrogateescape")
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--data") from None


def parsed(body: bytes) -> dict[str, Any]:
    """Return `body` as a JSON object, for `--set` to change."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadParameter(f"--set needs JSON in --data, and that is none: {error}", param_hint="--set") from None
    if not isinstance(document, dict):
        raise BadParameter("--set needs a JSON object in --data", param_hint="--set")
    return cast("dict[str, Any]", document)


def changed(document: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """Return `document` with each `body.key=value` set in it; a value is JSON, or else text."""
    from ..simulator.payloads import put

    for change in changes:
        path, assigned, text = change.partition("=")
        if not assigned:
            raise BadParameter(f"{change!r} is not of the form body.key=value", param_hint="--set")
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        try:
            put(document, path, value)
        except ValueError as error:
            raise BadParameter(str(error), param_hint="--set") from None
    return document


def moment(text: str | None) -> float | None:
    """Return the Unix time of a text such as "2h" (ago), "2026-03-01" or "2026-03-01T09:00+02:00"; None for None.

    Raises:
        BadParameter: the text is neither a span of time nor a date.
    """
    if text is None:
        return None
    try:
        if len(text) != 8 or not text.isdigit():  # that is a date, too: 20260301
            return time.time() - seconds(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadParameter(f"{text!r} is neither a span of time such as 2h or 30d nor a date") from None


def span_of(text: str, option: str) -> float:
    """Return the seconds in a span of time that an option gives.

    Raises:
        BadParameter: the text is not a span of time.
    """
    try:
        return seconds(text)
    except ValueError as error:
        raise BadParameter(str(error), param_hint=option) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `yes`.

    Raises:
        typer.Exit: the user declined.
        BadParameter: there is no terminal to ask on, and `--yes` was not given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadParameter(f"{question} Nobody is here to be asked: give --yes", param_hint="--yes")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a running loop would first wait for the reply
    try:
        agreed = typer.confirm(question, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
    if not agreed:
        raise fail("nothing was done")

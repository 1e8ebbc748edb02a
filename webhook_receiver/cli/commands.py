"""The command line: its commands and their options. The other modules of this package do the work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import DISTRIBUTION, ConfigurationError, InboxError
from . import defaults, options, output
from .options import Json, Port
from .output import fail

SUMMARIES: Mapping[str, str] = {
    "demo": "Run a demonstration of a receiver and the simulator.",
    "dev": "Run your app and a simulator that delivers to it.",
    "serve": "Serve a receiver with uvicorn.",
    "worker": "Run a receiver's handlers without serving requests.",
    "check": "Tell what is wrong with a receiver, before a deploy.",
    "settings": "Print the settings, and where each comes from.",
    "schema": "Print what a receiver takes, as AsyncAPI or OpenAPI.",
    "send": "Deliver one notification or many.",
    "senders": "List the senders that are known, or show all about one.",
    "inbox": "List, replay, purge and move the deliveries in an inbox.",
    "inspect": "Show an inbox in the browser.",
    "password": "Set a user's password for the inspector.",
    "webhooks": "Manage the webhooks of a workspace.",
    "poll": "Poll the sources of a receiver.",
    "backfill": "Put missed orders into the inbox.",
    "simulator": "Run a simulator of UP42 or of another provider of images.",
    "order": "Create, move and list orders in the simulator.",
    "faults": "Set or show the faults of the simulator's deliveries.",
    "capture": "Save every request to a file, byte for byte.",
    "explain": "Explain why a request was rejected.",
    "to-test": "Turn a captured request into a pytest test.",
}
"""The commands in the order of the help, each with the first sentence of its own help."""

RENAMED: Mapping[str, str] = {"sender": "simulator", "mischief": "faults"}
"""The old names of commands, and the new ones."""

_ON_UNIX = frozenset({"demo", "dev", "inspect", "poll", "serve", "worker"})
"""The commands that signals end in good order, or that ask whose a process is: Windows has neither."""

_PLACES: Mapping[str, tuple[str, str]] = {
    "demo": ("commands", "demo_command"),
    "serve": ("commands", "serve_command"),
    "send": ("commands", "send_command"),
    "to-test": ("capture", "to_test"),
    "faults": ("order", "faults"),
    "password": ("inspect", "password"),
}
"""The module and the name of a command where they are not both its own name."""
_LOGS_JSON = "webhook_receiver.logs_json"


class Commands(options.Group):
    """The group of all commands. A command's module is imported when the command is called: most are slow to import."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in SUMMARIES.items()}

    def invoke(self, ctx: Any) -> Any:
        """Call the command. Where its log is JSON, a mistake in its use is a line of the log."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            said = getattr(error, "format_message", None)  # of click's errors, which are in one module or another
            if said is None or not ctx.meta.get(_LOGS_JSON):
                raise
            fail(said())
            raise typer.Exit(getattr(error, "exit_code", 2)) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, imported."""
        if args[0] in RENAMED:
            ctx.fail(f"No such command {args[0]!r}: it is called {RENAMED[args[0]]!r} now.")
        name, command, rest = super().resolve_command(ctx, args)
        if name in _ON_UNIX and sys.platform == "win32":
            ctx.fail(
                f"{name} needs Linux or macOS, for Windows has no signal that ends it in good order: run it in WSL or "
                "in a container"
            )
        if name is not None and defaults.logs_json(name, rest):
            from .serve import log_json

            log_json()
            ctx.meta[_LOGS_JSON] = True
        ctx.default_map = {name: defaults.defaults(name or "")}
        return name, command if name is None else loaded(name), rest


def loaded(name: str) -> Any:
    """Import a command, or a group of commands, by its name."""
    module, attribute = _PLACES.get(name, (name, name))
    found = getattr(import_module(f".{module}", __package__), attribute)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    alone.callback()(root)
    group: Any = typer.main.get_group(alone)
    command = group.commands[name]
    _name_values(command)
    (version,) = [each for each in group.params if each.name == "version"]
    version.expose_value = False
    _add_option(command, version)
    return command


_LAST_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("count", "concurrency", "connections", "limit", "size", "workers"), "N"),
    **dict.fromkeys(("assets", "copies", "reorder", "seed", "after"), "N"),
    **dict.fromkeys(("certfile", "keyfile"), "FILE"),
    **dict.fromkeys(("since", "before", "than", "timeout", "in", "pace"), "TIME"),
    **dict.fromkeys(("late", "drip"), "SECONDS"),
    "retry": "TIMES",
    "uds": "PATH",
    "fd": "N",
    "lose": "SHARE",
    "to": "SECRET",
}
"""What the help calls the value of an option, by the last word of the option's name, where that is not the word."""


def _name_values(command: Any) -> None:
    """Let the help call values by what they are, such as PORT, and not by their types in Python."""
    for below in getattr(command, "commands", {}).values():
        _name_values(below)
    for each in command.params:
        if each.param_type_name == "argument":
            each.get_help_record = partial(_argument_help, each.get_help_record, each.metavar)
            more = "..." if each.nargs != 1 else ""
            usage = each.metavar if each.required else f"[{each.metavar}]"
            each.get_usage_pieces = partial(_argument_usage, usage + more)
        elif each.metavar is None and not each.is_flag:
            word = max(each.opts, key=len).rpartition("-")[2]
            each.metavar = _LAST_WORDS.get(word, word.upper())


def _add_option(command: Any, option: Any) -> None:
    """Give an option to a command and to those below it."""
    for below in getattr(command, "commands", {}).values():
        _add_option(below, option)
    command.params.append(option)


def _argument_help(record: Callable[[Any], tuple[str, str] | None], name: str, ctx: Any) -> tuple[str, str] | None:
    found = record(ctx)
    return None if found is None else (name, found[1])


def _argument_usage(usage: str, ctx: object) -> list[str]:
    return [usage]


app = typer.Typer(
    cls=Commands,
    help="Receive webhooks: verified, parsed, routed to your handlers.",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes leave half of a narrow terminal to the text, and are slow to import
    pretty_exceptions_show_locals=False,  # they may hold a secret
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},  # of the commands, too
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        output.say(f"webhook-receiver {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Receive webhooks: verified, parsed, routed to your handlers."""


def demo_command(
    port: Port = 0,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Keep receiver and simulator running afterwards.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a demonstration of a receiver and the simulator.

    It shows what becomes of good, forged, repeated and lost deliveries, of handlers that fail, and of a kill. Exits
    with 0 if every response and result was as expected, with 1 if not, and with 130 if interrupted.
    """
    import asyncio

    from . import demo, dev_processes

    port = dev_processes.free_port(port)
    results: list[demo.Result] = []
    try:
        asyncio.run(demo.run(port, results, keep_running=keep_running, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    raise typer.Exit(0 if results and all(result.ok for result in results) else 1)


def serve_command(
    target: defaults.Target = "",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    path: Annotated[
        str, typer.Option(callback=options.checked_path, help="The path that senders post to.")
    ] = "/webhooks",
    uds: Annotated[str | None, typer.Option(help="Listen on this Unix socket instead.")] = None,
    fd: Annotated[
        int | None,
        typer.Option(min=0, help="Listen on the socket that was passed as this file descriptor instead."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="The number of server processes.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when a file changes.")] = False,
    http: Annotated[
        options.Parser,
        typer.Option(
            metavar="h11|httptools",
            help="The parser of HTTP; httptools is faster, for behind a proxy that bounds trailers.",
        ),
    ] = options.PARSER,
    max_connections: Annotated[
        int | None,
        typer.Option(min=1, help="The largest number of connections of a process; 1000, or fewer by ulimit -n."),
    ] = None,
    inspector: Annotated[
        str | None,
        typer.Option(
            callback=options.checked_path_or_none,
            metavar="PATH",
            help="Mount the inspector here, such as /_webhooks; it needs --inspector-passwords.",
        ),
    ] = None,
    inspector_passwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The users of the inspector; `password FILE NAME` writes the file."),
    ] = None,
    inspector_writable: Annotated[
        bool, typer.Option("--inspector-writable", help="Let the inspector replay, purge, pause and edit.")
    ] = False,
    root_path: options.RootPath = "",
    ssl_certfile: options.Certificate = None,
    ssl_keyfile: options.CertificateKey = None,
    ssl_keyfile_password: Annotated[
        str | None, typer.Option(envvar="SSL_KEY_PASSWORD", help="The key's password.")
    ] = None,
    metrics_port: options.MetricsPort = None,
    metrics_host: options.MetricsHost = "127.0.0.1",
    log_format: options.LogFormatOption = "text",
) -> None:
    """Serve a receiver with uvicorn. Its health is at /healthz: 200, or 503 if nothing can be stored."""
    import asyncio

    from . import exporters, serve
    from .addresses import base_url, check_address, check_descriptor, check_socket
    from .app_loader import load
    from .connections import checked_limit

    if uds is not None and fd is not None:
        raise typer.BadParameter("it listens on one socket: give --uds or --fd", param_hint="--fd")
    if reload and workers > 1:
        raise typer.BadParameter("--reload works with one process only", param_hint="--workers")
    options.check_certificate(ssl_certfile, ssl_keyfile, ssl_keyfile_password)
    connections = checked_limit(max_connections)
    if fd is not None:
        check_descriptor(fd)
    elif uds is not None:
        check_socket(uds)
    else:
        check_address(host, port)
    options.check_inspector(inspector, inspector_passwords, writable=inspector_writable, path=path)
    hooks = load(target, or_in_app=False)  # here too, so that a mistake is reported at once and in a sentence
    try:
        metrics = None if metrics_port is None else exporters.Metrics(metrics_host, metrics_port, workers)
        exporters.check(metrics, port if uds is None and fd is None else None, processes=workers)
        asyncio.run(serve.try_inboxes(hooks))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    url = base_url(host, port, "https" if ssl_certfile else "http")
    at = f"at {url}{path}" if port else f"at {path}, on a free port"
    where = at if uds is None and fd is None else f"on the socket {uds or fd} at {path}"
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    whose = "handlers" if hooks.runtime.works or not hooks.handlers else "handlers, run by a worker alone (work=False)"
    serve.announce(f"{target} receives {where}; {whose}: {names}", log_format)
    if inspector is not None and inspector_passwords is not None:
        serve.check_inspector(hooks, inspector_passwords)
        told = "" if inspector_writable else ", which only shows"
        found = f"the inspector is at {inspector.rstrip('/')}/{told}; it asks for a password on TLS or from here"
        serve.announce(found, log_format)
    serve.run(
        target,
        path,
        inspector=serve.Mounting.of(inspector, inspector_passwords, writable=inspector_writable),
        parser=http,
        connections=connections,
        log_format=log_format,
        host=host,
        port=port,
        uds=uds,
        fd=fd,
        workers=workers,
        reload=reload,
        timeout_graceful_shutdown=serve.grace(hooks),
        root_path=root_path,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        ssl_keyfile_password=ssl_keyfile_password,
    )


def send_command(
    url: Annotated[
        str,
        typer.Argument(
            callback=options.checked_url,
            metavar="URL",
            help="The receiver's URL, such as http://127.0.0.1:8000/webhooks.",
        ),
    ],
    event: Annotated[
        str | None,
        typer.Option(
            autocompletion=options.event_names,
            help="The event's name; else the first that is known, such as order.status for UP42. Of a sender of which "
            "none is known, it has to be given.",
        ),
    ] = None,
    status: Annotated[str | None, typer.Option(help="body.status for UP42; FULFILLED by default.")] = None,
    order_id: Annotated[str | None, typer.Option(help="body.orderId for UP42; a new one each time by default.")] = None,
    hooks: Annotated[
        str | None,
        typer.Option(metavar="MODULE:HOOKS", help="Your receiver: sign as its own sender does, with its own secret."),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--sender",
            "--as",
            callback=options.checked_sender,
            autocompletion=options.sender_names,
            metavar="NAME",
            help="Send as this sender does, such as github.",
        ),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLES, help="The secret to sign with; unsigned if left out.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(help="A file with the secret to sign with; a private key is made there if it is missing."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The private key of a sender with one beside --secret, such as aws-sns; made if missing.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "--body", metavar="FILE", help="Send the bytes of this file, or JSON given as text; - is stdin."
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a member, such as body.order.id=7; JSON, else text."),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="Send this header, too.")
    ] = None,
    challenge: Annotated[
        bool,
        typer.Option("--challenge", help="Ask what the sender asks to see whose the URL is, instead."),
    ] = False,
    verify_token: Annotated[
        str | None, typer.Option(help="The token that the sender shows with --challenge, such as Meta's.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="The number of deliveries.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="The number sent at once.")] = 1,
    forge: Annotated[bool, typer.Option("--forge", help="Sign with a wrong secret.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Sign with a time an hour ago.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, metavar="SECONDS", help="Seconds to wait for a response.")] = 30,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the TLS certificate.")] = False,
    as_json: Json = False,
) -> None:
    """Deliver one notification or many.

    They are UP42's, unless --sender or --hooks names another sender. Exits with 1 if a response was not 2xx, or a
    challenge was not answered as the sender expects.
    """
    import asyncio
    import time

    from ..delivery import RequestHead
    from ..simulator import payloads
    from . import challenge as challenges
    from . import send

    notifier = send.notifier(
        hooks, sender, secret, secret_file, send.headers_of(header or ()), key=key, token=verify_token
    )
    if challenge:
        if any((event, status, order_id, data is not None, change, count > 1, forge, stale)):
            raise typer.BadParameter("a challenge has no event, and is not forged", param_hint="--challenge")
        challenges.check_there(notifier)
        send.show_what_to_trust(notifier)
        client = send.client(url, timeout, 1, check_tls=not insecure)
        raise typer.Exit(challenges.run(notifier, url, client, as_json=as_json))
    if data is not None and (status or order_id or (event and notifier.sender.event_header is None)):
        raise typer.BadParameter(
            "a file has its own event, status and order id; change them with --set", param_hint="--data"
        )
    if stale:
        notifier.check_stated_time()
    named = event if data is not None else notifier.event_name(event)
    if data is None and not change:
        notifier.check_named(named)
    given = None if data is None else options.read(data)
    if given is not None and change:
        given = payloads.dump(options.changed(options.parsed(given), change))

    def make() -> tuple[RequestHead, bytes]:
        body = given
        if body is None:
            body = notifier.body(options.changed(notifier.document(named, status, order_id), change or []))
        now = time.time()
        return notifier.head(body, named, url=url, now=now - 3600 if stale else now, forge=forge), body

    head, body = make()  # a mistake in the options is reported before anything is sent
    if data is None and not change:
        notifier.check_read(head, body, named)
    send.show_what_to_trust(notifier)
    summary = send.Summary()
    client = send.client(url, timeout, concurrency, check_tls=not insecure)
    try:
        asyncio.run(send.send(summary, client, url, make, count=count, concurrency=concurrency))
        code = 1 if summary.rejected else 0
    except KeyboardInterrupt:
        code = 130
    if as_json:
        output.say_json(summary.as_json())
    else:
        send.show(summary, unauthorized=None if forge or stale else notifier.unauthorized, forged=forge)
        if given is None and not change and summary.seconds and not notifier.has_own_document(named):
            output.say(send.BARE, "dim")
    raise typer.Exit(code)

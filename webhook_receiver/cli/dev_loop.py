"""The local loop of `dev`: what is started, delivered, printed and ended."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import typer
from sse_starlette.sse import AppStatus

from ..errors import ApiError, ConfigurationError, InboxError, VerificationError
from ..inbox import Inbox, State
from ..inbox.memory import MemoryInbox
from ..inbox.sqlite import SQLiteInbox
from ..inspector import Inspector
from ..inspector.pages.rejected import rejected_pages
from ..inspector.pages.simulator import simulator_pages, version
from ..inspector.rejections import Rejections
from ..receiver import WebhookReceiver
from ..senders.up42.signature import UP42Signature
from ..signatures import KeysNeeded, Secret
from ..signatures.scheme import secret_places
from ..simulator import Simulator, payloads
from ..simulator.store import Outgoing, SendAttempt
from . import app_loader, challenge, dev_processes, dev_rejections, output, serve
from .dev_handover import SOCKET, broken
from .dev_processes import LocalLoop, Plan, ProcessEnded
from .dev_server import keep_apart, receivers_of
from .follow import HandlerResult, follow
from .key_pair import key_of_dev
from .listing import STYLES
from .mounted import TOKEN, Mounted, unreached_in
from .notification import UP42, Notifier
from .output import fail, printable
from .secret_option import read_secret, typed
from .simulator_server import show_json

_PLAYED = {"copernicus": "copernicus", "planet-orders": "planet", "skyfi": "skyfi"}
"""The providers that `simulator --as` plays and a URL alone tells of, by the names of their senders."""

SECRET = "try-me"  # noqa: S105 - that of a receiver that listens on the loopback, for a while
"""The secret in the environment of the app, if none is given."""

_NOT_KEPT = "the receiver has no inbox in a file or database: results of handlers are not shown here"


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver that is delivered to."""

    hooks: WebhookReceiver
    url: str
    inbox: SQLiteInbox | None
    """The file of its inbox in the local loop, opened by itself, to read; None if it has none in a file."""
    send: str
    """The command that sends it one notification by hand."""
    secret: Secret | None
    """The secret that its scheme accepts; None where only its own scheme can sign."""

    @property
    def simulated(self) -> bool:
        """Whether the simulator plays its sender."""
        return self.hooks.sender.name == UP42


def run(
    module: str,
    *,
    port: int,
    simulator_port: int,
    inspector_port: int,
    path: str,
    secret: str | None,
    secret_file: Path | None,
    unsigned: bool,
    retry: Sequence[float],
    reload: bool,
    as_json: bool,
) -> None:
    """Run the local loop until Ctrl-C. The arguments are those of the command, `retry` in seconds."""
    given = read_secret(secret, secret_file)
    if unsigned and given is not None:
        raise typer.BadParameter("a receiver has a secret or none", param_hint="--unsigned")
    if port and port == simulator_port:
        raise typer.BadParameter(f"{port} is the receiver's: give it another one", param_hint="--simulator-port")
    if inspector_port and inspector_port in (port, simulator_port):
        whose = "receiver" if inspector_port == port else "simulator"
        said = f"{inspector_port} is the {whose}'s: give it another one"
        raise typer.BadParameter(said, param_hint="--inspector-port")
    plan = Plan(
        module,
        dev_processes.free_port(port),
        dev_processes.free_port(simulator_port, "--simulator-port"),
        path,
        None if unsigned else given or Secret(SECRET),
        reload=reload,
        apart=True,
        retry=retry,
        log=sys.stderr if as_json else None,
        inspector_port=dev_processes.free_port(inspector_port, "--inspector-port"),
    )
    by_secret = f" --secret {SECRET}"
    if given is not None:
        by_secret = f" --secret {shlex.quote(secret or '')}" if typed(secret) else ""
    if secret_file is not None:
        by_secret = f" --secret-file {shlex.quote(str(secret_file.absolute()))}"
    targets, unreached = _targets(
        plan, by_secret, f"WEBHOOK_SECRET={SECRET} " if given is None and not unsigned else ""
    )
    try:
        receivers = [each.hooks for each in targets]
        asyncio.run(serve.try_inboxes(*receivers))
        rejections = Rejections([*receivers, *(each.hooks for each in unreached)], dev_rejections.explain)
        with dev_rejections.taken(rejections) as socket:
            plan = replace(plan, environment={SOCKET: socket})
            asyncio.run(_run(plan, targets, unreached, rejections, as_json=as_json))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{module} cannot start: {error}") from None
    except (ApiError, ProcessEnded) as error:
        raise fail(str(error)) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass  # that is how it is meant to end, and everything has ended


def _targets(plan: Plan, by_secret: str, environment: str) -> tuple[list[Target], list[Mounted]]:
    """Load the app in this process, too, in its own environment: to report mistakes, and to find its receivers.

    Returns:
        Those that are delivered to, and those that are at no fixed path.
    """
    theirs = dev_processes.environment(plan)
    for name in os.environ.keys() - theirs.keys():
        del os.environ[name]
    os.environ |= theirs
    served = app_loader.load_app(plan.target)
    mounted = receivers_of(served, plan.path)
    if not mounted:
        raise typer.BadParameter(
            f"there is no receiver among the routes of {plan.target}: give it one with hooks.route(path), or name the "
            "receiver itself; routes of Starlette, FastAPI and Litestar are looked through"
        )
    targets = [_target(each.hooks, plan.base_url + each.path, plan, by_secret, environment) for each in mounted]
    return targets, unreached_in(served)


def _target(hooks: WebhookReceiver, url: str, plan: Plan, by_secret: str, environment: str) -> Target:
    secret = plan.secret if plan.secret is not None and _accepts(hooks, plan.secret) else None
    send = f"{output.program()} send {url}"
    own = app_loader.target_of(hooks, plan.target)
    if secret is not None and by_secret:
        send += by_secret
    elif own is not None and plan.secret is not None:
        send = f"{environment}{send} --hooks {own}"
        if (key := key_of_dev(hooks)) is not None:
            send += f" --key {shlex.quote(str(key))}"
    kept = keep_apart(hooks)
    # The receiver's own is opened in the event loop of the inspector.
    return Target(hooks, url, None if kept is None else SQLiteInbox(kept.path), send, secret)


def _accepts(hooks: WebhookReceiver, secret: Secret) -> bool:
    """Whether a receiver accepts what UP42 signs with a secret."""
    body, now = b"{}", time.time()
    try:
        head = payloads.signed(body, UP42Signature(secret), now=now)
        hooks.sender.scheme.verify(head, now)(body)
    except (ConfigurationError, VerificationError, KeysNeeded):
        return False
    return True


async def _run(
    plan: Plan, targets: Sequence[Target], unreached: Sequence[Mounted], rejections: Rejections, *, as_json: bool
) -> None:
    started = time.time()
    on_attempt = show_json if as_json else _show_attempt
    inspector = partial(_inspector, targets, rejections, partial(broken, plan.environment[SOCKET]))
    tell = partial(_tell_inspector, plan, unreached, as_json=as_json)
    async with dev_processes.running(plan, on_attempt, inspector, introduce=tell) as loop:
        if not as_json:
            _introduce(plan, targets)
        for each in targets:
            await _test(loop, each, as_json=as_json)
        watching = [asyncio.create_task(_watch(each, started, as_json=as_json)) for each in targets]
        try:
            await loop.until_it_ends()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
            AppStatus.should_exit = True  # open pages are not waited for


def _inspector(
    targets: Sequence[Target], rejections: Rejections, why: Callable[[], str], simulator: Simulator
) -> Inspector:
    """Return the inspector of what the local loop keeps, with the simulator's and the rejected requests."""
    pages = [*rejected_pages(rejections, why)]
    simulated = [each for each in targets if each.simulated]
    if simulated:
        note = "" if any(each.inbox is not None for each in simulated) else _NOT_KEPT
        pages = [*simulator_pages(simulator, note, why), *pages]
    kept: list[WebhookReceiver | Inbox] = [each.hooks for each in targets if each.inbox is not None]
    return Inspector.on_loopback(
        kept or MemoryInbox(),  # which stays empty: what is kept nowhere cannot be shown
        writable=True,
        pages=pages,
        beside=lambda: (rejections.version(), version(simulator), why()),
    )


def _tell_inspector(plan: Plan, unreached: Sequence[Mounted], *, as_json: bool) -> None:
    """Print the address of the inspector, which comes first, and which receivers are not tested."""
    if as_json:
        output.say_json({"inspector": plan.inspector_url})
    else:
        output.say(f"the inspector is at {plan.inspector_url}", "bold")
    for each in unreached:
        output.warn(
            f"the receiver {each.hooks.name} at {each.path} is served, and not tested or followed here: its path has a "
            "parameter, and nothing tells its value"
        )


async def _watch(target: Target, since: float, *, as_json: bool) -> None:
    """Print the results of deliveries; errors of the inbox are reported by the receiver."""
    inbox = target.inbox
    if inbox is None:
        if not as_json:
            output.say(_NOT_KEPT)
        return
    try:
        while True:
            with suppress(InboxError):
                await inbox.open()
                async for each in follow(inbox, target.hooks.name, since):
                    output.say_json(each.as_json()) if as_json else _show_result(each)
            await asyncio.sleep(1)
    finally:
        await inbox.close()


async def _test(loop: LocalLoop, target: Target, *, as_json: bool) -> None:
    """Deliver a test: of the simulator's webhook, or for another sender one that is signed here."""
    about: dict[str, Any] = {"receiver": target.hooks.name, "url": target.url, "simulator": loop.plan.simulator_url}
    if not target.simulated:
        await _send_one(loop, target, about, as_json=as_json)
        return
    own = None if loop.plan.secret is None or target.secret is not None else target.hooks.sender.scheme
    webhook = await loop.create_webhook(f"{target.hooks.name} at {target.url}", target.url, target.secret, scheme=own)
    if as_json:
        output.say_json(about | {"webhook": webhook.id})
    tested = await loop.client.test(webhook.id)
    if as_json:
        output.say_json(tested.as_json())
        return
    output.say(f"the webhook was tested: {tested.tests_succeeded} of {tested.tests_run} succeeded", "bold")
    for each in tested.tests:
        if not each.succeeded:
            output.say(f"{each.event}: {printable(each.error or '')}", "red")


async def _send_one(loop: LocalLoop, target: Target, about: dict[str, Any], *, as_json: bool) -> None:
    """Send an event that a handler of the receiver is there for, as its own sender does; the simulator is UP42."""
    hooks = target.hooks
    notifier = Notifier.of_receiver(hooks)
    event = notifier.event_name(None)
    if as_json:
        output.say_json(about)
    if hooks.sender.challenges:
        await _ask(loop, target, notifier, as_json=as_json)
    try:
        notifier.check_named(event)
        body = notifier.body(notifier.document(event, None, None))
        head = notifier.head(body, event, url=target.url, now=time.time())
    except typer.BadParameter as error:
        output.warn(f"no test of {hooks.name} can be sent: {error.message}", "yellow")
        return
    result = await payloads.post(loop.http, payloads.url_of(head, target.url), head.headers, body)
    if as_json:
        output.say_json({"url": target.url, "event": event, "status": result.status, "reason": result.reason})
    else:
        said = f"a test was sent as {hooks.sender.name} does, event {event or '-'}: {result.label}"
        output.say(printable(said), "bold" if result.ok else "bold red")


async def _ask(loop: LocalLoop, target: Target, notifier: Notifier, *, as_json: bool) -> None:
    """Ask what the sender asks before it delivers, and tell how it was answered."""
    try:
        played = await challenge.play(notifier, target.url, loop.http)
    except typer.BadParameter as error:
        output.warn(f"no challenge of {target.hooks.name} can be sent: {error.message}", "yellow")
        return
    if as_json:
        output.say_json({"url": target.url, "challenges": [each.as_json() for each in played]})
    else:
        challenge.show(played, unauthorized=notifier.unauthorized)


def _introduce(plan: Plan, targets: Sequence[Target]) -> None:
    for each in targets:
        output.say(f"your receiver is at {each.url}", "bold")
    simulated = any(each.simulated for each in targets)
    if simulated:
        output.say(f"a simulator of UP42 that delivers to it is at {plan.simulator_url}", "bold")
    files = dict.fromkeys(os.path.relpath(each.inbox.path) for each in targets if each.inbox is not None)
    for file in files:
        output.say(f"deliveries are kept in {printable(file)}, apart from those of production")
    output.say("\nin another terminal, in this folder:")
    for what, commands in _commands(plan, targets, [*files], simulated=simulated):
        output.say(what)
        for command in commands:
            output.say(f"  {command}", "cyan")
    output.say("")


def _commands(
    plan: Plan, targets: Sequence[Target], files: Sequence[str], *, simulated: bool
) -> Iterator[tuple[str, list[str]]]:
    """Yield commands to paste, by what they are for."""
    me = output.program()
    to = "" if plan.simulator_port == 8042 else f" --simulator {plan.simulator_url}"
    if simulated:
        yield (
            "fulfill an order, let one fail, and move one through all its statuses:",
            [
                f"{me} order create --status FULFILLED{to}",
                f"{me} order create --status FAILED_PERMANENTLY{to}",
                f"{me} order walk $({me} order create{to} | cut -f1){to}",
            ],
        )
        yield (
            "let deliveries go wrong, and well again:",
            [f"{me} faults --copies 2{to}", f"{me} faults --wrong-secret{to}", f"{me} faults --none{to}"],
        )
    for each in targets:
        if provider := _PLAYED.get(each.hooks.sender.name):
            scheme, _, place = each.url.partition("://")
            has_path = TOKEN in secret_places(each.hooks.sender.scheme)
            url = f"{each.url}/SECRET" if has_path else f"{scheme}://webhooks:SECRET@{place}"
            yield (
                f"play {each.hooks.sender.name}, with its secret for SECRET, and order something:",
                [
                    f"{me} simulator --as {provider} --port 8043 --webhook {url}",
                    f"{me} order create --simulator http://127.0.0.1:8043",
                ],
            )
    yield "send one by hand:", [each.send for each in targets]
    if files:
        yield "look into the inbox:", [f"{me} inbox ls {shlex.quote(f'sqlite:///{file}')}" for file in files]


def _show_attempt(outgoing: Outgoing, made: SendAttempt) -> None:
    about = outgoing.order_id or ("a test" if outgoing.test else "")
    response = f"{made.status or ''} {made.reason}".strip()
    number = f", attempt {made.number}" if made.number > 1 else ""
    again = "" if outgoing.ended else ", will be sent again"
    line = f"{_clock(made.at)} {outgoing.event} {about}: {response} in {made.seconds * 1000:.1f} ms{number}{again}"
    output.say(printable(line), "green" if 200 <= (made.status or 0) <= 299 else "red")


def _show_result(result: HandlerResult) -> None:
    about = printable(unquote(result.summary.identity or result.summary.event or result.summary.id))
    ran = result.handler or "no handler"
    attempts = f", attempt {result.attempts}" if result.attempts > 1 else ""
    why = f": {result.error.splitlines()[0]}" if result.error else ""
    took = "" if result.seconds is None else f" after {result.seconds * 1000:.0f} ms"
    state = "failed" if result.state is State.WAITING else str(result.state)
    line = f"{_clock(time.time())}   {about}: {ran} {state}{took}{attempts}{why}"
    output.say(printable(line), "yellow" if result.state is State.WAITING else STYLES[result.state])


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))

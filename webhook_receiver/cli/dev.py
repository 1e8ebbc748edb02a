"""`dev`: run a receiver and the simulator together, and print each delivery, its response and its handlers' results."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import typer

from ..errors import ApiError, ConfigurationError, InboxError
from ..inbox import Inbox, State
from ..inbox.memory import MemoryInbox
from ..options import seconds
from ..receiver import WebhookReceiver
from ..senders.up42.models import Webhook
from ..signatures import Secret
from . import app_loader, dev_processes, options, output, serve
from .dev_processes import LocalLoop, Plan, ProcessEnded
from .follow import HandlerResult, follow
from .listing import STYLES
from .options import Json
from .output import fail, printable
from .secret_option import read_secret


def dev(
    module: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="The receiver's port; 0 takes a free one.")] = 8000,
    simulator_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The simulator's port; 0 takes a free one.")
    ] = 8042,
    path: Annotated[str, typer.Option(callback=options.checked_path, help="The receiver's path.")] = "/webhooks",
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="The receiver's secret; a new one by default.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the receiver's secret.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Send unsigned deliveries.")] = False,
    retry: Annotated[str, typer.Option(help="The waits before further attempts to deliver.")] = "1s,5s,30s",
    reload: Annotated[bool, typer.Option(help="Restart the receiver when a file changes.")] = True,
    as_json: Json = False,
) -> None:
    """Run your receiver and a simulator that delivers to it.

    Each delivery, its response and the results of its handlers are printed. The receiver's environment has the
    simulator's address in UP42_*, so that nothing asks UP42 itself, and the secret in WEBHOOK_SECRET. Ctrl-C ends
    both.
    """
    given = read_secret(secret, secret_file)
    if unsigned and given is not None:
        raise typer.BadParameter("a receiver has a secret or none", param_hint="--unsigned")
    if port and port == simulator_port:
        raise typer.BadParameter(f"{port} is the receiver's: give it another one", param_hint="--simulator-port")
    plan = Plan(
        module,
        _free(port, "--port"),
        _free(simulator_port, "--simulator-port"),
        path,
        None if unsigned else given or Secret(secrets.token_urlsafe(32)),
        reload=reload,
        retry=_checked(retry),
        log=sys.stderr if as_json else None,
    )
    hooks = _load(plan)
    inbox = app_loader.inbox_of(hooks)
    try:
        asyncio.run(serve.try_inbox(hooks))
        asyncio.run(_run(plan, hooks.name, inbox, as_json=as_json))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{module} cannot start: {error}") from None
    except (ApiError, ProcessEnded) as error:
        raise fail(str(error)) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass  # that is how it is meant to end, and everything has ended


def _load(plan: Plan) -> WebhookReceiver:
    """Load the receiver in this process, too, in its own environment: to report mistakes and to find its inbox."""
    theirs = dev_processes.environment(plan)
    for name in os.environ.keys() - theirs.keys():
        del os.environ[name]
    os.environ |= theirs
    return app_loader.load(plan.target)


async def _run(plan: Plan, receiver: str, inbox: Inbox | None, *, as_json: bool) -> None:
    started = time.time()
    async with dev_processes.running(plan, _show_attempt_json if as_json else _show_attempt) as loop:
        webhook = await loop.create_webhook()
        if as_json:
            output.say_json({"url": plan.url, "simulator": plan.simulator_url, "webhook": webhook.id})
        else:
            _introduce(plan)
        await _test(loop, webhook, as_json=as_json)
        watching = asyncio.create_task(_watch(inbox, receiver, started, as_json=as_json))
        try:
            await loop.until_one_ends()
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _watch(inbox: Inbox | None, receiver: str, since: float, *, as_json: bool) -> None:
    """Print the results of deliveries; errors of the inbox are reported by the receiver."""
    if inbox is None or isinstance(inbox, MemoryInbox):
        if not as_json:
            output.say("the receiver has no inbox in a file or database: results of handlers are not shown here")
        return
    try:
        while True:
            with suppress(InboxError):
                await inbox.open()
                async for each in follow(inbox, receiver, since):
                    output.say_json(each.as_json()) if as_json else _show_result(each)
            await asyncio.sleep(1)
    finally:
        await inbox.close()


async def _test(loop: LocalLoop, webhook: Webhook, *, as_json: bool) -> None:
    tested = await loop.client.test(webhook.id)
    if as_json:
        output.say_json(tested.as_json())
        return
    output.say(f"the webhook was tested: {tested.tests_succeeded} of {tested.tests_run} succeeded", "bold")
    for each in tested.tests:
        if not each.succeeded:
            output.say(f"{each.event}: {printable(each.error or '')}", "red")
            if each.status == 401:
                output.say(
                    "does the receiver have this secret? Take it from WEBHOOK_SECRET, or give --secret", "yellow"
                )


def _introduce(plan: Plan) -> None:
    to = "" if plan.simulator_port == 8042 else f" --simulator {plan.simulator_url}"
    output.say(f"your receiver is at {plan.url}, and a simulator that delivers to it at {plan.simulator_url}", "bold")
    output.say("in another terminal, fulfill an order, let one fail, and move one through all its statuses:")
    output.say(f"  webhook-receiver order create --status FULFILLED{to}", "cyan")
    output.say(f"  webhook-receiver order create --status FAILED_PERMANENTLY{to}", "cyan")
    output.say(f"  webhook-receiver order walk $(webhook-receiver order create{to} | cut -f1){to}", "cyan")
    output.say("and let deliveries go wrong:")
    output.say(f"  webhook-receiver faults --copies 2{to}", "cyan")
    output.say(f"  webhook-receiver faults --wrong-secret{to}", "cyan")
    output.say(f"  webhook-receiver faults --none{to}", "cyan")


def _show_attempt(attempt: dict[str, Any]) -> None:
    ok = attempt["status"] is not None and 200 <= attempt["status"] <= 299
    about = attempt["orderId"] or ("a test" if attempt["test"] else "")
    response = f"{attempt['status'] or ''} {attempt['reason']}".strip()
    again = "" if attempt["ended"] else ", will be sent again"
    took = f"in {attempt['seconds'] * 1000:.1f} ms" + (
        f", attempt {attempt['attempt']}" if attempt["attempt"] > 1 else ""
    )
    line = f"{_clock(attempt['at'])} {attempt['event']} {about}: {response} {took}{again}"
    output.say(printable(line), "green" if ok else "red")


def _show_attempt_json(attempt: dict[str, Any]) -> None:
    output.say_json(attempt)


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


def _free(port: int, option: str) -> int:
    try:
        return dev_processes.free_port(port)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {port}: {error.strerror}", param_hint=option) from None


def _checked(retry: str) -> str:
    try:
        for each in retry.split(","):
            if each.strip():
                seconds(each)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--retry") from None
    return retry

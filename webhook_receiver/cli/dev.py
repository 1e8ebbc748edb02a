"""`dev`: the local loop in one command, and a line for each delivery, its answer, and what its handlers did."""

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
from ..inbox import Inbox, MemoryInbox, State
from ..options import seconds
from ..receiver import WebhookReceiver
from ..senders.up42.models import Webhook
from ..signatures import Secret
from . import app_loader, options, output, serve
from . import dev_processes as loops
from .dev_processes import Ended, Loop, Plan
from .follow import News, news
from .inbox_option import Json, fail
from .listing import STYLES
from .output import printable


def dev(
    module: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="The receiver's port; 0 takes a free one.")] = 8000,
    sender_port: Annotated[int, typer.Option(min=0, max=65535, help="The test server's port.")] = 8042,
    path: Annotated[str, typer.Option(callback=options.checked_path, help="Where the receiver is.")] = "/webhooks",
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="The receiver's; a new one if left out.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="The receiver's secret is in this file.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="The receiver has no secret.")] = False,
    retry: Annotated[str, typer.Option(help="The waits before each further attempt to deliver.")] = "1s,5s,30s",
    reload: Annotated[bool, typer.Option(help="Start the receiver anew when a file changes.")] = True,
    as_json: Json = False,
) -> None:
    """Live the whole loop on this machine: your receiver, a sender that delivers to it, and what becomes of it all.

    The sender is the local test server; the receiver gets its address by UP42_*, so that nothing here asks UP42
    itself, and the secret by WEBHOOK_SECRET. Ctrl-C ends both.
    """
    given = options.secret(secret, secret_file)
    if unsigned and given is not None:
        raise typer.BadParameter("a receiver has a secret or none", param_hint="--unsigned")
    if port and port == sender_port:
        raise typer.BadParameter(f"{port} is the receiver's: give it another one", param_hint="--sender-port")
    plan = Plan(
        module,
        _free(port, "--port"),
        _free(sender_port, "--sender-port"),
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
    except (ApiError, Ended) as error:
        raise fail(str(error)) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass  # that is how it is meant to end, and everything has ended


def _load(plan: Plan) -> WebhookReceiver:
    """Load the receiver here, too, to tell its mistakes and to find its inbox; in the environment that it has there."""
    theirs = loops.environment(plan)
    for name in os.environ.keys() - theirs.keys():
        del os.environ[name]
    os.environ |= theirs
    return app_loader.load(plan.target)


async def _run(plan: Plan, receiver: str, inbox: Inbox | None, *, as_json: bool) -> None:
    started = time.time()
    async with loops.running(plan, _show_attempt_json if as_json else _show_attempt) as loop:
        webhook = await loop.create_webhook()
        if as_json:
            output.say_json({"url": plan.url, "sender": plan.sender_url, "webhook": webhook.id})
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
    """Tell what becomes of the deliveries; what is wrong with the inbox is the receiver's to say."""
    if inbox is None or isinstance(inbox, MemoryInbox):
        if not as_json:
            output.say("what is received is kept in no file: what handlers do is not shown here")
        return
    try:
        while True:
            with suppress(InboxError):
                await inbox.open()
                async for each in news(inbox, receiver, since):
                    output.say_json(each.as_json()) if as_json else _show_news(each)
            await asyncio.sleep(1)
    finally:
        await inbox.close()


async def _test(loop: Loop, webhook: Webhook, *, as_json: bool) -> None:
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
    to = "" if plan.sender_port == 8042 else f" --sender {plan.sender_url}"
    output.say(f"your receiver is at {plan.url}, and a sender that delivers to it at {plan.sender_url}", "bold")
    output.say("to see an order fulfilled, one that fails, and one that goes its whole way, in another terminal:")
    output.say(f"  webhook-receiver order create --status FULFILLED{to}", "cyan")
    output.say(f"  webhook-receiver order create --status FAILED_PERMANENTLY{to}", "cyan")
    output.say(f"  webhook-receiver order walk $(webhook-receiver order create{to} | cut -f1){to}", "cyan")
    output.say("and to see what else can happen:")
    output.say(f"  webhook-receiver mischief --copies 2{to}", "cyan")
    output.say(f"  webhook-receiver mischief --wrong-secret{to}", "cyan")
    output.say(f"  webhook-receiver mischief --none{to}", "cyan")


def _show_attempt(told: dict[str, Any]) -> None:
    ok = told["status"] is not None and 200 <= told["status"] <= 299
    about = told["orderId"] or ("a test" if told["test"] else "")
    answer = f"{told['status'] or ''} {told['reason']}".strip()
    again = "" if told["ended"] else ", will be sent again"
    took = f"in {told['seconds'] * 1000:.1f} ms" + (f", attempt {told['attempt']}" if told["attempt"] > 1 else "")
    line = f"{_clock(told['at'])} {told['event']} {about}: answered {answer} {took}{again}"
    output.say(printable(line), "green" if ok else "red")


def _show_attempt_json(told: dict[str, Any]) -> None:
    output.say_json(told)


def _show_news(told: News) -> None:
    about = printable(unquote(told.summary.identity or told.summary.event or told.summary.id))
    ran = told.handler or "no handler"
    attempts = f", attempt {told.attempts}" if told.attempts > 1 else ""
    why = f": {told.error.splitlines()[0]}" if told.error else ""
    took = "" if told.seconds is None else f" after {told.seconds * 1000:.0f} ms"
    state = "failed" if told.state is State.WAITING else str(told.state)
    line = f"{_clock(time.time())}   {about}: {ran} {state}{took}{attempts}{why}"
    output.say(printable(line), "yellow" if told.state is State.WAITING else STYLES[told.state])


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))


def _free(port: int, option: str) -> int:
    try:
        return loops.free_port(port)
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

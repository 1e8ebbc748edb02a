"""The server of `dev`, a process of its own: the user's app, with its receivers on inboxes of the local loop."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, nullcontext

import uvicorn
from starlette.types import ASGIApp

from ..inbox.memory import MemoryInbox
from ..inbox.sqlite import SQLiteInbox
from ..receiver import WebhookReceiver
from ..runtime import Runtime
from .app_loader import inbox_of, load_app
from .dev_handover import SOCKET, loading, watched
from .key_pair import key_of_dev
from .mounted import Mounted, every_receiver, receivers_in, unreached_in
from .options import PARSER
from .serve import PATH, TARGET, beside_health, leave_threads_behind, loaded_again, log_config

_for_good = ExitStack()
"""What holds until the process ends."""


def main(target: str, path: str, port: str, reload: str) -> None:
    """Serve an app, or a receiver at `path`, until a signal ends it; start again after a change if `reload`."""
    os.environ |= {TARGET: target, PATH: path}  # for the process that reload starts
    try:
        uvicorn.run(
            f"{__package__}.dev_server:app",
            factory=True,
            port=int(port),
            http=PARSER,
            reload=bool(reload),
            proxy_headers=False,  # as `serve`
            access_log=False,  # `dev` tells of each delivery
            log_config=log_config(),
            app_dir=os.getcwd(),
        )
    finally:
        leave_threads_behind(0)


def app() -> ASGIApp:
    """Return the app to serve; called in the process that serves it."""
    with loading(os.environ[SOCKET]) if SOCKET in os.environ else nullcontext():
        served = loaded_again(load_app, os.environ[TARGET])
        found = [each.hooks for each in (*receivers_of(served, os.environ[PATH]), *unreached_in(served))]
        others = [each for each in every_receiver() if all(each is not one for one in found)]
        receivers = [*found, *others]  # also one whose path is not found: it would work on what is production's
        for hooks in receivers:
            keep_apart(hooks)
            key_of_dev(hooks)
    whole = beside_health(served, os.environ[PATH]) if isinstance(served, WebhookReceiver) else served
    return watched(whole, receivers, os.environ[SOCKET]) if SOCKET in os.environ else whole


def receivers_of(served: ASGIApp, path: str) -> list[Mounted]:
    """Return the receivers in an app; `path` is that of a receiver by itself."""
    return [Mounted(served, path)] if isinstance(served, WebhookReceiver) else receivers_in(served)


def keep_apart(hooks: WebhookReceiver) -> SQLiteInbox | None:
    """Let a receiver keep its deliveries apart from those of production: in `hooks.dev.db` in place of `hooks.db`.

    A receiver whose inbox is elsewhere has `webhooks.dev.db`; the file is in the current folder.

    Returns:
        The inbox; None for a receiver that has none, or one in memory, and goes on as it is.
    """
    own = inbox_of(hooks)
    if own is None or isinstance(own, MemoryInbox):
        return None
    stem = own.path.stem if isinstance(own, SQLiteInbox) else "webhooks"
    inbox = SQLiteInbox(f"{stem}.dev.db")
    runtime = Runtime(hooks.name, hooks.sender, hooks, inbox=inbox, options=hooks.runtime.options)
    _for_good.enter_context(hooks.running_on(runtime))
    return inbox


if __name__ == "__main__":
    main(*sys.argv[1:])

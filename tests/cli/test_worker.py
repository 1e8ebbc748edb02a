"""`worker` with an app in place of a receiver: its lifespan is run round the receiver, and nothing is served."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, printed

MODULE = f"""
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from webhook_receiver import Event, WebhookReceiver, WorkerOptions
from webhook_receiver.delivery import RequestHead

hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db", work=False, worker=WorkerOptions(stop=0.1))
made = []

@hooks.fallback
async def handle(event: Event) -> None:
    print("handled with", *made, flush=True)
    try:
        await asyncio.Event().wait()  # until the worker stops
    finally:
        print("stopped with", *made, flush=True)

@asynccontextmanager
async def lifespan(app):
    made.append("a client")
    yield
    made.clear()
    print("lifespan ended", flush=True)

@asynccontextmanager
async def starting(app):
    async with lifespan(app), hooks:
        yield

@asynccontextmanager
async def failing(app):
    raise OSError("no such host: db.example")
    yield

async def keep():
    async with hooks:
        head, body = RequestHead.of({{"content-type": "application/json"}}), b'{{"event": "x"}}'
        head = hooks.sender.scheme.sign(head, body, hooks.runtime.clock())
        await hooks.receive(head.headers, body)

routes = [hooks.route("/webhooks")]
"""
APPS = {
    "Starlette": "Starlette(lifespan=starting, routes=routes)",
    "an app that does not start its receiver": "Starlette(lifespan=lifespan, routes=routes)",
    "FastAPI": "FastAPI(lifespan=starting, routes=routes)",
    "Litestar": "Litestar([asgi('/webhooks', is_mount=True)(hooks)], lifespan=[starting], logging_config=None)",
    "middleware": "CORSMiddleware(Starlette(lifespan=starting, routes=routes))",
}


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("app", APPS)
def test_the_handlers_of_an_app_have_what_its_lifespan_makes_until_they_have_stopped(tmp_path: Path, app: str) -> None:
    tmp_path.joinpath("main.py").write_text(f"{MODULE}app = {APPS[app]}\n", encoding="utf-8")
    kept = [sys.executable, "-c", "import asyncio, main; asyncio.run(main.keep())"]
    subprocess.run(kept, cwd=tmp_path, env=ENVIRONMENT, check=True)
    worker = subprocess.Popen(
        [*COMMAND, "worker", "main:app"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = printed(worker, "handled with")
    finally:
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=60)
    said += rest
    assert worker.returncode == 0, said
    told = [line for line in said.splitlines() if line.startswith(("handled", "stopped", "lifespan"))]
    assert told == ["handled with a client", "stopped with a client", "lifespan ended"]


def test_a_lifespan_that_fails_ends_the_worker_and_is_told(tmp_path: Path) -> None:
    app = "Starlette(lifespan=failing, routes=routes)"
    tmp_path.joinpath("main.py").write_text(f"{MODULE}app = {app}\n", encoding="utf-8")
    done = run("worker", "main:app", cwd=tmp_path, kill_after=30)
    assert done.returncode == 1
    assert "OSError: no such host: db.example" in done.stderr
    assert done.stderr.endswith("main:app cannot start: its lifespan has failed, as the log says\n")

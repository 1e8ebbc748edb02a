"""`serve` on a socket that was passed to it, as systemd does: who connects between two processes waits for the next."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, order, printed, signed

MODULE = f"""
from webhook_receiver import AllowFrom, UP42Signature, WebhookReceiver
scheme = AllowFrom(["127.0.0.1"], UP42Signature("{SECRET}"))
hooks = WebhookReceiver(scheme=scheme, inbox="sqlite:///hooks.db", work=False)
"""


@contextmanager
def passed_to(folder: Path, listener: socket.socket, *options: str) -> Generator[subprocess.Popen[str]]:
    number = listener.fileno()
    process = subprocess.Popen(
        [*COMMAND, "serve", "app:hooks", "--fd", str(number), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[number],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = printed(process, "Application startup complete")
        assert f"app:hooks receives on the socket {number} at /webhooks" in said
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def deliver(port: int, number: int) -> int:
    body = order(orderId=str(number))
    headers = signed(body, now=time.time())
    url = f"http://127.0.0.1:{port}/webhooks"
    return httpx.post(url, content=body, headers=[*headers], trust_env=False, timeout=60).status_code


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two"])
def test_who_connects_while_no_process_runs_is_answered_by_the_next(tmp_path: Path, options: tuple[str, ...]) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as clients:
        port = listener.getsockname()[1]
        with passed_to(tmp_path, listener, *options):
            assert deliver(port, 0) == 202
        waiting = [clients.submit(deliver, port, number) for number in range(1, 4)]
        with passed_to(tmp_path, listener, *options):
            assert [each.result() for each in waiting] == [202] * 3


def test_it_listens_on_one_socket() -> None:
    done = run("serve", "app:hooks", "--fd", "3", "--uds", "x.sock")
    assert done.returncode == 2
    assert "it listens on one socket: give --uds or --fd" in done.stderr

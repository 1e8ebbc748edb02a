"""`serve` and `worker` with a log of JSON: every line is a document."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, accepted, free_port, printed

MODULE = f"""
import logging, threading, warnings
from webhook_receiver import OrderFulfilled, WebhookReceiver
hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db")
@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    logging.getLogger("mine").warning("of my own", extra={{"order": order.order_id}})
    warnings.warn("old", FutureWarning)
    thread = threading.Thread(target=lambda: 1 / 0, name="mine")
    thread.start()
    thread.join()
    raise OSError("away")
"""


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments, "--log-format", "json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_of_serve_is_a_document(tmp_path: Path, workers: int) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")
    port = free_port()
    process = started(tmp_path, "serve", "app:hooks", "--port", f"{port}", "--workers", f"{workers}")
    seen = printed(process, "Uvicorn running")
    seen += "" if "startup complete" in seen else printed(process, "startup complete")
    accepted(port)  # several workers say so before they listen
    done = run("send", f"http://127.0.0.1:{port}/webhooks", "--secret", SECRET, "--set", "body.orderId=7")
    assert done.returncode == 0, done.stderr
    run("send", f"http://127.0.0.1:{port}/webhooks", "--forge")
    seen += printed(process, "rejected a request")
    process.send_signal(signal.SIGTERM)
    seen += process.communicate(timeout=30)[0]
    lines: list[dict[str, Any]] = [json.loads(line) for line in seen.splitlines()]
    messages = [line["message"] for line in lines]
    assert messages[0].startswith(f"app:hooks receives at http://127.0.0.1:{port}/webhooks; handlers: app:download")
    failed, *_ = [line for line in lines if line.get("exception") and line.get("handler")]
    assert (failed["level"], failed["handler"], failed["attempt"]) == ("ERROR", "app:download", 1)
    assert failed["reason"] == "OSError: away"
    own, *_ = [line for line in lines if line["logger"] == "mine"]  # one for each attempt
    assert (own["message"], own["order"]) == ("of my own", "7")
    assert any(line["logger"] == "py.warnings" and "FutureWarning: old" in line["message"] for line in lines)
    (thread, *_) = [line for line in lines if line["message"] == "an error ends the thread mine"]
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert [line["reason"] for line in lines if line["message"].startswith("up42 rejected")] == ["BadSignature"]


def test_every_line_of_a_worker_with_a_health_port_is_a_document(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")
    process = started(tmp_path, "worker", "app:hooks", "--health-port", "0")
    seen = printed(process, "Uvicorn running")
    process.send_signal(signal.SIGTERM)
    seen += process.communicate(timeout=30)[0]
    first, *_ = [json.loads(line) for line in seen.splitlines()]
    assert first["message"].startswith("app:hooks handles what is in <SQLiteInbox")


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "said"),
    [
        (["serve", "app:none", "--log-format", "json"], {}, 2, "app has nothing called none; it has app:hooks"),
        (["worker", "none:hooks", "--log-format=json"], {}, 2, "there is no module 'none'"),
        (["serve", "--log-format", "json", "--port", "x"], {}, 2, "Invalid value for '--port': "),
        (["serve", "app:hooks"], {"LOG_FORMAT": "json", "PORT": "x"}, 2, "WEBHOOK_RECEIVER_PORT: Input should be"),
        (["worker", "app:hooks"], {"LOG_FORMAT": "json", "HEALTH_HOST": "192.0.2.1", "HEALTH_PORT": "0"}, 1, "listen"),
        (["serve", "app:hooks", "--log-format", "json", "--host", "192.0.2.1"], {}, 1, "cannot listen on 192.0.2.1"),
        (["worker", "broken:hooks", "--log-format", "json"], {}, 2, "broken cannot be imported: ZeroDivisionError"),
    ],
)
def test_why_a_process_cannot_start_is_a_document(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, said: str
) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")
    tmp_path.joinpath("broken.py").write_text("1 / 0", encoding="utf-8")
    given = {f"WEBHOOK_RECEIVER_{name}": value for name, value in variables.items()}
    done = run(*arguments, cwd=tmp_path, env={**os.environ, **given})
    (line,) = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert (done.returncode, line["level"]) == (code, "ERROR")
    assert said in line["message"]

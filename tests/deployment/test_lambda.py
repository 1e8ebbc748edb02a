"""The function of AWS Lambda, called with events as function URLs and HTTP APIs of API Gateway make them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.commands import run
from tests.deployment.parts import SECRET, own
from tests.helpers import ROOT, free_port, order, signed

CALL = """
import json, sys
from lambda_function import Mangum, app, handler
if sys.argv[1:]:
    handler = Mangum(app, lifespan="off", api_gateway_base_path=sys.argv[1])
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


def event(
    body: bytes, headers: dict[str, str], *, encoded: bool, method: str = "POST", stage: str = ""
) -> dict[str, Any]:
    """Return an event of payload format 2.0 (docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html).

    The path begins with a stage that has a name (github.com/aws-powertools/powertools-lambda-python/issues/621).
    """
    path = f"/{stage}/webhooks" if stage else "/webhooks"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers | {"host": "id.lambda-url.eu-central-1.on.aws", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "id",
            "domainName": "id.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "a sender",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": stage or "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1773342238000,
        },
        "body": base64.b64encode(body).decode() if encoded else body.decode(),
        "isBase64Encoded": encoded,
    }


def delivered(
    order_id: str, *, secret: str = SECRET, encoded: bool = False, body: bytes | None = None, stage: str = ""
) -> dict[str, Any]:
    body = order(orderId=order_id) if body is None else body
    headers = signed(body, secret=secret, now=time.time())
    return event(body, {name.decode(): value.decode() for name, value in headers}, encoded=encoded, stage=stage)


@contextmanager
def function(folder: Path, inbox: str, *base: str) -> Generator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Yield the function, in one environment of it that is kept between calls; `base` is the path of its stage."""
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, *base],
        cwd=folder,
        env=own({"WEBHOOK_RECEIVER_SECRET": SECRET, "WEBHOOK_RECEIVER_INBOX": inbox}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def call(event: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()
        response: dict[str, Any] = json.loads(process.stdout.readline())
        return response

    try:
        yield call
    finally:
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_it_stores_what_comes_for_a_worker_elsewhere(tmp_path: Path, postgres_url: str) -> None:
    text, repeated = delivered("o-1"), delivered("o-2", encoded=True)
    events = [text, repeated, repeated, delivered("o-3", secret="another"), delivered("ü", encoded=True)]
    with function(tmp_path, postgres_url) as call:
        assert [call(each)["statusCode"] for each in events] == [202, 202, 200, 401, 202]
    stored = run("inbox", "ls", postgres_url, "--json").stdout.splitlines()
    assert len(stored) == 3
    assert all(json.loads(each)["state"] == "waiting" for each in stored)


@pytest.mark.parametrize(("base", "answers"), [((), [404, 202]), (("/prod",), [202, 202])])
def test_the_name_of_a_stage_is_taken_off_the_path_where_it_is_told(
    tmp_path: Path, postgres_url: str, base: tuple[str, ...], answers: list[int]
) -> None:
    with function(tmp_path, postgres_url, *base) as call:
        assert [call(delivered(f"o-{stage}", stage=stage))["statusCode"] for stage in ("prod", "")] == answers
    guide = ROOT.joinpath("docs", "deployment.md").read_text(encoding="utf-8")
    assert all(f'api_gateway_base_path="{each}"' in guide for each in base)


OTHERS = """
SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
WHERE datname = current_database() AND pid != pg_backend_pid()
"""


def test_after_connections_ended_between_two_calls_it_connects_anew(tmp_path: Path, postgres_url: str) -> None:
    with (
        function(tmp_path, postgres_url) as call,
        psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as connection,
    ):
        assert call(delivered("o-1"))["statusCode"] == 202
        assert connection.execute(OTHERS).rowcount > 0
        assert [call(delivered("o-2"))["statusCode"] for _ in range(2)] == [202, 200]


def test_what_cannot_be_stored_is_not_acknowledged(tmp_path: Path) -> None:
    with function(tmp_path, f"postgresql://app@127.0.0.1:{free_port()}/hooks") as call:
        response = call(delivered("o-1"))
    assert (response["statusCode"], response["headers"]["retry-after"]) == (503, "10")


def test_another_method_is_told_which_is_allowed(tmp_path: Path) -> None:
    with function(tmp_path, f"postgresql://app@127.0.0.1:{free_port()}/hooks") as call:
        response = call(event(b"", {}, encoded=False, method="GET"))
    assert (response["statusCode"], response["headers"]["allow"]) == (405, "POST")

"""The alerts and the dashboard of `examples/operations`, in a real Prometheus that scrapes a real receiver."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.commands import run
from tests.helpers import ROOT, SECRET, free_port, running, signed
from webhook_receiver import Changes, SQLiteInbox, WebhookReceiver

OPERATIONS = ROOT / "examples" / "operations"
ALERTS = OPERATIONS / "prometheus-alerts.yml"
DASHBOARD: dict[str, Any] = json.loads((OPERATIONS / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES: dict[str, Any] = {
    rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="there is no Prometheus here: apt-get install prometheus"
)
PATIENCE = 60.0  # seconds
HOUR = 3600.0


class Case(NamedTuple):
    """Series by which an alert fires, and does not before."""

    series: dict[str, str]
    fires: str
    """When it fires first."""
    labels: dict[str, str]
    summary: str
    quiet: str = "2m"
    """When it does not yet."""


INBOX = 'webhook_receiver_inbox="hooks.db"'
UP42 = 'messaging_destination_name="up42"'
HANDLER = f'{UP42},webhook_receiver_handler="app:download"'
GOOD = f'{UP42},webhook_receiver_handler="app:good"'
CASES = {
    "WebhookInboxDown": Case(
        # Another process tells of it from the fifth minute on.
        {
            f'webhook_receiver_inbox_up{{{INBOX},instance="a"}}': "1x3 0 stale",
            f'webhook_receiver_inbox_up{{{INBOX},instance="b"}}': "_x5 0x9",
        },
        "7m",
        {"webhook_receiver_inbox": "hooks.db"},
        "Nothing can be stored in hooks.db: senders are answered 503.",
    ),
    "WebhookProcessDown": Case(
        {
            'up{job="webhook-receiver",instance="a"}': "1x3 0x9",
            'up{job="webhook-worker",instance="b"}': "1x20",
            'up{job="node",instance="c"}': "0x20",
        },
        "7m",
        {"job": "webhook-receiver", "instance": "a"},
        "a of webhook-receiver does not answer: it is not running, hangs, or cannot be reached.",
    ),
    "WebhookReceiverAbsent": Case(
        {f"webhook_receiver_inbox_up{{{INBOX}}}": "1x3 stale"},
        "10m",
        {},
        "No process tells of an inbox: none runs, or none can be scraped.",
        quiet="8m",
    ),
    "WebhookNotStored": Case(
        {
            f'webhook_receiver_rejections_total{{{UP42},error_type="InboxUnavailable",instance="{i}"}}': f"0x3 {i}x9"
            for i in (1, 2)
        },
        "6m",
        {"messaging_destination_name": "up42", "error_type": "InboxUnavailable"},
        "up42 answers deliveries 503: InboxUnavailable.",
    ),
    "WebhookSilence": Case(
        {
            f'webhook_receiver_silence_seconds{{{UP42},instance="a"}}': "0+60x40",  # which gets less than the other one
            f'webhook_receiver_silence_seconds{{{UP42},instance="b"}}': "0x5 0+60x40",
            f'webhook_receiver_silence_limit_seconds{{{UP42},instance="a"}}': "600x40",
        },
        "19m",
        {"messaging_destination_name": "up42"},
        "No push has come to up42 for 13m 0s.",
        quiet="17m",
    ),
    "WebhookSignaturesRejected": Case(
        {
            f'webhook_receiver_rejections_total{{{UP42},error_type="AddressNotAllowed"}}': "0x20 0+10x30",
            f'webhook_receiver_rejections_total{{{UP42},error_type="MethodNotAllowed"}}': "0+100x60",
            f'webhook_receiver_verifications_total{{{UP42},webhook_receiver_secret="0"}}': "0+1x25 25x40",
            # Strangers are rejected here, and the sender is not.
            'webhook_receiver_rejections_total{messaging_destination_name="b",error_type="BadSignature"}': "0+9x60",
            'webhook_receiver_verifications_total{messaging_destination_name="b"}': "0+1x60",
        },
        "44m",
        {"messaging_destination_name": "up42", "error_type": "AddressNotAllowed"},
        "up42 rejects all that comes: AddressNotAllowed.",
        quiet="38m",
    ),
    "WebhookPartRejected": Case(
        {
            f'webhook_receiver_rejections_total{{{UP42},error_type="BadSignature"}}': "0x10 0+1x90",
            f'webhook_receiver_rejections_total{{{UP42},error_type="MethodNotAllowed"}}': "0+5x100",
            f'webhook_receiver_verifications_total{{{UP42},webhook_receiver_secret="0"}}': "0+1x100",
            f'webhook_receiver_verifications_total{{{UP42},webhook_receiver_secret="1"}}': "0x100",
            # A few strangers at a receiver that gets little, and many at one that gets much.
            'webhook_receiver_rejections_total{messaging_destination_name="b",error_type="BodyTooLarge"}': "0+3x3 9x97",
            'webhook_receiver_verifications_total{messaging_destination_name="b"}': "0x100",
            'webhook_receiver_rejections_total{messaging_destination_name="c",error_type="BodyTooSlow"}': "0+1x100",
            'webhook_receiver_verifications_total{messaging_destination_name="c"}': "0+20x100",
        },
        "28m",
        {"messaging_destination_name": "up42", "error_type": "BadSignature"},
        "up42 rejects 37.78% of what comes: BadSignature.",
        quiet="24m",
    ),
    "WebhookDeadLetters": Case(
        {f'webhook_receiver_dead_letters_total{{{UP42},instance="{i}"}}': "0x5 1x20" for i in (1, 2)},
        "14m",
        {"messaging_destination_name": "up42"},
        "2 deliveries to up42 have died.",
        quiet="5m",
    ),
    "WebhookDeadLettersSoon": Case(
        {f"webhook_receiver_inbox_dead_within_hour{{{INBOX}}}": "0x5 3x20"},
        "12m",
        {"webhook_receiver_inbox": "hooks.db"},
        "3 deliveries in hooks.db will be dead within an hour.",
        quiet="9m",
    ),
    "WebhookOldestWaiting": Case(
        {f"webhook_receiver_inbox_oldest_waiting_seconds{{{INBOX}}}": "0+60x60"},
        "22m",
        {"webhook_receiver_inbox": "hooks.db"},
        "A delivery in hooks.db has waited 22m 0s.",
        quiet="20m",
    ),
    "WebhookHandlerFails": Case(
        {
            f'webhook_receiver_attempts_total{{{HANDLER},webhook_receiver_outcome="retry"}}': "0+3x60",
            f'webhook_receiver_attempts_total{{{HANDLER},webhook_receiver_outcome="done"}}': "0+1x60",
            f'webhook_receiver_attempts_total{{{GOOD},webhook_receiver_outcome="done"}}': "0+1x60",
        },
        "30m",
        {"messaging_destination_name": "up42", "webhook_receiver_handler": "app:download"},
        "app:download fails in 75% of its attempts.",
        quiet="14m",
    ),
    "WebhookWorkerStalled": Case(
        {
            f'webhook_receiver_worker_stalled{{{UP42},instance="a"}}': "0x5 1x9",
            f'webhook_receiver_worker_stalled{{{UP42},instance="b"}}': "0x20",
        },
        "8m",
        {"messaging_destination_name": "up42", "instance": "a"},
        "The worker of up42 on a gets nothing from the inbox.",
    ),
    "WebhookWorkersBusy": Case(
        {
            f'webhook_receiver_worker_busy{{{UP42},instance="a"}}': "16x60",
            f'webhook_receiver_worker_busy{{{UP42},instance="b"}}': "0x5 15x60",
            **{f'webhook_receiver_worker_slots{{{UP42},instance="{i}"}}': "16x60" for i in ("a", "b")},
        },
        "25m",
        {"messaging_destination_name": "up42"},
        "96.88% of the slots of up42 are in use.",
        quiet="18m",
    ),
    "WebhookPollLag": Case(
        {
            f'webhook_receiver_poll_lag_seconds{{{UP42},webhook_receiver_source="orders",instance="{i}"}}': "3000+60x60"
            for i in (1, 2)
        },
        "20m",
        {"messaging_destination_name": "up42", "webhook_receiver_source": "orders"},
        "orders was polled last 1h 10m 0s ago.",
        quiet="12m",
    ),
    "WebhookDiskFull": Case(
        {f"webhook_receiver_inbox_disk_free_bytes{{{INBOX}}}": "100000000000-200000000x240"},
        "60m",  # it will be full in 7.3 hours
        {"webhook_receiver_inbox": "hooks.db"},
        "The disk of hooks.db is full, or will be within a day.",
        quiet="5m",
    ),
}


OF_THE_INBOX = {
    "WebhookInboxDown": ("webhook_receiver_inbox_up", 0),
    "WebhookDeadLettersSoon": ("webhook_receiver_inbox_dead_within_hour", 3),
    "WebhookOldestWaiting": ("webhook_receiver_inbox_oldest_waiting_seconds", 1000),
    "WebhookDiskFull": ("webhook_receiver_inbox_disk_free_bytes", 1000),
}


def test_an_alert_of_an_inbox_goes_on_while_another_process_takes_over(tmp_path: Path) -> None:
    """With the series of a process that is killed in the 20th minute, and of one that takes over a minute later."""
    tests: list[dict[str, Any]] = []
    for alert, (metric, bad) in OF_THE_INBOX.items():
        series = {"a": f"{bad}x19 stale", "b": f"_x21 {bad}x19"}
        one = {
            "input_series": [{"series": f'{metric}{{{INBOX},instance="{key}"}}', "values": series[key]} for key in "ab"]
        }
        for minute in (19, 20, 21, 22):
            query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
            wanted = {"expr": query, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]}
            tests.append({**one, "name": alert, "interval": "1m", "promql_expr_test": [wanted]})
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_disk_is_not_predicted_to_be_full_by_what_a_process_told_that_has_ended(tmp_path: Path) -> None:
    metric = f"webhook_receiver_inbox_disk_free_bytes{{{INBOX}"
    series = {"a": "100000000000-100000000x29 stale", "b": "_x30 97000000000x240"}
    test = {
        "interval": "1m",
        "input_series": [{"series": f'{metric},instance="{key}"}}', "values": series[key]} for key in "ab"],
        "alert_rule_test": [{"alertname": "WebhookDiskFull", "eval_time": "3h", "exp_alerts": []}],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert CASES.keys() == RULES.keys()
    tests: list[dict[str, Any]] = []
    for alert, case in CASES.items():
        rule = RULES[alert]
        fired = {
            "exp_labels": {"severity": rule["labels"]["severity"], **case.labels},
            "exp_annotations": {"summary": case.summary, "action": rule["annotations"]["action"]},
        }
        tests.append(
            {
                "name": alert,
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "alert_rule_test": [
                    {"alertname": alert, "eval_time": case.quiet, "exp_alerts": []},
                    {"alertname": alert, "eval_time": case.fires, "exp_alerts": [fired]},
                ],
            }
        )
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    configurations = sorted({each.name for each in OPERATIONS.glob("prometheus*.yml")} - {ALERTS.name})
    assert len(configurations) == 3
    for command in (*(["check", "config", each] for each in configurations), ["check", "rules", ALERTS.name]):
        done = subprocess.run([str(PROMTOOL), *command], cwd=OPERATIONS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_dashboard_is_one_of_grafana_and_every_panel_has_a_place_of_its_own() -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert list(differences(DASHBOARD, read)) == []  # what Grafana does not know is not in it any more
    assert list(differences(DASHBOARD | {"colour": "red"}, read)) == ["/colour"]
    places = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not covered & places
        assert max(x for x, _ in covered) < 24
        places |= covered
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def differences(given: Any, read: Any, path: str = "") -> Generator[str]:
    """Yield the places of what is given that is not read as it is."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(read, dict) or key not in read:
                yield f"{path}/{key}"
            else:
                yield from differences(value, read[key], f"{path}/{key}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif given != read:
        yield path


APP = f"""
from datetime import timedelta
from webhook_receiver import Changes, GiveUp, OrderFulfilled, Retry, WebhookReceiver
from webhook_receiver.options import Backoff, WorkerOptions
hooks = WebhookReceiver(
    secret="{SECRET}", inbox="sqlite:///hooks.db?min_free=0", expect_every=timedelta(hours=1),
    worker=WorkerOptions(backoff=Backoff(first=1200, longest=1200, attempts=3)),
)
@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    if order.order_id.startswith("dead"):
        raise GiveUp("of no use")
    if order.order_id == "again":
        raise OSError("away")
async def orders(cursor: str | None) -> Changes:
    return Changes([b'{{"event": "order.status", "body": {{"orderId": "polled", "status": "CREATED"}}}}'], "1")
hooks.poll_every(timedelta(minutes=5), orders)
async def fails(cursor: str | None) -> Changes:
    raise OSError("away")
hooks.poll_every(timedelta(minutes=5), fails)
"""


def about(order: str) -> bytes:
    return b'{"event": "order.status", "body": {"orderId": "%s", "status": "FULFILLED"}}' % order.encode()


async def two_hours_ago(inbox: Path) -> None:
    """Have a push come, which its handler still waits for, and a source polled that fails since."""
    then = time.time() - 2 * HOUR
    hooks = WebhookReceiver(
        secret=SECRET, inbox=SQLiteInbox(inbox, min_free=0), clock=lambda: then, expect_every=HOUR, work=False
    )

    async def fails(cursor: str | None) -> Changes:
        return Changes([], "1")

    hooks.poll_every(1, fails)
    async with hooks:
        receipt = await hooks.receive(signed(about("old"), now=then), about("old"))
        assert receipt.response.status == 202
        await hooks.inbox.pause("app:download", then)
        await hooks.pollers[0].poll()


@contextmanager
def scraping(folder: Path, target: int) -> Generator[httpx.Client]:
    """Run Prometheus with the alerts, which wait for nothing here; yield a client of its API."""
    rules = re.sub(r"^        for: .*\n", "", ALERTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    folder.joinpath("rules.yml").write_text(rules, encoding="utf-8")
    config = {
        "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "hooks", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    folder.joinpath("prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    with folder.joinpath("log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1", trust_env=False, timeout=PATIENCE) as client:
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def asked(client: httpx.Client, path: str, **given: str) -> Any:
    """Return what Prometheus answers; wait for it to be up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = None
        with suppress(httpx.ConnectError):
            answer = client.get(path, params=given)
        if answer is None or answer.status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            continue
        found = answer.json()
        assert found["status"] == "success", (given, found)
        return found["data"]


def firing(client: httpx.Client, *alerts: str, **labels: str) -> None:
    """Wait until these alerts fire, with these labels."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = {
            each["labels"]["alertname"]
            for each in asked(client, "/alerts")["alerts"]
            if each["state"] == "firing" and labels.items() <= each["labels"].items()
        }
        if {*alerts} <= found:
            return
        assert time.monotonic() < deadline, f"{ {*alerts} - found } did not fire, but {found}"
        time.sleep(0.1)


def answers_all(client: httpx.Client) -> None:
    """Wait until there is something for every query of the dashboard: figures of the inbox are of its latest look."""
    deadline = time.monotonic() + PATIENCE
    while empty := {expression for panel in DASHBOARD["panels"] for expression in without_data(client, panel)}:
        assert time.monotonic() < deadline, empty
        time.sleep(0.1)


def test_a_real_prometheus_fires_alerts_and_answers_every_query_of_the_dashboard(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP, encoding="utf-8")
    asyncio.run(two_hours_ago(tmp_path / "hooks.db"))
    port = free_port()
    command = ["webhook_receiver", "serve", "app:hooks", "--metrics-port", str(port)]
    with running(*command, cwd=tmp_path) as (url, _), scraping(tmp_path, port) as client:

        def post(order: str, secret: str = SECRET, encoding: str = "identity") -> int:
            told = {"content-encoding": encoding}
            headers = [*signed(about(order), secret=secret, now=time.time(), headers=told)]
            return httpx.post(f"{url}/webhooks", content=about(order), headers=headers, trust_env=False).status_code

        firing(client, "WebhookSilence", "WebhookOldestWaiting")
        firing(client, "WebhookPollLag", webhook_receiver_source="fails")
        assert [post(f"{number}", secret="another") for number in range(10)] == [401] * 10
        firing(client, "WebhookSignaturesRejected")
        assert run("inbox", "resume", "hooks.db", "app:download", cwd=tmp_path).returncode == 0
        assert [post(order) for order in ("dead-1", "dead-1", "dead-2", "again")] == [202, 200, 202, 202]
        firing(client, "WebhookDeadLetters")
        assert [post(f"{number}", encoding="br") for number in range(20)] == [415] * 20
        firing(client, "WebhookPartRejected", error_type="UnsupportedEncoding")
        tmp_path.joinpath("hooks.db").rename(tmp_path / "elsewhere.db")
        assert post("lost") == 503
        firing(client, "WebhookNotStored")
        tmp_path.joinpath("elsewhere.db").rename(tmp_path / "hooks.db")
        answers_all(client)
        (receiver,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "receiver")
        assert re.fullmatch(r"label_values\((\w+), (\w+)\)", receiver["query"])
        names = asked(client, "/label/messaging_destination_name/values")
        assert names == ["up42"]


def without_data(client: httpx.Client, panel: dict[str, Any]) -> Generator[str]:
    """Yield the queries of a panel for which Prometheus has nothing."""
    for target in panel.get("targets", ()):
        expression = target["expr"].replace("$receiver", ".+").replace("$__rate_interval", "1m")
        assert "$" not in expression
        if not asked(client, "/query", query=expression)["result"]:
            yield expression

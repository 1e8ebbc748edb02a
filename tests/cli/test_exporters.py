"""`serve` and `worker` with telemetry: ports for Prometheus, OTLP to a collector, and mistakes that are told before."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, free_port, printed, running, signed
from webhook_receiver import ConfigurationError
from webhook_receiver.cli import exporters

MODULE = f"""
from webhook_receiver import OrderFulfilled, WebhookReceiver
hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db", expect_every=3600)
@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    pass
"""


OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")


def deliver(url: str, number: int) -> None:
    body = b'{"event": "order.status", "body": {"orderId": "%d", "status": "FULFILLED"}}' % number
    headers = [*signed(body, now=time.time())]
    answer = httpx.post(f"{url}/webhooks", content=body, headers=headers, trust_env=False)
    assert answer.status_code == 202, answer.text


def scraped(port: int) -> list[Sample]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float | None:
    found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    assert len(found) <= 1
    return found[0] if found else None


def free_ports(number: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        first = free_port()
        with suppress(OSError):
            for port in range(first + 1, first + number):
                HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler).server_close()
            return first


def instance(samples: list[Sample]) -> str:
    (found,) = [each.labels["service_instance_id"] for each in samples if each.name == "target_info"]
    return found


def test_each_process_has_a_port_and_an_instance_and_one_tells_of_the_inbox(tmp_path: Path) -> None:
    first = free_ports(2)
    command = ["webhook_receiver", "serve", "app:hooks", "--workers", "2", "--metrics-port", str(first)]
    with running(*command, cwd=tmp_path) as (url, process):
        printed(process, "Application startup complete")  # of the second one
        for number in range(20):
            deliver(url, number)
        both = [scraped(first), scraped(first + 1)]
        assert len({*map(instance, both)}) == 2
        received = [value(each, "webhook_receiver_receipts_total", http_response_status_code="202") for each in both]
        assert sum(each or 0 for each in received) == 20
        assert [value(each, "webhook_receiver_inbox_up") for each in both].count(1.0) == 1
        assert all(value(each, "webhook_receiver_silence_limit_seconds") == 3600 for each in both)
        assert all((value(each, "process_start_time_seconds") or 0) > 0 for each in both)  # of its own client
        assert "otel_scope" not in str(both)
        for pid in servers(process):
            os.kill(pid, signal.SIGKILL)
        printed(process, "metrics are at")
        printed(process, "metrics are at")
        again = {instance(scraped(port)) for port in (first, first + 1)}
        assert len(again) == 2
        assert again.isdisjoint(map(instance, both))


def servers(process: subprocess.Popen[str]) -> list[int]:
    """Return the ids of the server processes that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


class Collector(BaseHTTPRequestHandler):
    """Takes what OTLP posts to it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def collecting() -> Generator[tuple[str, list[tuple[str, bytes]]]]:
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        posted: list[tuple[str, bytes]] = []
        server.posted = posted  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


def told(attributes: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in attributes}


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_spans_and_metrics_go_to_a_collector_by_the_standard_variables_and_the_last_at_the_end(
    tmp_path: Path, command: str
) -> None:
    with collecting() as (endpoint, posted):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=orders,service.instance.id=one",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # nothing is sent before the end
        }
        if command == "serve":
            with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path, environment=environment) as (url, _):
                deliver(url, 1)
                assert not posted
        else:
            keeps = MODULE.replace("expect_every=3600", "work=False")
            tmp_path.joinpath("keeps.py").write_text(keeps, encoding="utf-8")
            with running("webhook_receiver", "serve", "keeps:hooks", cwd=tmp_path) as (url, _):
                deliver(url, 1)
            worker = started(tmp_path, "worker", "app:hooks", environment=environment)
            printed(worker, "OrderFulfilled: app:download: done")
            assert not posted
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=30)
            assert worker.returncode == 0
    spans, values = [], set[str]()
    for path, body in posted:
        assert path in ("/v1/traces", "/v1/metrics")
        if path == "/v1/traces":
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                assert (
                    told(each.resource.attributes).items()
                    >= {"service.name": "orders", "service.instance.id": "one"}.items()
                )
                spans += [(span.name, told(span.attributes)) for scope in each.scope_spans for span in scope.spans]
        else:
            for each in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                values |= {metric.name for scope in each.scope_metrics for metric in scope.metrics}
    assert "webhook_receiver.attempts" in values
    assert [name for name, _ in spans][-1] == "process up42"
    assert ("receive up42" in dict(spans)) == (command == "serve")
    assert dict(spans)["process up42"]["webhook_receiver.handler"] == "app:download"


def test_an_attempt_in_a_worker_is_a_child_of_the_receipt_of_serve_and_each_process_has_its_own_instance(
    tmp_path: Path,
) -> None:
    keeps = MODULE.replace("expect_every=3600", "work=False")
    tmp_path.joinpath("keeps.py").write_text(keeps, encoding="utf-8")
    with collecting() as (endpoint, posted):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with running("webhook_receiver", "serve", "keeps:hooks", cwd=tmp_path, environment=environment) as (url, serve):
            deliver(url, 1)
            worker = started(tmp_path, "worker", "app:hooks", environment=environment)
            printed(worker, "OrderFulfilled: app:download: done")
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=30)
    assert (serve.returncode, worker.returncode) == (0, 0)
    found: dict[str, tuple[Any, Span]] = {}
    for path, body in posted:
        if path == "/v1/traces":
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                of = told(each.resource.attributes)["service.instance.id"]
                for span in (span for scope in each.scope_spans for span in scope.spans):
                    assert span.name not in found
                    found[span.name] = of, span
    assert found.keys() == {"receive up42", "process up42"}
    (one, receipt), (other, attempt) = found["receive up42"], found["process up42"]
    assert (attempt.trace_id, attempt.parent_span_id) == (receipt.trace_id, receipt.span_id)
    assert [(link.trace_id, link.span_id) for link in attempt.links] == [(receipt.trace_id, receipt.span_id)]
    assert one
    assert other
    assert one != other


def started(folder: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_collector_that_is_away_holds_up_neither_a_delivery_nor_the_end(tmp_path: Path) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path, environment=environment) as (url, process):
        for number in range(5):
            deliver(url, number)
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        process.wait(timeout=30)
        assert time.monotonic() - begin < 9


def test_each_process_has_its_own_instance_and_port_where_the_environment_names_one(tmp_path: Path) -> None:
    first = free_ports(2)
    with collecting() as (endpoint, posted):
        environment = {
            "OTEL_METRICS_EXPORTER": "prometheus,otlp",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(first),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-1",
        }
        command = ["webhook_receiver", "serve", "app:hooks", "--workers", "2"]
        with running(*command, cwd=tmp_path, environment=environment) as (_, process):
            printed(process, "Application startup complete")  # of the second one
            scrapes = {instance(scraped(port)) for port in (first, first + 1)}
    resources = [
        each.resource
        for path, body in posted
        if path == "/v1/metrics"
        for each in ExportMetricsServiceRequest.FromString(body).resource_metrics
    ]
    assert len(scrapes) == 2
    assert {str(told(each.attributes)["service.instance.id"]) for each in resources} == scrapes
    assert all(each.startswith("pod-1-") for each in scrapes)


def test_a_worker_has_a_port_too_and_the_environment_may_name_it(tmp_path: Path) -> None:
    for number, given in enumerate((["--metrics-port", "PORT"], [])):
        port = free_port()
        environment = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
        options = [each.replace("PORT", str(port)) for each in given]
        worker = started(tmp_path, "worker", "app:hooks", *options, environment={} if number == 0 else environment)
        printed(worker, f":{port}/metrics")
        deadline = time.monotonic() + 30
        while value(scraped(port), "webhook_receiver_worker_slots") is None:
            assert time.monotonic() < deadline
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--port", "PORT", "--metrics-port", "PORT"], {}, "is taken already: take another --metrics-port"),
        (["--metrics-port", "1", "--metrics-host", "192.0.2.1"], {}, "give --metrics-host an address of this machine"),
        ([], {"OTEL_TRACES_EXPORTER": "jaegr"}, "OTEL_TRACES_EXPORTER has 'jaegr', which no package here is"),
        ([], {"OTEL_METRICS_EXPORTER": "nothing"}, "OTEL_METRICS_EXPORTER has 'nothing', which no package here is"),
        (
            [],
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTLP by grpc needs the package opentelemetry-exporter-otlp-proto-grpc",
        ),
        (
            [],
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/xml"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf or grpc, not 'http/xml'",
        ),
        (
            [],
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "many"},
            "OTEL_EXPORTER_PROMETHEUS_PORT is the number of a port, not 'many'",
        ),
        (
            ["--workers", "4", "--metrics-port", "65534"],
            {},
            "there are no 4 ports from 65534 on, one for each process: take a lower --metrics-port",
        ),
        (
            ["--metrics-port", "0"],
            {"OTEL_SDK_DISABLED": "true"},
            "OTEL_SDK_DISABLED=true leaves --metrics-port nothing",
        ),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is a URL such as http://"),
        (
            [],
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:x"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is a URL such as",
        ),
        ([], {**OTLP, "OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "COMPRESSION is none, gzip, deflate, not 'zip'"),
        ([], {**OTLP, "OTEL_EXPORTER_OTLP_HEADERS": "a=b,hush"}, "OTEL_EXPORTER_OTLP_HEADERS has what is no header"),
        (
            [],
            {**OTLP, "OTEL_TRACES_SAMPLER": "some"},
            "OTEL_TRACES_SAMPLER is always_on, always_off, traceidratio, parent",
        ),
        (
            [],
            {**OTLP, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1, not '2'",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_served(
    tmp_path: Path, options: list[str], environment: dict[str, str], said: str
) -> None:
    port = f"{free_port()}"
    given = ["--port", port, *[each.replace("PORT", port) for each in options]]
    done = run("serve", "app:hooks", *given, cwd=tmp_path, env={**os.environ, **environment})
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("prometheus_client", "--metrics-port needs OpenTelemetry's exporter: install it with  pip install"),
        ("opentelemetry", "[prometheus]'"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_to_install(tmp_path: Path, missing: str, said: str) -> None:
    tmp_path.joinpath(f"{missing}.py").write_text("raise ImportError('it is gone')", encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "serve", "app:hooks", "--port", "0", "--metrics-port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr


def test_an_exporter_that_is_not_installed_or_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    broken = EntryPoint("otlp_proto_http", "no.such.module:Exporter", "opentelemetry_traces_exporter")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    with pytest.raises(ConfigurationError, match="the exporter otlp_proto_http cannot be imported: No module named"):
        exporters.check(None)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    with pytest.raises(ConfigurationError, match=r"OTLP needs OpenTelemetry's exporter: .*\[otlp\]'"):
        exporters.check(None)


def test_what_somebody_else_has_configured_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = MeterProvider()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: theirs)
    with pytest.raises(ConfigurationError, match="somebody has configured the metrics of OpenTelemetry already"):
        exporters.check(exporters.Metrics("127.0.0.1", 0))
    del os.environ["WEBHOOK_RECEIVER_METRICS"]
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    exporters.check(None)
    assert exporters._begin() == []
    theirs.shutdown()


def test_the_switch_of_the_standard_turns_it_off(tmp_path: Path) -> None:
    environment = {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "no such one"}
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path, environment=environment) as (url, _):
        deliver(url, 1)

"""OpenTelemetry's SDK for `serve` and `worker`: a port with metrics for Prometheus, and what the environment asks for.

Of the standard variables (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables) those are read here
that choose exporters; the SDK and its exporters read all others. Where somebody else has set the providers, such as
`opentelemetry-instrument`, these stay.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from starlette.applications import Starlette

from ..errors import ConfigurationError, needs
from .addresses import check_address

logger = logging.getLogger("webhook_receiver")

_VARIABLE = "WEBHOOK_RECEIVER_METRICS"
"""Tells the processes of `serve` the first port, the number of processes, and the host."""
_PATIENCE = 3.0  # seconds for what is left to be exported at the end
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


class Metrics(NamedTuple):
    """The ports on which Prometheus asks for the metrics, one for each process."""

    host: str
    """The address to listen on."""
    port: int
    """The first port; 0 for any free one."""
    processes: int = 1
    """The number of processes, and of ports."""


class _Wanted(NamedTuple):
    """The exporters that are asked for."""

    metrics: Metrics | None
    """For Prometheus."""
    of_spans: Sequence[str]
    """The names of those of spans."""
    of_metrics: Sequence[str]
    """The names of those of metrics that are pushed."""


def are_wanted() -> bool:
    """Return whether exporters may be asked for: else nothing of this module's is needed."""
    return any(name == _VARIABLE or name.startswith("OTEL_") for name in os.environ)


def check(metrics: Metrics | None, *taken: int | None) -> None:
    """Check that what is asked for can be had, before anything is served; tell the processes of the metrics.

    Args:
        metrics: the ports for Prometheus; None for none but those of the environment.
        taken: the ports that something else will be served on, if it will.

    Raises:
        ConfigurationError: a package is missing, an exporter is not known, a port is taken, or somebody else has set a
            provider.
        typer.Exit: a port cannot be listened on; the message was printed.
    """
    os.environ.pop(_VARIABLE, None)
    if metrics is not None:
        os.environ[_VARIABLE] = f"{metrics.port} {metrics.processes} {metrics.host}"
    if not are_wanted():
        return
    wanted = _wanted()
    if wanted.metrics is not None:
        _import_prometheus()
        if _are_set("metrics"):
            raise ConfigurationError(
                "somebody has configured the metrics of OpenTelemetry already, as opentelemetry-instrument does: leave "
                "--metrics-port out, and have that export them"
            )
        host, first, processes = wanted.metrics
        for port in range(first, first + processes) if first else ():
            if port in taken:
                raise ConfigurationError(f"port {port} is taken already: take another --metrics-port")
            check_address(host, port, prefix="--metrics-")
    for signal, names in (("traces", wanted.of_spans), ("metrics", wanted.of_metrics)):
        for name in names:
            _loaded(signal, name)


def _wanted() -> _Wanted:
    """Return what `check` was given, and the environment asks for.

    Raises:
        ConfigurationError: the port or the protocol of the environment is none.
    """
    metrics = None
    if given := os.environ.get(_VARIABLE):
        port, processes, host = given.split(" ", 2)
        metrics = Metrics(host, int(port), int(processes))
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return _Wanted(metrics, (), ())
    of_metrics = _names("METRICS")
    if "prometheus" in of_metrics:
        of_metrics.remove("prometheus")
        if metrics is None:
            host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost")
            port = os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", "9464")
            if not port.isdigit() or int(port) > 65535:
                raise ConfigurationError(f"OTEL_EXPORTER_PROMETHEUS_PORT is the number of a port, not {port!r}")
            metrics = Metrics(host, int(port))
    return _Wanted(metrics, _names("TRACES"), of_metrics)


def _names(signal: str) -> list[str]:
    """Return the names of the exporters of a signal, "TRACES" or "METRICS", that the environment asks for."""
    chosen = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if not chosen:
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        chosen = "otlp" if any(map(os.environ.get, endpoints)) else "none"
    names = [name.strip() for name in chosen.split(",")]
    return [_by_protocol(signal) if name == "otlp" else name for name in names if name not in ("", "none")]


def _by_protocol(signal: str) -> str:
    variables = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next(filter(None, map(os.environ.get, variables)), "http/protobuf").strip()
    if protocol not in _PROTOCOLS:
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {' or '.join(_PROTOCOLS)}, not {protocol!r}")
    return _PROTOCOLS[protocol]


def _loaded(signal: str, name: str) -> Callable[[], Any]:
    """Return what makes an exporter of a signal, "traces" or "metrics".

    Raises:
        ConfigurationError: no package has it.
    """
    from importlib.metadata import entry_points

    found = {each.name: each for each in entry_points(group=f"opentelemetry_{signal}_exporter")}
    if name == "otlp_proto_http" and name not in found:
        raise ConfigurationError(needs("OTLP", "OpenTelemetry's exporter", "otlp"))
    if name == "otlp_proto_grpc" and name not in found:
        raise ConfigurationError(
            "OTLP by grpc needs the package opentelemetry-exporter-otlp-proto-grpc; http/protobuf needs none"
        )
    if name not in found:
        raise ConfigurationError(
            f"OTEL_{signal.upper()}_EXPORTER has {name!r}, which no package here is an exporter of: otlp, console and "
            "none are known"
        )
    try:
        exporter: Callable[[], Any] = found[name].load()
    except ImportError as error:
        raise ConfigurationError(f"the exporter {name} cannot be imported: {error}") from None
    return exporter


def _import_prometheus() -> tuple[Any, Any]:
    try:
        import prometheus_client
        from opentelemetry.exporter import prometheus
    except ImportError:
        raise ConfigurationError(needs("--metrics-port", "OpenTelemetry's exporter", "prometheus")) from None
    return prometheus, prometheus_client


def _are_set(signal: str) -> bool:
    """Return whether somebody has set the provider of a signal, "traces" or "metrics"."""
    from opentelemetry import metrics, trace

    from ..telemetry.open_telemetry import is_real

    return is_real(trace.get_tracer_provider() if signal == "traces" else metrics.get_meter_provider())


def beside(app: Starlette) -> Starlette:
    """Have an app export from before its start until after its end; return it."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def both(app: Any) -> AsyncGenerator[Any]:
        async with exporting(), lifespan(app) as state:
            yield state

    app.router.lifespan_context = both
    return app


@asynccontextmanager
async def exporting() -> AsyncGenerator[None]:
    """Export what is asked for until the block ends; then what is left, within a bounded time.

    Raises:
        ConfigurationError: as of `check`.
    """
    ends: Sequence[Callable[[], object]] = _begin() if are_wanted() else ()
    try:
        yield
    finally:
        _end(ends)


def _begin() -> Sequence[Callable[[], object]]:
    """Set the providers in this process; return the functions that end what has begun."""
    wanted = _wanted()
    if wanted == _Wanted(None, (), ()):
        return ()
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = _resource(1 if wanted.metrics is None else wanted.metrics.processes)
    ends: list[Callable[[], object]] = []
    if wanted.of_spans and not _are_set("traces"):
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in wanted.of_spans:
            tracers.add_span_processor(BatchSpanProcessor(_loaded("traces", name)()))
        trace.set_tracer_provider(tracers)
        ends.append(tracers.shutdown)
    if (wanted.of_metrics or wanted.metrics is not None) and not _are_set("metrics"):
        readers: list[MetricReader] = [
            PeriodicExportingMetricReader(_loaded("metrics", name)()) for name in wanted.of_metrics
        ]
        if wanted.metrics is not None:
            prometheus, _ = _import_prometheus()
            readers.append(prometheus.PrometheusMetricReader(scope_info_enabled=False))
        meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        ends.append(meters.shutdown)
        if wanted.metrics is not None:
            ends.insert(0, _serve(wanted.metrics))
    return ends


def _resource(processes: int) -> Any:
    """Return what all metrics and spans say of this process. No other one has its `service.instance.id`."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    given: Mapping[str, Any] = OTELResourceDetector().detect().attributes
    instance = given.get("service.instance.id")
    if instance is None:
        instance = str(uuid.uuid4())
    elif processes > 1:
        instance = f"{instance}-{os.getpid()}"
    name = given.get("service.name", "webhook-receiver")
    return Resource.create({"service.name": name, "service.instance.id": instance})


def _serve(metrics: Metrics) -> Callable[[], object]:
    """Serve the metrics of this process on the first of the ports that is free; return what ends that."""
    _, prometheus_client = _import_prometheus()
    host, first, processes = metrics
    why = ""
    for port in range(first, first + processes):
        try:
            server, _ = prometheus_client.start_http_server(port, host)
        except OSError as error:
            why = str(error.strerror)
            continue
        logger.info("metrics are at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, server.server_port)
        return lambda: (server.shutdown(), server.server_close())
    logger.error("no metrics: cannot listen on port %d of %s: %s", first, host, why)
    return lambda: None


def _end(ends: Sequence[Callable[[], object]]) -> None:
    """Call these in a thread that nobody waits for if it takes too long, as where a collector is away."""
    if not ends:
        return
    thread = threading.Thread(target=lambda: [end() for end in ends], name="exporters-end", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if thread.is_alive():
        logger.warning("the latest metrics and spans are lost: their exporter took longer than %g s", _PATIENCE)

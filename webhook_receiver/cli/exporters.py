"""OpenTelemetry's SDK for `serve` and `worker`: a port with metrics for Prometheus, and what the environment asks for.

Of the standard variables (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables) those are read here
that choose exporters; the SDK and its exporters read all others. Where somebody else has set the providers, such as
`opentelemetry-instrument`, these stay.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette

from ..errors import ConfigurationError, needs
from .addresses import base_url, check_address

logger = logging.getLogger("webhook_receiver")

_VARIABLE = "WEBHOOK_RECEIVER_METRICS"
"""Tells the processes of `serve` the first port, the number of processes, and the host."""
_PROCESSES = "WEBHOOK_RECEIVER_PROCESSES"
"""Tells them how many they are, if there are several."""
_PATIENCE = 3.0  # seconds for what is left to be exported at the end
_LAST_PORT = 65535
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_COMPRESSIONS = ("none", "gzip", "deflate")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\s*=[^\x00-\x1f\x7f]*")
_SAMPLERS = tuple(
    f"{before}{each}" for before in ("", "parentbased_") for each in ("always_on", "always_off", "traceidratio")
)


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


def check(metrics: Metrics | None, *taken: int | None, processes: int = 1) -> None:
    """Check that all exporters that are asked for can be had, before anything is served.

    The variables by which the server processes know of their metrics are set, too.

    Args:
        metrics: the ports for Prometheus; None for none but those of the environment.
        taken: the ports that something else will be served on, if it will.
        processes: the number of processes that export.

    Raises:
        ConfigurationError: a package is missing, an exporter is not known, the value of a variable is not valid, a port
            is taken, or somebody else has set a provider.
        typer.Exit: a port cannot be listened on; the message was printed.
    """
    for variable in (_VARIABLE, _PROCESSES):
        os.environ.pop(variable, None)
    if processes > 1:
        os.environ[_PROCESSES] = str(processes)
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
        if _is_disabled():
            raise ConfigurationError(
                "OTEL_SDK_DISABLED=true leaves --metrics-port nothing to tell: leave one of them out"
            )
        host, first, ports = wanted.metrics
        if first and first + ports - 1 > _LAST_PORT:
            raise ConfigurationError(
                f"there are no {ports} ports from {first} on, one for each process: take a lower --metrics-port"
            )
        for port in range(first, first + ports) if first else ():
            if port in taken:
                raise ConfigurationError(f"port {port} is taken already: take another --metrics-port")
            check_address(host, port, prefix="--metrics-")
    for signal, names in (("traces", wanted.of_spans), ("metrics", wanted.of_metrics)):
        for name in names:
            _loaded(signal, name)
            if name in _PROTOCOLS.values():
                _check_otlp(signal.upper(), name)
    if wanted.of_spans:
        _check_sampler()


def _check_otlp(signal: str, exporter: str) -> None:
    """Check what the exporter of OTLP would pass over with a warning, or fail at in a server process.

    Raises:
        ConfigurationError: the value of a variable of this signal is not valid. The message has no header.
    """
    for name in ("ENDPOINT", "COMPRESSION", "HEADERS"):
        for variable in (f"OTEL_EXPORTER_OTLP_{name}", f"OTEL_EXPORTER_OTLP_{signal}_{name}"):
            value = os.environ.get(variable, "").strip()
            if not value:
                continue
            if name == "ENDPOINT" and exporter == "otlp_proto_http" and not _is_url(value):
                raise ConfigurationError(f"{variable} is a URL such as http://127.0.0.1:4318, and has to begin so")
            if name == "COMPRESSION" and value.lower() not in _COMPRESSIONS:
                raise ConfigurationError(f"{variable} is {', '.join(_COMPRESSIONS)}, not {value!r}")
            if name == "HEADERS" and not all(
                _HEADER.fullmatch(each.strip()) for each in value.split(",") if each.strip()
            ):
                raise ConfigurationError(
                    f"{variable} has what is no header: it is name=value, with commas between them"
                )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is none
        return False


def _check_sampler() -> None:
    """Check the sampler and its ratio, which the SDK passes over with a warning.

    Raises:
        ConfigurationError: one of them is not valid.
    """
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler and sampler not in _SAMPLERS:
        raise ConfigurationError(f"OTEL_TRACES_SAMPLER is {', '.join(_SAMPLERS)}, not {sampler!r}")
    given = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler.endswith("traceidratio") and given:
        try:
            is_ratio = 0 <= float(given) <= 1
        except ValueError:
            is_ratio = False
        if not is_ratio:
            raise ConfigurationError(f"OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1, not {given!r}")


def _is_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _wanted() -> _Wanted:
    """Return the exporters that `check` was given, and those that the environment asks for.

    Raises:
        ConfigurationError: the port or the protocol in the environment is not valid.
    """
    metrics = None
    if given := os.environ.get(_VARIABLE):
        port, processes, host = given.split(" ", 2)
        metrics = Metrics(host, int(port), int(processes))
    if _is_disabled():
        return _Wanted(metrics, (), ())
    of_metrics = _names("METRICS")
    if "prometheus" in of_metrics:
        of_metrics.remove("prometheus")
        if metrics is None:
            host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost")
            port = os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", "9464")
            if not port.isdecimal() or int(port) > _LAST_PORT:
                raise ConfigurationError(f"OTEL_EXPORTER_PROMETHEUS_PORT is the number of a port, not {port!r}")
            metrics = Metrics(host, int(port), _processes())
    return _Wanted(metrics, _names("TRACES"), of_metrics)


def _processes() -> int:
    return int(os.environ.get(_PROCESSES, "1"))


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

    resource = _resource(_processes())
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
    """Return what all metrics and spans say of this process. No other process has its `service.instance.id`."""
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
        logger.info("metrics are at %s/metrics", base_url(host, server.server_port))
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

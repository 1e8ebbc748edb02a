"""Telemetry for what is measured: none, an API that nobody has configured, or OpenTelemetry's SDK in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

OFF, INSTALLED, BY_HAND = "off", "installed", "by hand"


def by_hand() -> Callable[[], None]:
    """Return a function that does for one delivery the least that OpenTelemetry's SDK can: two spans and a duration.

    Its providers are its own: a receiver finds none.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    tracer, context = _tracers(1.0).get_tracer("by hand"), Context()
    durations = _meters().get_meter("by hand").create_histogram("messaging.process.duration", "s")
    system = {"messaging.system": "benchmark", "messaging.destination.name": "benchmark"}
    receipt, attempt = ({**system, "messaging.operation.name": each} for each in ("receive", "process"))

    def do() -> None:
        tracer.start_span("receive benchmark", context, SpanKind.SERVER, receipt).end()
        tracer.start_span("process benchmark", context, SpanKind.CONSUMER, attempt).end()
        durations.record(0.001, attempt, context)

    return do


def configure(mode: str) -> None:
    """Configure this process: "off", "installed", "metrics", or the share of receipts that are sampled, such as "1"."""
    absent: Any = None
    if mode == OFF:
        sys.modules.update({"opentelemetry": absent})  # as where the extra is not installed
        return
    from opentelemetry import metrics, trace

    if mode == INSTALLED:
        return
    metrics.set_meter_provider(_meters())
    if mode != "metrics":
        trace.set_tracer_provider(_tracers(float(mode)))


def _meters() -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()])


def _tracers(share: float) -> TracerProvider:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    class Exporter(InMemorySpanExporter):
        """Lets spans go once they are exported, as one to a collector does."""

        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            result = super().export(spans)
            self.clear()
            return result

    tracers = TracerProvider(sampler=ParentBasedTraceIdRatio(share))
    tracers.add_span_processor(BatchSpanProcessor(Exporter()))
    return tracers

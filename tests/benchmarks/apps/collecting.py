"""Telemetry for what is measured: none, an API that nobody has configured, or OpenTelemetry's SDK in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

OFF, INSTALLED = "off", "installed"


def configure(mode: str) -> None:
    """Configure this process: "off", "installed", "metrics", or the share of receipts that are sampled, such as "1"."""
    absent: Any = None
    if mode == OFF:
        sys.modules.update({"opentelemetry": absent})  # as where the extra is not installed
        return
    from opentelemetry import metrics, trace

    if mode == INSTALLED:
        return
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
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

    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    if mode != "metrics":
        tracers = TracerProvider(sampler=ParentBasedTraceIdRatio(float(mode)))
        tracers.add_span_processor(BatchSpanProcessor(Exporter()))
        trace.set_tracer_provider(tracers)

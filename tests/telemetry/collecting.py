"""OpenTelemetry's SDK with everything in memory, set for one test."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

Labels = tuple[tuple[str, Any], ...]


class Collected:
    """What was measured since the providers were set."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended, in order of their ends."""
        return self._exporter.get_finished_spans()

    def named(self, beginning: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(beginning)]

    def metrics(self) -> Mapping[str, Mapping[Labels, float]]:
        """The values of all metrics by name and attributes; of a histogram the number of its values."""
        found: dict[str, dict[Labels, float]] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    values = found.setdefault(metric.name, {})
                    for point in metric.data.data_points:
                        labels = tuple(sorted((point.attributes or {}).items()))
                        values[labels] = point.value if isinstance(point, NumberDataPoint) else point.count
        return found

    def value(self, metric: str, **labels: Any) -> float | None:
        """The value of a metric with these attributes, named by their last part; None if there is none."""
        found = [
            value
            for given, value in self.metrics().get(metric, {}).items()
            if all(
                any(name.rpartition(".")[2] == label and each == wanted for name, each in given)
                for label, wanted in labels.items()
            )
        ]
        assert len(found) <= 1, found
        return found[0] if found else None

    def instruments(self) -> dict[str, str]:
        """The units of the instruments that were made, by name."""
        made = [each for meter in self.meters._meters.values() for each in meter._instrument_id_instrument.values()]
        return {each.name: each.unit for each in made}

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@contextmanager
def collecting(sampler: Sampler | None = None, *, spans: bool = True, values: bool = True) -> Generator[Collected]:
    """Set the providers, for spans and for metrics, until the block ends."""
    collected = Collected(sampler)
    with pytest.MonkeyPatch.context() as patch:
        if spans:
            patch.setattr(trace, "get_tracer_provider", lambda: collected.tracers)
        if values:
            patch.setattr(metrics, "get_meter_provider", lambda: collected.meters)
        yield collected
    collected.close()

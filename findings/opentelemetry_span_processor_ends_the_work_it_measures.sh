#!/usr/bin/env bash
# What surprises: OpenTelemetry promises that telemetry does not throw into the application, and its SDK keeps that for
# exporters: what one raises is logged and dropped. It does not keep it for a span processor. What `on_start` or `on_end`
# raises, such as a KeyError of a processor that adds an attribute or redacts one, comes out of `start_as_current_span`:
# before the block, so that the work is not done at all, or after it, so that work that is done and committed looks as if it
# had failed. A library that traces a handler then runs it again.
#
# What a receiver should do: guard its own calls of the tracer, so that an error there changes neither the answer to the
# sender nor what becomes of a delivery.
#
# Measured with opentelemetry-sdk 1.45.2 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
cat > "$work/probe.py" <<'PYTHON'
import logging
from importlib.metadata import version

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

logging.disable()
TENANTS = {}


class Fails(SpanExporter):
    def export(self, spans):
        return TENANTS[spans[0].name]


class AtStart(SpanProcessor):
    def on_start(self, span, parent_context=None):
        span.set_attribute("tenant", TENANTS[span.name])


class AtEnd(SpanProcessor):
    def on_end(self, span):
        TENANTS[span.name]


print("opentelemetry-sdk", version("opentelemetry-sdk"))
found = {}
for processor in (SimpleSpanProcessor(Fails()), AtStart(), AtEnd()):
    provider = TracerProvider()
    provider.add_span_processor(processor)
    is_handled, seen = False, "nothing"
    try:
        with provider.get_tracer("probe").start_as_current_span("handle"):
            is_handled = True  # and committed
    except KeyError as error:
        seen = repr(error)
    name = "an exporter" if isinstance(processor, SimpleSpanProcessor) else f"a processor {type(processor).__name__}"
    found[name] = is_handled, seen
    print(f"{name} raises: the work was done: {is_handled}; its caller sees {seen}")
assert found == {
    "an exporter": (True, "nothing"),
    "a processor AtStart": (False, "KeyError('handle')"),
    "a processor AtEnd": (True, "KeyError('handle')"),
}, "that has changed"
PYTHON
"$work/venv/bin/python" "$work/probe.py"

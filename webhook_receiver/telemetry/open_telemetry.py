"""The telemetry of one runtime by OpenTelemetry, as far as providers of its SDK are set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import metadata
from time import perf_counter
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace
from opentelemetry.context import get_current
from opentelemetry.metrics import MeterProvider

from ..delivery import Attempt, Headers
from ..errors import DISTRIBUTION, InboxError, NotAnEvent, WebhookError
from ..responses import Receipt
from ..routing import CallNext, Middleware
from . import names
from .figures import Figures
from .guard import Guard, Inside
from .instruments import Instruments
from .observed import Observed
from .polled_page import PolledPage
from .readings import Bounds, Measured
from .tracing import Tracing, tell_error, tell_failed_poll, tell_page, tell_receipt

_instruments: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()
"""One for each provider: several receivers share the metrics of a process."""


def configured(observed: Observed) -> OpenTelemetry | None:
    """Return the telemetry of a runtime by the providers that are set; None if none is."""
    guard = Guard()
    tracing = instruments = None
    with guard:
        tracers = trace.get_tracer_provider()
        if is_real(tracers):
            tracer = tracers.get_tracer(names.SCOPE, metadata.version(DISTRIBUTION), names.SCHEMA)
            tracing = Tracing(tracer, own_clock=observed.has_own_clock)
    with guard:
        meters = metrics.get_meter_provider()
        if is_real(meters):
            instruments = _instruments.get(meters)
            if instruments is None:
                meter = meters.get_meter(names.SCOPE, metadata.version(DISTRIBUTION), names.SCHEMA)
                instruments = _instruments[meters] = Instruments(meter)
    if tracing is None and instruments is None:
        return None
    return OpenTelemetry(observed, tracing, instruments, guard)


def is_real(provider: object) -> bool:
    """Whether a provider does anything: those of the API itself only stand in for one, or do nothing."""
    return type(provider).__module__.partition(".")[2].split(".")[0] not in ("trace", "metrics")


class OpenTelemetry:
    """The telemetry of one runtime. Fulfils `Telemetry`.

    Args:
        observed: the runtime.
        tracing: the spans; None for none.
        instruments: the metrics; None for none.
        guard: keeps what OpenTelemetry raises from the runtime.
    """

    def __init__(
        self, observed: Observed, tracing: Tracing | None, instruments: Instruments | None, guard: Guard
    ) -> None:
        self.middlewares: tuple[Middleware, ...] = (Middleware(self._around_attempt, is_checked=False),)
        self._observed = observed
        self._tracing = tracing
        self._instruments = instruments
        self._guard = guard
        self._figures = Figures(observed)
        self._measured = Measured(observed, self._figures, Bounds() if instruments is None else instruments.bounds)
        if instruments is not None:
            instruments.add(self._measured)

    async def look(self) -> None:
        """See `Telemetry`."""
        if self._instruments is not None:
            await self._figures.run()

    async def receive(
        self, headers: Headers, signed_at: float | None, now: float, take: Callable[[str | None], Awaitable[Receipt]]
    ) -> Receipt:
        """See `Telemetry`."""
        if signed_at is not None:
            self._measured.count_age(now - signed_at)
        if self._tracing is None:
            return await take(None)
        begin = partial(self._tracing.receipt, self._observed.name, headers, now, get_current())
        with Inside(self._guard, begin, tell_error, tell_receipt) as inside:
            receipt = inside.outcome = await take(inside.text())
            return receipt

    @contextmanager
    def poll(self, source: str) -> Generator[PolledPage]:
        """See `Telemetry`."""
        if self._tracing is None:
            yield PolledPage()
            return
        begin = partial(self._tracing.poll, self._observed.name, source)
        with Inside(self._guard, begin, tell_failed_poll, tell_page) as inside:
            page = inside.outcome = PolledPage(inside.text())
            yield page

    def reject(self, error: WebhookError) -> None:
        """See `Telemetry`."""
        if self._tracing is not None and not isinstance(error, InboxError | NotAnEvent):  # which have a span already
            with self._guard:
                self._tracing.rejection(self._observed.name, error)

    async def _around_attempt(self, attempt: Attempt, call_next: CallNext) -> None:
        observed, tracing, instruments = self._observed, self._tracing, self._instruments
        begin = None if tracing is None else partial(tracing.attempt, observed.name, attempt, is_stored=observed.keeps)
        with _NO_SPAN if begin is None else Inside(self._guard, begin, tell_error):
            failed, began = None, perf_counter()
            try:
                await call_next()
            except BaseException as error:
                failed = type(error).__qualname__
                raise
            finally:
                seconds = perf_counter() - began
                if instruments is not None:
                    with self._guard:
                        instruments.attempt(observed.name, attempt.handler, failed, seconds)


_NO_SPAN = nullcontext()

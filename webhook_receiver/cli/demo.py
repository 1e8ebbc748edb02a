"""`demo`: a receiver and the simulator with good, bad and lost deliveries, failing handlers and a killed receiver."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..delivery import Headers
from ..inbox import DeliverySummary, Filter, State
from ..inbox.sqlite import SQLiteInbox
from ..receiver import MAX_BODY
from ..senders.up42.signature import UP42Signature
from ..signatures import Secret
from ..simulator import control_api, payloads
from . import dev_processes, output
from .dev_processes import LocalLoop, Plan

FLAKY, FULL, SLOW = "storage is down twice", "no room left", "large"
"""Display names of orders, which tell the handlers of `demo_app` what to do."""
SLOW_ORDERS = 12
SLOW_SECONDS = "DEMO_SLOW_SECONDS"
"""The environment variable with the seconds that the handler of a slow order takes."""
_WIDTHS = (5, 35, 14, 26)  # of the columns of the table
_PATIENCE = 30.0  # seconds to wait for each step

MakeDelivery = Callable[[UP42Signature, float], tuple[Headers, bytes]]


@dataclass(frozen=True, slots=True)
class OrderCase:
    """An order that the simulator notifies of, with faults on the way, and the expected responses and result."""

    title: str
    order: Mapping[str, Any]
    """The fields of the new order."""
    responses: str
    """The expected statuses, separated by commas."""
    stored: str = "-"
    """The expected state in the inbox, such as `download: done`; "-" for nothing."""
    faults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fault plan."""


@dataclass(frozen=True, slots=True)
class RequestCase:
    """A request that the simulator would never make, and the expected response and result."""

    title: str
    make: MakeDelivery
    responses: str
    stored: str = "-"


def _unsigned(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    return payloads.unsigned().headers, payloads.dump(payloads.document("order.status", "FULFILLED", now=now))


def _unheard_of(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    body = payloads.dump(payloads.document("storage.cleaned", "DONE", now=now))
    return payloads.signed(body, scheme, now=now).headers, body


def _no_json(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    return payloads.signed(b"<xml/>", scheme, now=now).headers, b"<xml/>"


def _large(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    body = b'{"padding": "' + b"x" * MAX_BODY + b'"}'
    return payloads.signed(body, scheme, now=now).headers, body


FULFILLED, FAILED, CANCELED = {"status": "FULFILLED"}, {"status": "FAILED_PERMANENTLY"}, {"status": "CANCELED"}

CASES: tuple[OrderCase | RequestCase, ...] = (
    OrderCase("order fulfilled", FULFILLED, "202", "download: done"),
    OrderCase("order failed permanently", FAILED, "202", "alert: done"),
    OrderCase("another status of an order", CANCELED, "202", "other: done"),
    OrderCase("delivered twice", FULFILLED, "200, 202", "download: done", {"copies": 2}),
    RequestCase("an event nobody knows", _unheard_of, "202", "other: done"),
    OrderCase("its handler fails twice", {"displayName": FLAKY, **FULFILLED}, "202", "download: done, 3 attempts"),
    OrderCase("its handler gives up", {"displayName": FULL, **FULFILLED}, "202", "download: dead"),
    RequestCase("signed, but not JSON", _no_json, "202", "dead"),
    OrderCase("forged: with another secret", FULFILLED, "401", faults={"wrongSecret": True}),
    RequestCase("forged: not signed at all", _unsigned, "401"),
    OrderCase("forged: with another body", FULFILLED, "401", faults={"forged": True}),
    OrderCase("stale: signed an hour ago", FULFILLED, "401", faults={"late": 3600}),
    RequestCase("oversized: more than 1 MiB", _large, "413"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a case."""

    title: str
    response: str
    stored: str
    """The state of its deliveries in the inbox."""
    ok: bool
    """Whether responses and states were as expected."""
    expected: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return {"case": self.title, "response": self.response, "inbox": self.stored, "ok": self.ok}


class Demo:
    """The running receiver and simulator, and the receiver's inbox, read from this process."""

    def __init__(self, loop: LocalLoop, inbox: SQLiteInbox, secret: Secret) -> None:
        self.loop = loop
        self.inbox = inbox
        self._scheme = UP42Signature(secret)

    async def test(self, title: str) -> Result:
        """Create the webhook and test it; return the result."""
        webhook = await self.loop.create_webhook("demo", self.loop.plan.url, self.loop.plan.secret)
        tests = (await self.loop.client.test(webhook.id)).tests
        responses = ", ".join(_label(test.status) for test in tests)
        return await self._result(title, responses, set(), "202", "download: done")

    async def show(self, case: OrderCase | RequestCase) -> Result:
        """Run one case over HTTP; return its result once every delivery is settled."""
        before = {summary.id for summary in await self._summaries()}
        if isinstance(case, RequestCase):
            headers, body = case.make(self._scheme, time.time())
            result = await payloads.post(self.loop.http, self.loop.plan.url, headers, body)
            responses = result.label
        else:
            responses = ", ".join(_label(status) for status in await self._notify(case.order, case.faults))
        return await self._result(case.title, responses, before, case.responses, case.stored)

    async def backfill(self, title: str) -> Result:
        """Lose a delivery, then backfill it and those that were rejected; return the result."""
        before = {summary.id for summary in await self._summaries()}
        await self._notify(FULFILLED, {"lose": 1})
        await self.loop.run("backfill", self.loop.plan.target, "--since", "1h")
        rejected = sum(isinstance(case, OrderCase) and case.responses == "401" for case in CASES)
        return await self._result(title, "never", before, "never", f"{rejected + 1} times download: done")

    async def replay(self, title: str) -> Result:
        """Replay the dead letters of a handler that gave up; return the result."""
        dead = [each for each in await self._summaries() if each.state is State.DEAD and each.event is not None]
        await self.inbox.replay([summary.id for summary in dead], self.inbox.clock())
        await self._until_finished()
        states = [_state(summary) for summary in await self._summaries() if summary.id in {each.id for each in dead}]
        expected = "download: done, 2 attempts"
        return Result(title, "-", ", ".join(states), states == [expected], expected)

    async def kill(self, title: str) -> Result:
        """Kill the receiver while it handles acknowledged deliveries, and restart it; return the result."""
        before = {summary.id for summary in await self._summaries()}
        responses = Counter(await self._notify({"displayName": SLOW, "count": SLOW_ORDERS, **FULFILLED}, {}))
        await self.loop.end_receiver(signal.SIGKILL)
        plan = self.loop.plan
        self.loop.plan = replace(plan, environment={**plan.environment, SLOW_SECONDS: "0.3"})
        unfinished = len([summary for summary in await self._summaries() if summary.state is State.WAITING])
        await self.loop.start_receiver()
        await self._until_finished()
        new = [summary for summary in await self._summaries() if summary.id not in before]
        done = len([summary for summary in new if summary.state is State.DONE])
        stored = f"{unfinished} left, {done} done later"
        ok = responses[202] == done == SLOW_ORDERS and unfinished > 0
        return Result(title, f"{responses[202]} times 202", stored, ok, f"{SLOW_ORDERS} of {SLOW_ORDERS}")

    async def _notify(self, order: Mapping[str, Any], faults: Mapping[str, Any]) -> list[int]:
        """Create orders that the simulator notifies of; return the statuses of all attempts once they have ended."""
        await self.loop.control(control_api.FAULTS, faults, method="PUT")
        orders = await self.loop.control(control_api.ORDERS, order)
        ids = {each["id"] for each in orders}
        async with asyncio.timeout(_PATIENCE):
            while True:
                deliveries = await self.loop.control(f"{control_api.DELIVERIES}?limit=1000", method="GET")
                ours = [each for each in deliveries if each["orderId"] in ids]
                if all(each["ended"] for each in ours):
                    break
                await asyncio.sleep(0.02)
        return sorted(made["status"] or 0 for each in ours for made in each["attempts"])

    async def _result(self, title: str, responses: str, before: set[str], expected: str, stored: str) -> Result:
        await self._until_finished()
        new = [summary for summary in await self._summaries() if summary.id not in before]
        states = Counter(map(_state, new)).items()
        found = ", ".join(f"{n} times {state}" if n > 1 else state for state, n in states) or "-"
        codes = _statuses(responses)
        return Result(title, responses, found, codes == expected and found == stored, f"{expected}, {stored}")

    async def _summaries(self) -> list[DeliverySummary]:
        return list(await self.inbox.find(Filter()))

    async def _until_finished(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while (await self.inbox.stats()).counts[State.WAITING]:  # noqa: ASYNC110 - another process works
                await asyncio.sleep(0.02)


def _label(status: int | None) -> str:
    return "no response" if not status else f"{status} {HTTPStatus(status).phrase}"


def _state(summary: DeliverySummary) -> str:
    """Return the state of a delivery in the inbox, such as `download: done, 3 attempts`."""
    if not summary.handlers:
        return str(summary.state)
    name, handler = next(iter(summary.handlers.items()))
    attempts = f", {handler.attempts} attempts" if handler.attempts > 1 else ""
    return f"{name}: {handler.state}{attempts}"


async def run(port: int, results: list[Result], *, keep_running: bool, as_json: bool) -> None:
    """Run every case, print its result and add it to `results`.

    Args:
        port: the receiver's port.
        results: the list to add to.
        keep_running: whether receiver and simulator run on afterwards, until Ctrl-C.
        as_json: whether the results are printed as JSON.
    """

    def shown(result: Result) -> None:
        results.append(result)
        _show(result, as_json)

    with TemporaryDirectory(prefix="webhook-receiver-demo-") as folder:
        async with _running(port, Path(folder)) as demo:
            plan = demo.loop.plan
            if not as_json:
                output.say(f"A receiver listens at {plan.url},")
                output.say(f"and a simulator at {plan.simulator_url} delivers to it.\n")
                output.say(_row("", "what is delivered", "response", "in the inbox"), "bold")
            shown(await demo.test("its webhook is created and tested"))
            for case in CASES:
                shown(await demo.show(case))
            shown(await demo.backfill("a backfill finds what was missed"))
            shown(await demo.replay("the dead letter is replayed"))
            shown(await demo.kill(f"kill -9 with {SLOW_ORDERS} just acknowledged"))
            if not as_json:
                _conclude(results)
            if keep_running:
                _invite(demo)
                with suppress(asyncio.CancelledError):  # by Ctrl-C, as it is meant to end
                    await asyncio.Event().wait()


@asynccontextmanager
async def _running(port: int, folder: Path) -> AsyncGenerator[Demo]:
    secret = Secret(secrets.token_urlsafe(24))
    inbox = SQLiteInbox(folder / "hooks.db", min_free=0)
    with (folder / "log").open("wb") as log:
        plan = Plan(
            f"{__package__}.demo_app:hooks",
            port,
            dev_processes.free_port(),
            secret=secret,
            environment={
                "WEBHOOK_INBOX": f"sqlite:///{inbox.path}?min_free=0",
                SLOW_SECONDS: f"{_PATIENCE}",  # so that none is done before the receiver is killed
            },
            log=log,
        )
        await inbox.open()
        try:
            async with dev_processes.running(plan, lambda outgoing, made: None) as loop:
                yield Demo(loop, inbox, secret)
        except (dev_processes.ProcessEnded, TimeoutError) as error:
            raise RuntimeError((folder / "log").read_text(errors="replace")) from error
        finally:
            await inbox.close()


def _conclude(results: list[Result]) -> None:
    ok = sum(result.ok for result in results)
    style = "bold green" if ok == len(results) else "bold red"
    output.say(f"\n{ok} of {len(results)} cases ended as expected.", style)
    output.say("\nNext, with the ten lines of the README in quickstart.py:")
    output.say(f"  {output.program()} dev quickstart:hooks", "cyan")


def _invite(demo: Demo) -> None:
    to = f"--simulator {demo.loop.plan.simulator_url}"
    output.warn("\nBoth still run; Ctrl-C ends them. To deliver more, and to look into the inbox:")
    output.warn(f"  {output.program()} order create --status FULFILLED {to}")
    output.warn(f"  {output.program()} inbox ls sqlite:///{demo.inbox.path}")


def _show(result: Result, as_json: bool) -> None:
    if as_json:
        output.say_json(result.as_json())
        return
    row = _row("ok" if result.ok else "BAD", result.title, _statuses(result.response), result.stored)
    output.say(row, "green" if result.ok else "bold red")
    if not result.ok:
        output.say(f"     expected: {result.expected}", "red")


def _row(*cells: str) -> str:
    """Return a line of the table, which fits 80 columns."""
    return "".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _statuses(responses: str) -> str:
    """Return responses without the words behind their statuses."""
    return ", ".join(label.split()[0] if label[:3].isdigit() else label for label in responses.split(", "))

"""`demo`: the local loop by itself: orders come true, fail and get lost, strangers knock, the receiver is killed."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..delivery import Headers
from ..inbox import DeliverySummary, Filter, SQLiteInbox, State
from ..receiver import MAX_BODY
from ..signatures import Secret, UP42Signature
from ..simulator import control_api
from ..simulator import payloads as make
from ..simulator.payloads import post
from . import dev_processes as loops
from . import output
from .dev_processes import Loop, Plan

FLAKY, FULL, SLOW = "storage is down twice", "no room left", "large"
"""Names of orders, by which the handlers of `demo_app` know what to do."""
SLOW_ORDERS = 12
_PATIENCE = 30.0  # seconds for anything here to happen

MakeDelivery = Callable[[UP42Signature, float], tuple[Headers, bytes]]


@dataclass(frozen=True, slots=True)
class Told:
    """An order that the sender tells of, what goes wrong on the way, and what has to become of it."""

    what: str
    order: Mapping[str, Any]
    answers: str
    fate: str = "-"
    """What the inbox says of it afterwards, as `download: done`."""
    mischief: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Posted:
    """A request that our sender would never make, and what has to become of it."""

    what: str
    make: MakeDelivery
    answers: str
    fate: str = "-"


def _unsigned(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    return make.unsigned().headers, make.dump(make.document("order.status", "FULFILLED", now=now))


def _unheard_of(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    body = make.dump(make.document("storage.cleaned", "DONE", now=now))
    return make.signed(body, scheme, now=now).headers, body


def _no_json(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    return make.signed(b"<xml/>", scheme, now=now).headers, b"<xml/>"


def _large(scheme: UP42Signature, now: float) -> tuple[Headers, bytes]:
    body = b'{"padding": "' + b"x" * MAX_BODY + b'"}'
    return make.signed(body, scheme, now=now).headers, body


FULFILLED, FAILED, CANCELED = {"status": "FULFILLED"}, {"status": "FAILED_PERMANENTLY"}, {"status": "CANCELED"}

CASES: tuple[Told | Posted, ...] = (
    Told("order fulfilled", FULFILLED, "202", "download: done"),
    Told("order failed permanently", FAILED, "202", "alert: done"),
    Told("another status of an order", CANCELED, "202", "other: done"),
    Told("delivered twice", FULFILLED, "200, 202", "download: done", {"copies": 2}),
    Posted("an event nobody knows", _unheard_of, "202", "other: done"),
    Told("its handler fails twice", {"displayName": FLAKY, **FULFILLED}, "202", "download: done, 3 attempts"),
    Told("its handler gives up", {"displayName": FULL, **FULFILLED}, "202", "download: dead"),
    Posted("signed, but not JSON", _no_json, "202", "dead"),
    Told("forged: signed with another secret", FULFILLED, "401", mischief={"wrongSecret": True}),
    Posted("forged: not signed at all", _unsigned, "401"),
    Told("forged: another body under a signature", FULFILLED, "401", mischief={"forged": True}),
    Told("stale: signed an hour ago", FULFILLED, "401", mischief={"late": 3600}),
    Posted("oversized: more than 1 MiB", _large, "413"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    what: str
    response: str
    fate: str
    right: bool
    expected: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "answer": self.response, "fate": self.fate, "right": self.right}


class Demo:
    """The loop, and the receiver's inbox, which is looked into from here."""

    def __init__(self, loop: Loop, inbox: SQLiteInbox, secret: Secret) -> None:
        self.loop = loop
        self.inbox = inbox
        self._scheme = UP42Signature(secret)

    async def test(self, what: str) -> Outcome:
        """Create the webhook, and have it tested."""
        webhook = await self.loop.create_webhook()
        tests = (await self.loop.client.test(webhook.id)).tests
        answers = ", ".join(_label(test.status) for test in tests)
        return await self._outcome(what, answers, set(), "202", "download: done")

    async def show(self, case: Told | Posted) -> Outcome:
        """Have one case happen over HTTP; wait until the inbox knows what became of it."""
        before = {record.id for record in await self._records()}
        if isinstance(case, Posted):
            headers, body = case.make(self._scheme, time.time())
            result = await post(self.loop.http, self.loop.plan.url, headers, body)
            answers = result.label
        else:
            answers = ", ".join(_label(status) for status in await self._tell(case.order, case.mischief))
        return await self._outcome(case.what, answers, before, case.answers, case.fate)

    async def backfill(self, what: str) -> Outcome:
        """Lose a delivery on the way; have the receiver ask for what it missed, and for what it refused."""
        before = {record.id for record in await self._records()}
        await self._tell(FULFILLED, {"lose": 1})
        await self.loop.run("backfill", self.loop.plan.target, "--since", "1h")
        refused = sum(isinstance(case, Told) and case.answers == "401" for case in CASES)
        return await self._outcome(what, "never delivered", before, "never", f"{refused + 1} times download: done")

    async def replay(self, what: str) -> Outcome:
        """Replay what is dead because a handler gave up."""
        dead = [each for each in await self._records() if each.state is State.DEAD and each.event is not None]
        await self.inbox.replay([record.id for record in dead], time.time())
        await self._until_finished()
        fates = [_fate(record) for record in await self._records() if record.id in {each.id for each in dead}]
        expected = "download: done, 2 attempts"
        return Outcome(what, "-", ", ".join(fates), fates == [expected], expected)

    async def kill(self, what: str) -> Outcome:
        """Kill the receiver while it handles what it has acknowledged; start it again, and count."""
        before = {record.id for record in await self._records()}
        answers = Counter(await self._tell({"displayName": SLOW, "count": SLOW_ORDERS, **FULFILLED}, {}))
        await self.loop.end_receiver(signal.SIGKILL)
        unfinished = len([record for record in await self._records() if record.state is State.WAITING])
        await self.loop.start_receiver()
        await self._until_finished()
        new = [record for record in await self._records() if record.id not in before]
        done = len([record for record in new if record.state is State.DONE])
        fate = f"{unfinished} were left; {done} done after a restart"
        right = answers[202] == done == SLOW_ORDERS and unfinished > 0
        return Outcome(what, f"{answers[202]} times 202", fate, right, f"{SLOW_ORDERS} of {SLOW_ORDERS}")

    async def _tell(self, order: Mapping[str, Any], mischief: Mapping[str, Any]) -> list[int]:
        """Have the sender tell of new orders; return what was answered, once it has been."""
        await self.loop.tell(control_api.MISCHIEF, mischief, method="PUT")
        orders = await self.loop.tell(control_api.ORDERS, order)
        ids = {each["id"] for each in orders}
        async with asyncio.timeout(_PATIENCE):
            while True:
                told = await self.loop.tell(f"{control_api.DELIVERIES}?limit=1000", method="GET")
                ours = [each for each in told if each["orderId"] in ids]
                if all(each["ended"] for each in ours):
                    break
                await asyncio.sleep(0.02)
        return sorted(made["status"] or 0 for each in ours for made in each["attempts"])

    async def _outcome(self, what: str, answers: str, before: set[str], expected: str, fate: str) -> Outcome:
        await self._until_finished()
        new = [record for record in await self._records() if record.id not in before]
        found = ", ".join(f"{n} times {fate}" if n > 1 else fate for fate, n in Counter(map(_fate, new)).items()) or "-"
        codes = ", ".join(label.split()[0] for label in answers.split(", "))
        return Outcome(what, answers, found, codes == expected and found == fate, f"{expected}, {fate}")

    async def _records(self) -> list[DeliverySummary]:
        return list(await self.inbox.find(Filter()))

    async def _until_finished(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while (await self.inbox.stats()).counts[State.WAITING]:  # noqa: ASYNC110 - another process works
                await asyncio.sleep(0.02)


def _label(status: int | None) -> str:
    return "no answer" if not status else f"{status} {HTTPStatus(status).phrase}"


def _fate(record: DeliverySummary) -> str:
    """Say what the inbox knows of a delivery, as `download: done, 3 attempts`."""
    if not record.handlers:
        return str(record.state)
    name, progress = next(iter(record.handlers.items()))
    attempts = f", {progress.attempts} attempts" if progress.attempts > 1 else ""
    return f"{name}: {progress.state}{attempts}"


async def run(port: int, outcomes: list[Outcome], *, keep_running: bool, as_json: bool) -> None:
    """Show every case with what became of it; put them into `outcomes`."""

    def shown(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _show(outcome, as_json)

    with TemporaryDirectory(prefix="webhook-receiver-demo-") as folder:
        async with _looping(port, Path(folder)) as demo:
            plan = demo.loop.plan
            if not as_json:
                output.say(f"A receiver listens at {plan.url}, and a sender at {plan.sender_url} delivers to it:\n")
            shown(await demo.test("its webhook is created and tested"))
            for case in CASES:
                shown(await demo.show(case))
            shown(await demo.backfill("a backfill finds what was lost or spoilt"))
            shown(await demo.replay("the dead letter is replayed"))
            shown(await demo.kill(f"kill -9 with {SLOW_ORDERS} just acknowledged"))
            if not as_json:
                _conclude(outcomes)
            if keep_running:
                _invite(demo)
                with suppress(asyncio.CancelledError):  # by Ctrl-C, as it is meant to end
                    await asyncio.Event().wait()


@asynccontextmanager
async def _looping(port: int, folder: Path) -> AsyncGenerator[Demo]:
    secret = Secret(secrets.token_urlsafe(24))
    inbox = SQLiteInbox(folder / "hooks.db", min_free=0)
    with (folder / "log").open("wb") as log:
        plan = Plan(
            f"{__package__}.demo_app:hooks",
            port,
            loops.free_port(0),
            secret=secret,
            retry="",
            environment={"WEBHOOK_INBOX": f"sqlite:///{inbox.path}?min_free=0"},
            log=log,
        )
        await inbox.open()
        try:
            async with loops.running(plan, lambda told: None) as loop:
                yield Demo(loop, inbox, secret)
        except (loops.Ended, TimeoutError) as error:
            raise RuntimeError((folder / "log").read_text(errors="replace")) from error
        finally:
            await inbox.close()


def _conclude(outcomes: list[Outcome]) -> None:
    right = sum(outcome.right for outcome in outcomes)
    style = "bold green" if right == len(outcomes) else "bold red"
    output.say(f"\n{right} of {len(outcomes)} came out as they should.", style)


def _invite(demo: Demo) -> None:
    to = f"--sender {demo.loop.plan.sender_url}"
    output.stderr.print("\nBoth still run; Ctrl-C ends them. Have more delivered, and look into the inbox:")
    output.stderr.print(f"  webhook-receiver order create --status FULFILLED {to}", soft_wrap=True)
    output.stderr.print(f"  webhook-receiver inbox ls sqlite:///{demo.inbox.path}", soft_wrap=True)


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        output.say_json(outcome.as_json())
        return
    verdict = "ok" if outcome.right else f"WRONG: {outcome.expected} expected"
    line = f"{outcome.what:42}{outcome.response:30}{outcome.fate:40}{verdict}"
    output.say(line, "green" if outcome.right else "bold red")

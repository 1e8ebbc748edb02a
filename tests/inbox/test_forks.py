"""What was open before a fork: the child begins anew, and the parent goes on. Everything here forks for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SCRIPT = r"""
import concurrent.futures.thread  # before us, or its own lock for forks would keep two of them apart
import asyncio, json, os, signal, sys, time, warnings
from webhook_receiver import Filter, OrderFulfilled, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import RequestHead

warnings.simplefilter("ignore", DeprecationWarning)  # of fork() with threads, from Python 3.12 on
hooks = WebhookReceiver(secret="s", inbox=sys.argv[1])
ran = []
hooks.on(OrderFulfilled, name="h")(lambda order: ran.append(order.order_id))

async def receive(number):
    body = json.dumps({"event": "order.status", "body": {"status": "FULFILLED", "orderId": str(number)}}).encode()
    head = UP42Signature("s").sign(RequestHead.of({"content-type": "application/json"}), body, time.time())
    receipt = await hooks.receive(head.headers, body)
    return receipt.error or receipt.response.status

async def live(number):
    async with hooks:
        status = await receive(number)
        async with asyncio.timeout(30):
            while str(number) not in ran:
                await asyncio.sleep(0.01)
        return status, (await hooks.health()).state

async def stored():
    async with hooks:
        found = [await hooks.inbox.get(each.id) for each in await hooks.inbox.find(Filter())]
        return sorted(json.loads(each.delivery.body)["body"]["orderId"] for each in found)

def child(do, patience=10):
    pid = os.fork()
    if pid == 0:
        signal.alarm(patience)
        try:
            print(f"child: {asyncio.run(do())}\n", end="", flush=True)
        finally:
            os._exit(1)  # what follows is the parent's
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1, "the child waits for ever"
"""


def run(script: str, inbox: str) -> list[str]:
    """Run a script; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script, inbox],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(params=["sqlite", "postgresql"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox that lasts."""
    return f"sqlite:///{tmp_path}/hooks.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


OPENED = {
    "health": "asyncio.run(hooks.health())",
    "a delivery": "asyncio.run(receive(0))",
    "open": "asyncio.run(hooks.inbox.open())",
    "a whole life": "asyncio.run(live(0))",
}


@pytest.mark.parametrize("opened", OPENED)
def test_what_was_opened_before_a_fork_works_in_the_children_and_in_the_parent(inbox: str, opened: str) -> None:
    script = f"""
{OPENED[opened]}
child(lambda: receive(1))
child(lambda: live(2))
child(hooks.health)
print("parent:", asyncio.run(receive(3)))
print(asyncio.run(stored()))
"""
    received, lived, health, *parent = run(script, inbox)
    assert received == "child: 202"
    assert lived == "child: (202, 'working')"
    assert health.startswith("child: Health(ok=True, state='not started', problem=None, ")
    before = ["0"] if opened in ("a delivery", "a whole life") else []
    assert parent == ["parent: 202", str([*before, "1", "2", "3"])]


def test_what_the_child_does_not_open_again_is_not_open(inbox: str) -> None:
    script = """
from webhook_receiver import InboxUnavailable
async def ask():
    try:
        return await hooks.inbox.stats()
    except InboxUnavailable as error:
        return error
asyncio.run(hooks.inbox.open())
child(ask)
"""
    assert run(script, inbox) == ["child: the inbox is not open"]


def test_a_new_receiver_in_the_child_may_have_the_name_of_one_that_works_in_the_parent(inbox: str) -> None:
    script = """
async def main():
    async with hooks:
        await asyncio.to_thread(child, again)

async def again():
    async with WebhookReceiver(secret="s", inbox=sys.argv[1], work=False) as new:
        return new.name

asyncio.run(main())
"""
    assert run(script, inbox) == ["child: up42"]


def test_a_process_that_works_may_fork_at_any_moment(inbox: str) -> None:
    script = """
async def main():
    async with hooks:
        receiving = asyncio.create_task(receive_many())
        await receive(0)
        await asyncio.to_thread(child, lambda: receive("from a child"))  # a child of a thread beside the loop
        await receiving
        print((await hooks.health()).state)

async def receive_many():
    for start in range(1, 201, 20):
        received = await asyncio.gather(*[receive(number) for number in range(start, start + 20)])
        assert received == [202] * 20, received

asyncio.run(main())
found = asyncio.run(stored())
print(len(found), "from a child" in found)
"""
    assert run(script, inbox) == ["child: 202", "working", "202 True"]


@pytest.mark.parametrize("forks", [2, 5])
def test_threads_may_fork_at_once(inbox: str, forks: int) -> None:
    script = f"""
from threading import Event, Thread
from webhook_receiver.inbox import forks

class Slow:
    waits, goes_on = Event(), Event()
    def before_fork(self):
        self.waits.set()
        assert self.goes_on.wait(10)
    def after_fork_in_parent(self): pass
    def after_fork_in_child(self): pass

async def main():
    async with hooks:
        slow = Slow()
        forks._told = [*forks._told, slow]  # the last one, when the inbox has its locks
        forked = lambda: asyncio.sleep(0, "forked")
        threads = [Thread(target=child, args=(forked,), daemon=True) for _ in range({forks})]
        threads[0].start()
        assert slow.waits.wait(10)
        for each in threads[1:]:
            each.start()
        threads[-1].join(0.2)  # they are at the fork, too
        slow.goes_on.set()
        for each in threads:
            await asyncio.to_thread(each.join, 20)
        print([each.is_alive() for each in threads], await receive(1), (await hooks.health()).state)
asyncio.run(main())
"""
    *children, parent = run(script, inbox)
    assert children == ["child: forked"] * forks
    assert parent == f"{[False] * forks} 202 working"


def test_an_inbox_in_memory_stays_in_the_parent_and_is_empty_in_the_child() -> None:
    script = """
async def main():
    await hooks.inbox.open()
    hooks.inbox.before = await receive(0)
    await asyncio.to_thread(child, count)
    print("parent:", await count())

async def count():
    await hooks.inbox.open()
    return len(await hooks.inbox.find(Filter()))

asyncio.run(main())
"""
    assert run(script, "memory://") == ["child: 0", "parent: 1"]


def test_a_process_that_forks_while_its_file_is_checked_checks_it_afterwards(tmp_path: Path) -> None:
    script = """
from webhook_receiver.inbox.sqlite import file_guard
from threading import Event
checks, checking, goes_on = [], Event(), Event()
class Slow(file_guard.IntegrityCheck):
    def __init__(self, connect, name):
        super().__init__(lambda: slow(connect()), name)

def slow(connection):
    checks.append(os.getpid())
    checking.set()
    if len(checks) == 1:
        connection.set_progress_handler(lambda: goes_on.wait(0.01), 1)  # keeps it busy until it is interrupted
    else:
        goes_on.set()
    return connection

import webhook_receiver.inbox.sqlite as store
store._PATIENCE = 0.01
store.IntegrityCheck = Slow
asyncio.run(hooks.inbox.open())
assert checking.wait(10)
child(lambda: receive(1))
assert goes_on.wait(10)
print(len(checks), asyncio.run(receive(2)))
"""
    assert run(script, f"sqlite:///{tmp_path}/hooks.db") == ["child: 202", "2 202"]


def test_a_receiver_that_has_started_imports_nothing_whose_lock_a_child_would_wait_for(inbox: str) -> None:
    script = """
async def main():
    async with hooks:
        before = set(sys.modules)
        await live(1)
        await hooks.health()
        print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""
    assert run(script, inbox) == ["[]"]

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.helpers import NOW
from webhook_receiver import MemoryInbox, SQLiteInbox
from webhook_receiver.inbox import clock
from webhook_receiver.inbox.clock import InboxClock, LeaseTime, boot_id, uptime
from webhook_receiver.inbox.owner import Owner
from webhook_receiver.inbox.sqlite import leases, owners
from webhook_receiver.testing.inbox_suite import LEASE, claim, put


class Machine:
    """A machine whose clock may be set, and which may be booted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unix, self.up, self.boot = NOW, 5000.0, "first"
        monkeypatch.setattr(time, "time", lambda: self.unix)
        monkeypatch.setattr("webhook_receiver.inbox.sqlite.opening.boot_id", lambda: self.boot)
        monkeypatch.setattr(InboxClock.__init__, "__defaults__", (lambda: self.up,))

    def run(self, seconds: float) -> None:
        self.unix += seconds
        self.up += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("step", [3600, -3600, 1e9, -1e9])
def test_it_is_unix_time_at_first_and_no_step_changes_it(machine: Machine, step: float) -> None:
    it = InboxClock()
    assert it() == NOW
    machine.run(10)
    machine.unix += step
    machine.run(10)
    assert it() == NOW + 20


@pytest.mark.parametrize("step", [3600, -3600])
async def test_all_who_open_a_file_after_one_boot_have_the_same(machine: Machine, tmp_path: Path, step: float) -> None:
    path = tmp_path / "hooks.db"
    before = await SQLiteInbox(path).open()
    machine.run(10)
    machine.unix += step
    after = await SQLiteInbox(path).open()
    assert before.clock() == after.clock() == NOW + 10
    await before.close()
    await after.close()
    again = await SQLiteInbox(path).open()
    machine.run(10)
    assert again.clock() == NOW + 20
    await again.close()


async def test_after_another_boot_it_is_unix_time_again(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    inbox = await SQLiteInbox(path).open()
    machine.unix += 3600
    await inbox.close()
    machine.boot, machine.up = "second", 20.0
    inbox = await SQLiteInbox(path).open()
    assert inbox.clock() == NOW + 3600
    await inbox.close()


async def test_where_no_boot_has_an_id_each_process_begins_with_unix_time(machine: Machine, tmp_path: Path) -> None:
    machine.boot = None  # type: ignore[assignment]
    before = await SQLiteInbox(tmp_path / "hooks.db").open()
    machine.unix += 3600
    after = await SQLiteInbox(tmp_path / "hooks.db").open()
    assert (before.clock(), after.clock()) == (NOW, NOW + 3600)
    await before.close()
    await after.close()


async def test_an_inbox_in_memory_has_one_too(machine: Machine) -> None:
    inbox = await MemoryInbox().open()
    machine.unix -= 3600
    assert inbox.clock() == NOW
    await inbox.close()


def test_the_machine_tells_which_boot_it_is_and_for_how_long_it_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uptime() <= uptime() < uptime() + 60
    assert boot_id() == boot_id()
    monkeypatch.setattr(clock, "_BOOT_ID", Path("/nowhere"))
    assert boot_id() is None
    monkeypatch.setattr(clock, "_BOOTTIME", None)
    assert boot_id() is None
    assert abs(uptime() - time.monotonic()) < 60


def test_a_lease_begins_when_it_was_asked_for_unless_much_of_it_would_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    up = 5000.0
    monkeypatch.setattr(clock, "uptime", lambda: up)
    asked = LeaseTime.of(NOW, 60)
    up += 14
    assert asked.begun().now == NOW
    up += 2
    assert asked.begun() == asked._replace(now=NOW + 16)


async def test_who_had_to_wait_gets_no_lease_that_is_over_and_renews_none(tmp_path: Path) -> None:
    inbox = await SQLiteInbox(tmp_path / "hooks.db", min_free=0).open()
    late = LeaseTime(NOW, LEASE, uptime() - LEASE - 10)  # as when the process was stopped after the call
    await put(inbox, "d-1")
    (claims, _) = await inbox._write(leases.claim, leases.ClaimJob("hooks", 5, late, NOW))
    assert [each.delivery.id for each in claims] == ["d-1"]
    assert await claim(inbox, now=NOW + LEASE + 5) == {}
    await inbox._write(leases.renew, (claims, late))
    assert await claim(inbox, now=NOW + LEASE + 5) == {}
    owner = Owner("hooks", lambda: 5, lambda owner, claims: True, lambda: NOW)
    assert await inbox.own(owner, LEASE, NOW)
    assert not await inbox._write(owners.own, owners.OwnJob(owner, late)), "it has ended meanwhile"
    await inbox.close()

"""The simulator's state in a file: it is read again, is for one simulator only, and other files are left alone."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.simulator.playing import HOOKS, catching, playing
from tests.working import Clock
from webhook_receiver.errors import ConfigurationError
from webhook_receiver.events import OrderStatus
from webhook_receiver.simulator import FaultPlan, NewOrders, Simulator
from webhook_receiver.simulator.scheduler import Scheduler
from webhook_receiver.simulator.store import Outgoing, Store


def test_all_is_there_again_tokens_included(tmp_path: Path) -> None:
    file, clock = tmp_path / "simulator.db", Clock()
    with catching() as (_, url):
        with playing(state=file, clock=clock) as played:
            hook = played.webhook(url)
            gone = played.webhook(url)
            played.ask("DELETE", f"{HOOKS}/{gone['id']}")
            orders = played.create(count=2, status="FULFILLED", tags=["a"])
            played.ended(2)
            deliveries = played.deliveries()
            assets = played.ask("GET", "/v2/assets")
            played.ask("PUT", "/_simulator/faults", json={"rotateAfter": 7, "rotateTo": "next", "lose": 0.25})
            token = played.client.headers["authorization"]
        with playing(state=file, clock=clock) as played:
            played.client.headers["authorization"] = token
            assert played.ask("GET", HOOKS)["data"] == [hook]
            assert played.ask("GET", "/_simulator/orders") == orders[::-1]
            assert played.ask("GET", "/v2/assets") == assets
            assert played.deliveries() == deliveries
            assert played.simulator.faults == FaultPlan(rotate_after=7, rotate_to=SecretStr("next"), lose=0.25)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    with closing(Store(file)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_is_for_one_simulator_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    with (
        closing(Store(file)),
        pytest.raises(ConfigurationError, match=r"another simulator uses .*simulator\.db: stop it"),
    ):
        Store(file)
    Store(file).close()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot keep the simulator's state in .*: No such file or directory"):
        Store(tmp_path / "no" / "simulator.db")


@pytest.mark.parametrize("content", [b"no database at all, but a text" * 99, None])
def test_another_programs_file_is_rejected_and_left_as_it_is(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "other"
    if content is None:
        with closing(sqlite3.connect(file)) as other, other:
            other.execute("CREATE TABLE kept (mine TEXT)")
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="name another file"):
        Store(file)
    assert file.read_bytes() == before


def test_a_document_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    Store(file).close()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("INSERT INTO kept VALUES ('order', 'x', '{}')")
    with pytest.raises(ConfigurationError, match=r"holds data that this simulator cannot read: .*Field required"):
        Store(file)
    with closing(sqlite3.connect(file)) as other, other:  # it is not locked either
        other.execute("DELETE FROM kept WHERE id = 'x'")
    Store(file).close()


def test_of_the_deliveries_that_have_ended_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Scheduler.__module__}._KEPT", 10)
    with playing(clock=Clock()) as played, catching() as (_, url):
        played.webhook(url)
        for _ in range(25):
            played.create(status="FULFILLED")
            played.ended()
        numbers = [each["number"] for each in played.deliveries()]
        assert numbers == [*range(numbers[0], 26)]
        assert 10 <= len(numbers) <= 12


def test_the_numbers_of_deliveries_go_on_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    for expected in (1, 2):
        with playing(state=file, clock=Clock()) as played, catching() as (_, url):
            for hook in played.ask("GET", HOOKS)["data"]:
                played.ask("DELETE", f"{HOOKS}/{hook['id']}")
            played.webhook(url)
            played.create(status="FULFILLED")
            assert played.ended()[0].number == expected


def test_in_memory_nothing_is_shared() -> None:
    one, other = Simulator(), Simulator()
    one.create(NewOrders(status=OrderStatus.PLACED))
    assert (len(one.store.orders), len(other.store.orders)) == (1, 0)
    assert one.store.key != other.store.key


def test_a_file_of_before_in_which_faults_were_called_mischief_is_read(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    with closing(Store(file)) as store:
        store.faults = FaultPlan(copies=2)
        store.outgoing.put(
            Outgoing(id="d", number=1, webhook_id="w", event="e", body="{}", created=0, faults=FaultPlan(late=60))
        )
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE kept SET id = 'mischief' WHERE id = 'faults'")
        other.execute("""UPDATE kept SET document = replace(document, '"faults"', '"mischief"')""")
    with closing(Store(file)) as store:
        assert store.faults == FaultPlan(copies=2)
        assert [each.faults for each in store.outgoing] == [FaultPlan(late=60)]
        store.faults = FaultPlan(copies=3)
        assert store.faults == FaultPlan(copies=3)

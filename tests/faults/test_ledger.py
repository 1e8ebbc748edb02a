"""The checker of the kill tests finds what is planted: it would be of no use if it found nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.harness import Sender, states
from tests.faults.ledger import Evidence, begin_sqlite, collect_sqlite, faults
from tests.faults.storm import Storm, seeded

NOBODY = 999_999_999  # a process that never was


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    """What is left when nobody was killed."""
    folder = tmp_path_factory.mktemp("peaceful")
    with Storm(folder, seeded(), count=1) as storm:
        (server,) = storm.victims
        begin_sqlite(server.inbox)
        server.start()
        with Sender(server.port, 4, unordered=4, deadly=1) as sender:
            server.wait_for(lambda: len(sender.acknowledged) > 60, "answers")
        server.wait_for(lambda: "waiting" not in states(server.inbox), "the end of it all")
        storm.stop()
        return folder, collect_sqlite(folder, sender.acknowledged, storm.away)


@pytest.fixture
def folder(peaceful: tuple[Path, Evidence], tmp_path: Path) -> Path:
    return Path(shutil.copytree(peaceful[0], tmp_path / "copy"))


def found(folder: Path, peaceful: tuple[Path, Evidence]) -> list[str]:
    """Return what the checker finds there."""
    _, before = peaceful
    return faults(collect_sqlite(folder, before.acknowledged, {id: [*spans] for id, spans in before.away.items()}))


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "hooks.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_nothing_is_found_where_nothing_is_wrong(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    assert found(folder, peaceful) == []


@pytest.mark.parametrize("state", ["done", "dead"])
def test_a_row_that_somebody_deleted_is_found(peaceful: tuple[Path, Evidence], folder: Path, state: str) -> None:
    execute(folder, f"DELETE FROM delivery WHERE seq = (SELECT min(seq) FROM progress WHERE state = '{state}')")
    (fault,) = found(folder, peaceful)
    assert "is lost: its row" in fault


def test_what_was_acknowledged_and_never_kept_is_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    peaceful[1].acknowledged.add(("o-0", 1000))
    assert found(folder, peaceful) == ["('o-0', 1000) was acknowledged and not kept"]
    peaceful[1].acknowledged.remove(("o-0", 1000))


def test_what_is_purged_although_it_was_done_is_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    execute(
        folder,
        "INSERT INTO purged SELECT seq, id, source, origin, event, key, identity, received FROM delivery "
        "WHERE seq IN (SELECT seq FROM progress WHERE state = 'done')",
    )
    execute(folder, "DELETE FROM delivery WHERE seq IN (SELECT seq FROM progress WHERE state = 'done' LIMIT 2)")
    first, second = found(folder, peaceful)
    assert "was purged, and was not dead" in first
    assert "was purged, and was not dead" in second


def test_what_was_never_handled_and_is_done_is_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    ran = folder / "ran"
    lines = [line for line in lines_of(folder) if " on_loop o-1 1 " not in line]
    ran.write_text("".join(lines), encoding="utf-8")
    assert found(folder, peaceful) == ["('o-1', 1) is done, and ['on_loop'] never came to an end"]


def test_a_delivery_that_still_waits_is_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    execute(folder, "UPDATE progress SET state = 'waiting' WHERE seq = (SELECT max(seq) FROM progress)")
    (fault,) = found(folder, peaceful)
    assert "is not finished" in fault


@pytest.mark.parametrize("process", ["the same", "another"])
def test_a_run_that_is_forged_after_the_outcome_was_committed_is_found(
    peaceful: tuple[Path, Evidence], folder: Path, process: str
) -> None:
    ran = [line.split(" ", 2) for line in lines_of(folder)]
    number = ran[0][1] if process == "the same" else NOBODY
    again = [rest for _, _, rest in ran if rest.startswith("on_loop o-2 1 ")]
    assert len(again) == 2
    at = max(float(at) for at, _, _ in ran) + 0.1
    append(folder, *(f"{at} {number} {rest}" for rest in again))
    (fault,) = found(folder, peaceful)
    assert "was begun after it was settled" in fault


def test_a_run_that_is_forged_before_the_outcome_was_committed_is_found(
    peaceful: tuple[Path, Evidence], folder: Path
) -> None:
    lines: list[str] = []
    for line in lines_of(folder):
        lines.append(line)
        at, process, rest = line.split(" ", 2)
        if rest.startswith("on_loop o-2 1 ") and rest.endswith(" end\n"):
            lines += [f"{at} {process} {rest.replace(' end', what)}" for what in (" begin", " end")]
    (folder / "ran").write_text("".join(lines), encoding="utf-8")
    (fault,) = found(folder, peaceful)
    assert "was run again" in fault
    assert "although that process was there all the time" in fault


def test_two_that_are_begun_in_the_wrong_order_are_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    swap = {" o-3 2 ": " o-3 3 ", " o-3 3 ": " o-3 2 "}
    lines = lines_of(folder)
    for place, line in enumerate(lines):
        for one, other in swap.items():
            if one in line:
                lines[place] = line.replace(one, other)
                break
    (folder / "ran").write_text("".join(lines), encoding="utf-8")
    assert any("was begun before ('o-3', 2) was finished" in fault for fault in found(folder, peaceful))


def test_two_of_one_order_that_run_at_once_are_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    lines = lines_of(folder)
    end = next(line for line in lines if " at_second_try o-3 2 2 end" in line)
    lines.remove(end)
    begun = next(place for place, line in enumerate(lines) if " o-3 3 1 begin" in line)
    lines.insert(begun + 1, end)
    (folder / "ran").write_text("".join(lines), encoding="utf-8")
    (fault,) = found(folder, peaceful)
    assert "was begun while another one of its order ran" in fault


def test_a_crash_that_is_counted_for_what_had_not_begun_is_found(peaceful: tuple[Path, Evidence], folder: Path) -> None:
    # As if its owner had ended before the delivery had a row in `progress`.
    token = (folder / "owners").read_text().split()[0]
    born = "(SELECT seq FROM delivery ORDER BY owner IS NULL LIMIT 1)"
    execute(folder, f"UPDATE delivery SET owner = coalesce(owner, {token}) WHERE seq = {born}")
    execute(
        folder,
        "INSERT INTO noted_crash SELECT seq, (SELECT min(at) FROM noted_delivery) - 1, owner FROM delivery "
        "WHERE owner IS NOT NULL LIMIT 1",
    )
    (folder / "owners").write_text(
        "".join(f"{line.split()[0]} {NOBODY}\n" for line in (folder / "owners").read_text().splitlines())
    )
    (fault,) = found(folder, peaceful)
    assert f"was counted as crashed with process {NOBODY}, where it had not begun" in fault


def lines_of(folder: Path) -> list[str]:
    return (folder / "ran").read_text(encoding="utf-8").splitlines(keepends=True)


def append(folder: Path, *lines: str) -> None:
    with (folder / "ran").open("a", encoding="utf-8") as file:
        file.writelines(lines)
        os.fsync(file.fileno())

#!/usr/bin/env bash
# What surprises: sqlite3 of CPython 3.12 has connect(autocommit=False), and its documentation recommends it over the
# old way. With it a transaction is open at all times, and in SQLite the first SELECT fixes what that transaction
# sees. A worker that asks "is there anything new?" in a loop and only reads never sees a row that came after its
# first question, while with the old default and with autocommit=True it sees each. PostgreSQL's habit, where a read
# in an open transaction sees what others have committed, misleads here. Meanwhile the WAL file cannot be reused and
# grows with each delivery that others store. And a worker that then wants to write gets "database is locked"
# (SQLITE_BUSY_SNAPSHOT) at once, whatever its timeout, since waiting would not help; a "with connection:" around that
# write does not help either.
#
# What a receiver should do: end the transaction after each look, by "with connection:" around the look itself or by
# commit(); or open what only reads with autocommit=True. Take "database is locked" that comes at once for this, and
# begin anew by rollback() before the write is tried again.
#
# Measured with the sqlite3 modules of CPython 3.12.1 and 3.13.0, both with SQLite 3.40.1. Needs CPython 3.12 or
# later, as python3.12, python3.13, in pyenv's folder, or by PYTHON=path. Fails if that changes.
set -euo pipefail
python=""
for candidate in "${PYTHON:-}" python3.13 python3.12 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
    if [ -n "$candidate" ] && "$candidate" -c "import sys; sys.exit(sys.version_info < (3, 12))" 2> /dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "no CPython 3.12 or later is found; name one by PYTHON=path" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/probe.py" <<'PYTHON'
import platform
import sqlite3
import time
from contextlib import closing
from pathlib import Path

MODES = {"as before": {}, "autocommit=True": {"autocommit": True}, "autocommit=False": {"autocommit": False}}
DELIVERIES, SIZE, TIMEOUT = 60, 500_000, 5


def look(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM delivery").fetchone()[0]


def store(connection: sqlite3.Connection, times: int = 1) -> None:
    for _ in range(times):
        with connection:
            connection.execute("INSERT INTO delivery (body) VALUES (zeroblob(?))", (SIZE,))


def write(connection: sqlite3.Connection) -> str:
    """What comes of a write after a look; the time that it took has to be far below the timeout."""
    start = time.monotonic()
    try:
        with connection:
            connection.execute("UPDATE delivery SET taken = 1 WHERE id = 1")
        outcome = "written"
    except sqlite3.OperationalError as error:
        outcome = f"{error} ({error.sqlite_errorname})"
    assert time.monotonic() - start < TIMEOUT / 2
    return outcome


print(platform.python_implementation(), platform.python_version(), "SQLite", sqlite3.sqlite_version)
seen = {}
for mode, options in MODES.items():
    file = Path(mode.replace(" ", "-") + ".db")
    with closing(sqlite3.connect(file)) as receiver:
        receiver.execute("PRAGMA journal_mode = wal")
        receiver.execute("PRAGMA synchronous = off")  # only to be quick
        receiver.execute("CREATE TABLE delivery (id INTEGER PRIMARY KEY, body BLOB, taken INTEGER)")
        store(receiver)
        with closing(sqlite3.connect(file, timeout=TIMEOUT, **options)) as worker:
            at_first = look(worker)
            store(receiver, DELIVERIES)
            new = look(worker) - at_first
            grown = Path(f"{file}-wal").stat().st_size > DELIVERIES * SIZE
            written = write(worker)
            with worker:
                before = look(worker)
            store(receiver)
            with worker:
                new_in_with = look(worker) - before
    seen[mode] = (new, grown, written, new_in_with)
    print(f"{mode:16} {new} of {DELIVERIES} new rows seen; a write after that: {written};")
    print(f"{'':16} {new_in_with} of 1 new row seen by a look inside 'with connection:';")
    print(f"{'':16} the WAL {'has all of them and grows on' if grown else 'is reused'}")
assert seen == {
    "as before": (DELIVERIES, False, "written", 1),
    "autocommit=True": (DELIVERIES, False, "written", 1),
    "autocommit=False": (0, True, "database is locked (SQLITE_BUSY_SNAPSHOT)", 1),
}, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$python" "$work/probe.py"

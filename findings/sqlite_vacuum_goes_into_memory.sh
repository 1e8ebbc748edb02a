#!/usr/bin/env bash
# What surprises: "PRAGMA temp_store = MEMORY", which guides to a fast SQLite recommend and which many programs set once for
# each connection, covers VACUUM, too. That makes its copy of the whole database in memory then: to give space back takes
# as much memory as the file has bytes, however small cache_size is. A container with a limit is killed by the very
# command that was to make room. The documentation of VACUUM speaks of temporary disk space alone.
#
# What a receiver should do: keep deliveries in SQLite with temp_store as it likes, but set "PRAGMA temp_store = FILE" on the
# connection that runs VACUUM, and give SQLITE_TMPDIR a folder with room for a copy.
#
# Measured with SQLite 3.54.1 (apsw 3.54.1.0) on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
cat > "$work/probe.py" <<'PYTHON'
import os
import re
import sys
from pathlib import Path

import apsw

MIB = 1024 * 1024


def most() -> int:
    """Return the most memory that this process has had at once, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


if len(sys.argv) == 3:  # the process that is measured
    _, store, file = sys.argv
    connection = apsw.Connection(file)
    connection.execute("PRAGMA cache_size = -2048")
    connection.execute(f"PRAGMA temp_store = {store}")
    before = most()
    connection.execute("VACUUM")
    print(most() - before)
    sys.exit()

import subprocess

folder = Path(sys.argv[1])
print("SQLite", apsw.sqlite_lib_version())
extra = {}
for store in ("DEFAULT", "FILE", "MEMORY"):
    file = folder / f"{store}.db"
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE delivery (body)")
    with connection:
        for _ in range(64):
            connection.execute("INSERT INTO delivery VALUES (?)", (os.urandom(MIB),))
    connection.close()
    command = [sys.executable, __file__, store, str(file)]
    done = subprocess.run(command, env={**os.environ, "SQLITE_TMPDIR": str(folder)}, capture_output=True, text=True, check=True)
    extra[store] = int(done.stdout) / file.stat().st_size
    print(f"temp_store = {store:8}VACUUM of a file of {file.stat().st_size // MIB} MiB took {extra[store]:.2f} of its size in memory")
assert extra["DEFAULT"] < 0.3 and extra["FILE"] < 0.3, "it takes more memory than it did"
assert extra["MEMORY"] > 0.9, "it takes no more memory for it"
PYTHON
mkdir "$work/data"
"$work/venv/bin/python" "$work/probe.py" "$work/data"

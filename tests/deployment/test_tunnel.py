"""A tunnel by `ssh -R`, through a real server of SSH: the request arrives byte for byte as it was sent."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.helpers import free_port, noting, order, serving, signed


@contextmanager
def sshd(folder: Path) -> Generator[list[str]]:
    """Run a server of SSH on this machine; yield the command line of a client of it, up to its options."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    folder.chmod(0o700)
    port = free_port()
    options = [
        f"Port={port}",
        "ListenAddress=127.0.0.1",
        f"HostKey={folder / 'host'}",
        f"AuthorizedKeysFile={folder / 'authorized'}",
        "StrictModes=no",
        "UsePAM=no",
        "PidFile=none",
    ]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in before somebody has logged in
    server = subprocess.Popen([program, "-D", "-e", *(f"-o{each}" for each in options)], stderr=subprocess.DEVNULL)
    user = pwd.getpwuid(os.geteuid()).pw_name
    try:
        listening(port)
        yield [
            *("ssh", "-F", "none", "-i", str(folder / "user"), "-p", str(port), f"{user}@127.0.0.1"),
            *("-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oExitOnForwardFailure=yes"),
        ]
    finally:
        server.terminate()
        server.wait(timeout=30)


def listening(port: int) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    pytest.fail(f"nobody listens on {port}")


@contextmanager
def tunnel(client: list[str], local: int) -> Generator[int]:
    """Forward a port of the server's to one of ours; yield the former."""
    there = free_port()
    process = subprocess.Popen([*client, "-N", "-R", f"127.0.0.1:{there}:127.0.0.1:{local}"], stderr=subprocess.DEVNULL)
    try:
        listening(there)
        yield there
    finally:
        process.terminate()
        process.wait(timeout=30)


def request() -> bytes:
    body = order()
    head = [b"POST /webhooks?a=%2F HTTP/1.1", b"Host: hooks.example.com", b"Content-Length: %d" % len(body)]
    head += [b"Connection: close", *(b"%b: %b" % pair for pair in signed(body))]
    return b"\r\n".join([*head, b"", body])


SENT = request()


def read_to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def answered(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        return read_to_the_end(connection)


def arrived(port: int, listener: socket.socket, sent: bytes) -> bytes:
    """Send bytes to a port; return what comes of them at a listener. Who only asks whether it listens sends none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while True:
            came, _ = listener.accept()
            with came:
                if read := read_to_the_end(came):
                    return read


def test_a_request_arrives_through_ssh_as_it_was_sent(tmp_path: Path) -> None:
    noted = noting()
    with sshd(tmp_path) as client:
        with serving(noted.hooks) as url, tunnel(client, int(url.rpartition(":")[2])) as port:
            assert answered(port, SENT).startswith(b"HTTP/1.1 204")
            assert len(noted.events) == 1
        with socket.create_server(("127.0.0.1", 0)) as listener, tunnel(client, listener.getsockname()[1]) as port:
            assert arrived(port, listener, SENT) == SENT

"""Proxies and servers as processes: each proxy runs with its configuration of `examples/operations/proxies/`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.helpers import free_port

from .client import answer
from .guide import PROXIES, configuration, differences
from .matrix import ready

PATIENCE = 60.0  # seconds for a program to start, and to end
HOST = "hooks.example.com"


class Setup(NamedTuple):
    """What the configuration of a program is written for."""

    folder: Path
    """An empty folder of its own."""
    port: int
    upstream: str
    """The address of the app, as "127.0.0.1:8000"."""
    certificate: Path
    """The file with the certificate and its key, in PEM."""


Command = list[str | Path]


class Proxy(NamedTuple):
    """A proxy: the heading of its part in the guide, its program, and its command."""

    heading: str
    program: str
    asks_version: str
    """The argument with which the program says its version."""
    package: str
    """Debian's package with the program."""
    write: Callable[[Setup], Command]
    """Writes the configuration, and returns the options of the command."""


def _written(setup: Setup, name: str, listens: str) -> str:
    """Return the configuration of a file for a setup; `listens` is what it says of its port."""
    ours = listens.replace("*", "").replace(":", "").replace("443", f"127.0.0.1:{setup.port}")
    files = {"127.0.0.1:8000": setup.upstream, "/etc/ssl/hooks.pem": str(setup.certificate)}
    return configuration(name, {listens: ours, **files})


def _nginx(setup: Setup) -> Command:
    folder, file = setup.folder, setup.folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{each}_temp_path {folder}/{each};" for each in kinds)
    text = _written(setup, "nginx.conf", "listen 443").replace("http {", f"http {{ access_log off; {places}", 1)
    own = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n"
    file.write_text(own + text, encoding="utf-8")
    return ["-p", folder, "-c", file, "-e", "stderr"]


def _haproxy(setup: Setup) -> Command:
    file = setup.folder / "haproxy.cfg"
    file.write_text(_written(setup, "haproxy.cfg", "bind :443"), encoding="utf-8")
    return ["-db", "-f", file]


APACHE_MODULES = ("mpm_event", "authz_core", "alias", "ssl", "http2", "proxy", "proxy_http")


def _apache(setup: Setup) -> Command:
    folder, file = setup.folder, setup.folder / "apache.conf"
    loaded = [f"LoadModule {each}_module /usr/lib/apache2/modules/mod_{each}.so" for each in APACHE_MODULES]
    root = ["User nobody", "Group nogroup"] if os.geteuid() == 0 else []
    own = [f"ServerRoot {folder}", f"DefaultRuntimeDir {folder}", "PidFile apache.pid", "ErrorLog /dev/stderr"]
    lines = [*own, *root, *loaded, f"ServerName {HOST}", f"Listen 127.0.0.1:{setup.port}"]
    file.write_text("\n".join([*lines, _written(setup, "apache.conf", "*:443")]), encoding="utf-8")
    return ["-D", "FOREGROUND", "-f", file]


def _caddy(setup: Setup) -> Command:
    file = setup.folder / "Caddyfile"
    changes = {
        "127.0.0.1:8000": setup.upstream,
        # It would fetch a certificate for the name, listen at port 80, too, and be told what to do at another port.
        f"{HOST} {{\n": f"{HOST}:{setup.port} {{\n  bind 127.0.0.1\n  tls {setup.certificate} {setup.certificate}\n",
        "  servers {\n": "  admin off\n  auto_https disable_redirects\n  servers {\n",
    }
    file.write_text(configuration("Caddyfile", changes), encoding="utf-8")
    return ["run", "--config", file, "--adapter", "caddyfile"]


def _traefik(setup: Setup) -> Command:
    file, hooks = setup.folder / "traefik.yml", setup.folder / "traefik-hooks.yml"
    places = {'":443"': f'"127.0.0.1:{setup.port}"', "/etc/traefik/traefik-hooks.yml": str(hooks)}
    file.write_text(configuration("traefik.yml", places), encoding="utf-8")
    ours = {"127.0.0.1:8000": setup.upstream, "/etc/ssl/hooks.pem": str(setup.certificate)}
    hooks.write_text(configuration("traefik-hooks.yml", ours), encoding="utf-8")
    return [f"--configFile={file}"]


PROXIES_HERE = [
    Proxy("nginx", "nginx", "-v", "nginx-light", _nginx),
    Proxy("HAProxy", "haproxy", "-v", "haproxy", _haproxy),
    Proxy("Apache", "apache2", "-v", "apache2-bin", _apache),
    Proxy("Caddy", "caddy", "version", "caddy", _caddy),
]
TRAEFIK = Proxy("Traefik", "traefik", "version", "", _traefik)


def found(proxy: Proxy) -> str | None:
    """Return the path of the program of a proxy; None if this machine has none."""
    return shutil.which(proxy.program) or shutil.which(f"/usr/sbin/{proxy.program}")


def told(proxy: Proxy, program: str, heading: str = PROXIES) -> dict[str, str]:
    """Return what the guide tells below a heading of a proxy of this version, or of the one before that it knows."""
    done = subprocess.run([program, proxy.asks_version], capture_output=True, text=True, check=True)
    version = _numbers(done.stdout + done.stderr)
    known = {_numbers(each): cases for each, cases in differences(heading).items() if each.startswith(proxy.heading)}
    return known[max([each for each in known if each <= version], default=min(known))]


def _numbers(text: str) -> tuple[int, ...]:
    version = re.search(r"\d+\.\d+\.\d+", text)
    assert version is not None, text
    return tuple(int(each) for each in version[0].split("."))


@contextmanager
def behind(proxy: Proxy, program: str, upstream: str, folder: Path) -> Generator[tuple[int, ssl.SSLContext]]:
    """Run a proxy in front of an app; yield its port, and the context of TLS of those who trust it.

    Args:
        proxy: the proxy.
        program: the path of its program.
        upstream: the address of the app, as "127.0.0.1:8000".
        folder: an empty folder.
    """
    authority, tls = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(tls)
    certificate = folder / "hooks.pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(certificate)

    def command(port: int) -> Command:
        return [program, *proxy.write(Setup(folder, port, upstream, certificate))]

    with running(command, folder, tls) as port:
        yield port, tls


@contextmanager
def running(
    command: Callable[[int], Command],
    folder: Path,
    tls: ssl.SSLContext | None = None,
    environment: Mapping[str, str] | None = None,
) -> Generator[int]:
    """Run a program until the app answers through it on a free port; yield the port. Its processes end with the block.

    Args:
        command: a function of the port that returns the command.
        folder: the folder in which it runs; its home, too.
        tls: the context of TLS, where it listens for that.
        environment: more variables of its environment.
    """
    log = folder / "output.txt"
    variables = {**os.environ, "HOME": str(folder), **(environment or {})}
    for attempt in range(3):  # another one may have taken the port meanwhile
        port = free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(port), cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
            )
        try:
            if not _answers(process, port, tls):
                assert attempt < 2, log.read_text(errors="replace")
                continue
            yield port
            return
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], port: int, tls: ssl.SSLContext | None) -> bool:
    """Wait until the app answers; return whether it does, and the program has not ended."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            if answer(port, asked := ready(), tls) == asked.answer:
                return True
        threading.Event().wait(0.01)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all of its processes."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

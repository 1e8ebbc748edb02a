"""The example with three providers, in a process that is killed, beside simulators that lose notifications."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote

import anyio
import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.helpers import ROOT, free_port, printed, serving
from webhook_receiver.simulator import ProviderSimulator, Simulator, SimulatorOptions, provider_app, simulator_app
from webhook_receiver.simulator.files import content
from webhook_receiver.simulator.providers.base import Got

FOLDER = ROOT / "examples" / "imagery"
FILES = re.compile(r"/_simulator/files/|/signed/|/compute/ops/download/")
SETTINGS = dict(re.findall(r"(\w+)=(\S+)", (FOLDER / "settings.sh").read_text(encoding="utf-8").partition("\n")[2]))


@dataclass
class Slow:
    """An app whose downloads take their time, so that a kill is in the middle of them."""

    app: ASGIApp
    wait: float = 0.004
    """Seconds between two pieces."""
    finished: Counter[str] = field(default_factory=Counter[str])
    """The numbers of downloads that came to their end, by what was downloaded."""
    keys: list[bytes] = field(default_factory=list[bytes])
    """The keys that were sent to where downloads are, and have no business there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not FILES.search(scope["path"]):
            await self.app(scope, receive, send)
            return
        tag = ""
        self.keys += [value for name, value in scope["headers"] if name in (b"x-skyfi-api-key", b"authorization")]

        async def slowly(message: Message) -> None:
            nonlocal tag
            if message["type"] == "http.response.start":
                tag = dict(message["headers"]).get(b"etag", b"").decode()
            await anyio.sleep(self.wait)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body") and tag:
                self.finished[tag] += 1

        await self.app(scope, receive, slowly)


@dataclass
class Theatre:
    """Three simulators, and the example beside them."""

    folder: Path
    port: int
    urls: dict[str, str]
    apps: dict[str, Slow]
    providers: dict[str, ProviderSimulator]

    @property
    def environment(self) -> dict[str, str]:
        addresses = {f"{name.upper()}_URL": url for name, url in self.urls.items()}
        paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}", "PYTHONUNBUFFERED": "1", "POLL_SECONDS": "2"}
        return {**os.environ, **SETTINGS, **addresses, **paths, "PUBLIC_URL": f"http://127.0.0.1:{self.port}"}

    def start(self) -> subprocess.Popen[str]:
        """Run the example until it listens."""
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "receive_imagery:app", "--port", str(self.port)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed(process, "Uvicorn running")
        return process

    def create(self, provider: str, **fields: Any) -> str:
        """Create an order by the control API; return its id."""
        url = f"{self.urls[provider]}/_simulator/orders"
        (made,) = httpx.post(url, json={"status": "FULFILLED", **fields}, trust_env=False).json()
        id: str = made["id"]
        return id

    def saved(self) -> list[Path]:
        """Return the images that are whole."""
        return sorted(path for path in self.folder.glob("images/*/*") if path.suffix != ".part")

    def check(self, size: int, *ids: str) -> None:
        """Check the bytes of the images of these orders, and that each image was downloaded to its end once."""
        contents = {path.parent.name + "/" + unquote(path.name): path for path in self.saved()}
        for name in ids:
            (path,) = [path for found, path in contents.items() if found.startswith(name)]
            assert path.read_bytes() == b"".join(content(unquote(path.name), 0, size)), path
        assert [*self.folder.glob("images/*/*.part")] == []
        assert [key for app in self.apps.values() for key in app.keys] == []
        assert {tag: times for app in self.apps.values() for tag, times in app.finished.items() if times > 1} == {}


@contextmanager
def theatre(folder: Path) -> Generator[Theatre]:
    """Serve a simulator of each provider; those of SkyFi and Planet notify the example of orders that name no URL."""
    port = free_port()
    hosts = {"skyfi": f"127.0.0.1:{port}", "planet": f"webhooks:{SETTINGS['PLANET_SECRET']}@127.0.0.1:{port}"}
    paths = {"skyfi": f"/skyfi/{SETTINGS['SKYFI_SECRET']}", "planet": "/planet"}
    apps = {"up42": Slow(simulator_app(Simulator(SimulatorOptions(retry=(0.5,) * 100))))}
    providers = {
        name: ProviderSimulator(name, pace=0.05, webhook=f"http://{host}{paths[name]}") for name, host in hosts.items()
    }
    apps |= {name: Slow(provider_app(simulator)) for name, simulator in providers.items()}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(app)) for name, app in apps.items()}
        yield Theatre(folder, port, urls, apps, providers)


def lines_of(process: subprocess.Popen[str], many: int) -> list[str]:
    """Read until so many images were saved; return the first words of these lines, sorted."""
    found = [printed(process, "saved ").splitlines()[-1] for _ in range(many)]
    return sorted(" ".join(line.split()[:2]) for line in found)


def ended(process: subprocess.Popen[str]) -> str:
    """End the example as Ctrl-C does; return what it printed meanwhile."""
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    return said


ALL = ["saved planet", "saved planet", "saved skyfi", "saved up42"]
"""What is saved of an order of each provider; Planet's has a manifest."""


def test_what_is_pushed_and_what_only_a_poll_finds_is_saved_once(tmp_path: Path) -> None:
    with theatre(tmp_path) as played:
        process = played.start()
        try:
            order = [sys.executable, str(FOLDER / "order_imagery.py"), f"http://127.0.0.1:{played.port}"]
            done = subprocess.run(
                order, env=played.environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            ids = re.findall(r"ordered at (\w+): (\S+)", done.stdout)
            assert [name for name, _ in ids] == ["SkyFi", "Planet"]
            first = played.create("up42", assetSize=1 << 20)
            assert lines_of(process, 4) == ALL
            for url in played.urls.values():
                assert httpx.put(f"{url}/_simulator/faults", json={"lose": 1}, trust_env=False).status_code == 200
            later = [played.create(name, assetSize=1 << 20) for name in ("skyfi", "planet", "up42")]
            assert lines_of(process, 4) == ALL
            said = httpx.get(f"{played.urls['up42']}/_simulator", trust_env=False).json()
            assert said["webhooks"] == 1, "the example has registered itself"
        finally:
            more = ended(process)
        assert "saved " not in more
        skyfi, planet = (id for _, id in ids)
        played.check(1 << 20, f"skyfi/{skyfi}", f"planet/{planet}/scene.tif", f"skyfi/{later[0]}")
        assert len(played.saved()) == 8
        assert first != later[2]


def test_after_a_kill_nothing_is_downloaded_twice_and_nothing_is_missed(tmp_path: Path) -> None:
    size = 60_000_000
    with theatre(tmp_path) as played:
        process = played.start()
        skyfi, planet = (played.create(name, assetSize=size) for name in ("skyfi", "planet"))
        played.create("up42", assetSize=size)
        begun = {name: part_of(tmp_path / "images" / name) for name in ("skyfi", "planet", "up42")}
        process.kill()
        said, _ = process.communicate(timeout=30)
        left = {name: part.stat() for name, part in begun.items()}
        assert all(0 < each.st_size < size for each in left.values())
        process = played.start()
        try:
            assert lines_of(process, 4 - said.count("saved ")) == ALL[said.count("saved ") :]
        finally:
            more = ended(process)
        assert "saved " not in more
        for name, part in begun.items():
            whole = part.with_name(part.name.removesuffix(".part"))
            assert whole.stat().st_ino == left[name].st_ino, "it was appended to, not begun anew"
        played.check(size, f"skyfi/{skyfi}", f"planet/{planet}/scene.tif", "up42/")
        assert len(played.saved()) == 4


def test_a_link_that_has_ended_is_asked_for_again(tmp_path: Path) -> None:
    with theatre(tmp_path) as played:
        api = played.providers["planet"].api
        process = played.start()
        try:
            api.link_life = timedelta(seconds=-1)
            asked: list[str] = []

            def renew(got: Got) -> None:
                if got.path.endswith(f"/{id}") and got.method == "GET":
                    asked.append(got.path)
                    api.link_life = timedelta(days=1)

            id = played.create("planet", status="CREATED", assetSize=1 << 20)
            api.meanwhile = renew
            assert lines_of(process, 2) == ["saved planet", "saved planet"]
        finally:
            ended(process)
        assert asked
        played.check(1 << 20, f"planet/{id}/scene.tif")


def part_of(folder: Path) -> Path:
    """Return the file that an image is downloaded to, as soon as there is something in it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for part in folder.glob("*.part"):
            if part.stat().st_size > 2000:  # the manifest's
                return part
        Event().wait(0.01)
    raise AssertionError(f"no download was begun in {folder}")


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_file_of_the_example_is_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").rpartition('"""\n\n')[2].splitlines()) < 70

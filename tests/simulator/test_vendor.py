"""The vendor's own code: its SDK drives the simulator, and its verification takes what the simulator delivers."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.helpers import SECRET, serving
from tests.simulator.playing import Got, Real, catching, playing, receiving
from webhook_receiver.events import OrderStatus
from webhook_receiver.simulator import NewOrders, Simulator, simulator_app

pytestmark = pytest.mark.vendor

WITH_WEBHOOKS = "up42-py==2.5.0"
NEWEST = "up42-py"
HERE = Path(__file__).parent


def environment(requirement: str, directory: Path) -> Path:
    """Return the Python of an environment with the SDK, made once in a directory that all workers share.

    What is not complete is made anew.
    """
    name = re.sub(r"\W+", "-", f"{requirement}-{sysconfig.get_python_version()}")
    home = directory / name
    home.parent.mkdir(parents=True, exist_ok=True)
    python, complete = home / "bin" / "python", home / "complete"
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(home, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
            install = [
                sys.executable,
                "-m",
                "pip",
                "--python",
                str(python),
                "install",
                "--quiet",
                "--no-compile",
                requirement,
            ]
            done = subprocess.run(install, capture_output=True, text=True, timeout=150, check=False)
            if done.returncode:
                pytest.skip(f"pip cannot install {requirement}: {done.stderr.strip().splitlines()[-1]}")
            complete.touch()
    return python


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """Where environments are made: the cache of pytest, which outlives a run."""
    cache = pytestconfig.cache
    assert cache is not None
    return cache.mkdir("vendor")


def driven(requirement: str, environments: Path, tmp_path: Path, simulator: Simulator, url: str) -> Mapping[str, Any]:
    """Run the SDK against a simulator; return what it returned."""
    python = environment(requirement, environments)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    # The SDK asks pypi.org whether it is the newest, and goes on when there is no such page.
    certificate = authority.issue_cert("api.up42.com", "auth.up42.com", "pypi.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "simulator.pem"))
    with serving(simulator_app(simulator), ssl_certfile=str(tmp_path / "simulator.pem")) as address:
        done = subprocess.run(
            [python, HERE / "vendor.py", address.rpartition(":")[2], url],
            env={"PATH": os.environ["PATH"], "REQUESTS_CA_BUNDLE": str(tmp_path / "authority.pem")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def with_orders() -> tuple[Simulator, dict[str, str]]:
    """Return a simulator with 21 orders, more than fit on a page, and the ids of those that are sought, by a name."""
    simulator = Simulator()
    simulator.create(NewOrders(count=17))
    sought = {
        "fulfilled": NewOrders(status=OrderStatus.FULFILLED),
        "tasking": NewOrders(type="TASKING", sub_status="QUOTATION_ACCEPTED"),
        "tagged": NewOrders(tags=("a", "b")),
        "named": NewOrders(display_name="Harbour", tags=("c",)),
    }
    return simulator, {name: simulator.create(wanted)[0].id for name, wanted in sought.items()}


def check_orders(told: Mapping[str, Any], simulator: Simulator, sought: Mapping[str, str]) -> None:
    assert len(told["orders"]) == 21
    assert {*told["orders"]} == {kept.id for kept in simulator.store.orders}
    assert {name: told[name] for name in sought} == {name: [id] for name, id in sought.items()}
    assert sorted(told["statuses"]) == ["CREATED"] * 20 + ["FULFILLED"]


def test_the_sdk_with_webhooks_manages_them_here(environments: Path, tmp_path: Path) -> None:
    simulator, sought = with_orders()
    real = Real(["try-me"])
    with receiving(real) as url:
        told = driven(WITH_WEBHOOKS, environments, tmp_path, simulator, url)
    assert told["events"] == ["order.status", "job.status"]
    assert told["all"] == [told["created"]]
    got = told["got"]
    assert (got["id"], got["url"], got["secret"], got["active"]) == (told["created"], url, "try-me", True)
    assert told["renamed"] == "renamed by the SDK"
    assert (told["tests"]["testsRun"], told["tests"]["testsSucceeded"]) == (1, 1)
    assert real.next().status == 204  # the receiver has verified it
    assert told["left"] == []
    check_orders(told, simulator, sought)


def test_the_newest_sdk_reads_orders_here(environments: Path, tmp_path: Path) -> None:
    simulator, sought = with_orders()
    told = driven(NEWEST, environments, tmp_path, simulator, "unused")
    check_orders(told, simulator, sought)
    assert told["canceled"] == "CANCELED"
    assert [kept.order.status for kept in simulator.store.orders].count(OrderStatus.CANCELED) == 1


def verified_as_published(headers: Mapping[str, str], secret: str, now: float) -> bool:
    """Verify as UP42's published receivers do, step by step; written from their steps, with nothing of ours."""
    signature_input = headers["signature-input"]
    created = re.search(r"created=(\d{10,20})", signature_input)
    assert created is not None
    if not (int(created[1]) <= now and now - int(created[1]) < 300):
        return False
    signature = headers["signature"].split("=", 1)[1].encode()
    listed = re.search(r"up42-sig=\(([^)]*)\);", signature_input)
    assert listed is not None
    names = [name for name in re.split(r'[\s"]+', listed[1]) if name]
    message = "".join(headers[name] for name in names)
    mac = hmac.new(secret.encode(), message.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(mac), signature)


def delivered(secret: str | None) -> Got:
    with playing() as played, catching() as (catcher, url):
        played.webhook(url, secret)
        played.create(status="FULFILLED")
        return catcher.next()


def test_a_delivery_passes_the_vendors_published_verification() -> None:
    got = delivered(SECRET)
    headers = {name.decode(): value.decode() for name, value in got.headers}
    assert verified_as_published(headers, SECRET, time.time())
    assert not verified_as_published(headers, "another secret", time.time())
    assert not verified_as_published(headers | {"content-type": "text/plain"}, SECRET, time.time())
    assert '"digest"' in headers["signature-input"]
    assert headers["digest"] == "SHA-256=" + base64.b64encode(hashlib.sha256(got.body).digest()).decode()


def test_a_delivery_of_a_webhook_without_a_secret_has_no_signature_at_all() -> None:
    names = {name for name, _ in delivered(None).headers}
    assert names.isdisjoint({b"signature", b"signature-input", b"digest"})

"""The units for systemd: what they start, what it may do, how long it has to end."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deployment.parts import (
    OPERATIONS,
    STOP,
    deliver,
    ended,
    here,
    own,
    scrapes,
    secret_in,
    started,
    told_metrics,
)
from tests.helpers import free_port, printed
from webhook_receiver.settings import Settings

UNITS = OPERATIONS / "systemd"
SERVICES = ["webhooks.service", "webhooks-worker.service"]
EXPOSURE = 15  # tenths, as `systemd-analyze security` counts: 0 is best, 100 worst


def settings_of(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNITS.joinpath(name).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def environment_of(unit: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """Return the environment of a unit, with its credentials and its state in a folder."""
    (credential,) = unit["LoadCredential"]
    secret_in(folder / "credentials" / credential.partition(":")[0])
    (state,) = unit["StateDirectory"]
    folder.joinpath(state).mkdir(exist_ok=True)
    given = " ".join(unit["Environment"]).replace("%d", str(folder / "credentials"))
    return dict(word.split("=", 1) for word in shlex.split(given.replace(f"/var/lib/{state}", str(folder / state))))


def test_the_units_start_a_receiver_on_the_passed_socket_and_a_worker(tmp_path: Path) -> None:
    unit, worker = map(settings_of, SERVICES)
    (listens,) = settings_of("webhooks.socket")["ListenStream"]
    assert listens == f"{Settings().host}:{Settings().port}"
    url = listens.replace(str(Settings().port), str(free_port()))
    environment = environment_of(unit, tmp_path)
    assert environment_of(worker, tmp_path) == environment
    passed = [f"--setenv={name}={value}" for name, value in own(environment).items()]
    places = {"8081": str(free_port())}
    metrics = [free_port(), free_port()]
    places |= {
        str(port): str(free) for (_, port), free in zip(scrapes("prometheus.yml").values(), metrics, strict=True)
    }
    serves = here(shlex.split(unit["ExecStart"][0]), places)
    command = ["systemd-socket-activate", f"--listen={url}", *passed, *serves]
    handles = here(shlex.split(worker["ExecStart"][0]), places)
    with (
        started(handles, environment, tmp_path, until="Uvicorn running") as working,
        started(command, {}, tmp_path, until="Listening on") as serving,  # it starts with the first connection
    ):
        assert deliver(f"http://{url}/webhooks", "o-7") == 202
        printed(working, "ready to download: o-7")
        assert [told_metrics(port) for port in metrics] == [True, True], "not where Prometheus looks for them"
        ended(serving, float(unit["TimeoutStopSec"][0]))
        ended(working, float(worker["TimeoutStopSec"][0]))


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_waits_for_handlers_longer_than_they_have(name: str) -> None:
    assert float(settings_of(name)["TimeoutStopSec"][0]) > STOP


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_whose_inbox_is_away_is_started_again_for_as_long_as_that_takes(name: str) -> None:
    unit = settings_of(name)
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == (["always"], ["0"])
    assert float(unit["RestartSec"][0]) >= 1  # systemd's own 0.1 s is a busy loop


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_may_do_little(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", UNITS / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_knows_whatever_is_in_the_units(tmp_path: Path) -> None:
    for name in ["webhooks.socket", *SERVICES]:
        text = UNITS.joinpath(name).read_text(encoding="utf-8")
        tmp_path.joinpath(name).write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""The image, the Compose file and the manifests for Kubernetes: their commands are run, their probes asked."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from tests.deployment.parts import (
    OPERATIONS,
    STOP,
    Part,
    deliver,
    ended,
    here,
    image,
    own,
    replaced,
    scrapes,
    secret_in,
    started,
    told_metrics,
)
from tests.helpers import ROOT, free_port, printed
from webhook_receiver.options import seconds
from webhook_receiver.settings import PREFIX, Settings

COMPOSE = OPERATIONS / "docker" / "compose.yml"
MANIFESTS = sorted(OPERATIONS.joinpath("kubernetes").glob("*.yml"))
DOCKERFILE = COMPOSE.with_name("Dockerfile").read_text(encoding="utf-8")
DEPLOYED = [COMPOSE, *MANIFESTS]
PORTS = {"serve": Settings().port, "worker": 8081}
JOBS = {"serve": "webhook-receiver", "worker": "webhook-worker"}
"""The job of Prometheus of each process."""
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def parts_of(file: Path) -> list[Part]:
    """Return the processes of the receiver that a file starts, in the order of their start."""
    return list(of_compose(file) if file == COMPOSE else of_kubernetes(file))


def of_compose(file: Path) -> Iterator[Part]:
    (document,) = documents(file)
    scraped = dict(scrapes("prometheus-compose.yml").values())
    for name, service in document["services"].items():
        if service["image"] != document["x-receiver"]["image"]:
            continue
        published = service.get("ports", ["8081"])[0].rpartition(":")[2]
        yield Part(
            name,
            service["command"],
            {**image()[0], **service["environment"]},
            port=int(published),
            scraped=scraped.get(name),
            check=service.get("healthcheck", {}).get("test", [""])[1:],
            patience=seconds(service["stop_grace_period"]),
        )


def of_kubernetes(file: Path) -> Iterator[Part]:
    pods = [each["spec"]["template"]["spec"] for each in documents(file) if each["kind"] == "Deployment"]
    scraped = scrapes("prometheus-kubernetes.yml")
    for pod in pods:
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            before = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            assert before[0] == "sleep"
            yield Part(
                container["name"],
                container["command"],
                {**image()[0], **{each["name"]: each["value"] for each in container["env"]}},
                port=container.get("ports", [{"containerPort": None}])[0]["containerPort"],
                scraped=scraped[JOBS[container["name"]]][1] if container["name"] in JOBS else None,
                paths=[path for kind in PROBES for path in probed(container, kind)],
                patience=pod["terminationGracePeriodSeconds"] - float(before[1]),
            )


def probed(container: dict[str, Any], kind: str) -> Iterator[str]:
    """Yield the path of a probe, or "" for one that only connects; its port has to be the container's."""
    probe = container.get(kind, {})
    names = [each["name"] for each in container.get("ports", [])]
    for asked in (probe[each] for each in ("httpGet", "tcpSocket") if each in probe):
        assert asked["port"] in names
        yield asked.get("path", "")


@pytest.mark.parametrize("file", DEPLOYED, ids=lambda file: file.name)
def test_what_is_deployed_stores_handles_answers_its_probes_and_ends_in_time(
    file: Path, tmp_path: Path, empty_database: str
) -> None:
    secret_in(tmp_path / "secrets" / "webhook")
    tmp_path.joinpath("secrets", "inbox").write_text(empty_database, encoding="utf-8")
    ports = {name: free_port() for name in PORTS}
    metrics = {name: free_port() for name in PORTS}
    places = {"/run/secrets/webhooks": str(tmp_path / "secrets"), "/run/secrets": str(tmp_path / "secrets")}
    places |= {"/var/lib/webhooks": str(tmp_path)}
    with ExitStack() as running:
        processes = {}
        for part in parts_of(file):
            environment = {name: replaced(value, places) for name, value in part.environment.items()}
            assert {name for name in environment if name.startswith("WEBHOOK_")} <= known_variables()
            environment |= {f"{PREFIX}PORT": str(ports["serve"])}
            places_of_ports = {str(PORTS["worker"]): str(ports["worker"])}
            if part.scraped is not None:
                places_of_ports |= {str(part.scraped): str(metrics[part.name])}
            command = here(part.command, places_of_ports)
            if part.name not in PORTS:
                done = subprocess.run(command, cwd=tmp_path, env=own(environment), capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                continue
            assert part.port == PORTS[part.name]
            processes[part.name] = running.enter_context(
                started(command, environment, tmp_path, until="Uvicorn running")
            )
            check(part, ports[part.name])
        assert deliver(f"http://127.0.0.1:{ports['serve']}/webhooks", "o-7") == 202
        printed(processes["worker"], "ready to download: o-7")
        for name, port in metrics.items():
            assert told_metrics(port), f"{name} has no metrics where Prometheus looks for them"
        for part in parts_of(file):
            if part.name in PORTS:
                ended(processes[part.name], part.patience)


def known_variables() -> set[str]:
    return {f"{PREFIX}{name.upper()}{end}" for name in Settings.model_fields for end in ("", "_FILE")}


def check(part: Part, port: int) -> None:
    """Ask a process how it is, as its file says."""
    assert part.paths or part.check
    for path in part.paths:
        if path:
            assert httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).is_success
        else:
            socket.create_connection(("127.0.0.1", port)).close()
    if part.check:
        done = subprocess.run(here(part.check, {str(part.port): str(port)}), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", DEPLOYED, ids=lambda file: file.name)
def test_handlers_have_their_time_before_a_process_is_killed(file: Path) -> None:
    assert {part.name for part in parts_of(file)} >= {*PORTS}
    assert all(part.patience > STOP for part in parts_of(file))


def test_the_compose_file_is_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_the_manifests_are_of_their_kinds(file: Path) -> None:
    for document in documents(file):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_what_the_manifests_name_is_in_them(file: Path) -> None:
    found = documents(file)
    services = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Service"}
    (ingress,) = (each for each in found if each["kind"] == "Ingress")
    pods = [each["spec"]["template"] for each in found if each["kind"] == "Deployment"]
    for service in services.values():
        (chosen,) = (each for each in pods if each["metadata"]["labels"] == service["selector"])
        ports = {port["name"]: port for container in chosen["spec"]["containers"] for port in container["ports"]}
        (port,) = service["ports"]
        assert port["targetPort"] in ports
        if service.get("clusterIP") == "None":  # who asks for it gets the pods' addresses, and takes their port
            assert port["port"] == ports[port["targetPort"]]["containerPort"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == Settings().path
    (reached,) = services[path["backend"]["service"]["name"]]["ports"]
    assert path["backend"]["service"]["port"]["name"] == reached["name"]
    assert reached["targetPort"] == "http"
    claims = {each["metadata"]["name"] for each in found if each["kind"] == "PersistentVolumeClaim"}
    for pod in pods:
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        named = {
            each["persistentVolumeClaim"]["claimName"] for each in volumes.values() if "persistentVolumeClaim" in each
        }
        assert named <= claims
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            assert {each["name"] for each in container["volumeMounts"]} <= volumes.keys()
            assert container["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_prometheus_finds_the_pods_and_their_ports_by_headless_services(file: Path) -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in documents(file) if each["kind"] == "Service"}
    headless = {
        (name, each["port"])
        for name, service in services.items()
        if service.get("clusterIP") == "None" and service["publishNotReadyAddresses"]
        for each in service["ports"]
    }
    assert headless == {*scrapes("prometheus-kubernetes.yml").values()}


def test_prometheus_finds_the_services_of_the_compose_file_by_their_names_and_nobody_else_does() -> None:
    (document,) = documents(COMPOSE)
    for job, (host, port) in scrapes("prometheus-compose.yml").items():
        assert job == JOBS[host]
        service = document["services"][host]
        assert service["command"][-2:] == ["--metrics-port", str(port)]
        assert not any(f":{port}" in each for each in service.get("ports", ()))


def test_what_the_image_is_made_of_is_in_the_folder_in_which_it_is_built() -> None:
    (document,) = documents(COMPOSE)
    build = document["x-receiver"]["build"]
    context = (COMPOSE.parent / build["context"]).resolve()
    assert context / build["dockerfile"] == COMPOSE.parent / "Dockerfile"
    let_in = context.joinpath(".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[:-1] for line in image()[1]["COPY"] if not line.startswith("--from=")]
    assert copied
    for source in (each for sources in copied for each in sources):
        assert context.joinpath(source).exists()
        assert f"!{source}" in let_in
    guide = ROOT.joinpath("docs", "deployment.md").read_text(encoding="utf-8")
    assert f"docker build -t {document['x-receiver']['image']} -f {build['dockerfile']} .\n" in guide


def test_the_image_serves_as_a_user_of_its_own_on_its_port() -> None:
    environment, instructions = image()
    assert instructions["EXPOSE"] == [str(PORTS["serve"])]
    assert instructions["CMD"] == ['["webhook-receiver", "serve"]']
    (user,) = instructions["USER"]
    assert int(user) > 0
    assert any(f"--uid {user} " in line for line in instructions["RUN"])
    assert {name for name in environment if name.startswith("WEBHOOK_")} <= known_variables()
    (extras,) = (line for line in DOCKERFILE.splitlines() if "pip install" in line)
    assert "prometheus" in extras.partition("[")[2].partition("]")[0].split(",")
    version = instructions["FROM"][0].removeprefix("python:").removesuffix("-slim")
    assert f'"Programming Language :: Python :: {version}"' in ROOT.joinpath("pyproject.toml").read_text("utf-8")

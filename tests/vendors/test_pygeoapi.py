"""pygeoapi calls our receiver: when jobs begin, end and fail, and when items change.

What it does when the receiver is away, slow or answers an error is the server's own: these tests hold what our guide
tells of it.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any, Literal

import pytest
from pydantic import Field
from starlette.applications import Starlette

from tests.helpers import free_port, serving
from webhook_receiver import (
    Event,
    ImageryEvent,
    ImageryFailed,
    ImageryProgress,
    ImageryReady,
    SQLiteInbox,
    State,
    WebhookReceiver,
    WorkerOptions,
)
from webhook_receiver.senders import catalogue

from .line import Line, line
from .pygeoapi import COLLECTION, Pygeoapi, running

pytestmark = pytest.mark.vendor

PATIENCE = 60.0  # seconds
IN_ORDER = WorkerOptions(concurrency=1)
TOKEN = "a-secret-path-for-tests"
PASSWORD = "a-password-for-tests"
FEATURE = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [13.4, 52.5]}}


@pytest.fixture(scope="module")
def opened() -> Generator[Line]:
    with line() as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Generator[Pygeoapi]:
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def publisher(opened: Line) -> Generator[Pygeoapi]:
    """The server that publishes to the line."""
    with running(opened.address.replace("//", f"//webhooks:{PASSWORD}@") + "/webhooks") as found:
        yield found


@pytest.fixture
def between(opened: Line) -> Generator[Line]:
    """The line, as it is at first."""
    opened.receiver, opened.loses_answers = None, False
    opened.requests = Queue()
    yield opened
    opened.is_open.set()


@contextmanager
def served(hooks: WebhookReceiver, route: str, between: Line) -> Generator[str]:
    """Serve a receiver at the other end of the line; yield its own address."""
    with serving(Starlette(routes=[hooks.route(route)], lifespan=hooks.lifespan)) as address:
        between.receiver = address
        yield address
    between.receiver = None


def counted(path: Path) -> dict[State, int]:
    """Return the number of deliveries in an inbox, by their states."""

    async def count() -> dict[State, int]:
        inbox = await SQLiteInbox(path).open()
        try:
            return {state: number for state, number in (await inbox.stats()).counts.items() if number}
        finally:
            await inbox.close()

    return asyncio.run(count())


# callbacks of processes

READY, FAILED, PROGRESS = ImageryReady, ImageryFailed, ImageryProgress
Told = tuple[type[ImageryEvent], str | None, str, Any]


class Subscribed:
    """A receiver of callbacks, and what its handlers of the three outcomes are told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told = Queue[Told]()
        self.hooks = WebhookReceiver(sender=catalogue.ogc_processes(TOKEN), inbox=f"sqlite:///{path}", worker=IN_ORDER)
        self.hooks.on(READY, name="ready")(lambda event: self._note(READY, event))
        self.hooks.on(FAILED, name="failed")(lambda event: self._note(FAILED, event))
        self.hooks.on(PROGRESS, name="progress")(lambda event: self._note(PROGRESS, event))

    def _note(self, kind: type[ImageryEvent], event: ImageryEvent) -> None:
        self.told.put((kind, event.order_id, event.status, event.document))

    def next(self) -> Told:
        return self.told.get(timeout=PATIENCE)

    def left(self, count: int) -> bool:
        """Say whether no more was told, once the receiver has stopped, and it kept this many deliveries."""
        return self.told.empty() and counted(self.path) == {State.DONE: count}


@pytest.fixture
def subscribed(tmp_path: Path) -> Subscribed:
    return Subscribed(tmp_path / "hooks.db")


def subscriber(address: str, job: str, token: str = TOKEN) -> dict[str, str]:
    """Return the three URLs of a job, which say what the bodies do not."""
    words = {"successUri": "successful", "inProgressUri": "running", "failedUri": "failed"}
    return {name: f"{address}/webhooks/{job}/{word}/{token}" for name, word in words.items()}


ROUTE = "/webhooks/{job}/{status}/{token}"


@pytest.mark.parametrize("wait", [False, True], ids=["asynchronous", "synchronous"])
def test_a_job_that_ends_well_is_progress_and_then_ready_with_its_results(
    server: Pygeoapi, between: Line, subscribed: Subscribed, wait: bool
) -> None:
    results = {"id": "echo", "value": "Hello Berlin!"}
    with served(subscribed.hooks, ROUTE, between):
        server.execute("hello-world", {"name": "Berlin"}, subscriber(between.address, "job-1"), wait=wait)
        assert subscribed.next() == (PROGRESS, "job-1", "running", {})
        assert subscribed.next() == (READY, "job-1", "successful", results)
    assert subscribed.left(2)
    requests = [between.next() for _ in range(2)]
    assert [(each.method, each.target, json.loads(each.body)) for each in requests] == [
        ("POST", f"/webhooks/job-1/running/{TOKEN}", {}),
        ("POST", f"/webhooks/job-1/successful/{TOKEN}", results),
    ]
    for request in requests:  # nothing that is the server's own, such as an id of the job
        assert request.headers.pop("user-agent").startswith("python-requests/")
        assert request.headers.pop("content-type") == "application/json"
        assert request.headers.keys() == {"host", "accept", "accept-encoding", "connection", "content-length"}


@pytest.mark.parametrize("wait", [False, True], ids=["asynchronous", "synchronous"])
@pytest.mark.parametrize(("process", "inputs"), [("own", {"result": "failure"}), ("hello-world", {})])
def test_a_job_that_fails_is_progress_and_then_a_failure_that_does_not_say_why(
    server: Pygeoapi, between: Line, subscribed: Subscribed, process: str, inputs: dict[str, str], wait: bool
) -> None:
    with served(subscribed.hooks, ROUTE, between):
        server.execute(process, inputs, subscriber(between.address, "job-1"), wait=wait)
        assert subscribed.next() == (PROGRESS, "job-1", "running", {})
        assert subscribed.next() == (FAILED, "job-1", "failed", {})
    assert subscribed.left(2)


@pytest.mark.parametrize(("result", "document"), [("list", [{"href": "a.tif"}, {"href": "b.tif"}]), ("text", "ready")])
def test_results_that_are_no_object_are_the_body_of_the_document(
    server: Pygeoapi, between: Line, subscribed: Subscribed, result: str, document: object
) -> None:
    with served(subscribed.hooks, ROUTE, between):
        server.execute("own", {"result": result}, subscriber(between.address, "job-1"))
        assert subscribed.next()[0] is PROGRESS
        assert subscribed.next() == (READY, "job-1", "successful", {"body": document})
    assert subscribed.left(2)


def test_results_that_are_no_json_make_a_job_fail_that_has_a_subscriber(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    with served(subscribed.hooks, ROUTE, between):
        response = server.execute("own", {"result": "image"}, subscriber(between.address, "job-1"))
        assert [subscribed.next()[:2] for _ in range(2)] == [(PROGRESS, "job-1"), (FAILED, "job-1")]
    assert "bytes is not JSON serializable" in server.job(response)["message"]
    assert server.execute("own", {"result": "image"}, wait=True).status_code == 200


def test_jobs_of_one_moment_are_told_apart_by_their_urls_alone(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    jobs = [f"job-{number}" for number in range(8)]
    with served(subscribed.hooks, ROUTE, between):
        for job in jobs:
            result = "failure" if job == "job-3" else "text"
            server.execute("own", {"result": result}, subscriber(between.address, job))
        told = [subscribed.next() for _ in range(16)]
    assert subscribed.left(16)
    assert sorted(job for kind, job, *_ in told if kind is PROGRESS and job) == jobs
    assert sorted(job for kind, job, *_ in told if kind is READY and job) == [job for job in jobs if job != "job-3"]
    assert [job for kind, job, *_ in told if kind is FAILED] == ["job-3"]


def test_a_receiver_that_is_away_at_the_end_makes_a_job_fail_that_has_succeeded(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    urls = subscriber(between.address, "job-1")
    with served(subscribed.hooks, ROUTE, between):
        response = server.execute("own", {"result": "text"}, urls | {"successUri": f"http://127.0.0.1:{free_port()}/"})
        assert [subscribed.next()[0] for _ in range(2)] == [PROGRESS, FAILED]
    assert subscribed.left(2)
    assert server.job(response)["status"] == "failed"


def test_a_receiver_that_is_away_at_the_start_keeps_a_job_from_running_for_ever(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    response = server.execute("own", {"result": "text"}, subscriber(between.address, "job-1"))
    between.next()
    with served(subscribed.hooks, ROUTE, between):  # it is back, and hears of the next job
        server.execute("own", {"result": "text"}, subscriber(between.address, "job-2"))
        assert [subscribed.next()[:2] for _ in range(2)] == [(PROGRESS, "job-2"), (READY, "job-2")]
    assert subscribed.left(2)
    assert server.job(response)["status"] == "accepted"


def test_an_answer_that_gets_lost_makes_a_job_ready_and_then_failed(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    between.loses_answers = True
    with served(subscribed.hooks, ROUTE, between) as address:
        direct = {"inProgressUri": subscriber(address, "job-1")["inProgressUri"]}
        response = server.execute("own", {"result": "text"}, subscriber(between.address, "job-1") | direct)
        assert [subscribed.next()[0] for _ in range(3)] == [PROGRESS, READY, FAILED]
    assert subscribed.left(3)
    assert server.job(response)["status"] == "failed"


def test_a_callback_that_is_answered_by_an_error_does_not_come_again(
    server: Pygeoapi, between: Line, subscribed: Subscribed
) -> None:
    wrong = "somebody-elses-secret-path"
    with served(subscribed.hooks, ROUTE, between):
        response = server.execute("own", {"result": "text"}, subscriber(between.address, "job-1", wrong), wait=True)
    assert counted(subscribed.path) == {}
    assert [between.next().target.split("/")[3] for _ in range(2)] == ["running", "successful"]
    assert between.requests.empty()
    assert server.job(response)["status"] == "successful"


def test_a_receiver_that_is_slow_holds_up_the_job(server: Pygeoapi, between: Line, subscribed: Subscribed) -> None:
    with served(subscribed.hooks, ROUTE, between):
        between.is_open.clear()
        response = server.execute("own", {"result": "text"}, subscriber(between.address, "job-1"))
        between.next()
        assert server.job(response)["status"] == "accepted"
        between.is_open.set()
        assert [subscribed.next()[0] for _ in range(2)] == [PROGRESS, READY]
    assert subscribed.left(2)
    assert server.job(response)["status"] == "successful"


# Pub/Sub


class ItemCreated(Event, frozen=True):
    event: Literal["org.ogc.api.collection.item.create"] = Field(alias="type")
    subject: str
    data: dict[str, Any]


class ItemUpdated(Event, frozen=True):
    event: Literal["org.ogc.api.collection.item.update"] = Field(alias="type")
    data: dict[str, Any]


class ItemDeleted(Event, frozen=True):
    event: Literal["org.ogc.api.collection.item.delete"] = Field(alias="type")
    data: str


class JobResult(Event, frozen=True):
    event: Literal["org.ogc.api.job.result"] = Field(alias="type")
    subject: str
    data: Any


class Published:
    """A receiver of what is published, and what its handler gets."""

    def __init__(self, path: Path, password: str = PASSWORD) -> None:
        self.path = path
        self.events = Queue[Event]()
        self.hooks = WebhookReceiver(
            sender=catalogue.pygeoapi_pubsub(password), inbox=f"sqlite:///{path}", worker=IN_ORDER
        )
        for kind in (ItemCreated, ItemUpdated, ItemDeleted, JobResult):
            self.hooks.on(kind)(self._note)

    def _note(self, event: Event) -> None:
        self.events.put(event)

    def next(self) -> Event:
        return self.events.get(timeout=PATIENCE)

    def left(self, count: int) -> bool:
        """Say whether no more came, once the receiver has stopped, and it kept this many deliveries."""
        return self.events.empty() and counted(self.path) == {State.DONE: count}


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "hooks.db")


def item(id: str, title: str) -> dict[str, Any]:
    return FEATURE | {"id": id, "properties": {"externalId": id, "title": title}}


def test_each_change_of_an_item_is_one_cloudevent_in_a_text(
    publisher: Pygeoapi, between: Line, published: Published
) -> None:
    with served(published.hooks, "/webhooks/{channel}", between):
        assert publisher.change("POST", item=item("s-1", "new")).status_code == 201
        created = published.next()
        assert publisher.change("PUT", "s-1", item("s-1", "newer")).status_code == 204
        updated = published.next()
        assert publisher.change("DELETE", "s-1").status_code == 200
        deleted = published.next()
    assert published.left(3)
    assert isinstance(created, ItemCreated)
    assert (created.subject, created.data) == (f"collections/{COLLECTION}", item("s-1", "new"))
    assert isinstance(updated, ItemUpdated)
    assert updated.data["properties"]["title"] == "newer"
    assert isinstance(deleted, ItemDeleted)
    assert deleted.data == "s-1"
    request = between.next()
    assert (request.method, request.target) == ("POST", f"/webhooks/collections-{COLLECTION}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Basic {b64encode(f'webhooks:{PASSWORD}'.encode()).decode()}"
    assert json.loads(json.loads(request.body))["type"] == "org.ogc.api.collection.item.create"


def test_of_a_job_the_answer_to_its_execution_is_published_and_not_its_end(
    publisher: Pygeoapi, between: Line, published: Published
) -> None:
    with served(published.hooks, "/webhooks/{channel}", between):
        told = list[Any]()
        for result, wait in (("text", False), ("text", True), ("list", True), ("failure", True), ("failure", False)):
            response = publisher.execute("own", {"result": result}, wait=wait)
            event = published.next()
            assert isinstance(event, JobResult)
            assert event.subject == "processes/own"
            told.append(event.data)
            if not wait:
                publisher.wait_for_end(response)
    assert published.left(5)
    assert told == [
        {"jobID": told[0]["jobID"], "type": "process", "status": "accepted"},
        "ready",
        [{"href": "a.tif"}, {"href": "b.tif"}],
        {
            "type": "InvalidParameterValue",
            "code": "InvalidParameterValue",
            "description": "Error executing process: too many clouds",
        },
        {"jobID": told[4]["jobID"], "type": "process", "status": "accepted"},
    ]


@pytest.mark.parametrize("answers", [False, True], ids=["away", "answers an error"])
def test_what_the_receiver_does_not_take_is_lost_and_the_item_is_there_although_the_server_says_500(
    publisher: Pygeoapi, between: Line, tmp_path: Path, answers: bool
) -> None:
    published = Published(tmp_path / "hooks.db", "another-password-for-tests")
    id = f"s-{answers}"
    if answers:
        with served(published.hooks, "/webhooks/{channel}", between):
            response = publisher.change("POST", item=item(id, id))
        assert counted(published.path) == {}
    else:
        response = publisher.change("POST", item=item(id, id))
    assert response.status_code == 500
    assert id in publisher.items()
    assert between.next().target == f"/webhooks/collections-{COLLECTION}"
    assert between.requests.empty()


def test_a_job_is_executed_although_nobody_hears_of_it(publisher: Pygeoapi, between: Line) -> None:
    assert publisher.execute("own", {"result": "text"}, wait=True).text == "ready"
    assert between.next().target == "/webhooks/processes-own"


def test_a_receiver_that_is_slow_holds_up_the_client_of_the_server(
    publisher: Pygeoapi, between: Line, published: Published
) -> None:
    with served(published.hooks, "/webhooks/{channel}", between), ThreadPoolExecutor() as pool:
        between.is_open.clear()
        response = pool.submit(publisher.change, "POST", item=item("s-2", "slow"))
        between.next()
        assert "slow" in publisher.items()
        assert not response.done()
        between.is_open.set()
        assert response.result().status_code == 201
        assert isinstance(published.next(), ItemCreated)
    assert published.left(1)

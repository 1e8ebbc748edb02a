"""A real back-end of openEO, by the package that several providers serve it with, is read by our source."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from webhook_receiver import ApiError
from webhook_receiver.senders.imagery.openeo_source import openeo_jobs_source

from .environments import DRIVERS, python_with

pytestmark = pytest.mark.vendor

PROCESS = {"process_graph": {"sum": {"process_id": "add", "arguments": {"x": 1, "y": 2}, "result": True}}}


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    """The address of the server, which runs while its tests do."""
    command = [python_with("openeo-driver", ["openeo-driver==0.136.0a4"]), str(DRIVERS / "openeo_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


class Account:
    """A user of the back-end who has signed in."""

    def __init__(self, client: httpx.AsyncClient, address: str, user: str, token: str) -> None:
        self.source = openeo_jobs_source(token, url=f"{address}/openeo/1.2")
        self._client = client
        self._user = user
        self._headers = {"Authorization": f"Bearer {token}"}

    async def create(self) -> str:
        """Create a job; return its id."""
        return (await self._post("/openeo/1.2/jobs", {"process": PROCESS})).headers["openeo-identifier"]

    async def start(self, id: str) -> None:
        await self._post(f"/openeo/1.2/jobs/{id}/results")

    async def change(self, id: str, status: str) -> None:
        """Change the status of a job as its processing would."""
        await self._post(f"/test/{self._user}/{id}/{status}")

    async def _post(self, path: str, document: object = None) -> httpx.Response:
        return (await self._client.post(path, json=document, headers=self._headers)).raise_for_status()


@asynccontextmanager
async def signed_in(address: str, user: str) -> AsyncGenerator[Account]:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        answer = await client.get("/openeo/1.2/credentials/basic", auth=(user, "secret"))
        yield Account(client, address, user, f"basic//{answer.raise_for_status().json()['access_token']}")


def told(documents: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return the ids and statuses in jobs."""
    jobs: list[dict[str, Any]] = [json.loads(document) for document in documents]
    return [(job["id"], job["status"]) for job in jobs]


async def test_jobs_are_told_once_for_each_status_over_all_pages(address: str) -> None:
    async with signed_in(address, "alice") as there:
        jobs = [await there.create() for _ in range(130)]  # more than a page, many of them of one second
        changes = await there.source(None)
        assert sorted(told(changes.documents)) == sorted((job, "created") for job in jobs)
        assert (await there.source(changes.cursor)).documents == []

        first, *_, last = jobs
        await there.start(first)
        await there.change(last, "error")
        changes = await there.source(changes.cursor)
        assert sorted(told(changes.documents)) == sorted([(first, "running"), (last, "error")])
        await there.change(first, "finished")
        changes = await there.source(changes.cursor)
        assert told(changes.documents) == [(first, "finished")]
        (document,) = changes.documents
        assert "output.nc" in json.loads(document)["results"]["assets"]
        assert (await there.source(changes.cursor)).documents == []


async def test_a_job_is_told_again_by_its_id(address: str) -> None:
    async with signed_in(address, "bob") as there:
        job = await there.create()
        await there.change(job, "canceled")
        assert told(await there.source.again(job)) == [(job, "canceled")]


async def test_a_token_that_the_back_end_does_not_know_is_an_error(address: str) -> None:
    with pytest.raises(ApiError, match="403 Forbidden"):
        await openeo_jobs_source("basic//unknown", url=f"{address}/openeo/1.2")(None)

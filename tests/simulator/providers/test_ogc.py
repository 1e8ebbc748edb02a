"""OGC API - Processes as it is played: three URLs, one attempt each, and nothing in the body but results."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.simulator.playing import catching
from webhook_receiver.simulator.files import content

from .playing import playing

EXECUTION = "/processes/image/execution"


def test_a_job_tells_by_its_urls_that_it_runs_and_that_it_was_successful() -> None:
    with catching() as (catcher, hook), playing("ogc", pace=1) as played:
        subscriber = {"successUri": f"{hook}/ok", "inProgressUri": f"{hook}/runs", "failedUri": f"{hook}/bad"}
        answer = played.client.post(EXECUTION, json={"inputs": {}, "subscriber": subscriber})
        job = answer.json()
        assert (answer.status_code, job["status"]) == (201, "accepted")
        assert urlsplit(answer.headers["location"]).path == f"/jobs/{job['jobID']}"
        told = sorted((each.attempts[0].url, each.body) for each in played.ended(2))
        results = played.ask("GET", f"/jobs/{job['jobID']}/results")
        assert [url for url, _ in told] == [f"{hook}/ok", f"{hook}/runs"]
        assert told[1][1] == "{}"
        assert [*results] == ["image"]
        image = played.client.get(results["image"]["href"])
        assert image.content == b"".join(content(job["jobID"], 0, 1 << 20))
        assert played.ask("GET", f"/jobs/{job['jobID']}")["status"] == "successful"
        assert {catcher.next().body[:2] for _ in range(2)} == {b"{}", b'{"'}


def test_a_job_that_fails_tells_so_with_nothing_in_the_body() -> None:
    with catching() as (catcher, hook), playing("ogc") as played:
        subscriber = {"successUri": f"{hook}/ok", "failedUri": f"{hook}/bad"}
        id = played.ask("POST", EXECUTION, 201, json={"subscriber": subscriber})["jobID"]
        played.move(id, "running")
        played.move(id, "FAILED_PERMANENTLY")
        assert catcher.next().document == {}
        (ended,) = played.ended()
        assert ended.attempts[0].url == f"{hook}/bad"
        played.ask("GET", f"/jobs/{id}/results", 404)
        assert [each["status"] for each in played.ask("GET", "/jobs")["jobs"]] == ["failed"]


@pytest.mark.parametrize("answer", [200, 404, 500])
def test_any_answer_will_do_and_none_is_tried_again(answer: int) -> None:
    with catching(answer) as (_, hook), playing("ogc", webhook=f"{hook}/{{job}}/{{status}}/secret") as played:
        id = played.create()
        played.move(id, "running")
        (ended,) = played.ended()
        assert (ended.ended, [each.status for each in ended.attempts]) == ("delivered", [answer])
        assert ended.attempts[0].url == f"{hook}/{id}/running/secret"


def test_a_subscriber_without_a_url_for_success_is_refused() -> None:
    with playing("ogc") as played:
        for subscriber in ({}, {"failedUri": "http://127.0.0.1:9/"}, "http://127.0.0.1:9/"):
            problem = played.ask("POST", EXECUTION, 400, json={"subscriber": subscriber})
            assert problem["description"] == "Missing successUri"
        played.ask("GET", "/jobs/none", 404)
        played.ask("GET", "/jobs/none/results", 404)

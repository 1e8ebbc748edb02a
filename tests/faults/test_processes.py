"""Several processes on one file: nothing is handled twice, nobody starves."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import groupby
from pathlib import Path

from tests.faults.harness import Answer, Connection, Server, delivery, ended, runs, states


async def send(port: int, connection: int, count: int) -> list[tuple[int, float]]:
    """Send one delivery after the other; return each answer and how long it took."""
    answers: list[tuple[int, float]] = []
    sender = Connection(port)
    for number in range(1, count + 1):
        request = delivery(f"o-{connection}-{number % 4}", number, does="end at once")
        began = time.monotonic()
        answer = await sender.ask(request)
        assert isinstance(answer, Answer)
        answers.append((answer.status, time.monotonic() - began))
    await sender.close()
    return answers


def load(port: int, connections: int, count: int) -> list[tuple[int, float]]:
    async def all_of_them() -> list[tuple[int, float]]:
        found = await asyncio.gather(*(send(port, connection, count) for connection in range(connections)))
        return [answer for answers in found for answer in answers]

    return asyncio.run(all_of_them())


def test_four_processes_on_one_file_answer_all_and_handle_each_delivery_once(tmp_path: Path) -> None:
    connections, count = 16, 80
    with Server(tmp_path, worker={"lease": 10.0, "poll": 0.1}) as server:
        others: list[Server] = []
        for _ in range(3):
            other = Server(tmp_path, worker={"lease": 10.0, "poll": 0.1})
            other.listener.close()
            other.listener, other.port = server.listener.dup(), server.port  # as uvicorn's own workers share one
            others.append(other)
        for other in others:
            other.start()
        everyone = [server, *others]
        try:
            answers = load(server.port, connections, count)
            total = connections * count
            server.wait_for(lambda: states(server.inbox) == {"done": total}, "the end of it all", 60)
            for each in everyone:
                each.stop()
        finally:
            for other in others:
                other.__exit__()
        assert Counter(status for status, _ in answers) == {202: total}
        times = sorted(seconds for _, seconds in answers)
        print(f"p50 {times[total // 2] * 1000:.1f} ms, p99 {times[total * 99 // 100] * 1000:.1f} ms, {times[-1]:.2f} s")
        assert times[-1] < 10
        found = runs(tmp_path)
        begun = Counter((run.handler, run.order, run.number) for run in found if run.what == "begin")
        assert set(begun.values()) == {1}
        assert len(ended(tmp_path)) == total
        by_process = Counter(run.process for run in found)
        print(f"runs by process: {dict(by_process)}")


MOST_ROUNDS = 10


def test_two_processes_that_put_for_one_key_in_turns_never_handle_two_of_it_at_once(tmp_path: Path) -> None:
    connections, count = 8, 30

    async def send_in_turns(port: int, connection: int, begin: int) -> list[int]:
        sender, answers = Connection(port), list[int]()
        for number in range(begin, begin + count):
            answer = await sender.ask(delivery(f"o-{number % 3}", connection * 1000 + number, does="end at once"))
            assert isinstance(answer, Answer)
            answers.append(answer.status)
        await sender.close()
        return answers

    async def send_all(begin: int, *ports: int) -> list[list[int]]:
        return await asyncio.gather(
            *(send_in_turns(ports[each % len(ports)], each, begin) for each in range(connections))
        )

    with Server(tmp_path, worker={"lease": 10.0, "poll": 0.05}) as server:
        other = Server(tmp_path, worker={"lease": 10.0, "poll": 0.05})
        other.start()
        try:
            for sent in range(
                count, MOST_ROUNDS * count, count
            ):  # on a busy machine one of them may handle all of a round
                answers = asyncio.run(send_all(sent - count, server.port, other.port))
                assert {status for each in answers for status in each} == {202}
                everything = {"done": connections * sent}
                server.wait_for(lambda: states(server.inbox) == everything, "the end of it all", 60)  # noqa: B023
                if len({run.process for run in runs(tmp_path)}) == 2:
                    break
            server.stop()
            other.stop()
        finally:
            other.__exit__()
        found = runs(tmp_path)
        assert len({run.process for run in found}) == 2
        for order in ("o-0", "o-1", "o-2"):
            numbers = [number for number, _ in groupby(run.number for run in found if run.order == order)]
            assert len(numbers) == len({*numbers}), "one is begun after the other has ended, retries and all"

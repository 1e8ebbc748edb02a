from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from anyio.lowlevel import checkpoint
from starlette.types import Message, Receive

from webhook_receiver.body import BodyReader
from webhook_receiver.errors import BodyIncomplete, BodyTooLarge, BodyTooSlow, InvalidContentLength, UnsupportedEncoding


def receiving(*chunks: bytes, then: Sequence[Message] = ()) -> Receive:
    messages = [
        {"type": "http.request", "body": chunk, "more_body": bool(then) or index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    left = iter([*messages, *then])

    async def receive() -> Message:
        try:
            return next(left)
        except StopIteration:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # nothing more ever comes

    return receive


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([(b"content-length", b"-1")], InvalidContentLength),
        ([(b"content-length", b"11")], BodyTooLarge),
        ([(b"content-length", b"9" * 5000)], BodyTooLarge),
        ([(b"content-encoding", b"gzip")], UnsupportedEncoding),
    ],
)
def test_a_body_is_refused_by_its_headers(headers: list[tuple[bytes, bytes]], error: type[Exception]) -> None:
    reader = BodyReader(max_body=10, timeout=30)
    with pytest.raises(error):
        reader.refuse_by(headers)
    reader.refuse_by([(b"content-length", b"10"), (b"content-encoding", b"Identity")])


async def test_a_body_is_put_together_from_its_chunks() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    assert await reader.read(receiving(b"abc")) == b"abc"
    assert await reader.read(receiving(b"", b"abc", b"", b"de")) == b"abcde"
    assert await reader.read(receiving(b"")) == b""


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 10, b"y"], [b"x"] * 11, [b"", b"x" * 11]])
async def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(chunks: list[bytes]) -> None:
    reader = BodyReader(max_body=10, timeout=30)
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        await reader.read(receiving(*chunks))
    assert await reader.read(receiving(b"x" * 9, b"y")) == b"x" * 9 + b"y"


async def test_a_body_over_the_limit_is_refused_without_waiting_for_its_end() -> None:
    with pytest.raises(BodyTooLarge):
        await BodyReader(max_body=10, timeout=30).read(endless(b"x" * 4))


def endless(chunk: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": chunk, "more_body": True}

    return receive


@pytest.mark.parametrize("chunks", [[], [b"abc"], [b"a", b"b"]])
async def test_a_client_that_goes_away_leaves_no_body(chunks: list[bytes]) -> None:
    receive = receiving(*chunks, then=[{"type": "http.disconnect"}])
    with pytest.raises(BodyIncomplete):
        await BodyReader(max_body=10, timeout=30).read(receive)


async def test_a_body_that_takes_too_long_is_refused_whether_it_never_starts_or_never_ends() -> None:
    reader = BodyReader(max_body=10, timeout=0.08)
    for receive in (receiving(), receiving(b"a", then=[{"type": "http.request", "body": b"b", "more_body": True}])):
        with pytest.raises(BodyTooSlow, match=r"more than 0\.08 s"):
            await reader.read(receive)
    assert await reader.read(receiving(b"abc")) == b"abc"


async def test_a_cancellation_from_outside_is_not_taken_for_slowness() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    task = asyncio.create_task(reader.read(receiving()))
    await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_reader_serves_one_loop_after_the_other() -> None:
    reader = BodyReader(max_body=10, timeout=0.08)

    async def slow() -> None:
        with pytest.raises(BodyTooSlow):
            await reader.read(receiving())

    asyncio.run(slow())
    asyncio.run(slow())


def test_one_reader_serves_two_loops_at_once() -> None:
    reader = BodyReader(max_body=10, timeout=0.4)
    took: list[float] = []

    async def slow() -> None:
        start = time.monotonic()
        reading = asyncio.create_task(reader.read(receiving()))
        while not reading.done():
            assert await reader.read(receiving(b"abc")) == b"abc"
            await checkpoint()
        assert isinstance(reading.exception(), BodyTooSlow)
        took.append(time.monotonic() - start)

    threads = [threading.Thread(target=asyncio.run, args=(slow(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 2
    assert all(seconds >= 0.39 for seconds in took)

"""What torments the receivers ends itself, whatever becomes of them."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import pytest

from tests.faults.harness import Connection, Sender, ask
from tests.faults.storm import Storm


def test_who_is_never_answered_gives_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask(port, b"GET / HTTP/1.1\r\n\r\n", 0.05) is None
        assert asyncio.run(Connection(port, 0.05).ask(b"GET / HTTP/1.1\r\n\r\n")) is None


def test_a_sender_that_gets_no_answer_keeps_no_process_of_tests_from_its_end() -> None:
    sender = Sender(0)
    sender._stop.set()
    with sender:
        assert sender._thread is not None
        assert sender._thread.daemon


def test_a_storm_ends_with_what_was_said_if_a_process_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.storm.ask", lambda port, request, seconds: None)
    monkeypatch.setattr("tests.faults.storm.PATIENCE", 0.0)
    tmp_path.joinpath("said").write_text("it is busy", encoding="utf-8")
    with Storm(tmp_path, random.Random(1), count=1) as storm:
        storm.start()
        with pytest.raises(AssertionError, match="an answer of each process never came:\nit is busy"):
            storm.rage(0, 1.0, 0.0)

"""Behind PgBouncer: a session for each connection works, and anything else is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from webhook_receiver import ConfigurationError
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.records import Stored
from webhook_receiver.testing.inbox_suite import claim, put

from .pgbouncer import needs_pgbouncer, pgbouncer

pytestmark = needs_pgbouncer


async def test_sessions_work(postgres_url: str, tmp_path: Path) -> None:
    with pgbouncer(postgres_url, tmp_path) as url:
        for number in range(2):  # the second one has sessions that the first one had
            inbox = await PostgresInbox(url).open()
            assert await put(inbox, f"d-{number}") == [Stored(f"d-{number}")]
            assert [*await claim(inbox)] == [f"d-{number}"]
            await inbox.close()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_session_that_several_clients_have_is_rejected(postgres_url: str, tmp_path: Path, mode: str) -> None:
    with pgbouncer(postgres_url, tmp_path, mode) as url:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="PgBouncer needs pool_mode = session, and server_reset_query"):
                await PostgresInbox(url).open()


async def test_a_session_that_another_client_had_is_rejected(postgres_url: str, tmp_path: Path) -> None:
    with pgbouncer(postgres_url, tmp_path, server_reset_query="") as url:
        inbox = await PostgresInbox(url).open()
        await inbox.close()
        with pytest.raises(ConfigurationError, match="server_reset_query = DISCARD ALL"):
            await inbox.open()


async def test_settings_that_do_not_stay_are_noticed(postgres_url: str, tmp_path: Path) -> None:
    with (
        pgbouncer(postgres_url, tmp_path, "transaction", server_reset_query_always=1) as url,
        pytest.raises(ConfigurationError, match="PgBouncer needs pool_mode = session"),
    ):
        await PostgresInbox(url).open()

"""TLS to Debian's server: who it is, and who we are; what does not fit says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import execute, needs_debian
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox import from_url
from webhook_receiver.inbox.postgres import PostgresInbox

from .conftest import NAME, PASSWORD, Debian
from .pgbouncer import needs_pgbouncer, pgbouncer
from .receivers import working, works

pytestmark = needs_debian


def reached(url: str, debians: Debian, role: str = "app", *, host: str = NAME, **parameters: object) -> str:
    """Return the URL of a database as a client writes it that looks who the server is."""
    place = f"{role}@{host}:{debians.server.port}"
    given = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": debians.certificate} | parameters
    query = "&".join(f"{name}={quote(str(value))}" for name, value in given.items())
    return f"postgresql://{place}/{url.rpartition('/')[2]}?{query}"


async def rejected(url: str) -> str:
    """Return what is said of a connection that is not made."""
    with pytest.raises(InboxUnavailable) as raised:
        await PostgresInbox(url).open()
    return str(raised.value)


def encrypted(url: str) -> list[bool]:
    """Return whether the connections of `app` to a database have TLS."""
    asked = (
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND datname = %s"
    )
    return [ssl for (ssl,) in execute(url, asked, url.rpartition("/")[2])]


async def test_a_server_that_is_verified_works(debian_url: str, debians: Debian) -> None:
    async with working(reached(debian_url, debians)) as hooks:
        assert encrypted(debian_url) == [True]
        assert await hooks.inbox.polls() == []
    await works(reached(debian_url, debians))


async def test_another_host_is_rejected(debians: Debian) -> None:
    said = await rejected(reached(debians.url, debians, host="other.example"))
    assert f'"{NAME}"' in said
    assert 'does not match host name "other.example"' in said
    assert "the URL names the host as the server's certificate does; hostaddr=ADDRESS beside it" in said


async def test_a_certificate_of_an_unknown_authority_is_rejected(debians: Debian, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    said = await rejected(reached(debians.url, debians, sslrootcert=other))
    assert "certificate verify failed" in said
    assert "sslrootcert=FILE in the URL has the certificate of the CA of the server's" in said
    nowhere = await rejected(reached(debians.url, debians, sslrootcert=tmp_path / "nowhere.pem"))
    assert "sslrootcert=FILE in the URL has the certificate of the CA of the server's" in nowhere


@needs_pgbouncer
async def test_what_has_no_tls_is_rejected(debians: Debian, tmp_path: Path) -> None:
    with pgbouncer(debians.url, tmp_path) as url:
        said = await rejected(f"{url}?sslmode=require")
    assert "let it have TLS: ssl = on in postgresql.conf, client_tls_sslmode in pgbouncer.ini" in said


async def test_a_server_that_asks_for_tls_says_so(debians: Debian) -> None:
    said = await rejected(reached(debians.url, debians, "by_password", sslmode="disable"))
    assert "the server may ask for TLS: sslmode=verify-full in the URL" in said


async def test_the_certificate_of_a_client_is_its_role(debian_url: str, debians: Debian) -> None:
    cert, key = debians.pair("client", debians.authority, "by_certificate@example", common_name="by_certificate")
    await works(reached(debian_url, debians, "by_certificate", sslcert=cert, sslkey=key))
    assert "sslcert=FILE and sslkey=FILE in the URL" in await rejected(reached(debian_url, debians, "by_certificate"))
    cert, key = debians.pair("app", debians.authority, "app@example", common_name="app")
    said = await rejected(reached(debian_url, debians, "by_certificate", sslcert=cert, sslkey=key))
    assert "name a certificate of this client for its role" in said


async def test_a_password_comes_from_a_file_or_the_environment(
    debian_url: str, debians: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"{NAME}:*:*:by_password:{PASSWORD}\n")
    file.chmod(0o600)
    await works(reached(debian_url, debians, "by_password", passfile=file))
    said = await rejected(reached(debian_url, debians, "by_password"))
    assert "the password is in PGPASSWORD, or in a file of mode 0600 that passfile=FILE in the URL names" in said
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    await works(reached(debian_url, debians, "by_password"))
    monkeypatch.setenv("PGPASSWORD", "wr0ng")
    said = await rejected(reached(debian_url, debians, "by_password"))
    assert 'password authentication failed for user "by_password"' in said
    assert "wr0ng" not in said


async def test_a_service_file_says_where_the_server_is(
    debian_url: str, debians: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = from_url(reached(debian_url, debians))
    assert isinstance(url, PostgresInbox)
    given = conninfo_to_dict(url.server.conninfo)
    of_service = ("host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert")
    lines = [f"{name}={given[name]}" for name in of_service]
    file = tmp_path / "services"
    file.write_text("\n".join(["[hooks]", *lines, "application_name=of-the-service", ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    async with working("postgresql:///?service=hooks&schema=webhook_receiver") as hooks:
        assert "service=hooks" in repr(hooks.inbox)
        asked = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'app' AND datname = %s"
        assert execute(debian_url, asked, debian_url.rpartition("/")[2]) == [("of-the-service",)]
    await works("postgresql:///?service=hooks")


@needs_pgbouncer
async def test_a_pooler_has_tls_on_both_sides(debian_url: str, debians: Debian, tmp_path: Path) -> None:
    cert, key = debians.pair("pooler", debians.authority, NAME)
    settings: dict[str, Any] = {
        "client_tls_sslmode": "require",
        "client_tls_cert_file": cert,
        "client_tls_key_file": key,
        "server_tls_sslmode": "verify-full",
        "server_tls_ca_file": debians.certificate,
    }
    app = debian_url.replace("postgres@", "app@")
    with pgbouncer(app, tmp_path, "transaction", **settings) as url:
        port = url.rpartition(":")[2].partition("/")[0]
        through = reached(debian_url, debians).replace(f":{debians.server.port}/", f":{port}/")
        await works(f"{through}&pooling=transaction")
        assert encrypted(debian_url) == [True]

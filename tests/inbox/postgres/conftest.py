"""Debian's PostgreSQL, with TLS, roles that log in by a password or a certificate, and databases for a role `app`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import pytest
import trustme

from tests.postgres import Postgres, database, debian, execute, migrated

NAME = "db.example"
"""The name in the certificate of the server, which the tests reach at 127.0.0.1."""
PASSWORD = "p@ss/w0rd"
_RULES = """
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all by_password 127.0.0.1/32 scram-sha-256
host all by_certificate,by_password 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""


@dataclass
class Debian:
    """The server, and the authority that has signed its certificate."""

    server: Postgres
    authority: trustme.CA

    @property
    def url(self) -> str:
        """The URL of a database without the tables of an inbox."""
        return f"{self.server.address}/postgres"

    @property
    def certificate(self) -> str:
        """The file of the authority's certificate."""
        return str(self.server.folder / "ca.pem")

    def pair(self, name: str, authority: trustme.CA, *identities: str, common_name: str | None = None) -> list[str]:
        """Make a certificate and its key; return their files."""
        made = authority.issue_cert(*identities, common_name=common_name)
        pems = {"cert": made.cert_chain_pems[0], "key": made.private_key_pem}
        return [str(self.server.give(f"{name}-{kind}.pem", pem.bytes())) for kind, pem in pems.items()]


@pytest.fixture(scope="session")
def debians() -> Generator[Debian]:
    programs = debian()
    assert programs is not None, "such a test is marked with needs_debian"
    server, authority = Postgres(programs=programs, fsync="off", ssl="on", max_connections=200), trustme.CA()
    found = Debian(server, authority)
    try:
        ca = server.give("ca.pem", authority.cert_pem.bytes())
        cert, key = found.pair("server", authority, NAME, "127.0.0.1")
        server.settings |= {"ssl_ca_file": ca, "ssl_cert_file": cert, "ssl_key_file": key}
        server.data.joinpath("pg_hba.conf").write_text(_RULES)
        server.start()
        for role in ("app", "by_certificate", "by_password"):
            execute(f"{server.address}/postgres", f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        yield found
    finally:
        server.remove()


@pytest.fixture(scope="session")
def debian_template(debians: Debian) -> Generator[str]:
    with database(debians.server.address) as url:
        for role in ("app", "by_certificate", "by_password"):
            migrated(url, role)
        yield url.rpartition("/")[2]


@pytest.fixture
def debian_url(debians: Debian, debian_template: str) -> Generator[str]:
    """The URL of a database with the tables of an inbox, for their owner, who may do everything."""
    with database(debians.server.address, debian_template) as url:
        yield url


@pytest.fixture
def app_url(debian_url: str) -> str:
    """The same for a role that may use the tables and make none."""
    return debian_url.replace("postgres@", "app@")

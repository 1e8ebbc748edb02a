"""What to do about an error of a PostgreSQL server, or of the way to it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg

_WRITES = "the URL names the server that takes writes, or all of them: HOST1,HOST2 with target_session_attrs=read-write"
_TOO_SHORT = "this setting of the role, the database or the server is too short: ALTER ROLE ... SET {} = '60s'"
_POOLED = "a pooler that gives a session for one transaction needs ?pooling=transaction in the URL"
_OF_STATE: Mapping[str, str] = {  # by postgresql.org/docs/current/errcodes-appendix.html
    "25006": _WRITES,
    "25P03": _TOO_SHORT.format("idle_in_transaction_session_timeout"),
    "25P04": _TOO_SHORT.format("transaction_timeout"),
    "26000": _POOLED,  # a prepared statement is not there
    "42P05": _POOLED,  # it is there already
    "42501": "the owner of the tables grants this role all that it needs by  webhook-receiver inbox migrate URL "
    "--grant ROLE",
    "55P03": _TOO_SHORT.format("lock_timeout"),
    "57014": _TOO_SHORT.format("statement_timeout"),
}
# Errors of the start of a connection have no class, and all of PgBouncer's have the same: they are told by what libpq,
# the server or PgBouncer says (postgresql.org/docs/current/libpq-ssl.html, libpq-pgpass.html, auth-pg-hba-conf.html;
# pgbouncer.org/config.html).
_OF_POOLER = "08P01"
_OF_WORDS = {
    re.compile(pattern): advice
    for pattern, advice in {
        r"does not match host name": "the URL names the host as the server's certificate does; "
        "hostaddr=ADDRESS beside it says where that is",
        r"certificate verify failed|root certificate file .* does not exist|could not read root certificate": "the "
        "file of sslrootcert=FILE in the URL has the certificate of the CA of the server's; sslrootcert=system means "
        "the CAs that this machine knows",
        r"server does not support SSL": "let it have TLS: ssl = on in postgresql.conf, client_tls_sslmode in "
        "pgbouncer.ini",
        r"pg_hba.conf .* no encryption": "the server may ask for TLS: sslmode=verify-full in the URL",
        r"valid client certificate|certificate authentication failed": "sslcert=FILE and sslkey=FILE in the URL name "
        "a certificate of this client for its role",
        r"no password supplied": "the password is in PGPASSWORD, or in a file of mode 0600 that passfile=FILE in the "
        "URL names",
        r"session is read-only|server is in hot standby": _WRITES,
        r"unsupported startup parameter": "PgBouncer passes options over with  ignore_startup_parameters = options; "
        "settings of the role do the same as options of the URL or of PGOPTIONS",
        r"not allowed in statement pooling mode": "the inbox needs transactions: pool_mode = transaction in "
        "pgbouncer.ini with ?pooling=transaction in the URL, or pool_mode = session without it",
    }.items()
}


def hint(error: Exception) -> str | None:
    """Return what to do about an error; None if it says that itself, or nobody knows."""
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate not in (None, _OF_POOLER):
        return _OF_STATE.get(error.sqlstate)
    said = " ".join(str(error).split())
    return next((advice for pattern, advice in _OF_WORDS.items() if pattern.search(said)), None)

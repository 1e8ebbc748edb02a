"""Imports go downward only. This table is the order; it has no cycles and needs no TYPE_CHECKING."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import webhook_receiver

PACKAGE = Path(webhook_receiver.__file__).parent

ROWS = [
    ["errors"],
    [
        "delivery",
        "reasons",
        "durations",
        "backoff",
        "breaker",
        "chores",
        "deadlines",
        "inbox.telling",
        "inbox.recent",
        "inbox.reader",
        "pace",
    ],
    ["events", "signatures.base", "inbox.records", "options", "running"],
    [
        "up42",
        "catalog",
        "naming",
        "rotation",
        "marks",
        "signatures.keyring",
        "signatures.reading",
        "signatures.any_of",
        "inbox.rows",
        "inbox.repeats",
        "inbox.schema",
        "inbox.damage",
        "inbox.place",
        "inbox.base",
        "saved",
    ],
    ["settings", "replies"],
    ["access", "inputs"],
    ["connection"],
    ["client"],
    ["signatures.unsigned", "signatures.up42", "signatures.standard", "signatures.hmac_body", "signatures.messages"],
    ["signatures.rfc9421"],
    ["handler", "orders", "inbox.lines", "inbox.connection", "inbox.journal", "inbox.reading", "inbox.documents"],
    ["signatures.known", "curl", "inbox.lookup", "inbox.integrity"],
    ["signatures.trying", "capturing"],
    ["signatures.header_causes", "signatures.body_causes", "signatures.secret_causes", "signatures.hints"],
    ["signatures.verdict_causes"],
    ["signatures.explaining"],
    ["signatures"],
    ["inbox.arrivals", "inbox.leases", "watchdog", "work", "confirm", "backfill"],
    ["inbox.upkeep", "inbox.writer", "handling"],
    ["inbox.sqlite", "worker"],
    ["inbox.memory", "inbox.postgres.rows", "workers"],
    ["inbox.postgres.connecting", "inbox.postgres.jobs", "inbox.postgres.reading"],
    ["inbox.postgres.again", "inbox.postgres.connector", "inbox.postgres.lane", "inbox.postgres.schema"],
    ["inbox.postgres.arrivals", "inbox.postgres.claims"],
    ["inbox.postgres.leases"],
    ["inbox.postgres.upkeep", "inbox.postgres.worker"],
    ["inbox.postgres"],
    ["inbox"],
    ["routing", "answers", "body", "refusals", "mounting", "lifespan", "keeping"],
    ["arguments", "immediate", "inboxed"],
    ["receiver"],
    [""],
    ["testing.wire", "testing.driving", "testing.inbox_suite", "testing.scheme_suite"],
    ["testing.making", "testing.inside"],
    ["testing.rehearsal"],
    ["testing"],
    ["pytest_plugin"],
    ["sender.deliveries", "sender.mischief", "sender.options"],
    ["sender.state"],
    ["sender.attempting", "sender.making"],
    ["sender.delivering"],
    ["sender.play"],
    ["sender.wire"],
    ["sender.access"],
    ["sender.management", "sender.orders", "sender.assets", "sender.control"],
    ["sender.app"],
    ["as_test", "sender"],
    ["cli.output", "cli.options", "cli.target"],
    ["cli.serve", "cli.send", "cli.place", "cli.listing", "cli.moving"],
    [
        "cli.many",
        "cli.upkeep",
        "cli.api",
        "cli.sender",
        "cli.order",
        "cli.loop",
        "cli.watching",
        "cli.request",
    ],
    ["cli.demo", "cli.dev", "cli.inbox", "cli.webhooks", "cli.backfill", "cli.explain", "cli.capture", "cli.worker"],
    ["cli.demo_app"],
    ["cli.commands"],
    ["cli"],
    ["__main__"],
]
ROW = {module: row for row, modules in enumerate(ROWS) for module in modules}


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
if "pytest_plugin" not in FILES:  # a wheel has it beside the package: see there
    FILES["pytest_plugin"] = PACKAGE.with_name("webhook_receiver_pytest.py")


def imports(module: str) -> set[str]:
    """Return the modules of the package that `module` imports, anywhere in it."""
    found: set[str] = set()
    package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [part for part in package[: len(package) - node.level + 1] if part]
            base += node.module.split(".") if node.module else []
            whole = ".".join(base)
            below = {".".join([*base, alias.name]) for alias in node.names} & FILES.keys()
            found |= below if below else {whole}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            own = [name for name in names if name.startswith("webhook_receiver")]
            if module == "pytest_plugin":  # which is installed outside of the package: see there
                found |= {name.partition(".")[2] for name in own}
            else:
                assert not own, "imports within it are relative"
    return found


def test_the_table_names_every_module_once() -> None:
    assert sorted(ROW) == sorted(FILES)
    assert sum(map(len, ROWS)) == len(ROW)


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_rows_above_its_own(module: str) -> None:
    assert {below for below in imports(module) if ROW[below] >= ROW[module]} == set()


@pytest.mark.parametrize("module", FILES)
def test_a_module_says_first_what_it_is_for_and_fits_a_few_screens(module: str) -> None:
    source = FILES[module].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert "TYPE_CHECKING" not in source
    assert len(source.splitlines()) <= 280 or module.endswith("_suite"), "only a suite is read test by test"

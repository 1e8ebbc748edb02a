"""Imports go down only, told by folder. This table is the order; there are no cycles, and no TYPE_CHECKING."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import webhook_receiver

PACKAGE = Path(webhook_receiver.__file__).parent

ROWS = [
    "errors",
    "delivery redaction options",
    "events signatures json_repair logs",
    "event_registry inbox responses asgi settings",
    "routing senders",
    "worker schema",
    "telemetry",
    "runtime",
    "receiver",
    "webhook_receiver explain",
    "capture",
    "testing simulator",
    "inspector",
    "cli",
]
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms.split()}

CORE = {
    *("errors", "delivery", "redaction", "options", "logs", "events", "json_repair", "event_registry"),
    *("responses", "asgi", "inbox", "routing", "worker", "telemetry", "runtime", "receiver"),
}
DEFAULT = ("webhook_receiver.senders", "webhook_receiver.senders.up42")
"""The one place where it is said who the default sender is."""
NEUTRAL = {
    "__init__",
    "base",
    "backfill",
    "catalogue",
    "challenge_request",
    "challenges",
    "cloudevents",
    "event_names",
    "form",
    "order_check",
    "page",
    "preset",
    "profile",
    "registry",
    "reply",
    "source",
    "split",
    "text",
    "token",
}
VENDORS = {each.stem for each in PACKAGE.joinpath("senders").iterdir()} - NEUTRAL | {
    f"catalogue.{each.stem}" for each in PACKAGE.joinpath("senders/catalogue").iterdir()
}
LONGEST = 520  # lines, about 500; only a suite is longer, which is read test by test


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """Return the folder, or the module at the top, that a module belongs to."""
    room = [*module.split("."), "webhook_receiver"][1]
    return "cli" if room == "__main__" else room


def imported(module: str) -> Iterator[str]:
    """Yield the modules of the package that `module` imports, anywhere in it."""
    package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(
                [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            )
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            own = [name for name in names if name.split(".")[0] == "webhook_receiver"]
            if module.endswith("pytest_plugin"):  # which is installed outside of the package: see there
                yield from own
            else:
                assert not own, "imports within it are relative"


def is_neutral(module: str) -> bool:
    """Whether a module is about all senders."""
    return room_of(module) == "senders" and module.count(".") < 3 and [*module.split("."), "__init__"][2] in NEUTRAL


IMPORTS = {module: {*imported(module)} for module in FILES}


def test_the_table_names_every_room_once() -> None:
    assert sorted(ROW) == sorted({room_of(module) for module in FILES})
    assert sum(len(rooms.split()) for rooms in ROWS) == len(ROW)


def test_a_stranger_finds_the_room_by_the_listing() -> None:
    listed = {each.name for each in PACKAGE.iterdir()} - {"py.typed", "__init__.pyi", "__main__.py", "__pycache__"}
    assert len(listed) <= 28


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_rooms_in_rows_above_its_own(module: str) -> None:
    room = room_of(module)
    others = {below for below in map(room_of, IMPORTS[module]) if below != room}
    assert {below for below in others if ROW[below] >= ROW[room]} == set()


@pytest.mark.parametrize("room", ROW)
def test_the_modules_of_a_room_import_one_another_in_no_circle(room: str) -> None:
    left = {
        module: {each for each in IMPORTS[module] if room_of(each) == room}
        for module in FILES
        if room_of(module) == room
    }
    while free := [module for module, needs in left.items() if not needs & (left.keys() - {module})]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("module", [each for each in FILES if room_of(each) in CORE or is_neutral(each)])
def test_the_core_imports_nothing_of_a_vendor(module: str) -> None:
    vendors = {f"webhook_receiver.{room}.{vendor}" for room in ("senders", "signatures") for vendor in VENDORS}
    found = {each for each in IMPORTS[module] if any(f"{each}.".startswith(f"{vendor}.") for vendor in vendors)}
    assert found == ({DEFAULT[1]} if module == DEFAULT[0] else set())


@pytest.mark.parametrize("module", FILES)
def test_a_module_says_first_what_it_is_for_and_fits_a_few_screens(module: str) -> None:
    source = FILES[module].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert "TYPE_CHECKING" not in source
    assert len(source.splitlines()) <= LONGEST or module.endswith("_suite")

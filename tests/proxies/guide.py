"""What `docs/proxies.md` tells: configurations, commands of servers, and what is answered otherwise behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
PROXIES, HTTP2, SERVERS = "What does not pass", "Over HTTP/2", "ASGI servers"
"""The headings of the parts with the tables."""


def part(heading: str) -> str:
    """Return the text below a heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/proxies.md has no part {heading!r}"
    return found[1]


def configuration(heading: str, changes: Mapping[str, str]) -> str:
    """Return the configuration below a heading, with the addresses and files of a test.

    Args:
        heading: the heading.
        changes: texts that the configuration has to have, and those in their places.
    """
    text = part(heading).partition("```text\n")[2].partition("\n```")[0] + "\n"
    for told, ours in changes.items():
        assert told in text, f"the configuration of {heading} in docs/proxies.md has no {told!r}"
        text = text.replace(told, ours)
    return text


def tables(heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading: rows of cells, without the line below the first row."""
    found = re.findall(r"(?:^\|.*\|\n)+", part(heading).replace("`", ""), re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in table if not set("".join(row)) <= set("- ")] for table in rows]


def differences(heading: str) -> dict[str, dict[str, str]]:
    """Return the last table below a heading: by program, what is answered otherwise, by the case of the matrix."""
    (_, *programs), *rows = tables(heading)[-1]
    return {
        program: {case: row[number] for case, *row in rows if row[number]} for number, program in enumerate(programs)
    }


def commands() -> dict[str, list[str]]:
    """Return the words of the command by which each server is started."""
    _, *rows = tables(SERVERS)[0]
    return {server: command.split() for server, command in rows}


def pins(program: str) -> list[str]:
    """Return what pip is to install of a program, such as "uvicorn 0.54.0 with h11 0.16.0"."""
    return [f"{name}=={version}" for name, version in re.findall(r"([a-z][\w-]*) (\d[\d.]*)", program)]

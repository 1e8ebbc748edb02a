"""What the guide tells of proxies: files of configuration, commands of servers, and what is answered otherwise.

The files are in `examples/operations/proxies/`, and the page `docs/proxies.md` shows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
FOLDER = ROOT / "examples" / "operations" / "proxies"
FILES = {
    "nginx": ["nginx.conf"],
    "HAProxy": ["haproxy.cfg"],
    "Apache": ["apache.conf"],
    "Caddy": ["Caddyfile"],
    "Traefik": ["traefik.yml", "traefik-hooks.yml"],
}
"""The files with the configuration of each proxy, as the parts of the page show them."""
PROXIES, HTTP2, SERVERS = "What does not pass", "Over HTTP/2", "ASGI servers"
"""The headings of the parts with the tables."""


def part(heading: str) -> str:
    """Return the text below a heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/proxies.md has no part {heading!r}"
    return found[1]


def blocks(heading: str) -> list[str]:
    """Return the texts of the blocks below a heading."""
    return re.findall(r"^```text\n(.*?)^```", part(heading), re.MULTILINE | re.DOTALL)


def configuration(file: str, changes: Mapping[str, str]) -> str:
    """Return the configuration of a proxy, with the addresses and files of a test.

    Args:
        file: the name of the file.
        changes: texts that the configuration has to have, and those in their places.
    """
    text = (FOLDER / file).read_text(encoding="utf-8")
    for told, ours in changes.items():
        assert told in text, f"examples/operations/proxies/{file} has no {told!r}"
        text = text.replace(told, ours)
    return text


def tables(heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading: rows of cells, without the line below the first row."""
    found = re.findall(r"(?:^\|.*\|\n)+", part(heading).replace("`", ""), re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in table if not set("".join(row)) <= set("- ")] for table in rows]


def differences(heading: str) -> dict[str, dict[str, str]]:
    """Return the last table below a heading: by program, what is answered otherwise, by the case of the matrix.

    Where that is not the same each time, it is all that is answered, with " or " between: see `is_told`.
    """
    (_, *programs), *rows = tables(heading)[-1]
    return {
        program: {case: row[number] for case, *row in rows if row[number]} for number, program in enumerate(programs)
    }


def is_told(answer: str, told: str) -> bool:
    """Return whether an answer is what is told, or one of several."""
    return answer in told.split(" or ")


def commands() -> dict[str, list[str]]:
    """Return the words of the command by which each server is started."""
    _, *rows = tables(SERVERS)[0]
    return {server: command.split() for server, command in rows}


def pins(program: str) -> list[str]:
    """Return what pip is to install of a program, such as "uvicorn 0.54.0 with h11 0.16.0"."""
    return [f"{name}=={version}" for name, version in re.findall(r"([a-z][\w-]*) (\d[\d.]*)", program)]

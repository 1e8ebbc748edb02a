"""The licences of what the package and its extras depend on, as the installed distributions say.

`python -m tests.release.licences` writes them to `docs/licences.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from webhook_receiver.errors import DISTRIBUTION

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"
NOT_SHIPPED = {"docs", "test"}
"""The extras that are for the work on the project."""
HEAD = """\
# Licences

The licences of everything that the package and its extras depend on, as the distributions themselves say.

The package itself is under the MIT licence, and holds htmx, which is under 0BSD: see `NOTICE`. A newer version of a
dependency may depend on more; the list was made by `python -m tests.release.licences` from what was the newest.

| distribution | licence | for |
| --- | --- | --- |
"""

_SPELT = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""SPDX identifiers (spdx.org/licenses) of what older metadata writes out."""


def shipped() -> dict[str, set[str]]:
    """Return the names of all dependencies that are installed here, each with the extras that need it; "" for none."""
    found: dict[str, set[str]] = {}
    own = distribution(DISTRIBUTION)
    extras = set(own.metadata.get_all("Provides-Extra") or ()) - NOT_SHIPPED
    for extra in ("", *sorted(extras)):
        _follow(own, extra, extra, found)
    return found


def _follow(parent: Distribution, extra: str, asked: str, found: dict[str, set[str]]) -> None:
    for name, wanted in _needed(parent, extra):
        if asked in found.setdefault(name, set()):
            continue
        try:
            child = distribution(name)
        except PackageNotFoundError:  # for another platform or Python
            del found[name]
            continue
        found[name].add(asked)
        for each in ("", *wanted):
            _follow(child, each, asked, found)


def _needed(parent: Distribution, extra: str) -> Iterator[tuple[str, set[str]]]:
    for line in parent.requires or ():
        needed = Requirement(line)
        applies = needed.marker is None or needed.marker.evaluate({"extra": extra})
        of_extra = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
        if applies and of_extra == bool(extra):
            yield canonicalize_name(needed.name), needed.extras


def licence(name: str) -> str:
    """Return the licence of an installed distribution: its expression of SPDX, else what its classifiers or it say."""
    metadata = distribution(name).metadata
    classified = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if "License ::" in each]
    said = metadata.get_all("License-Expression") or classified or metadata.get_all("License") or ["unknown"]
    return " AND ".join(_SPELT.get(each, each) for each in " AND ".join(said).split(" AND "))


def needed_for(extras: set[str]) -> str:
    """Return what a dependency is for, as the guide has it, of the extras that need it."""
    return "the package" if "" in extras else ", ".join(f"`{each}`" for each in sorted(extras))


def page() -> str:
    """Return the page of the guide."""
    rows = [f"| {name} | {licence(name)} | {needed_for(extras)} |" for name, extras in sorted(shipped().items())]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""A real browser at a real server: what it says wrong, and what it asks of anybody but us, fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Playwright, expect, sync_playwright

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
PATIENCE = 60_000
"""Milliseconds that a step may take, on a machine that many tests share."""
expect.set_options(timeout=PATIENCE)
WIDTHS = {"phone": 375, "tablet": 768, "desk": 1280}


def path_of_chromium() -> str:
    """Return the path of Debian's chromium, which `.ci/run` installs."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    return found


@contextmanager
def started() -> Generator[Browser]:
    """Start a browser without a screen; end it."""
    path = path_of_chromium()
    playwright: Playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A tab, and what went wrong in it."""

    page: Page
    wrong: list[str] = field(default_factory=list[str])
    allowed: tuple[str, ...] = ()
    """Beginnings of addresses that it may ask for."""

    def open(self, path: str = "") -> None:
        """Go to an address, and wait until its scripts have run."""
        self.page.goto(path, wait_until="load")

    def text(self, selector: str = "main") -> str:
        return " ".join(self.page.inner_text(selector).split())


Tabs = Callable[..., AbstractContextManager[Tab]]


def tabs_of(browser: Browser) -> Tabs:
    """Return a function that opens a tab of its own, at a server; it fails at its end if anything went wrong in it."""

    @contextmanager
    def opened(url: str, *, width: int = 1280, height: int = 800, quiet: bool = True, **options: Any) -> Generator[Tab]:
        context = browser.new_context(base_url=url, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE)
        tab = Tab(context.new_page(), allowed=(url,))
        page = tab.page

        def note(message: str) -> None:
            tab.wrong.append(message)

        def refuse(dialog: Dialog) -> None:
            note(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", lambda said: note(f"console: {said.text}") if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(f"script: {error}"))
        page.on("dialog", refuse)
        context.on("request", lambda asked: None if asked.url.startswith(tab.allowed) else note(f"asked {asked.url}"))
        try:
            yield tab
            assert tab.wrong == [] or not quiet, tab.wrong
        finally:
            context.close()

    return opened


@cache
def axe() -> str:
    """Return the source of axe-core, which finds what keeps people out."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Return what is wrong with a page by the rules of WCAG 2.2 AA, and by those of good practice that are serious."""
    page.evaluate(axe())
    found: list[Mapping[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['html'][:160] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in ("serious", "critical") or {"wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"} & {*each["tags"]}
    ]

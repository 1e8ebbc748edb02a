"""The suite leaves nothing of the environment to chance, and in CI nothing out."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None, max_examples=200)
settings.load_profile("here")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("WEBHOOK_", "UP42_")) or name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Make a skipped test a failed one where everything it needs has to be there."""
    report = yield
    if report.skipped and os.environ.get("TESTS_MAY_NOT_SKIP"):
        report.outcome = "failed"
    return report
